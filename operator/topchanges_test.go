package operator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kstream/record"
)

// TestTopOfChangelogEqualsPlainLoops: the list over the rows of an aggregate,
// which change, move to other groups and come and go with a filter.
func TestTopOfChangelogEqualsPlainLoops(t *testing.T) {
	for seed := uint64(1); seed <= 240; seed++ {
		r := rand.New(rand.NewPCG(seed, 61))
		n, ties, ranked := 1+r.IntN(4), seed%3 == 0, seed%2 == 0
		order, key := "[n desc, name asc, id]", "[region, id]"
		if ties {
			order = "[n desc, name asc]"
		}
		options := fmt.Sprintf("{n: %d, order_by: %s, by: region", n, order)
		if ties {
			options += ", ties: all"
		}
		if ranked {
			options, key = options+", rank_as: rank", "[region, rank]"
			if ties {
				key = "[region, id]"
			}
		}
		filter := ""
		if seed%5 == 0 {
			filter = "      - filter: n % 3 != 0\n"
		}
		j := newPlanJob(t, head+`streams:
  top:
    from: in
    steps:
      - key_by: id
      - aggregate: {id: $key, n: sum(n), name: last(name), region: last(region)}
`+filter+`      - top_n: `+options+`}
sinks:
  out: {from: top, topic: out, key: `+key+`, value: {region: region, id: id, n: n, name: name}}
`)
		rows, regions := map[string]*topRow{}, map[string]string{}
		table := map[string]string{}
		for i := range 100 {
			id := fmt.Sprint(r.IntN(8))
			x, region, at := randomTop(r, i, 0), string(rune('p'+r.IntN(2))), record.Timestamp(i)
			if x.n.IsNull() {
				x.n = num(1)
			}
			j.send(id, at, map[string]record.Value{"region": str(region), "id": str(id), "n": x.n, "name": x.name})
			row := rows[id]
			if row == nil {
				row = &topRow{id: id, n: num(0), name: record.Null}
				rows[id] = row
			}
			row.n = num(row.n.Int() + x.n.Int())
			if !x.name.IsNull() {
				row.name = x.name
			}
			regions[id] = region
			if r.IntN(12) == 0 {
				j.restart()
			}
			what := fmt.Sprintf("seed %d, record %d, %s", seed, i, options)
			takeTop(t, what, table, j.taken("out"))
			want := map[string]string{}
			for _, region := range []string{"p", "q"} {
				var list []topRow
				for k := range 8 { // by id, the last term of the order
					if row := rows[fmt.Sprint(k)]; row != nil && regions[row.id] == region && (filter == "" || row.n.Int()%3 != 0) {
						list = append(list, *row)
					}
				}
				top, ranks := firstRows(list, n, ties)
				for i, row := range top {
					k := region + " " + row.id
					if ranked && !ties {
						k = fmt.Sprint(region, " ", ranks[i])
					}
					want[k] = fmt.Sprintf("region=%s %s", region, row.text())
				}
			}
			sameTable(t, what, table, want)
		}
	}
}

// takeTop follows what a sink with keys of two parts gets.
func takeTop(t *testing.T, what string, table map[string]string, lines []string) {
	t.Helper()
	moved := false
	for _, l := range lines {
		f := strings.SplitN(l, " ", 5)
		key := f[1] + " " + f[2]
		if f[3] == "moved" { // the tombstone in front of an update under another key
			delete(table, key)
			moved = true
			continue
		}
		if moved {
			f[0], moved = "insert", false
		}
		if _, known := table[key]; known == (f[0] == "insert") {
			t.Fatalf("%s: %s, and the key is there: %v", what, l, known)
		}
		if table[key] = f[4]; f[0] == "delete" {
			delete(table, key)
		}
	}
}

// TestTopOfCorrectedWindows: a list of results that late records correct is
// passed on when nothing corrects them any more.
func TestTopOfCorrectedWindows(t *testing.T) {
	j := newPlanJob(t, head+`streams:
  top:
    from: in
    steps:
      - key_by: id
      - window: {tumbling: 10ms, allowed_lateness: 20ms}
      - aggregate: {id: $key, n: sum(n)}
        emit: update
      - top_n: {n: 1, per: window, order_by: n desc}
sinks:
  out: {from: top, topic: out, value: {id: id, n: n}}
`)
	send := func(id string, at record.Timestamp, n int64) {
		j.send(id, at, map[string]record.Value{"id": str(id), "n": num(n)})
	}
	send("a", 1, 5)
	send("b", 2, 3)
	j.advance(15)
	send("b", 3, 4)
	j.restart()
	send("a", 4, -1)
	sameLines(t, "open", j.taken("out"), nil)
	j.advance(29)
	sameLines(t, "closed", j.taken("out"), []string{"insert b @9 id=b n=7"})
	if n := j.entries(); n != 0 || len(j.errs) > 0 {
		t.Fatalf("%d entries are left, errors %v", n, j.errs)
	}
}

// TestRanksOfChangelogAreAChangelog: what stands behind a list over a changelog
// can take its rows back.
func TestRanksOfChangelogAreAChangelog(t *testing.T) {
	for seed := uint64(1); seed <= 40; seed++ {
		r := rand.New(rand.NewPCG(seed, 62))
		j := newPlanJob(t, head+`streams:
  top:
    from: in
    steps:
      - key_by: id
      - aggregate: {id: $key, n: sum(n)}
      - top_n: {n: 3, order_by: [n desc, id], rank_as: rank}
  sums:
    from: top
    steps:
      - key_by: n % 2
      - aggregate: {odd: $key, rows: count(), total: sum(n), ranks: sum(rank)}
sinks:
  out: {from: sums, topic: out}
`)
		sums, table := map[string]int64{}, shown{}
		for i := range 80 {
			id, n := fmt.Sprint(r.IntN(6)), r.Int64N(9)-3
			sums[id] += n
			j.send(id, record.Timestamp(i), map[string]record.Value{"id": str(id), "n": num(n)})
			table.take(t, j.taken("out"))
			var list []topRow
			for k := range 6 {
				if n, known := sums[fmt.Sprint(k)]; known {
					list = append(list, topRow{id: fmt.Sprint(k), n: num(n)})
				}
			}
			type row struct{ rows, total, ranks int64 }
			by := map[int64]row{}
			top, ranks := firstRows(list, 3, false)
			for i, x := range top {
				s := by[x.n.Int()%2]
				by[x.n.Int()%2] = row{s.rows + 1, s.total + x.n.Int(), s.ranks + int64(ranks[i])}
			}
			want := map[string]string{}
			for odd, s := range by {
				want[fmt.Sprint(odd)] = fmt.Sprintf("odd=%d rows=%d total=%d ranks=%d", odd, s.rows, s.total, s.ranks)
			}
			sameTable(t, fmt.Sprintf("seed %d, record %d", seed, i), table, want)
			if r.IntN(12) == 0 {
				j.restart()
			}
		}
	}
}
