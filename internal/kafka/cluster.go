package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kstream/record"
)

// Cluster asks a cluster about itself and makes topics. It has a client of its
// own; sessions and consumers made from it have theirs. Safe for concurrent
// use.
type Cluster struct {
	cfg    Config
	log    *slog.Logger
	client *kgo.Client
	admin  *kadm.Client
}

const (
	pauseMin = 20 * time.Millisecond
	pauseMax = time.Second
	// leaderTimeout bounds the wait for the leaders of a topic just made.
	leaderTimeout = time.Minute
	// adminRetryTimeout bounds retries of questions to the cluster.
	adminRetryTimeout = 30 * time.Second
)

// Connect makes the client and waits until one broker answers. When none does
// within ConnectTimeout, or the cluster turns us away, the error is of class
// refuse.
func Connect(ctx context.Context, cfg Config) (*Cluster, error) {
	opts, err := cfg.options()
	if err != nil {
		return nil, refuseConnect(cfg.Brokers, err)
	}
	if err := probe(ctx, cfg, opts); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, kgo.AlwaysRetryEOF())...)
	if err != nil {
		return nil, refuseConnect(cfg.Brokers, err)
	}
	return &Cluster{cfg: cfg, log: cfg.logger(), client: client, admin: kadm.NewClient(client)}, nil
}

// probe pings until a broker answers. It has a client of its own because the
// others retry a connection that is closed at once (G20), which would hide
// that TLS or SASL is missing.
func probe(ctx context.Context, cfg Config, opts []kgo.Opt) error {
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return refuseConnect(cfg.Brokers, err)
	}
	defer client.Close()
	limit := orDefault(cfg.ConnectTimeout, connectTimeoutDefault)
	pingCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	var last error
	tries := newBackoff()
	for {
		err := client.Ping(pingCtx)
		if err == nil {
			return nil
		}
		if pingCtx.Err() == nil || last == nil {
			last = err
		}
		if ke := Classify(OpConnect, "", err); ke.Class == record.ClassRefuse {
			return ke
		}
		if !tries.wait(pingCtx) {
			if ctx.Err() != nil {
				return asError(Classify(OpConnect, "", ctx.Err()))
			}
			return refuseConnect(cfg.Brokers, fmt.Errorf("no answer within %v: %w", limit, last))
		}
	}
}

func refuseConnect(brokers []string, err error) error {
	return &record.KafkaError{
		Class: record.ClassRefuse, Exit: exitRefuse, Code: CodeUnreachable, Op: OpConnect,
		Partition: -1, Offset: -1, Cause: err,
		Detail: "cannot reach " + strings.Join(brokers, ",") + ": " + err.Error(),
	}
}

// Close ends the admin client.
func (c *Cluster) Close() { c.client.Close() }

// backoff is the pause between tries, growing from 20 ms to 1 s.
type backoff struct{ next time.Duration }

func newBackoff() *backoff { return &backoff{next: pauseMin} }

// wait pauses; false means that ctx ended.
func (b *backoff) wait(ctx context.Context) bool {
	d := b.next
	b.next = min(2*b.next, pauseMax)
	return pause(ctx, d)
}

// pause waits; false means that ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// needs are the requests without which the protocol does not work, with the
// version each needs (section 1.3).
var needs = [...]struct {
	name    string
	key     int16
	version int16
}{
	{"InitProducerId", 22, 3},
	{"EndTxn", keyEndTxn, 1},
	{"TxnOffsetCommit", keyTxnOffsetCommit, 3},
	{"OffsetFetch", 9, 7},
	{"Metadata", 3, 10},
	{"DescribeConfigs", 32, 1},
}

