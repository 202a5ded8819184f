package window

import "kstream/record"

// Session is one session of a key: the span from its first record to the end of
// the interval [t, t+gap] that reaches furthest. Sessions of a key are disjoint;
// two of them touch only where the maximum has cut them apart.
type Session struct {
	Start, End record.Timestamp
	Last       record.Timestamp // time of the newest record
	Shown      bool             // a result was given for [Start, End)
	Parts      []uint32         // where its state is
}

// Merger makes sessions of records. The zero Max is no maximum.
type Merger struct {
	Max record.Timestamp
}

// Merge says what becomes of the sessions of a key, in order of their starts,
// when a record of time t with a gap arrives: list[lo:hi] and the record become
// the session cur, whose Shown and Parts are not set. With lo == hi the record
// begins a session of its own, at that place.
//
// Intervals that overlap or touch are one session. A record at Start+Max or
// later is not part of it, and two sessions that would hold such a record
// together stay apart: the earlier one ends where the later one begins.
func (m Merger) Merge(list []Session, t, gap record.Timestamp) (cur Session, lo, hi int) {
	t, gap = within(t), min(gap, horizon)
	for hi < len(list) && list[hi].Start <= t {
		hi++
	}
	lo = hi
	cur = Session{Start: t, End: t, Last: t}
	if lo > 0 {
		if s := &list[lo-1]; s.End >= t && t < m.limit(s.Start) {
			lo--
			cur = Session{Start: s.Start, End: s.End, Last: max(s.Last, t)}
		}
	}
	limit := m.limit(cur.Start)
	cur.End = max(cur.End, min(t+gap, limit))
	for hi < len(list) && list[hi].Start <= cur.End && list[hi].Last < limit {
		cur.End = max(cur.End, min(list[hi].End, limit))
		cur.Last = max(cur.Last, list[hi].Last)
		hi++
	}
	if hi < len(list) {
		cur.End = min(cur.End, list[hi].Start)
	}
	return cur, lo, hi
}

// limit is the first time that a session with the start cannot hold.
func (m Merger) limit(start record.Timestamp) record.Timestamp {
	if m.Max == 0 {
		return record.MaxTimestamp
	}
	return start + min(m.Max, horizon)
}
