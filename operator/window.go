package operator

import (
	"slices"

	"kstream/codec"
	"kstream/record"
	"kstream/window"
)

// windowed aggregates per key and window. A row changes the pane it falls into;
// the result of a window is the merge of its panes.
//
// With emit append a window gives one result per key, when it closes. With emit
// update it gives one when it ends, and one more for each late row until it
// closes. A pane is dropped once all its windows are closed.
type windowed struct {
	*accumulators
	assign  window.Assigner
	trigger window.Trigger
	late    []step
	own     record.Row

	watermark record.Timestamp
	panes     []record.Timestamp // live ones, ascending
	lastPane  record.Timestamp   // where the last row fell that was not late
	keys      keyList
}

// keyList holds the keys of a pane while they are merged with other panes.
type keyList struct {
	bytes  []byte
	ends   []int
	groups []record.KeyGroup
}

func (c *Chain) newWindowed(b *base) (*windowed, error) {
	spec := b.node.Window
	assign := window.New(spec.Size, spec.Slide, spec.Offset, spec.AllowedLateness)
	acc, err := c.newAccumulators(b, !assign.Tumbling())
	if err != nil {
		return nil, err
	}
	w := &windowed{
		accumulators: acc,
		assign:       assign,
		trigger:      window.AtClose,
		own:          record.Row{Slots: c.Slots},
		watermark:    record.MinTimestamp,
		lastPane:     record.MinTimestamp,
	}
	if b.node.Aggregate.Emit == "update" {
		w.trigger = window.AtEnd
	}
	namespaces, err := acc.table.Namespaces()
	if err != nil {
		return nil, b.wrap("read state", err)
	}
	for _, ns := range namespaces {
		w.panes = append(w.panes, record.Timestamp(ns))
	}
	return w, nil
}

func (w *windowed) process(row *record.Row) error {
	w.stats.In++
	t := row.Time
	// A row ahead of the watermark cannot be late, nor in a window that ended.
	behind := t <= w.watermark
	if behind && w.assign.Late(t, w.watermark) {
		return w.tooLate(row)
	}
	pane := w.lastPane
	if t < pane || t-pane >= w.assign.PaneLength() || pane == record.MinTimestamp {
		if w.assign.InGap(t) {
			return nil
		}
		pane = w.assign.Pane(t)
	}
	main, fresh, err := w.update(row, int64(pane))
	if main == nil || err != nil {
		return err
	}
	if pane != w.lastPane {
		w.addPane(pane)
	}
	if behind && w.trigger == window.AtEnd {
		return w.correct(row, pane, fresh)
	}
	return nil
}

func (w *windowed) addPane(pane record.Timestamp) {
	if i, found := slices.BinarySearch(w.panes, pane); !found {
		w.panes = slices.Insert(w.panes, i, pane)
	}
	w.lastPane = pane
}

func (w *windowed) tooLate(row *record.Row) error {
	if len(w.late) == 0 {
		if w.env.Count.LateDropped != nil {
			w.env.Count.LateDropped(w.node.UID)
		}
		return nil
	}
	for _, s := range w.late {
		if err := s.process(row); err != nil {
			return err
		}
	}
	return nil
}

// correct gives new results of the key for the windows of a late row that have
// ended and are not closed.
func (w *windowed) correct(row *record.Row, pane record.Timestamp, fresh bool) error {
	for start := w.assign.First(pane); start <= w.assign.Last(pane) && w.assign.Ended(start, w.watermark); start += w.assign.Slide() {
		if w.assign.Closed(start, w.watermark) {
			continue
		}
		n, err := w.gather(w.panesOf(start), row.Group, row.KeyBytes)
		if err != nil {
			return w.stateError(row, err)
		}
		// The window had no result for the key before if this pane is the only
		// one that knows it, and knows it only now.
		w.own.Op = record.OpUpdate
		if fresh && n == 1 {
			w.own.Op = record.OpInsert
		}
		if err := w.result(start, row.Group, row.KeyBytes, row); err != nil {
			return err
		}
	}
	return nil
}

// panesOf is the live panes of a window.
func (w *windowed) panesOf(start record.Timestamp) []record.Timestamp {
	from, _ := slices.BinarySearch(w.panes, start)
	to, _ := slices.BinarySearch(w.panes, w.assign.Window(start).End)
	return w.panes[from:to]
}

