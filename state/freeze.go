package state

import "encoding/binary"

// frozenEpoch is a delta that is not applied yet, and the slots that hold its
// entries.
type frozenEpoch struct {
	epoch uint64
	delta *Delta
	refs  []ref
}

// pinsMax bounds the epochs that may be frozen and not applied.
const pinsMax = 200

// Freeze ends an epoch: what changed since the last one is encoded, and the
// next epoch begins. The entries stay in memory until Applied.
func (t *Table) Freeze(epoch uint64) *Delta {
	if len(t.frozen) >= pinsMax {
		panic("state: too many epochs are frozen and not applied")
	}
	d := &Delta{Epoch: epoch}
	t.deltas.d = d
	for _, r := range t.dirty {
		s := t.slab.at(r)
		t.encode(s)
		s.clear(flagDirty)
		s.set(flagOnDisk)
		s[atPins]++
	}
	refs := t.dirty
	t.dirty = nil
	if n := len(t.spareRefs); n > 0 {
		t.dirty = t.spareRefs[n-1]
		t.spareRefs = t.spareRefs[:n-1]
	}
	t.dirtyBytes = 0
	t.frozen = append(t.frozen, frozenEpoch{epoch: epoch, delta: d, refs: refs})
	return d
}

// encode writes one entry to the delta.
func (t *Table) encode(s slot) {
	if t.hasLongs || s.valueLen() > ChunkSize {
		t.encodeLong(s)
		return
	}
	n := -1
	if !s.is(flagTomb) {
		n = 1 + s.valueLen()
	}
	key, value := t.deltas.add(PrefixSize+s.keyLen(), n)
	t.fillKey(key, s)
	if n > 0 {
		value[0] = valueWhole
		copy(value[1:], s.value())
	}
}

// fillKey writes the address of an entry into memory of the right size.
func (t *Table) fillKey(dst []byte, s slot) {
	binary.BigEndian.PutUint16(dst, uint16(t.opts.Store))
	binary.BigEndian.PutUint16(dst[2:], uint16(s.group()))
	binary.BigEndian.PutUint64(dst[4:], sortable(s.namespace()))
	copy(dst[PrefixSize:], s.key())
}

// encodeLong writes one entry of a store that has long values: the entry, its
// chunks, and deletions of the chunks that an earlier value had more.
func (t *Table) encodeLong(s slot) {
	t.keyBuf = AppendKey(t.keyBuf[:0], t.opts.Store, s.group(), s.namespace(), s.key())
	chunks, before := 0, t.longs[string(t.keyBuf)]
	switch v := s.value(); {
	case s.is(flagTomb):
		key, _ := t.deltas.add(len(t.keyBuf), -1)
		copy(key, t.keyBuf)
	case len(v) <= ChunkSize:
		key, value := t.deltas.add(len(t.keyBuf), 1+len(v))
		copy(key, t.keyBuf)
		value[0] = valueWhole
		copy(value[1:], v)
	default:
		chunks = chunkCount(len(v))
		var head [9]byte
		t.deltas.put(t.keyBuf, appendChunkedValue(head[:0], len(v)))
		for i := range chunks {
			piece := v[i*ChunkSize : min((i+1)*ChunkSize, len(v))]
			t.deltas.put(appendChunkKey(nil, t.keyBuf, i), piece)
		}
	}
	for i := chunks; i < before; i++ {
		t.deltas.put(appendChunkKey(nil, t.keyBuf, i), nil)
	}
	if chunks > 0 {
		if t.longs == nil {
			t.longs = map[string]int{}
		}
		t.longs[string(t.keyBuf)] = chunks
		t.hasLongs = true
	} else if before > 0 {
		delete(t.longs, string(t.keyBuf))
	}
}

// put adds an entry; a nil value is a deletion.
func (w *deltaWriter) put(key, value []byte) {
	n := len(value)
	if value == nil {
		n = -1
	}
	k, v := w.add(len(key), n)
	copy(k, key)
	copy(v, value)
}

