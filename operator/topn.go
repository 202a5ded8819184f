package operator

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// topN keeps the first rows of every group, in an order.
//
// With emit append the list of a window is passed on when the window closes.
// With emit update every change of a list is: where rows are known by their rank
// (there is a field for it, or only one row) a row that moved is an update at its
// new rank; else what falls out is a delete, and what comes in an insert: a row
// that has another rank now is both.
//
// # Bytes (layout 1)
//
//	key = the encoded key; with windows, the start of the window in 8 bytes
//	behind it, big endian, sign bit flipped. The namespace is the end of the
//	window, 0 without windows.
//	value = the number of rows as uvarint, and the rows, the last of the order
//	first: length as uvarint, then codec.AppendValue of each term of the order,
//	the time as varint, start and end of the row's window as varints if rows
//	have one, codec.AppendValue of each column
//
// Of append streams a list has no more rows than are passed on; of changelogs it
// has all rows.
//
// The last row comes first because it is what a row is compared with: one that
// does not get into a full list costs one read and no write.
type topN struct {
	*base
	table     *state.Table
	rows      topRows
	order     []func(*expr.Env) record.Value
	wanted    []record.Value // the order of the row that is processed
	ranked    bool           // rows are known by their rank
	own       record.Row
	all       topology.TopN // of a changelog: without an end
	was       record.Row    // of the rank at hand, before the list changed
	watermark record.Timestamp
	ends      []record.Timestamp // of the windows with a list, ascending
	key       []byte
	old, now  topList
	value     []byte
}

func (c *Chain) newTopN(b *base) (*topN, error) {
	spec := b.node.TopN
	t := &topN{
		base: b, rows: topRows{spec: spec}, watermark: record.MinTimestamp,
		ranked: !spec.Ties && (spec.Rank >= 0 || spec.N == 1), own: record.Row{Slots: c.Slots},
		was: record.Row{Slots: c.Before}, wanted: make([]record.Value, len(spec.Order)),
	}
	for _, o := range spec.Order {
		t.order = append(t.order, o.Program.Eval)
	}
	t.all = *spec
	t.all.N = math.MaxInt
	var err error
	if t.table, err = b.env.Table(b.node.UID); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	c.stateful = append(c.stateful, t.table)
	namespaces, err := t.table.Namespaces()
	if err != nil {
		return nil, b.wrap("read state", err)
	}
	for _, ns := range namespaces {
		if spec.Window {
			t.ends = append(t.ends, record.Timestamp(ns))
		}
	}
	return t, nil
}

func (t *topN) process(row *record.Row) error {
	t.stats.In++
	if t.node.TopN.Changing {
		return t.processChange(row)
	}
	for i, eval := range t.order {
		t.wanted[i] = eval(t.expr)
	}
	if err := t.expr.Err(); err != nil {
		return t.evalFailed(row, err)
	}
	if t.node.TopN.Window && t.closed(row.Window.End, t.watermark) {
		if t.env.Count.LateDropped != nil {
			t.env.Count.LateDropped(t.node.UID)
		}
		return nil
	}
	ns := t.address(row)
	entry, _, err := t.table.Get(row.Group, ns, t.key)
	if err != nil {
		return t.wrap("read state", err)
	}
	if t.old, err = parseTopList(entry, t.old); err != nil {
		return t.wrap("read state", err)
	}
	return t.insert(row, ns, entry)
}

// address makes the key of the list of a row, and gives its namespace.
func (t *topN) address(row *record.Row) (ns int64) {
	t.key = append(t.key[:0], row.KeyBytes...)
	if !t.node.TopN.Window {
		return 0
	}
	t.key = binary.BigEndian.AppendUint64(t.key, uint64(row.Window.Start)^1<<63)
	return int64(row.Window.End)
}

// insert puts the row into its list, if it gets in.
func (t *topN) insert(row *record.Row, ns int64, entry []byte) error {
	at, err := t.rows.place(t.old, t.wanted, t.node.TopN)
	if bad, ok := err.(valueError); ok {
		return t.failed(row, &RecordError{Code: codeEval, Message: string(bad)})
	}
	if err != nil {
		return t.wrap("read state", err)
	}
	if at < 0 {
		return nil
	}
	// What is in the table moves; rows that are passed on are read from a copy.
	copied := t.expr.Arena.Copy(entry)
	if t.old, err = parseTopList(copied, t.old); err != nil {
		return t.wrap("read state", err)
	}
	fresh, err := t.rows.encode(t.expr.Arena, row, t.wanted)
	if err != nil {
		return t.failed(row, &RecordError{Code: codeEval, Message: err.Error()})
	}
	t.now = append(append(append(t.now[:0], t.old[:at]...), fresh), t.old[at:]...)
	out, err := t.rows.overhang(t.now, t.node.TopN)
	if err != nil {
		return t.wrap("read state", err)
	}
	dropped := t.now[:out]
	kept := t.now[out:]
	t.value = kept.append(t.value[:0])
	if err := t.table.Put(row.Group, ns, t.key, t.value); err != nil {
		return t.wrap("update state", err)
	}
	if t.node.TopN.Window {
		if i, found := slices.BinarySearch(t.ends, record.Timestamp(ns)); !found {
			t.ends = slices.Insert(t.ends, i, record.Timestamp(ns))
		}
		if t.node.TopN.Emit == "append" {
			return nil
		}
	}
	if t.ranked {
		return t.passMoved(row, kept, at-out, len(t.old))
	}
	return t.passChanges(row, dropped, kept, at-out)
}

