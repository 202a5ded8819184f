package operator

import (
	"encoding/binary"
	"math"
	"slices"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
)

// The rows of each kind of operator. What is computed from the entries is
// computed by the operator itself, from a copy of them.

// aggregate is the row of a key without a window.
func (x *Inspector) aggregate(r *state.Reader, main []byte, fn func(*StateRow) error) error {
	if len(main) != x.acc.size {
		return x.damaged("a main entry has %d bytes, the step keeps %d", len(main), x.acc.size)
	}
	x.row.Ends = timeAt(main[newestSize:])
	if x.row.Ends != 0 && x.row.Ends <= x.opts.Now {
		return nil
	}
	x.own.Time = newestOf(main)
	if _, err := x.load(r, 0); err != nil {
		return err
	}
	if err := x.merge([]int64{0}); err != nil {
		return err
	}
	return x.give(fn)
}

// window is the row of the key in a window, merged of its panes. There is none if
// no pane knows the key.
func (x *Inspector) window(r *state.Reader, start record.Timestamp, panes []record.Timestamp, fn func(*StateRow) error) error {
	var known []int64
	for _, pane := range panes {
		ok, err := x.load(r, int64(pane))
		if err != nil {
			return err
		}
		if ok {
			known = append(known, int64(pane))
		}
	}
	if len(known) == 0 {
		return nil
	}
	x.row.Window, x.row.Windowed = x.win.windowAt(start), true
	x.own.Time = x.row.Window.End - 1
	if err := x.merge(known); err != nil {
		return err
	}
	return x.give(fn)
}

// paneLimit bounds the times that windows are calculated with, as the assigner
// does: a pane beyond is none that it made.
const paneLimit = 1 << 60

// sliding gives the rows of windows of several panes: of each open window that a
// pane belongs to, each key.
func (x *Inspector) sliding(r *state.Reader, g record.KeyGroup, prefix []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	w := x.win
	w.panes = w.panes[:0]
	err := x.namespaces(r, g, func(ns int64) error {
		if ns < -paneLimit || ns > paneLimit {
			return x.damaged("there is no pane at %d", ns)
		}
		w.panes = append(w.panes, record.Timestamp(ns))
		return nil
	})
	if err != nil {
		return err
	}
	next := record.MinTimestamp
	for _, pane := range w.panes {
		for start := max(w.assign.First(pane), next); start <= w.assign.Last(pane); start += w.assign.Slide() {
			next = start + w.assign.Slide()
			if w.assign.Closed(start, w.closed) || !only(w.windowAt(start)) {
				continue
			}
			if err := x.slidingWindow(r, g, start, prefix, fn); err != nil {
				return err
			}
		}
	}
	return nil
}

