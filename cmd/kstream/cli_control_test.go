package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kstream/control"
)

// decoded is the object a command printed.
func decoded[T any](c *command) T {
	c.u.t.Helper()
	var v T
	if err := json.Unmarshal([]byte(c.stdout.String()), &v); err != nil {
		c.u.t.Fatalf("%q is no JSON: %v", c.stdout.String(), err)
	}
	return v
}

// TestJobIsFoundByItsName asks a running job what it does, and stops it.
func TestJobIsFoundByItsName(t *testing.T) {
	u := newCounts(t)
	u.do(exitMissing, "status", "counts").says("no job named counts runs here", "kstream ps")
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	job.says("api http://127.0.0.1:")
	u.do(0, "ps").prints("NAME", "counts", "running", strconv.Itoa(job.cmd.Process.Pid))
	u.do(0, "checkpoint", "now", "counts").prints("committed in")
	s := decoded[control.JobStatus](u.do(0, "status", "counts", "-o", "json"))
	if s.Kind != "JobStatus" || s.Version != 1 || s.State != "running" || s.Records != 5 || s.Checkpoint.Last == nil || s.Watermark == nil {
		t.Errorf("status %+v", s)
	}
	in := map[string]uint64{}
	for _, o := range s.Operators {
		in[o.UID] = o.In
	}
	if in["source:in"] != 5 || in["sink:counts"] != 5 || in["sink:windows"] != 3 {
		t.Errorf("rows into the operators: %v", in)
	}
	u.do(0, "status", "counts", "--operators").prints("RUNNING", "source:in", "sink:windows", "2026-01-01T00:00:0")
	l := decoded[control.CheckpointList](u.do(0, "checkpoint", "ls", "counts", "-o", "json"))
	if n := len(l.Items); n == 0 || l.Items[n-1].ID != s.Checkpoint.Last.ID {
		t.Errorf("history %+v, the last is %d", l, s.Checkpoint.Last.ID)
	}
	u.do(exitUsage, "stop", "counts", "--now", "--drain").says("exclude each other")
	u.do(exitUsage, "stop", "counts", "--drain").says("results of open windows will be final")
	u.do(0, "stop", "counts", "--wait").prints("stopped    counts")
	job.exits(0)
	u.do(exitMissing, "status", "counts")
	u.goesOn()
}

// TestCheckpointNowHoldsWhatWasTakenIn: it does not wait for the interval.
func TestCheckpointNowHoldsWhatWasTakenIn(t *testing.T) {
	u := newCounts(t, "interval: 50ms", "interval: 4m, transaction_timeout: 13m")
	job := u.start(nil, "run", "p.yaml")
	u.until("the rows are taken in", func() error {
		c := u.start(nil, "status", "counts", "-o", "json")
		<-c.done
		var s control.JobStatus
		if err := json.Unmarshal([]byte(c.stdout.String()), &s); err != nil || s.Records < 5 {
			return fmt.Errorf("status %+v, %v", s, err)
		}
		return nil
	})
	u.do(0, "checkpoint", "now", "counts")
	u.both(nil, nil)
	job.kill()
}

// TestSavepointOfARunningJob is written while the job goes on, and the last one
// of a stop holds everything.
func TestSavepointOfARunningJob(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	first := strings.TrimSpace(u.do(0, "savepoint", "counts", "-o", "name").stdout.String())
	if dir := filepath.Dir(first); filepath.Base(dir) != "counts" || !filepath.IsAbs(first) {
		t.Errorf("the savepoint is at %q", first)
	}
	u.do(0, "savepoint", "verify", first)
	u.cluster.write("in", countRow("b", 6, 3000))
	u.both([]string{`{"k":"b","n":3,"total":13}`}, []string{windowRow("b", 2, 1)})
	last := decoded[control.Stopped](u.do(0, "stop", "counts", "--savepoint=last", "--wait", "-o", "json"))
	job.exits(0)
	if last.Savepoint == nil || last.Savepoint.Path != u.path("last") {
		t.Fatalf("stopped %+v", last)
	}
	// The first one begins before the row, the last one behind it.
	u.cluster.write("in", countRow("b", 7, 3100))
	u.do(0, "restore", "p.yaml", "--from", "last", "-y", "--max-records", "1")
	u.both([]string{`{"k":"b","n":3,"total":13}`, `{"k":"b","n":4,"total":20}`}, []string{windowRow("b", 2, 1)})
	u.do(0, "restore", "p.yaml", "--from", first, "-y", "--max-records", "2")
	u.both([]string{`{"k":"b","n":3,"total":13}`, `{"k":"b","n":4,"total":20}`, `{"k":"b","n":3,"total":13}`, `{"k":"b","n":4,"total":20}`},
		[]string{windowRow("b", 2, 1), windowRow("b", 2, 1)})
}

// TestRestartAndRescale go back to the last checkpoint and lose nothing.
func TestRestartAndRescale(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	u.do(0, "restart", "counts")
	u.do(0, "rescale", "counts", "3", "--wait").prints("parallelism 3")
	s := decoded[control.JobStatus](u.do(0, "status", "counts", "-o", "json"))
	if s.Parallelism != 3 || s.Restarts < 1 {
		t.Errorf("status %+v", s)
	}
	u.do(exitUsage, "rescale", "counts", "400").says("outside of 1 to 4")
	u.do(exitUsage, "rescale", "counts", "many").says("not a number")
	u.cluster.write("in", countRow("b", 6, 3000))
	u.both([]string{`{"k":"b","n":3,"total":13}`}, []string{windowRow("b", 2, 1)})
	job.stop()
}

// TestControlIsOff has nothing to ask.
func TestControlIsOff(t *testing.T) {
	u := newCounts(t, "max_parallelism: 4", "max_parallelism: 4\napi: {listen: none}")
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	if strings.Contains(job.stderr.String(), "api http") {
		t.Error("an address is announced")
	}
	u.do(exitMissing, "stop", "counts")
	job.stop()
}
