package operator

import (
	"kstream/expr"
	"kstream/record"
)

// codeCheck is the code of records for which a condition does not hold.
const codeCheck = "check-failed"

// check fails the rows for which one of its conditions is not true, with the
// name of the first.
type check struct {
	*base
	conds []func(*expr.Env) bool
}

func newCheck(b *base) *check {
	c := &check{base: b}
	for _, k := range b.node.Check {
		c.conds = append(c.conds, k.Cond.Cond)
	}
	return c
}

func (c *check) process(row *record.Row) error {
	c.stats.In++
	if c.node.When != nil {
		ok, err := c.holds(c.node.When)
		if err != nil {
			return c.evalFailed(row, err)
		}
		if !ok {
			return c.emit(row)
		}
	}
	for i, cond := range c.conds {
		ok := cond(c.expr)
		if err := c.expr.Err(); err != nil {
			return c.evalFailed(row, err)
		}
		if !ok {
			return c.failed(row, &RecordError{Code: codeCheck, Message: c.node.Check[i].Name})
		}
	}
	return c.emit(row)
}
