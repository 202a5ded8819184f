package operator

import (
	"math"

	"kstream/codec"
	"kstream/record"
)

// What follows the part number in the keys of count_distinct.
const (
	byMember byte = iota
	byNumber
)

// mark is the value of an entry that only has to exist.
const mark = 1

// distinct counts the different values that are not null. Each member is an
// entry of its own, so that a record costs one probe and the write-back of an
// epoch is its new members, not the whole set.
//
// Over several panes a member counts once: the members of the later panes are
// looked up in the earlier ones.
type distinct struct {
	part   byte
	panes  bool
	member []byte // of the record
	fresh  bool   // it is new
	number uint64 // it gets
	total  int64
	buf    []byte
}

func (d *distinct) load(at *place, args []record.Value) error {
	d.fresh = false
	if args[0].IsNull() {
		return nil
	}
	var err error
	if d.member, err = appendMember(d.member[:0], args[0]); err != nil {
		return badValue("count_distinct: %s", err)
	}
	_, known, err := at.table.Get(at.group, at.ns, d.key(at, d.member))
	d.fresh = !known && err == nil
	return err
}

func (d *distinct) key(at *place, member []byte) []byte {
	at.sub = append(at.subKey(d.part, byMember), member...)
	return at.sub
}

func (d *distinct) add(main []byte, _ []record.Value) error {
	if d.fresh {
		d.number = counter(main)
		increment(main)
	}
	return nil
}

func (d *distinct) store(at *place, _ []record.Value) error {
	if !d.fresh {
		return nil
	}
	d.fresh = false
	if err := at.table.Put(at.group, at.ns, d.key(at, d.member), []byte{mark}); err != nil || !d.panes {
		return err
	}
	return at.table.Put(at.group, at.ns, at.numbered(d.number, d.part, byNumber), d.member)
}

func (d *distinct) merge(main []byte, at *place) error {
	n := counter(main)
	if len(at.earlier) == 0 {
		d.total += int64(n)
		return nil
	}
	for i := range n {
		member, ok, err := at.table.Get(at.group, at.ns, at.numbered(i, d.part, byNumber))
		if err != nil {
			return err
		}
		if !ok {
			return errMissing
		}
		d.buf = append(d.buf[:0], member...)
		before, err := d.before(at)
		if err != nil {
			return err
		}
		if !before {
			d.total++
		}
	}
	return nil
}

// drop finds the members by their numbers, so it needs panes.
func (d *distinct) drop(main []byte, at *place) error {
	for i := range counter(main) {
		member, ok, err := at.table.Get(at.group, at.ns, at.numbered(i, d.part, byNumber))
		if err != nil {
			return err
		}
		if !ok {
			return errMissing
		}
		d.buf = append(d.buf[:0], member...)
		if err := at.table.Delete(at.group, at.ns, d.key(at, d.buf)); err != nil {
			return err
		}
		if err := at.table.Delete(at.group, at.ns, at.numbered(i, d.part, byNumber)); err != nil {
			return err
		}
	}
	return nil
}

// before reports whether an earlier pane has the member in buf.
func (d *distinct) before(at *place) (bool, error) {
	key := d.key(at, d.buf)
	for _, pane := range at.earlier {
		_, ok, err := at.table.Get(at.group, pane, key)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

func (d *distinct) result() (record.Value, error) {
	n := d.total
	d.total = 0
	return record.Int(n), nil
}

// appendMember writes a value so that equal values have equal bytes: numbers
// that are equal in the language are written alike, whatever their kind.
func appendMember(dst []byte, v record.Value) ([]byte, error) {
	switch v.Kind() {
	case record.KindFloat:
		f := v.Float()
		if f == math.Trunc(f) && f >= math.MinInt64 && f < math.MaxInt64 {
			return codec.AppendValue(dst, record.Int(int64(f)))
		}
		return record.AppendFloat(append(dst, numberText), f), nil
	case record.KindDecimal:
		n, places := v.Int(), v.Scale()
		for places > 0 && n%10 == 0 {
			n, places = n/10, places-1
		}
		if places == 0 {
			return codec.AppendValue(dst, record.Int(n))
		}
		return record.AppendDecimal(append(dst, numberText), n, places), nil
	}
	return codec.AppendValue(dst, v)
}

// numberText stands before the text of a number that is not whole. No encoded
// value begins with it.
const numberText = 0xff

// collect keeps all values that are not null, in the order they were seen, and
// over several panes pane by pane. Each is an entry of its own. What they give
// together is said by fold.
type collect struct {
	name   string
	part   byte
	fold   fold
	number uint64
	fresh  bool
	value  record.Value
	list   []record.Value
}

func (c *collect) load(*place, []record.Value) error {
	c.fresh = false
	return nil
}

func (c *collect) add(main []byte, args []record.Value) error {
	if c.fresh = !args[0].IsNull(); c.fresh {
		if err := c.fold.check(args); err != nil {
			return err
		}
		c.value = c.fold.element(args)
		c.number = counter(main)
		increment(main)
	}
	return nil
}

func (c *collect) store(at *place, _ []record.Value) error {
	if !c.fresh {
		return nil
	}
	c.fresh = false
	return at.write(at.numbered(c.number, c.part), c.value)
}

func (c *collect) drop(main []byte, at *place) error {
	for i := range counter(main) {
		if err := at.table.Delete(at.group, at.ns, at.numbered(i, c.part)); err != nil {
			return err
		}
	}
	return nil
}

func (c *collect) merge(main []byte, at *place) error {
	for i := range counter(main) {
		v, ok, err := at.read(at.numbered(i, c.part))
		if err != nil {
			return err
		}
		if !ok {
			return errMissing
		}
		c.list = append(c.list, v)
	}
	return nil
}

func (c *collect) result() (record.Value, error) {
	v, err := c.fold.result(c.list)
	c.list = c.list[:0]
	return v, err
}
