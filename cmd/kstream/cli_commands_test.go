package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// countsYAML counts per key; everything the tests of the command line need is
// in it or replaced in it.
const countsYAML = `version: 1
name: counts
parallelism: 2
max_parallelism: 4
checkpoint: {interval: 50ms}
sources:
  in:
    topic: in
    schema: {k: string!, n: int!, ts: timestamp!}
    event_time: ts
    watermark: {ascending: true, idle: none, every: 10ms}
streams:
  counts:
    from: in
    steps:
      - key_by: k
      - aggregate: {k: $key, n: count(), total: sum(n)}
  windows:
    from: in
    steps:
      - key_by: k
      - window: {tumbling: 1s}
      - aggregate: {k: $key, start: $window.start, n: count()}
sinks:
  counts: {from: counts, topic: counts}
  windows: {from: windows, topic: windows}
`

// copyYAML copies a topic.
const copyYAML = `version: 1
name: copy
checkpoint: {interval: 50ms}
source: {topic: in}
sink: {topic: out}
`

// badYAML has two errors.
const badYAML = `version: 1
name: bad
source: {topik: in}
steps:
  - filter: n >
sink: {topic: out}
`

func allCommands(c *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{c}
	for _, sub := range c.Commands() {
		if sub.Name() != "completion" && sub.Name() != "help" {
			all = append(all, allCommands(sub)...)
		}
	}
	return all
}

// TestEveryCommandIsExplained demands a summary and an example of every command,
// the meaning of its exit codes and of every flag, in lines that fit a terminal.
func TestEveryCommandIsExplained(t *testing.T) {
	for _, c := range allCommands(rootCommand()) {
		if c.Short == "" || c.Example == "" {
			t.Errorf("%s: short text %q, example %q", c.CommandPath(), c.Short, c.Example)
		}
		if !strings.Contains(c.Example, "kstream "+strings.TrimPrefix(c.CommandPath(), "kstream ")) && c.HasParent() {
			t.Errorf("%s: the example does not use it: %q", c.CommandPath(), c.Example)
		}
		if !strings.Contains(c.Long, "Exit codes: 0 ") {
			t.Errorf("%s does not say what its exit codes mean: %q", c.CommandPath(), c.Long)
		}
		for line := range strings.Lines(c.Long) {
			if n := len([]rune(line)); n > 91 {
				t.Errorf("%s: a line of its help has %d characters", c.CommandPath(), n)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing", c.CommandPath(), f.Name)
			}
		})
	}
}

// TestFlags demands exactly the promised commands and flags.
func TestFlags(t *testing.T) {
	resolve := []string{"env-file", "no-env", "set"}
	start := append([]string{"brokers", "embedded", "embedded-dir", "parallelism", "until", "drain", "max-records",
		"stdout", "from", "offsets", "reset", "accept", "yes"}, resolve...)
	save := append([]string{"to", "brokers"}, resolve...)
	look := append([]string{"brokers", "savepoint", "pipeline"}, resolve...)
	want := map[string][]string{
		"run": start, "restore": start,
		"plan":     append([]string{"from", "accept", "reset", "exit-code", "brokers"}, resolve...),
		"validate": append([]string{"connect"}, resolve...),
		"graph":    append([]string{"physical"}, resolve...),
		"config":   append([]string{"defaults"}, resolve...),
		"schema":   {"out"}, "version": nil, "explain": nil,
		"expr": {"record", "in", "format", "schema", "key", "ts"},
		"ps":   {"watch"}, "status": {"operators", "watch"}, "stop": {"savepoint", "drain", "now", "wait", "yes"},
		"restart": nil, "rescale": {"wait"}, "checkpoint": nil, "checkpoint ls": nil, "checkpoint now": nil,
		"savepoint": save, "savepoint create": save, "savepoint ls": nil, "savepoint show": nil, "savepoint verify": nil,
		"savepoint rm": {"yes"}, "nexmark": nil,
		"state": nil, "state ls": look, "state get": append([]string{"window"}, look...),
		"state scan":   append([]string{"limit", "prefix", "where", "window"}, look...),
		"state export": append([]string{"format", "pipeline"}, resolve...),
		"state diff":   append([]string{"exit-code", "pipeline", "uid"}, resolve...),
		"nexmark generate": {"auction-proportion", "base-time", "bid-proportion", "brokers", "count", "escapes", "from", "out-of-order",
			"pace", "partitions", "person-proportion", "rate", "seed", "set", "topic"},
	}
	got := map[string]bool{}
	for _, c := range allCommands(rootCommand())[1:] {
		path := strings.TrimPrefix(c.CommandPath(), "kstream ")
		got[path] = true
		var flags []string
		c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
		slices.Sort(flags)
		if promised := slices.Sorted(slices.Values(want[path])); !slices.Equal(flags, promised) {
			t.Errorf("%s has the flags %q, want %q", path, flags, promised)
		}
	}
	if names := slices.Sorted(maps.Keys(got)); !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Errorf("the commands are %q", names)
	}
}

