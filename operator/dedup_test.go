package operator

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"kstream/record"
)

// dedupModel remembers every row that was passed on.
type dedupModel struct {
	within    record.Timestamp
	last      bool
	clock     bool
	watermark record.Timestamp
	seen      map[string][]record.Timestamp
}

// add says what becomes of a row: "insert", "update" or "".
func (m *dedupModel) add(id string, t record.Timestamp) string {
	newest, known := record.MinTimestamp, false
	for _, at := range m.seen[id] {
		forgotten := m.within >= 0 && (t-at >= m.within || !m.clock && m.watermark != record.MinTimestamp && m.watermark >= at+m.within-1)
		if !forgotten {
			known, newest = true, max(newest, at)
		}
	}
	switch {
	case !known:
		m.seen[id] = append(m.seen[id], t)
		return "insert"
	case m.last && t >= newest:
		m.seen[id] = append(m.seen[id], t)
		return "update"
	}
	return ""
}

func testDedup(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 21))
	within := record.Timestamp(1 + r.IntN(30))
	m := &dedupModel{within: within, last: seed%2 == 0, clock: seed%5 == 4, watermark: record.MinTimestamp, seen: map[string][]record.Timestamp{}}
	within1, keep, time := fmt.Sprintf("%dms", within), "first", "event"
	if seed%7 == 6 {
		within1, m.within = "none", -1
	}
	if m.last {
		keep = "last"
	}
	if m.clock {
		time = "processing"
	}
	j := newPlanJob(t, head+fmt.Sprintf(`
streams:
  unique:
    from: in
    steps:
      - key_by: region
      - dedup: {by: [id, n], within: %s, keep: %s, time: %s}
sinks:
  out: {from: unique, topic: out}
`, within1, keep, time))
	now := record.Timestamp(r.Int64N(100) - 50)
	j.clock = now
	for range 200 {
		id, region, at := string(rune('a'+r.IntN(4))), string(rune('p'+r.IntN(3))), now+record.Timestamp(r.IntN(25)-12)
		j.send("k", at, map[string]record.Value{"id": str(id), "n": num(1), "region": str(region)})
		seen := at
		if m.clock {
			seen = j.clock
		}
		var want []string
		if op := m.add(id, seen); op != "" {
			want = []string{fmt.Sprintf("%s %s @%d id=%s region=%s n=1 name=null", op, region, at, id, region)}
		}
		sameLines(t, fmt.Sprintf("seed %d, within %s, keep %s, %s time", seed, within1, keep, time), j.taken("out"), want)
		now += record.Timestamp(r.IntN(4))
		j.clock = now
		switch r.IntN(9) {
		case 0:
			j.restart()
		case 1:
			j.commit()
		case 2, 3:
			m.watermark = max(m.watermark, now-record.Timestamp(r.IntN(20)))
			j.advance(m.watermark)
		}
	}
	if m.within < 0 {
		return
	}
	if m.clock {
		// Nothing forgets but a row: one more, much later, is all that is left.
		j.clock += 1000
		j.send("k", 0, map[string]record.Value{"id": str("z")})
		if n := j.entries(); n != 1 {
			t.Fatalf("seed %d: %d entries are left, want 1", seed, n)
		}
		return
	}
	j.advance(now + 1000)
	if n := j.entries(); n != 0 {
		t.Fatalf("seed %d: %d entries are left", seed, n)
	}
}

func TestDedupEqualsPlainLoops(t *testing.T) {
	for seed := range uint64(250) {
		testDedup(t, seed)
	}
}

// TestDedupKeepsTheKey: a step behind is partitioned by $key again.
func TestDedupKeepsTheKey(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  counts:
    from: in
    steps:
      - key_by: [region]
      - dedup: {by: id, within: 1h}
      - aggregate: {region: region, n: count()}
  own:
    from: in
    steps:
      - dedup: {within: none}
sinks:
  out: {from: counts, topic: out}
  own: {from: own, topic: own}
`)
	for _, row := range [][2]string{{"a", "eu"}, {"a", "us"}, {"b", "eu"}, {"b", "eu"}, {"c", "us"}} {
		j.send(row[1], 1, map[string]record.Value{"id": str(row[0]), "region": str(row[1])})
	}
	sameLines(t, "counts", j.taken("out"), []string{
		`insert {"region":"eu"} @1 region=eu n=1`, `update {"region":"eu"} @1 region=eu n=2`, `insert {"region":"us"} @1 region=us n=1`})
	sameLines(t, "by the record key", j.taken("own"), []string{
		"insert eu @1 id=a region=eu n=null name=null", "insert us @1 id=a region=us n=null name=null"})
}

func TestDedupAllocatesNothing(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  unique:
    from: in
    steps:
      - dedup: {by: id, within: 1h}
sinks:
  out: {from: unique, topic: out}
`)
	var node *Chain
	for c, task := range j.tasks {
		if c.Input != nil {
			node = task.op
			task.env.Arena.Reset()
		}
	}
	d := node.roots[0].(*dedup)
	row := record.Row{Slots: node.Slots, KeyBytes: []byte{0x40, 'a', 0, 1}, Time: 5}
	if n := testing.AllocsPerRun(100, func() {
		d.expr.Begin(&row)
		if err := d.process(&row); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Fatalf("%v allocations for a duplicate", n)
	}
}
