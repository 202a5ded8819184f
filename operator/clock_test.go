package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"kstream/record"
	"kstream/topology"
)

// clockJob is a job whose windows are closed by a clock that the test sets.
type clockJob struct {
	*job
	now record.Timestamp
}

func newClockJob(t *testing.T, subtasks int, w *topology.Window, emit string) *clockJob {
	w.Clock = true
	j := &clockJob{job: &job{rig: newRig(t), node: func() *topology.Node {
		return aggregateNode(modelSlots, emit, w, lightCalls()...)
	}}}
	for i := range lightCalls() {
		j.columns = append(j.columns, modelSlots+i)
	}
	j.start(subtasks, record.MinTimestamp)
	return j
}

// clock sets the time and gives what fires.
func (j *clockJob) clock(now record.Timestamp) []string {
	j.t.Helper()
	j.now = now
	j.env.Now = int64(now) * 1e6
	for _, c := range j.chains {
		if err := c.Clock(now); err != nil {
			j.t.Fatal(err)
		}
		if due := c.ClockDue(); due <= now {
			j.t.Fatalf("at %d something is due at %d", now, due)
		}
	}
	out := j.taken()
	slices.SortStableFunc(out, func(a, b string) int {
		if x, y := windowEnd(a), windowEnd(b); x != y {
			return int(x - y)
		}
		return slices.Compare([]byte(a), []byte(b))
	})
	return out
}

// TestClockWindowsEqualPlainLoops: windows over the clock are those of a
// pipeline over event time in which the time of every row is that of its
// arrival, and the watermark is the clock. The event time of the rows, and the
// watermark of the chain, change nothing. Restarts, also with another number of
// subtasks, neither lose a result nor give one twice.
func TestClockWindowsEqualPlainLoops(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 41))
		w := &topology.Window{Size: 1 + r.Int64N(12)}
		w.Slide = 1 + r.Int64N(w.Size)
		if seed%3 == 0 {
			w.Slide = w.Size
		}
		j := newClockJob(t, 1+r.IntN(3), w, "append")
		m := &model{w: *w, light: true, watermark: record.MinTimestamp, rows: map[string][]modelRow{}, shown: map[string]bool{}}
		j.clock(1_000)
		m.advance(999)
		for range 60 {
			for range r.IntN(4) {
				row := randomRow(r, r.Int64N(100)) // some event time
				j.row(row)
				row.at = j.now
				sameLines(t, "row", j.taken(), m.add(row))
			}
			if r.IntN(3) == 0 {
				mark := j.chains[0].CurrentWatermark()
				for _, c := range j.chains {
					watermark(t, c, max(mark, -1<<40)+1)
				}
				sameLines(t, "watermark", j.taken(), nil)
			}
			if r.IntN(6) == 0 {
				j.restart(r.IntN(4))
			}
			now := j.now + record.Timestamp(r.Int64N(9))
			sameLines(t, fmt.Sprintf("seed %d: %+v: clock %d", seed, *w, now), j.clock(now), m.advance(now-1))
		}
		got, want := j.advance(record.MaxTimestamp), m.advance(record.MaxTimestamp) // the end of the input
		sameLines(t, fmt.Sprintf("seed %d: end", seed), got, want)
	}
}

// TestClockSessionsEqualPlainLoops is the same for sessions.
func TestClockSessionsEqualPlainLoops(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 42))
		gap := 1 + r.Int64N(6)
		emit := []string{"append", "update"}[r.IntN(2)]
		j := newClockJob(t, 1+r.IntN(3), &topology.Window{Session: &topology.Session{Gap: gap}}, emit)
		m := &sessionModel{gap: func(modelRow) int64 { return gap }, light: true, update: emit == "update",
			watermark: record.MinTimestamp, keys: map[string][]*plainSession{}}
		j.clock(1_000)
		m.advance(999)
		for range 60 {
			for range r.IntN(4) {
				row := randomRow(r, r.Int64N(100))
				j.row(row)
				row.at = j.now
				sameLines(t, "row", j.taken(), m.add(row))
			}
			if r.IntN(6) == 0 {
				j.restart(r.IntN(4))
			}
			now := j.now + record.Timestamp(r.Int64N(9))
			sameLines(t, fmt.Sprintf("seed %d: clock %d", seed, now), j.clock(now), m.advance(now-1))
		}
		sameLines(t, fmt.Sprintf("seed %d: end", seed), j.advance(record.MaxTimestamp), m.advance(record.MaxTimestamp))
	}
}

