package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// row is a record of the input of countsYAML; ms is its event time.
func countRow(k string, n, ms int) string {
	return fmt.Sprintf(`{"k":%q,"n":%d,"ts":"2026-01-01T00:00:%02d.%03dZ"}`, k, n, ms/1000, ms%1000)
}

// newCounts has the topics of countsYAML, the file, and five rows in the input:
// the windows of the first two seconds are closed by the last row.
func newCounts(t *testing.T, replace ...string) *user {
	t.Helper()
	u := newKafkaUser(t)
	u.file("p.yaml", countsYAML, replace...)
	u.cluster.topic("in", 1)
	u.cluster.topic("counts", 1)
	u.cluster.topic("windows", 1)
	u.cluster.write("in", countRow("a", 1, 0), countRow("b", 2, 100), countRow("a", 3, 200), countRow("a", 4, 1000), countRow("b", 5, 2000))
	return u
}

// firstCounts and firstWindows are what newCounts leads to.
func firstCounts() []string {
	return []string{`{"k":"a","n":1,"total":1}`, `{"k":"a","n":2,"total":4}`, `{"k":"a","n":3,"total":8}`,
		`{"k":"b","n":1,"total":2}`, `{"k":"b","n":2,"total":7}`}
}

func windowRow(k string, second, n int) string {
	return fmt.Sprintf(`{"k":%q,"start":"2026-01-01T00:00:%02dZ","n":%d}`, k, second, n)
}

func firstWindows() []string {
	return []string{windowRow("a", 0, 2), windowRow("b", 0, 1), windowRow("a", 1, 1)}
}

// both demands the results of newCounts, and more of each.
func (u *user) both(counts, windows []string) {
	u.t.Helper()
	u.awaits("counts", append(firstCounts(), counts...)...)
	u.awaits("windows", append(firstWindows(), windows...)...)
}

// TestRunAndStop runs a job, stops it with the first signal, and goes on where
// it stopped: the open window has what came before, the counts go on.
func TestRunAndStop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			u := newCounts(t)
			job := u.start(nil, "run", "p.yaml")
			u.both(nil, nil)
			job.signal(sig)
			job.exits(0)
			job.says("counts  p.yaml  (exactly once, checkpoint every 50ms)", "▶ running, parallelism 2", "■ stopping",
				"✓ finished: 5 records in")
			at, mark := u.cluster.group("kstream-counts", "in", 0)
			if at != 5 || !strings.HasPrefix(mark, "kstream/1") {
				t.Errorf("the group is at %d %q", at, mark)
			}
			u.cluster.write("in", countRow("b", 6, 2500), countRow("a", 7, 3000))
			job = u.start(nil, "run", "p.yaml")
			u.both([]string{`{"k":"b","n":3,"total":13}`, `{"k":"a","n":4,"total":15}`}, []string{windowRow("b", 2, 2)})
			job.stop()
		})
	}
}

// TestSecondSignal ends the process at once, also when the cluster holds it up.
func TestSecondSignal(t *testing.T) {
	for sig, code := range map[syscall.Signal]int{syscall.SIGINT: exitInterrupted, syscall.SIGTERM: exitTerminated} {
		t.Run(sig.String(), func(t *testing.T) {
			u := newCounts(t)
			job := u.start(nil, "run", "p.yaml", "--set", "checkpoint.interval=10s", "--set", "checkpoint.transaction_timeout=1m")
			job.await("▶ running")
			u.until("records are read", func() error {
				if u.cluster.produced("counts") == 0 {
					return errors.New("none")
				}
				return nil
			})
			// The last checkpoint waits for the broker, so that the second signal
			// meets the work of the first.
			u.cluster.holdTransactions()
			job.signal(sig)
			job.await("■ stopping")
			if job.ended() {
				t.Fatal("it ended with the first signal")
			}
			job.signal(sig)
			job.exits(code)
		})
	}
}

// TestSignalWhileConnecting ends in order although there is no cluster.
func TestSignalWhileConnecting(t *testing.T) {
	u := newUser(t)
	u.env = []string{"KSTREAM_BROKERS=127.0.0.1:1"}
	u.file("copy.yaml", copyYAML)
	job := u.start(nil, "run", "copy.yaml")
	job.await("waits for Kafka")
	job.signal(syscall.SIGTERM)
	u.until("it ends soon", func() error {
		if !job.ended() {
			return errors.New("it runs")
		}
		return nil
	})
	if job.cmd.ProcessState.ExitCode() != 0 || strings.Contains(job.stderr.String(), "no answer within") {
		t.Errorf("it ended with %v", job.cmd.ProcessState)
	}
}

