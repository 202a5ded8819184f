package operator

import (
	"encoding/binary"

	"kstream/codec"
	"kstream/record"
)

// ranked keeps all values of a key in the order of a heap, so that the first of
// them is known also when others are taken back: min, max, min_by, max_by, first
// and last over a changelog. A value costs the entries on its way through the
// heap, about the logarithm of their number.
//
// The main entry has the number of members and the number of the next one, 8
// bytes each. A member is a value (with its by or its time); its entries are
//
//	member  rest = 0 and the member's bytes; value = its place, 8
//	place   rest = 1 and the place, 8, big-endian; value = number of rows 8,
//	        number of the member 8, length of the member's bytes (uvarint), those
//	        bytes, the value that decides and the one that is the result
type ranked struct {
	signed
	name  string
	part  byte
	sign  int
	by    bool // the second argument decides
	timed bool // the event time decides

	skip   bool // the row does not count
	known  bool
	e      rankedMember // of the row
	place  uint64       // of e, if it is known
	size   uint64       // of the heap before the row
	best   record.Value
	member []byte
	buf    []byte
}

const rankedSize = 16

// rankedMember is one member of the heap.
type rankedMember struct {
	rows, number   uint64
	member         []byte
	decides, gives record.Value
}

func (r *ranked) load(at *place, args []record.Value) error {
	r.back, r.known = at.back, false
	e := &r.e
	*e = rankedMember{rows: 1, decides: args[0], gives: args[0]}
	if r.by {
		e.decides = args[1]
	}
	if r.skip = e.decides.IsNull(); r.skip {
		return nil
	}
	if r.timed {
		e.decides = record.Int(int64(at.time))
	}
	if err := r.identify(); err != nil {
		return err
	}
	if err := r.comparable(at); err != nil {
		return err
	}
	b, known, err := at.table.Get(at.group, at.ns, r.memberKey(at, e.member))
	if err != nil || !known {
		return err
	}
	r.known, r.place = true, counter(b)
	old, err := r.read(at, r.place)
	e.rows, e.number = old.rows, old.number
	return err
}