// TestOverdueWindowsFireInOrder: what fell due while the job was down.
func TestOverdueWindowsFireInOrder(t *testing.T) {
	j := newClockJob(t, 1, &topology.Window{Size: 10, Slide: 10}, "append")
	for _, at := range []record.Timestamp{1_005, 1_015, 1_025} {
		j.now, j.env.Now = at, int64(at)*1e6
		j.row(modelRow{key: "k", n: num(int64(at))})
	}
	j.restart(2)
	sameLines(t, "after the restart", j.clock(2_000), []string{
		"insert k @1009 [1000,1010) 1 1005 null 1 [1005]",
		"insert k @1019 [1010,1020) 1 1015 null 1 [1015]",
		"insert k @1029 [1020,1030) 1 1025 null 1 [1025]",
	})
}

// TestAClockSetBackFiresNoWindowTwice: rows then belong to the next window.
func TestAClockSetBackFiresNoWindowTwice(t *testing.T) {
	j := newClockJob(t, 1, &topology.Window{Size: 10, Slide: 10}, "append")
	j.clock(1_005)
	j.row(modelRow{key: "k", n: num(1)})
	sameLines(t, "first", j.clock(1_010), []string{"insert k @1009 [1000,1010) 1 1 null 1 [1]"})
	for range 2 {
		j.clock(1_003)
		j.row(modelRow{key: "k", n: num(2)})
		j.restart(1)
	}
	sameLines(t, "second", j.clock(1_020), []string{"insert k @1019 [1010,1020) 2 4 null 1 [2,2]"})
}

// TestCalendarWindows: panes and closing by local time, with late rows.
func TestCalendarWindows(t *testing.T) {
	zone := berlin(t)
	at := func(text string) record.Timestamp {
		v, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return record.Timestamp(v.UnixMilli())
	}
	const day, hour = 86_400_000, 3_600_000
	for _, emit := range []string{"append", "update"} {
		r := newRig(t)
		n := aggregateNode(2, emit, &topology.Window{Size: day, Slide: day, Zone: zone, AllowedLateness: 2 * hour}, aggCall("count"))
		c := r.build(4, then(n, sinkNode()))
		var got []string
		r.onRow = func(row *record.Row) error {
			show := func(t record.Timestamp) string { return time.UnixMilli(int64(t)).UTC().Format("02T15") }
			got = append(got, fmt.Sprint(row.Op, " ", show(row.Window.Start), " ", show(row.Window.End), " ", text(row.Slots[2])))
			return nil
		}
		for _, text := range []string{"2026-10-24T21:59:59Z", "2026-10-24T22:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T22:59:59Z", "2026-10-25T23:00:00Z"} {
			r.mustRun(c, str("k"), at(text))
		}
		watermark(t, c, at("2026-10-25T22:59:59Z"))
		r.mustRun(c, str("k"), at("2026-10-25T22:59:59Z")) // the day is not over
		watermark(t, c, at("2026-10-25T23:00:00Z"))
		r.mustRun(c, str("k"), at("2026-10-25T12:00:00Z")) // late, but in time
		watermark(t, c, at("2026-10-26T01:00:00Z"))
		r.mustRun(c, str("k"), at("2026-10-25T12:00:00Z")) // too late
		watermark(t, c, record.MaxTimestamp)
		want := []string{"insert 23T22 24T22 1", "insert 24T22 25T23 5", "insert 25T23 26T23 1"}
		if emit == "update" {
			want = []string{"insert 23T22 24T22 1", "insert 24T22 25T23 4", "update 24T22 25T23 5", "insert 25T23 26T23 1"}
		}
		if !slices.Equal(got, want) || r.late != 1 {
			t.Errorf("%s: %v, %d late; want %v, 1 late", emit, got, r.late, want)
		}
	}
}
