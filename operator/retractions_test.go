package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kstream/record"
)

// windowRecord is a record of a key at a time.
type windowRecord struct {
	id string
	at record.Timestamp
	n  int64
}

// slidingSums are the sums of windows of 20 by 10 that have ended.
func slidingSums(all []windowRecord, w record.Timestamp) (sums []int64) {
	at := map[string]int64{}
	for _, x := range all {
		for start := x.at/10*10 - 10; start <= x.at; start += 10 {
			if start+20-1 <= w {
				at[fmt.Sprint(x.id, start)] += x.n
			}
		}
	}
	for _, n := range at {
		sums = append(sums, n)
	}
	return sums
}

// sessionSums are the sums of sessions with a gap of 5 that are over.
func sessionSums(all []windowRecord, w record.Timestamp) (sums []int64) {
	for _, id := range []string{"0", "1", "2"} {
		var own []windowRecord
		for _, x := range all {
			if x.id == id {
				own = append(own, x)
			}
		}
		slices.SortFunc(own, func(a, b windowRecord) int { return int(a.at - b.at) })
		for i := 0; i < len(own); {
			sum, k := own[i].n, i+1
			for ; k < len(own) && own[k].at <= own[k-1].at+5; k++ {
				sum += own[k].n
			}
			if own[k-1].at+5 <= w {
				sums = append(sums, sum)
			}
			i = k
		}
	}
	return sums
}

// TestCorrectedWindowsAreAChangelog: an aggregate over results of windows that
// late records correct shows what a plain loop gives.
func TestCorrectedWindowsAreAChangelog(t *testing.T) {
	for seed := uint64(1); seed <= 240; seed++ {
		r := rand.New(rand.NewPCG(seed, 51))
		window, sums := "{sliding: {size: 20ms, slide: 10ms}, allowed_lateness: 1h}", slidingSums
		if seed%2 == 0 {
			window, sums = "{session: 5ms, allowed_lateness: 1h}", sessionSums
		}
		combine, every := "aggregate: {n: sum(n)}", ""
		if seed%3 == 0 {
			combine = "reduce: {n: acc.n + n}"
		}
		if seed%5 == 0 {
			every = "        emit_every: 5ms\n"
		}
		j := newPlanJob(t, head+`streams:
  corrected:
    from: in
    steps:
      - key_by: id
      - map: {n: n}
      - window: `+window+`
      - `+combine+`
        emit: update
`+every+`  classes:
    from: corrected
    steps:
      - key_by: n % 3
      - aggregate: {class: $key, rows: count(), total: sum(n), high: max(n)}
sinks:
  out: {from: classes, topic: out}
`)
		var all []windowRecord
		table, now := shown{}, record.Timestamp(0)
		for i := range 80 {
			x := windowRecord{fmt.Sprint(r.IntN(3)), max(0, now+record.Timestamp(r.IntN(40)-25)), r.Int64N(10)}
			all = append(all, x)
			j.send(x.id, x.at, map[string]record.Value{"id": str(x.id), "n": num(x.n)})
			if r.IntN(4) == 0 {
				now += record.Timestamp(r.IntN(12))
				j.advance(now)
			}
			if r.IntN(12) == 0 {
				j.restart()
			}
			if every != "" {
				j.clock += 5
				j.commit()
			}
			table.take(t, j.taken("out"))
			rows, total, high := map[int64]int{}, map[int64]int64{}, map[int64]int64{}
			for _, n := range sums(all, j.mark) {
				rows[n%3]++
				total[n%3] += n
				high[n%3] = max(high[n%3], n)
			}
			want := map[string]string{}
			for class, n := range rows {
				want[fmt.Sprint(class)] = fmt.Sprintf("class=%d rows=%d total=%d high=%d", class, n, total[class], high[class])
			}
			sameTable(t, fmt.Sprintf("seed %d, record %d, %s %s", seed, i, window, combine), table, want)
		}
	}
}

// TestTopNIsAChangelog: an aggregate over the rows of lists shows what a plain
// loop over the lists gives.
func TestTopNIsAChangelog(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		r := rand.New(rand.NewPCG(seed, 52))
		n, ties := 1+r.IntN(4), seed%3 == 0
		options := fmt.Sprintf("{n: %d, order_by: [n desc, name asc], by: region", n)
		if ties {
			options += ", ties: all"
		}
		rank := "0"
		if seed%2 == 0 {
			options, rank = options+", rank_as: rank", "rank"
		}
		j := newPlanJob(t, head+`streams:
  top:
    from: in
    steps:
      - project: [region, id, n, name]
      - top_n: `+options+`}
  names:
    from: top
    steps:
      - filter: name != "b"
      - key_by: name
      - aggregate: {name: $key, rows: count(), total: sum(n), ranks: sum(`+rank+`), ids: sort(collect(id))}
sinks:
  out: {from: names, topic: out}
`)
		rows, table := map[string][]topRow{}, shown{}
		for i := range 100 {
			group := string(rune('p' + r.IntN(3)))
			x := randomTop(r, i, record.Timestamp(r.IntN(50)))
			rows[group] = append(rows[group], x)
			j.send("k", x.at, map[string]record.Value{"region": str(group), "id": str(x.id), "n": x.n, "name": x.name})
			if r.IntN(9) == 0 {
				j.restart()
			}
			table.take(t, j.taken("out"))
			sameTable(t, fmt.Sprintf("seed %d, record %d, %s", seed, i, options), table, topNames(rows, n, ties, rank == "rank"))
		}
	}
}

// topNames is what the second aggregate has to show.
func topNames(rows map[string][]topRow, n int, ties, ranked bool) map[string]string {
	type sums struct {
		rows, total, ranks int64
		some               bool
		ids                []string
	}
	by := map[string]*sums{}
	for _, list := range rows {
		top, ranks := firstRows(list, n, ties)
		for i, x := range top {
			name := text(x.name)
			if name == "b" {
				continue
			}
			s := by[name]
			if s == nil {
				s = &sums{}
				by[name] = s
			}
			s.rows++
			if !x.n.IsNull() {
				s.total, s.some = s.total+x.n.Int(), true
			}
			if ranked {
				s.ranks += int64(ranks[i])
			}
			s.ids = append(s.ids, x.id)
		}
	}
	out := map[string]string{}
	for name, s := range by {
		slices.Sort(s.ids)
		total := "null"
		if s.some {
			total = fmt.Sprint(s.total)
		}
		ids := ""
		for i, id := range s.ids {
			if i > 0 {
				ids += ","
			}
			ids += `"` + id + `"`
		}
		out[name] = fmt.Sprintf("name=%s rows=%d total=%s ranks=%d ids=[%s]", name, s.rows, total, s.ranks, ids)
	}
	return out
}
