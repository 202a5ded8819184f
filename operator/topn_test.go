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

// topRow is a row of the model: its order is n descending, then name ascending,
// nulls last, then arrival.
type topRow struct {
	id   string
	n    record.Value
	name record.Value
	at   record.Timestamp
}

func (r topRow) text() string {
	return fmt.Sprintf("id=%s n=%s name=%s", r.id, text(r.n), text(r.name))
}

func nullsLast(a, b record.Value, desc bool) int {
	switch {
	case a.IsNull() || b.IsNull():
		if a.IsNull() && b.IsNull() {
			return 0
		}
		if a.IsNull() {
			return 1
		}
		return -1
	}
	c, _ := record.Compare(a, b)
	if desc {
		return -c
	}
	return c
}

func topOrder(a, b topRow) int {
	if c := nullsLast(a.n, b.n, true); c != 0 {
		return c
	}
	return nullsLast(a.name, b.name, false)
}

// firstRows sorts and cuts; ranks[i] is the rank of the i-th.
func firstRows(rows []topRow, n int, ties bool) (top []topRow, ranks []int) {
	sorted := slices.Clone(rows)
	sort.SliceStable(sorted, func(i, k int) bool { return topOrder(sorted[i], sorted[k]) < 0 })
	for i, r := range sorted {
		rank := i + 1
		if ties && i > 0 && topOrder(sorted[i-1], r) == 0 {
			rank = ranks[i-1]
		}
		if rank > n {
			break
		}
		top, ranks = append(top, r), append(ranks, rank)
	}
	return top, ranks
}

// topDiff is what a change of the list gives.
func topDiff(before, after []topRow, old, now []int, group string, cause topRow, ranked, byRank bool) (out []string) {
	line := func(op string, r topRow, rank int, at record.Timestamp) string {
		key := group
		if ranked {
			key += fmt.Sprintf(" %d", rank)
		}
		s := fmt.Sprintf("%s %s @%d region=%s %s", op, key, at, group, r.text())
		if ranked {
			s += fmt.Sprintf(" rank=%d", rank)
		}
		return s
	}
	if byRank {
		for i, r := range after {
			switch {
			case i >= len(before):
				out = append(out, line("insert", r, now[i], r.at))
			case before[i] != r:
				out = append(out, line("update", r, now[i], r.at))
			}
		}
		return out
	}
	var later []string
	for i, r := range before {
		if !slices.Contains(after, r) {
			out = append(out, line("delete", r, old[i], max(r.at, cause.at)))
		}
	}
	for i, r := range after {
		switch k := slices.Index(before, r); {
		case k < 0:
			out = append(out, line("insert", r, now[i], r.at))
		case ranked && old[k] != now[i]:
			later = append(later, line("delete", r, old[k], max(r.at, cause.at)), line("insert", r, now[i], r.at))
		}
	}
	return append(out, later...)
}

func randomTop(r *rand.Rand, i int, now record.Timestamp) topRow {
	x := topRow{id: fmt.Sprint(i), n: num(r.Int64N(6)), name: str(string(rune('a' + r.IntN(3)))), at: now}
	if r.IntN(8) == 0 {
		x.n = record.Null
	}
	if r.IntN(8) == 0 {
		x.name = record.Null
	}
	return x
}

func testTopOfStream(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 31))
	n, ties, ranked := 1+r.IntN(5), seed%3 == 0, seed%2 == 0
	options := fmt.Sprintf("{n: %d, order_by: [n desc, name asc], by: region", n)
	if ties {
		options += ", ties: all"
	}
	if ranked {
		options += ", rank_as: rank"
	}
	key := "region"
	if ranked {
		key = "[region, rank]"
	}
	j := newPlanJob(t, head+`
streams:
  top:
    from: in
    steps:
      - key_by: region
      - project: [region, id, n, name]
      - top_n: `+options+`}
sinks:
  out: {from: top, topic: out, key: `+key+`}
`)
	rows := map[string][]topRow{}
	for i := range 120 {
		group := string(rune('p' + r.IntN(3)))
		x := randomTop(r, i, record.Timestamp(r.IntN(50)))
		before, old := firstRows(rows[group], n, ties)
		rows[group] = append(rows[group], x)
		after, now := firstRows(rows[group], n, ties)
		j.send("k", x.at, map[string]record.Value{"region": str(group), "id": str(x.id), "n": x.n, "name": x.name})
		want := topDiff(before, after, old, now, group, x, ranked, !ties && (ranked || n == 1))
		sameLines(t, fmt.Sprintf("seed %d: %s", seed, options), j.taken("out"), want)
		if r.IntN(9) == 0 {
			j.restart()
		}
	}
}

func TestTopOfStreamEqualsPlainLoops(t *testing.T) {
	for seed := range uint64(250) {
		testTopOfStream(t, seed)
	}
}

