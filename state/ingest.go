package state

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Ingest is Replay for many entries: they are sorted and become a table of the
// store as they are, without the memory table and without being sorted, merged
// and written again and again by compactions. Of several entries with one key the
// last counts. The meta record is in the same table, so that a crash leaves all of
// it or nothing, and it is durable when Ingest returns.
func (db *DB) Ingest(m Meta, entries []Entry) error {
	if err := db.usable(); err != nil {
		return err
	}
	// The table must not lie over what is in the memory table only.
	if db.UnflushedBytes() > 0 {
		if err := db.Flush(); err != nil {
			return err
		}
	}
	order, err := sortEntries(entries)
	if err != nil {
		return fmt.Errorf("ingest changelog: %w", err)
	}
	path := db.fs.PathJoin(db.opts.Dir, ingestFile)
	if err := db.writeTable(path, entries, order, appendMeta(nil, &m)); err != nil {
		return db.fail(fmt.Errorf("ingest changelog: %w", classify(errors.Join(err, db.fs.RemoveAll(path)))))
	}
	err = db.unlessBroken(func() error { return db.p.Ingest(context.Background(), []string{path}) })
	if err != nil {
		return db.fail(classify(err))
	}
	db.mu.Lock()
	db.meta, db.has = m, true
	db.meta.Positions = slices.Clone(m.Positions)
	db.mu.Unlock()
	return nil
}

// sortPlace is where an entry stands, and the beginning of its key as numbers, which
// are compared faster.
type sortPlace struct {
	a, b, c uint64
	at      uint32
}

// sortEntries gives the entries in the order of their keys, each key once.
func sortEntries(entries []Entry) ([]sortPlace, error) {
	order := make([]sortPlace, len(entries))
	for i, e := range entries {
		if _, err := ParseKey(e.Key); err != nil {
			return nil, err
		}
		var head [24]byte
		copy(head[:], e.Key)
		order[i] = sortPlace{binary.BigEndian.Uint64(head[:]), binary.BigEndian.Uint64(head[8:]), binary.BigEndian.Uint64(head[16:]), uint32(i)}
	}
	slices.SortFunc(order, func(x, y sortPlace) int {
		if x.a != y.a {
			return cmp.Compare(x.a, y.a)
		}
		if x.b != y.b {
			return cmp.Compare(x.b, y.b)
		}
		if x.c != y.c {
			return cmp.Compare(x.c, y.c)
		}
		if c := bytes.Compare(entries[x.at].Key, entries[y.at].Key); c != 0 {
			return c
		}
		return cmp.Compare(x.at, y.at)
	})
	kept := order[:0]
	for i, p := range order {
		if i+1 < len(order) && bytes.Equal(entries[p.at].Key, entries[order[i+1].at].Key) {
			continue // a later one replaces it
		}
		kept = append(kept, p)
	}
	return kept, nil
}

// writeTable writes sorted entries and the meta record, whose key is above all
// others, as a table.
func (db *DB) writeTable(path string, entries []Entry, order []sortPlace, meta []byte) error {
	f, err := db.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), db.tableOptions)
	_, filled := db.Meta()
	for _, p := range order {
		e := &entries[p.at]
		switch {
		case e.Value != nil:
			err = w.Set(e.Key, e.Value)
		case filled: // else there is nothing to delete
			err = w.Delete(e.Key)
		}
		if err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return errors.Join(w.Set(metaKey(), meta), w.Close())
}
