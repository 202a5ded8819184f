package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestPoisonFails ends the job after three attempts with the place of the record
// and the way out; what came before it is committed once.
func TestPoisonFails(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5")
	u.cluster.write("in", countRow("b", 6, 2500), `{"k":"b","n":"many","ts":"2026-01-01T00:00:03Z"}`)
	c := u.do(exitFailed, "run", "p.yaml", "--set", "restart={exponential: {initial: 10ms}}")
	c.says("in/0", "offset 6", "3 times", "set on_error at source:in")
	if n := strings.Count(c.stderr.String(), "starting again"); n != 4 { // a log line and one on the screen, twice
		t.Errorf("it says %d times that it starts again, want twice 2", n)
	}
	u.both(nil, nil)
	// The way out.
	u.do(0, "run", "p.yaml", "--set", "sources.in.on_error=skip", "--max-records", "2")
	u.both([]string{`{"k":"b","n":3,"total":13}`}, nil)
}

// TestPoisonInAStep names the step.
func TestPoisonInAStep(t *testing.T) {
	u := newCounts(t, "total: sum(n)", "total: sum(10 / (n - 3))")
	c := u.do(exitFailed, "run", "p.yaml", "--set", "restart={exponential: {initial: 10ms}}")
	c.says("in/0", "offset 2", "3 times", "counts/aggregate")
}

// TestPoisonIsSkipped counts what is left out.
func TestPoisonIsSkipped(t *testing.T) {
	u := newCounts(t, "    topic: in\n", "    topic: in\n    on_error: skip\n")
	u.cluster.write("in", "nothing", `{"k":"b"}`, countRow("b", 6, 2500))
	addr := freeAddr(t)
	job := u.start(nil, "run", "p.yaml", "--set", "metrics.listen="+addr)
	u.both([]string{`{"k":"b","n":3,"total":13}`}, nil)
	if n := sum(scrape(t, "http://"+addr+"/metrics"), "kstream_records_skipped_total", `node="source:in"`); n != 2 {
		t.Errorf("%v records were skipped, want 2", n)
	}
	job.stop()
}

// TestRestarts runs each strategy against a broker that fails commits.
func TestRestarts(t *testing.T) {
	for name, c := range map[string]struct {
		restart string
		fails   int // commits in a row
		code    int
		again   int // times it starts again
	}{
		"none":                {"none", 1, exitFailed, 0},
		"fixed_delay":         {"{fixed_delay: {attempts: 2, delay: 10ms}}", 9, exitFailed, 2},
		"fixed_delay heals":   {"{fixed_delay: {attempts: 2, delay: 10ms}}", 2, 0, 2},
		"failure_rate":        {"{failure_rate: {max_failures: 3, per: 1h, delay: 10ms}}", 9, exitFailed, 3},
		"exponential":         {"{exponential: {initial: 10ms, max: 20ms, attempts: 3}}", 9, exitFailed, 3},
		"exponential healing": {"{exponential: {initial: 10ms, max: 20ms}}", 4, 0, 4},
	} {
		t.Run(name, func(t *testing.T) {
			u := newCounts(t)
			u.cluster.failOffsets(c.fails)
			job := u.start(nil, "run", "p.yaml", "--set", "restart="+c.restart, "-o", "json")
			if c.code == 0 {
				u.both(nil, nil)
				job.signal(syscall.SIGTERM)
			}
			job.exits(c.code)
			again, last := 0, map[string]any{}
			for _, o := range objects(t, job.stderr.String()) {
				if o["kind"] == "JobEvent" && o["event"] == "restart" {
					again++
				}
				if o["kind"] == "JobResult" {
					last = o
				}
			}
			if again != c.again {
				t.Errorf("it started again %d times, want %d", again, c.again)
			}
			if last["exit"] != float64(c.code) {
				t.Errorf("the result is %v", last)
			}
			if n := len(u.cluster.read("counts")); n > 0 && c.code != 0 {
				t.Errorf("%d results are there", n)
			}
		})
	}
}

// TestBoundedInput ends by itself when all is read, and every window has fired.
func TestBoundedInput(t *testing.T) {
	u := newUser(t)
	u.file("made.yaml", generateYAML, "rate: 2000/s", "rate: 2000/s, count: 100", "{from: counts, topic: counts}", "{from: counts, stdout: {}}")
	c := u.do(0, "run", "made.yaml", "--embedded")
	c.says("✓ finished: 100 records in")
	if n := strings.Count(c.stdout.String(), `"n":10}`); n != 10 {
		t.Errorf("%d keys have 10 records", n)
	}
}

