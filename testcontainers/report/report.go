// Package report is what a suite tells the summary beside its test results:
// which version of a broker ran, and what did not run and why.
package report

import (
	"encoding/json"
	"fmt"
	"io"
)

// Prefix begins a line of standard output that holds a Report.
const Prefix = "broker-report: "

// Report is about one broker in one test process.
type Report struct {
	Broker  string `json:"broker"`
	Version string `json:"version,omitempty"`
	Missed  int    `json:"missed,omitempty"`  // tests that would have run
	NotRun  string `json:"not_run,omitempty"` // the reason, on one line
}

// Write prints the report as the summary reads it.
func (r Report) Write(w io.Writer) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write the report on %s: %w", r.Broker, err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", Prefix, b)
	return err
}

// Brokers lists the brokers in the order of the table.
func Brokers() []string { return []string{"kfake", "kfaked", "kafka1", "redpanda"} }
