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
//	bytes, little endian; behind it the row (images), where the last one is kept
//	and somebody needs to know what it was
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

	// Of the last rows, if their values are asked for.
	images images
	was    record.Row
	value  []byte
}

// dedupSpans is how many spans make up `within`: what is forgotten stays up to
// one span longer.
const dedupSpans = 4

func (c *Chain) newDedup(b *base) (*dedup, error) {
	spec := b.node.Dedup
	d := &dedup{
		base: b, within: record.Timestamp(spec.Within), last: spec.Last, clock: spec.Clock,
		width: record.Timestamp(max(spec.Within/dedupSpans, 1)), watermark: record.MinTimestamp,
		images: newImages(spec.Columns), was: record.Row{Slots: c.Before},
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
	span, b, known, err := d.find(row, t)
	if err != nil {
		return d.wrap("read state", err)
	}
	if !d.last {
		if known {
			return nil
		}
		if err := d.remember(row, span, b, t); err != nil {
			return d.wrap("update state", err)
		}
		return d.emit(row)
	}
	return d.processLast(row, span, b, known, t)
}

// processLast passes on a row that is not older than the one that is remembered.
func (d *dedup) processLast(row *record.Row, span record.Timestamp, b []byte, known bool, t record.Timestamp) error {
	if known && t < timeOf(b) {
		return nil
	}
	retract := d.node.Dedup.Retract
	var image []byte
	if known && retract {
		image = d.expr.Arena.Copy(b[8:])
	}
	if err := d.remember(row, span, b, t); err != nil {
		return d.wrap("update state", err)
	}
	if !known || retract && len(image) == 0 { // whoever asks for it now has not seen it
		return d.emit(row)
	}
	row.Op = record.OpUpdate
	if retract {
		d.was.Key, d.was.KeyBytes, d.was.Group, d.was.Op = row.Key, row.KeyBytes, row.Group, record.OpUpdate
		if err := d.images.read(&d.was, image); err != nil {
			return d.wrap("read state", err)
		}
		row.Before = &d.was
	}
	err := d.emit(row)
	row.Op, row.Before = record.OpInsert, nil
	return err
}

// remember stores a row; b is what is stored of its key in a span, nil if
// nothing is.
func (d *dedup) remember(row *record.Row, span record.Timestamp, b []byte, t record.Timestamp) error {
	to := record.Timestamp(0)
	if d.within >= 0 {
		if d.gone(t) {
			return nil // it would be forgotten at once
		}
		to = d.spanOf(t)
	}
	if b != nil && span != to {
		if err := d.table.Delete(row.Group, int64(span), row.KeyBytes); err != nil {
			return err
		}
	}
	d.value = binary.LittleEndian.AppendUint64(d.value[:0], uint64(t))
	if d.node.Dedup.Retract {
		var err error
		if d.value, err = d.images.append(d.value, row); err != nil {
			return err
		}
	}
	if err := d.table.Put(row.Group, int64(to), row.KeyBytes, d.value); err != nil || d.within < 0 {
		return err
	}
	if i, found := slices.BinarySearch(d.spans, to); !found {
		d.spans = slices.Insert(d.spans, i, to)
	}
	return nil
}

// find is what is stored of a key with the newest time that makes a row at t a
// duplicate. It is valid until the table changes.
func (d *dedup) find(row *record.Row, t record.Timestamp) (span record.Timestamp, b []byte, known bool, err error) {
	if d.within < 0 {
		b, known, err = d.table.Get(row.Group, 0, row.KeyBytes)
		return 0, b, known, err
	}
	for i := len(d.spans) - 1; i >= 0 && d.spans[i] > t-d.within; i-- {
		b, ok, err := d.table.Get(row.Group, int64(d.spans[i]), row.KeyBytes)
		if err != nil {
			return 0, nil, false, err
		}
		if !ok {
			continue
		}
		at := timeOf(b)
		if t-at < d.within && !d.gone(at) {
			return d.spans[i], b, true, nil
		}
	}
	return 0, nil, false, nil
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
