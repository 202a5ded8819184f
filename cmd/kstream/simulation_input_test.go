//go:build harness

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The input is a record every 50 ms of event time and partition, with a key that
// all partitions have and a value nobody else has. Some are far behind their
// time, which makes them late; some transactions are taken back.
const (
	inputTopic = "sim-in"
	inputStep  = 50            // milliseconds of event time
	inputBase  = 1_700_000_000 // seconds, event time of the first record
	inputAhead = 1_000_000     // how far ahead the last records are, in milliseconds
	inputLate  = 30_000
)

type inputRow struct {
	ID string `json:"id"`
	K  string `json:"k"`
	N  int64  `json:"n"`
	TS int64  `json:"ts"`
}

// input is a plan of what is written when.
type input struct {
	partitions, keys int
	batches, size    int
	gap              time.Duration // between two batches
	pauseAt          int           // batch after which nothing comes for pause
	pause            time.Duration
	paused           func() // called behind the pause
	rng              *rand.Rand
}

// write writes it all; it takes virtual time.
func (p *input) write(ctx context.Context, dialer kgo.Opt, addrs []string) error {
	cl, err := kgo.NewClient(dialer, kgo.SeedBrokers(addrs...), kgo.TransactionalID("driver"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	next := int64(0)
	for b := range p.batches {
		if p.rng.IntN(5) == 0 {
			if err := transact(ctx, cl, p.rows(next, "never"), kgo.TryAbort); err != nil {
				return fmt.Errorf("write input that is taken back: %w", err)
			}
		}
		if err := transact(ctx, cl, p.rows(next, "r"), kgo.TryCommit); err != nil {
			return fmt.Errorf("write input: %w", err)
		}
		next += int64(p.size)
		time.Sleep(p.gap)
		if b == p.pauseAt {
			time.Sleep(p.pause)
			if p.paused != nil {
				p.paused()
			}
		}
	}
	var last []*kgo.Record
	for i := range int64(p.partitions) {
		last = append(last, inputRecord(int32(i), inputRow{
			ID: fmt.Sprintf("last-%d", i), K: "last", N: -i - 1, TS: inputBase*1000 + next*inputStep + inputAhead}))
	}
	return transact(ctx, cl, last, kgo.TryCommit)
}

func (p *input) rows(from int64, prefix string) []*kgo.Record {
	var records []*kgo.Record
	for i := from; i < from+int64(p.size); i++ {
		for part := range int64(p.partitions) {
			r := inputRow{ID: fmt.Sprintf("%s-%d-%d", prefix, part, i), K: fmt.Sprintf("k%d", p.rng.IntN(p.keys)),
				N: i*int64(p.partitions) + part + 1, TS: inputBase*1000 + i*inputStep}
			if p.rng.IntN(40) == 0 {
				r.TS -= inputLate
			}
			records = append(records, inputRecord(int32(part), r))
		}
	}
	return records
}

func inputRecord(p int32, r inputRow) *kgo.Record {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return &kgo.Record{Topic: inputTopic, Partition: p, Key: []byte(r.K), Value: b}
}

func transact(ctx context.Context, cl *kgo.Client, records []*kgo.Record, how kgo.TransactionEndTry) error {
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	return cl.EndTransaction(ctx, how)
}
