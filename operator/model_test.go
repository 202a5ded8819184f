package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// modelRow is a row as the model sees it. Slot 0 is n, slot 1 is name, slot 2
// is ok, slot 3 is price.
type modelRow struct {
	key   string
	at    record.Timestamp
	n     record.Value
	name  record.Value
	ok    record.Value
	price record.Value
}

const modelSlots = 4

// modelCalls are all aggregate functions over all kinds of state.
func modelCalls() []expr.AggregateCall {
	n, name, ok, price := slot(0, record.TypeInt), slot(1, record.TypeString), slot(2, record.TypeBool), slot(3, record.TypeDecimal)
	return []expr.AggregateCall{
		aggCall("count"), aggCall("count", n), aggCall("count_if", ok),
		aggCall("sum", n), aggCall("sum", price), aggCall("sum_if", n, ok), aggCall("avg", n),
		aggCall("min", n), aggCall("max", n), aggCall("min", name), aggCall("max", name),
		aggCall("min_by", name, n), aggCall("max_by", n, name), aggCall("max_by", n, price),
		aggCall("first", n), aggCall("last", n), aggCall("first", name), aggCall("last", name),
		aggCall("count_distinct", name), aggCall("count_distinct", n), aggCall("collect", n), aggCall("collect", name),
	}
}

// expected computes modelCalls by plain loops over rows, which are in the order
// of their panes and within a pane in that of their arrival.
func expected(rows []modelRow) string {
	get := func(f func(modelRow) record.Value) (vs []record.Value) {
		for _, r := range rows {
			vs = append(vs, f(r))
		}
		return vs
	}
	n := get(func(r modelRow) record.Value { return r.n })
	name := get(func(r modelRow) record.Value { return r.name })
	ok := get(func(r modelRow) record.Value { return r.ok })
	price := get(func(r modelRow) record.Value { return r.price })
	var okN []record.Value
	oks := 0
	for i := range rows {
		if ok[i].True() {
			oks++
			okN = append(okN, n[i])
		}
	}
	out := []record.Value{
		num(int64(len(rows))), num(int64(len(present(n)))), num(int64(oks)),
		plainSum(n), plainSum(price), plainSum(okN), plainAvg(n),
		pick(n, n, -1), pick(n, n, 1), pick(name, name, -1), pick(name, name, 1),
		pick(name, n, -1), pick(n, name, 1), pick(n, price, 1),
		byTime(rows, n, false), byTime(rows, n, true), byTime(rows, name, false), byTime(rows, name, true),
		different(name), different(n), record.List(present(n)), record.List(present(name)),
	}
	var b strings.Builder
	for _, v := range out {
		b.WriteString(" " + text(v))
	}
	return b.String()
}

func present(vs []record.Value) []record.Value {
	out := []record.Value{}
	for _, v := range vs {
		if !v.IsNull() {
			out = append(out, v)
		}
	}
	return out
}

func plainSum(vs []record.Value) record.Value {
	vs = present(vs)
	if len(vs) == 0 {
		return record.Null
	}
	var sum int64
	for _, v := range vs {
		sum += v.Int()
	}
	if vs[0].Kind() == record.KindDecimal {
		return record.Decimal(sum, vs[0].Scale())
	}
	return num(sum)
}

func plainAvg(vs []record.Value) record.Value {
	sum := plainSum(vs)
	if sum.IsNull() {
		return record.Null
	}
	return record.Float(float64(sum.Int()) / float64(len(present(vs))))
}

// pick is the value beside the first smallest (sign -1) or largest by.
func pick(vs, by []record.Value, sign int) record.Value {
	best := -1
	for i := range by {
		if by[i].IsNull() {
			continue
		}
		if best < 0 {
			best = i
			continue
		}
		if c, _ := record.Compare(by[i], by[best]); c == sign {
			best = i
		}
	}
	if best < 0 {
		return record.Null
	}
	return vs[best]
}

func byTime(rows []modelRow, vs []record.Value, last bool) record.Value {
	best := -1
	for i := range rows {
		switch {
		case vs[i].IsNull():
		case best < 0, last && rows[i].at >= rows[best].at, !last && rows[i].at < rows[best].at:
			best = i
		}
	}
	if best < 0 {
		return record.Null
	}
	return vs[best]
}

func different(vs []record.Value) record.Value {
	seen := map[string]bool{}
	for _, v := range present(vs) {
		seen[text(v)] = true
	}
	return num(int64(len(seen)))
}

// model evaluates windows by remembering every row.
type model struct {
	w         topology.Window
	update    bool
	watermark record.Timestamp
	rows      map[string][]modelRow // by key, in order of arrival
	shown     map[string]bool       // update: key and window with a result
	late      int
	light     bool // lightCalls instead of modelCalls
}

func (m *model) windows(at record.Timestamp) (starts []record.Timestamp) {
	first := at - record.Timestamp(m.w.Size) + 1
	for s := first; s <= at; s++ {
		rest := (int64(s) - m.w.Offset) % m.w.Slide
		if rest == 0 {
			starts = append(starts, s)
		}
	}
	return starts
}

