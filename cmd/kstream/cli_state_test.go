package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ran is a job that has taken in the five rows of newCounts and stopped.
func ran(t *testing.T, replace ...string) *user {
	t.Helper()
	u := newCounts(t, replace...)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.both(nil, nil)
	return u
}

// goesOn writes one more row and demands the results that follow from all state.
func (u *user) goesOn(flags ...string) {
	u.t.Helper()
	u.cluster.write("in", countRow("b", 6, 3000))
	u.do(0, append([]string{"run", "p.yaml", "--max-records", "1"}, flags...)...)
	u.both([]string{`{"k":"b","n":3,"total":13}`}, []string{windowRow("b", 2, 1)})
}

// refuses demands that a start ends with 6, says why, and changes nothing.
func (u *user) refuses(code int, words ...string) *command {
	u.t.Helper()
	topics := u.cluster.topics()
	at, mark := u.cluster.group("kstream-counts", "in", 0)
	c := u.do(code, "run", "p.yaml", "--max-records", "1")
	c.says(words...)
	if now := u.cluster.topics(); !slices.Equal(now, topics) {
		u.t.Errorf("the refused start left the topics %q, there were %q", now, topics)
	}
	if a, m := u.cluster.group("kstream-counts", "in", 0); a != at || m != mark {
		u.t.Errorf("the refused start moved the group from %d %q to %d %q", at, mark, a, m)
	}
	return c
}

// TestStateDirectoryLost restores all state from the changelog.
func TestStateDirectoryLost(t *testing.T) {
	u := ran(t)
	if err := os.RemoveAll(u.path("kstream-state")); err != nil {
		t.Fatal(err)
	}
	u.goesOn()
}

// TestStateInMemory writes nothing, and restores at every start.
func TestStateInMemory(t *testing.T) {
	u := ran(t, "max_parallelism: 4", "max_parallelism: 4\nstate: {backend: memory}")
	if left, _ := filepath.Glob(u.path("*")); len(left) != 1 {
		t.Errorf("it left %q", left)
	}
	u.goesOn()
}

// TestStateAfterKill goes on from the last commit.
func TestStateAfterKill(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	job.kill()
	u.goesOn()
}

// TestStateDirectoryInUse refuses a second process and names the first.
func TestStateDirectoryInUse(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	u.refuses(exitState, "in use", "pid "+strconv.Itoa(job.cmd.Process.Pid), "state.dir")
	job.stop()
	u.goesOn()
}

// TestOwnerOnAnotherDirectory refuses a second process with its own directory.
func TestOwnerOnAnotherDirectory(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	second := u.start(nil, "run", "p.yaml", "--set", "state.dir=other", "--max-records", "1")
	for i := 0; !second.ended(); i++ { // the owner lives
		u.cluster.write("in", countRow("c", i, 2000))
	}
	second.exits(exitState)
	second.says("pid "+strconv.Itoa(job.cmd.Process.Pid), "runs this pipeline")
	job.stop()
}

// TestTakeOver goes on in place of a process that died on another host, after a
// look whether it lives, and counts that.
func TestTakeOver(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	job.kill()
	u.cluster.write("in", countRow("b", 6, 3000))
	addr := freeAddr(t)
	second := u.start(nil, "run", "p.yaml", "--set", "state.dir=other", "--set", "metrics.listen="+addr)
	u.both([]string{`{"k":"b","n":3,"total":13}`}, []string{windowRow("b", 2, 1)})
	second.says("looking whether it is alive", "pid "+strconv.Itoa(job.cmd.Process.Pid))
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if n := sum(scrape(t, "http://"+addr+"/metrics"), "kstream_fences_total", fmt.Sprintf("by=%q", host)); n != 1 {
		t.Errorf("%v times another process owned the pipeline, want 1", n)
	}
	second.stop()
}