// TestHelp shows help on stdout with exit code 0, for each command too.
func TestHelp(t *testing.T) {
	u := newUser(t)
	u.do(0, "help").prints("Exit codes", "run", "validate", "graph", "schema", "config", "version", "completion", "Examples")
	for _, c := range rootCommand().Commands() {
		u.do(0, c.Name(), "--help").prints("Usage:", "Examples:", "--output", strings.Split(cmp.Or(c.Long, c.Short), "\n")[0])
	}
}

// TestWrongUsage ends with 2, says what is wrong on stderr and nothing on stdout.
func TestWrongUsage(t *testing.T) {
	u := newUser(t)
	u.file("pipeline.yaml", copyYAML)
	for _, c := range []struct{ args, says string }{
		{"frobnicate", `unknown command "frobnicate"`},
		{"run", "accepts 1 arg(s), received 0"},
		{"run a b", "accepts 1 arg(s), received 2"},
		{"validate", "requires at least 1 arg(s)"},
		{"run pipeline.yaml --nonsense", "unknown flag: --nonsense"},
		{"run pipeline.yaml --until soon", `invalid argument "soon" for "--until"`},
		{"run pipeline.yaml --until -5s", "cannot be negative"},
		{"run pipeline.yaml --max-records -1", "cannot be negative"},
		{"run pipeline.yaml --parallelism -1", "cannot be negative"},
		{"run pipeline.yaml --accept everything", "--accept everything is not one of dropped-state, kafka-loss"},
		{"run pipeline.yaml --reset nothing", "--reset nothing"},
		{"run pipeline.yaml --embedded-dir x", "--embedded-dir needs --embedded"},
		{"run pipeline.yaml --embedded --brokers localhost:9092", "exclude each other"},
		{"run pipeline.yaml --embedded --stdout", "exclude each other"},
		{"run pipeline.yaml -o yaml", "--output yaml is not one of text, json"},
		{"validate pipeline.yaml -o yaml", "--output yaml is not one of text, json"},
		{"version -o yaml", "--output yaml is not one of text, json"},
		{"graph pipeline.yaml -o json", "-o json is not one of ascii, mermaid, dot"},
		{"graph pipeline.yaml --physical -o dot", "--physical"},
		{"config pipeline.yaml -o json", "--output json"},
		{"schema test", `there is no schema "test"`},
		{"schema -o yaml", "--output yaml"},
		{"version x", "unknown command"},
	} {
		cmd := u.do(exitUsage, strings.Fields(c.args)...)
		cmd.says(c.says)
		if out := cmd.stdout.String(); out != "" {
			t.Errorf("%s prints %q", c.args, out)
		}
	}
}

