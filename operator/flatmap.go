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
	if row.Before != nil {
		return f.processUpdate(row)
	}
	elems, bad := f.list()
	if bad != nil {
		return f.failed(row, bad)
	}
	if len(elems) == 0 && f.keepEmpty {
		return f.passEmpty(row)
	}
	for i, e := range elems {
		f.set(row, e, record.Int(int64(i)))
		if err := f.pass(row); err != nil {
			return err
		}
	}
	return nil
}

// list is the elements of the row that is evaluated.
func (f *flatMap) list() ([]record.Value, *RecordError) {
	list := f.each(f.expr)
	if bad := f.evalError(); bad != nil {
		return nil, bad
	}
	elems, ok := elements(list, f.expr.Arena)
	if !ok {
		return nil, &RecordError{
			Code:    codeEval,
			Message: fmt.Sprintf("flat_map needs a list, found %s", list.TypeName()),
		}
	}
	return elems, nil
}

// processUpdate passes on what became of each element: its index tells which
// row it is. The row of an empty list has no index, so it is one of its own.
func (f *flatMap) processUpdate(row *record.Row) error {
	f.expr.Begin(row.Before)
	old, oldBad := f.list()
	if oldBad != nil && !f.goesOn() {
		return f.failed(row, oldBad)
	}
	f.expr.Begin(row)
	elems, bad := f.list()
	if bad != nil {
		if err := f.failed(row, bad); err != nil {
			return err
		}
	}
	wasEmpty := f.keepEmpty && oldBad == nil && len(old) == 0
	isEmpty := f.keepEmpty && bad == nil && len(elems) == 0
	if wasEmpty {
		f.set(row.Before, record.Null, record.Null)
	}
	if isEmpty {
		f.set(row, record.Null, record.Null)
	}
	if wasEmpty || isEmpty {
		f.expr.Begin(row)
		if err := f.emitImages(row, wasEmpty, isEmpty); err != nil {
			return err
		}
	}
	return f.passElements(row, old, elems)
}

func (f *flatMap) passElements(row *record.Row, old, elems []record.Value) error {
	for i := range max(len(old), len(elems)) {
		was, is := i < len(old), i < len(elems)
		if was {
			f.set(row.Before, old[i], record.Int(int64(i)))
		}
		if is {
			f.set(row, elems[i], record.Int(int64(i)))
		}
		f.expr.Begin(row)
		if err := f.emitImages(row, was, is); err != nil {
			return err
		}
	}
	return nil
}

func (f *flatMap) passEmpty(row *record.Row) error {
	f.set(row, record.Null, record.Null)
	return f.pass(row)
}

// pass hands the row on with an element. Each element has the evaluation limits
// of a record of its own.
func (f *flatMap) pass(row *record.Row) error {
	f.expr.Begin(row)
	return f.emit(row)
}

func (f *flatMap) set(row *record.Row, element, index record.Value) {
	if f.element >= 0 {
		row.Slots[f.element] = element
	}
	if f.index >= 0 {
		row.Slots[f.index] = index
	}
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