// TestStateDirectoryOpenToAll is refused.
func TestStateDirectoryOpenToAll(t *testing.T) {
	u := ran(t)
	dir := u.path("kstream-state/counts/0")
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	u.refuses(exitEnvironment, "kstream-state/counts/0", "chmod 700")
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	u.goesOn()
}

// TestStateDamaged moves a damaged store aside, restores it from the changelog,
// and counts that.
func TestStateDamaged(t *testing.T) {
	u := ran(t)
	manifests, err := filepath.Glob(u.path("kstream-state/counts/0/*/MANIFEST-*"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("the store has no manifest: %v", err)
	}
	for _, name := range manifests {
		if err := os.WriteFile(name, []byte("this is not a manifest"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	addr := freeAddr(t)
	u.cluster.write("in", countRow("b", 6, 3000))
	job := u.start(nil, "run", "p.yaml", "--set", "metrics.listen="+addr)
	u.both([]string{`{"k":"b","n":3,"total":13}`}, []string{windowRow("b", 2, 1)})
	if n := sum(scrape(t, "http://"+addr+"/metrics"), "kstream_store_wipes_total", `reason="corrupt"`); n != 1 {
		t.Errorf("%v stores were given up, want 1", n)
	}
	job.stop()
	job.says("damaged")
}

// TestChangedPipeline refuses what does not fit the state, and says where.
func TestChangedPipeline(t *testing.T) {
	for name, c := range map[string]struct {
		replace []string
		says    []string
	}{
		"window size":     {[]string{"tumbling: 1s", "tumbling: 2s"}, []string{"windows/aggregate", "window tumbling 1s -> tumbling 2s", "p.yaml:23", "--reset windows/aggregate"}},
		"aggregate":       {[]string{"total: sum(n)", "total: avg(n)"}, []string{"counts/aggregate", "p.yaml:17"}},
		"key":             {[]string{"key_by: k\n      - window", "key_by: n\n      - window", "{k: $key, start", "{k: string($key), start"}, []string{"windows/aggregate", "p.yaml:23"}},
		"step taken away": {[]string{"  windows:\n    from: in\n    steps:\n      - key_by: k\n      - window: {tumbling: 1s}\n      - aggregate: {k: $key, start: $window.start, n: count()}\n", "", "  windows: {from: windows, topic: windows}\n", ""}, []string{"windows/aggregate", "would be lost", "needs --accept dropped-state"}},
		"new step":        {[]string{"      - aggregate: {k: $key, n: count(), total: sum(n)}\n", "      - aggregate: {k: $key, n: count(), total: sum(n)}\n  more:\n    from: in\n    steps:\n      - key_by: n\n      - aggregate: {n: $key, c: count()}\n", "sinks:\n", "sinks:\n  more: {from: more, blackhole: {}}\n"}, []string{"more/aggregate", "starts empty", "needs --accept new-state", "p.yaml:22"}},
	} {
		t.Run(name, func(t *testing.T) {
			u := ran(t)
			u.file("p.yaml", countsYAML, c.replace...)
			u.refuses(exitState, append(c.says, "[state-incompatible]")...)
			u.file("p.yaml", countsYAML)
			u.goesOn()
		})
	}
}

// TestChangesThatFit are none of the state's business.
func TestChangesThatFit(t *testing.T) {
	u := ran(t)
	u.file("p.yaml", countsYAML, "interval: 50ms", "interval: 70ms", "- key_by: k\n      - window", "- filter: n >= 0\n      - key_by: k\n      - window",
		"version: 1", "version: 1\ndescription: more lines before the state")
	u.goesOn("--parallelism", "3")
}

// TestMaxParallelismChanged is refused: the state was hashed with the old one.
func TestMaxParallelismChanged(t *testing.T) {
	u := ran(t)
	u.file("p.yaml", countsYAML, "max_parallelism: 4", "max_parallelism: 8")
	u.refuses(exitState, "[state-incompatible]", "max_parallelism: 4 -> 8", "take a savepoint and restore it")
}

func (c *cluster) deleteTopic(name string) {
	c.t.Helper()
	if _, err := c.adm.DeleteTopic(c.t.Context(), name); err != nil {
		c.t.Fatalf("delete topic %s: %v", name, err)
	}
}

// TestChangelogDeleted is refused, whether it is made again or not.
func TestChangelogDeleted(t *testing.T) {
	const topic = "kstream.counts.changelog"
	u := ran(t)
	u.cluster.deleteTopic(topic)
	u.refuses(exitState, "[state-missing]", topic, "--from none")
	u.cluster.topic(topic, 4)
	u.refuses(exitState, "[state-missing]", topic, "--from none")
	// One of the ways out that it names.
	u.do(0, "run", "p.yaml", "--from", "none", "--max-records", "5")
	u.both(firstCounts(), firstWindows())
}

// TestCheckpointsDeleted is refused as long as there is any trace of a run.
func TestCheckpointsDeleted(t *testing.T) {
	u := ran(t)
	u.cluster.deleteTopic("kstream.counts.checkpoints")
	u.refuses(exitState, "[state-missing]", "kstream.counts.checkpoints", "--from none")
	if err := os.RemoveAll(u.path("kstream-state")); err != nil {
		t.Fatal(err)
	}
	u.refuses(exitState, "[state-missing]", "kstream.counts.checkpoints", "group")
	u.file("p.yaml", countsYAML, "max_parallelism: 4", "max_parallelism: 4\ninternal_topics: {prefix: other.}")
	u.refuses(exitState, "[state-missing]", "other.counts.checkpoints")
}

// TestGroupReset refuses when somebody moved the group: the checkpoint counts.
func TestGroupReset(t *testing.T) {
	u := ran(t)
	var offsets kadm.Offsets
	offsets.AddOffset("in", 0, 1, -1)
	if err := u.cluster.adm.CommitAllOffsets(t.Context(), "kstream-counts", offsets); err != nil {
		t.Fatal(err)
	}
	u.refuses(exitState, "kstream-counts", "in/0", "offset 1", "says 5", "--reset source:in")
	u.do(0, "run", "p.yaml", "--reset", "source:in", "--max-records", "5")
	u.goesOnAfterReset()
}

// goesOnAfterReset demands the counts of a source that was read twice.
func (u *user) goesOnAfterReset() {
	u.t.Helper()
	u.awaits("counts", append(firstCounts(), `{"k":"a","n":4,"total":9}`, `{"k":"a","n":5,"total":12}`, `{"k":"a","n":6,"total":16}`,
		`{"k":"b","n":3,"total":9}`, `{"k":"b","n":4,"total":14}`)...)
}

// TestGroupGone is accepted: a group's offsets expire.
func TestGroupGone(t *testing.T) {
	u := ran(t)
	if _, err := u.cluster.adm.DeleteGroup(t.Context(), "kstream-counts"); err != nil {
		t.Fatal(err)
	}
	u.goesOn()
}

// TestInputRecreated is refused with both ids.
func TestInputRecreated(t *testing.T) {
	u := ran(t)
	u.cluster.deleteTopic("in")
	u.cluster.topic("in", 1)
	u.cluster = openCluster(t, u.cluster.fake, u.cluster.addr) // a producer that knows the new topic
	u.cluster.write("in", countRow("a", 1, 0), countRow("b", 2, 100), countRow("a", 3, 200), countRow("a", 4, 1000), countRow("b", 5, 2000))
	u.refuses(exitState, "in was deleted and made again", "--reset source:in")
	u.do(0, "run", "p.yaml", "--reset", "source:in", "--max-records", "5")
	u.goesOnAfterReset()
}

// TestInputGone is refused as lost state, not as a wrong name.
func TestInputGone(t *testing.T) {
	u := ran(t)
	u.cluster.deleteTopic("in")
	u.refuses(exitState, "the topic in of source in was deleted", "to offset 5", "--reset source:in")
	u.do(exitEnvironment, "run", "p.yaml", "--reset", "source:in").says("the topic in of source in does not exist")
}

// TestInputDeleted counts the records that were lost, and begins behind them when
// it is told to.
func TestInputDeleted(t *testing.T) {
	u := ran(t)
	u.cluster.write("in", countRow("a", 1, 2100), countRow("a", 2, 2200), countRow("a", 3, 2300))
	var offsets kadm.Offsets
	offsets.AddOffset("in", 0, 7, -1)
	if _, err := u.cluster.adm.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	u.refuses(exitState, "in/0: offset 5 was deleted, the log starts at 7 (2 records lost)", "--reset source:in")
	u.do(0, "run", "p.yaml", "--reset", "source:in", "--max-records", "1")
	u.both([]string{`{"k":"a","n":4,"total":11}`}, nil)
}

// TestInputPartitionsAdded reads new partitions from their beginning, and says
// what that means for the order.
func TestInputPartitionsAdded(t *testing.T) {
	u := ran(t)
	if _, err := u.cluster.adm.CreatePartitions(t.Context(), 2, "in"); err != nil {
		t.Fatal(err)
	}
	u.cluster = openCluster(t, u.cluster.fake, u.cluster.addr) // a producer that knows the new partitions
	r := &kgo.Record{Topic: "in", Partition: 2, Value: []byte(countRow("b", 6, 3000))}
	if err := u.cluster.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	u.do(0, "run", "p.yaml", "--max-records", "1").says("a partition was added", "in/2")
	u.awaits("counts", append(firstCounts(), `{"k":"b","n":3,"total":13}`)...)
}

// TestKafkaLost runs against an older copy of the cluster: it refuses, and goes
// on from what Kafka has when it is told to.
func TestKafkaLost(t *testing.T) {
	u := newUser(t)
	u.file("made.yaml", generateYAML)
	run := func(code int, more ...string) *command {
		return u.do(code, append([]string{"run", "made.yaml", "--embedded", "--embedded-dir", "data", "--max-records", "300"}, more...)...)
	}
	run(0)
	old := os.DirFS(u.path("data/broker"))
	if err := os.CopyFS(u.path("old"), old); err != nil {
		t.Fatal(err)
	}
	run(0)
	if err := os.RemoveAll(u.path("data/broker")); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(u.path("data/broker"), os.DirFS(u.path("old"))); err != nil {
		t.Fatal(err)
	}
	run(exitState).says("lost", "--accept kafka-loss")
	run(0, "--accept", "kafka-loss")
	job := u.start(nil, "run", "made.yaml", "--embedded", "--embedded-dir", "data")
	u.cluster = openCluster(t, nil, embeddedAddr(t, job))
	job.await("▶ running")
	u.unbroken(600)
	job.stop()
}

// manyKeys makes more state than state.memory holds.
const manyKeysYAML = `version: 1
name: many
max_parallelism: 4
checkpoint: {interval: 500ms}
state: {memory: 16MiB}
sources:
  made: {generate: {count: 400000, record: {k: '$n % 300000', n: $n}}}
streams:
  counts:
    from: made
    steps:
      - key_by: k
      - aggregate: {k: $key, n: count(), total: sum(n)}
sinks:
  counts: {from: counts, topic: counts, create: {partitions: 2}}
`

// TestStateLargerThanMemory counts 300,000 keys with memory for a fraction of
// them, and a restart in the middle that must find what was put away.
func TestStateLargerThanMemory(t *testing.T) {
	u := newKafkaUser(t)
	u.file("many.yaml", manyKeysYAML)
	first := u.start(nil, "run", "many.yaml")
	u.until("most keys are counted", func() error {
		if n := u.cluster.produced("counts"); n < 200000 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	first.kill()
	u.do(0, "run", "many.yaml")
	seen := make([]int, 300000)
	total := 0
	for _, r := range u.cluster.read("counts") {
		var k, n, sum int
		if _, err := fmt.Sscanf(string(r.Value), `{"k":%d,"n":%d,"total":%d}`, &k, &n, &sum); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		seen[k]++
		if want := k * n; n == 2 && sum != want+300000 || n == 1 && sum != want || n != seen[k] {
			t.Fatalf("row %d of key %d is %s", seen[k], k, r.Value)
		}
		total++
	}
	if total != 400000 {
		t.Errorf("there are %d results of 400000 records", total)
	}
}

// TestBoundedJobAgain ends at once, and writes nothing, when it had ended before.
func TestBoundedJobAgain(t *testing.T) {
	u := newCounts(t, "topic: in\n", "topic: in\n    stop: latest\n")
	u.do(0, "run", "p.yaml")
	u.both(nil, []string{windowRow("b", 2, 1)})
	before := u.cluster.produced("counts") + u.cluster.produced("windows")
	u.do(0, "run", "p.yaml").says("✓ finished: 0 records in")
	if after := u.cluster.produced("counts") + u.cluster.produced("windows"); after != before {
		t.Errorf("the second run wrote %d records or markers", after-before)
	}
}

// TestDrainedJobAgain says that event time has ended: what comes now is late.
func TestDrainedJobAgain(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5", "--drain")
	u.both(nil, []string{windowRow("b", 2, 1)})
	u.cluster.write("in", countRow("b", 6, 9000))
	c := u.do(0, "run", "p.yaml", "--max-records", "1")
	if !strings.Contains(c.stderr.String(), "drained") {
		t.Errorf("it does not say that the job was drained")
	}
}

// TestResetLeavesNothing: the entries of a step that was reset, or taken away,
// are deleted in the changelog, and stay deleted; those of the others stay.
func TestResetLeavesNothing(t *testing.T) {
	u := ran(t)
	if n := u.storedBy(1); n == 0 {
		t.Fatal("the first store has no entries")
	}
	u.cluster.write("in", countRow("a", 1, 3000))
	u.do(0, "run", "p.yaml", "--reset", "counts/aggregate", "--max-records", "1").says("state given up", "last state of a step", "counts/aggregate")
	if old, other, fresh := u.storedBy(1), u.storedBy(2), u.storedBy(3); old != 0 || other == 0 || fresh != 1 {
		t.Errorf("%d entries of the state that was reset, %d of the other step, %d of the new state", old, other, fresh)
	}
	u.file("p.yaml", countsYAML, "  windows:\n    from: in\n    steps:\n      - key_by: k\n      - window: {tumbling: 1s}\n      - aggregate: {k: $key, start: $window.start, n: count()}\n", "",
		"  windows: {from: windows, topic: windows}\n", "")
	u.cluster.write("in", countRow("a", 1, 4000))
	u.do(0, "run", "p.yaml", "--accept", "dropped-state", "--max-records", "1")
	if err := os.RemoveAll(u.path("kstream-state")); err != nil {
		t.Fatal(err)
	}
	u.cluster.write("in", countRow("a", 1, 5000))
	u.do(0, "run", "p.yaml", "--max-records", "1")
	if gone, fresh := u.storedBy(2), u.storedBy(3); gone != 0 || fresh != 1 {
		t.Errorf("%d entries of a step that is gone, %d of the one that stays", gone, fresh)
	}
}

// storedBy counts the live entries of a store in the changelog.
func (u *user) storedBy(store byte) int {
	live := map[string]bool{}
	for _, r := range u.cluster.read("kstream.counts.changelog") {
		if r.Key[1] == 0 && r.Key[2] == store {
			live[string(r.Key)] = r.Value != nil
		}
	}
	n := 0
	for _, l := range live {
		if l {
			n++
		}
	}
	return n
}
