package operator

import (
	"kstream/codec"
	"kstream/record"
	"kstream/topology"
)

// exchange hands rows to another chain. One that routes by key sets the encoded
// key and its group, unless the operator before it is a key, which did.
type exchange struct {
	*base
	encode bool
	send   func(*record.Row) error
	buf    []byte
}

func newExchange(b *base, parent *topology.Node) (*exchange, error) {
	end := b.node.Exchange
	send, err := b.env.Exchange(end)
	if err != nil {
		return nil, err
	}
	keyed := parent != nil && parent.Kind == topology.NodeKey
	return &exchange{
		base:   b,
		encode: end.Exchange.Kind == topology.ExchangeHash && !keyed,
		send:   send,
	}, nil
}

func (x *exchange) process(row *record.Row) error {
	x.stats.In++
	if !x.encode {
		return x.pass(row)
	}
	var err error
	if x.buf, err = codec.AppendKey(x.buf[:0], row.Key); err != nil {
		return x.failed(row, &RecordError{Code: codeEval, Message: "key: " + err.Error()})
	}
	before, beforeGroup := row.KeyBytes, row.Group
	row.KeyBytes, row.Group = x.buf, record.KeyGroupOf(x.buf, x.env.MaxParallelism)
	err = x.pass(row)
	row.KeyBytes, row.Group = before, beforeGroup
	return err
}

func (x *exchange) pass(row *record.Row) error {
	x.stats.Out++
	if err := x.send(row); err != nil {
		return x.wrap("exchange", err)
	}
	return nil
}
