package window

import "kstream/record"

// horizon bounds the times the assigner calculates with, so that no sum of a
// time, a size and a lateness overflows. It is 36 million years from 1970.
const horizon = record.Timestamp(1) << 60

// Assigner says which windows and which pane a time belongs to. It is a value;
// make it with New.
type Assigner struct {
	size, slide, offset, lateness record.Timestamp
	pane                          record.Timestamp
}

// New makes the assigner of windows of the size that begin every slide, moved
// by offset (of either sign). Slide equal to size is tumbling. A slide above
// the size leaves gaps: times in them belong to no window. Size and slide are
// at least 1.
func New(size, slide, offset, lateness int64) Assigner {
	return Assigner{
		size:     record.Timestamp(size),
		slide:    record.Timestamp(slide),
		offset:   record.Timestamp(offset),
		lateness: record.Timestamp(lateness),
		pane:     record.Timestamp(gcd(size, slide)),
	}
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// within cuts a time to the span that is calculated with.
func within(t record.Timestamp) record.Timestamp { return min(max(t, -horizon), horizon) }

// floor is the largest multiple of step, moved by the offset, that is not above t.
func (a Assigner) floor(t, step record.Timestamp) record.Timestamp {
	t -= a.offset
	rest := t % step
	if rest < 0 {
		rest += step
	}
	return t - rest + a.offset
}

// PaneLength is the length of a pane; equal to the size for tumbling windows.
func (a Assigner) PaneLength() record.Timestamp { return a.pane }

// Slide is the distance of window starts.
func (a Assigner) Slide() record.Timestamp { return a.slide }

// Lateness is how long after its end a window stays open.
func (a Assigner) Lateness() record.Timestamp { return a.lateness }

// Tumbling reports whether every window is one pane.
func (a Assigner) Tumbling() bool { return a.pane == a.size }

// Pane is the start of the pane that t falls into.
func (a Assigner) Pane(t record.Timestamp) record.Timestamp { return a.floor(within(t), a.pane) }

// Last is the start of the last window that begins at or before t; it holds t
// unless t falls into a gap.
func (a Assigner) Last(t record.Timestamp) record.Timestamp { return a.floor(within(t), a.slide) }

// First is the start of the first window that ends after t. It is above Last(t)
// if t falls into a gap.
func (a Assigner) First(t record.Timestamp) record.Timestamp {
	return a.floor(within(t)-a.size, a.slide) + a.slide
}

// InGap reports whether t belongs to no window, which happens only if the slide
// is above the size.
func (a Assigner) InGap(t record.Timestamp) bool { return a.Last(t) < a.First(t) }

// Window is the window that begins at start.
func (a Assigner) Window(start record.Timestamp) record.Window {
	return record.Window{Start: start, End: start + a.size}
}

// Ended reports whether the window that begins at start has ended.
func (a Assigner) Ended(start, watermark record.Timestamp) bool {
	return watermark >= start+a.size-1
}

// Closed reports whether the window that begins at start takes no more records.
func (a Assigner) Closed(start, watermark record.Timestamp) bool {
	return watermark >= a.ClosesAt(start)
}

// ClosesAt is the watermark that closes the window that begins at start.
func (a Assigner) ClosesAt(start record.Timestamp) record.Timestamp {
	return start + a.size - 1 + a.lateness
}

// Late reports whether every window of t is closed. A time in a gap is not
// late: it has no window.
func (a Assigner) Late(t, watermark record.Timestamp) bool {
	return a.Closed(a.Last(t), watermark) && !a.InGap(t)
}

// PaneDone reports whether no open window needs the pane that begins at pane.
func (a Assigner) PaneDone(pane, watermark record.Timestamp) bool {
	return a.Closed(a.Last(pane), watermark)
}

// Trigger says at which watermark a window is due.
type Trigger uint8

// The triggers: at its end, for results that may be corrected later, or when it
// closes, for results that are final.
const (
	AtEnd Trigger = iota
	AtClose
)

// Due calls fn with the start of every window that holds at least one of the
// panes and is due at a watermark in (from, to], in ascending order, until fn
// fails. The panes are given by their starts in ascending order.
func (a Assigner) Due(panes []record.Timestamp, tr Trigger, from, to record.Timestamp, fn func(start record.Timestamp) error) error {
	delay := a.size - 1
	if tr == AtClose {
		delay += a.lateness
	}
	next := record.MinTimestamp
	for _, pane := range panes {
		start := max(a.First(pane), next)
		// Windows that were due long ago are stepped over at once.
		if from > start+delay {
			start += (from - start - delay) / a.slide * a.slide
		}
		for ; start <= a.Last(pane) && start+delay <= to; start += a.slide {
			next = start + a.slide
			if start+delay <= from {
				continue
			}
			if err := fn(start); err != nil {
				return err
			}
		}
	}
	return nil
}

// Minus is t-d for d of at least 0; the bounds of time stay what they are.
func Minus(t, d record.Timestamp) record.Timestamp {
	switch {
	case t == record.MaxTimestamp:
		return t
	case t < record.MinTimestamp+d:
		return record.MinTimestamp
	}
	return t - d
}
