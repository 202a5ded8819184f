package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

// ConsumerConfig is what to read and how. An empty Isolation is read_committed.
type ConsumerConfig struct {
	Positions []record.Position
	Isolation string // read_committed | read_uncommitted
}

const (
	fetchPartitionBytes    = 1 << 20
	fetchBytes             = 16 << 20
	fetchWait              = 500 * time.Millisecond
	explainTimeout         = 5 * time.Second
	unknownTopicGrace      = 30 * time.Second
	complaintGap           = 15 * time.Second
	complaintPause         = 100 * time.Millisecond
	isolationReadCommitted = "read_committed"
)

// Consumer reads partitions from given positions on, without a group and
// without ever moving by itself (I18): a position that does not exist any more
// is an error. Poll belongs to one goroutine; the other methods may be called
// from any.
type Consumer struct {
	cluster *Cluster
	client  *kgo.Client

	mu         sync.Mutex
	next       map[record.TopicPartition]record.Position // behind what Poll returned
	complaints map[complaint]*since
	dead       *record.KafkaError // the first fatal error; Poll returns it for ever (G16)
}

// complaint is an error of a partition that may still pass.
type complaint struct {
	record.TopicPartition
	code string
}

// since is when a complaint was heard first and last.
type since struct{ first, last time.Time }

// NewConsumer makes the client; it begins to fetch at once.
func NewConsumer(cluster *Cluster, cfg ConsumerConfig) (*Consumer, error) {
	return newConsumer(cluster, cfg, cluster.cfg.Rack)
}

func newConsumer(cluster *Cluster, cfg ConsumerConfig, rack string) (*Consumer, error) {
	c := &Consumer{
		cluster:    cluster,
		next:       make(map[record.TopicPartition]record.Position, len(cfg.Positions)),
		complaints: map[complaint]*since{},
	}
	opts, err := cluster.cfg.options()
	if err != nil {
		return nil, refuseConnect(cluster.cfg.Brokers, err)
	}
	pools := newFetchPools()
	opts = append(opts,
		kgo.ConsumePartitions(c.offsets(cfg.Positions)),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		// Markers are records to the client; without them a position never
		// reaches the end of a log that ends with one (G29).
		kgo.KeepControlRecords(),
		// Else a topic that vanishes is retried in silence for ever.
		kgo.KeepRetryableFetchErrors(),
		kgo.FetchMaxPartitionBytes(fetchPartitionBytes),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxWait(fetchWait),
		kgo.FetchMinBytes(1),
		kgo.AlwaysRetryEOF(),
		kgo.WithPools(pools),
	)
	switch cfg.Isolation {
	case "", isolationReadCommitted:
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	case "read_uncommitted":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	default:
		return nil, fmt.Errorf("isolation %q is not known", cfg.Isolation)
	}
	if rack != "" {
		opts = append(opts, kgo.Rack(rack))
	}
	if c.client, err = kgo.NewClient(opts...); err != nil {
		return nil, asError(Classify(OpFetch, "", err))
	}
	return c, nil
}

// offsets notes the positions and writes them as the client wants them, with
// the leader epoch, without which a truncated log is not noticed (G18).
func (c *Consumer) offsets(positions []record.Position) map[string]map[int32]kgo.Offset {
	out := map[string]map[int32]kgo.Offset{}
	for _, p := range positions {
		o := kgo.NewOffset().At(int64(p.Offset))
		if p.LeaderEpoch >= 0 {
			o = o.WithEpoch(p.LeaderEpoch)
		}
		if out[p.Topic] == nil {
			out[p.Topic] = map[int32]kgo.Offset{}
		}
		out[p.Topic][p.Partition] = o
		c.next[p.TopicPartition] = p
	}
	return out
}

// Add reads further partitions, from given positions on.
func (c *Consumer) Add(positions []record.Position) {
	c.mu.Lock()
	offsets := c.offsets(positions)
	c.mu.Unlock()
	c.client.AddConsumePartitions(offsets)
}

// Pause stops fetching partitions for good: what the client has buffered of them
// is thrown away.
func (c *Consumer) Pause(partitions []record.TopicPartition) {
	topics := map[string][]int32{}
	for _, p := range partitions {
		topics[p.Topic] = append(topics[p.Topic], p.Partition)
	}
	c.client.PauseFetchPartitions(topics)
}

// Close ends the client and a waiting Poll.
func (c *Consumer) Close() { c.client.Close() }

// Poll waits for records or for a position that moved. What it returns may be
// processed while the next Poll runs. An error is final: the consumer stays
// where it was and returns the same error again. When ctx ends the error wraps
// the context's.
func (c *Consumer) Poll(ctx context.Context) (*record.Fetch, error) {
	for {
		if dead := c.fatal(); dead != nil {
			return nil, dead
		}
		fetches := c.client.PollFetches(ctx)
		out := &record.Fetch{}
		if err := c.collect(fetches, out); err != nil {
			return nil, c.explain(err)
		}
		if len(out.Partitions) > 0 {
			return out, nil
		}
		// Nothing but complaints: the client fetches again as soon as they are
		// polled, thousands of times per second.
		if ctx.Err() != nil || !pause(ctx, complaintPause) {
			return nil, asError(Classify(OpFetch, "", ctx.Err()))
		}
	}
}

func (c *Consumer) fatal() *record.KafkaError {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}

