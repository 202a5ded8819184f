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

	"kstream/source/nexmark"
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
	return fillRecords(ctx, cl, n, func(i int) *kgo.Record {
		return &kgo.Record{Topic: topic, Partition: int32(i % partitions), Value: value(i)}
	})
}

// fillRecords produces n records made by of.
func fillRecords(ctx context.Context, cl *kgo.Client, n int, of func(i int) *kgo.Record) error {
	var failed atomic.Pointer[error]
	for i := range n {
		cl.Produce(ctx, of(i), func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	if err := failed.Load(); err != nil {
		return fmt.Errorf("fill: %w", *err)
	}
	return nil
}

// fillBids writes the topic of bids.
func fillBids(ctx context.Context, cl *kgo.Client, topic string, n int) error {
	random := newRandom()
	return fill(ctx, cl, topic, n, func(i int) []byte { return bid(random, i) })
}

// fillNexmark writes the wrapped stream: the texts with backslashes, as the
// reference generator makes them, because they cost a scanner more.
func fillNexmark(ctx context.Context, cl *kgo.Client, topic string, n int) error {
	o := nexmark.Defaults()
	o.Escapes = true
	g, err := nexmark.New(o)
	if err != nil {
		return err
	}
	return fillRecords(ctx, cl, n, func(i int) *kgo.Record {
		value, at := g.Append(nil, int64(i))
		return &kgo.Record{Topic: topic, Partition: nexmark.Partition(int64(i), partitions), Value: value, Timestamp: time.UnixMilli(int64(at))}
	})
}

func newRandom() *rand.Rand { return rand.New(rand.NewPCG(fillSeed, 0)) }
