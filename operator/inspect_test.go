package operator

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// inspected is what an inspector shows of a committed job, one line a row.
func (j *planJob) inspected(uid string) []string {
	j.t.Helper()
	j.commit()
	lines, err := j.inspect(uid, nil, nil)
	if err != nil {
		j.t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func (j *planJob) inspect(uid string, key []byte, groups []record.KeyGroup) (lines []string, err error) {
	j.t.Helper()
	x, err := NewInspector(j.plan, uid, InspectOptions{Watermark: j.mark, Now: j.clock})
	if err != nil {
		return nil, err
	}
	s, err := j.db.Snapshot()
	if err != nil {
		return nil, err
	}
	defer s.Close()
	store := slices.IndexFunc(j.plan.Stateful, func(n *topology.Node) bool { return n.UID == uid }) + 1
	r, err := s.Reader(state.StoreID(store))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if groups == nil {
		for g := range j.plan.MaxParallelism {
			groups = append(groups, record.KeyGroup(g))
		}
	}
	for _, g := range groups {
		err := x.Rows(r, g, key, nil, func(row *StateRow) error {
			line := text(row.Key)
			if row.Windowed {
				line += fmt.Sprintf(" [%d,%d)", row.Window.Start, row.Window.End)
			}
			if row.Records > 0 {
				line += fmt.Sprintf(" of %d", row.Records)
			}
			line += " " + string(record.AppendJSON(nil, row.Value))
			if row.Ends != 0 {
				line += fmt.Sprintf(" until %d", row.Ends)
			}
			lines = append(lines, line+row.Failed)
			return nil
		})
		if err != nil {
			return lines, err
		}
	}
	if n := x.scratch.Len(); n > 0 {
		j.t.Errorf("%s: %d entries are left in the scratch table", uid, n)
	}
	return lines, nil
}

func (j *planJob) shows(uid string, want ...string) {
	j.t.Helper()
	sameLines(j.t.(*testing.T), uid, j.inspected(uid), want)
}

// inspectJob has one stream with a step behind key_by: region.
func inspectJob(t *testing.T, steps string) *planJob {
	return newPlanJob(t, head+"\nstreams:\n  s:\n    from: in\n    steps:\n      - key_by: region\n"+steps+"\nsinks:\n  out: {from: s, topic: out}\n")
}

func (j *planJob) take(region string, at record.Timestamp, id string, n int64) {
	j.t.Helper()
	j.send("k", at, map[string]record.Value{"region": str(region), "id": str(id), "n": num(n), "name": str("name of " + id)})
}

// inspectCases are one for each kind of state.
var inspectCases = []struct {
	name, uid, steps string
	want             []string
}{
	{"aggregate", "s/aggregate", `      - aggregate: {region: "$key", n: count(), total: sum(n), ids: count_distinct(id), all: collect(id), top: "max_by(name, n)"}`, []string{
		`eu {"region":"eu","n":4,"total":19,"ids":3,"all":["a","b","a","c"],"top":"name of c"}`,
		`us {"region":"us","n":1,"total":7,"ids":1,"all":["a"],"top":"name of a"}`}},
	{"ttl", "s/aggregate", "      - {aggregate: {n: count()}, state_ttl: 1h}", []string{
		`eu {"n":4} until 3600050`, `us {"n":1} until 3600050`}},
	{"tumbling", "s/aggregate", "      - window: {tumbling: 10ms}\n      - aggregate: {n: count(), ids: collect(id)}", []string{
		`eu [0,10) {"n":2,"ids":["a","b"]}`, `eu [10,20) {"n":1,"ids":["a"]}`, `eu [20,30) {"n":1,"ids":["c"]}`, `us [0,10) {"n":1,"ids":["a"]}`}},
	{"sliding", "s/aggregate", "      - window: {sliding: {size: 20ms, slide: 10ms}}\n      - aggregate: {n: count(), ids: count_distinct(id)}", []string{
		`eu [-10,10) {"n":2,"ids":2}`, `eu [0,20) {"n":3,"ids":2}`, `eu [10,30) {"n":2,"ids":2}`, `eu [20,40) {"n":1,"ids":1}`,
		`us [-10,10) {"n":1,"ids":1}`, `us [0,20) {"n":1,"ids":1}`}},
	{"session", "s/aggregate", "      - window: {session: {gap: 9ms}}\n      - aggregate: {n: count(), ids: collect(id)}", []string{
		`eu [1,11) {"n":2,"ids":["a","b"]}`, `eu [16,34) {"n":2,"ids":["a","c"]}`, `us [5,14) {"n":1,"ids":["a"]}`}},
	{"count", "s/aggregate", "      - window: {count: 3}\n      - aggregate: {n: sum(n)}", []string{
		`eu [25,26) of 1 {"n":8}`, `us [5,6) of 1 {"n":7}`}},
	{"sliding count", "s/aggregate", "      - window: {count: {size: 4, slide: 2}}\n      - aggregate: {n: sum(n)}", []string{
		`eu [16,26) of 2 {"n":13}`, `us [5,6) of 1 {"n":7}`}},
	{"reduce", "s/reduce", "      - reduce: {n: acc.n + n, id: id}", []string{
		`eu {"id":"c","region":"eu","n":19,"name":"name of c"}`, `us {"id":"a","region":"us","n":7,"name":"name of a"}`}},
	{"dedup", "s/dedup", "      - dedup: {by: id, within: 1h}", []string{
		`a {"time":"1970-01-01T00:00:00.001Z"}`, `b {"time":"1970-01-01T00:00:00.002Z"}`, `c {"time":"1970-01-01T00:00:00.025Z"}`}},
	{"dedup for ever", "s/dedup", "      - dedup: {by: [region, id], within: none}", []string{
		`{"region":"eu","id":"a"} {"time":"1970-01-01T00:00:00.001Z"}`, `{"region":"eu","id":"b"} {"time":"1970-01-01T00:00:00.002Z"}`,
		`{"region":"eu","id":"c"} {"time":"1970-01-01T00:00:00.025Z"}`, `{"region":"us","id":"a"} {"time":"1970-01-01T00:00:00.005Z"}`}},
	{"top_n", "s/top_n", "      - project: [id, n]\n      - top_n: {n: 2, by: $key, order_by: n desc}", []string{
		`eu {"rows":[{"id":"c","n":8,"$key":"eu"},{"id":"a","n":5,"$key":"eu"}]}`, `us {"rows":[{"id":"a","n":7,"$key":"us"}]}`}},
}

// inspectedCase has taken in the records that the cases are about.
func inspectedCase(t *testing.T, steps string) *planJob {
	j := inspectJob(t, steps)
	j.clock = 50
	j.take("eu", 1, "a", 2)
	j.take("eu", 2, "b", 4)
	j.take("us", 5, "a", 7)
	j.take("eu", 16, "a", 5)
	j.take("eu", 25, "c", 8)
	return j
}

func TestInspect(t *testing.T) {
	for _, c := range inspectCases {
		t.Run(c.name, func(t *testing.T) {
			j := inspectedCase(t, c.steps)
			j.shows(c.uid, c.want...)
			j.restart()
			j.shows(c.uid, c.want...)
		})
	}
}

// TestInspectTopOfWindows has lists of a window of which not all rows have come.
func TestInspectTopOfWindows(t *testing.T) {
	j := inspectJob(t, "      - window: {tumbling: 10ms}\n      - aggregate: {region: $key, n: count()}\n"+
		"      - project: [region, n]\n      - top_n: {n: 2, per: window, order_by: n desc, rank_as: rank}")
	for i, region := range []string{"eu", "us", "us", "us", "as", "as", "eu"} {
		j.take(region, record.Timestamp(i*2), "a", 1)
	}
	for _, c := range j.plan.Chains[:len(j.plan.Chains)-1] {
		if err := j.tasks[c].op.Watermark(9); err != nil {
			t.Fatal(err)
		}
	}
	j.shows("s/top_n", `null [0,10) {"rows":[{"region":"us","n":3,"$key":"us"},{"region":"eu","n":1,"$key":"eu"}]}`)
}

const upsertHead = `
version: 1
name: test
max_parallelism: 8
sources:
  in: {topic: in, mode: upsert, schema: {id: string, region: string, n: int}, key_schema: string!, watermark: none}
streams:
  s:
    from: in
    steps:
      - key_by: region
      - aggregate: {n: count(), total: sum(n), most: max(n)}
sinks:
  out: {from: s, topic: out}
`

// TestInspectUpsert shows the rows of a source, and what is counted of them.
func TestInspectUpsert(t *testing.T) {
	j := newPlanJob(t, upsertHead)
	for i, x := range []struct {
		key, region string
		n           int64
	}{{"k1", "eu", 3}, {"k2", "eu", 4}, {"k1", "us", 5}, {"k3", "us", 1}} {
		j.send(x.key, record.Timestamp(i), map[string]record.Value{"region": str(x.region), "n": num(x.n)})
	}
	j.shows("source:in/rows", `k1 {"region":"us","n":5}`, `k2 {"region":"eu","n":4}`, `k3 {"region":"us","n":1}`)
	j.shows("s/aggregate", `eu {"n":1,"total":4,"most":4}`, `us {"n":2,"total":6,"most":5}`)
}

// TestInspectOfOneKey gives the rows of a key from its key group alone, and those
// of keys that begin alike.
func TestInspectOfOneKey(t *testing.T) {
	for _, c := range inspectCases {
		j := inspectedCase(t, c.steps)
		j.commit()
		for _, name := range []string{"eu", "us", "no", "e"} {
			key, err := codec.AppendKey(nil, str(name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := j.inspect(c.uid, key, []record.KeyGroup{record.KeyGroupOf(key, j.plan.MaxParallelism)})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, line := range c.want {
				if strings.HasPrefix(line, name+" ") {
					want = append(want, line)
				}
			}
			slices.Sort(got)
			sameLines(t, c.name+" of "+name, got, want)
		}
		prefix := []byte{0x41, 'e'}
		if key, _ := codec.AppendKey(nil, str("e")); !strings.HasPrefix(string(key), string(prefix[:1])) {
			prefix[0] = key[0]
		}
		got, err := j.inspect(c.uid, prefix, nil)
		if err != nil || slices.ContainsFunc(got, func(line string) bool { return !strings.HasPrefix(line, "e") }) {
			t.Errorf("%s: with a prefix %q, %v", c.name, got, err)
		}
	}
}

func testInspectWindows(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 5))
	size, late := int64(1+r.IntN(12)), int64(r.IntN(2)*r.IntN(8))
	slide := int64(1 + r.IntN(int(size)))
	j := inspectJob(t, fmt.Sprintf("      - window: {sliding: {size: %dms, slide: %dms}, allowed_lateness: %dms}\n      - aggregate: {n: count(), ids: count_distinct(id)}", size, slide, late))
	type group struct {
		region string
		start  int64
	}
	ids := map[group]map[string]int{}
	closed := func(start int64) bool { return int64(j.mark) >= start+size-1+late }
	for i := range 60 {
		at := int64(i) + int64(r.IntN(20))
		region, id := string(rune('p'+r.IntN(3))), string(rune('a'+r.IntN(4)))
		j.take(region, record.Timestamp(at), id, 1)
		open := false
		for start := at - at%slide; start > at-size; start -= slide {
			open = open || !closed(start)
		}
		for start := at - at%slide; open && start > at-size; start -= slide {
			g := group{region, start}
			if ids[g] == nil {
				ids[g] = map[string]int{}
			}
			ids[g][id]++
		}
		if r.IntN(5) == 0 {
			j.advance(record.Timestamp(i + r.IntN(6)))
		}
	}
	var want []string
	for g, of := range ids {
		n := 0
		for _, k := range of {
			n += k
		}
		if !closed(g.start) {
			want = append(want, fmt.Sprintf(`%s [%d,%d) {"n":%d,"ids":%d}`, g.region, g.start, g.start+size, n, len(of)))
		}
	}
	slices.Sort(want)
	sameLines(t, fmt.Sprintf("seed %d: size %d, slide %d, late %d", seed, size, slide, late), j.inspected("s/aggregate"), want)
}

func TestInspectWindowsEqualPlainLoops(t *testing.T) {
	for seed := range uint64(150) {
		testInspectWindows(t, seed)
	}
}

// TestInspectDamaged changes entries at random: what cannot be read is said, and
// nothing else happens.
func TestInspectDamaged(t *testing.T) {
	refused := 0
	for _, c := range inspectCases {
		j := inspectedCase(t, c.steps)
		j.commit()
		var entries []state.Entry
		if err := j.db.Iterate(nil, func(key, value []byte) error {
			entries = append(entries, state.Entry{Key: bytes.Clone(key), Value: bytes.Clone(value)})
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for seed := range uint64(60) {
			r := rand.New(rand.NewPCG(seed, 77))
			damaged := slices.Clone(entries)
			for range 1 + r.IntN(3) {
				damage(r, &damaged[r.IntN(len(damaged))])
			}
			other := *j
			db, err := state.Open(state.Options{Backend: state.BackendMemory, Memory: 8 << 20})
			if err != nil {
				t.Fatal(err)
			}
			other.db = db
			if err := db.Replay(state.Meta{Epoch: 1, Owner: "1-a"}, damaged); err != nil {
				t.Fatal(err)
			}
			if _, err := other.inspect(c.uid, nil, nil); err != nil {
				refused++
				if !errors.Is(err, ErrStateDamaged) && !errors.Is(err, state.ErrCorrupt) {
					t.Errorf("%s, seed %d: %v", c.name, seed, err)
				}
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if refused < 100 {
		t.Errorf("%d damaged states were refused", refused)
	}
}

// damage changes the key bytes, the namespace or the value of an entry.
func damage(r *rand.Rand, e *state.Entry) {
	key, value := bytes.Clone(e.Key), bytes.Clone(e.Value)
	switch r.IntN(6) {
	case 0:
		key[4+r.IntN(len(key)-4)] = byte(r.Uint32())
	case 1:
		key = key[:max(state.PrefixSize, len(key)-1-r.IntN(3))]
	case 2:
		value = value[:r.IntN(len(value)+1)]
	case 3:
		value = append(value, byte(r.Uint32()), 0xff)
	default:
		value[r.IntN(len(value))] = byte(r.Uint32())
	}
	e.Key, e.Value = key, value
}

// TestInspectHidesWhatHasEnded: expired rows and forgotten times may still be
// stored.
func TestInspectHidesWhatHasEnded(t *testing.T) {
	j := inspectedCase(t, "      - {aggregate: {n: count()}, state_ttl: 1h}")
	j.clock = 3600049
	j.shows("s/aggregate", `eu {"n":4} until 3600050`, `us {"n":1} until 3600050`)
	j.clock = 3600050
	j.shows("s/aggregate")
	j = inspectedCase(t, "      - dedup: {by: id, within: 10ms}")
	j.mark = 24 // the watermark of the look, of which the operator knows nothing yet
	j.shows("s/dedup", `a {"time":"1970-01-01T00:00:00.016Z"}`, `c {"time":"1970-01-01T00:00:00.025Z"}`)
}
