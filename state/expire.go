package state

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"kstream/record"
)

// What the operators need so that state ends: a group of entries is deleted at
// once, and a sweep finds what nobody asks for any more. The table itself knows
// no time; when an entry ends stands in its value, where its owner put it.

// DropPrefixed deletes every entry of a namespace whose key is longer than
// prefix and begins with it.
func (t *Table) DropPrefixed(g record.KeyGroup, ns int64, prefix []byte) error {
	// What is not on disk yet: removing an entry may put the last of the list in
	// its place, which was looked at before.
	for i := len(t.dirty) - 1; i >= 0; i-- {
		t.dropPrefixed(t.dirty[i], g, ns, prefix)
	}
	for _, f := range t.frozen {
		for _, r := range f.refs {
			t.dropPrefixed(r, g, ns, prefix)
		}
	}
	// Entries in memory that did not change are found on disk, too.
	if err := t.disk.open(); err != nil {
		return err
	}
	whole := AppendKey(nil, t.opts.Store, g, ns, prefix)
	it := t.disk.it
	for ok := it.SeekGE(whole); ok && bytes.HasPrefix(it.Key(), whole); ok = it.Next() {
		if len(it.Key()) == len(whole) {
			continue
		}
		if err := t.dropStored(g, ns, it); err != nil {
			return err
		}
	}
	return t.db.damage(it.Error())
}

// dropPrefixed removes one entry that is not on disk yet, if it is meant.
func (t *Table) dropPrefixed(r ref, g record.KeyGroup, ns int64, prefix []byte) {
	s := t.slab.at(r)
	if s[atFlags]&(flagTomb|flagDead) != 0 || s.namespace() != ns || s.group() != g {
		return
	}
	if k := s.key(); len(k) > len(prefix) && bytes.HasPrefix(k, prefix) {
		t.remove(r, s, t.tag(g, ns, k))
	}
}

// dropStored deletes the entry an iterator is at.
func (t *Table) dropStored(g record.KeyGroup, ns int64, it *pebble.Iterator) error {
	key := it.Key()[PrefixSize:]
	tag := t.tag(g, ns, key)
	if r, s := t.find(tag, g, ns, key); s != nil {
		t.remove(r, s, tag)
		return nil
	}
	stored, err := it.ValueAndErr()
	if err != nil {
		return t.db.damage(err)
	}
	if err := t.noteLong(it.Key(), stored); err != nil {
		return err
	}
	return t.insertTomb(tag, g, ns, key)
}

// Sweep looks at the entries that have reached the disk, in the order of their
// keys, from where the last call stopped and at no more than limit of them. An
// entry for which ended is true is deleted; with parts, so is every entry whose
// key begins with its key. ended gets the value as it is now; it must not change
// the table. done says that the last entry was passed: the next call begins with
// the first.
func (t *Table) Sweep(limit int, parts bool, ended func(ns int64, key, value []byte) bool) (done bool, err error) {
	if err := t.db.usable(); err != nil {
		return false, err
	}
	dead, done, err := t.findEnded(limit, ended)
	if err != nil {
		return false, t.db.damage(err)
	}
	for _, whole := range dead {
		a, err := ParseKey(whole)
		if err == nil {
			err = t.Delete(a.Group, a.Namespace, a.Key)
		}
		if err == nil && parts {
			err = t.DropPrefixed(a.Group, a.Namespace, a.Key)
		}
		if err != nil {
			return false, err
		}
	}
	return done, nil
}

// findEnded walks over the disk and lists the addresses of entries to delete. It
// reads memory first, which is newer.
func (t *Table) findEnded(limit int, ended func(ns int64, key, value []byte) bool) (dead [][]byte, done bool, err error) {
	lower := AppendKey(nil, t.opts.Store, t.opts.First, 0, nil)[:groupEnd]
	upper := nextPrefix(nil, AppendKey(nil, t.opts.Store, t.opts.Last, 0, nil)[:groupEnd])
	if len(t.sweepFrom) > 0 {
		lower = t.sweepFrom
	}
	it, err := t.db.p.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, false, err
	}
	ok := it.First()
	for n := 0; ok && n < limit && err == nil; n++ {
		var end bool
		if end, err = t.endedAt(it, ended); end {
			dead = append(dead, bytes.Clone(it.Key()))
		}
		ok = it.Next()
	}
	t.sweepFrom = t.sweepFrom[:0]
	if ok {
		t.sweepFrom = append(t.sweepFrom, it.Key()...)
	}
	return dead, !ok, errors.Join(err, it.Error(), it.Close())
}

func (t *Table) endedAt(it *pebble.Iterator, ended func(ns int64, key, value []byte) bool) (bool, error) {
	a, err := ParseKey(it.Key())
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if _, s := t.find(t.tag(a.Group, a.Namespace, a.Key), a.Group, a.Namespace, a.Key); s != nil {
		return !s.is(flagTomb) && ended(a.Namespace, a.Key, s.value()), nil
	}
	stored, err := it.ValueAndErr()
	if err != nil {
		return false, err
	}
	value, err := t.disk.value(it.Key(), stored)
	if err != nil {
		return false, err
	}
	return ended(a.Namespace, a.Key, value), nil
}
