package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// saved is a job that ran, and the path of its savepoint.
func saved(t *testing.T) (*user, string) {
	t.Helper()
	u := ran(t)
	c := u.do(0, "savepoint", "p.yaml", "-o", "name")
	path := strings.TrimSpace(c.stdout.String())
	if dir := filepath.Dir(path); dir != filepath.Join("savepoints", "counts") {
		t.Fatalf("the savepoint is at %q", path)
	}
	return u, path
}

// TestSavepointReplacesTheState restores a savepoint over a job that went on
// without it: what came since is read again.
func TestSavepointReplacesTheState(t *testing.T) {
	u, path := saved(t)
	u.goesOn()
	c := u.do(exitState, "restore", "p.yaml", "--from", path)
	c.says("has a history of its own", "-y replaces it")
	u.do(0, "restore", "p.yaml", "--from", path, "-y", "--max-records", "1")
	again := []string{`{"k":"b","n":3,"total":13}`}
	u.both(append(again, again...), []string{windowRow("b", 2, 1), windowRow("b", 2, 1)})
	u.cluster.write("in", countRow("a", 7, 3500))
	u.do(0, "run", "p.yaml", "--max-records", "1") // an ordinary start goes on from there
	u.awaits("counts", append(append(firstCounts(), again...), again[0], `{"k":"a","n":4,"total":15}`)...)
}

// TestSavepointForks starts a second job from the savepoint of a first, with
// other outputs and another number of key groups.
func TestSavepointForks(t *testing.T) {
	u, path := saved(t)
	u.cluster.topic("counts2", 1)
	u.cluster.topic("windows2", 1)
	u.file("fork.yaml", countsYAML, "name: counts", "name: fork", "topic: counts", "topic: counts2", "topic: windows", "topic: windows2",
		"max_parallelism: 4", "max_parallelism: 7")
	c := u.do(exitState, "run", "fork.yaml", "--from", path)
	c.says("the savepoint is of the job counts, this is fork", "--accept renamed-job")
	if topics := u.cluster.topics(); slices.ContainsFunc(topics, func(s string) bool { return strings.Contains(s, "fork") }) {
		t.Errorf("the refused restore made topics: %q", topics)
	}
	u.cluster.write("in", countRow("b", 6, 3000))
	u.do(0, "run", "fork.yaml", "--from", path, "--accept", "renamed-job", "--max-records", "1")
	u.awaits("counts2", `{"k":"b","n":3,"total":13}`)
	u.awaits("windows2", windowRow("b", 2, 1))
	u.do(0, "run", "p.yaml", "--max-records", "1") // the first job is as it was
	u.both([]string{`{"k":"b","n":3,"total":13}`}, []string{windowRow("b", 2, 1)})
	if c := u.do(0, "savepoint", "fork.yaml", "-o", "json"); !strings.Contains(c.stdout.String(), `"max_parallelism": 7`) {
		t.Errorf("the fork's savepoint: %s", c.stdout.String())
	}
}

// TestSavepointDamaged is refused by the name of the file before anything is
// touched.
func TestSavepointDamaged(t *testing.T) {
	u, path := saved(t)
	parts, err := filepath.Glob(filepath.Join(u.path(path), "state", "*.part"))
	if err != nil || len(parts) != 1 {
		t.Fatalf("parts %q, %v", parts, err)
	}
	if err := os.Truncate(parts[0], 9); err != nil {
		t.Fatal(err)
	}
	name := "state/" + filepath.Base(parts[0])
	u.do(exitState, "savepoint", "verify", path).says("[state-incompatible]", name)
	u.do(exitState, "restore", "p.yaml", "--from", path, "-y").says("[state-incompatible]", name)
	u.goesOn()
}