// TestInvalidPipeline ends with 3 in every command that reads a pipeline; the
// errors are all there, with their places.
func TestInvalidPipeline(t *testing.T) {
	u := newUser(t)
	u.file("bad.yaml", badYAML)
	for _, args := range []string{"run bad.yaml", "run bad.yaml --embedded", "graph bad.yaml", "config bad.yaml"} {
		cmd := u.do(exitInvalid, strings.Fields(args)...)
		cmd.says("bad.yaml:3:10: error[unknown-field]", "did you mean", "bad.yaml:5:", "error[bad-expression]")
		if out := cmd.stdout.String(); out != "" {
			t.Errorf("%s prints %q", args, out)
		}
	}
	cmd := u.do(exitInvalid, "validate", "bad.yaml")
	cmd.prints("bad.yaml:3:10: error[unknown-field]", "bad.yaml:5:")
	cmd.says("✗ 1 file, 2 errors")
}

// TestMissingFile ends with 5 and names the file.
func TestMissingFile(t *testing.T) {
	u := newUser(t)
	u.file("pipeline.yaml", copyYAML)
	for _, args := range []string{"run none.yaml", "validate none.yaml", "validate pipeline.yaml none.yaml", "graph none.yaml",
		"config none.yaml", "config pipeline.yaml --env-file none.yaml"} {
		u.do(exitEnvironment, strings.Fields(args)...).says("none.yaml")
	}
	u.do(exitEnvironment, "schema", "--out", "no/such/dir").says("no/such/dir")
}

// TestValidateFiles checks several files, and standard input under the name "-".
func TestValidateFiles(t *testing.T) {
	u := newUser(t)
	u.file("a.yaml", copyYAML)
	u.file("b.yaml", countsYAML)
	u.file("bad.yaml", badYAML)
	cmd := u.do(0, "validate", "a.yaml", "b.yaml")
	cmd.says("✓ 2 files, 0 errors")
	cmd = u.do(exitInvalid, "validate", "a.yaml", "bad.yaml", "b.yaml")
	cmd.says("✗ 3 files, 2 errors")
	cmd.prints("bad.yaml:3:10")

	in := u.start(strings.NewReader(badYAML), "validate", "-")
	in.exits(exitInvalid)
	in.prints("-:3:10: error[unknown-field]")
	in = u.start(strings.NewReader(copyYAML), "validate", "-")
	in.exits(0)
	in.says("✓ 1 file, 0 errors")
}

// TestValidateJSON holds the shape of the report, which is on stdout alone.
func TestValidateJSON(t *testing.T) {
	u := newUser(t)
	u.file("a.yaml", copyYAML)
	u.file("bad.yaml", badYAML)
	u.file("syntax.yaml", "version: 1\nname: [\n")
	var report struct {
		Kind    string
		Version int
		OK      bool
		Summary struct{ Files, Errors, Warnings int }
		Files   []struct {
			Path        string
			OK          bool
			Diagnostics []map[string]any
		}
	}
	cmd := u.do(exitInvalid, "validate", "a.yaml", "bad.yaml", "syntax.yaml", "-o", "json")
	if err := json.Unmarshal([]byte(cmd.stdout.String()), &report); err != nil {
		t.Fatal(err)
	}
	if report.Kind != "ValidateReport" || report.Version != 1 || report.OK || report.Summary.Files != 3 || report.Summary.Errors != 3 {
		t.Errorf("%+v", report)
	}
	if len(report.Files) != 3 || !report.Files[0].OK || report.Files[1].OK || report.Files[1].Path != "bad.yaml" {
		t.Fatalf("%+v", report.Files)
	}
	d := report.Files[1].Diagnostics[0]
	if d["severity"] != "error" || d["code"] != "unknown-field" || d["line"] != 3.0 || d["column"] != 10.0 || d["message"] == nil {
		t.Errorf("%v", d)
	}
	if d := report.Files[2].Diagnostics[0]; d["column"] != nil || d["line"] == nil {
		t.Errorf("a syntax error has a line and no column: %v", d)
	}
	ok := u.do(0, "validate", "a.yaml", "-o", "json")
	report.OK = false
	if err := json.Unmarshal([]byte(ok.stdout.String()), &report); err != nil || !report.OK {
		t.Errorf("%v %+v", err, report)
	}
}

