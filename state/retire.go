package state

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// Deletions is a delta that deletes up to limit entries of a store that no table
// has open, pieces of long values too, from an address on; nil is the first.
// next is where to go on after the delta was applied, nil when nothing is left.
func (db *DB) Deletions(store StoreID, from []byte, limit int) (d *Delta, next []byte, err error) {
	w := deltaWriter{d: &Delta{}}
	for _, id := range []StoreID{store, store | chunkBit} {
		lower := AppendKey(nil, id, 0, 0, nil)[:2]
		upper := nextPrefix(nil, lower)
		if len(from) > 0 && bytes.Compare(from, upper) >= 0 {
			continue
		}
		if bytes.Compare(from, lower) > 0 {
			lower = from
		}
		if next, err = db.deletions(&w, lower, upper, limit); err != nil || next != nil {
			return w.d, next, err
		}
	}
	return w.d, nil, nil
}

func (db *DB) deletions(w *deltaWriter, lower, upper []byte, limit int) (next []byte, err error) {
	if err := db.usable(); err != nil {
		return nil, err
	}
	it, err := db.p.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, db.damage(err)
	}
	ok := it.First()
	for ; ok && w.d.count < limit; ok = it.Next() {
		w.put(it.Key(), nil)
	}
	if ok {
		next = bytes.Clone(it.Key())
	}
	err = it.Error()
	if closed := it.Close(); err == nil {
		err = closed
	}
	return next, db.damage(err)
}
