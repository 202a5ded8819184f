package testcontainers

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The input: four partitions, ten keys that every partition has, a record every
// 50 ms of event time.
const (
	inPartitions = 4
	inKeys       = 10
	inStep       = 50   // milliseconds of event time
	inBase       = 1e12 // event time of the first record
	windowSize   = 1000 // milliseconds
	sessionGap   = 200  // milliseconds: four records of a key, of one partition each, and a pause
	closing      = 1e6  // how far ahead of it all the last records are

	// backlog is so much per partition that a life begins with channels and
	// fetch buffers full: some faults do not show while everything is at rest.
	backlog = 4000
)

// input writes the source topic. Values are unique over all partitions, times
// ascend in each. Some batches are written first in a transaction that is taken
// back, with values nobody may ever see in an output.
type input struct {
	topic string
	addrs []string
	cl    *kgo.Client

	mu      sync.Mutex // feed runs beside the test
	next    int64      // records per partition so far
	batches int
	stop    context.CancelFunc
	done    sync.WaitGroup
}

func newInput(t *testing.T, addrs []string, topic string) *input {
	t.Helper()
	in := &input{topic: topic, addrs: addrs}
	if err := in.renew(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.pause(); in.cl.Close() })
	return in
}

// renew makes a new client. Its first transaction settles what the one before
// left, and a client that did not get an answer can do nothing more.
func (in *input) renew() error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(in.addrs...), kgo.DefaultProduceTopic(in.topic),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("driver-"+in.topic),
		kgo.ProducerLinger(0), kgo.RecordDeliveryTimeout(2*time.Minute), kgo.TransactionTimeout(time.Minute))
	if err != nil {
		return err
	}
	if in.cl != nil {
		in.cl.Close()
	}
	in.cl = cl
	return nil
}

// row is one input record's value.
type row struct {
	ID string `json:"id"`
	K  string `json:"k"`
	N  int64  `json:"n"`
	TS int64  `json:"ts"`
}

// write appends n records to every partition, in one transaction.
func (in *input) write(ctx context.Context, n int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.batches++
	if in.batches%5 == 0 {
		if err := in.transact(ctx, in.rows(n, "never"), kgo.TryAbort); err != nil {
			return fmt.Errorf("write input that is taken back: %w", err)
		}
	}
	if err := in.transact(ctx, in.rows(n, "r"), kgo.TryCommit); err != nil {
		return fmt.Errorf("write input: %w", err)
	}
	in.next += int64(n)
	return nil
}

// rows makes the next n records of every partition.
func (in *input) rows(n int, prefix string) []*kgo.Record {
	var records []*kgo.Record
	for i := in.next; i < in.next+int64(n); i++ {
		for p := range int64(inPartitions) {
			records = append(records, in.record(int32(p), row{
				ID: fmt.Sprintf("%s-%d-%d", prefix, p, i), K: fmt.Sprintf("k%d", (i+p)%inKeys),
				N: i*inPartitions + p + 1, TS: inBase + i*inStep,
			}))
		}
	}
	return records
}

func (in *input) record(p int32, r row) *kgo.Record {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return &kgo.Record{Topic: in.topic, Partition: p, Key: []byte(r.K), Value: b}
}

func (in *input) transact(ctx context.Context, records []*kgo.Record, how kgo.TransactionEndTry) error {
	if err := in.cl.BeginTransaction(); err != nil {
		return err
	}
	if err := in.cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		return err
	}
	return in.cl.EndTransaction(ctx, how)
}

// large appends one record to partition 0 whose value is about size bytes that do
// not compress.
func (in *input) large(ctx context.Context, size int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	noise := make([]byte, size)
	rand.Read(noise)
	r := in.record(0, row{ID: base64.StdEncoding.EncodeToString(noise), K: "large", N: -1000, TS: inBase + in.next*inStep})
	return in.transact(ctx, []*kgo.Record{r}, kgo.TryCommit)
}

// close appends one record far ahead to every partition, which closes the
// windows of all others.
func (in *input) close(ctx context.Context) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	var records []*kgo.Record
	for p := range int64(inPartitions) {
		records = append(records, in.record(int32(p), row{
			ID: fmt.Sprintf("last-%d", p), K: "last", N: -p - 1, TS: inBase + in.next*inStep + closing,
		}))
	}
	return in.transact(ctx, records, kgo.TryCommit)
}

// feed writes a few records every few milliseconds until pause, so that whatever
// happens to the job happens while it works.
func (in *input) feed(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	in.stop = cancel
	in.done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		answered := time.Now()
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			// Not with ctx: a write that began is finished.
			err := in.write(context.WithoutCancel(ctx), feedRecords)
			if err == nil {
				answered = time.Now()
				continue
			}
			if time.Since(answered) > feedPatience {
				t.Error(err)
				return
			}
			// The broker is away. Whether the write is there is not known, so its
			// numbers are not used again; the verifier reads what there is.
			in.mu.Lock()
			in.next += feedRecords
			err = in.renew()
			in.mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
}

// feedRecords go to every partition at a time; feedPatience is how long the
// broker may be away.
const (
	feedRecords  = 5
	feedPatience = 2 * time.Minute
)

// pause ends feed and waits for the write in hand.
func (in *input) pause() {
	if in.stop != nil {
		in.stop()
		in.done.Wait()
		in.stop = nil
	}
}
