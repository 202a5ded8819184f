package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// compatYAML has a step of every kind whose change means something else for its
// state.
const compatYAML = `version: 1
name: compat
parallelism: 2
max_parallelism: 4
checkpoint: {interval: 50ms}
sources:
  in:
    topic: in
    schema: {k: string!, n: int!, ts: timestamp!}
    event_time: ts
    watermark: {bounded: 1s, idle: none}
  more:
    topic: more
    schema: {k: string!, n: int!, ts: timestamp!}
    event_time: ts
streams:
  totals:
    from: in
    steps:
      - filter: n > 0
      - key_by: k
      - aggregate: {k: $key, n: count(), total: sum(n)}
        state_ttl: 1h
  hours:
    from: in
    steps:
      - key_by: k
      - window: {tumbling: 1h}
      - aggregate: {k: $key, n: count()}
  slides:
    from: more
    steps:
      - key_by: k
      - window: {sliding: {size: 1h, slide: 10m}}
      - aggregate: {k: $key, n: count()}
  sessions:
    from: in
    steps:
      - key_by: k
      - window: {session: 30m}
      - aggregate: {k: $key, n: count()}
  once:
    from: in
    steps:
      - dedup: {by: n, within: 10m}
  best:
    from: in
    steps:
      - top_n: {n: 3, by: k, order_by: n desc}
sinks:
  totals: {from: totals, topic: out}
  hours: {from: hours, topic: out}
  slides: {from: slides, topic: out}
  sessions: {from: sessions, topic: out}
  once: {from: once, topic: out}
  best: {from: best, blackhole: {}}
`