func testTopOfWindows(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 41))
	n, ties, late := 1+r.IntN(4), seed%3 == 0, r.IntN(2)*r.IntN(6)
	options := fmt.Sprintf("{n: %d, per: window, order_by: [n desc, name asc], rank_as: rank", n)
	if ties {
		options += ", ties: all"
	}
	by := seed%2 == 0
	if by {
		options += ", by: region"
	}
	// One row of the window for each id, so that what reaches top_n is known.
	j := newPlanJob(t, head+fmt.Sprintf(`
streams:
  top:
    from: in
    steps:
      - key_by: [region, id]
      - window: {tumbling: 10ms, allowed_lateness: %dms}
      - aggregate: {region: region, id: id, n: min(n), name: max(name)}
      - filter: id != "drop"
      - top_n: %s}
      - set: {from: $window.start, to: $window.end}
sinks:
  out: {from: top, topic: out, value: {region: region, id: id, n: n, name: name, rank: rank}}
`, late, options))
	type group struct {
		end    record.Timestamp
		region string
	}
	rows := map[group][]topRow{}
	now := record.Timestamp(r.IntN(20))
	for i := range 60 {
		x := randomTop(r, i, now+record.Timestamp(r.IntN(8)))
		region := string(rune('p' + r.IntN(2)))
		j.send("k", x.at, map[string]record.Value{"region": str(region), "id": str(x.id), "n": x.n, "name": x.name})
		g := group{x.at/10*10 + 10, ""}
		if by {
			g.region = region
		}
		x.at, x.id = g.end-1, region+" "+x.id
		rows[g] = append(rows[g], x)
		switch r.IntN(8) {
		case 0:
			j.restart()
		case 1, 2:
			now += record.Timestamp(r.IntN(12))
			j.advance(now - 1)
			for g, list := range rows {
				if g.end-1+record.Timestamp(late) > now-1 {
					continue
				}
				checkTop(t, fmt.Sprintf("seed %d: %s", seed, options), j, list, n, ties)
				delete(rows, g)
			}
			if left := j.taken("out"); len(left) > 0 {
				t.Fatalf("seed %d: too much:\n%s", seed, strings.Join(left, "\n"))
			}
		}
	}
	j.advance(record.MaxTimestamp)
	for _, list := range rows {
		checkTop(t, fmt.Sprintf("seed %d: %s", seed, options), j, list, n, ties)
	}
	if left := j.entries(); left > 0 || len(j.taken("out")) > 0 || len(j.errs) > 0 {
		t.Fatalf("seed %d: %d entries and rows are left, errors %v", seed, left, j.errs)
	}
}

// checkTop takes the list of one group out of what was written. The order in
// which rows of a window reach the step is not known, so equal rows may change
// places.
func checkTop(t *testing.T, what string, j *planJob, list []topRow, n int, ties bool) {
	t.Helper()
	top, ranks := firstRows(list, n, ties)
	for i, r := range top {
		found := -1
		for k, line := range j.out["out"] {
			if !strings.HasSuffix(line, fmt.Sprintf(" n=%s name=%s rank=%d", text(r.n), text(r.name), ranks[i])) || !strings.Contains(line, fmt.Sprintf(" @%d ", r.at)) {
				continue
			}
			for _, other := range list {
				region, id, _ := strings.Cut(other.id, " ")
				if topOrder(other, r) == 0 && strings.Contains(line, fmt.Sprintf(" region=%s id=%s n=", region, id)) {
					found = k
				}
			}
		}
		if found < 0 {
			t.Fatalf("%s: nothing for rank %d, %s; there is\n%s", what, ranks[i], r.text(), strings.Join(j.out["out"], "\n"))
		}
		j.out["out"] = slices.Delete(j.out["out"], found, found+1)
	}
}

func TestTopOfWindowsEqualsPlainLoops(t *testing.T) {
	for seed := range uint64(200) {
		testTopOfWindows(t, seed)
	}
}

// TestTopOfWindowsWithUpdates: every change of the list of a window is passed on
// until it closes.
func TestTopOfWindowsWithUpdates(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  top:
    from: in
    steps:
      - key_by: id
      - window: {tumbling: 10ms}
      - reduce: {n: acc.n + n}
      - top_n: {n: 1, per: window, order_by: n desc}
        emit: update
      - set: {start: $window.start}
sinks:
  out: {from: top, topic: out, mode: append, key: [region, start], value: {id: id, n: n}}
`)
	for i, id := range []string{"a", "b"} {
		j.send("k", 5, map[string]record.Value{"id": str(id), "n": num(int64(i)), "region": str("eu")})
	}
	j.advance(9)
	sameLines(t, "rows", j.taken("out"), []string{"insert eu 1970-01-01T00:00:00Z @9 id=a n=0", "update eu 1970-01-01T00:00:00Z @9 id=b n=1"})
	if n := j.entries(); n != 0 {
		t.Fatalf("%d entries are left", n)
	}
}

// TestTopOfWholeValues: values without a schema are kept whole, with the rank
// beside their members.
func TestTopOfWholeValues(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  top:
    from: in
    steps:
      - map: 'fromJSON(toJSON({"id": id, "n": n}))'
      - top_n: {n: 2, order_by: n, rank_as: rank}
        on_error: skip
sinks:
  out: {from: top, topic: out, value: {id: id, n: n, rank: rank, all: $value}}
`)
	for i, n := range []record.Value{num(3), num(2), record.Null, num(1)} {
		j.send("k", 1, map[string]record.Value{"id": str(fmt.Sprint(i)), "n": n})
	}
	got := j.taken("out")
	if len(got) != 5 || got[4] != `insert k @1 id=1 n=2 rank=2 all={"id":"1","n":2,"rank":2}` && got[4] != `update k @1 id=1 n=2 rank=2 all={"id":"1","n":2,"rank":2}` {
		t.Fatalf("got\n%s", strings.Join(got, "\n"))
	}
}

// TestTopNBadValues: values that cannot be compared are an error of the record.
func TestTopNBadValues(t *testing.T) {
	j := newPlanJob(t, head+`
streams:
  top:
    from: in
    steps:
      - top_n: {n: 2, order_by: fromJSON(name)}
        on_error: skip
sinks:
  out: {from: top, stdout: {}}
`)
	for _, name := range []string{"1", `"x"`, "[1]", "{}", "2.5", "null"} {
		j.send("k", 1, map[string]record.Value{"name": str(name)})
	}
	if n := j.errs["top/top_n eval-failed"]; n != 3 || len(j.taken("out")) != 2 {
		t.Fatalf("%d errors", n)
	}
}
