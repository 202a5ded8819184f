package operator

import (
	"encoding/binary"

	"kstream/record"
)

// bag keeps all values of a key in the order they were seen, where values can be
// taken back: collect and its like over a changelog. A value that is taken back
// leaves a hole; when there are more holes than values they are closed.
//
// The main entry has the number of the next value and the number of values, 8
// bytes each. The entries are
//
//	rest = 0 and the bytes of a member; value = the numbers of its values, 8 each
//	rest = 1 and a number, 8, big-endian; value = codec.AppendValue
type bag struct {
	signed
	name string
	part byte
	fold fold

	skip       bool
	value      record.Value
	member     []byte
	numbers    []byte // of the member
	next, live uint64 // before the row
	list       []record.Value
}

const bagSize = 16

// holesMin is how many holes are never worth closing.
const holesMin = 16

func (b *bag) load(at *place, args []record.Value) error {
	b.back = at.back
	if b.skip = args[0].IsNull(); b.skip {
		return nil
	}
	if err := b.fold.check(args); err != nil {
		return err
	}
	b.value = b.fold.element(args)
	if err := b.identify(b.value); err != nil {
		return err
	}
	return b.loadNumbers(at)
}

func (b *bag) identify(v record.Value) error {
	var err error
	if b.member, err = appendMember(b.member[:0], v); err != nil {
		return badValue("%s: %s", b.name, err)
	}
	return nil
}

func (b *bag) loadNumbers(at *place) error {
	n, _, err := at.table.Get(at.group, at.ns, b.key(at))
	b.numbers = append(b.numbers[:0], n...)
	return err
}

func (b *bag) key(at *place) []byte {
	at.sub = append(at.subKey(b.part, byMember), b.member...)
	return at.sub
}

func (b *bag) add(main []byte, _ []record.Value) error {
	b.next, b.live = counter(main), counter(main[8:])
	switch {
	case b.skip || b.back && len(b.numbers) == 0:
		b.skip = true
	case !b.back:
		increment(main)
		b.step(main[8:])
	default:
		b.step(main[8:])
		if b.close() {
			binary.LittleEndian.PutUint64(main, b.live-1)
		}
	}
	return nil
}

// close says that the holes are closed once the row's value is taken out.
func (b *bag) close() bool { return b.next > 2*(b.live-1)+holesMin }

func (b *bag) store(at *place, _ []record.Value) error {
	switch {
	case b.skip:
		return nil
	case !b.back:
		if err := at.write(at.numbered(b.next, b.part, byNumber), b.value); err != nil {
			return err
		}
		b.numbers = binary.BigEndian.AppendUint64(b.numbers, b.next)
		return b.putNumbers(at)
	}
	// Equal values cannot be told apart: the latest one goes.
	end := len(b.numbers) - 8
	n := binary.BigEndian.Uint64(b.numbers[end:])
	b.numbers = b.numbers[:end]
	if err := b.putNumbers(at); err != nil {
		return err
	}
	if err := at.table.Delete(at.group, at.ns, at.numbered(n, b.part, byNumber)); err != nil {
		return err
	}
	if !b.close() {
		return nil
	}
	return b.closeHoles(at)
}

func (b *bag) putNumbers(at *place) error {
	if len(b.numbers) == 0 {
		return at.table.Delete(at.group, at.ns, b.key(at))
	}
	return at.table.Put(at.group, at.ns, b.key(at), b.numbers)
}

// closeHoles gives the values numbers from 0 on, in their order.
func (b *bag) closeHoles(at *place) error {
	var to uint64
	for from := range b.next {
		v, ok, err := at.read(at.numbered(from, b.part, byNumber))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if from != to {
			if err := b.renumber(at, v, from, to); err != nil {
				return err
			}
		}
		to++
	}
	return nil
}

func (b *bag) renumber(at *place, v record.Value, from, to uint64) error {
	if err := at.table.Delete(at.group, at.ns, at.numbered(from, b.part, byNumber)); err != nil {
		return err
	}
	if err := at.write(at.numbered(to, b.part, byNumber), v); err != nil {
		return err
	}
	if err := b.identify(v); err != nil {
		return err
	}
	if err := b.loadNumbers(at); err != nil {
		return err
	}
	for i := 0; i < len(b.numbers); i += 8 {
		if binary.BigEndian.Uint64(b.numbers[i:]) == from {
			binary.BigEndian.PutUint64(b.numbers[i:], to)
		}
	}
	return b.putNumbers(at)
}

