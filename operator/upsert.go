package operator

import (
	"encoding/binary"
	"fmt"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// upsert keeps the latest row of each key, to say what a row was before it was
// replaced or deleted.
//
// # Bytes (layout 1)
//
// key = the encoded $key; value = the event time, 8 bytes, little endian, then
// for each column its name (length as uvarint, text) and its value
// (codec.AppendValue). A column that is read since then is null in older rows,
// as it was for whoever reads it now.
type upsert struct {
	*base
	table *state.Table
	input *topology.Exchange
	slots map[string]int
	was   record.Row
	buf   []byte
}

func (c *Chain) newUpsert(b *base) (*upsert, error) {
	u := &upsert{base: b, input: b.node.Input, slots: map[string]int{}, was: record.Row{Slots: c.Before}}
	for i, name := range u.input.Names {
		u.slots[name] = u.input.Slots[i]
	}
	var err error
	if u.table, err = b.env.Table(b.node.UID); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	c.stateful = append(c.stateful, u.table)
	return u, nil
}

func (u *upsert) process(row *record.Row) error {
	u.stats.In++
	old, known, err := u.table.Get(row.Group, 0, row.KeyBytes)
	if err != nil {
		return u.wrap("read state", err)
	}
	if known {
		if err := u.load(row, u.expr.Arena.Copy(old)); err != nil {
			return u.wrap("read state", err)
		}
	}
	if row.Op == record.OpDelete {
		if !known {
			return nil
		}
		if err := u.table.Delete(row.Group, 0, row.KeyBytes); err != nil {
			return u.wrap("update state", err)
		}
		u.was.Op = record.OpDelete
		return u.emitOwn(&u.was, row)
	}
	if err := u.store(row); err != nil {
		return u.wrap("update state", err)
	}
	row.Op = record.OpInsert
	if known {
		u.was.Op = record.OpUpdate
		row.Op, row.Before = record.OpUpdate, &u.was
	}
	err = u.emit(row)
	row.Before = nil
	return err
}

// load makes the row as it was. Its time is what it had then.
func (u *upsert) load(row *record.Row, b []byte) error {
	u.was.Key, u.was.KeyBytes, u.was.Group = row.Key, row.KeyBytes, row.Group
	for _, slot := range u.input.Slots {
		u.was.Slots[slot] = record.Null
	}
	u.was.Time = record.Timestamp(binary.LittleEndian.Uint64(b))
	for b = b[8:]; len(b) > 0; {
		n, size := binary.Uvarint(b)
		name := b[size : size+int(n)]
		v, rest, err := codec.ReadValue(b[size+int(n):])
		if err != nil {
			return err
		}
		if slot, read := u.slots[string(name)]; read {
			u.was.Slots[slot] = v
		}
		b = rest
	}
	return nil
}

func (u *upsert) store(row *record.Row) error {
	b := binary.LittleEndian.AppendUint64(u.buf[:0], uint64(row.Time))
	for i, name := range u.input.Names {
		b = append(binary.AppendUvarint(b, uint64(len(name))), name...)
		var err error
		if b, err = codec.AppendValue(b, row.Slots[u.input.Slots[i]]); err != nil {
			return err
		}
	}
	u.buf = b
	return u.table.Put(row.Group, 0, row.KeyBytes, b)
}
