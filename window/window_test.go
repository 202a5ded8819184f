package window

import (
	"math/rand/v2"
	"slices"
	"testing"

	"kstream/record"
)

type ts = record.Timestamp

// windowsOf finds the windows of a time by trying every start.
func windowsOf(a Assigner, t ts) []ts {
	var out []ts
	for start := t - a.size - a.slide; start <= t; start++ {
		aligned := (start - a.offset) % a.slide
		if aligned == 0 && start <= t && t < start+a.size {
			out = append(out, start)
		}
	}
	return out
}

func randomAssigner(r *rand.Rand) Assigner {
	size := 1 + r.Int64N(12)
	slide := 1 + r.Int64N(14)
	if r.IntN(3) == 0 {
		slide = size
	}
	return New(size, slide, r.Int64N(21)-10, r.Int64N(8))
}

func TestAssignmentEqualsTryingEveryStart(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		a := randomAssigner(r)
		at := ts(r.Int64N(121) - 60)
		want := windowsOf(a, at)
		if gap := len(want) == 0; gap != a.InGap(at) {
			t.Fatalf("%+v: InGap(%d) = %v, windows %v", a, at, a.InGap(at), want)
		}
		if len(want) == 0 {
			continue
		}
		var got []ts
		for s := a.First(at); s <= a.Last(at); s += a.slide {
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: windows of %d are %v, want %v", a, at, got, want)
		}
	}
}

func TestAllTimesOfAPaneShareTheirWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 5_000 {
		a := randomAssigner(r)
		pane := a.Pane(ts(r.Int64N(121) - 60))
		want := windowsOf(a, pane)
		for at := pane; at < pane+a.pane; at++ {
			if got := windowsOf(a, at); !slices.Equal(got, want) || a.Pane(at) != pane {
				t.Fatalf("%+v: pane %d: windows of %d are %v, want %v", a, pane, at, got, want)
			}
		}
	}
}

func TestLateAndDoneFollowFromTheWindows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20_000 {
		a := randomAssigner(r)
		at, w := ts(r.Int64N(121)-60), ts(r.Int64N(161)-80)
		windows := windowsOf(a, at)
		late := len(windows) > 0
		for _, s := range windows {
			if w < s+a.size-1+a.lateness {
				late = false
			}
			if a.Ended(s, w) != (w >= s+a.size-1) {
				t.Fatalf("%+v: Ended(%d, %d)", a, s, w)
			}
		}
		if got := a.Late(at, w); got != late {
			t.Fatalf("%+v: Late(%d, %d) = %v, windows %v", a, at, w, got, windows)
		}
		if len(windows) > 0 && a.PaneDone(a.Pane(at), w) != late {
			t.Fatalf("%+v: PaneDone(%d, %d) = %v", a, a.Pane(at), w, !late)
		}
	}
}

func TestDueFindsEachWindowOnceInOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	for range 5_000 {
		a := randomAssigner(r)
		var panes, want, got []ts
		for range r.IntN(5) {
			if at := ts(r.Int64N(81) - 40); !a.InGap(at) {
				panes = append(panes, a.Pane(at))
			}
		}
		slices.Sort(panes)
		panes = slices.Compact(panes)
		tr := Trigger(r.IntN(2))
		from := ts(r.Int64N(121) - 60)
		to := from + ts(r.Int64N(60))
		if r.IntN(10) == 0 {
			from = record.MinTimestamp
		}
		if r.IntN(10) == 0 {
			to = record.MaxTimestamp
		}
		for _, p := range panes {
			for _, s := range windowsOf(a, p) {
				due := s + a.size - 1
				if tr == AtClose {
					due += a.lateness
				}
				if due > from && due <= to {
					want = append(want, s)
				}
			}
		}
		slices.Sort(want)
		want = slices.Compact(want)
		if err := a.Due(panes, tr, from, to, func(s ts) error { got = append(got, s); return nil }); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%+v: panes %v, (%d, %d]: due %v, want %v", a, panes, from, to, got, want)
		}
	}
}

func TestExtremeTimesDoNotOverflow(t *testing.T) {
	a := New(7*86_400_000, 3_600_000, -17, 86_400_000)
	for _, at := range []ts{record.MinTimestamp, record.MaxTimestamp, -1 << 60, 1 << 60} {
		first, last := a.First(at), a.Last(at)
		if last < first || last-first >= 7*86_400_000 {
			t.Errorf("windows of %d: %d to %d", at, first, last)
		}
	}
	if !a.Late(record.MaxTimestamp, record.MaxTimestamp) {
		t.Error("the final watermark does not close the last window")
	}
	if a.Late(record.MinTimestamp, record.MinTimestamp) {
		t.Error("a watermark that has not begun closes a window")
	}
}

