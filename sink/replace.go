package sink

import (
	"bytes"

	"kstream/record"
)

// replaced is what an update left behind under its old key.
type replaced struct {
	msg record.Message
	key []byte
}

// Replaced gives the tombstone that an update needs because its row has moved:
// to another key, another partition, or another topic. It is nil if the row stays
// where it was. It is to be written before the row itself, and valid until the
// next call.
func (e *Encoder) Replaced(row *record.Row, partitions func(topic string) (int32, error)) (*record.Message, error) {
	before := row.Before
	if before == nil || !e.enc.Moves {
		return nil, nil
	}
	e.env.Begin(before)
	before.Op = record.OpDelete
	m, err := e.place(before, partitions)
	before.Op = record.OpUpdate
	if err != nil {
		// It could not be written when it was new, so there is nothing to delete.
		e.env.Begin(row)
		return nil, nil
	}
	r := &e.replaced
	r.key = append(r.key[:0], m.Key...)
	r.msg = *m
	r.msg.Key, r.msg.Value, r.msg.Headers, r.msg.Time = r.key, nil, nil, row.Time
	e.env.Begin(row)
	m, err = e.place(row, partitions)
	e.env.Begin(row)
	if err == nil && bytes.Equal(m.Key, r.key) && m.Partition == r.msg.Partition && m.Topic == r.msg.Topic {
		return nil, nil
	}
	return &r.msg, nil
}

// place makes the record of a row, with its partition.
func (e *Encoder) place(row *record.Row, partitions func(topic string) (int32, error)) (*record.Message, error) {
	m, err := e.Encode(row)
	if err != nil {
		return nil, err
	}
	n, err := partitions(m.Topic)
	if err != nil {
		return nil, err
	}
	return m, e.Partition(row, n)
}
