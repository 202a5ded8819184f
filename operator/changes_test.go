package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"

	"kstream/record"
)

// changeRow is a row of the first changelog of the pipelines below: what became
// of the records of one id.
type changeRow struct {
	id, name, region string
	n, c             int64
	at               record.Timestamp
}

// changePipeline is one choice of what stands between the aggregates.
type changePipeline struct {
	steps  string // in front of the second aggregate
	keep   func(changeRow) bool
	key    func(changeRow) string
	spread bool // each row is there twice, with its index in n
}

var changeKeeps = []struct {
	step string
	keep func(changeRow) bool
}{
	{"", func(changeRow) bool { return true }},
	{"      - filter: n % 3 != 0\n", func(r changeRow) bool { return r.n%3 != 0 }},
	{"      - filter: c > 1 and name != \"b\"\n", func(r changeRow) bool { return r.c > 1 && r.name != "b" }},
	{"      - check: {even: n % 2 == 0}\n        on_error: skip\n", func(r changeRow) bool { return r.n%2 == 0 }},
}

var changeKeys = []struct {
	step string
	key  func(changeRow) string
}{
	{"      - key_by: region\n", func(r changeRow) string { return r.region }},
	{"      - key_by: n % 4\n", func(r changeRow) string { return fmt.Sprint(r.n % 4) }},
	{"      - key_by: n % 2\n      - key_by: name\n", func(r changeRow) string { return r.name }},
	{"      - key_by: id\n", func(r changeRow) string { return r.id }},
	{"      - key_by: '\"all\"'\n", func(changeRow) string { return "all" }},
}

// changeAggregate is every function that can take values back, over rows whose
// order is told by values that differ.
const changeAggregate = `      - aggregate:
          key: $key
          rows: count()
          named: count(name)
          big: count_if(n > 5)
          total: sum(n)
          some: sum_if(n, c > 1)
          mean: avg(n)
          low: min(n)
          high: max(name)
          low_id: min_by(id, string(n) + id)
          high_id: max_by(id, string(n) + id)
          old: first(id + string(n))
          new: last(id + string(n))
          kinds: count_distinct(name)
          ids: sort(collect(id))
          set: sort(collect_set(name))
          mid: median(n)
          upper: percentile(n, 0.9)
          every: bool_and(n > 2)
          any: bool_or(n > 8)
          joined: len(string_agg(id, ","))
        name: second
`

func changePipelineOf(r *rand.Rand) (p changePipeline, sink string) {
	k, by := changeKeeps[r.IntN(len(changeKeeps))], changeKeys[r.IntN(len(changeKeys))]
	p.keep, p.key = k.keep, by.key
	p.steps = k.step + by.step
	if p.spread = r.IntN(3) == 0; p.spread {
		p.steps = k.step + "      - flat_map: {each: 'n % 2 == 0 ? [0, 1] : [0]', index_as: i, select: {id: id, name: name, region: region, c: c, n: n + i}}\n" + by.step
	}
	return p, "  out: {from: second, topic: out}\n"
}

func (p changePipeline) yaml() string {
	return head + `streams:
  second:
    from: in
    steps:
      - key_by: id
      - aggregate:
          id: $key
          n: sum(n)
          c: count()
          name: last(name)
          region: last(region)
` + p.steps + changeAggregate + "sinks:\n  out: {from: second, topic: out}\n"
}

// table is what the pipeline must show for the rows: the value of each key.
func (p changePipeline) table(rows map[string]*changeRow) map[string]string {
	groups := map[string][]changeRow{}
	for _, r := range rows {
		if !p.keep(*r) {
			continue
		}
		times := int64(1)
		if p.spread && r.n%2 == 0 {
			times = 2
		}
		for i := range times {
			x := *r
			x.n += i
			groups[p.key(x)] = append(groups[p.key(x)], x)
		}
	}
	out := map[string]string{}
	for key, g := range groups {
		out[key] = changeResult(key, g)
	}
	return out
}

