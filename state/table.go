package state

import (
	"fmt"

	"kstream/record"
)

// TableOptions say which part of which store a task owns.
type TableOptions struct {
	Store StoreID
	// First and Last are the key groups of the task, both included.
	First, Last record.KeyGroup
	// Memory is what entries may take before clean ones are evicted; 0 is no
	// limit. Entries that are not on disk yet stay whatever it says.
	Memory int64
	// Complete: the caller knows that the store has nothing on disk.
	Complete bool
}

// Table is the part of one store that one task owns. It is used by one
// goroutine.
//
// A slice it returns points into its memory: do not change it, except for that
// of Upsert, and use it only until the next call of a method that may load or
// change an entry (Get, Upsert, Put, Delete, DropNamespace, Applied).
type Table struct {
	// Configuration.
	db   *DB
	opts TableOptions
	seed hashSeed

	// The entries in memory, live ones and tombstones.
	index index
	slab  slab
	names names
	live  int

	// What is not on disk.
	dirty      []ref
	dirtyBytes int64
	frozen     []frozenEpoch
	deltas     deltaWriter
	spareRefs  [][]ref

	// What is on disk.
	disk diskReader
	// longs has the number of chunks of each long value in memory, by address;
	// hasLongs is set once the store has had any.
	longs    map[string]int
	hasLongs bool

	// Eviction: the block the hand is at, and the use of memory at which the
	// next sweep is worth its time.
	hand    int32
	sweepAt int64
	// sweepFrom is the address at which Sweep goes on; empty is the first.
	sweepFrom []byte

	keyBuf []byte
}

// Table opens the part of a store. The groups of one store must not overlap
// between open tables. A table is closed with the DB, or by Close.
func (db *DB) Table(o TableOptions) (*Table, error) {
	if o.Store > MaxStoreID || o.Last < o.First {
		return nil, fmt.Errorf("open table: store %d with key groups %d to %d is out of range", o.Store, o.First, o.Last)
	}
	t := &Table{
		db: db, opts: o, seed: newHashSeed(),
		index: newIndex(), slab: newSlab(), names: newNames(),
		disk: diskReader{db: db},
	}
	t.deltas.d = &Delta{}
	t.sweepAt = o.Memory
	if err := db.usable(); err != nil {
		return nil, fmt.Errorf("open table of store %d: %w", o.Store, err)
	}
	if !o.Complete {
		if err := t.readNamespaces(); err != nil {
			return nil, fmt.Errorf("open table of store %d: %w", o.Store, err)
		}
	}
	db.mu.Lock()
	db.tables[t] = struct{}{}
	db.mu.Unlock()
	return t, nil
}

// Close gives back what the table holds of the store. Changes that were not
// applied are lost, as they must be after a failure.
func (t *Table) Close() error {
	t.db.mu.Lock()
	delete(t.db.tables, t)
	t.db.mu.Unlock()
	return t.disk.close()
}

// Len is the number of live entries in memory.
func (t *Table) Len() int { return t.live }

// DirtyBytes is the memory of what changed since the last freeze.
func (t *Table) DirtyBytes() int64 { return t.dirtyBytes }

// Bytes is the memory of the table: entries, index, frozen deltas.
func (t *Table) Bytes() int64 {
	n := t.slab.total() + t.index.bytes() + 4*int64(cap(t.dirty))
	for _, f := range t.frozen {
		n += f.delta.bytes
	}
	return n
}

// tag is the hash of an address.
func (t *Table) tag(g record.KeyGroup, ns int64, key []byte) uint32 {
	return t.seed.hash(uint64(g), uint64(ns), key)
}

// find is the slot of an address in memory, live or a tombstone; 0 if there is
// none.
func (t *Table) find(tag uint32, g record.KeyGroup, ns int64, key []byte) (ref, slot) {
	words := t.index.words
	mask := uint32(len(words) - 1)
	for i := tag >> (t.index.shift & 31); ; i++ {
		w := words[i&mask]
		if w == 0 {
			return 0, nil
		}
		if uint32(w>>32) == tag {
			r := ref(w)
			if s := t.slab.at(r); s.holds(g, ns, key) {
				return r, s
			}
		}
	}
}

