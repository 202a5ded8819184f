package operator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
)

// valueError is what is wrong with the values of a record, as opposed to an
// error of the store.
type valueError string

func (e valueError) Error() string { return string(e) }

func badValue(format string, args ...any) error { return valueError(fmt.Sprintf(format, args...)) }

// errMissing is an entry that must be there and is not.
var errMissing = errors.New("an entry of this key is missing")

// place is where an accumulator finds the entries beside the main one: a table
// and a key in it.
type place struct {
	table *state.Table
	arena *record.Arena
	group record.KeyGroup
	ns    int64
	key   []byte
	// earlier are the panes merged into the result before this one.
	earlier []int64
	sub     []byte
	scratch []byte
	// Over a changelog: whether the row is taken back, and its event time.
	back bool
	time record.Timestamp
}

func (at *place) move(g record.KeyGroup, ns int64, key []byte) {
	at.group, at.ns, at.key = g, ns, key
}

// subKey is the key of an entry of a part; valid until the next call.
func (at *place) subKey(part byte, rest ...byte) []byte {
	at.sub = append(append(append(at.sub[:0], at.key...), part), rest...)
	return at.sub
}

// numbered is the key of the n-th entry of a part.
func (at *place) numbered(n uint64, part byte, rest ...byte) []byte {
	at.sub = binary.BigEndian.AppendUint64(at.subKey(part, rest...), n)
	return at.sub
}

// read gives the value of an entry of this pane, null if there is none. It
// lives in the arena.
func (at *place) read(key []byte) (v record.Value, ok bool, err error) {
	b, ok, err := at.table.Get(at.group, at.ns, key)
	if err != nil || !ok {
		return record.Null, false, err
	}
	v, _, err = codec.ReadValue(at.arena.Copy(b))
	return v, true, err
}

// write puts a value into an entry of this pane.
func (at *place) write(key []byte, v record.Value) error {
	b, err := codec.AppendValue(at.scratch[:0], v)
	if err != nil {
		return err
	}
	at.scratch = b
	return at.table.Put(at.group, at.ns, key, b)
}

// cell is one value of an accumulator: in the main entry if its type has a
// fixed size, else in an entry of its own.
type cell struct {
	part    byte // of an entry of its own
	beside  bool
	current record.Value // of a cell beside: what load read
	next    record.Value // of a cell beside: what store writes
	changed bool
}

// scalarSize is the size of a scalar: kind, decimal places, number.
const scalarSize = 10

// size is the cell's share of the main entry.
func (c *cell) size() int {
	if c.beside {
		return 0
	}
	return scalarSize
}

// load reads a cell beside the main entry.
func (c *cell) load(at *place) (err error) {
	if c.changed = false; c.beside {
		c.current, _, err = at.read(at.subKey(c.part))
	}
	return err
}

// get is the value of the cell: from the main entry, or what load read.
func (c *cell) get(main []byte) record.Value {
	if c.beside {
		return c.current
	}
	return getScalar(main)
}

// set changes the cell; one beside the main entry is written by store.
func (c *cell) set(main []byte, v record.Value) {
	if c.beside {
		c.next, c.changed = v, true
		return
	}
	putScalar(main, v)
}

// store writes a cell beside the main entry if it was set.
func (c *cell) store(at *place) error {
	if !c.changed {
		return nil
	}
	c.changed = false
	if c.next.IsNull() {
		return at.table.Delete(at.group, at.ns, at.subKey(c.part))
	}
	return at.write(at.subKey(c.part), c.next)
}

// drop deletes a cell beside the main entry.
func (c *cell) drop(at *place) error {
	if !c.beside {
		return nil
	}
	return at.table.Delete(at.group, at.ns, at.subKey(c.part))
}

func putScalar(b []byte, v record.Value) {
	_ = b[scalarSize-1]
	b[0], b[1] = byte(v.Kind()), v.Scale()
	binary.LittleEndian.PutUint64(b[2:], uint64(v.Int()))
}

func getScalar(b []byte) record.Value {
	_ = b[scalarSize-1]
	return scalar(record.Kind(b[0]), b[1], int64(binary.LittleEndian.Uint64(b[2:])))
}
