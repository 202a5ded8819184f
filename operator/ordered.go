package operator

import (
	"encoding/binary"

	"kstream/expr"
	"kstream/record"
)

// timedHead is the event time and the mark that something was seen, which stand
// before the cell of firstLast.
const timedHead = 9

// firstLast keeps the value of the row with the smallest or the largest event
// time. Of equal times first keeps the one seen first and last the one seen
// last. Nulls do not count.
type firstLast struct {
	env  *expr.Env
	last bool
	cell cell
	best record.Value
	time record.Timestamp
	any  bool
}

func (f *firstLast) load(*place, []record.Value) error {
	f.cell.changed = false
	return nil
}

func (f *firstLast) add(main []byte, args []record.Value) error {
	if args[0].IsNull() {
		return nil
	}
	t := f.env.Row.Time
	if main[8] != 0 && !f.wins(t, timeOf(main)) {
		return nil
	}
	binary.LittleEndian.PutUint64(main, uint64(t))
	main[8] = 1
	f.cell.set(main[timedHead:], args[0])
	return nil
}

func (f *firstLast) wins(t, old record.Timestamp) bool {
	if f.last {
		return t >= old
	}
	return t < old
}

func timeOf(main []byte) record.Timestamp {
	return record.Timestamp(binary.LittleEndian.Uint64(main))
}

func (f *firstLast) store(at *place, _ []record.Value) error { return f.cell.store(at) }

func (f *firstLast) drop(_ []byte, at *place) error { return f.cell.drop(at) }

func (f *firstLast) merge(main []byte, at *place) error {
	if main[8] == 0 || f.any && !f.wins(timeOf(main), f.time) {
		return nil
	}
	if err := f.cell.load(at); err != nil {
		return err
	}
	f.any, f.time, f.best = true, timeOf(main), f.cell.get(main[timedHead:])
	return nil
}

func (f *firstLast) result() (record.Value, error) {
	v := f.best
	f.any, f.best = false, record.Null
	return v, nil
}
