package operator

import (
	"encoding/binary"
	"math"

	"kstream/record"
	"kstream/state"
)

// clocked is an operator whose time is the clock, whatever the watermark is.
type clocked interface {
	// tick takes the time; what fell due before it fires.
	tick(now record.Timestamp) error
	// due is the time at which something is due next; too early does no harm.
	due() record.Timestamp
}

// Clocked reports whether the chain has to be told the time of the clock.
func (c *Chain) Clocked() bool { return len(c.clocked) > 0 }

// Clock tells the chain the time of the clock, in milliseconds. It is called
// between two items. The arena is used and reset.
func (c *Chain) Clock(now record.Timestamp) error {
	for _, o := range c.clocked {
		if o.due() > now {
			continue
		}
		if err := o.tick(now); err != nil {
			return err
		}
	}
	return nil
}

// ClockDue is the time at which Clock must be called next, MaxTimestamp if
// nothing waits for it.
func (c *Chain) ClockDue() record.Timestamp {
	next := record.MaxTimestamp
	for _, o := range c.clocked {
		next = min(next, o.due())
	}
	return next
}

// clockNamespace is where a window that is closed by the clock notes how far it
// has fired, one entry for each key group: the clock is not in the checkpoint, as
// the watermark is.
const clockNamespace = math.MinInt64 + 1

var clockKey = []byte{0}

// wallClock is what windows closed by the clock know of it. A nil one is for
// windows that the watermark closes.
type wallClock struct {
	table  *state.Table
	fired  []record.Timestamp // by key group
	newest record.Timestamp   // of fired
	firing []bool             // by key group: fired since the last note
	buf    [8]byte
}

func (c *Chain) newWallClock(b *base, table *state.Table) (*wallClock, error) {
	n := b.env.MaxParallelism
	w := &wallClock{table: table, fired: make([]record.Timestamp, n), firing: make([]bool, n), newest: record.MinTimestamp}
	for i := range w.fired {
		w.fired[i] = record.MinTimestamp
	}
	err := table.Scan(clockNamespace, func(g record.KeyGroup, _, value []byte) error {
		w.fired[g] = record.Timestamp(binary.LittleEndian.Uint64(value))
		w.newest = max(w.newest, w.fired[g])
		return nil
	})
	if err != nil {
		return nil, b.wrap("read state", err)
	}
	return w, nil
}

// at is the time of a row that arrives now. It is never in a window that has
// fired, also if the clock was set back.
func (w *wallClock) at(nanos int64, fired record.Timestamp) record.Timestamp {
	return max(millis(nanos), fired+1, w.newest+1)
}

func millis(nanos int64) record.Timestamp { return record.Timestamp(nanos / 1_000_000) }

// fires reports whether a window has not fired yet for a key group, and takes
// note of it.
func (w *wallClock) fires(g record.KeyGroup, end record.Timestamp) bool {
	if w == nil {
		return true
	}
	if end-1 <= w.fired[g] {
		return false
	}
	w.firing[g] = true
	return true
}

// note writes down how far the windows have fired.
func (w *wallClock) note(watermark record.Timestamp) error {
	binary.LittleEndian.PutUint64(w.buf[:], uint64(watermark))
	for g, firing := range w.firing {
		if !firing {
			continue
		}
		w.firing[g], w.fired[g] = false, watermark
		w.newest = max(w.newest, watermark)
		if err := w.table.Put(record.KeyGroup(g), clockNamespace, clockKey, w.buf[:]); err != nil {
			return err
		}
	}
	return nil
}

// tick fires what the clock has closed. A row may still come at now, but not
// before it.
func (w *windowed) tick(now record.Timestamp) error {
	if now-1 <= w.watermark {
		return nil
	}
	if err := w.fireDue(now - 1); err != nil {
		return err
	}
	if err := w.byClock.note(now - 1); err != nil {
		return w.wrap("state", err)
	}
	return nil
}

// due is the end of the first window that has not fired.
func (w *windowed) due() record.Timestamp {
	if len(w.panes) == 0 {
		return record.MaxTimestamp
	}
	start := w.assign.First(w.panes[0])
	for w.assign.Ended(start, w.ended) {
		start += w.assign.Slide()
	}
	return w.windowAt(start).End
}
