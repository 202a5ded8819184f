package operator

import (
	"encoding/binary"
	"errors"

	"kstream/record"
)

// aggregate keeps one row per key and passes it on after every change: an
// insert for a new key, then updates. Over a changelog the values of a row that
// changed or is gone are taken back, and the row of a key that has none left is
// deleted.
type aggregate struct {
	*accumulators
	own     record.Row
	was     record.Row // what own was before the row that is processed
	retract bool
	before  bool // was was passed on
}

func newAggregate(b *base, acc *accumulators, c *Chain) *aggregate {
	return &aggregate{
		accumulators: acc,
		own:          record.Row{Slots: c.Slots},
		was:          record.Row{Slots: c.Before},
		retract:      b.node.Aggregate.Retract,
	}
}

func (a *aggregate) process(row *record.Row) error {
	a.stats.In++
	if a.changing {
		return a.processChange(row)
	}
	if a.retract {
		if err := a.expiry.dropEnded(row.Group, 0, row.KeyBytes); err != nil {
			return a.wrap("drop expired state", err)
		}
		old, ok, err := a.table.Get(row.Group, 0, row.KeyBytes)
		if err != nil {
			return a.wrap("read state", err)
		}
		if err := a.former(row, old, ok); err != nil {
			return err
		}
		a.expr.Begin(row)
	}
	main, fresh, err := a.update(row, 0)
	if main == nil || err != nil {
		return err
	}
	a.own.Op = record.OpUpdate
	if fresh {
		a.own.Op = record.OpInsert
	}
	return a.show(row, main)
}

// former computes the row of the key as it was passed on last.
func (a *aggregate) former(row *record.Row, main []byte, known bool) error {
	a.before = false
	if !known {
		return nil
	}
	a.was.Op, a.was.Time, a.was.Group = record.OpUpdate, newestOf(main), row.Group
	if _, err := a.decodeKey(&a.was, row.KeyBytes); err != nil {
		return err
	}
	if err := a.merge(main, row.Group, 0, row.KeyBytes); err != nil {
		a.forget()
		if _, bad := err.(valueError); bad {
			return nil // it could not be passed on then
		}
		return a.wrap("state", err)
	}
	bad, err := a.finish(&a.was)
	a.before = bad == nil && err == nil
	return err
}

// show passes on the row of a key, with what it was if that is asked for.
func (a *aggregate) show(row *record.Row, main []byte) error {
	a.own.Time, a.own.Group = newestOf(main), row.Group
	if _, err := a.decodeKey(&a.own, row.KeyBytes); err != nil {
		return err
	}
	bad, err := a.merged(main, row)
	if err != nil {
		return err
	}
	if bad == nil {
		if bad, err = a.finish(&a.own); err != nil {
			return err
		}
	}
	if bad != nil {
		if err := a.resultFailed(&a.own, row, bad); err != nil {
			return err
		}
	}
	return a.showImages(row, bad == nil)
}

// merged takes the results of a key.
func (a *aggregate) merged(main []byte, row *record.Row) (*RecordError, error) {
	err := a.merge(main, row.Group, 0, row.KeyBytes)
	if err == nil {
		return nil, nil
	}
	a.forget()
	if text, bad := err.(valueError); bad {
		return &RecordError{Code: codeEval, Message: string(text)}, nil
	}
	return nil, a.wrap("state", err)
}

func (a *aggregate) showImages(row *record.Row, is bool) error {
	var err error
	switch {
	case !a.retract:
		if is {
			a.expr.Begin(&a.own)
			err = a.emit(&a.own)
		}
	case a.before:
		a.own.Op, a.own.Before = record.OpUpdate, &a.was
		a.expr.Begin(&a.own)
		err = a.emitImages(&a.own, true, is)
		a.own.Before = nil
	case is:
		a.own.Op = record.OpInsert
		a.expr.Begin(&a.own)
		err = a.emit(&a.own)
	}
	a.expr.Begin(row)
	return err
}

