package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kstream/record"
	"kstream/topology"
)

// fullWindow is the result that the newest of all rows of a key completes, "" if
// it completes none.
func fullWindow(w *topology.Window, rows []modelRow) string {
	n := int64(len(rows))
	if n < w.Size || (n-w.Size)%w.Slide != 0 {
		return ""
	}
	rows = rows[n-w.Size:]
	oldest, newest := rows[0].at, rows[0].at
	for _, r := range rows {
		oldest, newest = min(oldest, r.at), max(newest, r.at)
	}
	return fmt.Sprintf("insert %s @%d [%d,%d)%s", rows[0].key, newest, oldest, newest+1, expected(rows))
}

func TestCountWindowsEqualPlainLoops(t *testing.T) {
	for seed := range uint64(120) {
		r := rand.New(rand.NewPCG(seed, 31))
		w := &topology.Window{Count: true, Size: 1 + r.Int64N(9)}
		if w.Slide = w.Size; seed%2 == 0 {
			w.Slide = 1 + r.Int64N(12) // more than the size leaves gaps
		}
		j := &job{rig: newRig(t), node: func() *topology.Node { return aggregateNode(modelSlots, "append", w, modelCalls()...) }}
		for i := range modelCalls() {
			j.columns = append(j.columns, modelSlots+i)
		}
		j.start(1+r.IntN(3), record.MinTimestamp)
		rows := map[string][]modelRow{}
		for range 200 {
			row := randomRow(r, r.Int64N(100))
			rows[row.key] = append(rows[row.key], row)
			var want []string
			if full := fullWindow(w, rows[row.key]); full != "" {
				want = []string{full}
			}
			j.row(row)
			if got := j.taken(); !slices.Equal(got, want) {
				sameLines(t, fmt.Sprintf("seed %d: %+v: row %d of %s", seed, *w, len(rows[row.key]), row.key), got, want)
			}
			if r.IntN(40) == 0 {
				j.restart(r.IntN(4))
			}
		}
		// What is not full gives nothing at the end of the input.
		sameLines(t, "end", j.advance(record.MaxTimestamp), nil)
	}
}

// TestFullCountWindowsLeaveNothing: keys that came and went take no memory.
func TestFullCountWindowsLeaveNothing(t *testing.T) {
	j := &job{rig: newRig(t), node: func() *topology.Node {
		return aggregateNode(modelSlots, "append", &topology.Window{Count: true, Size: 3, Slide: 3}, modelCalls()...)
	}}
	j.start(2, record.MinTimestamp)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		row := randomRow(r, 0)
		row.key = fmt.Sprint("k", i/3)
		j.row(row)
		if i%7 == 0 {
			j.restart(0)
		}
	}
	j.nothingLeft()
}

// TestASkippedRowIsNotCounted: a row that fails is in no window.
func TestASkippedRowIsNotCounted(t *testing.T) {
	r := newRig(t)
	n := aggregateNode(2, "append", &topology.Window{Count: true, Size: 2, Slide: 2}, aggCall("sum", slot(0, record.TypeAny)))
	n.OnError.Kind = "skip"
	r.columns = []int{2}
	c := r.build(4, then(n, sinkNode()))
	r.mustRun(c, str("k"), 5, num(1))
	r.mustRun(c, str("k"), 6, str("x"))
	r.wants()
	r.mustRun(c, str("k"), 3, num(2))
	r.wants("insert k @5 [3,6) 3")
}
