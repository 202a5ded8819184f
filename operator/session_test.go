package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// lightCalls are one aggregate of each kind of state, for many cases.
func lightCalls() []expr.AggregateCall {
	n, name := slot(0, record.TypeInt), slot(1, record.TypeString)
	return []expr.AggregateCall{aggCall("count"), aggCall("sum", n), aggCall("max", name), aggCall("count_distinct", n), aggCall("collect", n)}
}

func expectedOf(light bool, rows []modelRow) string {
	if !light {
		return expected(rows)
	}
	var n, name []record.Value
	for _, r := range rows {
		n, name = append(n, r.n), append(name, r.name)
	}
	return fmt.Sprint(" ", len(rows), " ", text(plainSum(n)), " ", text(pick(name, name, 1)), " ", text(different(n)), " ", text(record.List(present(n))))
}

// plainSession is a session that remembers its rows, part by part.
type plainSession struct {
	parts      [][]modelRow
	gaps       []int64 // of the rows, in any order
	times      []record.Timestamp
	start, end record.Timestamp // end is not cut by the next one
	last       record.Timestamp
	shown      bool
	from, to   record.Timestamp // what was shown
}

func (s *plainSession) rows() (out []modelRow) {
	for _, p := range s.parts {
		out = append(out, p...)
	}
	return out
}

// measure computes the bounds anew from all rows.
func (s *plainSession) measure(most int64) {
	s.start, s.last = slices.Min(s.times), slices.Max(s.times)
	s.end = record.MinTimestamp
	for i, t := range s.times {
		s.end = max(s.end, t+record.Timestamp(s.gaps[i]))
	}
	if most > 0 {
		s.end = min(s.end, s.start+record.Timestamp(most))
	}
}

// sessionModel evaluates sessions by remembering every row.
type sessionModel struct {
	gap       func(modelRow) int64
	most      int64
	lateness  record.Timestamp
	update    bool
	light     bool
	watermark record.Timestamp
	keys      map[string][]*plainSession
	late      int
}

// fit reports whether b, which begins at a or later, is one session with a.
func (m *sessionModel) fit(a, b *plainSession) bool {
	return b.start <= a.end && (m.most == 0 || b.last < a.start+record.Timestamp(m.most))
}

// ends is the end of the i-th session of a list.
func (m *sessionModel) ends(list []*plainSession, i int) record.Timestamp {
	end := list[i].end
	if i+1 < len(list) {
		end = min(end, list[i+1].start)
	}
	return end
}

func (m *sessionModel) line(op, key string, s *plainSession) string {
	return fmt.Sprintf("%s %s @%d [%d,%d)%s", op, key, s.to-1, s.from, s.to, expectedOf(m.light, s.rows()))
}

func (m *sessionModel) add(r modelRow) (out []string) {
	list := m.keys[r.key]
	cur := &plainSession{times: []record.Timestamp{r.at}, gaps: []int64{m.gap(r)}}
	cur.measure(m.most)
	var before, met, after []*plainSession
	for _, s := range list {
		if s.start <= r.at {
			before = append(before, s)
		} else {
			after = append(after, s)
		}
	}
	absorb := func(s *plainSession) {
		met = append(met, s)
		cur.times, cur.gaps = append(cur.times, s.times...), append(cur.gaps, s.gaps...)
		cur.parts = append(cur.parts, s.parts...)
		cur.measure(m.most)
	}
	if n := len(before); n > 0 && m.fit(before[n-1], cur) {
		absorb(before[n-1])
		before = before[:n-1]
	}
	for len(after) > 0 && m.fit(cur, after[0]) {
		absorb(after[0])
		after = after[1:]
	}
	next := slices.Concat(before, []*plainSession{cur}, after)
	end := m.ends(next, len(before))
	if len(met) == 0 && end+m.lateness <= m.watermark {
		m.late++
		return nil
	}
	same := len(met) == 1 && met[0].shown && met[0].from == cur.start && met[0].to == end
	for _, s := range met {
		if s.shown && !same {
			out = append(out, m.line("delete", r.key, s))
		}
	}
	if len(cur.parts) == 0 {
		cur.parts = [][]modelRow{nil}
	}
	cur.parts[0] = append(slices.Clone(cur.parts[0]), r)
	m.keys[r.key] = next
	if m.update && end <= m.watermark {
		cur.shown, cur.from, cur.to = true, cur.start, end
		op := "insert"
		if same {
			op = "update"
		}
		out = append(out, m.line(op, r.key, cur))
	}
	return out
}

