package topology

import (
	"time"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
)

// Plan is what runs: chains of fused operators, connected by exchanges. It is
// what `kstream graph --physical` prints, and holds everything that operators,
// sources, sinks and the runtime need to know; they never look at the Spec's
// expressions.
type Plan struct {
	Spec           *Spec
	Name           string
	MaxParallelism int
	Chains         []*Chain // every chain stands behind the chains that feed it
	Exchanges      []*Exchange
	Sources        []*Source
	Sinks          []*Sink
	Stateful       []*Node // nodes with state, in order of their uid
	Ends           []End   // sources and sinks
}

// Chain is a tree of fused operators that one task runs without a channel, a
// lock or a copy in between. Rows enter at Roots. Exactly one of Source and
// Input is set.
type Chain struct {
	ID          int
	Name        string
	Source      *Source
	Input       *Exchange
	Slots       int // size of the register file
	Roots       []*Node
	Parallelism int  // 0 is the pipeline's
	NeedsKey    bool // row.Key is read before a stateful node sets it: decode it behind the exchange
	// Bad takes the records that the source cannot read, if its on_error is an
	// output; nil otherwise. They have the slots of an ErrorOutput only.
	Bad *ErrorOutput

	nodes []*Node // all, in the order they were made
}

// ErrorOutput is who takes the records that fail at a place, unchanged. Code
// and Message are the slots of $error; Value is the slot of the bytes that
// could not be decoded, at a source.
type ErrorOutput struct {
	Next                 []*Node
	Code, Message, Value int
}

// Source is one source with what the plan reads of its records.
type Source struct {
	Spec      *SourceSpec
	Chain     *Chain
	Wants     []codec.JSONWant // format json: paths to scan, with their slots
	ValueSlot int              // format string and bytes: slot of the whole value; -1 if nobody reads it
	NeedsKey  bool             // $key is read: decode the record key
	EventTime *expr.Program    // nil is the record's own timestamp
	// Generate: the programs of the key and the record, nil otherwise. The
	// record's fields are in Assign, with their slots.
	GenerateKey *expr.Program
	Assign      []Assign
}

// ExchangeKind is how rows are routed.
type ExchangeKind uint8

// The kinds. Hash routes by key group, Forward keeps the subtask number (modulo
// the receiver's parallelism), Rebalance takes turns, Broadcast copies to all.
const (
	ExchangeHash ExchangeKind = iota
	ExchangeForward
	ExchangeRebalance
	ExchangeBroadcast
)

// String is the word in the physical graph.
func (k ExchangeKind) String() string {
	return [...]string{"hash", "forward", "rebalance", "broadcast"}[k]
}

// Exchange moves rows from one or more chains to the subtasks of one chain. It
// carries only the columns that the receiver reads: column i of every end stands
// in slot Slots[i] of the receiver.
type Exchange struct {
	ID    int
	Kind  ExchangeKind
	Slots []int
	Names []string // of the columns, the same wherever a pipeline reads them
	Ends  []*ExchangeEnd
	To    *Chain
	// Original says that rows carry the key, value and headers they were read
	// with, because a node behind may have to write dead letters.
	Original bool
}

// ExchangeEnd is where a chain puts rows into an exchange.
type ExchangeEnd struct {
	Exchange *Exchange
	Node     *Node // of the sender
	Chain    *Chain
	Columns  []int         // sender's slots, in the order of Exchange.Slots
	By       *expr.Program // partition: {by: …}: routes instead of $key
	Times    *Retimed      // timestamps: event time begins anew here
}

// Retimed is an end of an exchange that follows the times of its rows by itself,
// instead of handing on the watermark of its chain.
type Retimed struct {
	UID       string
	Watermark WatermarkSpec
}

// NodeKind is the closed set of operators; operator.Build is the switch over it.
type NodeKind uint8

// The operators. NodeAssign is map, set and everything else that only computes
// columns; project, drop and rename leave nothing to run.
const (
	NodeFilter NodeKind = iota
	NodeAssign
	NodeFlatMap
	NodeKey
	NodeExchange
	NodeLog
	NodeCheck
	NodeSplit
	NodeUpsert
	NodeAggregate
	NodeWindow
	NodeDedup
	NodeTopN
	NodeRekey
	NodeTimes
	NodeCoalesce
	NodeSink
)