// passMoved passes on the row that came in at a place, and those behind it,
// which have another rank now.
func (t *topN) passMoved(row *record.Row, kept topList, at, before int) error {
	for i := at; i >= 0; i-- {
		rank := len(kept) - i
		op := record.OpUpdate
		if rank > before {
			op = record.OpInsert
		}
		t.own.Before = nil
		if op == record.OpUpdate && t.node.TopN.Retract {
			if err := t.fill(&t.was, row, t.old[before-rank], rank); err != nil {
				return err
			}
			t.was.Op, t.own.Before = op, &t.was
		}
		err := t.pass(row, kept[i], op, rank)
		t.own.Before = nil
		if err != nil {
			return err
		}
	}
	return nil
}

// passChanges passes on what fell out, what has another rank now if that is
// read, and what came in.
func (t *topN) passChanges(row *record.Row, dropped, kept topList, at int) error {
	ranks := t.node.TopN.Rank >= 0
	for i := len(dropped) - 1; i >= 0; i-- {
		rank, err := t.rows.rank(t.old, i)
		if err != nil {
			return t.wrap("read state", err)
		}
		if err := t.pass(row, dropped[i], record.OpDelete, rank); err != nil {
			return err
		}
	}
	rank, err := t.rows.rank(kept, at)
	if err != nil {
		return t.wrap("read state", err)
	}
	if err := t.pass(row, kept[at], record.OpInsert, rank); err != nil {
		return err
	}
	for i := at - 1; ranks && i >= 0; i-- {
		moved, err := t.rows.rank(kept, i)
		if err != nil {
			return t.wrap("read state", err)
		}
		if moved == rank {
			continue // equal to what came in
		}
		if err := t.pass(row, kept[i], record.OpDelete, moved-1); err != nil {
			return err
		}
		if err := t.pass(row, kept[i], record.OpInsert, moved); err != nil {
			return err
		}
	}
	return nil
}

// pass makes a row of what is kept and hands it on. Row is the one that is being
// processed, nil when the watermark fires.
func (t *topN) pass(row *record.Row, kept []byte, op record.Op, rank int) error {
	t.own.Op = op
	if err := t.fill(&t.own, row, kept, rank); err != nil {
		return err
	}
	if op == record.OpDelete && row != nil {
		t.own.Time = max(t.own.Time, row.Time)
	}
	return t.emitOwn(&t.own, row)
}

// fill makes a row of what is kept.
func (t *topN) fill(own, row *record.Row, kept []byte, rank int) error {
	if row != nil {
		own.Key, own.KeyBytes, own.Group = row.Key, row.KeyBytes, row.Group
		own.Window = row.Window
	}
	if err := t.rows.decode(own, kept, t.expr.Arena); err != nil {
		return t.wrap("read state", err)
	}
	if slot := t.node.TopN.Rank; slot >= 0 {
		own.Slots[slot] = record.Int(int64(rank))
	}
	if row == nil || t.node.TopN.Key {
		return nil
	}
	key, _, err := codec.DecodeKey(row.KeyBytes)
	if err != nil {
		return t.wrap("decode key", err)
	}
	own.Key = key
	return nil
}

// closed reports whether the results of a window have all come.
func (t *topN) closed(end, w record.Timestamp) bool {
	late := record.Timestamp(t.node.TopN.Lateness)
	return w >= record.MinTimestamp+late && end-1 <= w-late
}

func (t *topN) advance(w record.Timestamp) error {
	t.watermark = w
	for len(t.ends) > 0 && t.closed(t.ends[0], w) {
		if t.node.TopN.Emit == "append" {
			if err := t.table.Scan(int64(t.ends[0]), t.fire); err != nil {
				return err
			}
		}
		if err := t.table.DropNamespace(int64(t.ends[0])); err != nil {
			return t.wrap("drop closed windows", err)
		}
		t.ends = slices.Delete(t.ends, 0, 1)
	}
	return t.base.advance(w)
}

func (t *topN) restore(w record.Timestamp) {
	t.watermark = w
	t.base.restore(w)
}

// fire passes on the list of a window, the best first.
func (t *topN) fire(g record.KeyGroup, key, value []byte) error {
	t.expr.Arena.Reset()
	var err error
	if t.now, err = parseTopList(value, t.now); err != nil {
		return t.wrap("read state", err)
	}
	k, rest, err := codec.DecodeKey(key)
	if err != nil {
		return t.wrap("decode key", err)
	}
	if t.node.TopN.Changing {
		hidden, err := t.rows.hidden(t.now)
		if err != nil {
			return t.wrap("read state", err)
		}
		t.now = t.now[hidden:]
	}
	t.own.Key, t.own.KeyBytes, t.own.Group = k, key[:len(key)-len(rest)], g
	for i := len(t.now) - 1; i >= 0; i-- {
		rank, err := t.rows.rank(t.now, i)
		if err != nil {
			return t.wrap("read state", err)
		}
		if err := t.pass(nil, t.now[i], record.OpInsert, rank); err != nil {
			return err
		}
	}
	return nil
}
