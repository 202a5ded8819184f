package main

import (
	"strings"
	"testing"
)

const countsStep = "      - aggregate: {k: $key, n: count(), total: sum(n)}\n"

// TestUpgradeWithState adds and removes outputs of a step that has state: what
// stays keeps its state, what is new starts empty.
func TestUpgradeWithState(t *testing.T) {
	u := ran(t)
	u.do(0, "plan", "p.yaml").prints("counts: restoring checkpoint", "= counts/aggregate", "Nothing was changed.")
	u.file("p.yaml", countsYAML, countsStep, "      - aggregate: {most: max(n), total: sum(n), k: $key, n: count()}\n")
	u.do(exitState, "plan", "p.yaml").prints("~ counts/aggregate", "+ most: max(n)", "needs --accept new-state", "1 need your word")
	u.refuses(exitState, "counts/aggregate", "+ most: max(n)", "--accept new-state")
	u.do(0, "plan", "p.yaml", "--accept", "new-state")
	u.do(exitDiffers, "plan", "p.yaml", "--accept", "new-state", "--exit-code")
	u.cluster.write("in", countRow("b", 6, 3000))
	u.do(0, "run", "p.yaml", "--max-records", "1", "--accept", "new-state").says("written anew")
	more := []string{`{"most":6,"total":13,"k":"b","n":3}`}
	u.both(more, []string{windowRow("b", 2, 1)})
	u.cluster.write("in", countRow("b", 5, 3100))
	u.do(0, "run", "p.yaml", "--max-records", "1") // agreed to once
	more = append(more, `{"most":6,"total":18,"k":"b","n":4}`)
	u.both(more, []string{windowRow("b", 2, 1)})
	u.file("p.yaml", countsYAML, countsStep, "      - aggregate: {k: $key, n: count(), most: max(n)}\n")
	u.do(0, "plan", "p.yaml").prints("- total: sum(n)")
	u.cluster.write("in", countRow("b", 9, 3200))
	u.do(0, "run", "p.yaml", "--max-records", "1")
	u.both(append(more, `{"k":"b","n":5,"most":9}`), []string{windowRow("b", 2, 1)})
	u.do(0, "plan", "p.yaml", "--exit-code")
}

// TestUpgradeFromASavepoint does the same while it restores.
func TestUpgradeFromASavepoint(t *testing.T) {
	u, path := saved(t)
	u.file("p.yaml", countsYAML, countsStep, "      - aggregate: {k: $key, total: sum(n), ids: collect(n)}\n", "max_parallelism: 4", "max_parallelism: 3")
	u.do(exitState, "plan", "p.yaml", "--from", path).prints("restoring the savepoint of checkpoint", "max_parallelism", "4 -> 3: the state is hashed anew",
		"+ ids: collect(n)", "- n: count()", "needs --accept new-state")
	u.cluster.write("in", countRow("b", 6, 3000))
	u.do(0, "run", "p.yaml", "--from", path, "-y", "--max-records", "1", "--accept", "new-state")
	u.both([]string{`{"k":"b","total":13,"ids":[6]}`}, []string{windowRow("b", 2, 1)})
}

// TestStepMoved keeps the state of a step under its new name.
func TestStepMoved(t *testing.T) {
	u := ran(t)
	renamed := []string{countsStep, "      - {name: per_key, aggregate: {k: $key, n: count(), total: sum(n)}}\n"}
	u.file("p.yaml", countsYAML, renamed...)
	u.do(exitState, "plan", "p.yaml").prints("+ counts/per_key", "- counts/aggregate", "moved: {counts/aggregate: counts/per_key}")
	u.refuses(exitState, "moved: {counts/aggregate: counts/per_key}")
	u.file("p.yaml", countsYAML, append(renamed, "max_parallelism: 4", "max_parallelism: 4\nmoved: {counts/aggregate: counts/per_key}")...)
	u.do(0, "plan", "p.yaml").prints("~ counts/per_key", "was counts/aggregate")
	u.goesOn()
}

// TestSourceMoved goes on where the source was under its old name.
func TestSourceMoved(t *testing.T) {
	u := ran(t)
	renamed := []string{"  in:\n    topic", "  input:\n    topic", "from: in\n", "from: input\n", "from: in\n", "from: input\n",
		"max_parallelism: 4", "max_parallelism: 4\nmoved: {source:in: source:input}"}
	u.file("p.yaml", countsYAML, renamed...)
	u.do(0, "plan", "p.yaml").prints("source:input")
	u.goesOn()
	u.file("p.yaml", countsYAML, renamed[:6]...)
	u.cluster.write("in", countRow("b", 7, 3100))
	u.do(0, "run", "p.yaml", "--max-records", "1")
	u.both([]string{`{"k":"b","n":3,"total":13}`, `{"k":"b","n":4,"total":20}`}, []string{windowRow("b", 2, 1)})
}

// TestSourceMovedFromASavepoint does the same while it restores.
func TestSourceMovedFromASavepoint(t *testing.T) {
	u, path := saved(t)
	u.file("p.yaml", countsYAML, "  in:\n    topic", "  input:\n    topic", "from: in\n", "from: input\n",
		"max_parallelism: 4", "max_parallelism: 4\nmoved: {source:in: source:input}")
	u.goesOn("--from", path, "-y")
}

// TestStateDropped: a step that is gone needs a word.
func TestStateDropped(t *testing.T) {
	u := ran(t)
	u.file("p.yaml", countsYAML, "  windows:\n    from: in\n    steps:\n      - key_by: k\n      - window: {tumbling: 1s}\n      - aggregate: {k: $key, start: $window.start, n: count()}\n", "",
		"  windows: {from: windows, topic: windows}\n", "")
	c := u.do(exitState, "plan", "p.yaml", "-o", "json")
	if !strings.Contains(c.stdout.String(), `"needs": "dropped-state"`) || !strings.Contains(c.stdout.String(), `"accepted": false`) {
		t.Errorf("plan %s", c.stdout.String())
	}
	u.cluster.write("in", countRow("b", 6, 3000))
	u.do(0, "run", "p.yaml", "--max-records", "1", "--accept", "dropped-state")
	u.both([]string{`{"k":"b","n":3,"total":13}`}, nil)
}
