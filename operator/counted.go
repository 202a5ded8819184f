package operator

import (
	"encoding/binary"

	"kstream/record"
)

// counted aggregates per key and window of so many rows. Windows begin every
// slide rows; a result is given when a window is full, and never before. Time
// plays no part: the window of a result is the span of the times of its rows,
// from the oldest to a millisecond behind the newest.
//
// Rows go into panes of gcd(size, slide) rows, numbered from the first one of the
// key on. As many of them as make a window are kept, in turn.
//
// # Bytes (layout 1)
//
//	namespace 0        key = the encoded $key; value = rows seen 8, little-endian
//	namespace 1 + n    the accumulators of the panes whose number, modulo the panes
//	                   of a window, is n
//
// Of windows side by side nothing is left when one is full: the next row begins
// anew.
type counted struct {
	*accumulators
	size, slide, pane uint64
	own               record.Row
}

func (c *Chain) newCounted(b *base) (*counted, error) {
	acc, err := c.newAccumulators(b, true)
	if err != nil {
		return nil, err
	}
	w := &counted{
		accumulators: acc, size: uint64(b.node.Window.Size), slide: uint64(b.node.Window.Slide),
		own: record.Row{Slots: c.Slots, Op: record.OpInsert},
	}
	w.pane = w.size
	for n := w.slide; n != 0; {
		w.pane, n = n, w.pane%n
	}
	return w, nil
}

// namespace is where a pane is.
func (w *counted) namespace(pane uint64) int64 { return 1 + int64(pane%(w.size/w.pane)) }

func (w *counted) process(row *record.Row) error {
	w.stats.In++
	seen, err := w.seen(row)
	if err != nil {
		return err
	}
	if seen%w.slide < w.size { // else between two windows
		main, _, err := w.update(row, w.namespace(seen/w.pane))
		if main == nil || err != nil {
			return err
		}
	}
	seen++
	full := seen >= w.size && (seen-w.size)%w.slide == 0
	if full && w.size == w.slide {
		err = w.table.Delete(row.Group, 0, row.KeyBytes)
	} else {
		err = w.keep(row, seen)
	}
	if err != nil {
		return w.wrap("update state", err)
	}
	if !full {
		return nil
	}
	return w.fire(row, seen-w.size)
}

func (w *counted) seen(row *record.Row) (uint64, error) {
	b, ok, err := w.table.Get(row.Group, 0, row.KeyBytes)
	if err != nil {
		return 0, w.wrap("read state", err)
	}
	if !ok {
		return 0, nil
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (w *counted) keep(row *record.Row, seen uint64) error {
	b, _, err := w.table.Upsert(row.Group, 0, row.KeyBytes, 8)
	if err == nil {
		binary.LittleEndian.PutUint64(b, seen)
	}
	return err
}

// fire gives the result of the window that begins with a row of the key, and
// drops the panes that the next one does not need.
func (w *counted) fire(row *record.Row, begin uint64) error {
	g, key := row.Group, row.KeyBytes
	oldest, newest := record.MaxTimestamp, record.MinTimestamp
	var failed error
	from, to := begin/w.pane, (begin+w.size)/w.pane
	for pane := from; pane < to; pane++ {
		ns := w.namespace(pane)
		main, ok, err := w.table.Get(g, ns, key)
		if err == nil && !ok {
			err = errMissing
		}
		if err != nil {
			return w.wrap("read state", err)
		}
		oldest, newest = min(oldest, oldestOf(main)), max(newest, oldestOf(main[8:]))
		if failed = w.merge(main, g, ns, key); failed != nil {
			break
		}
		w.at.earlier = append(w.at.earlier, ns)
	}
	if failed != nil {
		w.forget()
		if err := w.stateError(row, failed); err != nil {
			return err
		}
	} else if err := w.give(row, record.Window{Start: oldest, End: newest + 1}); err != nil {
		return err
	}
	for pane := from; pane < min(to, (begin+w.slide)/w.pane); pane++ {
		if err := w.drop(g, w.namespace(pane), key); err != nil {
			return w.wrap("drop a full window", err)
		}
	}
	return nil
}

func (w *counted) give(row *record.Row, span record.Window) error {
	w.own.Window, w.own.Time, w.own.Group = span, span.End-1, row.Group
	if _, err := w.decodeKey(&w.own, row.KeyBytes); err != nil {
		return err
	}
	return w.pass(&w.own, row)
}