func (x *Inspector) slidingWindow(r *state.Reader, g record.KeyGroup, start record.Timestamp, prefix []byte, fn func(*StateRow) error) error {
	panes := x.win.panesOf(start)
	seen := map[string]bool{}
	var keys []string
	for _, pane := range panes {
		err := x.mains(r, g, int64(pane), prefix, func(key []byte) error {
			if !seen[string(key)] {
				seen[string(key)] = true
				keys = append(keys, string(key))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		err := x.begin(g, []byte(key))
		if err == nil {
			err = x.window(r, start, panes, fn)
		}
		x.unload()
		if err != nil {
			return err
		}
	}
	return nil
}

// sessions gives the sessions of a key.
func (x *Inspector) sessions(r *state.Reader, index []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	g, key := x.row.Group, x.row.KeyBytes
	x.loaded = append(x.loaded, state.Address{Group: g, Namespace: sessionIndex, Key: key})
	if err := x.scratch.Put(g, sessionIndex, key, index); err != nil {
		return err
	}
	if err := x.sess.load(g, key); err != nil {
		return x.damaged("%v", err)
	}
	for i := range x.sess.list {
		s := &x.sess.list[i]
		if !only(record.Window{Start: s.Start, End: s.End}) {
			continue
		}
		var parts []int64
		for _, part := range s.Parts {
			ns := partNamespace(part)
			if _, err := x.load(r, ns); err != nil {
				return err
			}
			parts = append(parts, ns)
		}
		x.row.Window, x.row.Windowed = record.Window{Start: s.Start, End: s.End}, true
		x.own.Time = s.End - 1
		if err := x.merge(parts); err != nil {
			return err
		}
		if err := x.give(fn); err != nil {
			return err
		}
	}
	return nil
}

// counted gives the windows of a key that have begun and are not full.
func (x *Inspector) counted(r *state.Reader, index []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	w := x.count
	if len(index) != 8 {
		return x.damaged("the number of records has %d bytes", len(index))
	}
	seen := binary.LittleEndian.Uint64(index)
	if seen > math.MaxInt64/2 {
		return x.damaged("%d records were seen", seen)
	}
	begin := uint64(0)
	if seen >= w.size {
		begin = ((seen-w.size)/w.slide + 1) * w.slide
	}
	for ; begin < seen; begin += w.slide {
		var panes []int64
		oldest, newest := record.MaxTimestamp, record.MinTimestamp
		for pane := begin / w.pane; pane*w.pane < min(begin+w.size, seen); pane++ {
			ns := w.namespace(pane)
			if _, err := x.load(r, ns); err != nil {
				return err
			}
			main, ok, err := x.scratch.Get(x.row.Group, ns, x.row.KeyBytes)
			if err != nil || !ok {
				return x.damaged("a pane is missing")
			}
			oldest, newest = min(oldest, oldestOf(main)), max(newest, oldestOf(main[8:]))
			panes = append(panes, ns)
		}
		x.row.Window, x.row.Windowed = record.Window{Start: oldest, End: newest + 1}, true
		if !only(x.row.Window) {
			continue
		}
		x.row.Records, x.own.Time = int64(min(seen-begin, w.size)), newest
		if err := x.merge(panes); err != nil {
			return err
		}
		if err := x.give(fn); err != nil {
			return err
		}
	}
	return nil
}

// list is the list of a top_n, the best row first.
func (x *Inspector) list(ns int64, key, value []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	t := x.top
	if rest := key[len(x.row.KeyBytes):]; len(rest) == 8 {
		x.row.Windowed = true
		x.row.Window = record.Window{Start: record.Timestamp(binary.BigEndian.Uint64(rest) ^ 1<<63), End: record.Timestamp(ns)}
		if t.closed(x.row.Window.End, x.opts.Watermark) || !only(x.row.Window) {
			return nil
		}
	}
	rows, err := parseTopList(value, nil)
	if err != nil {
		return x.damaged("%v", err)
	}
	var list []record.Value
	for i := len(rows) - 1; i >= 0; i-- {
		row := x.own
		if err := t.rows.decode(&row, rows[i], &x.arena); err != nil {
			return x.damaged("%v", err)
		}
		o := &record.Object{}
		for _, c := range t.node.TopN.Columns {
			v := row.Key
			if c.Name != "$key" || !t.node.TopN.Key {
				v = row.Slots[c.Out]
			}
			o.Names, o.Values = append(o.Names, columnName(c.Name)), append(o.Values, v)
		}
		list = append(list, record.ObjectOf(o))
	}
	x.row.Value = record.ObjectOf(&record.Object{Names: []string{"rows"}, Values: []record.Value{record.List(list)}})
	return fn(&x.row)
}

// upserted is the latest row of a source in upsert mode.
func (x *Inspector) upserted(b []byte, fn func(*StateRow) error) error {
	if len(b) < 8 {
		return x.damaged("a row has %d bytes", len(b))
	}
	o := &record.Object{}
	for b = b[8:]; len(b) > 0; {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return x.damaged("the name of a column is cut")
		}
		name := string(b[size : size+int(n)])
		v, rest, err := codec.ReadValue(b[size+int(n):])
		if err != nil {
			return x.damaged("column %.40q: %v", name, err)
		}
		o.Names, o.Values = append(o.Names, columnName(name)), append(o.Values, v)
		b = rest
	}
	x.row.Value = record.ObjectOf(o)
	return fn(&x.row)
}

// change is what emit_every holds of a row.
func (x *Inspector) change(key, value []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	if rest := key[len(x.row.KeyBytes):]; x.Windowed {
		start, end := binary.BigEndian.Uint64(rest), binary.BigEndian.Uint64(rest[8:])
		x.row.Window, x.row.Windowed = record.Window{Start: record.Timestamp(start ^ 1<<63), End: record.Timestamp(end ^ 1<<63)}, true
		if !only(x.row.Window) {
			return nil
		}
	}
	former, now, err := heldParts(value)
	if err != nil {
		return x.damaged("%v", err)
	}
	op := record.OpUpdate
	switch flags := value[0]; {
	case flags&heldIs == 0:
		op = record.OpDelete
		if flags&heldFormer != 0 {
			now = former
		}
	case flags&heldWas == 0:
		op = record.OpInsert
	}
	if err := x.held.images.read(&x.own, now); err != nil {
		return x.damaged("%v", err)
	}
	o := &record.Object{}
	for _, c := range x.node.Coalesce.Columns {
		o.Names, o.Values = append(o.Names, columnName(c.Name)), append(o.Values, x.own.Slots[c.Slot])
	}
	x.row.Value = record.ObjectOf(&record.Object{Names: []string{"op", "row"}, Values: []record.Value{record.String(op.String()), record.ObjectOf(o)}})
	return fn(&x.row)
}

// remembered is the time a dedup keeps of a key.
func (x *Inspector) remembered(b []byte, fn func(*StateRow) error) error {
	if len(b) != 8 {
		return x.damaged("a time has %d bytes", len(b))
	}
	t := timeAt(b)
	if d := x.node.Dedup; d.Within >= 0 {
		within, last := record.Timestamp(d.Within), record.MinTimestamp // forgotten, and dropped with the others of its span
		switch {
		case d.Clock:
			x.row.Ends = t + within
			last = x.opts.Now - within
		case x.opts.Watermark > record.MinTimestamp+within:
			last = x.opts.Watermark - within + 1
		}
		if t <= last {
			return nil
		}
	}
	const most = math.MaxInt64 / 1_000_000
	if t > most || t < -most {
		return x.damaged("%d is no time", t)
	}
	x.row.Value = record.ObjectOf(&record.Object{Names: []string{"time"}, Values: []record.Value{record.TimestampNanos(int64(t) * 1e6)}})
	return fn(&x.row)
}
