package operator

import (
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
	buf  []byte
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
	if !x.hash || row.KeyBytes != nil {
		return x.pass(row)
	}
	var err error
	if x.buf, err = codec.AppendKey(x.buf[:0], row.Key); err != nil {
		return x.failed(row, &RecordError{Code: codeEval, Message: "key: " + err.Error()})
	}
	before := row.Group
	row.KeyBytes, row.Group = x.buf, record.KeyGroupOf(x.buf, x.env.MaxParallelism)
	err = x.pass(row)
	row.KeyBytes, row.Group = nil, before
	return err
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
