package operator

import (
	"strconv"

	"kstream/record"
	"kstream/topology"
)

// resultColumns are the columns of the results of an aggregate.
func resultColumns(a *topology.Aggregate) (all []topology.KeptColumn) {
	for i, o := range a.Outputs {
		all = append(all, topology.KeptColumn{Name: strconv.Itoa(i), Slot: o.Slot})
	}
	if a.Reduce != nil {
		for _, f := range a.Reduce.Fields {
			all = append(all, topology.KeptColumn{Name: f.Name, Slot: f.Slot})
		}
	}
	return all
}

// rememberResults notes what the windows of a late row that have ended gave for
// its key, before the row changes them.
func (w *windowed) rememberResults(row *record.Row, pane record.Timestamp) error {
	w.formers, w.ends = w.formers[:0], w.ends[:0]
	for start := w.assign.First(pane); start <= w.assign.Last(pane) && w.assign.Ended(start, w.ended); start += w.assign.Slide() {
		if w.assign.Closed(start, w.closed) {
			continue
		}
		if err := w.rememberResult(row, start); err != nil {
			return err
		}
		w.ends = append(w.ends, len(w.formers))
	}
	w.expr.Begin(row)
	return nil
}

// rememberResult notes the result of one window; one that failed was not passed
// on.
func (w *windowed) rememberResult(row *record.Row, start record.Timestamp) error {
	n, err := w.gather(w.panesOf(start), row.Group, row.KeyBytes)
	if _, bad := err.(valueError); bad || err == nil && n == 0 {
		return nil
	}
	if err != nil {
		return w.wrap("read state", err)
	}
	w.was.Window = w.windowAt(start)
	w.was.Time, w.was.Group = w.was.Window.End-1, row.Group
	if _, err := w.decodeKey(&w.was, row.KeyBytes); err != nil {
		return err
	}
	bad, err := w.finish(&w.was)
	if bad != nil || err != nil {
		return err
	}
	if w.formers, err = w.images.append(w.formers, &w.was); err != nil {
		return w.wrap("keep a result", err)
	}
	return nil
}

// former makes the result that the i-th window gave what the next one replaces.
func (w *windowed) former(i int, row *record.Row) error {
	from := 0
	if i > 0 {
		from = w.ends[i-1]
	}
	w.own.Before, w.own.Op = nil, record.OpInsert
	image := w.formers[from:w.ends[i]]
	if len(image) == 0 {
		return nil
	}
	w.was.Group, w.was.Op = row.Group, record.OpUpdate
	if _, err := w.decodeKey(&w.was, row.KeyBytes); err != nil {
		return err
	}
	if err := w.images.read(&w.was, image); err != nil {
		return w.wrap("read a result", err)
	}
	w.own.Before, w.own.Op = &w.was, record.OpUpdate
	return nil
}

// replace passes on a result with the one it replaces. If there is no result any
// more that one is deleted.
func (w *windowed) replace(row *record.Row) error {
	bad, err := w.finish(&w.own)
	if err == nil && bad != nil {
		err = w.resultFailed(&w.own, row, bad)
	}
	if err == nil {
		w.expr.Begin(&w.own)
		err = w.emitImages(&w.own, true, bad == nil)
	}
	w.own.Before = nil
	w.expr.Begin(row)
	return err
}
