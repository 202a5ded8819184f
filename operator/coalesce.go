package operator

import (
	"encoding/binary"
	"fmt"
	"math"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
)

// coalesce holds the changes of a row back and passes on what became of it, at
// the end of the epoch in which the interval is over. What is held is state: it
// comes out after a restart, too.
//
// # Bytes (layout 1)
//
//	key = the encoded key of the row; behind a window its start and its end in 8
//	bytes each, big-endian, sign bit flipped
//	value = whether the row was there before (1), whether it is there now (2),
//	whether the row as it was is known (4): one byte; length of that row as
//	uvarint; its images bytes; those of the row as it is
type coalesce struct {
	*base
	table  *state.Table
	images images
	own    record.Row
	was    record.Row
	every  int64 // milliseconds, 0 is at once
	period int64 // the last that has come out
	window bool
	key    []byte
	former []byte
	value  []byte
}

const (
	heldWas = 1 << iota
	heldIs
	heldFormer
)

func (c *Chain) newCoalesce(b *base) (*coalesce, error) {
	spec := b.node.Coalesce
	o := &coalesce{
		base: b, images: newImages(spec.Columns), every: spec.Every, period: math.MinInt64, window: spec.Window,
		own: record.Row{Slots: c.Slots}, was: record.Row{Slots: c.Before},
	}
	var err error
	if o.table, err = b.env.Table(b.node.UID); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	c.stateful = append(c.stateful, o.table)
	c.holding = append(c.holding, o)
	return o, nil
}

// Release passes on what operators hold back until the end of an epoch. It is
// called at the barrier, before the state is frozen; env.Expr.Now was set. The
// arena is used and reset.
func (c *Chain) Release() error {
	for _, o := range c.holding {
		now := o.expr.Now / 1e6
		if o.every > 0 {
			now /= o.every
		}
		if now == o.period {
			continue
		}
		o.period = now
		if err := o.release(); err != nil {
			return err
		}
	}
	return nil
}

func (o *coalesce) process(row *record.Row) error {
	o.stats.In++
	o.key = append(o.key[:0], row.KeyBytes...)
	if o.window {
		o.key = binary.BigEndian.AppendUint64(o.key, uint64(row.Window.Start)^1<<63)
		o.key = binary.BigEndian.AppendUint64(o.key, uint64(row.Window.End)^1<<63)
	}
	held, known, err := o.table.Get(row.Group, 0, o.key)
	if err != nil {
		return o.wrap("read state", err)
	}
	flags := byte(0)
	if known {
		if flags, err = o.goOn(held); err != nil {
			return o.wrap("read state", err)
		}
	} else if flags, err = o.begin(row); err != nil {
		return o.failed(row, &RecordError{Code: codeEval, Message: err.Error()})
	}
	if row.Op == record.OpDelete && flags&heldWas == 0 {
		if err := o.table.Delete(row.Group, 0, o.key); err != nil {
			return o.wrap("update state", err)
		}
		return nil
	}
	if row.Op != record.OpDelete {
		flags |= heldIs
	}
	o.value = append(binary.AppendUvarint(append(o.value[:0], flags), uint64(len(o.former))), o.former...)
	if o.value, err = o.images.append(o.value, row); err != nil {
		return o.failed(row, &RecordError{Code: codeEval, Message: err.Error()})
	}
	if o.every == 0 {
		return o.atOnce(row)
	}
	if err := o.table.Put(row.Group, 0, o.key, o.value); err != nil {
		return o.wrap("update state", err)
	}
	return nil
}

// goOn takes what is known of the row before from what is held of it.
func (o *coalesce) goOn(held []byte) (flags byte, err error) {
	former, _, err := heldParts(held)
	o.former = append(o.former[:0], former...)
	if err != nil {
		return 0, err
	}
	return held[0] &^ heldIs, nil
}

// begin takes what the first change of a row says of it.
func (o *coalesce) begin(row *record.Row) (flags byte, err error) {
	o.former = o.former[:0]
	if row.Op == record.OpInsert {
		return 0, nil
	}
	before := row.Before
	if row.Op == record.OpDelete {
		before = row
	}
	if before == nil {
		return heldWas, nil
	}
	o.former, err = o.images.append(o.former, before)
	return heldWas | heldFormer, err
}

func heldParts(held []byte) (former, now []byte, err error) {
	if len(held) < 2 {
		return nil, nil, errImage
	}
	n, size := binary.Uvarint(held[1:])
	if size <= 0 || n > uint64(len(held)-1-size) {
		return nil, nil, errImage
	}
	rest := held[1+size:]
	return rest[:n], rest[n:], nil
}

// atOnce passes on a change with what was still held of the row, from the time
// when there was an interval.
func (o *coalesce) atOnce(row *record.Row) error {
	if err := o.table.Delete(row.Group, 0, o.key); err != nil {
		return o.wrap("update state", err)
	}
	err := o.pass(row.Group, o.key, o.expr.Arena.Copy(o.value))
	o.expr.Begin(row)
	return err
}

// release passes on all that is held.
func (o *coalesce) release() error {
	err := o.table.Scan(0, func(g record.KeyGroup, key, held []byte) error {
		o.expr.Arena.Reset()
		return o.pass(g, key, held)
	})
	if err != nil {
		return err
	}
	if err := o.table.DropNamespace(0); err != nil {
		return o.wrap("update state", err)
	}
	return nil
}

// pass makes one change of what is held of a row.
func (o *coalesce) pass(g record.KeyGroup, key, held []byte) error {
	former, now, err := heldParts(held)
	if err != nil {
		return o.wrap("read state", err)
	}
	flags := held[0]
	if err := o.read(&o.own, g, key, now); err != nil {
		return err
	}
	o.own.Before = nil
	switch {
	case flags&heldIs == 0:
		o.own.Op = record.OpDelete
		if flags&heldFormer != 0 {
			err = o.read(&o.own, g, key, former)
		}
	case flags&heldWas == 0:
		o.own.Op = record.OpInsert
	case !o.node.Coalesce.Retract:
		o.own.Op = record.OpUpdate
	case flags&heldFormer == 0: // whoever asks for it now has never seen it
		o.own.Op = record.OpInsert
	default:
		o.own.Op, o.was.Op, o.own.Before = record.OpUpdate, record.OpUpdate, &o.was
		err = o.read(&o.was, g, key, former)
	}
	if err != nil {
		return err
	}
	o.expr.Begin(&o.own)
	return o.emit(&o.own)
}

func (o *coalesce) read(row *record.Row, g record.KeyGroup, key, image []byte) error {
	k, rest, err := codec.DecodeKey(key)
	if err == nil {
		err = o.images.read(row, image)
	}
	if err != nil {
		return o.wrap("read state", err)
	}
	row.Key, row.KeyBytes, row.Group = k, key[:len(key)-len(rest)], g
	return nil
}

// advance passes on everything in front of the last watermark: nothing comes any
// more.
func (o *coalesce) advance(w record.Timestamp) error {
	if w == record.MaxTimestamp {
		if err := o.release(); err != nil {
			return err
		}
	}
	return o.base.advance(w)
}