// gather merges what the panes know of a key, and tells how many know it.
func (w *windowed) gather(panes []record.Timestamp, g record.KeyGroup, key []byte) (n int, err error) {
	for _, pane := range panes {
		main, ok, err := w.table.Get(g, int64(pane), key)
		if err == nil && ok {
			n++
			err = w.merge(main, g, int64(pane), key)
			w.at.earlier = append(w.at.earlier, int64(pane))
		}
		if err != nil {
			w.forget()
			return 0, err
		}
	}
	return n, nil
}

// result makes a row of what was gathered and passes it on. Row is the one that
// is being processed, nil when the watermark fires.
func (w *windowed) result(start record.Timestamp, g record.KeyGroup, key []byte, row *record.Row) error {
	w.own.Window = w.assign.Window(start)
	w.own.Time, w.own.Group = w.own.Window.End-1, g
	if _, err := w.decodeKey(&w.own, key); err != nil {
		return err
	}
	return w.pass(&w.own, row)
}

// advance fires the windows that are due, in the order of their ends, then drops
// the panes that no open window needs.
func (w *windowed) advance(watermark record.Timestamp) error {
	w.own.Op = record.OpInsert
	err := w.assign.Due(w.panes, w.trigger, w.watermark, watermark, w.fire)
	if err != nil {
		return err
	}
	w.watermark = watermark
	for len(w.panes) > 0 && w.assign.PaneDone(w.panes[0], watermark) {
		if err := w.table.DropNamespace(int64(w.panes[0])); err != nil {
			return w.wrap("drop closed windows", err)
		}
		w.panes = slices.Delete(w.panes, 0, 1)
	}
	for _, s := range w.late {
		if err := s.advance(watermark); err != nil {
			return err
		}
	}
	return w.base.advance(watermark)
}

func (w *windowed) restore(watermark record.Timestamp) {
	w.watermark = watermark
	for _, s := range w.late {
		s.restore(watermark)
	}
	w.base.restore(watermark)
}

// fire gives the results of one window. A window of one pane whose state is all
// in main entries is one scan; otherwise the keys of each pane are listed first,
// because a scan must not be mixed with other reads of the table.
func (w *windowed) fire(start record.Timestamp) error {
	panes := w.panesOf(start)
	if len(panes) == 1 && !w.beside {
		return w.fireScanning(start, panes[0])
	}
	for i, pane := range panes {
		if err := w.listKeys(pane); err != nil {
			return err
		}
		if err := w.fireKeys(start, panes, i); err != nil {
			return err
		}
	}
	return nil
}

func (w *windowed) fireScanning(start, pane record.Timestamp) error {
	return w.table.Scan(int64(pane), func(g record.KeyGroup, key, main []byte) error {
		w.expr.Arena.Reset()
		if err := w.merge(main, g, int64(pane), key); err != nil {
			w.forget()
			return w.mergeFailed(&w.own, err)
		}
		return w.result(start, g, key, nil)
	})
}

// listKeys lists the keys of a pane.
func (w *windowed) listKeys(pane record.Timestamp) error {
	k := &w.keys
	k.bytes, k.ends, k.groups = k.bytes[:0], k.ends[:0], k.groups[:0]
	err := w.table.Scan(int64(pane), func(g record.KeyGroup, key, _ []byte) error {
		if w.beside {
			_, rest, err := codec.DecodeKey(key)
			if err != nil || len(rest) > 0 {
				return err
			}
		}
		k.bytes = append(k.bytes, key...)
		k.ends, k.groups = append(k.ends, len(k.bytes)), append(k.groups, g)
		return nil
	})
	if err != nil {
		return w.wrap("list the keys of a window", err)
	}
	return nil
}

// fireKeys gives the results of the listed keys, those of pane i of a window.
// Keys that an earlier pane knows had their result there.
func (w *windowed) fireKeys(start record.Timestamp, panes []record.Timestamp, i int) error {
	k := &w.keys
	from := 0
	for n, end := range k.ends {
		g, key := k.groups[n], k.bytes[from:end]
		from = end
		known, err := w.knows(panes[:i], g, key)
		if err != nil {
			return w.wrap("read state", err)
		}
		if known {
			continue
		}
		w.expr.Arena.Reset()
		if _, err := w.gather(panes[i:], g, key); err != nil {
			if err := w.mergeFailed(&w.own, err); err != nil {
				return err
			}
			continue
		}
		if err := w.result(start, g, key, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *windowed) knows(panes []record.Timestamp, g record.KeyGroup, key []byte) (bool, error) {
	for _, pane := range panes {
		_, ok, err := w.table.Get(g, int64(pane), key)
		if ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}