func TestSavepointCommands(t *testing.T) {
	u, path := saved(t)
	u.do(0, "savepoint", "verify", path).prints("is whole", "entries")
	u.do(0, "savepoint", "show", path).prints("counts, checkpoint", "source:in", "in/0", "aggregate")
	u.do(0, "savepoint", "ls").prints("PATH", path, "counts")
	var list struct {
		Kind  string
		Items []savepointJSON
	}
	c := u.do(0, "savepoint", "ls", "-o", "json")
	if err := json.Unmarshal([]byte(c.stdout.String()), &list); err != nil || list.Kind != "SavepointList" || len(list.Items) != 1 || list.Items[0].Path != path {
		t.Errorf("list %+v, %v", list, err)
	}
	u.do(exitUsage, "savepoint", "rm", path).says("remove the savepoint", "-y")
	u.do(0, "savepoint", "rm", path, "-y")
	u.do(exitMissing, "savepoint", "verify", path).says("there is no savepoint at " + path)
	u.do(exitMissing, "run", "p.yaml", "--from", path).says("there is no savepoint")
	u.do(exitUsage, "restore", "p.yaml").says("needs --from PATH")
	u.do(exitUsage, "run", "p.yaml", "--offsets", "same").says("needs --from PATH")
	u.do(exitUsage, "run", "p.yaml", "--from", "x", "--offsets", "equal").says("not one of same, timestamp")
	u.do(exitUsage, "run", "p.yaml", "--accept", "all").says("not one of dropped-state, kafka-loss")
	u.file("never.yaml", countsYAML, "name: counts", "name: never")
	u.do(exitMissing, "savepoint", "never.yaml").says("there is no checkpoint of never")
}

// TestSavepointIsLeftAlone: a target that exists is not written over.
func TestSavepointIsLeftAlone(t *testing.T) {
	u := ran(t)
	u.do(0, "savepoint", "p.yaml", "--to", "here")
	u.do(exitEnvironment, "savepoint", "p.yaml", "--to", "here").says("here exists already")
	u.do(0, "savepoint", "verify", "here")
	left, err := filepath.Glob(u.path(".here*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// rowAt is a record of the input with a timestamp of its own.
func rowAt(second int, value string) *kgo.Record {
	return &kgo.Record{Topic: "in", Value: []byte(value), Timestamp: time.Unix(1_800_000_000+int64(second), 0)}
}

func (c *cluster) produce(records ...*kgo.Record) {
	c.t.Helper()
	if err := c.cl.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// TestMoveToAnotherCluster restores where the topics are copies with equal
// offsets, and where only the times of the records are the same: there the last
// record taken in is the first one read.
func TestMoveToAnotherCluster(t *testing.T) {
	u := newKafkaUser(t)
	u.file("p.yaml", countsYAML)
	topics := func(c *cluster) *cluster {
		for _, topic := range []string{"in", "counts", "windows"} {
			c.topic(topic, 1)
		}
		return c
	}
	rows := []*kgo.Record{rowAt(0, countRow("a", 1, 0)), rowAt(1, countRow("b", 2, 100)), rowAt(2, countRow("a", 3, 200)),
		rowAt(3, countRow("a", 4, 1000)), rowAt(4, countRow("b", 5, 2000))}
	topics(u.cluster).produce(rows...)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	path := strings.TrimSpace(u.do(0, "savepoint", "p.yaml", "-o", "name").stdout.String())
	copied := func(r *kgo.Record) *kgo.Record {
		return &kgo.Record{Topic: r.Topic, Value: r.Value, Timestamp: r.Timestamp}
	}
	restore := []string{"restore", "p.yaml", "--from", path, "--set", "state.dir=elsewhere"}

	same := topics(newCluster(t, kfake.ClusterID("same")))
	for _, r := range rows {
		same.produce(copied(r))
	}
	same.produce(rowAt(5, countRow("b", 6, 3000)))
	u.cluster = same
	u.do(exitState, append(restore, "--brokers", same.addr)...).says("the savepoint is of the cluster", "this is same", "--offsets same", "--offsets timestamp")
	u.do(0, append(restore, "--brokers", same.addr, "--offsets", "same", "--max-records", "1")...)
	u.awaits("counts", `{"k":"b","n":3,"total":13}`)

	shifted := topics(newCluster(t, kfake.ClusterID("shifted")))
	shifted.produce(rowAt(-9, countRow("z", 9, 0)), copied(rows[4]), rowAt(5, countRow("b", 6, 3000)))
	u.cluster = shifted
	u.do(0, append(restore, "--brokers", shifted.addr, "--set", "state.dir=third", "--offsets", "timestamp", "--max-records", "2")...)
	u.awaits("counts", `{"k":"b","n":3,"total":12}`, `{"k":"b","n":4,"total":18}`)
}