// Get is the value at an address.
func (t *Table) Get(g record.KeyGroup, ns int64, key []byte) (value []byte, ok bool, err error) {
	tag := t.tag(g, ns, key)
	if _, s := t.find(tag, g, ns, key); s != nil {
		if s.is(flagTomb) {
			return nil, false, nil
		}
		if !s.is(flagTouched) {
			s.set(flagTouched)
		}
		return s.value(), true, nil
	}
	_, s, err := t.load(tag, g, ns, key)
	if s == nil {
		return nil, false, err
	}
	return s.value(), true, nil
}

// Upsert is the value at an address, exactly size bytes, to be changed in place
// until the next call; the entry counts as changed. fresh says that the key did
// not exist: the value is zero then. It is an error if the key has a value of
// another size.
func (t *Table) Upsert(g record.KeyGroup, ns int64, key []byte, size int) (value []byte, fresh bool, err error) {
	tag := t.tag(g, ns, key)
	r, s := t.find(tag, g, ns, key)
	if s == nil {
		if r, s, err = t.load(tag, g, ns, key); err != nil {
			return nil, false, err
		}
	}
	if s == nil || s.is(flagTomb) {
		return t.create(r, tag, g, ns, key, size)
	}
	if s.valueLen() != size {
		return nil, false, t.sizeError(s, size)
	}
	s.set(flagTouched)
	if !s.is(flagDirty) {
		t.markDirty(r, s)
	}
	return s.value(), false, nil
}

func (t *Table) sizeError(s slot, size int) error {
	return fmt.Errorf("store %d: a value has %d bytes where %d are expected", t.opts.Store, s.valueLen(), size)
}

// create makes an entry of zeros at an address that does not exist: r is its
// tombstone, or 0.
func (t *Table) create(r ref, tag uint32, g record.KeyGroup, ns int64, key []byte, size int) ([]byte, bool, error) {
	var s slot
	var err error
	if r != 0 {
		_, s, err = t.resize(r, tag, size)
	} else {
		// The key is certain not to be on disk: load has looked.
		_, s, err = t.insert(tag, g, ns, key, size, 0)
	}
	if err != nil {
		return nil, false, err
	}
	v := s.value()
	clear(v)
	return v, true, nil
}

// Put sets the value at an address.
func (t *Table) Put(g record.KeyGroup, ns int64, key, value []byte) error {
	if len(value) > maxValue {
		return fmt.Errorf("store %d: a value of %d bytes is too long", t.opts.Store, len(value))
	}
	tag := t.tag(g, ns, key)
	r, s := t.find(tag, g, ns, key)
	var err error
	if s == nil && t.hasLongs {
		// The number of chunks to delete must be known.
		if r, s, err = t.load(tag, g, ns, key); err != nil {
			return err
		}
	}
	if s != nil {
		_, s, err = t.resize(r, tag, len(value))
	} else {
		var flags byte
		if t.names.onDisk(ns) {
			flags = flagOnDisk
		}
		_, s, err = t.insert(tag, g, ns, key, len(value), flags)
	}
	if err != nil {
		return err
	}
	copy(s.value(), value)
	return nil
}

// Delete removes the value at an address, if there is one.
func (t *Table) Delete(g record.KeyGroup, ns int64, key []byte) error {
	tag := t.tag(g, ns, key)
	r, s := t.find(tag, g, ns, key)
	if s != nil {
		t.remove(r, s, tag)
		return nil
	}
	if !t.names.onDisk(ns) {
		return nil
	}
	stored, ok, err := t.lookup(g, ns, key)
	if err != nil || !ok {
		return err
	}
	if err := t.noteLong(t.keyBuf, stored); err != nil {
		return err
	}
	return t.insertTomb(tag, g, ns, key)
}

// remove makes an entry a tombstone, or forgets it if it never was on disk.
func (t *Table) remove(r ref, s slot, tag uint32) {
	if s.is(flagTomb) {
		return
	}
	t.names.unlink(&t.slab, r, s)
	t.live--
	if s.is(flagOnDisk) {
		s.set(flagTomb | flagTouched)
		t.resized(r, s, 0)
		t.names.doubt(s.namespace())
		return
	}
	// Born since the last freeze, so no delta holds it.
	if s.is(flagDirty) {
		t.unmarkDirty(s)
	}
	t.names.drop(s.namespace())
	t.index.remove(tag, r)
	t.slab.free(r)
}

