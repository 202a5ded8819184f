package expr

import (
	"fmt"
	"math/rand/v2"
	"time"

	"kstream/record"
)

// Limits of one evaluation.
const (
	maxCost     = 1_000_000
	maxList     = 100_000
	maxText     = 1 << 20
	maxRange    = 10_000
	costPerText = 64 // bytes of text that cost 1
)

// EvalError is why an evaluation failed. Code is always eval-failed.
type EvalError struct {
	Code, Message string
}

func (e *EvalError) Error() string { return e.Message }

// Env is what a program reads, and the scratch space of its evaluation. One Env
// belongs to one task. Call Begin once per record, evaluate, look at Err.
//
// Arena must be set: texts that a program makes are in it and live until its
// Reset. A list or an object that a program makes is on the heap.
type Env struct {
	Row      *record.Row
	Acc      []record.Value
	Arena    *record.Arena
	Now      int64      // wall time in nanoseconds, set once per batch
	Rand     *rand.Rand // for random and uuid
	Pipeline string     // $pipeline

	cost    int
	err     *EvalError
	locals  []record.Value // let variables, # and #index, by compile-time index
	stack   []record.Value // arguments of calls with any number of them
	scratch []byte         // text under construction
	zones   map[string]*time.Location
}

// Begin starts the evaluation of expressions over a row: it forgets the last
// error and the cost.
func (e *Env) Begin(row *record.Row) {
	e.Row = row
	e.cost = 0
	e.err = nil
}

// Err is the first error since Begin, nil if there was none.
func (e *Env) Err() *EvalError { return e.err }

// fail records an error, unless there was one before, and gives null.
func (e *Env) fail(format string, args ...any) record.Value {
	if e.err == nil {
		e.err = &EvalError{Code: "eval-failed", Message: fmt.Sprintf(format, args...)}
	}
	return record.Null
}

// spend charges n and reports whether the evaluation may go on. What is charged
// is what can grow with the data: the nodes outside of predicates are bounded
// by the size of the expression and are not counted one by one.
func (e *Env) spend(n int) bool {
	if e.cost += n; e.cost > maxCost {
		e.fail("too expensive: more than %d steps", maxCost)
		return false
	}
	return e.err == nil
}

// text gives room for n bytes of new text, or nil if that is too much.
func (e *Env) text(n int) []byte {
	if n > maxText {
		e.fail("the text is longer than 1 MiB")
		return nil
	}
	if !e.spend(n / costPerText) {
		return nil
	}
	if n == 0 {
		return []byte{} // nil is the refusal
	}
	return e.Arena.Alloc(n)
}

// made copies text from the scratch space into the arena.
func (e *Env) made(b []byte) record.Value {
	e.scratch = b[:0]
	out := e.text(len(b))
	if out == nil {
		return record.Null
	}
	copy(out, b)
	return record.StringBytes(out)
}

// list charges for a list of n elements that is about to be made.
func (e *Env) list(n int) bool {
	if n > maxList {
		e.fail("the list has more than 100,000 elements")
		return false
	}
	return e.spend(n)
}

// affordable charges for walking through a value as a whole, before it is
// written or compared: lists can share their elements many times over.
func (e *Env) affordable(v record.Value) bool {
	switch v.Kind() {
	case record.KindString, record.KindBytes, record.KindJSON:
		return e.spend(1 + len(v.Raw())/costPerText)
	case record.KindList:
		return e.spend(1) && e.affordableAll(v.Elems())
	case record.KindObject:
		return e.spend(1) && e.affordableAll(v.Object().Values)
	}
	return e.spend(1)
}

func (e *Env) affordableAll(vs []record.Value) bool {
	for _, v := range vs {
		if !e.affordable(v) {
			return false
		}
	}
	return true
}

// grow makes room for n locals.
func (e *Env) grow(n int) {
	if len(e.locals) < n {
		e.locals = append(e.locals, make([]record.Value, n-len(e.locals))...)
	}
}