// Node is one operator of a chain.
type Node struct {
	UID     string // names the node in errors, metrics and state
	Kind    NodeKind
	At      Span // of the operator word
	OnError OnErrorSpec
	When    *expr.Program // nil is always; when it is not true the row passes unchanged

	Filter    *expr.Program
	Assign    []Assign
	FlatMap   *FlatMap
	Key       *Key
	Exchange  *ExchangeEnd
	Log       *Log
	Check     []Check
	Split     *Split
	Input     *Exchange     // of NodeUpsert: whose columns are kept
	State     *State        // of nodes with state
	Aggregate *Aggregate    // of NodeAggregate and NodeWindow
	Window    *Window       // of NodeWindow
	Times     *expr.Program // NodeTimes: the event time
	Dedup     *Dedup
	TopN      *TopN
	Coalesce  *Coalesce
	Rekey     int // NodeRekey: the slot that $key is put back from
	Sink      *Sink
	Encode    *Encode // of NodeSink: how this chain's rows become the sink's records

	Next   []*Node   // who takes the results, in order
	Late   []*Node   // NodeWindow: who takes late rows
	Routes [][]*Node // NodeSplit: who takes the rows of each output; Next is empty
	Bad    *ErrorOutput
	// Dead is how a dead letter shows rows that are no record that was read:
	// generated ones, and results of stateful nodes. Nil where all are.
	Dead *ValueEncode

	in    *layout // of the rows that come
	chain *Chain
}

// Assign computes one column.
type Assign struct {
	Slot    int
	Program *expr.Program
}

// FlatMap makes one row per element. Element and Index are slots (-1: not read).
type FlatMap struct {
	Each      *expr.Program
	Element   int
	Index     int
	KeepEmpty bool // an empty or null list gives one row with a null element
}

// Key sets $key: one program, or named parts that make an object.
type Key struct {
	Program *expr.Program
	Names   []string
	Parts   []*expr.Program
}

// Log writes a line for rows, at most one every Every.
type Log struct {
	Text  []string
	Holes []*expr.Program
	Level string
	Every time.Duration
}

// Below are all lists of nodes that take rows of n.
func (n *Node) Below() [][]*Node {
	below := append([][]*Node{n.Next, n.Late}, n.Routes...)
	if n.Bad != nil {
		below = append(below, n.Bad.Next)
	}
	return below
}

// Check is a condition that must hold, and its name.
type Check struct {
	Name string
	Cond *expr.Program
}

// Split sends rows to outputs by conditions. The output of what matches none
// stands behind those of the conditions.
type Split struct {
	Names []string // of the outputs
	Conds []*expr.Program
	All   bool // all that match, not only the first
	Fail  bool // what matches none is an error
}

// Aggregate is the accumulators of a step and the columns made of them. The
// results of Calls are Env.Acc; call i has Acc == i.
type Aggregate struct {
	Calls   []expr.AggregateCall
	Names   []string // output fields, for inspection
	Outputs []Assign
	// CallNames are the output fields the calls are part of.
	CallNames []string
	Emit      string // append | update
	Reduce    *Reduce
	// Changing: the input is a changelog, values can be taken back. Retract: an
	// operator behind needs the rows as they were before an update.
	Changing, Retract bool
}

// Dedup keeps one row per encoded key.
type Dedup struct {
	Within int64 // milliseconds, < 0 is for ever
	Last   bool  // keep the last, else the first
	Clock  bool  // processing time, else the rows' time
	// Retract: an operator behind needs the rows as they were before an update;
	// their Columns are kept.
	Retract bool
	Columns []KeptColumn
}

// KeptColumn is a column that an operator keeps of rows because somebody behind
// reads it.
type KeptColumn struct {
	Name string
	Slot int
}

// Coalesce holds the changes of a row back for a while.
type Coalesce struct {
	Every   int64 // milliseconds, 0 is at once
	Window  bool  // rows of a key are told apart by their $window
	Columns []KeptColumn
	Retract bool // an operator behind needs the rows as they were before an update
}

