package record

import (
	"strconv"
	"strings"
	"time"
)

// String writes the partition as messages show it: "orders/3".
func (tp TopicPartition) String() string {
	return tp.Topic + "/" + strconv.Itoa(int(tp.Partition))
}

// TopicInfo is what a cluster says about a topic. Config is nil if we may not
// read it; ID is zero on brokers without topic ids.
type TopicInfo struct {
	Name       string
	ID         TopicID
	Partitions int32
	Config     map[string]string
}

// NewTopic is a topic to be made. Replication 0 and Partitions 0 are the
// broker's defaults. If Existing is true a topic of that name that is already
// there is a success, whatever its settings are.
type NewTopic struct {
	Name        string
	Partitions  int32
	Replication int
	Config      map[string]string
	Existing    bool
}

// Bounds is where the log of a partition begins and ends: the log start, the
// last stable offset (everything below is decided) and the high watermark.
type Bounds struct {
	Start, Stable, End Offset
}

// Position is the next offset to read of a partition. LeaderEpoch is that of
// the last record read, -1 if unknown; with it a truncated log is noticed.
// TopicID may be zero.
type Position struct {
	TopicPartition
	TopicID     TopicID
	Offset      Offset
	LeaderEpoch int32
}

// ReadRange is a part of a partition's log: from Offset up to To (exclusive).
type ReadRange struct {
	Position
	To Offset
}

// GroupOffset is what a consumer group has committed for a partition.
type GroupOffset struct {
	Offset      Offset
	LeaderEpoch int32
	Metadata    string
}

// Broker is what a cluster can do. MaxTransactionTimeout is 0 if we may not
// read it. TransactionV2 tells that every transaction gets its own producer
// epoch (KIP-890).
type Broker struct {
	ClusterID             string
	Version               string // a guess from the requests it knows
	TransactionV2         bool
	MaxTransactionTimeout time.Duration
}

// Transaction is the state of a transactional id at its coordinator. Age is 0
// when no transaction is open.
type Transaction struct {
	State         string
	ProducerID    int64
	ProducerEpoch int16
	Age           time.Duration
	Partitions    []TopicPartition
}

// Fetch is what one poll returned: per partition, in the order of the log.
type Fetch struct {
	Partitions []FetchedPartition
}

// FetchedPartition is a run of records of one partition.
//
// Next is the position behind everything the poll took from the log, commit
// markers and aborted records included, so that it reaches the end of a log
// that ends with a marker. HighWatermark and LastStable are those of the
// newest answer of the broker.
type FetchedPartition struct {
	TopicPartition
	Next          Position
	LogStart      Offset
	LastStable    Offset
	HighWatermark Offset
	Records       Records // never nil, may be empty
}

// Records is a run of read records that is looked into without an allocation.
// It belongs to whoever polled it, one goroutine at a time.
type Records interface {
	// Len is the number of records.
	Len() int
	// At fills m with record i. Key, Value and Headers point into memory that
	// is valid until Release.
	At(i int, m *Message)
	// Release gives the memory back. Not calling it is allowed and costs
	// garbage; calling it twice does nothing.
	Release()
}

// ErrorClass says what an error of Kafka means for the job.
type ErrorClass uint8

// The classes.
const (
	// ClassRestart: this attempt is lost, the next may work. Every unknown
	// outcome is in it.
	ClassRestart ErrorClass = iota
	// ClassFenced: another incarnation may own the transactional id. Only the
	// claim can tell, so the ownership check comes before anything else.
	ClassFenced
	// ClassRefuse: a person must decide or repair.
	ClassRefuse
	// ClassBug: an invariant of the protocol is broken.
	ClassBug
)

// String is the class as logs and metrics name it.
func (c ErrorClass) String() string {
	return [...]string{"restart", "fenced", "refuse", "bug"}[c]
}

// KafkaError is the only form in which an error of Kafka leaves the Kafka
// package.
type KafkaError struct {
	Class ErrorClass
	// Exit is the exit code if this error ends the process: 5 or 6 with
	// ClassRefuse, 6 with ClassFenced, 1 with ClassBug and for a restart that
	// is given up.
	Exit int
	// Code is the broker's name of the error, or one of ours in the same style.
	Code string
	// Op is the request: "EndTxn", "Produce", "Fetch" …
	Op string
	// Topic, Partition and Offset say where, as far as it is known: "", -1, -1.
	Topic     string
	Partition int32
	Offset    Offset
	// Detail is what a person should read, with the way out where there is one.
	Detail string
	// Grace > 0: the class applies only when the same error is still there
	// after this time (rights propagate slowly); until then it is a restart.
	Grace time.Duration
	// SameRecord: the record itself is refused, so trying it again cannot help.
	SameRecord bool
	// Cause is the error as it came, for errors.Is and logs.
	Cause error
}

// Error writes op, place, code and detail.
func (e *KafkaError) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Topic != "" && e.Partition >= 0:
		b.WriteString(" " + TopicPartition{e.Topic, e.Partition}.String())
	case e.Topic != "":
		b.WriteString(" " + e.Topic)
	}
	if e.Offset >= 0 {
		b.WriteString(" offset " + strconv.FormatInt(int64(e.Offset), 10))
	}
	b.WriteString(": " + e.Code)
	if e.Detail != "" {
		b.WriteString(": " + e.Detail)
	}
	return b.String()
}

// Unwrap is the cause.
func (e *KafkaError) Unwrap() error { return e.Cause }