func TestBoundedStaysBehindTheNewest(t *testing.T) {
	b := NewBounded(5)
	if b.Current() != record.MinTimestamp {
		t.Fatalf("before the first record: %d", b.Current())
	}
	for _, c := range []struct{ at, want ts }{{100, 94}, {90, 94}, {101, 95}, {record.MinTimestamp, 95}} {
		if b.Observe(c.at); b.Current() != c.want {
			t.Errorf("after %d: %d, want %d", c.at, b.Current(), c.want)
		}
	}
	low := NewBounded(1000)
	if low.Observe(record.MinTimestamp + 3); low.Current() != record.MinTimestamp {
		t.Errorf("near the beginning of time: %d", low.Current())
	}
}

func TestPartitionsTakeTheSmallestActiveAndNeverGoBack(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 300 {
		p := NewPartitions(1 + r.IntN(3))
		high := make([]ts, p.Len())
		idle, ended := make([]bool, p.Len()), make([]bool, p.Len())
		for i := range high {
			high[i] = record.MinTimestamp
		}
		current := record.MinTimestamp
		for range 60 {
			i := r.IntN(p.Len())
			switch r.IntN(5) {
			case 0:
				idle[i] = !idle[i]
				p.SetIdle(i, idle[i])
			case 1:
				if r.IntN(10) == 0 {
					ended[i], high[i] = true, record.MaxTimestamp
					p.End(i)
				}
			case 2:
				if r.IntN(10) == 0 {
					p.Add()
					high, idle, ended = append(high, record.MinTimestamp), append(idle, false), append(ended, false)
				}
			default:
				w := ts(r.Int64N(100))
				high[i] = max(high[i], w)
				p.Advance(i, w)
			}
			current = max(current, lowest(high, idle, ended))
			if got := p.Current(); got != current {
				t.Fatalf("watermark %d, want %d: %v idle %v ended %v", got, current, high, idle, ended)
			}
		}
	}
}

// lowest is the smallest watermark of the active partitions, MinTimestamp if
// there are none and not all have ended.
func lowest(high []ts, idle, ended []bool) ts {
	low, active, open := record.MaxTimestamp, false, false
	for i := range high {
		open = open || !ended[i]
		if !idle[i] && !ended[i] {
			low, active = min(low, high[i]), true
		}
	}
	if open && !active {
		return record.MinTimestamp
	}
	return low
}

// TestWhatIsIdleIsNotLateBecauseOthersEnded: an idle partition may go on. The end
// of another one, or the final watermark of another input, says nothing of it.
func TestWhatIsIdleIsNotLateBecauseOthersEnded(t *testing.T) {
	for name, end := range map[string]func(p *Partitions){
		"partition": func(p *Partitions) { p.End(0) },
		"input":     func(p *Partitions) { p.Advance(0, record.MaxTimestamp) },
	} {
		p := NewPartitions(2)
		p.Advance(0, 70)
		p.Advance(1, 50)
		p.Current()
		p.SetIdle(1, true)
		end(p)
		if got := p.Current(); got != 50 || !p.AllIdle() {
			t.Errorf("%s: watermark %d, all idle %v while one is idle at 50", name, got, p.AllIdle())
		}
		p.SetIdle(1, false)
		p.Advance(1, 60)
		if got := p.Current(); got != 60 || p.AllIdle() {
			t.Errorf("%s: watermark %d, all idle %v after it went on to 60", name, got, p.AllIdle())
		}
	}
}

func TestHolderNamesThePartitionThatIsFurthestBehind(t *testing.T) {
	p := NewPartitions(3)
	for i, w := range []ts{30, 10, 20} {
		p.Advance(i, w)
	}
	if p.Holder() != 1 {
		t.Errorf("holder %d, want 1", p.Holder())
	}
	p.SetIdle(1, true)
	if p.Holder() != 2 || p.AllIdle() {
		t.Errorf("holder %d, want 2", p.Holder())
	}
	p.SetIdle(0, true)
	p.End(2)
	if p.Holder() != -1 || !p.AllIdle() {
		t.Errorf("holder %d, all idle %v", p.Holder(), p.AllIdle())
	}
	p.End(0)
	p.End(1)
	if p.AllIdle() || p.Current() != record.MaxTimestamp {
		t.Errorf("ended: all idle %v, watermark %d", p.AllIdle(), p.Current())
	}
}

func TestRestoredWatermarkIsKept(t *testing.T) {
	p := NewPartitions(1)
	p.Restore(50)
	p.Advance(0, 40)
	if p.Current() != 50 {
		t.Errorf("watermark %d, want 50", p.Current())
	}
}

func BenchmarkAssign(b *testing.B) {
	a := New(60_000, 10_000, 0, 0)
	var sum ts
	for i := range b.N {
		at := ts(i) * 37
		sum += a.Pane(at)
		if a.Late(at, 0) {
			sum++
		}
	}
	if sum == 1 {
		b.Log(sum)
	}
}

func TestAssignDoesNotAllocate(t *testing.T) {
	a := New(60_000, 10_000, 5, 3)
	n := testing.AllocsPerRun(100, func() {
		if a.Late(a.Pane(123_456), 7) {
			t.Error("late")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