// compatRows is the compatibility table of the language: what a change of the
// file means for the state there is. want has the lines of kstream plan without
// those of what stays as it is; "" is that nothing differs.
var compatRows = []struct {
	name    string
	replace []string
	accept  string // what makes it pass, "" if it is accepted or refused
	refused bool
	want    string
}{
	{name: "comments, order, description, settings of the run", replace: []string{"version: 1\n", "# a comment\nversion: 1\ndescription: none\n",
		"interval: 50ms", "interval: 80ms", "{k: string!, n: int!, ts: timestamp!}\n    event_time: ts\n    watermark", "{k: string!, n: int!, ts: timestamp!}\n    event_time: ts # as it was\n    watermark"}},
	{name: "stateless step added", replace: []string{"      - filter: n > 0\n", "      - filter: n > 0\n      - set: {m: n + 1}\n"},
		want: "~ totals/aggregate what comes before it changed: results before and after differ"},
	{name: "stateless step of a stateless stream", replace: []string{"  once:\n    from: in\n", "  plain:\n    from: in\n    steps:\n      - map: {n: n}\n  once:\n    from: in\n", "sinks:\n", "sinks:\n  plain: {from: plain, topic: out}\n"},
		want: "+ sink:plain new"},
	{name: "sink changed and removed", replace: []string{"  hours: {from: hours, topic: out}", "  hours: {from: hours, topic: more-out}", "  best: {from: best, blackhole: {}}", "  list: {from: best, blackhole: {}}", "slides: {from: slides, topic: out}", "slides: {from: slides, topic: out, key: k}"},
		want: "~ sink:hours topic out -> topic more-out\n~ sink:slides topic out, other settings\n+ sink:list new\n- sink:best removed"},
	{name: "parallelism", replace: []string{"parallelism: 2\nmax", "parallelism: 3\nmax"}},
	{name: "allowed_lateness, late, idle, watermark", replace: []string{"{tumbling: 1h}", "{tumbling: 1h, allowed_lateness: 10m, late: late}", "sinks:\n", "sinks:\n  late: {from: hours.late, blackhole: {}}\n", "bounded: 1s, idle: none", "bounded: 3s, idle: 10s"},
		want: "~ source:in topic in, other settings\n+ sink:late new\n~ hours/aggregate what comes before it changed: results before and after differ"},
	{name: "TTL longer", replace: []string{"state_ttl: 1h", "state_ttl: 2h"},
		want: "~ totals/aggregate state_ttl 1h0m0s -> 2h0m0s, for what is written from now on"},
	{name: "TTL removed", replace: []string{"        state_ttl: 1h\n", ""},
		want: "~ totals/aggregate state_ttl 1h0m0s -> none, for what is written from now on"},
	{name: "output renamed", replace: []string{"total: sum(n)", "sum: sum(n)"},
		want: "~ totals/aggregate total is now sum"},
	{name: "output removed", replace: []string{", total: sum(n)", ""},
		want: "~ totals/aggregate - total: sum(n) of int"},
	{name: "output added", replace: []string{"total: sum(n)", "total: sum(n), most: max(n)"}, accept: "new-state",
		want: "~ totals/aggregate + most: max(n) of int needs --accept new-state"},
	{name: "output added to sessions", replace: []string{"{session: 30m}\n      - aggregate: {k: $key, n: count()}", "{session: 30m}\n      - aggregate: {k: $key, n: count(), most: max(n)}"}, refused: true,
		want: "! sessions/aggregate accumulators count() -> count(), max(n) of int refused: incompatible\ngive the step a new name (state starts empty) or pass --reset sessions/aggregate"},
	{name: "filter before it changed", replace: []string{"filter: n > 0", "filter: n > 1"},
		want: "~ totals/aggregate what comes before it changed: results before and after differ"},
	{name: "new stateful step", replace: []string{"  once:\n    from: in\n", "  fresh:\n    from: in\n    steps:\n      - key_by: n\n      - aggregate: {n: $key, c: count()}\n  once:\n    from: in\n", "sinks:\n", "sinks:\n  fresh: {from: fresh, blackhole: {}}\n"}, accept: "new-state",
		want: "+ sink:fresh new\n+ fresh/aggregate new, starts empty needs --accept new-state"},
	{name: "stateful step gone", replace: []string{"  best:\n    from: in\n    steps:\n      - top_n: {n: 3, by: k, order_by: n desc}\n", "", "  best: {from: best, blackhole: {}}\n", ""}, accept: "dropped-state",
		want: "- sink:best removed\n- best/top_n its state would be lost needs --accept dropped-state"},
	{name: "key_by changed, same type", replace: []string{"      - filter: n > 0\n      - key_by: k\n", "      - filter: n > 0\n      - key_by: lower(k)\n"}, accept: "rekeyed",
		want: "~ totals/aggregate key k -> lower(k); what comes before it changed: results before and after differ needs --accept rekeyed"},
	{name: "key_by changed and output added", replace: []string{"      - filter: n > 0\n      - key_by: k\n", "      - filter: n > 0\n      - key_by: lower(k)\n", "total: sum(n)", "total: sum(n), most: max(n)"}, accept: "new-state,rekeyed",
		want: "~ totals/aggregate + most: max(n) of int; key k -> lower(k); what comes before it changed: results before and after differ needs --accept new-state,rekeyed"},
	{name: "key type changed", replace: []string{"      - filter: n > 0\n      - key_by: k\n", "      - filter: n > 0\n      - key_by: n\n"}, refused: true,
		want: "! totals/aggregate key type string -> int refused: incompatible\ngive the step a new name (state starts empty) or pass --reset totals/aggregate"},
	{name: "window size changed", replace: []string{"tumbling: 1h", "tumbling: 2h"}, refused: true,
		want: "! hours/aggregate window tumbling 1h -> tumbling 2h refused: incompatible\ngive the step a new name (state starts empty) or pass --reset hours/aggregate"},
	{name: "window kind changed", replace: []string{"{tumbling: 1h}", "{session: 1h}"}, refused: true,
		want: "! hours/aggregate window tumbling 1h -> session gap 1h refused: incompatible\ngive the step a new name (state starts empty) or pass --reset hours/aggregate"},
	{name: "slide changed", replace: []string{"slide: 10m", "slide: 20m"}, refused: true,
		want: "! slides/aggregate window sliding 1h every 10m -> sliding 1h every 20m refused: incompatible\ngive the step a new name (state starts empty) or pass --reset slides/aggregate"},
	{name: "gap changed", replace: []string{"session: 30m", "session: 45m"}, refused: true,
		want: "! sessions/aggregate window session gap 30m -> session gap 45m refused: incompatible\ngive the step a new name (state starts empty) or pass --reset sessions/aggregate"},
	{name: "aggregate function changed", replace: []string{"total: sum(n)", "total: avg(n)"}, refused: true,
		want: "! totals/aggregate total: sum(n) of int -> avg(n) of int refused: incompatible\ngive the step a new name (state starts empty) or pass --reset totals/aggregate"},
	{name: "dedup within changed", replace: []string{"within: 10m", "within: 20m"},
		want: "~ once/dedup it or what comes before it changed: results before and after differ"},
	{name: "dedup by changed", replace: []string{"{by: n, within", "{by: k, within"}, refused: true,
		want: "! once/dedup key type int -> string refused: incompatible\ngive the step a new name (state starts empty) or pass --reset once/dedup"},
	{name: "top_n n changed", replace: []string{"{n: 3, by", "{n: 4, by"},
		want: "~ best/top_n it or what comes before it changed: results before and after differ"},
	{name: "stream renamed", replace: []string{"  totals:\n    from: in\n", "  sums:\n    from: in\n", "  totals: {from: totals,", "  totals: {from: sums,"}, accept: "dropped-state,new-state",
		want: "~ sink:totals topic out, other settings\n+ sums/aggregate new, starts empty needs --accept new-state\n- totals/aggregate its state would be lost needs --accept dropped-state\nif it was renamed, say so: moved: {totals/aggregate: sums/aggregate}"},
	{name: "stream moved", replace: []string{"  totals:\n    from: in\n", "  sums:\n    from: in\n", "  totals: {from: totals,", "  totals: {from: sums,", "max_parallelism: 4\n", "max_parallelism: 4\nmoved: {totals/aggregate: sums/aggregate}\n"},
		want: "~ sink:totals topic out, other settings\n~ sums/aggregate was totals/aggregate"},
	{name: "source added", replace: []string{"streams:\n", "  third:\n    topic: in\n    schema: {k: string!, n: int!, ts: timestamp!}\nstreams:\n", "sinks:\n", "sinks:\n  third: {from: third, blackhole: {}}\n"},
		want: "+ source:third new\n+ sink:third new"},
	{name: "source removed", replace: []string{"  more:\n    topic: more\n    schema: {k: string!, n: int!, ts: timestamp!}\n    event_time: ts\n", "", "    from: more\n", "    from: in\n"}, accept: "dropped-state",
		want: "- source:more removed with its positions needs --accept dropped-state\n~ slides/aggregate what comes before it changed: results before and after differ"},
	{name: "topic of a source changed", replace: []string{"    topic: more\n", "    topic: out\n"}, accept: "dropped-state",
		want: "~ source:more topic more -> topic out: the positions of more would be lost needs --accept dropped-state"},
	{name: "max_parallelism", replace: []string{"max_parallelism: 4", "max_parallelism: 8"}, refused: true,
		want: "! max_parallelism 4 -> 8 refused: incompatible\ntake a savepoint and restore it, or set it back"},
}

