package operator

import (
	"bytes"
	"errors"

	"kstream/codec"
	"kstream/record"
	"kstream/topology"
)

// exchange hands rows to another chain. One that routes by $key needs the
// encoded key and its group: a key operator or a keyed chain has set them, for a
// row that comes from a source they are made here.
type exchange struct {
	*base
	hash bool
	send func(*record.Row) error

	buf, bufBefore []byte
}

func newExchange(b *base) (*exchange, error) {
	end := b.node.Exchange
	send, err := b.env.Exchange(end)
	if err != nil {
		return nil, err
	}
	return &exchange{
		base: b,
		hash: end.Exchange.Kind == topology.ExchangeHash && end.By == nil,
		send: send,
	}, nil
}

func (x *exchange) process(row *record.Row) error {
	x.stats.In++
	if !x.hash {
		return x.pass(row)
	}
	before := row.Before
	if before == nil {
		return x.route(row, &x.buf)
	}
	old, oldBefore := rowKey{row.Key, row.KeyBytes, row.Group}, rowKey{before.Key, before.KeyBytes, before.Group}
	err := x.routeUpdate(row)
	old.putBack(row)
	oldBefore.putBack(before)
	return err
}

// routeUpdate sends an update to the owner of its key. If the key has changed,
// one owner loses the row and another one gets it.
func (x *exchange) routeUpdate(row *record.Row) error {
	before := row.Before
	if err := x.encode(before, &x.bufBefore); err != nil {
		return x.failed(row, err)
	}
	if err := x.encode(row, &x.buf); err != nil {
		return x.failed(row, err)
	}
	if bytes.Equal(before.KeyBytes, row.KeyBytes) {
		return x.pass(row)
	}
	before.Op = record.OpDelete
	err := x.pass(before)
	before.Op = record.OpUpdate
	if err != nil {
		return err
	}
	row.Before, row.Op = nil, record.OpInsert
	err = x.pass(row)
	row.Before, row.Op = before, record.OpUpdate
	return err
}

// route sends a row to the owner of its key.
func (x *exchange) route(row *record.Row, buf *[]byte) error {
	if row.KeyBytes != nil {
		return x.pass(row)
	}
	group := row.Group
	if err := x.encode(row, buf); err != nil {
		return x.failed(row, err)
	}
	err := x.pass(row)
	row.KeyBytes, row.Group = nil, group
	return err
}

// encode makes the encoded key of a row that has none.
func (x *exchange) encode(row *record.Row, buf *[]byte) *RecordError {
	if row.KeyBytes != nil {
		return nil
	}
	var err error
	if *buf, err = codec.AppendKey((*buf)[:0], row.Key); err != nil {
		return &RecordError{Code: codeEval, Message: "key: " + err.Error()}
	}
	row.KeyBytes, row.Group = *buf, record.KeyGroupOf(*buf, x.env.MaxParallelism)
	return nil
}

func (x *exchange) pass(row *record.Row) error {
	x.stats.Out++
	err := x.send(row)
	if err == nil {
		return nil
	}
	var bad *RecordError
	if errors.As(err, &bad) {
		return x.failed(row, bad)
	}
	return x.wrap("exchange", err)
}
