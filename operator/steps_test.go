package operator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kstream/record"
)

const head = `
version: 1
name: test
max_parallelism: 8
sources:
  in: {topic: in, schema: {id: string, region: string, n: int, name: string}, watermark: none}
`

func TestCheck(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  checked:
    from: in
    steps:
      - check: {known: id != nil, positive: n > 0}
        when: region != "test"
        on_error: {output: bad}
sinks:
  out: {from: checked, topic: out}
  bad: {from: checked.bad, topic: bad, key: $error.message}
`)
	send := func(id, region record.Value, n record.Value) {
		j.send("k", 1, map[string]record.Value{"id": id, "region": region, "n": n})
	}
	send(str("a"), str("eu"), num(1))
	send(record.Null, str("eu"), num(-1)) // the first failed check is named
	send(str("b"), str("eu"), num(0))
	send(str("c"), str("eu"), record.Null) // null is not true
	send(record.Null, str("test"), num(-1))
	sameLines(t, "good", j.taken("out"), []string{
		"insert k @1 id=a region=eu n=1 name=null", "insert k @1 id=null region=test n=-1 name=null"})
	sameLines(t, "bad", j.taken("bad"), []string{
		"insert known @1 id=null region=eu n=-1 name=null",
		"insert positive @1 id=b region=eu n=0 name=null",
		"insert positive @1 id=c region=eu n=null name=null"})
}

func TestCheckFails(t *testing.T) {
	r := newRig(t)
	n := checkNode(slot(0, record.TypeBool))
	c := r.build(1, then(n, sinkNode()))
	err := r.run(c, str("k"), 1, record.Bool(false))
	if err == nil || !strings.Contains(err.Error(), "check-failed: first (in/3 offset 42)") {
		t.Fatalf("error %v", err)
	}
}

func splitPipeline(rest, match string) string {
	return head + `
streams:
  routed:
    from: in
    steps:
      - split:
          routes: {eu: region == "eu", big: n > 10}
          else: ` + rest + `
          match: ` + match + `
        on_error: skip
sinks:
  eu: {from: routed.eu, topic: eu}
  big: {from: routed.big, topic: big}
`
}

func TestSplit(t *testing.T) {
	type got struct{ eu, big, rest int }
	for _, c := range []struct {
		rest, match string
		want        got
		failed      int
	}{
		{"drop", "first", got{2, 1, 0}, 0},
		{"drop", "all", got{2, 2, 0}, 0},
		{"fail", "first", got{2, 1, 0}, 2},
		{"rest", "first", got{2, 1, 2}, 0},
		{"rest", "all", got{2, 2, 2}, 0},
	} {
		yaml := splitPipeline(c.rest, c.match)
		if c.rest == "rest" {
			yaml += "  rest: {from: routed.rest, topic: rest}\n"
		}
		j := newPlanJob(t, yaml)
		for _, row := range []map[string]record.Value{
			{"region": str("eu"), "n": num(1)}, {"region": str("eu"), "n": num(11)}, {"region": str("us"), "n": num(11)},
			{"region": str("us"), "n": num(1)}, {},
		} {
			j.send("k", 1, row)
		}
		have := got{len(j.taken("eu")), len(j.taken("big")), len(j.taken("rest"))}
		if failed := j.errs["routed/split check-failed"]; have != c.want || failed != c.failed {
			t.Errorf("else %s, match %s: %+v and %d failed, want %+v and %d", c.rest, c.match, have, failed, c.want, c.failed)
		}
	}
}

// TestSplitChangelog: an update that takes a row to another output deletes it in
// the one it was in.
func TestSplitChangelog(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  counts:
    from: in
    steps:
      - key_by: id
      - aggregate: {id: $key, n: count()}
      - split: {routes: {odd: n % 2 == 1}, else: even}
sinks:
  odd: {from: counts.odd, topic: odd, mode: upsert}
  even: {from: counts.even, topic: even, mode: upsert}
`)
	for range 3 {
		j.send("k", 1, map[string]record.Value{"id": str("a")})
	}
	sameLines(t, "odd", j.taken("odd"), []string{"insert a @1 id=a n=1", "delete a @1 id=a n=1", "insert a @1 id=a n=3"})
	sameLines(t, "even", j.taken("even"), []string{"insert a @1 id=a n=2", "delete a @1 id=a n=2"})
}

// reduceModel is the reduce of the pipelines below, by a plain loop.
type reduceModel struct {
	n, most int64
	name    string
	last    string
	at      record.Timestamp
	any     bool
}

func (m *reduceModel) add(n int64, name, last string, at record.Timestamp) {
	if !m.any {
		*m = reduceModel{n, n, name, last, at, true}
		return
	}
	m.n += n
	m.most = max(m.most, n)
	m.name += name
	m.last, m.at = last, max(m.at, at)
}

func (m *reduceModel) text() string {
	return fmt.Sprintf("n=%d name=%s most=%d last=%s", m.n, m.name, m.most, m.last)
}

const reduceSteps = `
streams:
  sums:
    from: in
    steps:
      - key_by: id
      - map: {n: n, name: name, most: n, last: region}
`

