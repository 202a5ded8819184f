package record

// Timestamp is event time or wall time in whole milliseconds since 1970, UTC.
type Timestamp int64

// The ends of time: a watermark that has not begun, and the final one of an
// input that ended.
const (
	MinTimestamp Timestamp = -1 << 63
	MaxTimestamp Timestamp = 1<<63 - 1
)

// Offset is a position in a Kafka partition, or its like in another source.
type Offset int64

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// TopicID is Kafka's identity of a topic: it differs between a topic and one
// made again under the same name.
type TopicID [16]byte

// KeyGroup is the unit state is addressed and moved by; it equals the changelog
// partition.
type KeyGroup uint16

// Op says what a row of a changelog does to the row with its identity.
type Op uint8

// The changes. A row of an append stream is an insert.
const (
	OpInsert Op = iota
	OpUpdate
	OpDelete
)

// String is the text of $op.
func (o Op) String() string { return [...]string{"insert", "update", "delete"}[o] }

// Header is one record header.
type Header struct {
	Key   string
	Value []byte
}

// Origin is where a row came from, kept up to the first stateful step.
type Origin struct {
	Topic     string
	Partition int32
	Offset    Offset
	Time      Timestamp // $record_ts
	Headers   []Header
	Key       []byte // as read
	Value     []byte // as read; nil is a tombstone
}

// Row is one record on its way through a chain. One Row is reused for all
// records of a chain; operators read and write it but never keep it.
type Row struct {
	Slots    []Value   // the chain's register file; the plan knows what is where
	Key      Value     // $key
	KeyBytes []byte    // order-preserving encoding of $key, set behind a keyed exchange
	Group    KeyGroup  // of KeyBytes
	Time     Timestamp // $ts
	Op       Op        // $op
	Window   Window    // $window, set by windowed steps
	Origin   *Origin   // where it was read; its Headers, Key and Value end at the first exchange
	Text     *RowText  // of a row that was scanned from JSON, up to the first exchange; else nil

	// Before is the row as it was before this update, with a register file of
	// its own. It is set if an operator behind needs it (docs/ARCHITECTURE.md,
	// changelogs), and only for updates.
	Before *Row
	// Bare: a delete of which only the key is known; its Slots mean nothing. Any
	// other delete has the values of the row that is deleted.
	Bare bool
}

// RowText is where values of a row stand in the JSON text they were read from,
// for those that are written as they were read.
type RowText struct {
	Data []byte
	Refs []TextRef
}

// TextRef is the place of one value: Data[Begin:End], quotes included. End is 0
// if its text cannot be copied. Key is where its member's key begins if nothing
// but the key and a colon stands in between, else -1.
type TextRef struct {
	Key, Begin, End int32
}

// Window is the time span [Start, End).
type Window struct {
	Start, End Timestamp
}

// Message is one record of Kafka as it is read or written.
type Message struct {
	Topic     string
	Partition int32
	Offset    Offset // of read records
	Epoch     int32  // leader epoch of read records, -1 if unknown
	Time      Timestamp
	Key       []byte
	Value     []byte // nil is a tombstone
	Headers   []Header
}
