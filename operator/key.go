package operator

import (
	"kstream/codec"
	"kstream/expr"
	"kstream/record"
)

// key sets $key and its encoding for the exchange behind it. A composite key is
// encoded from its parts; the object that is its value exists once for each
// image of a row.
type key struct {
	*base
	single func(*expr.Env) record.Value
	parts  []func(*expr.Env) record.Value
	now    keyImage
	before keyImage
}

// keyImage is where the key of one image of a row is made.
type keyImage struct {
	object record.Object
	buf    []byte
}

// rowKey is the key of a row, to put it back.
type rowKey struct {
	value record.Value
	bytes []byte
	group record.KeyGroup
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
	for _, im := range []*keyImage{&k.now, &k.before} {
		im.object = record.Object{Names: b.node.Key.Names, Values: make([]record.Value, len(k.parts))}
	}
	return k
}

func (k *key) process(row *record.Row) error {
	k.stats.In++
	old := rowKey{row.Key, row.KeyBytes, row.Group}
	if row.Before == nil {
		if bad := k.set(row, &k.now); bad != nil {
			return k.failed(row, bad)
		}
		err := k.emit(row)
		old.putBack(row)
		return err
	}
	before := row.Before
	oldBefore := rowKey{before.Key, before.KeyBytes, before.Group}
	err := k.update(row, k)
	old.putBack(row)
	oldBefore.putBack(before)
	return err
}

func (k *key) image(row *record.Row) (bool, *RecordError) {
	if row.Before == nil {
		bad := k.set(row, &k.before)
		return bad == nil, bad
	}
	bad := k.set(row, &k.now)
	return bad == nil, bad
}

func (o rowKey) putBack(row *record.Row) {
	row.Key, row.KeyBytes, row.Group = o.value, o.bytes, o.group
}

// set makes the key of the row that is evaluated.
func (k *key) set(row *record.Row, im *keyImage) *RecordError {
	value := k.eval(im)
	if bad := k.evalError(); bad != nil {
		return bad
	}
	var err error
	if im.buf, err = codec.AppendKey(im.buf[:0], value); err != nil {
		return &RecordError{Code: codeEval, Message: "key: " + err.Error()}
	}
	row.Key, row.KeyBytes = value, im.buf
	row.Group = record.KeyGroupOf(im.buf, k.env.MaxParallelism)
	return nil
}

func (k *key) eval(im *keyImage) record.Value {
	if k.single != nil {
		return k.single(k.expr)
	}
	for i, p := range k.parts {
		im.object.Values[i] = p(k.expr)
	}
	return record.ObjectOf(&im.object)
}

// rekey puts $key back from a column, behind a step that is partitioned by
// something else.
type rekey struct {
	*base
	slot int
}

func (k *rekey) process(row *record.Row) error {
	k.stats.In++
	old := rowKey{row.Key, row.KeyBytes, row.Group}
	row.Key, row.KeyBytes = row.Slots[k.slot], nil
	before := row.Before
	if before == nil {
		err := k.emit(row)
		old.putBack(row)
		return err
	}
	oldBefore := rowKey{before.Key, before.KeyBytes, before.Group}
	before.Key, before.KeyBytes = before.Slots[k.slot], nil
	err := k.emit(row)
	old.putBack(row)
	oldBefore.putBack(before)
	return err
}
