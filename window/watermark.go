package window

import "kstream/record"

// Bounded is the watermark of a sequence in which a record is at most bound
// milliseconds behind the newest one: the newest time seen - bound - 1. The -1
// is there because records of the newest time may still follow.
type Bounded struct {
	bound  record.Timestamp
	newest record.Timestamp
}

// NewBounded makes the watermark for a bound of so many milliseconds; 0 is for
// ascending times.
func NewBounded(bound int64) Bounded {
	return Bounded{bound: record.Timestamp(bound), newest: record.MinTimestamp}
}

// Observe takes note of a record's time.
func (b *Bounded) Observe(t record.Timestamp) {
	if t > b.newest {
		b.newest = t
	}
}

// Current is the watermark; MinTimestamp before the first record.
func (b *Bounded) Current() record.Timestamp {
	if b.newest < record.MinTimestamp+b.bound+1 {
		return record.MinTimestamp
	}
	return b.newest - b.bound - 1
}

// Partitions combines the watermarks of the partitions of a source, or of the
// inputs of a task: the smallest of those that are not idle, and never less
// than it was. Partitions are numbered as they are added.
type Partitions struct {
	parts   []partition
	current record.Timestamp
}

type partition struct {
	watermark record.Timestamp
	idle      bool
	ended     bool
}

// NewPartitions makes n active partitions without a watermark.
func NewPartitions(n int) *Partitions {
	p := &Partitions{current: record.MinTimestamp}
	for range n {
		p.Add()
	}
	return p
}

// Add adds an active partition and gives its number. The combined watermark
// stays what it is, and waits for the new one.
func (p *Partitions) Add() int {
	p.parts = append(p.parts, partition{watermark: record.MinTimestamp})
	return len(p.parts) - 1
}

// Len is how many partitions there are.
func (p *Partitions) Len() int { return len(p.parts) }

// Advance raises the watermark of a partition. A lower one than before is
// ignored; whether the partition is idle does not change.
func (p *Partitions) Advance(i int, watermark record.Timestamp) {
	if watermark > p.parts[i].watermark {
		p.parts[i].watermark = watermark
	}
}

// SetIdle says that a partition has had no records for a while and does not
// hold the others back, or that it has some again.
func (p *Partitions) SetIdle(i int, idle bool) { p.parts[i].idle = idle }

// End says that a partition has ended for good.
func (p *Partitions) End(i int) {
	p.parts[i].ended = true
	p.parts[i].watermark = record.MaxTimestamp
}

// Watermark and Idle are what a checkpoint keeps of a partition.
func (p *Partitions) Watermark(i int) record.Timestamp { return p.parts[i].watermark }

// Idle reports whether a partition is idle.
func (p *Partitions) Idle(i int) bool { return p.parts[i].idle }

// Restore sets the combined watermark after a restart, so that it does not
// begin anew behind what was reported before.
func (p *Partitions) Restore(watermark record.Timestamp) {
	p.current = max(p.current, watermark)
}

// done says that nothing comes any more: the partition has ended, or the input
// has brought the final watermark.
func (q *partition) done() bool { return q.ended || q.watermark == record.MaxTimestamp }

// Current is the combined watermark. While all partitions that have not ended are
// idle it stays: an idle one may go on, and what it brings is not late because
// another one has come to its end.
func (p *Partitions) Current() record.Timestamp {
	low, waiting := record.MaxTimestamp, false
	for i := range p.parts {
		switch q := &p.parts[i]; {
		case q.done():
		case q.idle:
			waiting = true
		default:
			low = min(low, q.watermark)
		}
	}
	if waiting && low == record.MaxTimestamp || len(p.parts) == 0 {
		return p.current
	}
	p.current = max(p.current, low)
	return p.current
}

// AllIdle reports whether every partition is idle or has ended, but not all
// have ended: then the whole is idle.
func (p *Partitions) AllIdle() bool {
	idle := false
	for i := range p.parts {
		switch q := &p.parts[i]; {
		case q.done():
		case q.idle:
			idle = true
		default:
			return false
		}
	}
	return idle
}

// Holder is the number of the active partition that holds the watermark back
// the most, -1 if all are idle.
func (p *Partitions) Holder() int {
	holder := -1
	for i := range p.parts {
		if q := &p.parts[i]; !q.idle && !q.ended && (holder < 0 || q.watermark < p.parts[holder].watermark) {
			holder = i
		}
	}
	return holder
}