// identify makes the bytes that tell members apart.
func (r *ranked) identify() error {
	b, err := appendMember(append(r.member[:0], 0, 0, 0, 0), r.e.decides)
	if err != nil {
		return badValue("%s: %s", r.name, err)
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	if r.by || r.timed {
		if b, err = appendMember(b, r.e.gives); err != nil {
			return badValue("%s: %s", r.name, err)
		}
	}
	r.member, r.e.member = b, b
	return nil
}

// comparable refuses a value that has no order with the others.
func (r *ranked) comparable(at *place) error {
	first, err := r.read(at, 0)
	if err != nil || first.rows == 0 {
		return err
	}
	_, err = wins(r.name, r.sign, r.e.decides, first.decides)
	return err
}

func (r *ranked) add(main []byte, _ []record.Value) error {
	r.size = counter(main)
	switch {
	case r.skip || r.back && !r.known:
		r.skip = true
	case r.back:
		if r.e.rows == 1 {
			r.step(main)
		}
	default:
		if !r.known {
			r.step(main)
		}
		if !r.known || r.name == "last" {
			r.e.number = counter(main[8:])
			increment(main[8:])
		}
	}
	return nil
}

func (r *ranked) store(at *place, _ []record.Value) error {
	e := &r.e
	switch {
	case r.skip:
		return nil
	case !r.back && !r.known:
		return r.rise(at, r.size, e)
	case !r.back:
		e.rows++
		return r.rise(at, r.place, e)
	case e.rows > 1:
		e.rows--
		return r.put(at, r.place, e)
	}
	return r.remove(at)
}

// remove takes the row's member out: the last one gets its place.
func (r *ranked) remove(at *place) error {
	if err := at.table.Delete(at.group, at.ns, r.memberKey(at, r.e.member)); err != nil {
		return err
	}
	end := r.size - 1
	last, err := r.read(at, end)
	if err != nil {
		return err
	}
	if err := at.table.Delete(at.group, at.ns, at.numbered(end, r.part, byNumber)); err != nil || end == r.place {
		return err
	}
	if r.place > 0 {
		up, err := r.read(at, (r.place-1)/2)
		if err != nil {
			return err
		}
		if r.before(&last, &up) {
			return r.rise(at, r.place, &last)
		}
	}
	return r.sink(at, r.place, end, &last)
}

// rise puts a member at a place or above it.
func (r *ranked) rise(at *place, i uint64, e *rankedMember) error {
	for i > 0 {
		up := (i - 1) / 2
		other, err := r.read(at, up)
		if err != nil {
			return err
		}
		if !r.before(e, &other) {
			break
		}
		if err := r.put(at, i, &other); err != nil {
			return err
		}
		i = up
	}
	return r.put(at, i, e)
}

// sink puts a member at a place of a heap of n, or below it.
func (r *ranked) sink(at *place, i, n uint64, e *rankedMember) error {
	for 2*i+1 < n {
		down := 2*i + 1
		other, err := r.read(at, down)
		if err != nil {
			return err
		}
		if down+1 < n {
			right, err := r.read(at, down+1)
			if err != nil {
				return err
			}
			if r.before(&right, &other) {
				down, other = down+1, right
			}
		}
		if !r.before(&other, e) {
			break
		}
		if err := r.put(at, i, &other); err != nil {
			return err
		}
		i = down
	}
	return r.put(at, i, e)
}

// before reports whether a is nearer to the result than b. Of equal ones it is
// the earlier, for last the later.
func (r *ranked) before(a, b *rankedMember) bool {
	if c, _ := record.Compare(a.decides, b.decides); c != 0 {
		return c == r.sign
	}
	if r.name == "last" {
		return a.number > b.number
	}
	return a.number < b.number
}

func (r *ranked) memberKey(at *place, member []byte) []byte {
	at.sub = append(at.subKey(r.part, byMember), member...)
	return at.sub
}

// read gives the member at a place; it lives in the arena. Without one its rows
// are 0.
func (r *ranked) read(at *place, i uint64) (e rankedMember, err error) {
	b, ok, err := at.table.Get(at.group, at.ns, at.numbered(i, r.part, byNumber))
	if err != nil || !ok {
		return e, err
	}
	b = at.arena.Copy(b)
	e.rows, e.number = counter(b), counter(b[8:])
	n, size := binary.Uvarint(b[16:])
	b = b[16+size:]
	e.member, b = b[:n:n], b[n:]
	if e.decides, b, err = codec.ReadValue(b); err != nil {
		return e, err
	}
	e.gives, _, err = codec.ReadValue(b)
	return e, err
}

// put writes a member to a place.
func (r *ranked) put(at *place, i uint64, e *rankedMember) error {
	b := binary.LittleEndian.AppendUint64(r.buf[:0], e.rows)
	b = binary.LittleEndian.AppendUint64(b, e.number)
	b = append(binary.AppendUvarint(b, uint64(len(e.member))), e.member...)
	b, err := codec.AppendValue(b, e.decides)
	if err == nil {
		b, err = codec.AppendValue(b, e.gives)
	}
	r.buf = b
	if err != nil {
		return err
	}
	if err := at.table.Put(at.group, at.ns, at.numbered(i, r.part, byNumber), b); err != nil {
		return err
	}
	r.buf = binary.LittleEndian.AppendUint64(r.buf[:0], i)
	return at.table.Put(at.group, at.ns, r.memberKey(at, e.member), r.buf)
}

func (r *ranked) merge(main []byte, at *place) error {
	if counter(main) == 0 {
		return nil
	}
	first, err := r.read(at, 0)
	r.best = first.gives
	return err
}

func (r *ranked) result() (record.Value, error) {
	v := r.best
	r.best = record.Null
	return v, nil
}

func (r *ranked) drop(main []byte, at *place) error {
	for i := range counter(main) {
		e, err := r.read(at, i)
		if err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, r.memberKey(at, e.member)); err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, at.numbered(i, r.part, byNumber)); err != nil {
			return err
		}
	}
	return nil
}
