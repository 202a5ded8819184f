package state

import (
	"encoding/binary"

	"kstream/record"
)

// slot is the memory of one entry: a header, the key bytes, the value, and
// unused bytes up to the size of its class. It is read through fixed offsets
// rather than as a struct, so that tables are plain bytes, which the garbage
// collector does not look into.
type slot []byte

// The header. next and prev link the live entries of a namespace; in a free
// slot, next links the free slots of its block.
const (
	atNamespace = 0  // int64
	atNext      = 8  // ref
	atPrev      = 12 // ref
	atDirty     = 16 // uint32, place in the dirty list while flagDirty
	atValueLen  = 20 // uint32
	atKeyLen    = 24 // uint32
	atGroup     = 28 // uint16
	atFlags     = 30
	atPins      = 31 // number of frozen epochs that are not applied and hold the entry
	headerSize  = 32
)

// Flags of a slot.
const (
	flagUsed    = 1 << iota // not free
	flagTomb                // the key does not exist
	flagDirty               // changed since the last freeze
	flagOnDisk              // the key may be on disk, or in a delta that is not applied
	flagTouched             // used since the hand of the eviction passed
	flagDead                // moved elsewhere; kept while pinned
)

func (s slot) namespace() int64  { return int64(binary.LittleEndian.Uint64(s[atNamespace:])) }
func (s slot) next() ref         { return ref(binary.LittleEndian.Uint32(s[atNext:])) }
func (s slot) setNext(r ref)     { binary.LittleEndian.PutUint32(s[atNext:], uint32(r)) }
func (s slot) prev() ref         { return ref(binary.LittleEndian.Uint32(s[atPrev:])) }
func (s slot) setPrev(r ref)     { binary.LittleEndian.PutUint32(s[atPrev:], uint32(r)) }
func (s slot) dirtyAt() int      { return int(binary.LittleEndian.Uint32(s[atDirty:])) }
func (s slot) setDirtyAt(i int)  { binary.LittleEndian.PutUint32(s[atDirty:], uint32(i)) }
func (s slot) valueLen() int     { return int(binary.LittleEndian.Uint32(s[atValueLen:])) }
func (s slot) setValueLen(n int) { binary.LittleEndian.PutUint32(s[atValueLen:], uint32(n)) }
func (s slot) keyLen() int       { return int(binary.LittleEndian.Uint32(s[atKeyLen:])) }
func (s slot) group() record.KeyGroup {
	return record.KeyGroup(binary.LittleEndian.Uint16(s[atGroup:]))
}
func (s slot) is(flag byte) bool { return s[atFlags]&flag != 0 }
func (s slot) set(flag byte)     { s[atFlags] |= flag }
func (s slot) clear(flag byte)   { s[atFlags] &^= flag }
func (s slot) pins() byte        { return s[atPins] }

func (s slot) key() []byte {
	return s[headerSize : headerSize+s.keyLen()]
}

// value is the value with no room behind it, so that an append cannot run into
// a neighbour.
func (s slot) value() []byte {
	from := headerSize + s.keyLen()
	to := from + s.valueLen()
	return s[from:to:to]
}

// holds reports whether the slot is the entry of the address.
func (s slot) holds(g record.KeyGroup, ns int64, key []byte) bool {
	// Length of the key and group stand side by side.
	const mask = 1<<48 - 1
	return s.namespace() == ns &&
		binary.LittleEndian.Uint64(s[atKeyLen:])&mask == uint64(uint32(len(key)))|uint64(g)<<32 &&
		string(s[headerSize:headerSize+len(key)]) == string(key)
}

// write sets the header and the key of a new entry with a value of n bytes of
// unspecified contents.
func (s slot) write(g record.KeyGroup, ns int64, key []byte, n int, flags byte) {
	binary.LittleEndian.PutUint64(s[atNamespace:], uint64(ns))
	binary.LittleEndian.PutUint64(s[atNext:], 0) // next and prev
	s.setDirtyAt(0)
	s.setValueLen(n)
	binary.LittleEndian.PutUint32(s[atKeyLen:], uint32(len(key)))
	binary.LittleEndian.PutUint16(s[atGroup:], uint16(g))
	s[atFlags] = flags | flagUsed
	s[atPins] = 0
	copy(s[headerSize:], key)
}