// TestSignalWhileLooking ends in order while the job looks whether the owner of
// the pipeline lives, which takes twice its interval.
func TestSignalWhileLooking(t *testing.T) {
	u := newCounts(t)
	first := u.start(nil, "run", "p.yaml", "--set", "checkpoint.interval=4m", "--set", "checkpoint.transaction_timeout=13m")
	first.await("▶ running")
	first.kill()
	second := u.start(nil, "run", "p.yaml", "--set", "state.dir=other")
	second.await("looking whether it is alive")
	second.signal(syscall.SIGINT)
	second.exits(0)
	second.says("✓ finished: 0 records in, checkpoint 0 committed")
}

// TestUntilAndMaxRecords stop as the first signal does.
func TestUntilAndMaxRecords(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.both(nil, nil)
	u.cluster.write("in", countRow("b", 6, 2500))
	u.do(0, "run", "p.yaml", "--until", "2s").says("■ stopping")
	u.both([]string{`{"k":"b","n":3,"total":13}`}, nil)
}

// TestDrain fires all windows before the end.
func TestDrain(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5", "--drain")
	u.both(nil, []string{windowRow("b", 2, 1)})
}

// TestDrainBySignal does the same when a signal ends the job.
func TestDrainBySignal(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml", "--drain")
	u.both(nil, nil)
	job.stop()
	u.both(nil, []string{windowRow("b", 2, 1)})
}

// TestStdout is a dry run: the input is the cluster's, nothing else is.
func TestStdout(t *testing.T) {
	u := newCounts(t)
	before := u.cluster.topics()
	for range 2 { // the second begins anew, too
		job := u.start(nil, "run", "p.yaml", "--stdout", "--max-records", "5")
		job.exits(0)
		for _, row := range firstCounts() {
			job.prints("counts: " + row)
		}
		for _, row := range firstWindows() {
			job.prints("windows: " + row)
		}
	}
	if after := u.cluster.topics(); !slices.Equal(after, before) {
		t.Errorf("the topics are %q, they were %q", after, before)
	}
	if n := len(u.cluster.read("counts")) + len(u.cluster.read("windows")); n > 0 {
		t.Errorf("%d records were written", n)
	}
	if at, _ := u.cluster.group("kstream-counts", "in", 0); at != -1 {
		t.Errorf("the group is at %d", at)
	}
	if _, err := os.Stat(u.path("kstream-state")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a state directory: %v", err)
	}
	// The topics of the sinks need not be there.
	if _, err := u.cluster.adm.DeleteTopics(t.Context(), "counts", "windows"); err != nil {
		t.Fatal(err)
	}
	u.do(0, "run", "p.yaml", "--stdout", "--max-records", "5").prints(`counts: {"k":"b","n":2,"total":7}`)
}

// TestStdoutBesideTheJob leaves a job that runs alone.
func TestStdoutBesideTheJob(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	u.do(0, "run", "p.yaml", "--stdout", "--max-records", "5")
	u.cluster.write("in", countRow("b", 6, 2500))
	u.both([]string{`{"k":"b","n":3,"total":13}`}, nil)
	job.stop()
}

// TestFromNone begins anew, with empty state and a new changelog.
func TestFromNone(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.both(nil, nil)
	u.do(0, "run", "p.yaml", "--from", "none", "--max-records", "5")
	u.both(firstCounts(), firstWindows())
	var changelogs []string
	for _, name := range u.cluster.topics() {
		if strings.Contains(name, "changelog") {
			changelogs = append(changelogs, name)
		}
	}
	if len(changelogs) != 2 {
		t.Errorf("the changelogs are %q", changelogs)
	}
	// What follows goes on from the new beginning.
	u.cluster.write("in", countRow("b", 6, 2500))
	u.do(0, "run", "p.yaml", "--max-records", "1")
	u.both(append(firstCounts(), `{"k":"b","n":3,"total":13}`), firstWindows())
}

// TestFromNoneAtFirst is allowed where nothing ever ran.
func TestFromNoneAtFirst(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--from", "none", "--max-records", "5")
	u.both(nil, nil)
}

// TestResetSource starts the source at its beginning with the state as it is.
func TestResetSource(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.both(nil, nil)
	u.do(0, "run", "p.yaml", "--reset", "source:in", "--max-records", "5")
	u.awaits("counts", append(firstCounts(), `{"k":"a","n":4,"total":9}`, `{"k":"a","n":5,"total":12}`, `{"k":"a","n":6,"total":16}`,
		`{"k":"b","n":3,"total":9}`, `{"k":"b","n":4,"total":14}`)...)
}

