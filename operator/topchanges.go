package operator

import (
	"bytes"
	"encoding/binary"
	"slices"

	"kstream/codec"
	"kstream/record"
)

// topImage is one image of a row of a changelog: where its list is, and its
// bytes there.
type topImage struct {
	row    *record.Row
	ns     int64
	key    []byte
	bytes  []byte
	wanted []record.Value
}

// processChange takes a row of a changelog. Its list keeps every row, so that
// when one goes the next one is known. What is passed on is the difference
// between what was and what is shown of the list.
func (t *topN) processChange(row *record.Row) error {
	plus, minus := row, row.Before
	switch {
	case row.Op == record.OpDelete && !row.Bare:
		plus, minus = nil, row
	case row.Op == record.OpDelete || row.Op == record.OpUpdate && minus == nil:
		return t.wrap("top_n", errNoBefore)
	}
	var old, now topImage
	if minus != nil {
		bad, err := t.image(&old, minus)
		if err != nil {
			return err
		}
		if bad != nil && !t.goesOn() {
			return t.failed(row, bad)
		}
	}
	if plus != nil {
		bad, err := t.image(&now, plus)
		if err != nil {
			return err
		}
		t.expr.Begin(row)
		if bad != nil {
			if err := t.failed(row, bad); err != nil {
				return err
			}
		}
	}
	t.expr.Begin(row)
	if old.row != nil && now.row != nil && (old.ns != now.ns || !bytes.Equal(old.key, now.key)) {
		if err := t.change(row, &old, &topImage{}); err != nil {
			return err
		}
		old = topImage{}
	}
	return t.change(row, &old, &now)
}

// image reads an image of a row; without an order, or in a window that is closed,
// it has none.
func (t *topN) image(im *topImage, row *record.Row) (*RecordError, error) {
	t.expr.Begin(row)
	wanted := make([]record.Value, len(t.order))
	for i, eval := range t.order {
		wanted[i] = eval(t.expr)
	}
	if bad := t.evalError(); bad != nil {
		return bad, nil
	}
	if t.node.TopN.Window && t.closed(row.Window.End, t.watermark) {
		if t.env.Count.LateDropped != nil {
			t.env.Count.LateDropped(t.node.UID)
		}
		return nil, nil
	}
	ns := t.address(row)
	stored, err := t.rows.encode(t.expr.Arena, row, wanted)
	if err != nil {
		return &RecordError{Code: codeEval, Message: err.Error()}, nil
	}
	*im = topImage{row: row, ns: ns, key: t.expr.Arena.Copy(t.key), bytes: stored, wanted: wanted}
	return nil, nil
}

// change takes one image out of a list and puts another one in.
func (t *topN) change(row *record.Row, old, now *topImage) error {
	at := now
	if now.row == nil {
		at = old
	}
	if at.row == nil {
		return nil
	}
	entry, _, err := t.table.Get(at.row.Group, at.ns, at.key)
	if err != nil {
		return t.wrap("read state", err)
	}
	if t.old, err = parseTopList(t.expr.Arena.Copy(entry), t.old); err != nil {
		return t.wrap("read state", err)
	}
	t.now = append(t.now[:0], t.old...)
	if bad, err := t.replace(old, now); bad != nil {
		return t.failed(row, bad)
	} else if err != nil {
		return t.wrap("read state", err)
	}
	if err := t.keep(at); err != nil {
		return t.wrap("update state", err)
	}
	if t.node.TopN.Emit == "append" {
		return nil
	}
	return t.passDifference(row, at.row)
}

// replace changes t.now. A row whose order stays keeps its place.
func (t *topN) replace(old, now *topImage) (*RecordError, error) {
	found := -1
	if old.row != nil {
		var err error
		if found, err = t.rows.find(t.now, old.bytes); err != nil {
			return nil, err
		}
	}
	if found >= 0 && now.row != nil {
		same, err := t.rows.same(t.now[found], now.bytes)
		if _, bad := err.(valueError); err != nil && !bad {
			return nil, err
		}
		if same {
			t.now[found] = now.bytes
			return nil, nil
		}
	}
	if found >= 0 {
		t.now = slices.Delete(t.now, found, found+1)
	}
	if now.row == nil {
		return nil, nil
	}
	place, err := t.rows.place(t.now, now.wanted, &t.all)
	if bad, ok := err.(valueError); ok {
		return &RecordError{Code: codeEval, Message: string(bad)}, nil
	}
	if err != nil {
		return nil, err
	}
	t.now = slices.Insert(t.now, place, now.bytes)
	return nil, nil
}

