package operator

import (
	"kstream/codec"
	"kstream/expr"
	"kstream/record"
)

// key sets $key and its encoding for the exchange behind it. A composite key is
// encoded from its parts; the object that is its value exists once per operator.
type key struct {
	*base
	single func(*expr.Env) record.Value
	parts  []func(*expr.Env) record.Value
	object record.Object
	buf    []byte
}

func newKey(b *base) *key {
	k := &key{base: b}
	if b.node.Key.Program != nil {
		k.single = b.node.Key.Program.Eval
		return k
	}
	for _, p := range b.node.Key.Parts {
		k.parts = append(k.parts, p.Eval)
	}
	k.object = record.Object{Names: b.node.Key.Names, Values: make([]record.Value, len(k.parts))}
	return k
}

func (k *key) process(row *record.Row) error {
	k.stats.In++
	value := k.eval()
	if err := k.expr.Err(); err != nil {
		return k.evalFailed(row, err)
	}
	if err := k.encode(value); err != nil {
		return k.failed(row, &RecordError{Code: codeEval, Message: "key: " + err.Error()})
	}
	before, beforeBytes, beforeGroup := row.Key, row.KeyBytes, row.Group
	row.Key, row.KeyBytes = value, k.buf
	row.Group = record.KeyGroupOf(k.buf, k.env.MaxParallelism)
	err := k.emit(row)
	row.Key, row.KeyBytes, row.Group = before, beforeBytes, beforeGroup
	return err
}

func (k *key) eval() record.Value {
	if k.single != nil {
		return k.single(k.expr)
	}
	for i, p := range k.parts {
		k.object.Values[i] = p(k.expr)
	}
	return record.ObjectOf(&k.object)
}

func (k *key) encode(value record.Value) (err error) {
	k.buf, err = codec.AppendKey(k.buf[:0], value)
	return err
}