func (m *model) ends(start record.Timestamp) record.Timestamp {
	return start + record.Timestamp(m.w.Size) - 1
}

func (m *model) closes(start record.Timestamp) record.Timestamp {
	return m.ends(start) + record.Timestamp(m.w.AllowedLateness)
}

// add takes a row and gives the corrections it causes.
func (m *model) add(r modelRow) (out []string) {
	starts := m.windows(r.at)
	if len(starts) == 0 {
		return nil
	}
	if m.watermark >= m.closes(starts[len(starts)-1]) {
		m.late++
		return nil
	}
	m.rows[r.key] = append(m.rows[r.key], r)
	for _, s := range starts {
		if m.update && m.watermark >= m.ends(s) && m.watermark < m.closes(s) {
			out = append(out, m.result(r.key, s))
		}
	}
	return out
}

func (m *model) result(key string, start record.Timestamp) string {
	var rows []modelRow
	for _, r := range m.rows[key] {
		if r.at >= start && r.at <= m.ends(start) {
			rows = append(rows, r)
		}
	}
	pane := func(at record.Timestamp) int64 {
		g := gcdOf(m.w.Size, m.w.Slide)
		return floorTo(int64(at)-m.w.Offset, g)
	}
	sort.SliceStable(rows, func(i, j int) bool { return pane(rows[i].at) < pane(rows[j].at) })
	op, id := "insert", fmt.Sprint(key, " ", start)
	if m.shown[id] {
		op = "update"
	}
	m.shown[id] = true
	return fmt.Sprintf("%s %s @%d [%d,%d)%s", op, key, m.ends(start), start, m.ends(start)+1, expectedOf(m.light, rows))
}

func gcdOf(a, b int64) int64 {
	if b == 0 {
		return a
	}
	return gcdOf(b, a%b)
}

func floorTo(n, step int64) int64 {
	q := n / step
	if n%step < 0 {
		q--
	}
	return q * step
}

// advance gives the results of a new watermark by window, each sorted by key.
func (m *model) advance(w record.Timestamp) (out []string) {
	due := m.ends
	if !m.update {
		due = m.closes
	}
	fired := map[record.Timestamp][]string{}
	for key, rows := range m.rows {
		seen := map[record.Timestamp]bool{}
		for _, r := range rows {
			for _, s := range m.windows(r.at) {
				if !seen[s] && due(s) > m.watermark && due(s) <= w {
					seen[s] = true
					fired[s] = append(fired[s], m.result(key, s))
				}
			}
		}
	}
	m.watermark = w
	var starts []record.Timestamp
	for s := range fired {
		starts = append(starts, s)
	}
	slices.Sort(starts)
	for _, s := range starts {
		slices.Sort(fired[s])
		out = append(out, fired[s]...)
	}
	return out
}

// job is a chain with several subtasks over one store.
type job struct {
	*rig
	node   func() *topology.Node
	chains []*Chain
	epoch  uint64
}

// start opens n subtasks.
func (j *job) start(n int, watermark record.Timestamp) {
	j.t.Helper()
	j.chains = nil
	for i := range n {
		j.first, j.last = record.KeyGroup(i*groups/n), record.KeyGroup((i+1)*groups/n-1)
		c := j.build(modelSlots+len(modelCalls()), then(j.node(), sinkNode()))
		c.RestoreWatermark(watermark)
		j.chains = append(j.chains, c)
	}
}

// restart commits an epoch and starts anew with another number of subtasks.
func (j *job) restart(n int) {
	j.t.Helper()
	watermark := j.chains[0].CurrentWatermark()
	j.epoch++
	var deltas []*state.Delta
	for _, c := range j.chains {
		deltas = append(deltas, c.Freeze(j.epoch)...)
	}
	if err := j.db.Apply(state.Meta{Epoch: j.epoch, Owner: "1-a", Positions: make([]record.Offset, groups)}, deltas); err != nil {
		j.t.Fatal(err)
	}
	for _, c := range j.chains {
		c.Applied(j.epoch)
	}
	if n == 0 {
		return
	}
	for _, t := range j.tables {
		if err := t.Close(); err != nil {
			j.t.Fatal(err)
		}
	}
	j.tables = nil
	j.start(n, watermark)
}

func (j *job) row(r modelRow) {
	j.t.Helper()
	b, err := codec.AppendKey(nil, str(r.key))
	if err != nil {
		j.t.Fatal(err)
	}
	g := int(record.KeyGroupOf(b, groups))
	for i, c := range j.chains {
		if n := len(j.chains); g >= i*groups/n && g < (i+1)*groups/n {
			j.mustRun(c, str(r.key), r.at, r.n, r.name, r.ok, r.price)
		}
	}
}

func (j *job) advance(w record.Timestamp) []string {
	j.t.Helper()
	for _, c := range j.chains {
		if err := c.Watermark(w); err != nil {
			j.t.Fatal(err)
		}
	}
	out := j.taken()
	// Subtasks and keys of one window have no order among each other.
	sort.SliceStable(out, func(i, k int) bool {
		a, b := windowEnd(out[i]), windowEnd(out[k])
		return a < b || a == b && out[i] < out[k]
	})
	return out
}

