package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// The input of the throughput runs.
const (
	bidSize    = 258
	partitions = 4
	auctions   = 20_000
	perSecond  = 10_000 // records per second of event time
	fillSeed   = 1
)

// bid writes the n-th bid: JSON of exactly bidSize bytes.
func bid(random *rand.Rand, n int) []byte {
	at := time.UnixMilli(1_700_000_000_000 + int64(n)*1000/perSecond).UTC()
	text := fmt.Sprintf(`{"auction":%d,"bidder":%d,"price":%d,"channel":"channel-%d","url":"https://www.nexmark.com/item.htm?query=1&channel_id=%d","dateTime":"%s","extra":"`,
		1000+random.IntN(auctions), 1000+random.IntN(50_000), 100+random.IntN(10_000_000), random.IntN(10_000), random.IntN(1<<30),
		at.Format("2006-01-02T15:04:05.000Z"))
	var b strings.Builder
	b.WriteString(text)
	for b.Len() < bidSize-2 {
		b.WriteByte(byte('a' + random.IntN(26)))
	}
	b.WriteString(`"}`)
	return []byte(b.String())
}

// producer makes a client that fills topics fast.
func producer(br *broker.Broker) (*kgo.Client, error) {
	return kgo.NewClient(kgo.SeedBrokers(br.Addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()), kgo.ProducerBatchMaxBytes(1<<20), kgo.ProducerLinger(5*time.Millisecond))
}

// createTopic makes a topic with the benchmark's number of partitions.
func createTopic(ctx context.Context, cl *kgo.Client, topics ...string) error {
	for _, t := range topics {
		if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, t); err != nil {
			return fmt.Errorf("create topic %s: %w", t, err)
		}
	}
	return nil
}

// fill produces n records made by value, spread over the partitions in turn.
func fill(ctx context.Context, cl *kgo.Client, topic string, n int, value func(i int) []byte) error {
	var failed atomic.Pointer[error]
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: value(i)}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("fill %s: %w", topic, err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("fill %s: %w", topic, *err)
	}
	return nil
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(fillSeed, 0)) }
