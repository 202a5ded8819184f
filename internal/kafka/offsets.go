package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"kstream/record"
)

// lister is one of the ListOffsets questions of the admin client.
type lister func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)

// list asks for one offset per partition, in order of partitions. An offset
// that a new leader is not sure of yet is asked for again: an early high
// watermark would cut a restore short.
func (c *Cluster) list(ctx context.Context, topic string, ask lister) ([]record.Offset, error) {
	var out []record.Offset
	err := c.retry(ctx, OpList, topic, func() error {
		listed, err := ask(ctx, topic)
		if err != nil {
			return err
		}
		parts := listed[topic]
		out = make([]record.Offset, len(parts))
		for p, l := range parts {
			if l.Err != nil {
				return partitionError(Classify(OpList, topic, l.Err), p)
			}
			if int(p) >= len(out) {
				return fmt.Errorf("topic %s has no partition %d: %w", topic, len(parts)-1, kerr.UnknownTopicOrPartition)
			}
			out[p] = record.Offset(l.Offset)
		}
		return nil
	})
	return out, err
}

func partitionError(e *record.KafkaError, partition int32) error {
	e.Partition = partition
	return e
}

// Bounds reads log start, last stable offset and high watermark of every
// partition. The stable offset is asked for first, so that stable == end means
// that everything below end was decided when end was read.
func (c *Cluster) Bounds(ctx context.Context, topic string) ([]record.Bounds, error) {
	stable, err := c.list(ctx, topic, c.admin.ListCommittedOffsets)
	if err != nil {
		return nil, err
	}
	start, err := c.list(ctx, topic, c.admin.ListStartOffsets)
	if err != nil {
		return nil, err
	}
	end, err := c.list(ctx, topic, c.admin.ListEndOffsets)
	if err != nil {
		return nil, err
	}
	out := make([]record.Bounds, min(len(start), len(stable), len(end)))
	for p := range out {
		out[p] = record.Bounds{Start: start[p], Stable: stable[p], End: end[p]}
	}
	return out, nil
}

// WaitStable takes the high watermark of every partition and waits until the
// last stable offset has reached it (I10): up to there everything is decided.
// After timeout the error names partitions and the producers that hold them.
func (c *Cluster) WaitStable(ctx context.Context, topic string, timeout time.Duration) ([]record.Offset, error) {
	end, err := c.list(ctx, topic, c.admin.ListEndOffsets)
	if err != nil {
		return nil, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	tries := newBackoff()
	for {
		stable, err := c.list(ctx, topic, c.admin.ListCommittedOffsets)
		if err != nil {
			return nil, err
		}
		behind := behindOf(stable, end)
		if len(behind) == 0 {
			return end, nil
		}
		if !tries.wait(waitCtx) {
			if ctx.Err() != nil {
				return nil, asError(Classify(OpList, topic, ctx.Err()))
			}
			return nil, c.unstable(ctx, topic, behind, timeout)
		}
	}
}

func behindOf(stable, end []record.Offset) []int32 {
	var behind []int32
	for p := range end {
		if p >= len(stable) || stable[p] < end[p] {
			behind = append(behind, int32(p))
		}
	}
	return behind
}

// unstable names who holds the stable offset back, if the broker tells.
func (c *Cluster) unstable(ctx context.Context, topic string, behind []int32, waited time.Duration) error {
	var set kadm.TopicsSet
	set.Add(topic, behind...)
	var who []string
	described, err := c.admin.DescribeProducers(ctx, set)
	if err != nil {
		who = append(who, "producers not readable: "+err.Error())
	}
	for _, p := range described[topic].Partitions {
		for _, producer := range p.ActiveProducers {
			if producer.CurrentTxnStartOffset >= 0 {
				who = append(who, fmt.Sprintf("%s/%d: producer %d epoch %d, open since offset %d, last write %s", topic, p.Partition,
					producer.ProducerID, producer.ProducerEpoch, producer.CurrentTxnStartOffset,
					time.UnixMilli(producer.LastTimestamp).UTC().Format(time.RFC3339)))
			}
		}
	}
	return &record.KafkaError{
		Class: record.ClassRestart, Exit: exitRefuse, Code: CodeUnstable, Op: OpList, Topic: topic, Partition: behind[0], Offset: -1,
		Detail: fmt.Sprintf("%d partitions still have an open transaction after %v: %s", len(behind), waited, strings.Join(who, "; ")),
	}
}

// OffsetsAt is, per partition, the first offset whose record is not older than
// the time, or the end of the log.
func (c *Cluster) OffsetsAt(ctx context.Context, topic string, at record.Timestamp) ([]record.Offset, error) {
	return c.list(ctx, topic, func(ctx context.Context, topics ...string) (kadm.ListedOffsets, error) {
		return c.admin.ListOffsetsAfterMilli(ctx, int64(at), topics...)
	})
}

// GroupOffsets is what a group has committed, undecided commits waited for
// (G30). A group that does not exist has none.
func (c *Cluster) GroupOffsets(ctx context.Context, group string) (map[record.TopicPartition]record.GroupOffset, error) {
	var responses kadm.OffsetResponses
	err := c.retry(ctx, OpGroup, group, func() (err error) {
		responses, err = c.admin.FetchOffsets(kadm.RequireStable(ctx), group)
		if errors.Is(err, kerr.GroupIDNotFound) {
			responses, err = nil, nil
		}
		if err == nil {
			err = responses.Error()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[record.TopicPartition]record.GroupOffset{}
	responses.Each(func(r kadm.OffsetResponse) {
		if r.At >= 0 {
			out[record.TopicPartition{Topic: r.Topic, Partition: r.Partition}] = record.GroupOffset{
				Offset: record.Offset(r.At), LeaderEpoch: r.LeaderEpoch, Metadata: r.Metadata,
			}
		}
	})
	return out, nil
}

// DescribeTransaction is what the coordinator knows of a transactional id. An
// id it does not know has the state "Unknown".
func (c *Cluster) DescribeTransaction(ctx context.Context, transactionalID string) (record.Transaction, error) {
	described, err := c.admin.DescribeTransactions(ctx, transactionalID)
	if err != nil {
		return record.Transaction{}, asError(Classify(OpInit, transactionalID, err))
	}
	d := described[transactionalID]
	if errors.Is(d.Err, kerr.TransactionalIDNotFound) {
		return record.Transaction{State: "Unknown", ProducerID: -1, ProducerEpoch: -1}, nil
	}
	if d.Err != nil {
		return record.Transaction{}, asError(Classify(OpInit, transactionalID, d.Err))
	}
	out := record.Transaction{State: d.State, ProducerID: d.ProducerID, ProducerEpoch: d.ProducerEpoch}
	if d.StartTimestamp > 0 {
		out.Age = time.Since(time.UnixMilli(d.StartTimestamp))
	}
	for _, t := range d.Topics.Sorted() {
		for _, p := range t.Partitions {
			out.Partitions = append(out.Partitions, record.TopicPartition{Topic: t.Topic, Partition: p})
		}
	}
	return out, nil
}
