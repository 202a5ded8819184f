package operator

import (
	"errors"

	"kstream/expr"
	"kstream/record"
)

// filter passes the rows for which its condition is true.
//
// On a changelog an update that does not match any more takes the row out of
// what was passed on before, so it becomes a delete; one that did not match
// before becomes an insert. If the row as it was is not known, an update that
// does not match is a delete in any case.
type filter struct {
	*base
	cond func(*expr.Env) bool
}

func newFilter(b *base) (*filter, error) {
	if b.node.Filter.Cond == nil {
		return nil, errors.New("filter has no condition")
	}
	return &filter{base: b, cond: b.node.Filter.Cond}, nil
}

func (f *filter) process(row *record.Row) error {
	f.stats.In++
	if row.Before != nil {
		return f.update(row, f)
	}
	if row.Bare {
		return f.emit(row)
	}
	keep := f.cond(f.expr)
	if err := f.expr.Err(); err != nil {
		return f.evalFailed(row, err)
	}
	if keep {
		return f.emit(row)
	}
	if row.Op != record.OpUpdate {
		return nil
	}
	row.Op, row.Bare = record.OpDelete, true
	err := f.emit(row)
	row.Op, row.Bare = record.OpUpdate, false
	return err
}

func (f *filter) image(*record.Row) (bool, *RecordError) {
	keep := f.cond(f.expr)
	return keep, f.evalError()
}