// Applied tells the table that its deltas up to an epoch are in the store:
// their entries are clean, unless they changed again, and may be evicted. The
// deltas must not be used any more.
func (t *Table) Applied(epoch uint64) {
	n := 0
	for ; n < len(t.frozen) && t.frozen[n].epoch <= epoch; n++ {
		t.settle(&t.frozen[n])
	}
	if n == 0 {
		return
	}
	kept := copy(t.frozen, t.frozen[n:])
	clear(t.frozen[kept:])
	t.frozen = t.frozen[:kept]
	t.sweepAt = t.opts.Memory
	// What is evicted from here on must be found by a later read.
	if err := t.disk.close(); err != nil {
		_ = t.db.fail(classify(err)) // the next read returns it
	}
	t.limit(0)
}

// settle unpins the slots of a delta that was applied.
func (t *Table) settle(f *frozenEpoch) {
	for _, r := range f.refs {
		s := t.slab.at(r)
		s[atPins]--
		if s.pins() > 0 {
			continue
		}
		if s.is(flagDead) {
			t.slab.free(r)
		} else if s.is(flagTomb) && !s.is(flagDirty) {
			t.forget(r, s)
		}
	}
	// Two frozen epochs at a time are the most that is usual.
	t.deltas.recycle(f.delta, 2+len(f.delta.pages))
	if len(t.spareRefs) < 2 {
		t.spareRefs = append(t.spareRefs, f.refs[:0])
	}
}

// forget removes an entry from memory that is in no list but the index.
func (t *Table) forget(r ref, s slot) {
	t.index.remove(t.tag(s.group(), s.namespace(), s.key()), r)
	t.slab.free(r)
}

// limit evicts clean entries when the table is over its memory, sparing one. A
// sweep that finds too little is not repeated before the table grew by a
// sixteenth: the rest is dirty, and only a checkpoint helps.
func (t *Table) limit(spare ref) {
	if t.opts.Memory <= 0 || t.use() <= t.sweepAt {
		return
	}
	if spare != 0 {
		t.slab.at(spare)[atPins]++
	}
	t.sweep(t.opts.Memory - t.opts.Memory/32)
	t.compact()
	if spare != 0 {
		t.slab.at(spare)[atPins]--
	}
	t.sweepAt = max(t.opts.Memory, t.use()+t.opts.Memory/16)
}

// use is what counts against the limit.
func (t *Table) use() int64 { return t.slab.used + t.index.bytes() }

// sweep moves the hand over the blocks, at most twice around, until the table
// is small enough. The first visit of an entry takes its mark of use away, the
// second one evicts it.
func (t *Table) sweep(target int64) {
	for range 2 * len(t.slab.blocks) {
		if t.use() <= target {
			return
		}
		if t.hand++; int(t.hand) >= len(t.slab.blocks) {
			t.hand = 0 // which is no block
		}
		t.slab.each(t.hand, func(r ref, s slot) {
			if s.is(flagTouched) {
				s.clear(flagTouched)
			} else {
				t.evict(r, s)
			}
		})
	}
}

// compact empties blocks that are mostly free when the blocks take much more
// memory than the entries, which happens when the sizes of values change.
func (t *Table) compact() {
	slack := max(t.opts.Memory/4, 16*blockSize)
	for i := int32(1); int(i) < len(t.slab.blocks) && t.slab.total()-t.slab.memory.spare() > t.opts.Memory+slack; i++ {
		b := &t.slab.blocks[i]
		if t.slab.mem[i] == nil || b.class == noClass || int(b.used)*slotSizes[b.class] > blockSize/2 {
			continue
		}
		t.slab.each(i, t.evict)
	}
}

// evict forgets an entry whose value is on disk.
func (t *Table) evict(r ref, s slot) {
	if s.pins() > 0 || s[atFlags]&(flagDirty|flagTomb|flagDead) != 0 {
		return
	}
	if t.longs != nil {
		t.keyBuf = AppendKey(t.keyBuf[:0], t.opts.Store, s.group(), s.namespace(), s.key())
		delete(t.longs, string(t.keyBuf))
	}
	t.names.info(s.namespace()).disk = true
	t.names.unlink(&t.slab, r, s)
	t.live--
	t.forget(r, s)
}