// TestValidateConnect asks the cluster for what only it knows.
func TestValidateConnect(t *testing.T) {
	u := newKafkaUser(t)
	u.file("copy.yaml", copyYAML)
	cmd := u.do(exitInvalid, "validate", "copy.yaml", "--connect")
	cmd.prints("error[unknown-topic]", `the cluster has no topic "in"`, `the cluster has no topic "out"`, "copy.yaml:4:")
	u.cluster.topic("in", 1)
	u.cluster.topic("out", 1)
	u.do(0, "validate", "copy.yaml", "--connect")
	u.do(0, "validate", "copy.yaml")
	long := u.do(exitInvalid, "validate", "copy.yaml", "--connect", "--set", "checkpoint.transaction_timeout=1h")
	long.prints("error[transaction-timeout]", "15m")
	if got := u.cluster.topics(); !slices.Equal(got, []string{"in", "out"}) {
		t.Errorf("validate made topics: %q", got)
	}
}

// TestUnreachableCluster ends with 5 and the address.
func TestUnreachableCluster(t *testing.T) {
	u := newUser(t)
	u.env = []string{"KSTREAM_BROKERS=127.0.0.1:1"}
	u.file("copy.yaml", copyYAML)
	run, validate := u.start(nil, "run", "copy.yaml"), u.start(nil, "validate", "copy.yaml", "--connect")
	run.exits(exitEnvironment)
	run.says("cannot reach 127.0.0.1:1", "connection refused")
	validate.exits(exitEnvironment)
	validate.says("cannot reach 127.0.0.1:1", "connection refused")
}

// TestGraph draws the streams in three forms, and what runs.
func TestGraph(t *testing.T) {
	u := newUser(t)
	u.file("counts.yaml", countsYAML)
	u.do(0, "graph", "counts.yaml").prints("in", "counts", "windows", "sink")
	ascii := u.do(0, "graph", "counts.yaml", "-o", "ascii")
	if ascii.stdout.String() != u.do(0, "graph", "counts.yaml").stdout.String() {
		t.Error("ascii is not the default")
	}
	u.do(0, "graph", "counts.yaml", "-o", "mermaid").prints("flowchart LR\n", "-->")
	u.do(0, "graph", "counts.yaml", "-o", "dot").prints("digraph ", "->", "}")
	u.do(0, "graph", "counts.yaml", "--physical").prints("counts/aggregate", "windows/aggregate", "sink:counts")
	in := u.start(strings.NewReader(countsYAML), "graph", "-")
	in.exits(0)
	in.prints("windows")
}

// TestSchema prints a JSON Schema, or writes it to a file.
func TestSchema(t *testing.T) {
	u := newUser(t)
	cmd := u.do(0, "schema")
	var schema map[string]any
	if err := json.Unmarshal([]byte(cmd.stdout.String()), &schema); err != nil {
		t.Fatal(err)
	}
	if s, _ := schema["$schema"].(string); !strings.Contains(s, "json-schema.org") || schema["properties"] == nil {
		t.Errorf("$schema is %q", s)
	}
	u.do(0, "schema", "pipeline", "--out", "s.json")
	if b, err := os.ReadFile(u.path("s.json")); err != nil || string(b) != cmd.stdout.String() {
		t.Errorf("the file is not what is printed: %v", err)
	}
}

