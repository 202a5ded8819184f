package record

import "encoding/binary"

// Murmur2 is the 32-bit murmur2 hash with the seed of the Java client's
// default partitioner, so that keys land where the Java client puts them.
func Murmur2(b []byte) int32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(b))
	for len(b) >= 4 {
		k := binary.LittleEndian.Uint32(b) * m
		k ^= k >> r
		h = h*m ^ k*m
		b = b[4:]
	}
	switch len(b) {
	case 3:
		h ^= uint32(b[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(b[1]) << 8
		fallthrough
	case 1:
		h ^= uint32(b[0])
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return int32(h)
}

// ToPositive clears the sign bit. It is not the absolute value: that of the
// smallest int32 is negative.
func ToPositive(h int32) int32 { return h & 0x7fffffff }

// KeyGroupOf is the key group of a key in the order-preserving encoding, out of
// groups 0 to max-1. State is placed by it.
func KeyGroupOf(encodedKey []byte, max int) KeyGroup {
	return KeyGroup(ToPositive(Murmur2(encodedKey)) % int32(max))
}

// PartitionOf is the output partition of a record key as it is written, out of
// n partitions. It agrees with the Java client and not with KeyGroupOf.
func PartitionOf(key []byte, n int32) int32 {
	return ToPositive(Murmur2(key)) % n
}
