package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"kstream/control"
)

// stateRow is a row of state as commands print it.
type stateRow struct {
	Key    any
	Window *struct{ Start, End string }
	Value  map[string]any
	TTL    *string
	Epoch  uint64
}

// lines are the lines a command printed, in order, without the epoch.
func (c *command) lines() []string {
	c.u.t.Helper()
	var all []string
	for line := range strings.Lines(c.stdout.String()) {
		var row stateRow
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			c.u.t.Fatalf("%q is no row: %v", line, err)
		}
		all = append(all, strings.Replace(strings.TrimSpace(line), fmt.Sprintf(`,"epoch":%d}`, row.Epoch), "}", 1))
	}
	slices.Sort(all)
	return all
}

// looked demands the state of newCounts from where the flags say.
func (u *user) looked(from ...string) {
	u.t.Helper()
	state := func(verb string, rest ...string) *command {
		return u.do(0, append(append([]string{"state", verb}, from...), rest...)...)
	}
	want := []string{
		`{"key":"a","window":null,"value":{"k":"a","n":3,"total":8},"ttl":null}`,
		`{"key":"b","window":null,"value":{"k":"b","n":2,"total":7},"ttl":null}`,
	}
	if got := state("scan", "counts/aggregate").lines(); !slices.Equal(got, want) {
		u.t.Errorf("%q: rows\n%s\nwant\n%s", from, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	open := []string{`{"key":"b","window":{"start":"2026-01-01T00:00:02Z","end":"2026-01-01T00:00:03Z"},"value":{"k":"b","start":"2026-01-01T00:00:02Z","n":1},"ttl":null}`}
	for _, c := range []*command{state("scan", "windows/aggregate"), state("get", "windows/aggregate", "b", "-o", "json"),
		state("get", "windows/aggregate", "b", "--window", "2026-01-01T00:00:02Z", "-o", "json"), state("scan", "windows/aggregate", "--window", "2026-01-01T00:00:02Z")} {
		if got := c.lines(); !slices.Equal(got, open) {
			u.t.Errorf("%q: %q, want %q", from, got, open)
		}
	}
	if got := state("get", "counts/aggregate", `"a"`, "-o", "json").lines(); !slices.Equal(got, want[:1]) {
		u.t.Errorf("%q: by a key as JSON: %q", from, got)
	}
	state("get", "counts/aggregate", "a").prints("KEY", "a", `{"k":"a","n":3,"total":8}`, "as of checkpoint")
	for _, c := range []*command{state("scan", "counts/aggregate", "--where", "total > 7"), state("scan", "counts/aggregate", "--where", `key == "a" and value.n == 3`),
		state("scan", "counts/aggregate", "--prefix", "a"), state("scan", "windows/aggregate", "--where", `window.start > timestamp("2026-01-01T00:00:02Z")`)} {
		if got := c.lines(); len(got) > 1 || len(got) == 1 && got[0] != want[0] {
			u.t.Errorf("%q: %q", from, got)
		}
	}
	if c := state("scan", "counts/aggregate", "--limit", "1"); len(c.lines()) != 1 {
		u.t.Errorf("%q: --limit 1 gives %q", from, c.lines())
	} else {
		c.says("more than 1 rows", "kstream state export")
	}
	l := decoded[control.StateList](state("ls", "-o", "json"))
	if l.Kind != "StateList" || l.Epoch == 0 || len(l.Items) != 2 {
		u.t.Fatalf("%q: the list is %+v", from, l)
	}
	for i, uid := range []string{"counts/aggregate", "windows/aggregate"} {
		if s := l.Items[i]; s.UID != uid || s.Operator != "aggregate" || s.Keys != int64(2-i) || s.Entries < s.Keys || s.Bytes == 0 || s.KeyType != "string" || s.Estimated {
			u.t.Errorf("%q: %+v", from, s)
		}
	}
	state("ls").prints("STEP", "counts/aggregate", "tumbling 1s", "as of checkpoint")
}

// lookedAmiss demands what is said of mistakes.
func (u *user) lookedAmiss(from ...string) {
	u.t.Helper()
	fails := func(code int, verb string, rest ...string) *command {
		u.t.Helper()
		return u.do(code, append(append([]string{"state", verb}, from...), rest...)...)
	}
	fails(exitMissing, "scan", "count/aggregate").says(`no step with state has the id "count/aggregate"`, `did you mean "counts/aggregate"?`)
	fails(exitMissing, "scan", "nothing").says("steps with state: counts/aggregate, windows/aggregate")
	fails(exitMissing, "get", "counts/aggregate", "z").says("remembers nothing of the key z, as of checkpoint")
	fails(exitMissing, "get", "windows/aggregate", "b", "--window", "2026-01-01T00:00:01Z").says("in the window that begins at 2026-01-01T00:00:01Z")
	fails(exitUsage, "get", "counts/aggregate", "a", "--window", "2026-01-01T00:00:01Z").says("counts/aggregate has no windows")
	fails(exitUsage, "get", "windows/aggregate", "a", "--window", "noon").says("is no time", "2026-11-02T10:16:00Z")
	fails(exitUsage, "scan", "counts/aggregate", "--where", "totall > 7").says("--where: there is no field", "did you mean \"total\"?")
	fails(exitUsage, "scan", "counts/aggregate", "--where", "total").says("--where: needs true or false")
	fails(exitUsage, "scan", "counts/aggregate", "--where", "1 / 0 > n").says("--where failed for the key")
	fails(exitUsage, "scan", "counts/aggregate", "--limit", "0").says("--limit 0")
}

// TestStateEverywhere shows the same of a running job, of its savepoint, and of
// the cluster when it has ended.
func TestStateEverywhere(t *testing.T) {
	u := newCounts(t)
	u.do(exitMissing, "state", "ls", "counts").says("no job named counts runs here", "name its pipeline file")
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	u.do(0, "checkpoint", "now", "counts")
	u.looked("counts")
	u.lookedAmiss("counts")
	u.do(0, "state", "get", "p.yaml", "counts/aggregate", "a", "-o", "json").prints(`"total":8`)
	u.do(exitUsage, "state", "scan", "counts", "counts/aggregate", "--limit", "10001").says("at most 10000")
	u.do(exitUsage, "state", "ls", "counts", "--pipeline", "p.yaml").says("--pipeline is for --savepoint")
	u.do(0, "stop", "counts", "--savepoint=saved", "--wait")
	job.exits(0)
	temp := t.TempDir()
	u.env = append(u.env, "TMPDIR="+temp)
	u.looked("p.yaml")
	u.looked("--savepoint", "saved")
	u.do(exitMissing, "state", "scan", "p.yaml", "count/aggregate").says(`did you mean "counts/aggregate"?`)
	u.do(exitMissing, "state", "get", "--savepoint", "saved", "counts/aggregate", "z").says("remembers nothing of the key z, as of checkpoint")
	u.do(0, "state", "ls", "--savepoint", "saved", "--pipeline", "p.yaml", "-o", "name").prints("counts/aggregate", "windows/aggregate")
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

// TestStateOfAnotherVersion is refused where the bytes are not those of the file.
func TestStateOfAnotherVersion(t *testing.T) {
	u, path := saved(t)
	u.file("p.yaml", countsYAML, "tumbling: 1s", "tumbling: 5s")
	u.do(exitState, "state", "scan", "p.yaml", "windows/aggregate").says("stored by another version of the pipeline", "tumbling 1s", "kstream plan")
	u.do(0, "state", "scan", "p.yaml", "counts/aggregate").prints(`"total":8`)
	u.do(0, "state", "ls", "p.yaml").prints("windows/aggregate")
	u.do(exitState, "state", "scan", "--savepoint", path, "windows/aggregate", "--pipeline", "p.yaml").says("another version")
	u.do(0, "state", "scan", "--savepoint", path, "windows/aggregate").prints(`"n":1`)
}

// TestStateExportAndDiff compares a savepoint with a later one.
func TestStateExportAndDiff(t *testing.T) {
	u, first := saved(t)
	u.goesOn()
	u.do(0, "savepoint", "p.yaml", "--to", "second")
	if got := u.do(0, "state", "export", first, "counts/aggregate").lines(); len(got) != 2 || !strings.Contains(got[0], `"total":8`) {
		t.Errorf("exported %q", got)
	}
	u.do(exitMissing, "state", "export", first, "count/aggregate").says("did you mean")
	u.do(exitUsage, "state", "export", first, "counts/aggregate", "--format", "avro").says("is not jsonl")
	u.do(exitMissing, "state", "export", "nowhere", "counts/aggregate").says("there is no savepoint at nowhere")
	same := u.do(0, "state", "diff", first, first, "--exit-code")
	same.says("0 added, 0 removed, 0 changed")
	if same.stdout.String() != "" {
		t.Errorf("a savepoint differs from itself: %q", same.stdout.String())
	}
	d := u.do(exitDiffers, "state", "diff", first, "second", "--exit-code")
	d.says("1 added, 1 removed, 1 changed")
	d.prints(`~ counts/aggregate b {"k":"b","n":2,"total":7} -> {"k":"b","n":3,"total":13}`,
		`- windows/aggregate b {"start":"2026-01-01T00:00:02Z"`, `+ windows/aggregate b {"start":"2026-01-01T00:00:03Z"`)
	var c stateChange
	out := u.do(0, "state", "diff", first, "second", "--uid", "counts/aggregate", "-o", "json").stdout.String()
	if err := json.Unmarshal([]byte(out), &c); err != nil || c.Op != "changed" || string(c.Old) != `{"k":"b","n":2,"total":7}` || string(c.New) != `{"k":"b","n":3,"total":13}` {
		t.Errorf("changes %q, %v", out, err)
	}
	u.answers("state-diff", 0, "state", "diff", first, "second")
	u.do(exitMissing, "state", "diff", first, "second", "--uid", "totals").says("no step with state has the id")
	// The key groups do not matter.
	u.file("other.yaml", countsYAML, "name: counts", "name: other", "max_parallelism: 4", "max_parallelism: 7", "topic: counts", "topic: counts2", "topic: windows", "topic: windows2")
	u.cluster.topic("counts2", 1)
	u.cluster.topic("windows2", 1)
	u.do(0, "run", "other.yaml", "--from", first, "--accept", "renamed-job", "--max-records", "1")
	u.do(0, "savepoint", "other.yaml", "--to", "third")
	u.do(0, "state", "diff", "second", "third", "--exit-code").says("0 added, 0 removed, 0 changed")
}
