package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"kstream/record"
)

// Meta says what a store holds. It is written in the batch of the entries it
// describes, so the two cannot disagree.
type Meta struct {
	// Epoch is the last committed epoch in the store, and Owner the incarnation
	// that committed it.
	Epoch uint64
	Owner string
	// Generation and TopicID name the changelog the store was filled from.
	Generation int
	TopicID    record.TopicID
	// Positions is, per partition of the changelog, the offset up to which the
	// store holds its records.
	Positions []record.Offset
	// Wall is when the epoch was applied; during a full restore when that began.
	Wall record.Timestamp
	// Fingerprint is that of the plan whose operators wrote the entries.
	Fingerprint []byte
	// Restoring: a restore has begun and not ended; partitions may be at
	// different epochs, only a restore may continue from here.
	Restoring bool
	// DirectoryID is the identity of the state directory the store was made in.
	DirectoryID string
}

// metaFormat is the first byte of a stored Meta.
const metaFormat = 1

var crcTable = crc32.MakeTable(crc32.Castagnoli)

var errMeta = errors.New("meta record is malformed")

// metaKey is the address of the meta record, above all stores.
func metaKey() []byte {
	k := binary.BigEndian.AppendUint16(nil, metaStore)
	return append(k, "meta"...)
}

// appendMeta encodes m: format, fields with lengths, CRC-32C of all before.
func appendMeta(dst []byte, m *Meta) []byte {
	at := len(dst)
	dst = append(dst, metaFormat)
	dst = binary.AppendUvarint(dst, m.Epoch)
	dst = appendBytes(dst, []byte(m.Owner))
	dst = binary.AppendVarint(dst, int64(m.Generation))
	dst = append(dst, m.TopicID[:]...)
	dst = binary.AppendUvarint(dst, uint64(len(m.Positions)))
	for _, p := range m.Positions {
		dst = binary.AppendVarint(dst, int64(p))
	}
	dst = binary.AppendVarint(dst, int64(m.Wall))
	dst = appendBytes(dst, m.Fingerprint)
	restoring := byte(0)
	if m.Restoring {
		restoring = 1
	}
	dst = append(dst, restoring)
	dst = appendBytes(dst, []byte(m.DirectoryID))
	return append(dst[:at], appendSum(dst[at:])...)
}

// appendSum appends the checksum of all of b.
func appendSum(b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, crcTable))
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// parseMeta decodes a meta record. A newer format is told apart from damage by
// the checksum, which every format ends with.
func parseMeta(b []byte) (Meta, error) {
	if len(b) < 5 {
		return Meta{}, errMeta
	}
	body, sum := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, crcTable) != sum {
		return Meta{}, fmt.Errorf("%w: checksum", errMeta)
	}
	if body[0] != metaFormat {
		return Meta{}, fmt.Errorf("%w: meta record format %d", ErrNewerFormat, body[0])
	}
	r := reader{b: body[1:]}
	m := Meta{Epoch: r.uvarint(), Owner: string(r.bytes()), Generation: int(r.varint())}
	copy(m.TopicID[:], r.take(len(m.TopicID)))
	n := r.uvarint()
	if n > uint64(len(r.b)) { // a position takes a byte at least
		return Meta{}, errMeta
	}
	m.Positions = make([]record.Offset, n)
	for i := range m.Positions {
		m.Positions[i] = record.Offset(r.varint())
	}
	m.Wall = record.Timestamp(r.varint())
	m.Fingerprint = append([]byte(nil), r.bytes()...)
	restoring := r.take(1)
	m.Restoring = len(restoring) == 1 && restoring[0] != 0
	m.DirectoryID = string(r.bytes())
	if r.bad || len(r.b) != 0 {
		return Meta{}, errMeta
	}
	return m, nil
}

// reader takes fields off b; bad is set, and zero returned, when one is cut.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}