var errNoBefore = errors.New("bug: an update of a changelog came without the row it replaces")

// processChange takes a row of a changelog: the values it had are taken back,
// those it has are added.
func (a *aggregate) processChange(row *record.Row) error {
	plus, minus := row, row.Before
	switch {
	case row.Op == record.OpDelete && !row.Bare:
		plus, minus = nil, row
	case row.Op == record.OpDelete || row.Op == record.OpUpdate && minus == nil:
		return a.wrap("aggregate", errNoBefore)
	}
	if err := a.expiry.dropEnded(row.Group, 0, row.KeyBytes); err != nil {
		return a.wrap("drop expired state", err)
	}
	main, known, err := a.table.Get(row.Group, 0, row.KeyBytes)
	if err != nil {
		return a.wrap("read state", err)
	}
	if plus == nil && !known {
		return nil // the state of its key is gone
	}
	if a.retract || plus == nil || known && counter(main[rowsAt:]) == 1 {
		if err := a.former(row, main, known); err != nil {
			return err
		}
	}
	rows := int64(0)
	changed := false
	for _, r := range [2]*record.Row{minus, plus} {
		if r == nil {
			continue
		}
		ok, n, err := a.apply(r, r == minus)
		if err != nil {
			return err
		}
		changed = changed || ok
		if ok {
			rows = n
		}
	}
	a.expr.Begin(row)
	if !changed {
		return nil
	}
	if rows == 0 {
		return a.vanish(row, known)
	}
	if main, _, err = a.table.Get(row.Group, 0, row.KeyBytes); err != nil {
		return a.wrap("read state", err)
	}
	a.own.Op = record.OpUpdate
	if !known {
		a.own.Op = record.OpInsert
	}
	return a.show(row, main)
}

// apply adds an image of a row to the state of its key, or takes it back, and
// tells how many rows the key has now. ok is false if the image was skipped.
func (a *aggregate) apply(row *record.Row, back bool) (ok bool, rows int64, err error) {
	a.expr.Begin(row)
	if bad := a.evaluate(); bad != nil {
		if back && a.goesOn() {
			return false, 0, nil // it was not added either
		}
		return false, 0, a.failed(row, bad)
	}
	a.at.move(row.Group, 0, row.KeyBytes)
	a.at.back, a.at.time = back, row.Time
	for i := range a.calls {
		if err := a.calls[i].acc.load(&a.at, a.argsOf(i)); err != nil {
			return false, 0, a.stateError(row, err)
		}
	}
	main, fresh, err := a.table.Upsert(row.Group, 0, row.KeyBytes, a.size)
	if err != nil {
		return false, 0, a.wrap("update state", err)
	}
	if err := a.add(main); err != nil {
		if err := a.undo(row, 0, main, fresh); err != nil {
			return false, 0, err
		}
		return false, 0, a.stateError(row, err)
	}
	raise(main, row.Time, fresh)
	a.expiry.renew(main)
	rows = a.counted(main, back)
	if a.beside {
		_, _, err = a.store(row, 0, fresh)
	}
	return err == nil, rows, err
}

// rowsAt is where the number of rows stands in the main entry.
const rowsAt = newestSize + expirySize

// counted keeps the number of rows of a key.
func (a *aggregate) counted(main []byte, back bool) int64 {
	n := int64(counter(main[rowsAt:])) + 1
	if back {
		n = max(n-2, 0)
	}
	binary.LittleEndian.PutUint64(main[rowsAt:], uint64(n))
	return n
}

// vanish deletes the state of a key that has no row left, and its row. What is
// beside the main entry is gone by itself, unless an argument was computed
// otherwise when it was taken back, with random() for example.
func (a *aggregate) vanish(row *record.Row, known bool) error {
	if err := a.drop(row.Group, 0, row.KeyBytes); err != nil {
		return a.wrap("update state", err)
	}
	if !known || !a.before {
		return nil
	}
	a.was.Op = record.OpDelete
	return a.emitOwn(&a.was, row)
}
