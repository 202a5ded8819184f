package main

import (
	"strings"
	"testing"
)

// feed plays a run of go test -json and returns what was shown and the tally.
func feed(lines ...string) (string, *tally) {
	t := newTally()
	var shown strings.Builder
	for _, l := range lines {
		shown.WriteString(t.line([]byte(l)))
	}
	return shown.String(), t
}

var recorded = []string{
	`{"Action":"run","Package":"p","Test":"TestPlain"}`,
	`{"Action":"output","Package":"p","Test":"TestPlain","Output":"noise\n"}`,
	`{"Action":"pass","Package":"p","Test":"TestPlain"}`,
	`{"Action":"run","Package":"p","Test":"TestKill"}`,
	`{"Action":"run","Package":"p","Test":"TestKill/before=record"}`,
	`{"Action":"run","Package":"p","Test":"TestKill/before=record/kfaked"}`,
	`{"Action":"pass","Package":"p","Test":"TestKill/before=record/kfaked"}`,
	`{"Action":"run","Package":"p","Test":"TestKill/before=record/kafka1"}`,
	`{"Action":"pass","Package":"p","Test":"TestKill/before=record/kafka1"}`,
	`{"Action":"pass","Package":"p","Test":"TestKill/before=record"}`,
	`{"Action":"pass","Package":"p","Test":"TestKill"}`,
	`{"Action":"output","Package":"p","Output":"broker-report: {\"broker\":\"kafka1\",\"version\":\"4.3.1\"}\n"}`,
	`{"Action":"output","Package":"p","Output":"broker-report: {\"broker\":\"redpanda\",\"missed\":7,\"not_run\":\"docker engine not reachable\"}\n"}`,
	`{"Action":"output","Package":"p","Output":"PASS\n"}`,
	`{"Action":"output","Package":"p","Output":"ok  \tp\t0.1s\n"}`,
	`{"Action":"pass","Package":"p"}`,
}

func TestTableCountsLeavesByBroker(t *testing.T) {
	shown, tally := feed(recorded...)
	if shown != "ok  \tp\t0.1s\n" {
		t.Errorf("shown %q, want only the package line", shown)
	}
	text, ok := tally.table([]string{"kfaked", "kafka1"})
	if !ok {
		t.Error("a run whose required brokers ran is red")
	}
	want := `
broker     version  tests  run  failed  not run
no broker  -        1      1    0       -
kfake      -        0      0    0       NOT RUN: no test of these packages uses it (required: no)
kfaked     -        1      1    0       -
kafka1     4.3.1    1      1    0       -
redpanda   -        7      0    0       NOT RUN: docker engine not reachable (required: no)
RESULT: green with 2 brokers NOT RUN
`
	if text != want {
		t.Errorf("table is\n%s\nwant\n%s", text, want)
	}
}

func TestRequiredBrokerThatDidNotRunIsRed(t *testing.T) {
	_, tally := feed(recorded...)
	text, ok := tally.table([]string{"redpanda"})
	if ok || !strings.Contains(text, "RESULT: red: redpanda is required and did not run") || !strings.Contains(text, "(required: yes)") {
		t.Errorf("a required broker was missing, and the table says\n%s", text)
	}
}

func TestFailuresAreShownAndCounted(t *testing.T) {
	shown, tally := feed(
		`{"Action":"run","Package":"p","Test":"TestA"}`,
		`{"Action":"run","Package":"p","Test":"TestA/kafka1"}`,
		`{"Action":"output","Package":"p","Test":"TestA/kafka1","Output":"the reason\n"}`,
		`{"Action":"fail","Package":"p","Test":"TestA/kafka1"}`,
		`{"Action":"fail","Package":"p","Test":"TestA"}`,
		`{"Action":"run","Package":"p","Test":"TestDied"}`,
		`{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}`,
		`{"Action":"fail","Package":"p"}`,
	)
	if !strings.Contains(shown, "the reason") {
		t.Errorf("the output of a failed test is not shown: %q", shown)
	}
	text, ok := tally.table(nil)
	if ok || !strings.Contains(text, "RESULT: red: 2 tests failed; failed: p") {
		t.Errorf("one failed and one died, and the table says\n%s", text)
	}
}

func TestNothingRunIsRed(t *testing.T) {
	shown, tally := feed(
		`{"ImportPath":"p","Action":"build-output","Output":"./x.go:1: broken\n"}`,
		`{"Action":"start","Package":"p"}`,
		`not json`,
	)
	if shown != "./x.go:1: broken\nnot json\n" {
		t.Errorf("shown %q, want the compiler's words and the line that is no JSON", shown)
	}
	if text, ok := tally.table(nil); ok || !strings.Contains(text, "no test ran") {
		t.Errorf("no test ran, and the table says\n%s", text)
	}
}

func TestGreenWithoutQualificationNeedsEveryBroker(t *testing.T) {
	var lines []string
	for _, b := range []string{"kfake", "kfaked", "kafka1", "redpanda"} {
		lines = append(lines, `{"Action":"run","Package":"p","Test":"TestA/`+b+`"}`, `{"Action":"pass","Package":"p","Test":"TestA/`+b+`"}`)
	}
	_, tally := feed(lines...)
	if text, ok := tally.table(nil); !ok || !strings.HasSuffix(text, "RESULT: green\n") {
		t.Errorf("every broker ran, and the table says\n%s", text)
	}
}
