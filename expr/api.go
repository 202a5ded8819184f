package expr

import (
	"kstream/record"
)

// Problem is one thing that is wrong with an expression. Start and End are rune
// offsets into its text; the codes are those of the language's error catalogue.
type Problem struct {
	Code, Message, Hint string
	Start, End          int
}

// Scope says what names mean at one place of a pipeline. The planner implements
// it; asking twice for the same name gives the same answer.
type Scope interface {
	// Field resolves a bare name and the constant path behind it: path[0] is
	// the name, path[1:] the fields that follow. The answer may cover less than
	// the whole path (Binding.Used).
	Field(path []string) Binding
	// Meta resolves a name with a sigil, with the part behind the dot for the
	// names that have no value as a whole: $key, $ts, $window.start, $error.code.
	Meta(name string) Binding
	// Fields lists the names that are declared here. They are offered as
	// did-you-mean, and a variable may not hide them.
	Fields() []string
}

// Binding is the meaning of a name.
type Binding struct {
	Ref  Ref
	Type record.Type // of what Ref covers
	// Used is how many elements of the path Ref covers; the others are looked
	// up in the value. If the name is not known it is the index of the element
	// that is wrong.
	Used  int
	Known bool
	// Message and Hint explain a name that is not known; without a Message the
	// text is `there is no field "x"` with did-you-mean. Code is unknown-name if
	// empty.
	Message, Hint, Code string
}

// RefKind is where a referenced value is found.
type RefKind uint8

// The places. RefObject builds an object from Fields, RefAcc reads Env.Acc, RefN
// is the number of a generated record, which is its offset.
const (
	RefSlot RefKind = iota
	RefKey
	RefTime
	RefOp
	RefWindowStart
	RefWindowEnd
	RefRecordTime
	RefTopic
	RefPartition
	RefOffset
	RefHeaders
	RefN
	RefAcc
	RefConst
	RefObject
)

// Ref is one place a value is read from.
type Ref struct {
	Kind   RefKind
	Slot   int          // of RefSlot and RefAcc
	Fields []NamedRef   // of RefObject
	Const  record.Value // of RefConst
}

// NamedRef is one field of an object that is put together.
type NamedRef struct {
	Name string
	Ref  Ref
}

// WantKind is what a place needs an expression to be.
type WantKind uint8

// The wants. WantKey is a scalar that can be compared bit by bit: no float, no
// list and no map; an object of such is allowed.
const (
	WantAny WantKind = iota
	WantBool
	WantTimestamp
	WantKey
	WantList
	WantInt
	WantText
	WantBytes // text or bytes
	WantDuration
)

// Want is the type a place needs and its name in messages: "filter", "event_time".
type Want struct {
	Type  WantKind
	Place string
}

// Program is a checked expression ready to run. It is immutable and may be used
// by several tasks at once, each with its own Env.
type Program struct {
	Type record.Type
	// Eval gives the value; after it, Env.Err tells whether it failed.
	Eval func(*Env) record.Value
	// Cond gives the truth of an expression of type bool, any or null: null
	// counts as false, anything that is not a bool is an error and false. It is
	// nil for other types.
	Cond func(*Env) bool
	// Const says that the value is the same for every record.
	Const bool
	// Deterministic is false if the expression uses now, random or uuid.
	Deterministic bool
	// Ref is set when the expression is exactly one reference: a plain copy.
	Ref *Ref
}

// AggregateField is one output field of an aggregate step: the calls of
// aggregate functions in it, and the expression around them.
type AggregateField struct {
	Calls  []AggregateCall
	Result *Program // reads the results of the calls by RefAcc
}

// AggregateCall is one call of an aggregate function.
type AggregateCall struct {
	Func string
	Args []*Program
	Type record.Type // of the result
	Acc  int         // where Result finds it in Env.Acc
	Text string      // normalised; equal texts of one step are the same call
}