// insert adds a dirty entry with a value of n bytes of unspecified contents.
func (t *Table) insert(tag uint32, g record.KeyGroup, ns int64, key []byte, n int, flags byte) (ref, slot, error) {
	r, s, err := t.add(tag, g, ns, key, n, flags)
	if err != nil {
		return 0, nil, err
	}
	t.markDirty(r, s)
	t.names.link(&t.slab, r, s)
	t.live++
	t.limit(r)
	return r, s, nil
}

// insertTomb adds a tombstone for a key that is on disk.
func (t *Table) insertTomb(tag uint32, g record.KeyGroup, ns int64, key []byte) error {
	r, s, err := t.add(tag, g, ns, key, 0, flagOnDisk|flagTomb)
	if err != nil {
		return err
	}
	t.markDirty(r, s)
	t.names.doubt(ns)
	t.limit(r)
	return nil
}

// add makes a slot and puts it into the index.
func (t *Table) add(tag uint32, g record.KeyGroup, ns int64, key []byte, n int, flags byte) (ref, slot, error) {
	if len(key) > maxKey {
		return 0, nil, fmt.Errorf("store %d: a key of %d bytes is too long", t.opts.Store, len(key))
	}
	r, err := t.slab.alloc(headerSize + len(key) + n)
	if err != nil {
		return 0, nil, fmt.Errorf("store %d: %w", t.opts.Store, err)
	}
	s := t.slab.at(r)
	s.write(g, ns, key, n, flags|flagTouched)
	t.index.insert(tag, r)
	return r, s, nil
}

// maxKey is the longest key; the address must fit in a record of the changelog.
const maxKey = 256 << 10

// resize makes the entry a live, dirty one whose value has n bytes of
// unspecified contents; it may move.
func (t *Table) resize(r ref, tag uint32, n int) (ref, slot, error) {
	s := t.slab.at(r)
	need, have := headerSize+s.keyLen()+n, t.slab.size(r)
	if need > have || need < have/4 && have > linearUpTo {
		var err error
		if r, s, err = t.move(r, s, tag, need); err != nil {
			return 0, nil, err
		}
	}
	if s.is(flagTomb) {
		s.clear(flagTomb)
		t.names.link(&t.slab, r, s)
		t.live++
	}
	s.set(flagTouched)
	t.resized(r, s, n)
	return r, s, nil
}

// resized sets the length of a value within its slot and marks the entry dirty.
func (t *Table) resized(r ref, s slot, n int) {
	s.setValueLen(n)
	if !s.is(flagDirty) {
		t.markDirty(r, s)
	}
}

// move gives an entry another slot. The old one is kept, dead, as long as a
// delta that is not applied counts on finding it.
func (t *Table) move(r ref, s slot, tag uint32, need int) (ref, slot, error) {
	to, err := t.slab.alloc(need)
	if err != nil {
		return 0, nil, fmt.Errorf("store %d: %w", t.opts.Store, err)
	}
	d := t.slab.at(to)
	flags := s[atFlags] &^ flagDirty
	d.write(s.group(), s.namespace(), s.key(), 0, flags)
	if !s.is(flagTomb) {
		t.names.unlink(&t.slab, r, s)
		t.names.link(&t.slab, to, d)
	}
	t.index.replace(tag, r, to)
	if s.is(flagDirty) {
		t.unmarkDirty(s)
	}
	t.markDirty(to, d)
	if s.pins() > 0 {
		s.set(flagDead)
	} else {
		t.slab.free(r)
	}
	return to, d, nil
}

// markDirty puts a clean entry into the dirty list.
func (t *Table) markDirty(r ref, s slot) {
	s.set(flagDirty)
	s.setDirtyAt(len(t.dirty))
	t.dirty = append(t.dirty, r)
	t.dirtyBytes += int64(t.slab.size(r))
}

// unmarkDirty takes an entry out of the dirty list; the last one takes its
// place.
func (t *Table) unmarkDirty(s slot) {
	i, last := s.dirtyAt(), len(t.dirty)-1
	t.dirtyBytes -= int64(t.slab.size(t.dirty[i]))
	if i != last {
		t.dirty[i] = t.dirty[last]
		t.slab.at(t.dirty[i]).setDirtyAt(i)
	}
	t.dirty = t.dirty[:last]
	s.clear(flagDirty)
}
