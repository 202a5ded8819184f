package expr

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"math/bits"

	"kstream/record"
)

func hashFunctions() map[string]*function {
	text, number := fixed(textType), fixed(intType)
	return map[string]*function{
		"md5": {sig: "md5(x)", params: "s", result: text, f1: func(e *Env, v record.Value) record.Value {
			sum := md5.Sum(v.Raw())
			return e.made(hex.AppendEncode(e.scratch[:0], sum[:]))
		}},
		"sha1": {sig: "sha1(x)", params: "s", result: text, f1: func(e *Env, v record.Value) record.Value {
			sum := sha1.Sum(v.Raw())
			return e.made(hex.AppendEncode(e.scratch[:0], sum[:]))
		}},
		"sha256": {sig: "sha256(x)", params: "s", result: text, f1: func(e *Env, v record.Value) record.Value {
			sum := sha256.Sum256(v.Raw())
			return e.made(hex.AppendEncode(e.scratch[:0], sum[:]))
		}},
		"xxhash": {sig: "xxhash(x)", params: "s", result: number, f1: func(_ *Env, v record.Value) record.Value {
			return record.Int(int64(xxh64(v.Raw())))
		}},
		"crc32": {sig: "crc32(x)", params: "s", result: number, f1: func(_ *Env, v record.Value) record.Value {
			return record.Int(int64(crc32.ChecksumIEEE(v.Raw())))
		}},
		"murmur2": {sig: "murmur2(x)", params: "s", result: number, f1: func(_ *Env, v record.Value) record.Value {
			return record.Int(int64(record.Murmur2(v.Raw())))
		}},
		"uuid": {sig: "uuid()", result: text, impure: true, f0: uuid},
	}
}

// uuid is a random UUID, version 4.
func uuid(e *Env) record.Value {
	if e.Rand == nil {
		return e.fail("there is no source of random numbers here")
	}
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], e.Rand.Uint64())
	binary.BigEndian.PutUint64(id[8:], e.Rand.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	b := e.scratch[:0]
	for i, part := range [...][]byte{id[:4], id[4:6], id[6:8], id[8:10], id[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return e.made(b)
}

// The primes of XXH64.
const (
	xxPrime1 uint64 = 11400714785074694791
	xxPrime2 uint64 = 14029467366897019727
	xxPrime3 uint64 = 1609587929392839161
	xxPrime4 uint64 = 9650029242287828579
	xxPrime5 uint64 = 2870177450012600261
)

func xxRound(acc, in uint64) uint64 {
	return bits.RotateLeft64(acc+in*xxPrime2, 31) * xxPrime1
}

// xxh64 is XXH64 with seed 0 (github.com/Cyan4973/xxHash, doc/xxhash_spec.md).
func xxh64(b []byte) uint64 {
	n := uint64(len(b))
	h := xxPrime5
	if len(b) >= 32 {
		var zero uint64
		acc := [4]uint64{zero + xxPrime1 + xxPrime2, xxPrime2, 0, zero - xxPrime1}
		for ; len(b) >= 32; b = b[32:] {
			for i := range acc {
				acc[i] = xxRound(acc[i], binary.LittleEndian.Uint64(b[8*i:]))
			}
		}
		h = bits.RotateLeft64(acc[0], 1) + bits.RotateLeft64(acc[1], 7) + bits.RotateLeft64(acc[2], 12) + bits.RotateLeft64(acc[3], 18)
		for _, a := range acc {
			h = (h^xxRound(0, a))*xxPrime1 + xxPrime4
		}
	}
	h += n
	for ; len(b) >= 8; b = b[8:] {
		h ^= xxRound(0, binary.LittleEndian.Uint64(b))
		h = bits.RotateLeft64(h, 27)*xxPrime1 + xxPrime4
	}
	if len(b) >= 4 {
		h ^= uint64(binary.LittleEndian.Uint32(b)) * xxPrime1
		h = bits.RotateLeft64(h, 23)*xxPrime2 + xxPrime3
		b = b[4:]
	}
	for _, c := range b {
		h ^= uint64(c) * xxPrime5
		h = bits.RotateLeft64(h, 11) * xxPrime1
	}
	h ^= h >> 33
	h *= xxPrime2
	h ^= h >> 29
	h *= xxPrime3
	return h ^ h>>32
}
