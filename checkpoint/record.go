package checkpoint

import (
	"fmt"
	"strings"

	"kstream/record"
)

// Record is what an epoch leaves behind besides its outputs and its state: the
// one place that says where the inputs stand, which changelog counts, and what
// is still to be finished. It is the last thing written into the transaction of
// its epoch, so whoever reads it may rely on everything else being there.
type Record struct {
	Pipeline string
	Slot     int
	Epoch    Epoch
	Wall     record.Timestamp // when the epoch was closed; ages are shown from it
	Owner    Owner
	Lineage  []Lineage // oldest first, the newest MaxLineage
	Plan     Fingerprint

	Sources   []SourcePosition
	Stores    []StoreEntry
	Changelog Changelog
	Handles   []Handle // not yet known to be committed
	Chains    []ChainWatermark

	Origin string // the savepoint the state came from, "" if none
}

// Lineage says that an owner committed its first epoch. A local store knows
// which owner wrote its newest epoch; if the lineage tells of another, Kafka has
// lost that epoch and somebody has replaced it.
type Lineage struct {
	Owner string // owner id
	First Epoch
}

// Fingerprint is what of the plan the stored state depends on.
type Fingerprint struct {
	MaxParallelism int
	Nodes          []NodePrint // the stateful ones, in order of their uid
	Ends           []EndPrint  // sources and sinks, to tell what changed
}

// EndPrint is a source or a sink.
type EndPrint struct {
	UID    string
	Text   string
	Hash   string // of all its settings
	Source bool
}

// NodePrint is one stateful node. Two nodes whose prints agree in operator,
// layout, key type, window, text and parts can read each other's state.
type NodePrint struct {
	UID      string
	Operator string
	Layout   int
	KeyType  string
	Text     string // what else must agree
	Window   string
	Key      string      // the expression behind the key
	Parts    []PartPrint // accumulators, in the order of their state
	TTL      string
	Before   string // the stateless steps in front
}

// PartPrint is one accumulator: the first output it is part of, and its call with
// the types of the arguments. Size is its share of a main entry, Beside how many
// kinds of entries beside it it has.
type PartPrint struct {
	Name   string
	Text   string
	Size   int
	Beside int
}

// SourcePosition is how far one partition of one source was taken in.
type SourcePosition struct {
	UID         string
	Topic       string
	TopicID     record.TopicID
	Partition   int32
	Offset      record.Offset // the next one
	LeaderEpoch int32         // of the record before Offset; -1 unknown
	Watermark   record.Timestamp
	Idle        bool
	Stop        record.Offset // fixed at the first start; -1 endless
	Ended       bool
	LastTime    record.Timestamp // Kafka's timestamp of the last record taken in; 0 if there was none
}

// ChainWatermark is how far event time had come in a chain behind an exchange.
// All its tasks had the same, since every watermark goes to all of them.
type ChainWatermark struct {
	Chain     string
	Watermark record.Timestamp
}

// StoreEntry gives a stateful uid its number in the keys of changelog and local
// store. A number is never given twice within a changelog generation; Retired
// ones are kept until their entries are gone.
type StoreEntry struct {
	UID     string
	ID      uint16
	Retired bool
}

// Changelog names the topic that holds the state, and per partition the offset
// behind the last record of this or an earlier epoch.
type Changelog struct {
	Generation int
	Topic      string
	TopicID    record.TopicID
	Ends       []record.Offset
}

// Handle is prepared work of a participant: enough to commit it from another
// process on another host. Data belongs to the participant.
type Handle struct {
	Sink  string // uid
	Epoch Epoch
	Owner string // owner id
	Data  []byte
}

// The limits of a record. They hold for writing and reading.
const (
	MaxRecordSize = 8 << 20 // before compression
	MaxHandleSize = 4 << 10
	MaxLineage    = 1000

	maxNodes   = 1 << 16 // there are no more store ids
	maxStores  = 1 << 16
	maxSources = 100_000
	maxHandles = 100_000
	maxEnds    = 1 << 16
	maxChains  = 1 << 16
)

// ExtendLineage notes that owner committed epoch. It returns l if owner was the
// last one to commit.
func ExtendLineage(l []Lineage, owner string, epoch Epoch) []Lineage {
	if n := len(l); n > 0 && l[n-1].Owner == owner {
		return l
	}
	from := max(len(l)+1-MaxLineage, 0)
	grown := make([]Lineage, 0, len(l)+1-from)
	return append(append(grown, l[from:]...), Lineage{Owner: owner, First: epoch})
}

// InLineage reports whether it was owner who committed epoch. For an epoch that
// is older than what the lineage remembers it is false, which costs a restore
// and never trusts a stranger's store.
func InLineage(l []Lineage, owner string, epoch Epoch) bool {
	for i := len(l) - 1; i >= 0; i-- {
		if l[i].First <= epoch {
			return l[i].Owner == owner
		}
	}
	return false
}

// TooLargeError says that a record does not fit, and what it is made of.
type TooLargeError struct {
	Epoch  Epoch
	Size   int
	Limit  int
	Fields []FieldSize // in the order of the record
}

// FieldSize is the share of one field of a record.
type FieldSize struct {
	Name  string
	Count int // of a list; 0 for what is not one
	Size  int
}

func (e *TooLargeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the checkpoint record of epoch %d needs %d bytes, more than %d:", e.Epoch, e.Size, e.Limit)
	for i, f := range e.Fields {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, " %s %d", f.Name, f.Size)
		if f.Count > 0 {
			fmt.Fprintf(&b, " (%d entries)", f.Count)
		}
	}
	return b.String()
}
