package verify

import (
	"maps"
	"slices"
)

// checkSessions demands every session of a key that is over exactly once, with
// its bounds, count and sum, in order of time; and none that is not over.
// Two records exactly one gap apart are one session.
func checkSessions(v *verdict, h History) {
	want := sessionsOf(h.In, h.Gap)
	reached := watermark(h.In)
	newest := map[string]int64{}
	seen := map[pane]bool{}
	for _, recs := range h.Sessions {
		for _, r := range recs {
			p := pane{r.Value.K, int64(r.Value.Start)}
			w, ok := want[p]
			switch {
			case seen[p]:
				v.bad("sessions: %s [%d is there twice, again at offset %d", p.k, p.start, r.Offset)
			case !ok:
				v.bad("sessions: %s [%d at offset %d has no input that begins it", p.k, p.start, r.Offset)
			case int64(w.End) > reached:
				v.bad("sessions: %s [%d at offset %d is not over, time is %d", p.k, p.start, r.Offset, reached)
			case r.Value.End != w.End:
				v.bad("sessions: %s [%d ends at %d, want %d", p.k, p.start, r.Value.End, w.End)
			case r.Value.N != w.N || r.Value.Total != w.Total:
				v.bad("sessions: %s [%d is count %d sum %d, want %d and %d", p.k, p.start, r.Value.N, r.Value.Total, w.N, w.Total)
			case newest[p.k] > p.start:
				v.bad("sessions: %s [%d at offset %d comes after a later one", p.k, p.start, r.Offset)
			}
			seen[p] = true
			newest[p.k] = max(newest[p.k], p.start)
		}
	}
	v.compared.Sessions = len(seen)
	for p, w := range want {
		if int64(w.End) < reached && !seen[p] {
			v.bad("sessions: %s [%d with count %d is missing", p.k, p.start, w.N)
		}
	}
}

// sessionsOf are all sessions of an input, by key and beginning.
func sessionsOf(in Log, gap int64) map[pane]Value {
	keys := map[string][]Value{}
	for _, recs := range in {
		for _, r := range recs {
			keys[r.Value.K] = append(keys[r.Value.K], r.Value)
		}
	}
	all := map[pane]Value{}
	for k, values := range keys {
		slices.SortFunc(values, func(a, b Value) int { return int(a.TS - b.TS) })
		var s Value
		for i, x := range values {
			if i == 0 || x.TS > s.End {
				s = Value{Start: x.TS}
			}
			s.N, s.Total, s.End = s.N+1, s.Total+x.N, x.TS+Millis(gap)
			all[pane{k, int64(s.Start)}] = s
		}
	}
	return all
}

// GoneEvery is which counts of a key end its row in the table: the multiples.
const GoneEvery = 4

// checkTable follows the rows of every key: each count once and in order, as a row
// or, for every fourth, as its end. Two rows side by side differ by one input
// record; the last row has the sum of all.
func checkTable(v *verdict, in, out Log) {
	inputs := map[int64]string{}
	count, total := map[string]int64{}, map[string]int64{}
	for _, recs := range in {
		for _, r := range recs {
			inputs[r.Value.N] = r.Value.K
			count[r.Value.K]++
			total[r.Value.K] += r.Value.N
		}
	}
	home := map[string]int{}
	at := map[string]Rec{} // newest record, its count in any case
	for p, recs := range out {
		for _, r := range recs {
			if old, ok := home[r.Key]; ok && old != p {
				v.bad("table: key %s is in the partitions %d and %d", r.Key, old, p)
			}
			home[r.Key] = p
			if !v.tableStep(at[r.Key], &r, inputs) {
				return
			}
			at[r.Key] = r
			if r.Gone {
				v.compared.Deletes++
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(count)) {
		last := at[k]
		switch {
		case last.Value.N != count[k]:
			v.bad("table: key %s lacks %d results (less than none: too many)", k, count[k]-last.Value.N)
		case !last.Gone && last.Value.Total != total[k]:
			v.bad("table: key %s has the sum %d in the end, want %d", k, last.Value.Total, total[k])
		}
	}
}

// tableStep compares a record of the table with the one before it of its key, and
// gives an end its count.
func (v *verdict) tableStep(before Rec, r *Rec, inputs map[int64]string) bool {
	n := before.Value.N + 1
	switch gone := n%GoneEvery == 0; {
	case gone && !r.Gone:
		v.bad("table: key %s is a row of count %d at offset %d, want its end after count %d", r.Key, r.Value.N, r.Offset, n-1)
	case !gone && r.Gone:
		v.bad("table: key %s ends at offset %d, want a row of count %d", r.Key, r.Offset, n)
	case gone:
		r.Value.N = n
		return true
	case r.Value.N != n || r.Value.K != r.Key:
		v.bad("table: key %s has %s with count %d at offset %d, want %d", r.Key, r.Value.K, r.Value.N, r.Offset, n)
	case !before.Gone && inputs[r.Value.Total-before.Value.Total] != r.Key:
		v.bad("table: key %s grows by %d at offset %d, no input record of it has that value", r.Key, r.Value.Total-before.Value.Total, r.Offset)
	default:
		return true
	}
	return false
}
