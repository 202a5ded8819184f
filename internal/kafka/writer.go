package kafka

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

// writerTries is how often a batch is sent before Writer gives up, which takes
// about a minute. The client's delivery timeout cannot be used: it counts from
// the timestamp of the record, and event times may lie years back.
const writerTries = 30

// writerLinger fills batches: a writer has much to write and nobody waits for
// the single record.
const writerLinger = 20 * time.Millisecond

// Writer writes records outside any transaction, each once unless the process
// ends in between. It is for filling topics with test data, not for jobs.
type Writer struct {
	client *kgo.Client
	slabs  *slabPool
	first  atomic.Pointer[record.KafkaError]
}

// NewWriter makes the client. It sends nothing.
func NewWriter(cluster *Cluster) (*Writer, error) {
	opts, err := cluster.cfg.options()
	if err != nil {
		return nil, refuseConnect(cluster.cfg.Brokers, err)
	}
	client, err := kgo.NewClient(append(opts,
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchMaxBytes(batchSizeDefault),
		kgo.ProducerLinger(writerLinger),
		kgo.MaxBufferedRecords(bufferedDefault),
		kgo.RecordRetries(writerTries),
		kgo.AlwaysRetryEOF(),
	)...)
	if err != nil {
		return nil, asError(Classify(OpProduce, "", err))
	}
	return &Writer{client: client, slabs: newSlabPool()}, nil
}

// Write hands a record to the client; m and what it points to may be reused. It
// blocks while the client's buffer is full, and fails with the first error of
// any record before.
func (w *Writer) Write(m *record.Message) error {
	if first := w.first.Load(); first != nil {
		return first
	}
	r := w.slabs.take(m)
	w.client.Produce(r.Context, r, w.promise)
	return nil
}

func (w *Writer) promise(r *kgo.Record, err error) {
	if err != nil {
		e := Classify(OpProduce, r.Topic, err)
		e.Partition = r.Partition
		w.first.CompareAndSwap(nil, e)
		return
	}
	w.slabs.done(r.Context.(*slab))
}

// Flush waits until all records are acknowledged, or gives the first error.
func (w *Writer) Flush(ctx context.Context) error {
	err := w.client.Flush(ctx)
	if first := w.first.Load(); first != nil {
		return first
	}
	return asError(Classify(OpProduce, "", err))
}

// Close gives up what is not flushed.
func (w *Writer) Close() { w.client.Close() }
