package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2"

	"kstream/record"
)

// diskReader reads one table's part of Pebble. Its iterator is a snapshot that
// lives until the next Applied: a key read through it has no change that is not
// applied, or it would be found in memory.
type diskReader struct {
	db   *DB
	it   *pebble.Iterator
	long []byte // the last long value that was put together
}

func (d *diskReader) close() error {
	if d.it == nil || d.db.stopped() {
		return nil
	}
	err := d.it.Close()
	d.it = nil
	return err
}

// open makes the iterator if there is none.
func (d *diskReader) open() (err error) {
	if d.it != nil {
		return nil
	}
	if err := d.db.usable(); err != nil {
		return err
	}
	d.it, err = d.db.p.NewIter(&pebble.IterOptions{UseL6Filters: true})
	return d.db.damage(err)
}

// get is what is stored at a whole key, valid until the next call. The prefix
// seek with filters on the last level too is what makes a miss cheap.
func (d *diskReader) get(key []byte) (stored []byte, ok bool, err error) {
	if err := d.open(); err != nil {
		return nil, false, err
	}
	select {
	case <-d.db.failed:
		return nil, false, d.db.usable()
	default:
	}
	if !d.it.SeekPrefixGE(key) {
		return nil, false, d.db.damage(d.it.Error())
	}
	if !bytes.Equal(d.it.Key(), key) {
		return nil, false, nil
	}
	stored, err = d.it.ValueAndErr()
	return stored, err == nil, d.db.damage(err)
}

// value is the value that stored stands for, put together if it is in chunks.
func (d *diskReader) value(key, stored []byte) ([]byte, error) {
	whole, length, err := parseValue(stored)
	if err != nil {
		return nil, d.db.fail(fmt.Errorf("%w: %w at key %s", ErrCorrupt, err, strconv.Quote(string(key))))
	}
	if whole != nil {
		return whole, nil
	}
	d.long = d.long[:0]
	var chunkKey []byte
	for i := range chunkCount(length) {
		chunkKey = appendChunkKey(chunkKey[:0], key, i)
		b, closer, err := d.db.p.Get(chunkKey)
		if errors.Is(err, pebble.ErrNotFound) {
			err = fmt.Errorf("%w: chunk %d is missing at key %s", ErrCorrupt, i, strconv.Quote(string(key)))
		}
		if err != nil {
			return nil, d.db.damage(err)
		}
		d.long = append(d.long, b...)
		if err := closer.Close(); err != nil {
			return nil, d.db.damage(err)
		}
	}
	if len(d.long) != length {
		return nil, d.db.fail(fmt.Errorf("%w: a value in chunks has %d bytes instead of %d", ErrCorrupt, len(d.long), length))
	}
	return d.long, nil
}

// Value is the value of a key met by Iterate, put together if it is in chunks;
// it may share stored. ok is false for a key that is a chunk itself.
func (db *DB) Value(key, stored []byte) (value []byte, ok bool, err error) {
	if binary.BigEndian.Uint16(key)&chunkBit != 0 {
		return nil, false, nil
	}
	d := diskReader{db: db}
	value, err = d.value(key, stored)
	return value, err == nil, err
}

// lookup reads what is stored at an address; the whole key is in keyBuf.
func (t *Table) lookup(g record.KeyGroup, ns int64, key []byte) (stored []byte, ok bool, err error) {
	t.keyBuf = AppendKey(t.keyBuf[:0], t.opts.Store, g, ns, key)
	return t.disk.get(t.keyBuf)
}

// load brings an entry that is not in memory from the disk. s is nil if there
// is none.
func (t *Table) load(tag uint32, g record.KeyGroup, ns int64, key []byte) (ref, slot, error) {
	if !t.names.onDisk(ns) {
		return 0, nil, nil
	}
	stored, ok, err := t.lookup(g, ns, key)
	if err != nil || !ok {
		return 0, nil, err
	}
	value, err := t.disk.value(t.keyBuf, stored)
	if err != nil {
		return 0, nil, err
	}
	if err := t.noteLong(t.keyBuf, stored); err != nil {
		return 0, nil, err
	}
	r, s, err := t.add(tag, g, ns, key, len(value), flagOnDisk)
	if err != nil {
		return 0, nil, err
	}
	copy(s.value(), value)
	t.names.link(&t.slab, r, s)
	t.live++
	t.limit(r)
	return r, s, nil
}

// noteLong remembers the number of chunks of a stored value.
func (t *Table) noteLong(key, stored []byte) error {
	if len(stored) > 0 && stored[0] == valueWhole {
		return nil
	}
	_, length, err := parseValue(stored)
	if err != nil {
		return t.db.fail(fmt.Errorf("%w: %w", ErrCorrupt, err))
	}
	if t.longs == nil {
		t.longs = map[string]int{}
	}
	t.longs[string(key)] = chunkCount(length)
	t.hasLongs = true
	return nil
}

