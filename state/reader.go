package state

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"kstream/record"
)

// Reader reads the entries of one store in a snapshot, with long values put
// together. It is used by one goroutine and closed before the snapshot.
type Reader struct {
	s     *Snapshot
	store StoreID
	it    *pebble.Iterator // of Seek and Next
	side  *pebble.Iterator // of Get and Each, so that these do not move the other
	at    Address
	key   []byte
	long  []byte
	err   error
}

// Reader makes a reader of a store.
func (s *Snapshot) Reader(store StoreID) (*Reader, error) {
	if store > MaxStoreID {
		return nil, fmt.Errorf("read store %d: there is none above %d", store, MaxStoreID)
	}
	lower := AppendKey(nil, store, 0, 0, nil)[:2]
	o := &pebble.IterOptions{LowerBound: lower, UpperBound: nextPrefix(nil, lower)}
	r := &Reader{s: s, store: store}
	var err error
	if r.it, err = s.p.NewIter(o); err != nil {
		return nil, s.db.damage(err)
	}
	if r.side, err = s.p.NewIter(o); err != nil {
		return nil, errors.Join(s.db.damage(err), r.it.Close())
	}
	return r, nil
}

// Close gives the reader back.
func (r *Reader) Close() error { return errors.Join(r.it.Close(), r.side.Close()) }

// Seek goes to the first entry of the key group that is not before an address;
// false is none, or an error.
func (r *Reader) Seek(g record.KeyGroup, ns int64, key []byte) bool {
	r.key = AppendKey(r.key[:0], r.store, g, ns, key)
	return r.found(g, r.it.SeekGE(r.key))
}

// Next goes to the next entry of the key group.
func (r *Reader) Next() bool { return r.found(r.at.Group, r.it.Next()) }

func (r *Reader) found(g record.KeyGroup, ok bool) bool {
	if r.err != nil {
		return false
	}
	if !ok {
		r.err = r.s.db.damage(r.it.Error())
		return false
	}
	a, err := ParseKey(r.it.Key())
	if err != nil {
		r.err = fmt.Errorf("%w: %w", ErrCorrupt, err)
		return false
	}
	r.at = a
	return a.Group == g
}

// Address is where the reader is, valid until it moves.
func (r *Reader) Address() Address { return r.at }

// Stored is the number of bytes of the entry the reader is at; of a long value
// all its pieces.
func (r *Reader) Stored() (int, error) {
	b, err := r.it.ValueAndErr()
	if err != nil {
		return 0, r.s.db.damage(err)
	}
	n := len(r.it.Key()) + len(b)
	if whole, length, err := parseValue(b); err == nil && whole == nil {
		n += length
	}
	return n, nil
}

// Err is why the reader found nothing, nil if there is nothing.
func (r *Reader) Err() error { return r.err }

// Get is the value at an address, valid until the next call of Get or Each.
func (r *Reader) Get(g record.KeyGroup, ns int64, key []byte) (value []byte, ok bool, err error) {
	whole := AppendKey(nil, r.store, g, ns, key)
	if !r.side.SeekGE(whole) || !bytes.Equal(r.side.Key(), whole) {
		return nil, false, r.s.db.damage(r.side.Error())
	}
	value, err = r.value()
	return value, err == nil, err
}

// Each calls fn with the entries of a namespace whose key begins with prefix, in
// order of their keys; key and value are valid during the call.
func (r *Reader) Each(g record.KeyGroup, ns int64, prefix []byte, fn func(key, value []byte) error) error {
	whole := AppendKey(nil, r.store, g, ns, prefix)
	for ok := r.side.SeekGE(whole); ok && bytes.HasPrefix(r.side.Key(), whole); ok = r.side.Next() {
		value, err := r.value()
		if err != nil {
			return err
		}
		if err := fn(r.side.Key()[PrefixSize:], value); err != nil {
			return err
		}
	}
	return r.s.db.damage(r.side.Error())
}

// value is that of the entry the second iterator is at.
func (r *Reader) value() ([]byte, error) {
	stored, err := r.side.ValueAndErr()
	if err != nil {
		return nil, r.s.db.damage(err)
	}
	whole, length, err := parseValue(stored)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if whole != nil {
		return whole, nil
	}
	r.long = r.long[:0]
	for i := range chunkCount(length) {
		b, closer, err := r.s.p.Get(appendChunkKey(nil, r.side.Key(), i))
		if errors.Is(err, pebble.ErrNotFound) {
			return nil, fmt.Errorf("%w: piece %d of a long value is missing", ErrCorrupt, i)
		}
		if err != nil {
			return nil, r.s.db.damage(err)
		}
		r.long = append(r.long, b...)
		if err := closer.Close(); err != nil {
			return nil, r.s.db.damage(err)
		}
	}
	if len(r.long) != length {
		return nil, fmt.Errorf("%w: a value in pieces has %d bytes instead of %d", ErrCorrupt, len(r.long), length)
	}
	return r.long, nil
}

// NewScratch is a table without a store: its entries are in memory only, and it
// knows no others. It is not frozen, swept or closed.
func NewScratch() *Table {
	t := &Table{seed: newHashSeed(), index: newIndex(), slab: newSlab(), names: newNames()}
	t.deltas.d = &Delta{}
	return t
}