func TestReduceEqualsPlainLoops(t *testing.T) {
	for _, open := range []bool{false, true} {
		yaml := head + reduceSteps
		if open { // one value without a schema
			yaml = head + `
streams:
  sums:
    from: in
    steps:
      - key_by: id
      - map: 'fromJSON(toJSON({"n": n, "name": name, "most": n, "last": region}))'
`
		}
		yaml += `
      - reduce: {n: acc.n + n, most: 'max(acc.most, most)', name: acc.name + name}
sinks:
  out: {from: sums, topic: out, value: {n: n, name: name, most: most, last: last}}
`
		for seed := range uint64(40) {
			testReduce(t, yaml, seed)
		}
	}
}

func testReduce(t *testing.T, yaml string, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 7))
	j := newPlanJob(t, yaml)
	models := map[string]*reduceModel{}
	for range 40 {
		id := string(rune('a' + r.IntN(4)))
		op := "update"
		if models[id] == nil {
			models[id], op = &reduceModel{}, "insert"
		}
		n, name, last, at := r.Int64N(20)-10, string(rune('p'+r.IntN(9))), string(rune('A'+r.IntN(9))), record.Timestamp(r.IntN(50))
		models[id].add(n, name, last, at)
		j.send("k", at, map[string]record.Value{"id": str(id), "n": num(n), "name": str(name), "region": str(last)})
		want := fmt.Sprintf("%s %s @%d %s", op, id, models[id].at, models[id].text())
		sameLines(t, fmt.Sprintf("seed %d", seed), j.taken("out"), []string{want})
		if r.IntN(9) == 0 {
			j.restart()
		}
	}
}

// TestReduceInSlidingWindows: panes are combined in their order.
func TestReduceInSlidingWindows(t *testing.T) {
	yaml := head + reduceSteps + `
      - window: {sliding: {size: 6ms, slide: 2ms}}
      - reduce: {n: acc.n + n, most: 'max(acc.most, most)', name: acc.name + name}
sinks:
  out: {from: sums, topic: out}
`
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 8))
		j := newPlanJob(t, yaml)
		type row struct {
			n          int64
			name, last string
			at         record.Timestamp
		}
		var rows []row
		var want []string
		mark := record.Timestamp(-10)
		for range 30 {
			for range r.IntN(4) {
				x := row{r.Int64N(20), string(rune('p' + r.IntN(9))), string(rune('A' + r.IntN(9))), mark + 1 + record.Timestamp(r.IntN(8))}
				rows = append(rows, x)
				j.send("k", x.at, map[string]record.Value{"id": str("a"), "n": num(x.n), "name": str(x.name), "region": str(x.last)})
			}
			next := mark + record.Timestamp(r.IntN(5))
			for start := record.Timestamp(-40); start < 200; start += 2 {
				if end := start + 5; end <= mark || end > next {
					continue
				}
				m := &reduceModel{}
				for pane := start; pane < start+6; pane += 2 {
					for _, x := range rows {
						if x.at >= pane && x.at < pane+2 {
							m.add(x.n, x.name, x.last, x.at)
						}
					}
				}
				if m.any {
					want = append(want, fmt.Sprintf("insert a @%d %s", start+5, m.text()))
				}
			}
			j.advance(next)
			mark = next
			if r.IntN(6) == 0 {
				j.restart()
			}
		}
		sameLines(t, fmt.Sprintf("seed %d", seed), j.taken("out"), want)
	}
}

// TestReduceErrors: a record that cannot be combined changes nothing.
func TestReduceErrors(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  sums:
    from: in
    steps:
      - key_by: id
      - map: {n: n, name: name}
      - reduce: {n: 'acc.n + div(12, n)'}
        on_error: skip
sinks:
  out: {from: sums, topic: out}
`)
	for _, n := range []int64{3, 0, 4} {
		j.send("k", 1, map[string]record.Value{"id": str("a"), "n": num(n), "name": str("x")})
	}
	sameLines(t, "rows", j.taken("out"), []string{"insert a @1 n=3 name=x", "update a @1 n=6 name=x"})
	if j.errs["sums/reduce eval-failed"] != 1 {
		t.Fatalf("errors %v", j.errs)
	}
}

func TestTimestamps(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  timed:
    from: in
    steps:
      - timestamps: {event_time: from_millis(n), watermark: ascending}
        on_error: skip
sinks:
  out: {from: timed, topic: out}
`)
	j.send("k", 1, map[string]record.Value{"n": num(77)})
	j.send("k", 1, nil) // null is no time
	sameLines(t, "rows", j.taken("out"), []string{"insert k @77 id=null region=null n=77 name=null"})
	if j.errs["timed/timestamps eval-failed"] != 1 {
		t.Fatalf("errors %v", j.errs)
	}
}

// TestReduceInOtherWindows: sessions that become one, and counted rows.
func TestReduceInOtherWindows(t *testing.T) {
	for window, want := range map[string][]string{
		"{session: 4ms}": {"insert a @11 n=6 name=xzy", "insert a @24 n=8 name=w"},
		"{count: 2}":     {"insert a @8 n=3 name=xy", "insert a @21 n=11 name=zw"},
	} {
		j := newPlanJob(t, head+`
streams:
  sums:
    from: in
    steps:
      - key_by: id
      - map: {n: n, name: name}
      - window: `+window+`
      - reduce: {n: acc.n + n, name: acc.name + name}
sinks:
  out: {from: sums, topic: out}
`)
		for i, at := range []record.Timestamp{1, 8, 5, 21} {
			j.send("k", at, map[string]record.Value{"id": str("a"), "n": num([]int64{1, 2, 3, 8}[i]), "name": str(string("xyzw"[i]))})
			j.restart()
		}
		j.advance(100)
		sameLines(t, window, j.taken("out"), want)
	}
}