// Inspect reads what every broker of the cluster can do. A request that is
// missing on any of them refuses by name.
func (c *Cluster) Inspect(ctx context.Context) (record.Broker, error) {
	meta, err := c.admin.BrokerMetadata(ctx)
	if err != nil {
		return record.Broker{}, asError(Classify(OpAdmin, "", err))
	}
	out := record.Broker{ClusterID: meta.Cluster, TransactionV2: true}
	for _, b := range meta.Brokers {
		v, err := c.brokerVersions(ctx, b.NodeID)
		if err != nil {
			return record.Broker{}, asError(Classify(OpAdmin, "", err))
		}
		if missing := missingRequests(v); missing != "" {
			return record.Broker{}, &record.KafkaError{
				Class: record.ClassRefuse, Exit: exitRefuse, Code: CodeUnsupported, Op: OpAdmin, Partition: -1, Offset: -1,
				Detail: "broker " + strconv.Itoa(int(b.NodeID)) + " (" + v.VersionGuess() + ") lacks " + missing,
			}
		}
		out.TransactionV2 = out.TransactionV2 && c.transactionV2(v)
		out.Version = v.VersionGuess()
	}
	out.MaxTransactionTimeout = c.maxTransactionTimeout(ctx, meta.Brokers)
	return out, nil
}

func (c *Cluster) brokerVersions(ctx context.Context, node int32) (*kversion.Versions, error) {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "kstream", "1"
	resp, err := c.client.Broker(int(node)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	versions := resp.(*kmsg.ApiVersionsResponse)
	if err := kerr.ErrorForCode(versions.ErrorCode); err != nil {
		return nil, err
	}
	return kversion.FromApiVersionsResponse(versions), nil
}

func missingRequests(v *kversion.Versions) string {
	var missing []string
	for _, n := range needs {
		if have, ok := v.LookupMaxKeyVersion(n.key); !ok || have < n.version {
			missing = append(missing, fmt.Sprintf("%s version %d", n.name, n.version))
		}
	}
	return strings.Join(missing, ", ")
}

// transactionV2 asks as the client does: the feature, and the requests it
// changes, on the broker's side and on ours.
func (c *Cluster) transactionV2(v *kversion.Versions) bool {
	level := int16(0)
	v.EachFinalizedFeature(func(name string, l int16) {
		if name == "transaction.version" {
			level = l
		}
	})
	if level < 2 {
		return false
	}
	ours, err := c.cfg.versions()
	if err != nil {
		return false
	}
	for key, least := range map[int16]int16{0: 12, keyEndTxn: 5, keyTxnOffsetCommit: 5} {
		if have, ok := v.LookupMaxKeyVersion(key); !ok || have < least {
			return false
		}
		if ours == nil {
			continue
		}
		if cap, ok := ours.LookupMaxKeyVersion(key); !ok || cap < least {
			return false
		}
	}
	return true
}

// maxTransactionTimeout is the smallest of the brokers' limits, 0 if none may
// be read.
func (c *Cluster) maxTransactionTimeout(ctx context.Context, brokers kadm.BrokerDetails) time.Duration {
	configs, err := c.admin.DescribeBrokerConfigs(ctx, brokers.NodeIDs()...)
	if err != nil {
		return 0
	}
	least := time.Duration(0)
	for _, rc := range configs {
		for _, kv := range rc.Configs {
			if kv.Key != "transaction.max.timeout.ms" || kv.Value == nil {
				continue
			}
			ms, err := strconv.ParseInt(*kv.Value, 10, 64)
			d := time.Duration(ms) * time.Millisecond
			if err == nil && d > 0 && (least == 0 || d < least) {
				least = d
			}
		}
	}
	return least
}

// Topics reads ids, partition counts and settings. A topic that does not exist
// is not in the map.
func (c *Cluster) Topics(ctx context.Context, names []string) (map[string]record.TopicInfo, error) {
	out := make(map[string]record.TopicInfo, len(names))
	if len(names) == 0 {
		return out, nil
	}
	var details kadm.TopicDetails
	err := c.retry(ctx, OpAdmin, "", func() (err error) {
		details, err = c.admin.ListTopicsWithInternal(ctx, names...)
		if err != nil {
			return err
		}
		return topicErrors(details)
	})
	if err != nil {
		return nil, err
	}
	var known []string
	for _, d := range details {
		if d.Err != nil {
			continue
		}
		known = append(known, d.Topic)
		out[d.Topic] = record.TopicInfo{Name: d.Topic, ID: record.TopicID(d.ID), Partitions: int32(len(d.Partitions))}
	}
	c.readConfigs(ctx, known, out)
	return out, nil
}

// topicErrors is the first error that is not "there is no such topic".
func topicErrors(details kadm.TopicDetails) error {
	for _, d := range details {
		if d.Err != nil && !isUnknownTopic(d.Err) {
			return Classify(OpAdmin, d.Topic, d.Err)
		}
	}
	return nil
}

func isUnknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID)
}