// collect turns what the client gives into ours, or returns the first error
// that counts. Records that came with the error are dropped: their positions
// were handed to nobody.
func (c *Consumer) collect(fetches kgo.Fetches, out *record.Fetch) *record.KafkaError {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range fetches {
		for j := range fetches[i].Topics {
			t := &fetches[i].Topics[j]
			for k := range t.Partitions {
				p := &t.Partitions[k]
				tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
				if p.Err != nil {
					if e := c.judge(tp, p.Err); e != nil {
						return e
					}
				}
				if e := c.otherTopic(tp, t.TopicID); e != nil {
					return e
				}
				if len(p.Records) > 0 {
					out.Partitions = append(out.Partitions, c.take(tp, t.TopicID, p))
				}
			}
		}
	}
	return nil
}

// otherTopic refuses records of a topic that was made again under the name: the
// position is one of the topic that is gone.
func (c *Consumer) otherTopic(tp record.TopicPartition, id record.TopicID) *record.KafkaError {
	pos, ok := c.next[tp]
	if !ok || id == pos.TopicID || id == (record.TopicID{}) || pos.TopicID == (record.TopicID{}) {
		return nil
	}
	c.dead = &record.KafkaError{
		Class: record.ClassRefuse, Exit: exitState, Code: CodeRecreated, Op: OpFetch,
		Topic: tp.Topic, Partition: tp.Partition, Offset: pos.Offset,
		Detail: fmt.Sprintf("the topic was deleted and made again (id %x, now %x)", pos.TopicID, id),
	}
	return c.dead
}

// take makes the run of records of one partition, notes where the log goes on,
// and gives markers back to the client at once.
func (c *Consumer) take(tp record.TopicPartition, id record.TopicID, p *kgo.FetchPartition) record.FetchedPartition {
	last := p.Records[len(p.Records)-1]
	next := record.Position{
		TopicPartition: tp, TopicID: id,
		Offset: record.Offset(last.Offset) + 1, LeaderEpoch: last.LeaderEpoch,
	}
	c.next[tp] = next
	if len(c.complaints) > 0 {
		c.forgive(tp)
	}
	run := &run{records: p.Records[:0]}
	for _, r := range p.Records {
		if r.Attrs.IsControl() {
			r.Recycle()
			continue
		}
		run.records = append(run.records, r)
	}
	return record.FetchedPartition{
		TopicPartition: tp, Next: next,
		LogStart: record.Offset(p.LogStartOffset), LastStable: record.Offset(p.LastStableOffset),
		HighWatermark: record.Offset(p.HighWatermark), Records: run,
	}
}

// judge decides about an error of a partition: fatal (returned), or one that
// may pass (nil).
func (c *Consumer) judge(tp record.TopicPartition, err error) *record.KafkaError {
	e := Classify(OpFetch, tp.Topic, err)
	e.Partition = max(tp.Partition, -1)
	if pos, ok := c.next[tp]; ok && e.Offset < 0 {
		e.Offset = pos.Offset
	}
	grace := e.Grace
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil // of the poll; the caller sees its own context
	case isUnknownTopic(err):
		grace = unknownTopicGrace
	case e.Class == record.ClassRestart && passes(err):
		return nil // leader moves, connections: the client goes on by itself
	}
	if grace > 0 && !c.heardFor(complaint{tp, e.Code}, grace) {
		return nil
	}
	c.dead = e
	return e
}

// heardFor tells whether a complaint has been heard again and again for this
// long. One that was quiet for a while counts as new.
func (c *Consumer) heardFor(what complaint, grace time.Duration) bool {
	now := time.Now()
	s := c.complaints[what]
	if s == nil || now.Sub(s.last) > complaintGap {
		c.complaints[what] = &since{now, now}
		return false
	}
	s.last = now
	return now.Sub(s.first) >= grace
}

func (c *Consumer) forgive(tp record.TopicPartition) {
	for what := range c.complaints {
		if what.TopicPartition == tp {
			delete(c.complaints, what)
		}
	}
}

// explain adds to an offset that does not exist where the log is now.
func (c *Consumer) explain(e *record.KafkaError) *record.KafkaError {
	if e.Code != kerr.OffsetOutOfRange.Message && e.Code != CodeDataLoss || e.Partition < 0 {
		return e
	}
	ctx, cancel := context.WithTimeout(context.Background(), explainTimeout)
	defer cancel()
	bounds, err := c.cluster.Bounds(ctx, e.Topic)
	if err != nil || int(e.Partition) >= len(bounds) {
		return e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b := bounds[e.Partition]
	if e.Offset < b.Start {
		e.Detail = fmt.Sprintf("offset %d was deleted, the log starts at %d (%d records lost)", e.Offset, b.Start, b.Start-e.Offset)
		return e
	}
	epoch := c.next[record.TopicPartition{Topic: e.Topic, Partition: e.Partition}].LeaderEpoch
	e.Detail = fmt.Sprintf("lost records: position %d epoch %d, the log ends at %d", e.Offset, epoch, b.End)
	return e
}

// Positions is, for every partition, where reading goes on: behind the last
// record Poll returned.
func (c *Consumer) Positions() []record.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]record.Position, 0, len(c.next))
	for _, p := range c.next {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b record.Position) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition - b.Partition)
	})
	return out
}