func (b *bag) merge(main []byte, at *place) error {
	for i := range counter(main) {
		v, ok, err := at.read(at.numbered(i, b.part, byNumber))
		if err != nil {
			return err
		}
		if ok {
			b.list = append(b.list, v)
		}
	}
	return nil
}

func (b *bag) result() (record.Value, error) {
	v, err := b.fold.result(b.list)
	b.list = b.list[:0]
	return v, err
}

func (b *bag) drop(main []byte, at *place) error {
	for i := range counter(main) {
		v, ok, err := at.read(at.numbered(i, b.part, byNumber))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if err := b.identify(v); err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, b.key(at)); err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, at.numbered(i, b.part, byNumber)); err != nil {
			return err
		}
	}
	return nil
}

// uniques is collect_set and collect_map: a value that is there already is not
// kept again, the value of a key is replaced. Each is an entry, in the order of
// their first appearance; the members of collect_set are its values, those of
// collect_map its keys.
type uniques struct {
	name   string
	part   byte
	fold   fold
	member []byte
	skip   bool
	fresh  bool
	number uint64
	value  record.Value
	list   []record.Value
	buf    []byte
}

func (u *uniques) load(at *place, args []record.Value) error {
	if u.skip = args[0].IsNull(); u.skip {
		return nil
	}
	if err := u.fold.check(args); err != nil {
		return err
	}
	var err error
	if u.member, err = appendMember(u.member[:0], args[0]); err != nil {
		return badValue("%s: %s", u.name, err)
	}
	u.value = u.fold.element(args)
	b, known, err := at.table.Get(at.group, at.ns, u.key(at))
	if u.fresh = !known; known {
		u.number = binary.BigEndian.Uint64(b)
		u.skip = u.name == "collect_set"
	}
	return err
}

func (u *uniques) key(at *place) []byte {
	at.sub = append(at.subKey(u.part, byMember), u.member...)
	return at.sub
}

func (u *uniques) add(main []byte, _ []record.Value) error {
	if !u.skip && u.fresh {
		u.number = counter(main)
		increment(main)
	}
	return nil
}

func (u *uniques) store(at *place, _ []record.Value) error {
	if u.skip {
		return nil
	}
	if err := at.write(at.numbered(u.number, u.part, byNumber), u.value); err != nil || !u.fresh {
		return err
	}
	u.buf = binary.BigEndian.AppendUint64(u.buf[:0], u.number)
	return at.table.Put(at.group, at.ns, u.key(at), u.buf)
}

func (u *uniques) merge(main []byte, at *place) error {
	for i := range counter(main) {
		v, ok, err := at.read(at.numbered(i, u.part, byNumber))
		if err != nil {
			return err
		}
		if !ok {
			return errMissing
		}
		u.list = append(u.list, v)
	}
	return nil
}

func (u *uniques) result() (record.Value, error) {
	v, err := u.fold.result(u.list)
	u.list = u.list[:0]
	return v, err
}

func (u *uniques) drop(main []byte, at *place) error {
	for i := range counter(main) {
		v, _, err := at.read(at.numbered(i, u.part, byNumber))
		if err != nil {
			return err
		}
		if u.name == "collect_map" {
			v = v.Elems()[0]
		}
		if u.member, err = appendMember(u.member[:0], v); err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, u.key(at)); err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, at.numbered(i, u.part, byNumber)); err != nil {
			return err
		}
	}
	return nil
}

// anyValue keeps the first value that is not null.
type anyValue struct {
	cell cell
	best record.Value
	any  bool
}

func (a *anyValue) load(*place, []record.Value) error {
	a.cell.changed = false
	return nil
}

func (a *anyValue) add(main []byte, args []record.Value) error {
	if main[0] == 0 && !args[0].IsNull() {
		main[0] = 1
		a.cell.set(main[1:], args[0])
	}
	return nil
}

func (a *anyValue) store(at *place, _ []record.Value) error { return a.cell.store(at) }

func (a *anyValue) merge(main []byte, at *place) error {
	if main[0] == 0 || a.any {
		return nil
	}
	if err := a.cell.load(at); err != nil {
		return err
	}
	a.any, a.best = true, a.cell.get(main[1:])
	return nil
}

func (a *anyValue) result() (record.Value, error) {
	v := a.best
	a.any, a.best = false, record.Null
	return v, nil
}

func (a *anyValue) drop(_ []byte, at *place) error { return a.cell.drop(at) }
