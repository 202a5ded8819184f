package operator

import (
	"errors"

	"kstream/expr"
	"kstream/record"
)

// filter passes the rows for which its condition is true.
//
// On a changelog an update that does not match takes the row out of what it
// passed on before, so it becomes a delete; a delete always passes.
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
	if row.Op == record.OpDelete {
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
	row.Op = record.OpDelete
	err := f.emit(row)
	row.Op = record.OpUpdate
	return err
}