func changeResult(key string, g []changeRow) string {
	var ns []int64
	var ids, names []string
	var total, some, big, some1 int64
	every, anyBig := true, false
	low, high := g[0], g[0]
	first, last := g[0], g[0]
	mark := func(r changeRow) string { return fmt.Sprint(r.n) + r.id }
	for _, r := range g {
		ns, ids, names = append(ns, r.n), append(ids, r.id), append(names, r.name)
		total += r.n
		if r.n > 5 {
			big++
		}
		if r.c > 1 {
			some, some1 = some+r.n, 1
		}
		every, anyBig = every && r.n > 2, anyBig || r.n > 8
		if mark(r) < mark(low) {
			low = r
		}
		if mark(r) > mark(high) {
			high = r
		}
		if r.at < first.at || r.at == first.at && r.n < first.n {
			first = r
		}
		if r.at > last.at || r.at == last.at && r.n > last.n {
			last = r
		}
	}
	slices.Sort(ns)
	sort.Strings(ids)
	sort.Strings(names)
	set := slices.Compact(slices.Clone(names))
	someText := "null"
	if some1 > 0 {
		someText = fmt.Sprint(some)
	}
	list := func(l []string) string { return `["` + strings.Join(l, `","`) + `"]` }
	quantile := func(p float64) string {
		at := p * float64(len(ns)-1)
		a, b := float64(ns[int(at)]), float64(ns[min(int(at)+1, len(ns)-1)])
		if at == float64(int(at)) {
			return text(record.Float(a))
		}
		return text(record.Float(a + (b-a)*(at-float64(int(at)))))
	}
	return fmt.Sprintf("key=%s rows=%d named=%d big=%d total=%d some=%s mean=%s low=%d high=%s low_id=%s high_id=%s old=%s new=%s kinds=%d ids=%s set=%s mid=%s upper=%s every=%v any=%v joined=%d",
		key, len(g), len(g), big, total, someText, text(record.Float(float64(total)/float64(len(g)))), ns[0], names[len(names)-1],
		low.id, high.id, first.id+fmt.Sprint(first.n), last.id+fmt.Sprint(last.n), len(set), list(ids), list(set),
		quantile(0.5), quantile(0.9), every, anyBig, len(strings.Join(ids, ",")))
}

// shown follows what a sink gets, as a table. Ops must be right: only a row that
// is not there is inserted, only one that is there is updated or deleted.
type shown map[string]string

func (s shown) take(t *testing.T, lines []string) {
	t.Helper()
	for _, l := range lines {
		op, rest, _ := strings.Cut(l, " ")
		key, rest, _ := strings.Cut(rest, " ")
		_, value, _ := strings.Cut(rest, " ")
		if _, known := s[key]; known == (op == "insert") {
			t.Fatalf("%s, and the key is there: %v", l, known)
		}
		if op == "delete" {
			if s[key] != value {
				t.Fatalf("deleted\n%s\nwas\n%s", l, s[key])
			}
			delete(s, key)
			continue
		}
		s[key] = value
	}
}

// TestChangelogsEqualARecomputation: an aggregate over what is left of the rows
// of another one shows at every moment what a plain loop over the rows gives.
func TestChangelogsEqualARecomputation(t *testing.T) {
	const cases = 50_000
	per := 250
	done := 0
	for seed := uint64(1); done < cases; seed++ {
		r := rand.New(rand.NewPCG(seed, 7))
		p, _ := changePipelineOf(r)
		j := newPlanJob(t, p.yaml())
		rows, table := map[string]*changeRow{}, shown{}
		for i := range per {
			p.step(j, r, rows, record.Timestamp(i))
			table.take(t, j.taken("out"))
			want := p.table(rows)
			if len(want) != len(table) {
				t.Fatalf("seed %d, record %d: %d keys, want %d\n%s\n%v\n%v", seed, i, len(table), len(want), p.yaml(), table, want)
			}
			for key, w := range want {
				if table[key] != w {
					t.Fatalf("seed %d, record %d, key %s:\n%s\nwant\n%s\n%s", seed, i, key, table[key], w, p.yaml())
				}
			}
			done++
			if r.IntN(60) == 0 {
				j.restart()
			}
		}
		if len(table) == 0 && per > 50 && len(rows) == 0 {
			t.Fatal("nothing happened")
		}
	}
}

