package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"kstream/testcontainers/report"
)

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// tally counts tests. Only leaves count: a test with subtests is their sum.
type tally struct {
	running map[string]*strings.Builder // output of tests without a verdict, by package and name
	parents map[string]bool
	result  map[string]string // pass, fail or skip, by package and name
	failed  []string          // packages
	reports map[string]report.Report
}

func newTally() *tally {
	return &tally{
		running: map[string]*strings.Builder{}, parents: map[string]bool{},
		result: map[string]string{}, reports: map[string]report.Report{},
	}
}

// line takes one line of go test -json and returns what to show of it: the
// output of what failed, and the package lines.
func (t *tally) line(b []byte) string {
	var e event
	if json.Unmarshal(b, &e) != nil {
		return string(b) + "\n" // not JSON: an error of the go command
	}
	switch {
	case e.Action == "build-output":
		return e.Output
	case e.Action == "output" && e.Test == "":
		return t.packageOutput(e)
	case e.Test == "":
		if e.Action == "fail" {
			t.failed = append(t.failed, e.Package)
		}
		return ""
	}
	return t.testEvent(e)
}

// packageOutput shows the closing line of a package and what it prints outside
// its tests, and keeps the reports.
func (t *tally) packageOutput(e event) string {
	if text, ok := strings.CutPrefix(e.Output, report.Prefix); ok {
		var r report.Report
		if json.Unmarshal([]byte(text), &r) == nil {
			t.add(r)
			return ""
		}
	}
	if e.Output == "PASS\n" || strings.Contains(e.Output, "[no test files]") || strings.HasPrefix(e.Output, "coverage:") {
		return ""
	}
	return e.Output
}

func (t *tally) testEvent(e event) string {
	id := e.Package + " " + e.Test
	if i := strings.LastIndexByte(id, '/'); i > len(e.Package) {
		t.parents[id[:i]] = true
	}
	out := t.running[id]
	if out == nil {
		out = &strings.Builder{}
		t.running[id] = out
	}
	switch e.Action {
	case "output":
		out.WriteString(e.Output)
	case "pass", "skip", "fail":
		t.result[id] = e.Action
		delete(t.running, id)
		if e.Action == "fail" {
			return out.String()
		}
	}
	return ""
}

// add merges a report: several packages may use one broker.
func (t *tally) add(r report.Report) {
	was := t.reports[r.Broker]
	r.Missed += was.Missed
	if r.Version == "" {
		r.Version = was.Version
	}
	if r.NotRun == "" {
		r.NotRun = was.NotRun
	}
	t.reports[r.Broker] = r
}

// counts are the tests of one broker.
type counts struct{ run, failed int }

// count sorts the leaves by broker; "" has those without one. A test that began
// and has no verdict failed: its process died.
func (t *tally) count() map[string]counts {
	for id := range t.running {
		if t.result[id] == "" {
			t.result[id] = "fail"
		}
	}
	by := map[string]counts{}
	for id, result := range t.result {
		if t.parents[id] || result == "skip" {
			continue
		}
		name := ""
		for _, part := range strings.Split(id[strings.IndexByte(id, ' ')+1:], "/") {
			if slices.Contains(report.Brokers(), part) {
				name = part
			}
		}
		c := by[name]
		c.run++
		if result == "fail" {
			c.failed++
		}
		by[name] = c
	}
	return by
}

// table prints the closing table; ok is the verdict over tests and brokers.
func (t *tally) table(required []string) (text string, ok bool) {
	by := t.count()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nbroker\tversion\ttests\trun\tfailed\tnot run")
	fmt.Fprintf(w, "no broker\t-\t%d\t%d\t%d\t-\n", by[""].run, by[""].run, by[""].failed)
	failed, notRun := by[""].failed, 0
	var reasons []string
	for _, name := range report.Brokers() {
		c, r, must := by[name], t.reports[name], slices.Contains(required, name)
		why := "-"
		if c.run == 0 || r.Missed > 0 {
			notRun++
			why = notRunText(r, must)
			if must {
				reasons = append(reasons, name+" is required and did not run")
			}
		}
		version := r.Version
		if version == "" {
			version = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", name, version, c.run+r.Missed, c.run, c.failed, why)
		failed += c.failed
	}
	w.Flush()
	if failed > 0 {
		reasons = append(reasons, plural(failed, "test")+" failed")
	}
	if len(t.failed) > 0 {
		reasons = append(reasons, "failed: "+strings.Join(t.failed, ", "))
	}
	total := 0
	for _, c := range by {
		total += c.run
	}
	if total == 0 {
		reasons = append(reasons, "no test ran")
	}
	fmt.Fprintln(&b, verdict(reasons, notRun))
	return b.String(), len(reasons) == 0
}

func notRunText(r report.Report, required bool) string {
	why, must := r.NotRun, "no"
	if why == "" {
		why = "no test of these packages uses it"
	}
	if required {
		must = "yes"
	}
	return fmt.Sprintf("NOT RUN: %s (required: %s)", why, must)
}

// verdict is the last line. Green without qualification is said only if nothing
// was left out.
func verdict(reasons []string, notRun int) string {
	switch {
	case len(reasons) > 0:
		return "RESULT: red: " + strings.Join(reasons, "; ")
	case notRun > 0:
		return "RESULT: green with " + plural(notRun, "broker") + " NOT RUN"
	default:
		return "RESULT: green"
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
