package state

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
)

// hashSeed makes the hash of addresses in one table: a few multiplications,
// since keys are short. The seeds are random and stay in the process, so nobody
// can choose keys that fall together.
type hashSeed struct{ a, b, c uint64 }

func newHashSeed() hashSeed {
	s := maphash.MakeSeed()
	return hashSeed{maphash.String(s, "a") | 1, maphash.String(s, "b") | 1, maphash.String(s, "c") | 1}
}

// hash of a group, a namespace and a key.
func (s *hashSeed) hash(g, ns uint64, key []byte) uint32 {
	n := len(key)
	h := mix(ns^s.a, (g<<32|uint64(n))^s.b)
	for ; len(key) > 16; key = key[16:] {
		h = mix(binary.LittleEndian.Uint64(key)^s.c^h, binary.LittleEndian.Uint64(key[8:])^s.b)
	}
	var x, y uint64 // the last 16 bytes, which may overlap each other
	switch k := len(key); {
	case k >= 8:
		x, y = binary.LittleEndian.Uint64(key), binary.LittleEndian.Uint64(key[k-8:])
	case k >= 4:
		x, y = uint64(binary.LittleEndian.Uint32(key)), uint64(binary.LittleEndian.Uint32(key[k-4:]))
	case k > 0:
		x, y = uint64(key[0])<<16|uint64(key[k/2])<<8|uint64(key[k-1]), 0
	}
	return uint32(mix(x^s.a^h, y^s.c) >> 32)
}

// mix multiplies to 128 bits and folds them.
func mix(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
