package operator

import (
	"kstream/expr"
	"kstream/record"
)

// assign computes columns. Each has a slot of its own, so all programs see the
// values of before. With a `when` that is not true it computes nothing: the
// planner has put the former values into its slots before.
type assign struct {
	*base
	slots []int
	evals []func(*expr.Env) record.Value
}

func newAssign(b *base) *assign {
	a := &assign{base: b}
	for _, as := range b.node.Assign {
		a.slots = append(a.slots, as.Slot)
		a.evals = append(a.evals, as.Program.Eval)
	}
	return a
}

func (a *assign) process(row *record.Row) error {
	a.stats.In++
	if row.Before != nil {
		return a.update(row, a)
	}
	if row.Bare {
		return a.emit(row)
	}
	if a.node.When != nil {
		ok, err := a.holds(a.node.When)
		if err != nil {
			return a.evalFailed(row, err)
		}
		if !ok {
			return a.emit(row)
		}
	}
	for i, eval := range a.evals {
		row.Slots[a.slots[i]] = eval(a.expr)
	}
	if err := a.expr.Err(); err != nil {
		return a.evalFailed(row, err)
	}
	return a.emit(row)
}

func (a *assign) image(row *record.Row) (bool, *RecordError) {
	if a.node.When != nil {
		if ok, _ := a.holds(a.node.When); !ok {
			return true, a.evalError()
		}
	}
	for i, eval := range a.evals {
		row.Slots[a.slots[i]] = eval(a.expr)
	}
	return true, a.evalError()
}