// TestResetStep empties one step and leaves the other.
func TestResetStep(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.both(nil, nil)
	u.cluster.write("in", countRow("b", 6, 2500), countRow("b", 7, 3000))
	u.do(0, "run", "p.yaml", "--reset", "counts/aggregate", "--max-records", "2").says("state given up", "counts/aggregate")
	u.both([]string{`{"k":"b","n":1,"total":6}`, `{"k":"b","n":2,"total":13}`}, []string{windowRow("b", 2, 2)})
	// Without the flag it goes on, also from the changelog alone.
	u.cluster.write("in", countRow("b", 8, 3500))
	if err := os.RemoveAll(u.path("kstream-state")); err != nil {
		t.Fatal(err)
	}
	u.do(0, "run", "p.yaml", "--max-records", "1")
	u.both([]string{`{"k":"b","n":1,"total":6}`, `{"k":"b","n":2,"total":13}`, `{"k":"b","n":3,"total":21}`}, []string{windowRow("b", 2, 2)})
}

// TestResetEverything gives the results of the beginning once more, windows too:
// the event time of the old run does not make the records late.
func TestResetEverything(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.both(nil, nil)
	u.do(0, "run", "p.yaml", "--reset", "source:in", "--reset", "counts/aggregate", "--reset", "windows/aggregate", "--max-records", "5")
	u.both(firstCounts(), firstWindows())
}

// TestParallelism wins over the file, and does not change results.
func TestParallelism(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--parallelism", "1", "--max-records", "3").says("parallelism 1")
	u.do(0, "run", "p.yaml", "--parallelism", "4", "--max-records", "2").says("parallelism 4")
	u.both(nil, nil)
	u.do(exitInvalid, "run", "p.yaml", "--parallelism", "5").says("max_parallelism")
}

// TestEnvironmentOfRun takes names from the environment and the file of it.
func TestEnvironmentOfRun(t *testing.T) {
	u := newCounts(t, "topic: counts}", "topic: \"${OUT}\"}")
	u.file("env", "OUT=counts\nKSTREAM_BROKERS=127.0.0.1:1\n")
	u.do(exitInvalid, "run", "p.yaml").says("OUT", "p.yaml:")
	u.do(0, "run", "p.yaml", "--env-file", "env", "--max-records", "5") // the real environment wins
	u.both(nil, nil)
	u.do(exitInvalid, "run", "p.yaml", "--env-file", "env", "--no-env").says("p.yaml:")
}

// TestBrokersWin over those of the file.
func TestBrokersWin(t *testing.T) {
	u := newCounts(t)
	u.env = []string{"KSTREAM_BROKERS=127.0.0.1:1"}
	u.do(0, "run", "p.yaml", "--brokers", u.cluster.addr, "--max-records", "5")
	u.both(nil, nil)
}

const generateYAML = `version: 1
name: made
checkpoint: {interval: 50ms}
sources:
  made: {generate: {rate: 2000/s, record: {id: $n, k: $n % 10}}}
streams:
  counts:
    from: made
    steps:
      - key_by: k
      - aggregate: {k: $key, n: count()}
sinks:
  copy: {from: made, topic: copy, create: {partitions: 1}}
  counts: {from: counts, topic: counts}
`

// embeddedAddr is what run --embedded announces.
func embeddedAddr(t *testing.T, job *command) string {
	t.Helper()
	job.await("embedded broker at")
	_, rest, _ := strings.Cut(job.stderr.String(), "embedded broker at ")
	addr, _, ok := strings.Cut(rest, ": for development only")
	if !ok {
		t.Fatalf("there is no address in %q", rest)
	}
	return addr
}

// TestEmbedded lets any client connect and read the results.
func TestEmbedded(t *testing.T) {
	u := newUser(t)
	u.file("made.yaml", generateYAML)
	u.env = []string{"KSTREAM_BROKERS=127.0.0.1:1"} // is ignored
	job := u.start(nil, "run", "made.yaml", "--embedded")
	u.cluster = openCluster(t, nil, embeddedAddr(t, job))
	job.await("▶ running")
	u.until("results are there", func() error {
		if n := len(u.cluster.read("copy")); n < 1000 {
			return fmt.Errorf("%d of 1000", n)
		}
		return nil
	})
	details, err := u.cluster.adm.ListTopics(t.Context(), "copy", "counts")
	if err != nil || len(details["copy"].Partitions) != 1 || len(details["counts"].Partitions) != 4 {
		t.Errorf("copy has %d partitions, counts %d: %v", len(details["copy"].Partitions), len(details["counts"].Partitions), err)
	}
	job.stop()
	if left, _ := filepath.Glob(filepath.Join(u.dir, "*")); len(left) != 1 {
		t.Errorf("it left %q", left)
	}
}