func (m *sessionModel) advance(w record.Timestamp) (out []string) {
	m.watermark = w
	for key, list := range m.keys {
		var open []*plainSession
		var ends []record.Timestamp
		for i := range list {
			ends = append(ends, m.ends(list, i))
		}
		for i, s := range list {
			closed := ends[i]+m.lateness <= w
			if m.update && ends[i] <= w && !s.shown || !m.update && closed {
				s.shown, s.from, s.to = true, s.start, ends[i]
				out = append(out, m.line("insert", key, s))
			}
			if !closed {
				open = append(open, s)
			}
		}
		m.keys[key] = open
	}
	sort.Slice(out, func(i, k int) bool {
		a, b := windowEnd(out[i]), windowEnd(out[k])
		return a < b || a == b && out[i] < out[k]
	})
	return out
}

// apart fails if sessions without a maximum touch: they would be one.
func (m *sessionModel) apart(t *testing.T) {
	t.Helper()
	for key, list := range m.keys {
		for i := 1; i < len(list) && m.most == 0; i++ {
			if list[i].start <= list[i-1].end {
				t.Fatalf("the model is wrong: two sessions of %s touch", key)
			}
		}
	}
}

type sessionCase struct {
	job   *job
	model *sessionModel
	what  string
}

func newSessionCase(t *testing.T, r *rand.Rand, light bool) *sessionCase {
	s := &topology.Session{Gap: 1 + r.Int64N(8)}
	w := &topology.Window{Session: s, AllowedLateness: r.Int64N(3) * r.Int64N(8)}
	gap := func(modelRow) int64 { return s.Gap }
	if r.IntN(3) == 0 {
		s.Max = s.Gap + r.Int64N(12)
	}
	if r.IntN(3) == 0 {
		gap = func(r modelRow) int64 { return int64(1 + len(r.key) + int(r.at&3)) }
		s.Gap, s.Max = 0, 0
		s.GapBy = compute(record.TypeDuration, func(e *expr.Env) record.Value {
			return record.Duration(1_000_000 * (2 + int64(e.Row.Time&3)))
		})
		if r.IntN(3) == 0 {
			s.Max = 4 + r.Int64N(12)
		}
	}
	emit := []string{"append", "update"}[r.IntN(2)]
	calls := modelCalls
	if light {
		calls = lightCalls
	}
	j := &job{rig: newRig(t), node: func() *topology.Node { return aggregateNode(modelSlots, emit, w, calls()...) }}
	for i := range calls() {
		j.columns = append(j.columns, modelSlots+i)
	}
	j.start(1+r.IntN(3), record.MinTimestamp)
	m := &sessionModel{
		gap: gap, most: s.Max, lateness: record.Timestamp(w.AllowedLateness), update: emit == "update", light: light,
		watermark: record.MinTimestamp, keys: map[string][]*plainSession{},
	}
	return &sessionCase{job: j, model: m, what: fmt.Sprintf("%+v %+v %s", *w, *s, emit)}
}

// run plays one random input that begins at a time, and ends all its sessions.
func (c *sessionCase) run(t *testing.T, r *rand.Rand, base int64) {
	j, m := c.job, c.model
	now := base
	for range 2 + r.IntN(3) {
		for range 1 + r.IntN(4) {
			row := randomRow(r, now)
			row.key = string(rune('a' + r.IntN(2)))
			want := m.add(row)
			j.row(row)
			if got := j.taken(); !slices.Equal(got, want) {
				sameLines(t, fmt.Sprintf("%s: at %d: row %+v", c.what, m.watermark, row), got, want)
			}
		}
		m.apart(t)
		if r.IntN(60) == 0 {
			j.restart(r.IntN(4))
		}
		now += r.Int64N(12)
		c.advance(t, max(m.watermark, record.Timestamp(now-10-r.Int64N(8))))
	}
	c.advance(t, record.Timestamp(base+900))
}