// TestCompatibilityTable has a case for each row.
func TestCompatibilityTable(t *testing.T) {
	u := newKafkaUser(t)
	for _, topic := range []string{"in", "more", "out"} {
		u.cluster.topic(topic, 1)
	}
	u.cluster.write("in", countRow("a", 1, 0))
	u.file("p.yaml", compatYAML)
	u.do(0, "run", "p.yaml", "--max-records", "1")
	for _, c := range compatRows {
		t.Run(c.name, func(t *testing.T) {
			u := u.in(t)
			u.file("p.yaml", compatYAML, c.replace...)
			code := 0
			if c.refused || c.accept != "" {
				code = exitState
			}
			if got := planned(u.do(code, "plan", "p.yaml").stdout.String()); got != c.want {
				t.Errorf("kstream plan says\n%s\nwant\n%s", got, c.want)
			}
			switch {
			case c.accept != "":
				u.do(0, "plan", "p.yaml", "--accept", c.accept)
			case c.refused:
				u.do(exitState, "plan", "p.yaml", "--accept", strings.Join(accepted[:], ","))
			}
			if code != 0 { // what plan refuses, run refuses
				u.do(exitState, "run", "p.yaml", "--max-records", "1").says("[state-incompatible]", "compat")
			}
		})
	}
}

// in is the same user in a part of a test.
func (u *user) in(t *testing.T) *user {
	v := *u
	v.t = t
	return &v
}

// planned is the plan without its first line, its sum, and what stays.
func planned(text string) string {
	var lines []string
	for _, line := range strings.Split(text, "\n")[1:] {
		if line != "" && !strings.HasPrefix(line, "  = ") && !strings.HasSuffix(line, "Nothing was changed.") {
			lines = append(lines, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(lines, "\n")
}

// TestCompatibilityOfSavepoints has the rows that are about savepoints.
func TestCompatibilityOfSavepoints(t *testing.T) {
	u, path := saved(t)
	for _, c := range []struct {
		name    string
		replace []string
		accept  string
		want    string
	}{
		{"as it is", nil, "", ""},
		{"max_parallelism", []string{"max_parallelism: 4", "max_parallelism: 6"}, "", "~ max_parallelism 4 -> 6: the state is hashed anew"},
		{"name of the job", []string{"name: counts", "name: other"}, "renamed-job", "~ name counts -> other needs --accept renamed-job"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := u.in(t)
			u.file("p.yaml", countsYAML, c.replace...)
			code := 0
			if c.accept != "" {
				code = exitState
				u.do(0, "plan", "p.yaml", "--from", path, "--accept", c.accept)
			}
			if got := planned(u.do(code, "plan", "p.yaml", "--from", path).stdout.String()); got != c.want {
				t.Errorf("kstream plan says\n%s\nwant\n%s", got, c.want)
			}
		})
	}
	u.file("p.yaml", countsYAML)
	manifest := filepath.Join(u.path(path), "manifest.json")
	b, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, old, new, want string }{
		{"newer format", `"format": 1`, `"format": 2`, "kstream: [state-incompatible] " + path + ": manifest.json: format 2, this kstream reads up to 1: written by a newer kstream"},
		{"wrong checksum", `"sha256": "`, `"sha256": "00`, "manifest.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(manifest, []byte(strings.Replace(string(b), c.old, c.new, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			u := u.in(t)
			topics := u.cluster.topics()
			u.do(exitState, "plan", "p.yaml", "--from", path).says("[state-incompatible]", c.want)
			u.do(exitState, "restore", "p.yaml", "--from", path, "-y").says("[state-incompatible]", c.want)
			if now := u.cluster.topics(); strings.Join(now, " ") != strings.Join(topics, " ") {
				t.Errorf("the refused restore left %q, there were %q", now, topics)
			}
		})
	}
	if err := os.WriteFile(manifest, b, 0o600); err != nil {
		t.Fatal(err)
	}
	u.goesOn()
}
