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
	if row.Before != nil {
		return c.update(row, c)
	}
	if row.Bare {
		return c.emit(row)
	}
	ok, bad := c.image(row)
	switch {
	case bad != nil && row.Op == record.OpDelete && c.goesOn():
		return nil // it failed when it was new
	case bad != nil:
		return c.failed(row, bad)
	case ok:
		return c.emit(row)
	}
	return nil
}

func (c *check) image(*record.Row) (bool, *RecordError) {
	if c.node.When != nil {
		if ok, _ := c.holds(c.node.When); !ok {
			return true, c.evalError()
		}
	}
	for i, cond := range c.conds {
		ok := cond(c.expr)
		if bad := c.evalError(); bad != nil {
			return false, bad
		}
		if !ok {
			return false, &RecordError{Code: codeCheck, Message: c.node.Check[i].Name}
		}
	}
	return true, nil
}
