//go:build harness

package main

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

const mutantVariable = "KSTREAM_MUTANT"

// TestMutantsAreCaught runs the simulation with one known fault after the other.
// A fault that no seed notices is a hole in the simulation. Each runs in a
// process of its own, since a broken build may do anything.
func TestMutantsAreCaught(t *testing.T) {
	if os.Getenv(mutantVariable) != "" || slowness > 1 {
		return // we are such a process; and the race detector has nothing to say about them
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, breaks := range map[string]string{
		"B1":  "EndTxn without a flush",
		"B2":  "failed promises are ignored",
		"B6":  "inputs are not aligned",
		"B7":  "positions are those of what was fetched",
		"B9":  "an unknown end is taken for an abort",
		"B11": "the store gets an epoch before the answer",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self, "-test.run", "^TestSimulation$", "-test.failfast", "-test.count=1")
			cmd.Env = append(os.Environ(), mutantVariable+"="+name, "KSTREAM_SEEDS=120")
			out, err := cmd.CombinedOutput()
			caught := verdictLine.FindSubmatch(out)
			if err == nil || caught == nil {
				t.Fatalf("%s survived (%v): %s\n%s", name, err, breaks, out[max(0, len(out)-4000):])
			}
			t.Logf("%s (%s) caught by seed %s: %s", name, breaks, caught[1], strings.TrimSpace(string(caught[2])))
		})
	}
}

// verdictLine is how a failing seed begins.
var verdictLine = regexp.MustCompile(`(?m)^.* seed (\d+): .*\n(.*)$`)
