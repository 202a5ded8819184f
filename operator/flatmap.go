package operator

import (
	"fmt"

	"kstream/expr"
	"kstream/record"
)

// flatMap passes a row on once for each element of a list, with the element and
// its index in two slots. A null list is an empty one.
type flatMap struct {
	*base
	each           func(*expr.Env) record.Value
	element, index int
	keepEmpty      bool
}

func newFlatMap(b *base) *flatMap {
	f := b.node.FlatMap
	return &flatMap{base: b, each: f.Each.Eval, element: f.Element, index: f.Index, keepEmpty: f.KeepEmpty}
}

func (f *flatMap) process(row *record.Row) error {
	f.stats.In++
	list := f.each(f.expr)
	if err := f.expr.Err(); err != nil {
		return f.evalFailed(row, err)
	}
	elems, ok := elements(list, f.expr.Arena)
	if !ok {
		return f.failed(row, &RecordError{
			Code:    codeEval,
			Message: fmt.Sprintf("flat_map needs a list, found %s", list.TypeName()),
		})
	}
	if len(elems) == 0 && f.keepEmpty {
		return f.pass(row, record.Null, record.Null)
	}
	for i, e := range elems {
		if err := f.pass(row, e, record.Int(int64(i))); err != nil {
			return err
		}
	}
	return nil
}

// pass hands the row on with an element. Each element has the evaluation limits
// of a record of its own.
func (f *flatMap) pass(row *record.Row, element, index record.Value) error {
	if f.element >= 0 {
		row.Slots[f.element] = element
	}
	if f.index >= 0 {
		row.Slots[f.index] = index
	}
	f.expr.Begin(row)
	return f.emit(row)
}

func elements(list record.Value, a *record.Arena) (elems []record.Value, ok bool) {
	switch list.Kind() {
	case record.KindNull:
		return nil, true
	case record.KindList:
		return list.Elems(), true
	case record.KindJSON:
		if list.TypeName() == "list" {
			return record.JSONElems(list, a), true
		}
	}
	return nil, false
}
