// Package structure is the shape of the repository as data, and the test that
// holds the source to it: which package may import which, through which package
// a module from outside enters, how long a function and a file may be, and what
// the pure layers must not touch. docs/ARCHITECTURE.md prints the table.
package structure

import (
	"fmt"
	"strings"
)

// Shell is the first layer that may have goroutines, clocks, files and sockets.
const Shell = 5

// Limits of size, in lines. A function that is longer tells more than one story.
const (
	FunctionMax = 70
	Function90  = 35 // nine of ten functions are not longer
	FileMax     = 600
	TestFileMax = 1000
)

// Package is one row of the table.
type Package struct {
	Layer   int
	Path    string // below the module
	Says    string // what it is for, in one sentence
	Modules []string
}

// Layers returns the packages of the product, bottom-up. A package imports only
// packages of lower layers, never one of its own.
func Layers() []Package {
	return []Package{
		{0, "record", "Row, Value, Type, Timestamp, TopicPartition, Offset: the nouns, no behaviour but access, compare, format", nil},
		{1, "codec", "bytes to rows and back: json, string, bytes; order-preserving key encoding; zstd, gzip", []string{"github.com/klauspost/compress"}},
		{1, "expr", "Expr syntax to checked types to typed closures over slots; pure, every error with a position", []string{"github.com/expr-lang/expr"}},
		{1, "window", "assigners, lateness, watermark arithmetic: pure functions of time", nil},
		{2, "topology", "pipeline file to Spec to Plan, diagnostics, plan as text, state fingerprints", []string{"gopkg.in/yaml.v3"}},
		{2, "state", "keyed state per key group: hot memory, dirty set, Pebble, timers; the epoch batch", []string{"github.com/cockroachdb/pebble/v2"}},
		{2, "checkpoint", "the coordinator's state machine and the checkpoint record's format; no I/O", nil},
		{3, "operator", "one file per operator: a state machine over rows, state and watermarks", nil},
		{3, "changelog", "epoch delta to records; records to state", nil},
		{3, "source", "event time, watermarks, partition order", nil},
		{3, "source/nexmark", "the events of the Nexmark benchmark, the same bytes as other programs make", nil},
		{3, "sink", "encoding and partitioning", nil},
		{3, "sink/twophase", "Writer and Participant, the contracts of two-phase commit", nil},
		{4, "sink/twophase/contract", "the test every participant must pass", nil},
		{4, "sink/twophase/stagedfile", "the file sink, a participant: files that appear at the commit", nil},
		{4, "savepoint", "a checkpoint as a portable, checksummed directory, and back", nil},
		{5, "runtime", "tasks, exchanges, lifecycle, commit, restore, restart strategies, metrics; declares what it needs of Kafka", []string{"github.com/prometheus/client_golang", "golang.org/x/sys"}},
		{5, "control", "the control API of a running job: server, client, and the run files by which commands find jobs", nil},
		{5, "internal/kafka", "the only user of the Kafka client: consumers, the transactional session, topics, security, one error classifier; the embedded broker", []string{"github.com/twmb/franz-go"}},
		{6, "cmd/kstream", "one file per command, wiring only", []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"}},
	}
}

// Tools returns the packages around the product, which it never imports.
func Tools() []Package {
	kafka := []string{"github.com/twmb/franz-go"}
	return []Package{
		{7, "internal/structure", "this table and its test", nil},
		{7, "testcontainers", "the integration suite: the real binary against every broker that can start", nil},
		{7, "testcontainers/broker", "broker fixtures", append([]string{"github.com/testcontainers/testcontainers-go"}, kafka...)},
		{7, "testcontainers/fake", "the settings of the fake brokers", nil},
		{7, "testcontainers/kfaked", "the fake broker as its own process", kafka},
		{7, "testcontainers/report", "what a suite tells the summary", nil},
		{7, "testcontainers/summary", "runs the tests and says which brokers they ran against", nil},
		{7, "testcontainers/verify", "the verifier: outputs computed anew, without product code", kafka},
		{7, "bench", "end-to-end benchmarks beside a bare copy", kafka},
		{7, "bench/barecopy", "the yardstick: a transactional copy with the Kafka client alone", kafka},
	}
}

// Markdown is the table as docs/ARCHITECTURE.md prints it.
func Markdown() string {
	var b strings.Builder
	b.WriteString("| layer | package | says in one sentence | third party |\n|---|---|---|---|\n")
	for _, p := range Layers() {
		modules := "–"
		if len(p.Modules) > 0 {
			modules = strings.Join(p.Modules, ", ")
		}
		fmt.Fprintf(&b, "| %d | `%s` | %s | %s |\n", p.Layer, p.Path, p.Says, modules)
	}
	for _, p := range Tools() {
		fmt.Fprintf(&b, "| – | `%s` | %s | |\n", p.Path, p.Says)
	}
	return b.String()
}
