package operator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kstream/record"
)

// TestEmitEveryEqualsTheLastValue: an aggregate whose changes are held back, and
// one over what is left of them, show what a plain loop over the records gives
// whenever the interval is over, also over restarts; nothing comes in between.
func TestEmitEveryEqualsTheLastValue(t *testing.T) {
	checked := 0
	for seed := uint64(1); seed <= 60; seed++ {
		r := rand.New(rand.NewPCG(seed, 11))
		p, _ := changePipelineOf(r)
		yaml := strings.Replace(p.yaml(), "          region: last(region)\n", "          region: last(region)\n        emit_every: 5ms\n", 1)
		second := r.IntN(2) == 0
		if second {
			yaml = strings.Replace(yaml, "        name: second\n", "        name: second\n        emit_every: 5ms\n", 1)
		}
		j := newPlanJob(t, yaml)
		rows, table := map[string]*changeRow{}, shown{}
		for i := range 150 {
			p.step(j, r, rows, record.Timestamp(i))
			if got := j.taken("out"); len(got) > 0 {
				t.Fatalf("seed %d, record %d: %v came before the barrier", seed, i, got)
			}
			if r.IntN(6) > 0 {
				continue
			}
			due := r.IntN(2) == 0
			if due {
				j.clock += 5
			}
			if r.IntN(3) == 0 {
				j.restart()
				table.take(t, deletesOf(j.taken("out"), table, second))
				continue
			}
			first := j.epoch
			j.commit()
			lines := j.taken("out")
			if second && len(lines) > 2*len(p.table(rows))+len(table) {
				t.Fatalf("seed %d: %d lines for %d rows", seed, len(lines), len(table))
			}
			lines = deletesOf(lines, table, second)
			table.take(t, lines)
			if !due || first == 0 {
				continue
			}
			checked++
			sameTable(t, fmt.Sprintf("seed %d, record %d\n%s", seed, i, yaml), table, p.table(rows))
		}
	}
	if checked < 250 {
		t.Fatalf("only %d checks", checked)
	}
}

// deletesOf gives deletes the values that were shown, if nobody asks what rows
// were: they may have those of a change that was held back.
func deletesOf(lines []string, table shown, held bool) []string {
	for i, l := range lines {
		if f := strings.Fields(l); held && f[0] == "delete" {
			lines[i] = strings.Join(f[:3], " ") + " " + table[f[1]]
		}
	}
	return lines
}

func sameTable(t *testing.T, what string, got shown, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d keys, want %d\n%v\n%v", what, len(got), len(want), got, want)
	}
	for key, w := range want {
		if got[key] != w {
			t.Fatalf("%s, key %s:\n%s\nwant\n%s", what, key, got[key], w)
		}
	}
}

// TestDedupLastIsAChangelog: an aggregate over the last record of each key, with
// and without emit_every, at every moment and over restarts.
func TestDedupLastIsAChangelog(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		r := rand.New(rand.NewPCG(seed, 12))
		every, behind := "", ""
		if seed%2 == 0 {
			every = "        emit_every: 5ms\n"
		}
		if seed%3 == 0 {
			behind = "      - filter: n % 3 != 0\n"
		}
		before := ""
		if seed%5 == 0 {
			before = "      - key_by: id\n      - set: {n: n + 1}\n"
		}
		j := newPlanJob(t, head+`streams:
  last:
    from: in
    steps:
`+before+`      - dedup: {by: id, within: none, keep: last}
`+every+behind+`  sums:
    from: last
    steps:
      - key_by: region
      - aggregate: {region: $key, rows: count(), total: sum(n), high: max(name)}
sinks:
  out: {from: sums, topic: out}
  keys: {from: last, topic: keys, key: {r: region, id: id}, value: {n: n, k: $key}}
`)
		type row struct {
			region, name string
			n            int64
			at           record.Timestamp
		}
		rows, table := map[string]row{}, shown{}
		for i := range 200 {
			id, at := fmt.Sprint(r.IntN(6)), record.Timestamp(i*3-r.IntN(12))
			x := row{string(rune('x' + r.IntN(2))), string(rune('a' + r.IntN(3))), int64(r.IntN(7)), at}
			j.send(id, at, map[string]record.Value{"id": str(id), "n": num(x.n), "name": str(x.name), "region": str(x.region)})
			if before != "" {
				x.n++
			}
			if old, known := rows[id]; !known || at >= old.at {
				rows[id] = x
			}
			if r.IntN(20) == 0 {
				j.restart()
			}
			if every != "" {
				j.clock += 5
				j.commit()
			}
			table.take(t, j.taken("out"))
			want := map[string]string{}
			for _, region := range []string{"x", "y"} {
				n, total, high := 0, int64(0), ""
				for _, x := range rows {
					if x.region == region && (behind == "" || x.n%3 != 0) {
						n, total, high = n+1, total+x.n, max(high, x.name)
					}
				}
				if n > 0 {
					want[region] = fmt.Sprintf("region=%s rows=%d total=%d high=%s", region, n, total, high)
				}
			}
			sameTable(t, fmt.Sprintf("seed %d, record %d", seed, i), table, want)
		}
	}
}

// TestEmitEveryOfWindows: corrections of windows are held back for each window,
// what is held comes out with the last watermark, and with an interval of 0.
func TestEmitEveryOfWindows(t *testing.T) {
	yaml := head + `streams:
  sums:
    from: in
    steps:
      - key_by: id
      - window: {tumbling: 10ms, allowed_lateness: 1h}
      - aggregate: {n: sum(n)}
        emit: update
        emit_every: 5ms
sinks:
  out: {from: sums, topic: out}
`
	j := newPlanJob(t, yaml)
	send := func(at record.Timestamp, n int64) {
		j.send("k", at, map[string]record.Value{"id": str("a"), "n": num(n)})
	}
	send(1, 1)
	send(11, 2)
	j.advance(25)
	send(2, 4)
	send(3, 8)
	sameLines(t, "held", j.taken("out"), nil)
	j.restart()
	sameLines(t, "released", j.taken("out"), []string{"insert a @9 n=13", "insert a @19 n=2"})
	send(12, 16)
	send(4, 32)
	send(14, 64)
	j.advance(record.MaxTimestamp)
	out := j.taken("out")
	slices.Sort(out)
	sameLines(t, "at the end", out, []string{"update a @19 n=82", "update a @9 n=45"})
}