// readNamespaces finds the namespaces on disk, and whether there are long
// values.
func (t *Table) readNamespaces() error {
	lower := AppendKey(nil, t.opts.Store, t.opts.First, 0, nil)[:groupEnd]
	last := AppendKey(nil, t.opts.Store, t.opts.Last, 0, nil)[:groupEnd]
	it, err := t.db.p.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: nextPrefix(nil, last)})
	if err != nil {
		return t.db.damage(err)
	}
	var seen, seek []byte
	for ok := it.First(); ok; {
		k := it.Key()
		if len(seen) > 0 && bytes.HasPrefix(k, seen) {
			// Many keys in one namespace: jump over them.
			if seek = nextPrefix(seek, seen); seek == nil {
				break
			}
			seen = seen[:0]
			ok = it.SeekGE(seek)
			continue
		}
		a, err := ParseKey(k)
		if err != nil {
			return errors.Join(t.db.fail(fmt.Errorf("%w: %w", ErrCorrupt, err)), it.Close())
		}
		t.names.ensure(a.Namespace).disk = true
		seen = append(seen[:0], k[:PrefixSize]...)
		ok = it.Next()
	}
	if err := t.db.damage(errors.Join(it.Error(), it.Close())); err != nil {
		return err
	}
	lower[0] |= chunkBit >> 8
	last[0] |= chunkBit >> 8
	it, err = t.db.p.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: nextPrefix(nil, last)})
	if err != nil {
		return t.db.damage(err)
	}
	t.hasLongs = it.First()
	return t.db.damage(errors.Join(it.Error(), it.Close()))
}

// address is where a scan is, and the whole key of it.
type address struct {
	Address
	tag   uint32
	whole []byte
}

// errStop ends a scan early.
var errStop = errors.New("stop")

// scanDisk calls fn with what is stored for the keys of a namespace that are on
// disk and not in memory.
func (t *Table) scanDisk(ns int64, fn func(a address, stored []byte) error) error {
	if err := t.db.usable(); err != nil {
		return err
	}
	it, err := t.db.p.NewIter(nil)
	if err != nil {
		return t.db.damage(err)
	}
	for g := int(t.opts.First); g <= int(t.opts.Last) && err == nil; g++ {
		prefix := AppendKey(nil, t.opts.Store, record.KeyGroup(g), ns, nil)
		it.SetBounds(prefix, nextPrefix(nil, prefix))
		for it.First(); it.Valid() && err == nil; it.Next() {
			key := it.Key()
			tag := t.tag(record.KeyGroup(g), ns, key[PrefixSize:])
			if _, s := t.find(tag, record.KeyGroup(g), ns, key[PrefixSize:]); s != nil {
				continue
			}
			var stored []byte
			if stored, err = it.ValueAndErr(); err == nil {
				a := Address{Store: t.opts.Store, Group: record.KeyGroup(g), Namespace: ns, Key: key[PrefixSize:], Chunk: -1}
				err = fn(address{Address: a, tag: tag, whole: key}, stored)
			}
		}
		err = errors.Join(err, it.Error())
	}
	if errors.Is(err, errStop) {
		err = nil
	}
	return t.db.damage(errors.Join(err, it.Close()))
}

// Scan calls fn with every live entry of a namespace: those in memory in the
// order they came, then the others in the order of their keys. Key and value
// are valid during the call, in which fn must not change the table.
func (t *Table) Scan(ns int64, fn func(g record.KeyGroup, key, value []byte) error) error {
	i := t.names.info(ns)
	if i == nil {
		return nil
	}
	disk := i.disk
	for r := i.head; r != 0; {
		s := t.slab.at(r)
		if err := fn(s.group(), s.key(), s.value()); err != nil {
			return err
		}
		r = s.next()
	}
	if !disk {
		return nil
	}
	return t.scanDisk(ns, func(a address, stored []byte) error {
		value, err := t.disk.value(a.whole, stored)
		if err != nil {
			return err
		}
		return fn(a.Group, a.Key, value)
	})
}

// DropNamespace deletes every entry of a namespace.
func (t *Table) DropNamespace(ns int64) error {
	// Memory first: what the insertions below evict must not be of this
	// namespace, or the scan could have passed it already.
	for i := t.names.info(ns); i != nil && i.head != 0; i = t.names.info(ns) {
		r := i.head
		s := t.slab.at(r)
		t.remove(r, s, t.tag(s.group(), ns, s.key()))
	}
	if !t.names.onDisk(ns) {
		return nil
	}
	err := t.scanDisk(ns, func(a address, stored []byte) error {
		if err := t.noteLong(a.whole, stored); err != nil {
			return err
		}
		return t.insertTomb(a.tag, a.Group, ns, a.Key)
	})
	if err != nil {
		return err
	}
	t.names.info(ns).disk = false // every entry there has its tombstone in memory
	t.names.drop(ns)
	return nil
}