// TestMissingTopics ends with 5 and says what to write.
func TestMissingTopics(t *testing.T) {
	u := newKafkaUser(t)
	u.file("copy.yaml", copyYAML)
	u.do(exitEnvironment, "run", "copy.yaml").says("the topic in of source", "does not exist", "mend the name")
	u.cluster.topic("in", 1)
	u.do(exitEnvironment, "run", "copy.yaml").says("the topic out of sink", "does not exist", "create: {partitions: 4}")
	if got := u.cluster.topics(); !slices.Equal(got, []string{"in"}) {
		t.Errorf("refused starts made topics: %q", got)
	}
	u.do(exitEnvironment, "run", "copy.yaml", "--set", "checkpoint.transaction_timeout=1h", "--stdout").says("transaction_timeout", "15m")
}

// freeAddr is an address nobody listens at.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// TestMetricsAddressInUse ends with 5.
func TestMetricsAddressInUse(t *testing.T) {
	u := newUser(t)
	u.file("made.yaml", generateYAML)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	u.do(exitEnvironment, "run", "made.yaml", "--embedded", "--set", "metrics.listen="+l.Addr().String()).says("metrics.listen", "in use")
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	res, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s: %v", url, res.Status, err)
	}
	return string(b)
}

// sum adds up the samples of a metric that have all the labels; -1 is none.
func sum(text, name string, labels ...string) float64 {
	total, found := 0.0, false
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || !strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, " ") {
			continue
		}
		if slices.ContainsFunc(labels, func(l string) bool { return !strings.Contains(rest, l) }) {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(strings.TrimSpace(rest), ' '):]), 64)
		if err != nil {
			return -1
		}
		total, found = total+v, true
	}
	if !found {
		return -1
	}
	return total
}

// TestMetrics demands every name that applies, and that what should move does.
func TestMetrics(t *testing.T) {
	u := newCounts(t)
	u.do(0, "run", "p.yaml", "--max-records", "5") // so that there is something to restore
	u.both(nil, nil)
	addr := freeAddr(t)
	job := u.start(nil, "run", "p.yaml", "--set", "metrics.listen="+addr, "--set", "metrics.path=/m", "--set", "metrics.labels={zone: here}",
		"--set", "state.dir=other")
	u.cluster.write("in", countRow("b", 6, 2500), countRow("a", 1, 500)) // the second is late
	u.both([]string{`{"k":"b","n":3,"total":13}`, `{"k":"a","n":4,"total":9}`}, nil)
	text := scrape(t, "http://"+addr+"/m")
	for name, c := range map[string]struct {
		least, most float64
	}{
		"kstream_checkpoint_epoch": {2, 1e6}, "kstream_checkpoint_age_seconds": {0, 60},
		`kstream_checkpoint_duration_seconds_count`: {6, 1e6}, "kstream_checkpoint_duration_seconds_sum": {1e-9, 60},
		"kstream_commit_stall_seconds": {0, 60}, "kstream_transaction_open_seconds": {0, 60},
		"kstream_uncommitted_bytes": {0, 1e6}, "kstream_hold_bytes": {0, 1e6},
		"kstream_source_lag_records": {0, 0}, "kstream_source_lso_lag": {0, 0}, "kstream_source_stalled_seconds": {0, 0},
		"kstream_store_unflushed_bytes": {0, 1e6}, "kstream_restore_records": {1, 100}, "kstream_restore_seconds": {1e-9, 60},
		"kstream_starts_total": {1, 1}, "kstream_records_total": {2, 2}, "kstream_late_dropped_total": {1, 1},
		"kstream_backpressure_seconds": {0, 60}, "kstream_watermark_holder": {1, 1},
	} {
		if v := sum(text, name, `pipeline="counts"`, `zone="here"`); v < c.least || v > c.most {
			t.Errorf("%s is %v, want %v to %v", name, v, c.least, c.most)
		}
	}
	for _, part := range []string{"align", "flush", "offsets", "record", "end", "apply"} {
		if v := sum(text, "kstream_checkpoint_duration_seconds_count", `part="`+part+`"`); v < 1 {
			t.Errorf("part %s was seen %v times", part, v)
		}
	}
	if v := sum(text, "kstream_watermark_holder", `source="source:in"`, `partition="in/0"`); v != 1 {
		t.Errorf("the holder of the watermark is not in/0: %v", v)
	}
	u.cluster.write("in", countRow("b", 7, 2600))
	u.both([]string{`{"k":"b","n":3,"total":13}`, `{"k":"a","n":4,"total":9}`, `{"k":"b","n":4,"total":20}`}, nil)
	u.until("the metrics move", func() error {
		again := scrape(t, "http://"+addr+"/m")
		if sum(again, "kstream_records_total") != 3 || sum(again, "kstream_checkpoint_epoch") <= sum(text, "kstream_checkpoint_epoch") {
			return errors.New("they do not")
		}
		return nil
	})
	job.says("metrics " + addr + "/m")
	job.stop()
}

