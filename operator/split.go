package operator

import (
	"kstream/expr"
	"kstream/record"
)

// split hands a row to the output of the first of its conditions that is true,
// or of all that are; behind them stands the output of what matches none.
//
// On a changelog what does not go to an output is a delete there, since an
// earlier version of the row may have.
type split struct {
	*base
	conds []func(*expr.Env) bool
	outs  [][]step
	takes []bool
}

func newSplit(b *base) *split {
	s := &split{base: b, takes: make([]bool, len(b.node.Routes))}
	for _, c := range b.node.Split.Conds {
		s.conds = append(s.conds, c.Cond)
	}
	return s
}

func (s *split) process(row *record.Row) error {
	s.stats.In++
	clear(s.takes)
	if row.Op != record.OpDelete {
		matched, err := s.match()
		switch {
		case err != nil:
			return s.evalFailed(row, err)
		case matched:
		case s.node.Split.Fail:
			return s.failed(row, &RecordError{Code: codeCheck, Message: "no route matches"})
		case len(s.takes) > len(s.conds):
			s.takes[len(s.conds)] = true
		}
	}
	for i, takes := range s.takes {
		if err := s.pass(row, s.outs[i], takes); err != nil {
			return err
		}
	}
	return nil
}

// match finds the outputs a row goes to, before any of them takes it.
func (s *split) match() (matched bool, bad *expr.EvalError) {
	for i, cond := range s.conds {
		s.takes[i] = cond(s.expr)
		if err := s.expr.Err(); err != nil {
			return false, err
		}
		if matched = matched || s.takes[i]; matched && !s.node.Split.All {
			break
		}
	}
	return matched, nil
}

// pass hands the row to one output, or deletes it there.
func (s *split) pass(row *record.Row, to []step, takes bool) error {
	before := row.Op
	if !takes {
		if before == record.OpInsert {
			return nil
		}
		row.Op = record.OpDelete
	}
	s.stats.Out++
	for _, n := range to {
		if err := n.process(row); err != nil {
			return err
		}
	}
	row.Op = before
	return nil
}

func (s *split) advance(w record.Timestamp) error {
	for _, out := range s.outs {
		for _, n := range out {
			if err := n.advance(w); err != nil {
				return err
			}
		}
	}
	return s.base.advance(w)
}

func (s *split) restore(w record.Timestamp) {
	for _, out := range s.outs {
		for _, n := range out {
			n.restore(w)
		}
	}
	s.base.restore(w)
}
