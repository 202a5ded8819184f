package expr

import (
	"fmt"
	"math/rand/v2"

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
type Env struct {
	Row      *record.Row
	Acc      []record.Value
	Arena    *record.Arena
	Now      int64      // wall time in nanoseconds, set once per batch
	Rand     *rand.Rand // for random and uuid
	Pipeline string     // $pipeline

	cost   int
	err    *EvalError
	locals []record.Value // let variables, # and #index, by compile-time index
	stack  []record.Value // arguments of calls with any number of them
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