// ids of the copy, without gap or double.
func (u *user) unbroken(atLeast int) int {
	u.t.Helper()
	records := u.cluster.read("copy")
	for i, r := range records {
		if want := fmt.Sprintf(`{"id":%d,"k":%d}`, i, i%10); string(r.Value) != want {
			u.t.Fatalf("record %d of copy is %s, want %s", i, r.Value, want)
		}
	}
	if len(records) < atLeast {
		u.t.Fatalf("there are %d records, want %d", len(records), atLeast)
	}
	return len(records)
}

// TestEmbeddedDir keeps the data across clean ends, and refuses it after a kill.
func TestEmbeddedDir(t *testing.T) {
	u := newUser(t)
	u.file("made.yaml", generateYAML)
	u.do(0, "run", "made.yaml", "--embedded", "--embedded-dir", "data", "--max-records", "500")
	job := u.start(nil, "run", "made.yaml", "--embedded", "--embedded-dir", "data")
	u.cluster = openCluster(t, nil, embeddedAddr(t, job))
	job.await("▶ running")
	before := u.unbroken(500)
	u.until("it goes on", func() error {
		if n := u.unbroken(before); n < before+500 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	job.kill()
	if _, err := os.Stat(u.path("kstream-state")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state is not below --embedded-dir: %v", err)
	}
	u.do(exitEnvironment, "run", "made.yaml", "--embedded", "--embedded-dir", "data", "--max-records", "500").
		says("did not end cleanly", "Delete the directory")
	if err := os.RemoveAll(u.path("data")); err != nil {
		t.Fatal(err)
	}
	u.do(0, "run", "made.yaml", "--embedded", "--embedded-dir", "data", "--max-records", "500")
}

// TestStdin reads lines to the end of the input.
func TestStdin(t *testing.T) {
	u := newUser(t)
	text, err := os.ReadFile("../../pipelines/word-count/stdin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u.file("stdin.yaml", string(text))
	job := u.start(strings.NewReader("A rose is\na rose is a  rose"), "run", "stdin.yaml", "--embedded")
	job.exits(0)
	got := strings.Split(strings.TrimSpace(job.stdout.String()), "\n")
	slices.Sort(got)
	want := []string{`{"word":"a","count":1}`, `{"word":"a","count":2}`, `{"word":"a","count":3}`, `{"word":"is","count":1}`,
		`{"word":"is","count":2}`, `{"word":"rose","count":1}`, `{"word":"rose","count":2}`, `{"word":"rose","count":3}`}
	if !slices.Equal(got, want) {
		t.Errorf("it printed %q", got)
	}
	job.says("standard input cannot be read again", "✓ finished: 2 records in")
}

// TestStdinStaysOpen stops by a signal although the input goes on.
func TestStdinStaysOpen(t *testing.T) {
	u := newUser(t)
	text, err := os.ReadFile("../../pipelines/word-count/stdin.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u.file("stdin.yaml", string(text))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	job := u.start(r, "run", "stdin.yaml", "--embedded")
	if _, err := w.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	u.until("it prints", func() error {
		if !strings.Contains(job.stdout.String(), `{"word":"hello","count":1}`) {
			return errors.New("nothing")
		}
		return nil
	})
	job.stop()
}

// TestPageViews is the first command of the README.
func TestPageViews(t *testing.T) {
	u := newUser(t)
	text, err := os.ReadFile("../../pipelines/page-views/pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	u.file("page-views.yaml", string(text))
	u.do(0, "run", "page-views.yaml", "--embedded", "--max-records", "3000").prints(`"page":"/cart"`, `"views":`, `"users":`)
}

// TestOrders feeds and runs the pipeline of the shop.
func TestOrders(t *testing.T) {
	u := newKafkaUser(t)
	for _, name := range []string{"feed.yaml", "pipeline.yaml"} {
		text, err := os.ReadFile("../../pipelines/orders/" + name)
		if err != nil {
			t.Fatal(err)
		}
		u.file(name, string(text))
	}
	u.do(0, "run", "feed.yaml", "--max-records", "300")
	if web, shop := len(u.cluster.read("orders-web")), len(u.cluster.read("orders-shop")); web != 150 || shop != 150 {
		t.Fatalf("there are %d and %d orders", web, shop)
	}
	c := u.do(0, "run", "pipeline.yaml", "--max-records", "300", "--drain")
	all, customers := u.cluster.read("orders-all"), u.cluster.read("order-customers")
	if len(all) != 300 || len(customers) != 300 {
		t.Errorf("there are %d orders and %d changes of customers", len(all), len(customers))
	}
	orders := 0
	for _, r := range u.cluster.read("order-revenue") {
		var row struct{ Orders int }
		if err := json.Unmarshal(r.Value, &row); err != nil {
			t.Fatal(err)
		}
		orders += row.Orders
		c.prints(string(r.Value))
	}
	if orders != 300 {
		t.Errorf("there are %d orders in the revenue", orders)
	}
}