// TopN keeps the first N rows of every encoded key, and window.
type TopN struct {
	N        int
	Order    []Order
	Columns  []TopColumn // of a row: what is kept of it
	Key      bool        // rows keep their $key, else it is the encoded key
	Rank     int         // slot of the rank, -1 is none
	Ties     bool
	Window   bool  // a list for each $window
	HasSpan  bool  // rows have a $window
	Lateness int64 // milliseconds a window stays open behind its end
	Emit     string
	// Changing: the input is a changelog; lists keep every row. Retract: an
	// operator behind needs the rows as they were before an update.
	Changing, Retract bool
}

// Order is one term of an order.
type Order struct {
	Program *expr.Program
	Desc    bool
}

// TopColumn is a column of the rows that come, and of those that are passed on.
type TopColumn struct {
	Name string
	Type record.Type
	In   int
	Out  int
}

// Reduce is the accumulator of a reduce step, in place of Calls and Outputs.
// Every field of the value has a slot: new values are put there before the
// programs run, and results when they are passed on.
type Reduce struct {
	Fields []ReduceField
	Key    bool // $key is read
}

// ReduceField is one field of the value, or the value as a whole.
type ReduceField struct {
	Name string // "" is the whole
	Type record.Type
	Slot int
	New  *expr.Program // the field of the new record
	// Next is the field of both, which reads the accumulator as Env.Acc; nil
	// takes the new value.
	Next *expr.Program
}

// State is what a checkpoint keeps of a stateful node, to compare it with the
// node of a later file.
type State struct {
	Op      string // operator word
	Layout  int    // version of the state layout
	KeyType record.Type
	Finger  string // the fingerprint text of what must agree
	// Of aggregates Finger is for people, and what must agree is Window, Rest and
	// the texts of Parts.
	Window string
	Rest   string
	Parts  []StatePart
	// Key is the expression behind the key, Before a digest of what comes before
	// the step: changes of both are told.
	Key, Before string
	TTL         TTL
}

// TTL is how long state is kept that is not used: milliseconds of processing
// time since it was written, 0 is for ever.
type TTL struct {
	Length int64
	OnRead bool // reading counts, too; no operator reads state without writing it
}

// Window is the assigner. All times in milliseconds; Slide == Size is tumbling.
// Size and Slide are records if Count is set, and nothing if Session is set.
type Window struct {
	Size, Slide, Offset, AllowedLateness int64

	Session *Session
	Count   bool
	Zone    *time.Location // whose clock the windows follow, nil is UTC
	// Clock: rows belong to the windows of the time at which they arrive, and the
	// clock closes them, not the watermark.
	Clock bool
}

// Session is how sessions are made: a gap, or an expression that gives one for
// each row. Max 0 is none.
type Session struct {
	Gap, Max int64
	GapBy    *expr.Program
	GapText  string // of GapBy
}

// Sink is one sink; several chains may write to it.
type Sink struct {
	Spec *SinkSpec
}

// Encode is how rows become the records of a sink.
type Encode struct {
	Value ValueEncode
	// Key: exactly one of KeyRaw (the source's key bytes pass through), Key is
	// meaningful; Key nil with KeyRaw false writes $key.
	KeyRaw    bool
	Key       *Key
	Headers   []HeaderEncode
	Timestamp *expr.Program // nil is $ts
	Topic     string        // "" if Holes say it
	Holes     *TopicHoles
	By        *expr.Program // partition: {by: …}
	// Upsert: a delete is written as a tombstone. Moves: the record key of a row
	// can change with an update, so the old one has to be deleted.
	Upsert, Moves bool
}

// TopicHoles make the topic of each record: Text[0] Programs[0] Text[1] …
type TopicHoles struct {
	Text     []string
	Programs []*expr.Program
	// Internal begins the names of the job's own topics, which no record may name.
	Internal string
}

// ValueEncode says what of the row is the value: an object of Fields (with the
// members of the object in slot Rest that are not in Skip copied first), or the
// one value in slot Whole.
type ValueEncode struct {
	Format FormatSpec
	Fields []codec.EncodeField
	// Refs and Same say which fields are copied from the text of the record
	// (codec.JSONEncoder.CopyText); nil if none are.
	Refs  []int
	Same  []bool
	Rest  codec.RestSpec
	Whole int // -1: not set
	Type  record.Type
	// Raw passes the source's value bytes through unchanged.
	Raw bool
}

// HeaderEncode is one header.
type HeaderEncode struct {
	Name    string
	Program *expr.Program
}