// keep stores t.now.
func (t *topN) keep(at *topImage) error {
	if len(t.now) == 0 {
		return t.table.Delete(at.row.Group, at.ns, at.key)
	}
	t.value = t.now.append(t.value[:0])
	if err := t.table.Put(at.row.Group, at.ns, at.key, t.value); err != nil {
		return err
	}
	if t.node.TopN.Window {
		if i, found := slices.BinarySearch(t.ends, record.Timestamp(at.ns)); !found {
			t.ends = slices.Insert(t.ends, i, record.Timestamp(at.ns))
		}
	}
	return nil
}

// find is the place of a row in a list, -1 if it is not there. Of rows that
// differ in their time alone any is right.
func (r *topRows) find(l topList, row []byte) (int, error) {
	if i := slices.IndexFunc(l, func(other []byte) bool { return bytes.Equal(other, row) }); i >= 0 {
		return i, nil
	}
	order, rest, err := r.split(row)
	if err != nil {
		return -1, err
	}
	for i, other := range l {
		o, b, err := r.split(other)
		if err != nil {
			return -1, err
		}
		if bytes.Equal(o, order) && bytes.Equal(b, rest) {
			return i, nil
		}
	}
	return -1, nil
}

// split gives the parts of a stored row in front of its time and behind it.
func (r *topRows) split(row []byte) (order, rest []byte, err error) {
	rest = row
	for range r.spec.Order {
		if _, rest, err = codec.ReadValue(rest); err != nil {
			return nil, nil, errTopList
		}
	}
	order = row[:len(row)-len(rest)]
	_, size := binary.Varint(rest)
	if size <= 0 {
		return nil, nil, errTopList
	}
	return order, rest[size:], nil
}

// hidden is how many rows at the beginning of a list are not among the first.
func (r *topRows) hidden(l topList) (int, error) {
	out := max(0, len(l)-r.spec.N)
	for r.spec.Ties && out > 0 {
		same, err := r.same(l[out-1], l[out])
		if err != nil {
			return 0, err
		}
		if !same {
			break
		}
		out--
	}
	return out, nil
}

// passDifference passes on how what is shown of t.now differs from t.old.
func (t *topN) passDifference(row, group *record.Row) error {
	was, err := t.shown(t.old)
	if err != nil {
		return t.wrap("read state", err)
	}
	is, err := t.shown(t.now)
	if err != nil {
		return t.wrap("read state", err)
	}
	if t.ranked {
		return t.passRanks(row, group, was, is)
	}
	for len(was) > 0 && len(is) > 0 && was[0].equal(is[0]) {
		was, is = was[1:], is[1:]
	}
	for _, x := range was {
		if i := slices.IndexFunc(is, x.equal); i >= 0 {
			is = slices.Delete(is, i, i+1)
			continue
		}
		if err := t.passChange(row, group, x, record.OpDelete); err != nil {
			return err
		}
	}
	for _, x := range is {
		if err := t.passChange(row, group, x, record.OpInsert); err != nil {
			return err
		}
	}
	return nil
}

// ranked rows, the best first.
type rankedRow struct {
	bytes []byte
	rank  int // 0 if nobody reads it
}

func (x rankedRow) equal(y rankedRow) bool { return x.rank == y.rank && bytes.Equal(x.bytes, y.bytes) }

func (t *topN) shown(l topList) ([]rankedRow, error) {
	from, err := t.rows.hidden(l)
	if err != nil {
		return nil, err
	}
	out := make([]rankedRow, 0, len(l)-from)
	for i := len(l) - 1; i >= from; i-- {
		x := rankedRow{bytes: l[i]}
		if t.node.TopN.Rank >= 0 {
			if x.rank, err = t.rows.rank(l, i); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// passRanks passes on the ranks whose row is another one.
func (t *topN) passRanks(row, group *record.Row, was, is []rankedRow) error {
	for i := range max(len(was), len(is)) {
		op, x := record.OpUpdate, rankedRow{}
		switch {
		case i >= len(is):
			op, x = record.OpDelete, was[i]
		case i >= len(was):
			op, x = record.OpInsert, is[i]
		case was[i].equal(is[i]):
			continue
		default:
			x = is[i]
			if t.node.TopN.Retract {
				if err := t.fill(&t.was, group, was[i].bytes, was[i].rank); err != nil {
					return err
				}
				t.was.Op, t.own.Before = op, &t.was
			}
		}
		err := t.passChange(row, group, x, op)
		t.own.Before = nil
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *topN) passChange(row, group *record.Row, x rankedRow, op record.Op) error {
	t.own.Op = op
	if err := t.fill(&t.own, group, x.bytes, x.rank); err != nil {
		return err
	}
	if op == record.OpDelete {
		t.own.Time = max(t.own.Time, row.Time)
	}
	return t.emitOwn(&t.own, row)
}
