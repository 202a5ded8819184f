package window

import (
	"time"

	"kstream/record"
)

const (
	hour = record.Timestamp(3_600_000)
	// ruled bounds the times a time zone is asked about: 4,000 years around 1970.
	ruled = record.Timestamp(1) << 47
)

// Calendar is the local clock of a time zone as a time that never goes back, so
// that windows can be calculated on it as on any other time.
//
// When the clock is set forward the local time jumps, and when it is set back it
// stands still until it has caught up. So a day is the time from one midnight to
// the next, which is 23 or 25 hours twice a year, and every instant is in one.
//
// It remembers the span between two changes of the clock that was asked for
// last, so it belongs to one goroutine.
type Calendar struct {
	zone *time.Location
	mod  record.Timestamp // of the offset; 0 is the whole offset
	era  era
}

// era is a span [from, to) with one offset from UTC. Until even the local time
// stands still.
type era struct {
	from, to, offset, even record.Timestamp
}

// NewCalendar makes the calendar for windows of so many milliseconds. Windows of
// an hour follow the minutes of the clock only: an hour that comes twice in
// autumn is two windows.
func NewCalendar(zone *time.Location, size int64) *Calendar {
	c := &Calendar{zone: zone}
	if size == int64(hour) {
		c.mod = hour
	}
	return c
}

// Local is the local time at t. It never falls.
func (c *Calendar) Local(t record.Timestamp) record.Timestamp {
	t = within(t)
	if t < c.era.from || t >= c.era.to {
		c.era = c.eraOf(t)
	}
	if t < c.era.even {
		return c.era.even + c.era.offset - 1
	}
	return t + c.era.offset
}

// Instant is the first time at which the local time is at least l.
func (c *Calendar) Instant(l record.Timestamp) record.Timestamp {
	l = within(l)
	e := c.eraOf(l - 36*hour)
	for e.to < record.MaxTimestamp && c.Local(e.to) < l {
		e = c.eraOf(e.to)
	}
	return min(l-e.offset, e.to) // e.to: the clock jumps over it
}

func (c *Calendar) eraOf(t record.Timestamp) era {
	at := time.UnixMilli(int64(min(max(t, -ruled), ruled))).In(c.zone)
	e := era{from: record.MinTimestamp, to: record.MaxTimestamp, offset: c.offset(at)}
	begin, end := at.ZoneBounds()
	if !end.IsZero() && !end.After(at) {
		// The library takes every year for one of 365 days, and says of the last
		// day of a longer one that its span is over.
		end = end.Add(24 * time.Hour)
	}
	if !end.IsZero() && end.UnixMilli() < int64(ruled) {
		e.to = record.Timestamp(end.UnixMilli())
	}
	e.even = record.MinTimestamp
	if !begin.IsZero() && begin.UnixMilli() > -int64(ruled) {
		e.from = record.Timestamp(begin.UnixMilli())
		before := c.offset(begin.Add(-time.Millisecond))
		e.even = e.from + max(0, before-e.offset)
	}
	return e
}

func (c *Calendar) offset(at time.Time) record.Timestamp {
	_, seconds := at.Zone()
	o := record.Timestamp(seconds) * 1000
	if c.mod > 0 {
		o = ((o % c.mod) + c.mod) % c.mod
	}
	return o
}
