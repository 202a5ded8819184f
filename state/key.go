package state

import (
	"encoding/binary"
	"fmt"

	"kstream/record"
)

// StoreID names a store inside one generation of the changelog. The checkpoint
// record maps the uid of an operator to it.
type StoreID uint16

// The identifiers a store may have: the upper half is taken by the chunks of
// long values, and the last one by the meta record.
const (
	MinStoreID StoreID = 0
	MaxStoreID StoreID = 0x7ffe

	chunkBit  = 0x8000
	metaStore = 0xffff
)

// PrefixSize is the length of what stands before the key bytes: store id, key
// group, namespace.
const PrefixSize = 2 + 2 + 8

const (
	groupEnd    = 4 // store id and key group
	chunkSuffix = 4 // number of a chunk, big endian, behind the key bytes
)

// Address is a parsed key.
type Address struct {
	Store     StoreID
	Group     record.KeyGroup
	Namespace int64
	Key       []byte
	// Chunk is the number of a piece of a long value, or -1.
	Chunk int
}

// AppendKey appends the address of an entry as it stands in Pebble and, behind
// a format byte, in the changelog: its byte order is the order of store, key
// group, namespace, key.
func AppendKey(dst []byte, s StoreID, g record.KeyGroup, ns int64, key []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(s))
	dst = binary.BigEndian.AppendUint16(dst, uint16(g))
	dst = binary.BigEndian.AppendUint64(dst, sortable(ns))
	return append(dst, key...)
}

// sortable flips the sign, which makes unsigned order the order of the numbers.
func sortable(ns int64) uint64 { return uint64(ns) ^ 1<<63 }

func unsortable(u uint64) int64 { return int64(u ^ 1<<63) }

// ParseKey takes an address apart. Key shares b.
func ParseKey(b []byte) (Address, error) {
	if len(b) < PrefixSize {
		return Address{}, fmt.Errorf("state key of %d bytes is shorter than its prefix", len(b))
	}
	id := binary.BigEndian.Uint16(b)
	a := Address{
		Store:     StoreID(id &^ chunkBit),
		Group:     record.KeyGroup(binary.BigEndian.Uint16(b[2:])),
		Namespace: unsortable(binary.BigEndian.Uint64(b[4:])),
		Key:       b[PrefixSize:],
		Chunk:     -1,
	}
	if a.Store > MaxStoreID {
		return Address{}, fmt.Errorf("state key has the reserved store id %d", id)
	}
	if id&chunkBit != 0 {
		if len(a.Key) < chunkSuffix {
			return Address{}, fmt.Errorf("state key of a chunk has no chunk number")
		}
		n := len(a.Key) - chunkSuffix
		a.Chunk = int(binary.BigEndian.Uint32(a.Key[n:]))
		a.Key = a.Key[:n]
	}
	return a, nil
}

// appendChunkKey appends the address of piece i of the value at key, which is a
// whole address. The pieces have a store id of their own, so that a scan of the
// store does not meet them; the fixed length of the number keeps the addresses
// of different keys apart.
func appendChunkKey(dst, key []byte, i int) []byte {
	at := len(dst)
	dst = append(dst, key...)
	dst[at] |= chunkBit >> 8
	return binary.BigEndian.AppendUint32(dst, uint32(i))
}

// Append appends the address as a key.
func (a Address) Append(dst []byte) []byte {
	whole := AppendKey(nil, a.Store, a.Group, a.Namespace, a.Key)
	if a.Chunk < 0 {
		return append(dst, whole...)
	}
	return appendChunkKey(dst, whole, a.Chunk)
}

// nextPrefix is the smallest key above all keys that begin with p; nil if there
// is none.
func nextPrefix(dst, p []byte) []byte {
	dst = append(dst[:0], p...)
	for i := len(dst) - 1; i >= 0; i-- {
		if dst[i]++; dst[i] != 0 {
			return dst[:i+1]
		}
	}
	return nil
}