func (c *sessionCase) advance(t *testing.T, w record.Timestamp) {
	if w <= c.model.watermark {
		return
	}
	got, want := c.job.advance(w), c.model.advance(w)
	if !slices.Equal(got, want) {
		sameLines(t, fmt.Sprintf("%s: watermark %d", c.what, w), got, want)
	}
}

// TestSessionsEqualPlainLoops plays 52,000 random inputs.
func TestSessionsEqualPlainLoops(t *testing.T) {
	for seed := range uint64(260) {
		r := rand.New(rand.NewPCG(seed, 21))
		c := newSessionCase(t, r, true)
		for n := range int64(200) {
			c.run(t, r, n*1_000-100_000)
		}
		if c.job.late != c.model.late {
			t.Fatalf("seed %d: %d late, want %d", seed, c.job.late, c.model.late)
		}
		c.job.nothingLeft()
	}
}

func TestSessionsOfAllAggregatesEqualPlainLoops(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 22))
		c := newSessionCase(t, r, false)
		for n := range int64(20) {
			c.run(t, r, n*1_000-10_000)
		}
		c.job.nothingLeft()
	}
}

// TestManyWindowsEqualPlainLoops plays 52,000 random inputs through tumbling and
// sliding windows.
func TestManyWindowsEqualPlainLoops(t *testing.T) {
	for seed := range uint64(260) {
		r := rand.New(rand.NewPCG(seed, 23))
		size := 1 + r.Int64N(12)
		w := topology.Window{Size: size, Slide: 1 + r.Int64N(size), Offset: r.Int64N(5) - 2, AllowedLateness: r.Int64N(3) * r.Int64N(6)}
		emit := []string{"append", "update"}[r.IntN(2)]
		j := &job{rig: newRig(t), node: func() *topology.Node { return aggregateNode(modelSlots, emit, &w, lightCalls()...) }}
		for i := range lightCalls() {
			j.columns = append(j.columns, modelSlots+i)
		}
		j.start(1+r.IntN(3), record.MinTimestamp)
		m := &model{w: w, update: emit == "update", light: true, watermark: record.MinTimestamp, rows: map[string][]modelRow{}, shown: map[string]bool{}}
		for n := range int64(200) {
			playWindows(t, r, j, m, n*1_000-100_000)
		}
		if j.late != m.late {
			t.Fatalf("seed %d: %d late, want %d", seed, j.late, m.late)
		}
		j.nothingLeft()
	}
}

func playWindows(t *testing.T, r *rand.Rand, j *job, m *model, base int64) {
	now := base
	advance := func(w record.Timestamp) {
		if w <= m.watermark {
			return
		}
		got, want := j.advance(w), m.advance(w)
		if !slices.Equal(got, want) {
			sameLines(t, fmt.Sprintf("%+v: watermark %d", m.w, w), got, want)
		}
	}
	for range 2 + r.IntN(3) {
		for range 1 + r.IntN(4) {
			row := randomRow(r, now)
			row.key = string(rune('a' + r.IntN(2)))
			want := m.add(row)
			j.row(row)
			if got := j.taken(); !slices.Equal(got, want) {
				sameLines(t, fmt.Sprintf("%+v: at %d: row %+v", m.w, m.watermark, row), got, want)
			}
		}
		if r.IntN(60) == 0 {
			j.restart(r.IntN(4))
		}
		now += r.Int64N(12)
		advance(max(m.watermark, record.Timestamp(now-10-r.Int64N(8))))
	}
	advance(record.Timestamp(base + 900))
	clear(m.rows)
	clear(m.shown)
}

// sessionsOf is a chain of sessions that counts rows.
func sessionsOf(r *rig, emit string, lateness int64, s topology.Session) *Chain {
	n := aggregateNode(2, emit, &topology.Window{Session: &s, AllowedLateness: lateness}, aggCall("count"))
	r.columns = []int{2}
	return r.build(4, then(n, sinkNode()))
}

func watermark(t *testing.T, c *Chain, w record.Timestamp) {
	t.Helper()
	if err := c.Watermark(w); err != nil {
		t.Fatal(err)
	}
}