// TestConfig prints the file as it is understood, with no secret in it.
func TestConfig(t *testing.T) {
	u := newUser(t)
	u.file("p.yaml", copyYAML+`kafka:
  brokers: ${ADDRESS}
  sasl: {mechanism: plain, username: me, password: "${SECRET}"}
  tls: true
`)
	u.file("env", "ADDRESS=one:9092\nSECRET=hunter2\n")
	cmd := u.do(0, "config", "p.yaml", "--env-file", "env")
	cmd.prints("one:9092", "username: me")
	for _, out := range []string{cmd.stdout.String(), cmd.stderr.String(),
		u.do(0, "config", "p.yaml", "--env-file", "env", "--defaults").stdout.String()} {
		if strings.Contains(out, "hunter2") {
			t.Errorf("the password is shown: %s", out)
		}
	}
	u.do(0, "config", "p.yaml", "--env-file", "env", "--defaults").prints("max_parallelism: 32", "transaction_timeout: 1m", "backend: disk")
	if strings.Contains(cmd.stdout.String(), "max_parallelism") {
		t.Error("defaults are shown without --defaults")
	}

	u.env = []string{"ADDRESS=two:9092"} // the real environment wins
	u.do(0, "config", "p.yaml", "--env-file", "env").prints("two:9092")
	u.do(exitInvalid, "config", "p.yaml").says("SECRET", "p.yaml:8:")
	u.do(exitInvalid, "config", "p.yaml", "--env-file", "p.yaml").says("p.yaml")
	// What is printed is a pipeline again.
	u.file("again.yaml", u.do(0, "config", "p.yaml", "--env-file", "env", "--set", "parallelism=3").stdout.String())
	u.do(0, "config", "again.yaml").prints("parallelism: 3", "two:9092")
}

// TestNoEnv leaves ${…} alone.
func TestNoEnv(t *testing.T) {
	u := newUser(t)
	u.file("p.yaml", copyYAML+"description: costs ${MONEY}\n")
	u.do(exitInvalid, "validate", "p.yaml").prints("MONEY", "p.yaml:6:")
	u.do(0, "validate", "p.yaml", "--no-env")
	u.do(0, "config", "p.yaml", "--no-env").prints("${MONEY}")
}

// TestSet sets fields by their path; errors are those of the file, with --set as
// its name.
func TestSet(t *testing.T) {
	u := newUser(t)
	u.file("p.yaml", copyYAML)
	u.do(0, "config", "p.yaml", "--set", "checkpoint.interval=100ms", "--set", "sink.topic=other").
		prints("interval: 100ms", "topic: other")
	for set, says := range map[string]string{
		"checkpoint.interval=soon": "--set:1:21: error[bad-duration]",
		"checkpoint.intervall=1s":  "--set:1:12: error[unknown-field]",
		"checkpoint":               "--set:1:1: error[bad-value]",
	} {
		u.do(exitInvalid, "config", "p.yaml", "--set", set).says(says)
	}
}

// TestVersion prints the version, also as JSON.
func TestVersion(t *testing.T) {
	u := newUser(t)
	u.do(0, "version").prints("kstream "+release, "language version 1")
	o := objects(t, u.do(0, "version", "-o", "json").stdout.String())
	if len(o) != 1 || o[0]["kind"] != "Version" || o[0]["version"] != 1.0 || o[0]["release"] != release || o[0]["commit"] == nil {
		t.Errorf("%v", o)
	}
}

// TestCompletion prints a script for each shell that the shell can read, and
// completes commands.
func TestCompletion(t *testing.T) {
	u := newUser(t)
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		u.do(0, "completion", shell).prints("kstream")
	}
	u.file("c.bash", u.do(0, "completion", "bash").stdout.String())
	if out, err := exec.Command("bash", "-n", u.path("c.bash")).CombinedOutput(); err != nil {
		t.Errorf("bash cannot read it: %v: %s", err, out)
	}
	u.do(0, "__complete", "va").prints("validate")
	u.do(0, "__complete", "run", "--re").prints("--reset")
	// A pipeline file is what the commands take.
	u.do(0, "__complete", "run", "").prints("yaml", "yml", ":8")
}