// TestMetricsOfFailures counts attempts that failed by class and step. The
// transaction that was left open does not hold the next attempt up for long.
func TestMetricsOfFailures(t *testing.T) {
	u := newCounts(t)
	u.cluster.failCommits(1)
	addr := freeAddr(t)
	job := u.start(nil, "run", "p.yaml", "--set", "metrics.listen="+addr, "--set", "restart={exponential: {initial: 10ms}}")
	u.both(nil, nil)
	text := scrape(t, "http://"+addr+"/metrics")
	if v := sum(text, "kstream_epochs_failed_total", `class="restart"`, `step="end"`); v != 1 {
		t.Errorf("%v epochs failed at their end, want 1", v)
	}
	if v := sum(text, "kstream_starts_total"); v < 2 {
		t.Errorf("it started %v times", v)
	}
	job.stop()
}

// TestLog writes JSON where there is no terminal, text where the file says so,
// and nothing below the level.
func TestLog(t *testing.T) {
	u := newCounts(t, "      - key_by: k\n      - aggregate", "      - log: 'saw {k}'\n      - key_by: k\n      - aggregate")
	c := u.do(0, "run", "p.yaml", "--max-records", "5", "-q")
	saw := false
	for _, o := range objects(t, c.stderr.String()) { // with -q there is nothing but the log
		saw = saw || o["msg"] == "saw a" && o["level"] == "INFO" && o["time"] != nil
	}
	if !saw {
		t.Errorf("the line of the log step is missing")
	}
	u.cluster.write("in", countRow("a", 1, 3000))
	c = u.do(0, "run", "p.yaml", "--max-records", "1", "-q", "--set", "log.format=text")
	if !regexp.MustCompile(`(?m)^time=\S+ level=INFO msg="saw a"`).MatchString(c.stderr.String()) {
		t.Errorf("it is not text")
	}
	u.cluster.write("in", countRow("a", 1, 3000))
	if c = u.do(0, "run", "p.yaml", "--max-records", "1", "-q", "--set", "log.level=error"); c.stderr.String() != "" {
		t.Errorf("there are lines below the level")
	}
	u.cluster.write("in", countRow("a", 1, 3000))
	u.do(0, "run", "p.yaml", "--max-records", "1", "-v").says(`"level":"DEBUG"`)
}

// TestRunJSON holds the shape of what run tells programs: JSON Lines on stderr,
// results of stdout sinks alone on stdout.
func TestRunJSON(t *testing.T) {
	u := newCounts(t)
	c := u.do(0, "run", "p.yaml", "--max-records", "5", "-o", "json", "--stdout")
	if n := len(strings.Split(strings.TrimSpace(c.stdout.String()), "\n")); n != 8 {
		t.Errorf("there are %d lines on stdout", n)
	}
	var events []string
	lines := objects(t, c.stderr.String())
	for _, o := range lines {
		if o["kind"] == nil {
			continue // a line of the log
		}
		if o["version"] != 1.0 || o["name"] != "counts" {
			t.Errorf("%v", o)
		}
		if e, ok := o["event"].(string); ok && e != "checkpoint" {
			events = append(events, e)
		}
	}
	if !slices.Equal(events, []string{"running", "stopping"}) {
		t.Errorf("the events are %q", events)
	}
	last := lines[len(lines)-1]
	if last["kind"] != "JobResult" || last["exit"] != 0.0 || last["records"] != 5.0 || last["checkpoint"].(float64) < 1 {
		t.Errorf("the last line is %v", last)
	}
	u.cluster.deleteTopic("in")
	c = u.do(exitEnvironment, "run", "p.yaml", "-o", "json")
	var result map[string]any
	for _, o := range objects(t, c.stderr.String()) { // nothing but JSON, also at a failure
		if o["kind"] == "JobResult" {
			result = o
		}
	}
	if result["exit"] != float64(exitEnvironment) || !strings.Contains(fmt.Sprint(result["text"]), "does not exist") || result["hint"] == "" {
		t.Errorf("the result is %v", result)
	}
}
