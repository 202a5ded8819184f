package operator

import (
	"encoding/binary"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// reduce combines the values of the rows of a key into one of the same type. It
// is an accumulator, so that it works in windows as any other: the values of two
// panes are combined like two rows, with the newest event time of the second
// one as its time.
type reduce struct {
	env    *expr.Env
	key    bool // $key is read
	slots  []record.Value
	fields []reduceField
	part   byte // of the entry of the fields that have no fixed size
	beside bool
	row    record.Row // of a pane that is merged

	acc     []record.Value // Env.Acc
	next    []record.Value // what store writes, and what a row makes
	current []byte         // the entry beside the main one, as load read it
	scratch []byte
	any     bool // something was merged
}

// reduceField is one field of the value: its slot, where it is in the main entry
// (-1: in the entry beside it), and the program that combines it.
type reduceField struct {
	slot int
	off  int
	next func(*expr.Env) record.Value
}

// reduceHead is the newest event time and the mark that something was seen,
// which stand before the fields.
const reduceHead = 9

// newReduce makes the accumulator and gives the size of its main entry.
func (p *parts) newReduce(r *topology.Reduce, slots []record.Value) (*reduce, int) {
	n := len(r.Fields)
	a := &reduce{env: p.env, key: r.Key, slots: slots, acc: make([]record.Value, n), next: make([]record.Value, n)}
	a.row.Slots = slots
	size := reduceHead
	for _, f := range r.Fields {
		field := reduceField{slot: f.Slot, off: -1}
		if fixedSize(f.Type) {
			field.off = size
			size += scalarSize
		} else if !a.beside {
			a.beside, a.part = true, p.take()
		}
		if f.Next != nil {
			field.next = f.Next.Eval
		}
		a.fields = append(a.fields, field)
	}
	return a, size
}

func (a *reduce) load(at *place, _ []record.Value) error {
	if !a.beside {
		return nil
	}
	b, ok, err := at.table.Get(at.group, at.ns, at.subKey(a.part))
	a.current = nil
	if ok {
		a.current = at.arena.Copy(b)
	}
	return err
}

// add combines the row with what is there.
func (a *reduce) add(main []byte, args []record.Value) error {
	t := a.env.Row.Time
	if main[8] == 0 {
		main[8] = 1
		binary.LittleEndian.PutUint64(main, uint64(t))
		copy(a.next, args)
	} else {
		if err := a.read(main, a.acc); err != nil {
			return err
		}
		if err := a.combine(args); err != nil {
			return err
		}
		if t > timeOf(main) {
			binary.LittleEndian.PutUint64(main, uint64(t))
		}
	}
	for i, f := range a.fields {
		if f.off >= 0 {
			if !isScalar(a.next[i].Kind()) {
				return badValue("reduce cannot keep %s in a field of another type", a.next[i].TypeName())
			}
			putScalar(main[f.off:], a.next[i])
		}
	}
	return nil
}

// combine makes the next value of acc and a new one.
func (a *reduce) combine(fresh []record.Value) error {
	for i, f := range a.fields {
		a.slots[f.slot] = fresh[i]
	}
	a.env.Acc = a.acc
	for i, f := range a.fields {
		a.next[i] = fresh[i]
		if f.next != nil {
			a.next[i] = f.next(a.env)
		}
	}
	if err := a.env.Err(); err != nil {
		return badValue("%s", err.Message)
	}
	return nil
}

// read takes a value out of a main entry and the entry beside it.
func (a *reduce) read(main []byte, to []record.Value) (err error) {
	rest := a.current
	for i, f := range a.fields {
		if f.off >= 0 {
			to[i] = getScalar(main[f.off:])
			continue
		}
		if to[i], rest, err = codec.ReadValue(rest); err != nil {
			return err
		}
	}
	return nil
}

func (a *reduce) store(at *place, _ []record.Value) (err error) {
	if !a.beside {
		return nil
	}
	b := a.scratch[:0]
	for i, f := range a.fields {
		if f.off < 0 {
			if b, err = codec.AppendValue(b, a.next[i]); err != nil {
				return err
			}
		}
	}
	a.scratch = b
	return at.table.Put(at.group, at.ns, at.subKey(a.part), b)
}

func (a *reduce) drop(_ []byte, at *place) error {
	if !a.beside {
		return nil
	}
	return at.table.Delete(at.group, at.ns, at.subKey(a.part))
}

// merge combines what was merged before with the value of a pane.
func (a *reduce) merge(main []byte, at *place) error {
	if main[8] == 0 {
		return nil
	}
	if err := a.load(at, nil); err != nil {
		return err
	}
	if !a.any {
		a.any = true
		return a.read(main, a.acc)
	}
	if err := a.read(main, a.next); err != nil {
		return err
	}
	a.row.Time, a.row.Group = timeOf(main), at.group
	if a.key {
		key, _, err := codec.DecodeKey(at.key)
		if err != nil {
			return err
		}
		a.row.Key = key
	}
	row := a.env.Row
	a.env.Begin(&a.row)
	err := a.combine(a.next)
	a.env.Begin(row)
	copy(a.acc, a.next)
	return err
}

// result puts the fields into their slots.
func (a *reduce) result() (record.Value, error) {
	if a.any {
		for i, f := range a.fields {
			a.slots[f.slot] = a.acc[i]
		}
	}
	a.any = false
	return record.Null, nil
}

// putResult puts the fields into another register file.
func (a *reduce) putResult(slots []record.Value) {
	for _, f := range a.fields {
		slots[f.slot] = a.slots[f.slot]
	}
}