// step sends one random record and notes it in the model. Times are a little out
// of order, and all differ.
func (p changePipeline) step(j *planJob, r *rand.Rand, rows map[string]*changeRow, i record.Timestamp) {
	id := fmt.Sprint(r.IntN(6))
	n, name, region := int64(r.IntN(7)), string(rune('a'+r.IntN(3))), string(rune('x'+r.IntN(2)))
	at := i * 10
	if r.IntN(4) == 0 && at > 50 {
		at -= 45 + record.Timestamp(r.IntN(3))
	}
	j.send(id, at, map[string]record.Value{"id": str(id), "n": num(n), "name": str(name), "region": str(region)})
	row := rows[id]
	if row == nil {
		row = &changeRow{id: id, at: record.MinTimestamp}
		rows[id] = row
	}
	row.n, row.c = row.n+n, row.c+1
	if at >= row.at {
		row.name, row.region, row.at = name, region, at
	}
}

// TestUpsertSource: records that replace each other by their key, and are
// deleted, are taken back from what was made of them.
func TestUpsertSource(t *testing.T) {
	j := newPlanJob(t, `
version: 1
name: test
max_parallelism: 8
sources:
  in: {topic: in, mode: upsert, key_schema: string!, schema: {region: string, n: int}, watermark: none}
streams:
  regions:
    from: in
    steps:
      - key_by: region
      - aggregate: {region: $key, rows: count(), most: max(n)}
  large:
    from: in
    steps:
      - filter: n > 5
sinks:
  regions: {from: regions, topic: regions}
  large: {from: large, topic: large, value: {n: n, op: $op}}
  moved: {from: in, topic: moved, key: {k: $key, region: region}, value: {n: n}}
`)
	r := rand.New(rand.NewPCG(3, 4))
	type row struct {
		region string
		n      int64
	}
	rows := map[string]row{}
	shownRows := map[string]string{}
	moved := shown{}
	for i := range 5000 {
		key := fmt.Sprint(r.IntN(5))
		if r.IntN(3) == 0 {
			delete(rows, key)
			j.sendBare(key, record.Timestamp(i))
		} else {
			x := row{string(rune('x' + r.IntN(2))), int64(r.IntN(10))}
			rows[key] = x
			j.send(key, record.Timestamp(i), map[string]record.Value{"region": str(x.region), "n": num(x.n)})
		}
		table := shown{}
		for k, v := range shownRows {
			table[k] = v
		}
		table.take(t, j.taken("regions"))
		shownRows = table
		want, most := map[string]int{}, map[string]int64{}
		wantMoved := map[string]string{}
		for k, x := range rows {
			want[x.region]++
			most[x.region] = max(most[x.region], x.n)
			wantMoved[k+" "+x.region] = fmt.Sprintf("n=%d", x.n)
		}
		if len(want) != len(table) {
			t.Fatalf("record %d: %v, want %v", i, table, want)
		}
		for region, n := range want {
			if w := fmt.Sprintf("region=%s rows=%d most=%d", region, n, most[region]); table[region] != w {
				t.Fatalf("record %d: %s, want %s", i, table[region], w)
			}
		}
		for _, l := range j.taken("moved") {
			op, rest, _ := strings.Cut(l, " ")
			f := strings.Fields(rest)
			if moved[f[0]+" "+f[1]] = f[len(f)-1]; op == "delete" {
				delete(moved, f[0]+" "+f[1])
			}
		}
		if fmt.Sprint(map[string]string(moved)) != fmt.Sprint(wantMoved) {
			t.Fatalf("record %d: moved %v, want %v", i, moved, wantMoved)
		}
		if r.IntN(50) == 0 {
			j.restart()
		}
	}
	ops := map[string]int{}
	for _, l := range j.taken("large") {
		op, _, _ := strings.Cut(l, " ")
		ops[op]++
	}
	if ops["insert"] == 0 || ops["update"] == 0 || ops["delete"] == 0 || ops["insert"]-ops["delete"] > 5 {
		t.Errorf("large: %v", ops)
	}
}

// sendBare puts a record without a value into the first source.
func (j *planJob) sendBare(key string, at record.Timestamp) {
	j.t.Helper()
	task := j.tasks[j.plan.Sources[0].Chain]
	task.arena.Reset()
	row := record.Row{Slots: task.op.Slots, Time: at, Key: str(key), Op: record.OpDelete, Bare: true, Origin: &record.Origin{Topic: "in"}}
	task.env.Begin(&row)
	if err := task.op.Process(&row); err != nil {
		j.t.Fatal(err)
	}
}