func TestOneGapApartIsOneSession(t *testing.T) {
	r := newRig(t)
	c := sessionsOf(r, "append", 0, topology.Session{Gap: 10})
	r.mustRun(c, str("k"), 100)
	watermark(t, c, 109) // as a record of time 110 with ascending times makes it
	r.wants()
	r.mustRun(c, str("k"), 110)
	watermark(t, c, 120)
	r.wants("insert k @119 [100,120) 2")
	r.mustRun(c, str("k"), 121)
	watermark(t, c, record.MaxTimestamp)
	r.wants("insert k @130 [121,131) 1")
}

func TestALateRowThatJoinsSessionsDeletesTheirResults(t *testing.T) {
	r := newRig(t)
	c := sessionsOf(r, "update", 100, topology.Session{Gap: 10})
	r.mustRun(c, str("k"), 100)
	r.mustRun(c, str("k"), 115)
	watermark(t, c, 130)
	r.wants("insert k @109 [100,110) 1", "insert k @124 [115,125) 1")
	r.mustRun(c, str("k"), 107)
	r.wants("delete k @109 [100,110) 1", "delete k @124 [115,125) 1", "insert k @124 [100,125) 3")
	r.mustRun(c, str("k"), 108)
	r.wants("update k @124 [100,125) 4")
	r.mustRun(c, str("k"), 124) // it is not over any more
	r.wants("delete k @124 [100,125) 4")
	watermark(t, c, 134)
	r.wants("insert k @133 [100,134) 5")
}

func TestMaximumCutsSessions(t *testing.T) {
	r := newRig(t)
	c := sessionsOf(r, "append", 0, topology.Session{Gap: 10, Max: 25})
	for at := record.Timestamp(0); at < 60; at += 5 {
		r.mustRun(c, str("k"), at)
	}
	watermark(t, c, record.MaxTimestamp)
	r.wants("insert k @24 [0,25) 5", "insert k @49 [25,50) 5", "insert k @64 [50,65) 2")
}

func TestAGapMustBeADuration(t *testing.T) {
	for value, want := range map[string]string{
		`duration("0")`:     "gap_by is 0s, a gap is at least 1ms",
		`duration("999us")`: "a gap is at least 1ms",
		`null`:              "gap_by is null",
		`1 / 0`:             "division by zero",
	} {
		r := newRig(t)
		c := sessionsOf(r, "append", 0, topology.Session{GapBy: program(t, value)})
		if err := r.run(c, str("k"), 1); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", value, err, want)
		}
	}
}

// TestASkippedRowPutsDeletedResultsBack: what was deleted before the row failed
// is inserted again.
func TestASkippedRowPutsDeletedResultsBack(t *testing.T) {
	r := newRig(t)
	n := aggregateNode(2, "update", &topology.Window{Session: &topology.Session{Gap: 10}, AllowedLateness: 100},
		aggCall("sum", slot(0, record.TypeAny)))
	n.OnError.Kind = "skip"
	r.columns = []int{2}
	c := r.build(4, then(n, sinkNode()))
	r.mustRun(c, str("k"), 100, num(1))
	watermark(t, c, 130)
	r.taken()
	r.mustRun(c, str("k"), 105, str("x"))
	r.wants("delete k @109 [100,110) 1", "insert k @109 [100,110) 1")
}

// TestSessionResultsAreNotLate: a tumbling window behind sessions takes a result
// that ends with it, however finely the watermark rises.
func TestSessionResultsAreNotLate(t *testing.T) {
	r := newRig(t)
	outer := aggregateNode(5, "append", &topology.Window{Size: 20, Slide: 20}, aggCall("sum", slot(3, record.TypeInt)))
	outer.UID = "s/outer"
	inner := aggregateNode(3, "append", &topology.Window{Session: &topology.Session{Gap: 10}}, aggCall("count"))
	r.columns = []int{5}
	c := r.build(6, then(inner, then(outer, sinkNode())))
	r.mustRun(c, str("k"), 10)
	for w := record.Timestamp(0); w < 30; w++ {
		watermark(t, c, w)
		if got := c.Passed(w); got != w-1 {
			t.Fatalf("exchanges are told %d at %d", got, w)
		}
	}
	r.wants("insert k @19 [0,20) 1")
	if r.late > 0 {
		t.Error("a result was late")
	}
}
