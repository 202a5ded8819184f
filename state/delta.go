package state

import (
	"encoding/binary"

	"kstream/record"
)

// Delta is what one table changed in one epoch, encoded once: the bytes that go
// to the changelog and, after the commit, to Pebble. It does not change. Its
// bytes are valid until the table is told that the epoch was applied.
type Delta struct {
	Epoch uint64

	pages [][]byte
	count int
	bytes int64
}

// pageSize is the memory a delta grows by.
const pageSize = 256 << 10

// deltaHeader stands before each entry: length of the key, and length of the
// value plus one, 0 for a deletion.
const deltaHeader = 8

// Len is the number of entries.
func (d *Delta) Len() int { return d.count }

// Bytes is the size of the keys and values.
func (d *Delta) Bytes() int64 { return d.bytes }

// Each calls fn with every entry: key is the address, value what is stored, nil
// for a deletion. No key comes twice.
func (d *Delta) Each(fn func(g record.KeyGroup, key, value []byte) error) error {
	for _, p := range d.pages {
		for len(p) > 0 {
			n := int(binary.LittleEndian.Uint32(p))
			m := int(binary.LittleEndian.Uint32(p[4:]))
			p = p[deltaHeader:]
			key := p[:n:n]
			p = p[n:]
			var value []byte
			if m > 0 {
				value = p[: m-1 : m-1]
				p = p[m-1:]
			}
			g := record.KeyGroup(binary.BigEndian.Uint16(key[2:]))
			if err := fn(g, key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// deltaWriter fills a delta with pages taken from those of applied deltas.
type deltaWriter struct {
	d      *Delta
	spares [][]byte
}

// add makes room for an entry and returns the memory of its key and value. size
// of the value is -1 for a deletion.
func (w *deltaWriter) add(keyLen, valueLen int) (key, value []byte) {
	stored := max(valueLen, 0)
	need := deltaHeader + keyLen + stored
	d := w.d
	last := len(d.pages) - 1
	if last < 0 || cap(d.pages[last])-len(d.pages[last]) < need {
		d.pages = append(d.pages, w.page(need))
		last++
	}
	p := d.pages[last]
	at := len(p)
	p = p[:at+need]
	d.pages[last] = p
	binary.LittleEndian.PutUint32(p[at:], uint32(keyLen))
	binary.LittleEndian.PutUint32(p[at+4:], uint32(valueLen+1))
	d.count++
	d.bytes += int64(keyLen + stored)
	at += deltaHeader
	return p[at : at+keyLen], p[at+keyLen : at+need-deltaHeader]
}

func (w *deltaWriter) page(need int) []byte {
	if n := len(w.spares); n > 0 && need <= pageSize {
		p := w.spares[n-1]
		w.spares = w.spares[:n-1]
		return p[:0]
	}
	return make([]byte, 0, max(pageSize, need))
}

// recycle takes the pages of an applied delta; at most keep are kept.
func (w *deltaWriter) recycle(d *Delta, keep int) {
	for _, p := range d.pages {
		if cap(p) == pageSize && len(w.spares) < keep {
			w.spares = append(w.spares, p)
		}
	}
	d.pages = nil
}