func windowEnd(line string) (end int64) {
	_, rest, _ := strings.Cut(line, "@")
	text, _, _ := strings.Cut(rest, " ")
	end, _ = strconv.ParseInt(text, 10, 64)
	return end
}

func randomRow(r *rand.Rand, around int64) modelRow {
	maybe := func(v record.Value) record.Value {
		if r.IntN(5) == 0 {
			return record.Null
		}
		return v
	}
	return modelRow{
		key:   string(rune('a' + r.IntN(6))),
		at:    record.Timestamp(around + r.Int64N(30) - 20),
		n:     maybe(num(r.Int64N(9) - 4)),
		name:  maybe(str(strings.Repeat(string(rune('p'+r.IntN(6))), 1+r.IntN(3)))),
		ok:    maybe(record.Bool(r.IntN(2) == 0)),
		price: maybe(record.Decimal(r.Int64N(1000)-500, 2)),
	}
}

func sameLines(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("%s:\n%s\nwant:\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func testAgainstModel(t *testing.T, seed uint64, w topology.Window, emit string) {
	r := rand.New(rand.NewPCG(seed, 1))
	j := &job{rig: newRig(t)}
	j.node = func() *topology.Node { return aggregateNode(modelSlots, emit, &w, modelCalls()...) }
	for i := range modelCalls() {
		j.columns = append(j.columns, modelSlots+i)
	}
	j.start(1+r.IntN(3), record.MinTimestamp)
	m := &model{w: w, update: emit == "update", watermark: record.MinTimestamp, rows: map[string][]modelRow{}, shown: map[string]bool{}}
	now := r.Int64N(200) - 100
	for range 40 {
		for range r.IntN(12) {
			row := randomRow(r, now)
			want := m.add(row)
			j.row(row)
			sameLines(t, fmt.Sprintf("seed %d %+v %s: row %+v", seed, w, emit, row), j.taken(), want)
		}
		switch r.IntN(4) {
		case 0:
			j.restart(1 + r.IntN(4))
		case 1:
			j.restart(0)
		}
		now += r.Int64N(12)
		mark := max(m.watermark, record.Timestamp(now-10-r.Int64N(8)))
		if mark > m.watermark {
			sameLines(t, fmt.Sprintf("seed %d %+v %s: watermark %d", seed, w, emit, mark), j.advance(mark), m.advance(mark))
		}
	}
	sameLines(t, fmt.Sprintf("seed %d %+v %s: end", seed, w, emit), j.advance(record.MaxTimestamp), m.advance(record.MaxTimestamp))
	if j.late != m.late {
		t.Fatalf("seed %d: %d late, want %d", seed, j.late, m.late)
	}
	j.nothingLeft()
}

// nothingLeft fails if state of closed windows is still there.
func (j *job) nothingLeft() {
	j.t.Helper()
	j.restart(0)
	n := 0
	err := j.db.Iterate(nil, func(key, _ []byte) error {
		if a, err := state.ParseKey(key); err == nil && a.Store == 1 {
			n++
		}
		return nil
	})
	if err != nil {
		j.t.Fatal(err)
	}
	if n > 0 {
		j.t.Fatalf("%d entries are left behind", n)
	}
}

func TestWindowsEqualPlainLoops(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for seed := range uint64(60) {
		size := 1 + r.Int64N(12)
		slide := size
		if seed%2 == 0 {
			slide = 1 + r.Int64N(size)
		}
		if seed%10 == 9 {
			slide = size + 1 + r.Int64N(4) // gaps
		}
		w := topology.Window{Size: size, Slide: slide, Offset: r.Int64N(5) - 2, AllowedLateness: r.Int64N(3) * r.Int64N(6)}
		emit := []string{"append", "update"}[r.IntN(2)]
		testAgainstModel(t, seed, w, emit)
	}
}

func TestRunningAggregatesEqualPlainLoops(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 2))
		j := &job{rig: newRig(t)}
		j.node = func() *topology.Node { return aggregateNode(modelSlots, "update", nil, modelCalls()...) }
		for i := range modelCalls() {
			j.columns = append(j.columns, modelSlots+i)
		}
		j.start(1+r.IntN(3), record.MinTimestamp)
		rows := map[string][]modelRow{}
		newest := map[string]record.Timestamp{}
		for range 150 {
			row := randomRow(r, 0)
			op := "update"
			if len(rows[row.key]) == 0 {
				op, newest[row.key] = "insert", row.at
			}
			rows[row.key] = append(rows[row.key], row)
			newest[row.key] = max(newest[row.key], row.at)
			j.row(row)
			want := fmt.Sprintf("%s %s @%d%s", op, row.key, newest[row.key], expected(rows[row.key]))
			sameLines(t, fmt.Sprintf("seed %d: row %+v", seed, row), j.taken(), []string{want})
			if r.IntN(20) == 0 {
				j.restart(1 + r.IntN(4))
			}
		}
	}
}
