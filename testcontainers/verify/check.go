package verify

import (
	"fmt"
	"maps"
	"slices"
)

// Compared counts what a verdict rests on.
type Compared struct {
	Inputs, Records, Partitions, Keys, Windows, Dead int
	Sessions, Deletes                                int // deletes of the table
	Files                                            int
	Aborted                                          int // records of attempts that did not count
}

// problemsMax bounds a report; the first lines say what went wrong.
const problemsMax = 20

// verdict collects problems.
type verdict struct {
	compared Compared
	problems []string
	more     int
}

func (v *verdict) bad(format string, args ...any) {
	if len(v.problems) == problemsMax {
		v.more++
		return
	}
	v.problems = append(v.problems, fmt.Sprintf(format, args...))
}

// Check compares the outputs of a history with what its input demands.
func Check(h History) (Compared, []string) {
	v := &verdict{}
	checkInput(v, h.In)
	checkCopy(v, h.In, h.Copy)
	checkCounts(v, h.In, h.Counts)
	checkWindows(v, h)
	checkSessions(v, h)
	checkTable(v, h.In, h.Table)
	checkDead(v, h)
	if h.HasFiles {
		checkFiles(v, h.In, h.Files)
	}
	v.compared.Inputs = h.In.Len()
	v.compared.Records = h.Copy.Len() + h.Counts.Len() + h.Windows.Len() + h.Sessions.Len() + h.Table.Len() + h.Dead.Len()
	c := v.compared
	if c.Inputs == 0 || c.Records == 0 || c.Partitions == 0 || c.Keys == 0 || c.Windows == 0 || c.Dead == 0 ||
		c.Sessions == 0 || c.Deletes == 0 || h.HasFiles && c.Files == 0 {
		v.problems = append([]string{fmt.Sprintf("the verifier compared nothing of something: %+v", c)}, v.problems...)
	}
	if v.more > 0 {
		v.problems = append(v.problems, fmt.Sprintf("and %d more", v.more))
	}
	return v.compared, v.problems
}

// checkInput holds what the other checks rest on: values unlike each other, and
// times that never go back within a partition, so that no record is late.
func checkInput(v *verdict, in Log) {
	seen := map[int64]bool{}
	for p, recs := range in {
		for i, r := range recs {
			if seen[r.Value.N] {
				v.bad("input: the value %d occurs twice, the driver is wrong", r.Value.N)
			}
			seen[r.Value.N] = true
			if i > 0 && r.Value.TS < recs[i-1].Value.TS {
				v.bad("input: time goes back in partition %d at offset %d, the driver is wrong", p, r.Offset)
			}
		}
	}
}

// checkCopy demands the same records in the same partitions in the same order.
func checkCopy(v *verdict, in, out Log) {
	for p := range max(len(in), len(out)) {
		var want, got []Rec
		if p < len(in) {
			want = in[p]
		}
		if p < len(out) {
			got = out[p]
		}
		if len(want) > 0 && len(got) > 0 {
			v.compared.Partitions++
		}
		for i := range max(len(want), len(got)) {
			switch {
			case i >= len(got):
				v.bad("copy: partition %d ends after %d of %d records, %s is lost", p, len(got), len(want), want[i].Value.ID)
			case i >= len(want):
				v.bad("copy: partition %d has a record too many: %s at offset %d", p, got[i].Value.ID, got[i].Offset)
			case got[i].Value != want[i].Value || got[i].Key != want[i].Key:
				v.bad("copy: partition %d record %d is %+v at offset %d, want %+v", p, i, got[i].Value, got[i].Offset, want[i].Value)
			default:
				continue
			}
			break // the rest of the partition only repeats it
		}
	}
}

// place is where an input record stands.
type place struct{ partition, index int }

