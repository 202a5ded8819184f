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
//
// Windows with a time zone are calculated in its local time: panes are named by
// it, and ended and closed are the watermark in it.
type windowed struct {
	*accumulators
	assign   window.Assigner  // without lateness, which is in closed
	calendar *window.Calendar // nil: local time is UTC
	lateness record.Timestamp
	trigger  window.Trigger
	late     []step
	own      record.Row
	byClock  *wallClock // nil: the watermark closes windows

	watermark record.Timestamp   // of the rows' times
	ended     record.Timestamp   // the watermark in local time: what it is compared with at a window's end,
	closed    record.Timestamp   // and at its close
	panes     []record.Timestamp // live ones, ascending
	lastPane  record.Timestamp   // where the last row fell that was not late
	keys      keyList

	// What windows gave before a row corrects them, if that is asked for.
	images  images
	was     record.Row
	formers []byte
	ends    []int // of each window, in formers; an empty one gave nothing
}

// keyList holds the keys of a pane while they are merged with other panes.
type keyList struct {
	bytes  []byte
	ends   []int
	groups []record.KeyGroup
}

func (c *Chain) newWindowed(b *base) (*windowed, error) {
	spec := b.node.Window
	assign := window.New(spec.Size, spec.Slide, spec.Offset, 0)
	acc, err := c.newAccumulators(b, !assign.Tumbling())
	if err != nil {
		return nil, err
	}
	w := &windowed{
		accumulators: acc,
		assign:       assign,
		lateness:     record.Timestamp(spec.AllowedLateness),
		trigger:      window.AtClose,
		own:          record.Row{Slots: c.Slots},
		lastPane:     record.MinTimestamp,
	}
	if spec.Zone != nil {
		w.calendar = window.NewCalendar(spec.Zone, spec.Size)
	}
	w.reach(record.MinTimestamp)
	w.images, w.was.Slots = newImages(resultColumns(b.node.Aggregate)), c.Before
	if b.node.Aggregate.Emit == "update" {
		w.trigger = window.AtEnd
	}
	if spec.Clock {
		if w.byClock, err = c.newWallClock(b, acc.table); err != nil {
			return nil, err
		}
		c.clocked = append(c.clocked, w)
	}
	namespaces, err := acc.table.Namespaces()
	if err != nil {
		return nil, b.wrap("read state", err)
	}
	for _, ns := range namespaces {
		if ns != clockNamespace {
			w.panes = append(w.panes, record.Timestamp(ns))
		}
	}
	return w, nil
}

// reach sets the watermark. A window [start, end) ends when the watermark is at
// end-1, which in local time is when the local time of the next millisecond is
// at the end.
func (w *windowed) reach(watermark record.Timestamp) {
	w.watermark = watermark
	w.ended = w.inLocal(watermark)
	w.closed = w.inLocal(window.Minus(watermark, w.lateness))
}

func (w *windowed) inLocal(watermark record.Timestamp) record.Timestamp {
	if w.calendar == nil || watermark == record.MinTimestamp || watermark == record.MaxTimestamp {
		return watermark
	}
	return w.calendar.Local(watermark+1) - 1
}

// windowAt is the window that begins at a local time.
func (w *windowed) windowAt(start record.Timestamp) record.Window {
	out := w.assign.Window(start)
	if w.calendar != nil {
		out = record.Window{Start: w.calendar.Instant(out.Start), End: w.calendar.Instant(out.End)}
	}
	return out
}

func (w *windowed) process(row *record.Row) error {
	w.stats.In++
	t := row.Time
	if w.byClock != nil {
		t = w.byClock.at(w.expr.Now, w.watermark)
	}
	// A row ahead of the watermark cannot be late, nor in a window that ended.
	behind := t <= w.watermark
	if w.calendar != nil {
		t = w.calendar.Local(t)
	}
	if behind && w.assign.Late(t, w.closed) {
		return tooLate(w.base, w.late, row)
	}
	pane := w.lastPane
	if t < pane || t-pane >= w.assign.PaneLength() || pane == record.MinTimestamp {
		if w.assign.InGap(t) {
			return nil
		}
		pane = w.assign.Pane(t)
	}
	if behind && w.trigger == window.AtEnd && w.node.Aggregate.Retract {
		if err := w.rememberResults(row, pane); err != nil {
			return err
		}
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

// tooLate hands a late row to the side output, or counts it.
func tooLate(b *base, late []step, row *record.Row) error {
	if len(late) == 0 {
		if b.env.Count.LateDropped != nil {
			b.env.Count.LateDropped(b.node.UID)
		}
		return nil
	}
	for _, s := range late {
		if err := s.process(row); err != nil {
			return err
		}
	}
	return nil
}

// correct gives new results of the key for the windows of a late row that have
// ended and are not closed.
func (w *windowed) correct(row *record.Row, pane record.Timestamp, fresh bool) error {
	i := -1
	for start := w.assign.First(pane); start <= w.assign.Last(pane) && w.assign.Ended(start, w.ended); start += w.assign.Slide() {
		if w.assign.Closed(start, w.closed) {
			continue
		}
		i++
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
		if w.node.Aggregate.Retract {
			if err := w.former(i, row); err != nil {
				return err
			}
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
	if row != nil {
		w.own.Window = w.windowAt(start)
	}
	w.own.Time, w.own.Group = w.own.Window.End-1, g
	if _, err := w.decodeKey(&w.own, key); err != nil {
		return err
	}
	if w.own.Before != nil {
		return w.replace(row)
	}
	return w.pass(&w.own, row)
}

// advance takes a watermark. Where the clock closes windows only the last one
// does too: nothing comes any more.
func (w *windowed) advance(watermark record.Timestamp) error {
	if w.byClock == nil || watermark == record.MaxTimestamp {
		if err := w.fireDue(watermark); err != nil {
			return err
		}
	}
	for _, s := range w.late {
		if err := s.advance(watermark); err != nil {
			return err
		}
	}
	return w.base.advance(watermark)
}

// fireDue fires the windows that are due, in the order of their ends, then drops
// the panes that no open window needs.
func (w *windowed) fireDue(watermark record.Timestamp) error {
	mark := &w.ended
	if w.trigger == window.AtClose {
		mark = &w.closed
	}
	before := *mark
	w.reach(watermark)
	w.own.Op = record.OpInsert
	if err := w.assign.Due(w.panes, w.trigger, before, *mark, w.fire); err != nil {
		return err
	}
	for len(w.panes) > 0 && w.assign.PaneDone(w.panes[0], w.closed) {
		if err := w.table.DropNamespace(int64(w.panes[0])); err != nil {
			return w.wrap("drop closed windows", err)
		}
		w.panes = slices.Delete(w.panes, 0, 1)
	}
	return nil
}

func (w *windowed) restore(watermark record.Timestamp) {
	if w.byClock == nil {
		w.reach(watermark)
	}
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
	w.own.Window = w.windowAt(start)
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
		if !w.byClock.fires(g, w.own.Window.End) {
			return nil
		}
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
		if !w.byClock.fires(g, w.own.Window.End) {
			continue
		}
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
