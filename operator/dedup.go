package operator

import (
	"encoding/binary"
	"fmt"
	"slices"

	"kstream/record"
	"kstream/state"
)

// dedup passes the first row of a key, or the first and each that is later. A
// row is a duplicate if a row of its key is remembered whose time is less than
// `within` before its own, or behind it.
//
// # Bytes (layout 1)
//
//	key = the encoded key; value = the time of the row that is remembered, 8
//	bytes, little endian
//
// The namespace is 0 if keys are remembered for ever. Otherwise it is the last
// millisecond of a span of times, and holds the keys with a time in that span: so
// a span can be dropped as a whole when the last of its times is forgotten, and
// entries that were made with another `within` are still found and dropped in
// time. A row looks into the spans that can hold a time not too far before its
// own, which are some five, and most misses are answered from memory.
type dedup struct {
	*base
	table     *state.Table
	within    record.Timestamp // < 0 is for ever
	width     record.Timestamp // of a span
	last      bool
	clock     bool
	spans     []record.Timestamp // that may hold something, ascending
	watermark record.Timestamp
}

// dedupSpans is how many spans make up `within`: what is forgotten stays up to
// one span longer.
const dedupSpans = 4

func (c *Chain) newDedup(b *base) (*dedup, error) {
	spec := b.node.Dedup
	d := &dedup{
		base: b, within: record.Timestamp(spec.Within), last: spec.Last, clock: spec.Clock,
		width: record.Timestamp(max(spec.Within/dedupSpans, 1)), watermark: record.MinTimestamp,
	}
	var err error
	if d.table, err = b.env.Table(b.node.UID); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	c.stateful = append(c.stateful, d.table)
	namespaces, err := d.table.Namespaces()
	if err != nil {
		return nil, b.wrap("read state", err)
	}
	for _, ns := range namespaces {
		if d.within >= 0 {
			d.spans = append(d.spans, record.Timestamp(ns))
		}
	}
	return d, nil
}

func (d *dedup) process(row *record.Row) error {
	d.stats.In++
	t := row.Time
	if d.clock {
		t = record.Timestamp(d.expr.Now / 1e6)
		if err := d.forget(t - 1); err != nil {
			return err
		}
	}
	var known bool
	var before record.Timestamp
	var err error
	if d.within < 0 {
		known, before, err = d.remember(row, 0, t)
	} else {
		known, before, err = d.rememberWithin(row, t)
	}
	if err != nil {
		return d.wrap("state", err)
	}
	if !known {
		return d.emit(row) // an insert
	}
	if !d.last || t < before {
		return nil
	}
	row.Op = record.OpUpdate
	err = d.emit(row)
	row.Op = record.OpInsert
	return err
}

// remember puts the time of a row into a namespace, and says what was there. Of
// two times the first stays, or the newer one if the last row is kept.
func (d *dedup) remember(row *record.Row, ns int64, t record.Timestamp) (known bool, before record.Timestamp, err error) {
	b, fresh, err := d.table.Upsert(row.Group, ns, row.KeyBytes, 8)
	if err != nil {
		return false, 0, err
	}
	before = record.Timestamp(binary.LittleEndian.Uint64(b))
	if fresh || d.last && t > before {
		binary.LittleEndian.PutUint64(b, uint64(t))
	}
	return !fresh, before, nil
}

// rememberWithin looks for a key in the spans, and remembers it.
func (d *dedup) rememberWithin(row *record.Row, t record.Timestamp) (known bool, before record.Timestamp, err error) {
	span, before, known, err := d.find(row, t)
	if err != nil || known && (!d.last || t <= before) {
		return known, before, err
	}
	if d.gone(t) {
		return known, before, nil // it would be forgotten at once
	}
	to := d.spanOf(t)
	if known && span != to {
		if err := d.table.Delete(row.Group, int64(span), row.KeyBytes); err != nil {
			return false, 0, err
		}
	}
	b, _, err := d.table.Upsert(row.Group, int64(to), row.KeyBytes, 8)
	if err != nil {
		return false, 0, err
	}
	binary.LittleEndian.PutUint64(b, uint64(t)) // what was there is forgotten, or older
	if i, found := slices.BinarySearch(d.spans, to); !found {
		d.spans = slices.Insert(d.spans, i, to)
	}
	return known, before, nil
}

// find is the newest time of a key that makes a row at t a duplicate.
func (d *dedup) find(row *record.Row, t record.Timestamp) (span, before record.Timestamp, known bool, err error) {
	for i := len(d.spans) - 1; i >= 0 && d.spans[i] > t-d.within; i-- {
		b, ok, err := d.table.Get(row.Group, int64(d.spans[i]), row.KeyBytes)
		if err != nil {
			return 0, 0, false, err
		}
		if !ok {
			continue
		}
		at := record.Timestamp(binary.LittleEndian.Uint64(b))
		if t-at < d.within && !d.gone(at) {
			return d.spans[i], at, true, nil
		}
	}
	return 0, 0, false, nil
}

// gone reports whether a time is forgotten: no row is expected any more that
// would be a duplicate of it.
func (d *dedup) gone(t record.Timestamp) bool {
	return !d.clock && d.watermark-d.within+1 >= t && d.watermark > record.MinTimestamp+d.within
}

// spanOf is the last millisecond of the span of a time.
func (d *dedup) spanOf(t record.Timestamp) record.Timestamp {
	rest := t % d.width
	if rest < 0 {
		rest += d.width
	}
	return t - rest + d.width - 1
}

// forget drops the spans all of whose times are forgotten when no row at or
// before w is expected.
func (d *dedup) forget(w record.Timestamp) error {
	if w < record.MinTimestamp+d.within {
		return nil
	}
	for len(d.spans) > 0 && d.spans[0] <= w-d.within+1 {
		if err := d.table.DropNamespace(int64(d.spans[0])); err != nil {
			return d.wrap("drop forgotten keys", err)
		}
		d.spans = slices.Delete(d.spans, 0, 1)
	}
	return nil
}

func (d *dedup) advance(w record.Timestamp) error {
	d.watermark = w
	if d.within >= 0 && !d.clock {
		if err := d.forget(w); err != nil {
			return err
		}
	}
	return d.base.advance(w)
}

func (d *dedup) restore(w record.Timestamp) {
	d.watermark = w
	d.base.restore(w)
}