// readConfigs adds settings where they may be read; the right is not among
// those a source or sink needs.
func (c *Cluster) readConfigs(ctx context.Context, names []string, out map[string]record.TopicInfo) {
	if len(names) == 0 {
		return
	}
	configs, err := c.admin.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		c.log.DebugContext(ctx, "topic settings are not readable", "error", err)
		return
	}
	for _, rc := range configs {
		if rc.Err != nil {
			continue
		}
		info := out[rc.Name]
		info.Config = make(map[string]string, len(rc.Configs))
		for _, kv := range rc.Configs {
			if kv.Value != nil {
				info.Config[kv.Key] = *kv.Value
			}
		}
		out[rc.Name] = info
	}
}

// CreateTopic makes a topic and waits until every partition has a leader: the
// metadata of a new topic can be seconds behind (G36), and what is written or
// read before that fails.
func (c *Cluster) CreateTopic(ctx context.Context, t record.NewTopic) error {
	partitions, replication := t.Partitions, int16(t.Replication)
	if partitions == 0 {
		partitions = -1
	}
	if replication == 0 {
		replication = -1
	}
	configs := make(map[string]*string, len(t.Config))
	for k, v := range t.Config {
		configs[k] = &v
	}
	resp, err := c.admin.CreateTopic(ctx, partitions, replication, configs, t.Name)
	switch {
	case errors.Is(err, kerr.TopicAlreadyExists) && t.Existing:
	case err != nil:
		if resp.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, resp.ErrMessage)
		}
		return asError(Classify(OpAdmin, t.Name, err))
	}
	return c.waitLeaders(ctx, t.Name)
}

func (c *Cluster) waitLeaders(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	tries := newBackoff()
	for {
		details, err := c.admin.ListTopics(ctx, name)
		d := details[name]
		leaderless := slices.ContainsFunc(d.Partitions.Sorted(), func(p kadm.PartitionDetail) bool {
			return p.Err != nil || p.Leader < 0
		})
		if err == nil && d.Err == nil && len(d.Partitions) > 0 && !leaderless {
			return nil
		}
		if !tries.wait(ctx) {
			err = errors.Join(err, d.Err, ctx.Err())
			return asError(Classify(OpAdmin, name, fmt.Errorf("wait for the leaders of topic %s: %w", name, err)))
		}
	}
}

// retry repeats a question while its error is one that passes, for at most
// 30 s, and classifies what is left.
func (c *Cluster) retry(ctx context.Context, op, topic string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, adminRetryTimeout)
	defer cancel()
	tries := newBackoff()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		if !passes(err) || !tries.wait(ctx) {
			return asError(Classify(op, topic, err))
		}
	}
}

// passes tells whether asking again can help. "Unknown topic" is an answer
// here, not something that passes.
func passes(err error) bool {
	if isUnknownTopic(err) {
		return false
	}
	if ke, ok := errors.AsType[*kerr.Error](err); ok {
		return ke.Retriable
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return true // the client gives up at once where nobody listens: a broker that restarts
	}
	return kgo.IsRetryableBrokerErr(err)
}
