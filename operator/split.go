package operator

import (
	"kstream/expr"
	"kstream/record"
)

// split hands a row to the output of the first of its conditions that is true,
// or of all that are; behind them stands the output of what matches none.
//
// On a changelog a row that an update takes to another output is deleted in the
// one it was in.
type split struct {
	*base
	conds []func(*expr.Env) bool
	outs  [][]step
	takes []bool
	had   []bool // of the row before its update
}

func newSplit(b *base) *split {
	s := &split{base: b, takes: make([]bool, len(b.node.Routes)), had: make([]bool, len(b.node.Routes))}
	for _, c := range b.node.Split.Conds {
		s.conds = append(s.conds, c.Cond)
	}
	return s
}

func (s *split) process(row *record.Row) error {
	s.stats.In++
	switch {
	case row.Before != nil:
		return s.processUpdate(row)
	case row.Bare:
		for i := range s.takes {
			s.takes[i] = true
		}
	default:
		if bad := s.match(s.takes); bad != nil {
			if row.Op == record.OpDelete && s.goesOn() {
				return nil // it failed when it was new
			}
			return s.failed(row, bad)
		}
	}
	for i, takes := range s.takes {
		if !takes {
			continue
		}
		s.stats.Out++
		if err := pass(s.outs[i], row); err != nil {
			return err
		}
	}
	return nil
}

func (s *split) processUpdate(row *record.Row) error {
	s.expr.Begin(row.Before)
	if bad := s.match(s.had); bad != nil {
		if !s.goesOn() {
			return s.failed(row, bad)
		}
		clear(s.had)
	}
	s.expr.Begin(row)
	if bad := s.match(s.takes); bad != nil {
		if err := s.failed(row, bad); err != nil {
			return err
		}
		clear(s.takes)
	}
	for i, takes := range s.takes {
		if !takes && !s.had[i] {
			continue
		}
		s.stats.Out++
		if err := s.passImages(s.outs[i], row, s.had[i], takes); err != nil {
			return err
		}
	}
	return nil
}

// match finds the outputs a row goes to, before any of them takes it.
func (s *split) match(takes []bool) *RecordError {
	clear(takes)
	matched := false
	for i, cond := range s.conds {
		takes[i] = cond(s.expr)
		if bad := s.evalError(); bad != nil {
			return bad
		}
		if matched = matched || takes[i]; matched && !s.node.Split.All {
			break
		}
	}
	switch {
	case matched:
	case s.node.Split.Fail:
		return &RecordError{Code: codeCheck, Message: "no route matches"}
	case len(takes) > len(s.conds):
		takes[len(s.conds)] = true
	}
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