// checkCounts follows the running count and sum of every key. Values are unique,
// so each step of the sum names the one input record that made it: every record
// must be named once, and those of one partition in their order.
func checkCounts(v *verdict, in, out Log) {
	where := map[int64]place{}
	left := map[string]int{}
	for p, recs := range in {
		for i, r := range recs {
			where[r.Value.N] = place{p, i}
			left[r.Value.K]++
		}
	}
	home := map[string]int{}
	for p, recs := range out {
		for _, r := range recs {
			if at, ok := home[r.Value.K]; ok && at != p {
				v.bad("counts: key %s is in the partitions %d and %d", r.Value.K, at, p)
			}
			home[r.Value.K] = p
		}
		for _, k := range keysOf(recs) {
			checkCount(v, k, recs, in, where)
			left[k] -= countKey(recs, k)
		}
	}
	v.compared.Keys = len(home)
	for _, k := range slices.Sorted(maps.Keys(left)) {
		if left[k] != 0 {
			v.bad("counts: key %s lacks %d results (less than none: too many)", k, left[k])
		}
	}
}

// checkCount follows one key through its partition.
func checkCount(v *verdict, k string, recs []Rec, in Log, where map[int64]place) {
	var n, total int64
	last := map[int]int{} // newest index per input partition, plus one
	for _, r := range recs {
		if r.Value.K != k {
			continue
		}
		if r.Key != k {
			v.bad("counts: record key %q of key %s at offset %d", r.Key, k, r.Offset)
		}
		n++
		if r.Value.N != n {
			v.bad("counts: key %s has count %d at offset %d, want %d", k, r.Value.N, r.Offset, n)
			return
		}
		at, ok := where[r.Value.Total-total]
		if !ok || in[at.partition][at.index].Value.K != k {
			v.bad("counts: key %s grows by %d at offset %d, no input record of it has that value", k, r.Value.Total-total, r.Offset)
			return
		}
		if at.index < last[at.partition] {
			v.bad("counts: key %s takes partition %d record %d again or too late, at offset %d", k, at.partition, at.index, r.Offset)
			return
		}
		last[at.partition] = at.index + 1
		total = r.Value.Total
	}
}

func keysOf(recs []Rec) []string {
	set := map[string]bool{}
	for _, r := range recs {
		set[r.Value.K] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func countKey(recs []Rec, k string) int {
	n := 0
	for _, r := range recs {
		if r.Value.K == k {
			n++
		}
	}
	return n
}

// pane is one key in one window.
type pane struct {
	k     string
	start int64
}

// checkWindows demands every window that the input closed, exactly once, with
// its count and sum, in order of time per key; and none that is still open.
func checkWindows(v *verdict, h History) {
	want := map[pane]Value{}
	for _, recs := range h.In {
		for _, r := range recs {
			p := pane{r.Value.K, int64(r.Value.TS) / h.WindowSize * h.WindowSize}
			w := want[p]
			w.N++
			w.Total += r.Value.N
			want[p] = w
		}
	}
	reached := watermark(h.In)
	newest := map[string]int64{}
	seen := map[pane]bool{}
	for _, recs := range h.Windows {
		for _, r := range recs {
			p := pane{r.Value.K, int64(r.Value.Start)}
			w, ok := want[p]
			switch {
			case seen[p]:
				v.bad("windows: %s [%d is there twice, again at offset %d", p.k, p.start, r.Offset)
			case !ok:
				v.bad("windows: %s [%d at offset %d has no input", p.k, p.start, r.Offset)
			case p.start+h.WindowSize > reached:
				v.bad("windows: %s [%d at offset %d came before its end, time is %d", p.k, p.start, r.Offset, reached)
			case r.Value.N != w.N || r.Value.Total != w.Total:
				v.bad("windows: %s [%d is count %d sum %d, want %d and %d", p.k, p.start, r.Value.N, r.Value.Total, w.N, w.Total)
			case newest[p.k] > p.start:
				v.bad("windows: %s [%d at offset %d comes after a later one", p.k, p.start, r.Offset)
			}
			seen[p] = true
			newest[p.k] = max(newest[p.k], p.start)
		}
	}
	v.compared.Windows = len(seen)
	for p, w := range want {
		if p.start+h.WindowSize <= reached && !seen[p] {
			v.bad("windows: %s [%d with count %d is missing", p.k, p.start, w.N)
		}
	}
}

// watermark is the time every partition has reached: windows that end at or
// before it are closed.
func watermark(in Log) int64 {
	reached := int64(-1)
	for i, recs := range in {
		newest := int64(0)
		if len(recs) > 0 {
			newest = int64(recs[len(recs)-1].Value.TS)
		}
		if i == 0 || newest < reached {
			reached = newest
		}
	}
	return reached
}
