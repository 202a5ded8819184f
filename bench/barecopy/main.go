// Command barecopy is the yardstick of the benchmark: a transactional copy of a
// topic with nothing but the Kafka client, set up as fast as it goes. It reads
// committed records up to the end the topic has at its start, writes them to
// another topic, and commits outputs and positions once a second.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	brokers := flag.String("brokers", "", "addresses, by commas")
	from := flag.String("from", "", "topic to read")
	to := flag.String("to", "", "topic to write")
	every := flag.Duration("every", time.Second, "time between commits")
	pools := flag.Bool("pools", false, "let the client use the memory of fetched records again")
	flag.Parse()
	n, err := run(context.Background(), strings.Split(*brokers, ","), *from, *to, *every, *pools)
	if err != nil {
		fmt.Fprintln(os.Stderr, "barecopy:", err)
		os.Exit(1)
	}
	fmt.Println(n)
}

// run copies and returns the number of records.
func run(ctx context.Context, brokers []string, from, to string, every time.Duration, pools bool) (int64, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...),
		kgo.ConsumerGroup("barecopy-" + to), kgo.ConsumeTopics(from), kgo.TransactionalID("barecopy-" + to),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DefaultProduceTopic(to), kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerBatchMaxBytes(1 << 20), kgo.MaxBufferedRecords(20000), kgo.ProducerLinger(5 * time.Millisecond),
		kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(4 << 20), kgo.RecordPartitioner(kgo.ManualPartitioner())}
	if pools {
		opts = append(opts, kgo.WithPools(&fetchPools{}))
	}
	s, err := kgo.NewGroupTransactSession(opts...)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	ends, err := kadm.NewClient(s.Client()).ListCommittedOffsets(ctx, from)
	if err != nil {
		return 0, err
	}
	c := copier{s: s, to: to, pools: pools, left: map[int32]int64{}}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			c.left[o.Partition] = o.Offset
		}
	})
	for len(c.left) > 0 {
		if err := c.epoch(ctx, every); err != nil {
			return c.n, err
		}
	}
	return c.n, nil
}

// copier copies one transaction after the other.
type copier struct {
	s      *kgo.GroupTransactSession
	to     string
	left   map[int32]int64 // end offset of the partitions that have not reached it
	n      int64
	pools  bool
	failed atomic.Pointer[error]
}

// epoch is one transaction.
func (c *copier) epoch(ctx context.Context, every time.Duration) error {
	if err := c.s.Begin(); err != nil {
		return err
	}
	until := time.Now().Add(every)
	promise := func(r *kgo.Record, err error) {
		if err != nil {
			c.failed.Store(&err)
			return
		}
		if c.pools {
			r.Recycle()
		}
	}
	for time.Now().Before(until) && len(c.left) > 0 {
		wait, cancel := context.WithDeadline(ctx, until)
		fetches := c.s.PollFetches(wait)
		cancel()
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= c.left[r.Partition]-1 {
				delete(c.left, r.Partition)
			}
			r.Topic = c.to
			c.n++
			c.s.Produce(ctx, r, promise)
		})
	}
	committed, err := c.s.End(ctx, kgo.TryCommit)
	switch failed := c.failed.Load(); {
	case err != nil:
		return err
	case failed != nil:
		return *failed
	case !committed:
		return fmt.Errorf("a transaction was taken back")
	}
	return nil
}
