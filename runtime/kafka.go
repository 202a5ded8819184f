package runtime

import (
	"context"
	"time"

	"kstream/record"
)

// What the runtime needs of Kafka. internal/kafka has the one real
// implementation; cmd connects the two. Errors are *record.KafkaError, or wrap
// one.

// Topics looks at and makes topics.
type Topics interface {
	Inspect(ctx context.Context) (record.Broker, error)
	// Topics leaves out topics that do not exist.
	Topics(ctx context.Context, names []string) (map[string]record.TopicInfo, error)
	CreateTopic(ctx context.Context, t record.NewTopic) error
	GroupOffsets(ctx context.Context, group string) (map[record.TopicPartition]record.GroupOffset, error)
}

// Log looks at and reads the logs of partitions, read_committed.
type Log interface {
	Bounds(ctx context.Context, topic string) ([]record.Bounds, error)
	// WaitStable takes the high watermark of every partition and waits until
	// the last stable offset has reached it (I10).
	WaitStable(ctx context.Context, topic string, timeout time.Duration) ([]record.Offset, error)
	OffsetsAt(ctx context.Context, topic string, at record.Timestamp) ([]record.Offset, error)
	// ReadAll reads up to the ends of the ranges, markers included.
	ReadAll(ctx context.Context, ranges []record.ReadRange, fn func(record.Message) error, progress func(read, left int64)) error
}

// Transaction is the life of the one transactional producer (E0-E12), owned by
// the coordinator.
type Transaction interface {
	Fence(ctx context.Context) (producerID int64, epoch int16, err error)
	Begin() error
	CommitOffsets(ctx context.Context, group string, positions []record.Position, metadata string) error
	// End commits; writes is how often EndTxn went onto the wire (I15).
	End(ctx context.Context) (writes int, err error)
	Close()
}

// Output takes the records of an epoch, from any task while the gate is open.
type Output interface {
	// Produce copies m; it blocks while the client's buffer is full.
	Produce(m *record.Message)
	// Flush returns when every promise ran; FirstError is their first error.
	Flush(ctx context.Context) error
	FirstError() error
	// Failed is closed by the first failed promise.
	Failed() <-chan struct{}
	// EndOffset is the offset behind the last record acknowledged in this epoch.
	EndOffset(topic string, partition int32) (record.Offset, bool)
}

// Producer is both, and what of the epoch was handed over.
type Producer interface {
	Transaction
	Output
	BytesProduced() int64
	Buffered() int64
}

// Consumer reads partitions from given positions; it never moves by itself.
type Consumer interface {
	Poll(ctx context.Context) (*record.Fetch, error)
	// Add reads further partitions as well.
	Add(positions []record.Position)
	Close()
}

// ProducerOptions are the settings of the producer.
type ProducerOptions struct {
	TransactionalID    string
	TransactionTimeout time.Duration
	RetryTimeout       time.Duration
	Compression        string
	Linger             time.Duration
	BatchSize          int64
	TV2                bool
	// EndWritten is called when EndTxn was put on the wire; nil is allowed.
	EndWritten func()
}

// ConsumerOptions are the settings of a consumer.
type ConsumerOptions struct {
	Positions []record.Position
	Isolation string
}

// Client is a connection to the job's cluster. Each life of the job makes its
// own, so that nothing of a failed one is used again.
type Client struct {
	Topics   Topics
	Log      Log
	Producer func(ProducerOptions) (Producer, error)
	Consumer func(ConsumerOptions) (Consumer, error)
	Close    func()
}
