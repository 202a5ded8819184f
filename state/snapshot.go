package state

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"kstream/record"
)

// Snapshot is the store as of one committed epoch. It stays as it is while later
// epochs are applied. It must be closed before the store.
type Snapshot struct {
	// Meta says which epoch it is.
	Meta Meta

	db   *DB
	p    *pebble.Snapshot
	once sync.Once
}

// Snapshot gives the store as it is now. It is cheap. No Apply or Replay may run
// at the same time: the caller is their goroutine.
func (db *DB) Snapshot() (*Snapshot, error) {
	if err := db.usable(); err != nil {
		return nil, err
	}
	m, ok := db.Meta()
	if !ok {
		m = Meta{}
	}
	if m.Restoring {
		return nil, errors.New("snapshot of a store that is being restored")
	}
	return &Snapshot{Meta: m, db: db, p: db.p.NewSnapshot()}, nil
}

// Close gives the snapshot back; it may be called twice.
func (s *Snapshot) Close() error {
	var err error
	s.once.Do(func() { err = s.p.Close() })
	return err
}

// Range calls fn with the entries of some stores in the key groups first to
// last, the pieces of long values among them, in order of their keys. Key and
// value are valid during the call; the value is as stored.
func (s *Snapshot) Range(stores []StoreID, first, last record.KeyGroup, fn func(key, value []byte) error) error {
	ids := make([]uint16, 0, 2*len(stores))
	for _, id := range stores {
		ids = append(ids, uint16(id), uint16(id)|chunkBit)
	}
	slices.Sort(ids)
	for _, id := range ids {
		lower := AppendKey(nil, StoreID(id), first, 0, nil)[:groupEnd]
		upper := nextPrefix(nil, AppendKey(nil, StoreID(id), last, 0, nil)[:groupEnd])
		if upper == nil {
			return fmt.Errorf("store id %d has no upper bound", id)
		}
		if err := s.scan(lower, upper, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *Snapshot) scan(lower, upper []byte, fn func(key, value []byte) error) error {
	it, err := s.p.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return s.db.damage(err)
	}
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(s.db.damage(err), it.Close())
		}
		if err := fn(it.Key(), v); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	return s.db.damage(errors.Join(it.Error(), it.Close()))
}

// Rehash gives the address of an entry another store and key group; a piece of a
// long value goes with its entry.
func Rehash(dst, address []byte, id StoreID, g record.KeyGroup) ([]byte, error) {
	a, err := ParseKey(address)
	if err != nil {
		return nil, err
	}
	a.Store, a.Group = id, g
	return a.Append(dst), nil
}
