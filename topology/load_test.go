package topology

import (
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write what is printed into the golden files")

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == string(got) {
		return
	}
	a, b := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("%s line %d:\nwant %s\ngot  %s", path, i+1, a[i], b[i])
		}
	}
	t.Fatalf("%s: want %d lines, got %d", path, len(a), len(b))
}

// testFiles reads as the command does inside the folder of the bad files.
func testFiles(name string) ([]byte, error) {
	if filepath.IsLocal(name) {
		name = filepath.Join("testdata/bad", name)
	}
	return os.ReadFile(name)
}

func testOptions() Options { return Options{ReadFile: testFiles} }

func badFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 120 {
		t.Fatalf("found %d bad files, err %v", len(files), err)
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestBadFiles prints every bad file as `kstream validate *.yaml` does inside
// the folder.
func TestBadFiles(t *testing.T) {
	var out strings.Builder
	for _, file := range badFiles(t) {
		spec, plan, ds := Validate(filepath.Base(file), read(t, file), testOptions())
		if !HasErrors(ds) || plan != nil {
			t.Errorf("%s passes", file)
		}
		out.WriteString(RenderText(ds, spec.Lines))
	}
	golden(t, "testdata/bad/expected.txt", []byte(out.String()))
}

// notBuiltYet lists the files of the language's own collection that need parts
// this release does not have, with how they are answered.
var notBuiltYet = map[string][]string{
	"e18-state.yaml":           {`"join" is not built yet`},
	"e29-references_test.yaml": {"pipeline tests are not built yet"},
}

// TestLanguageFiles: the language's own bad files print exactly what the
// language says, but for those that need unbuilt parts.
func TestLanguageFiles(t *testing.T) {
	want := map[string]string{}
	name := ""
	for _, line := range strings.SplitAfter(string(read(t, "testdata/language.txt")), "\n") {
		if file, _, ok := strings.Cut(line, ".yaml:"); ok && !strings.Contains(file, " ") {
			name = file + ".yaml"
		}
		want[name] += line
	}
	if len(want) != 29 {
		t.Fatalf("the text is about %d files", len(want))
	}
	for name, text := range want {
		spec, _, ds := Validate(name, read(t, "testdata/bad/"+name), testOptions())
		got := RenderText(ds, spec.Lines)
		if _, unbuilt := notBuiltYet[name]; !unbuilt && got != text {
			t.Errorf("got:\n%swant:\n%s", got, text)
		} else if unbuilt && got == text {
			t.Errorf("%s is built", name)
		}
	}
}

func TestFilesThatNeedUnbuiltParts(t *testing.T) {
	for name, want := range notBuiltYet {
		_, ds := Load(name, read(t, "testdata/bad/"+name), testOptions())
		var got []string
		for _, d := range ds {
			if d.Code == "reserved" {
				got = append(got, d.Message)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// catalogue is the codes of language.md 4.16 that a file can be answered with;
// those of parts that are not built are left out.
var catalogue = []string{
	"yaml-syntax", "yaml-limit", "yaml-swallowed", "duplicate-key", "ambiguous-text", "wrong-type", "bad-value", "bad-duration",
	"bad-size", "bad-rate", "bad-name", "bad-field-name", "unknown-field", "missing-field", "missing-value", "conflicting-fields",
	"reserved", "duplicate-name", "duplicate-uid", "unknown-reference", "unknown-name", "unknown-function",
	"unknown-type", "unset-variable", "cycle", "unconsumed-output", "misplaced-step", "not-aggregated", "bad-expression",
	"type-mismatch", "upsert-key", "transaction-timeout", "file", "ambiguous-name",
}

func TestCatalogueIsCovered(t *testing.T) {
	text := string(read(t, "testdata/bad/expected.txt"))
	printed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\S+: error\[([a-z-]+)\]: `).FindAllStringSubmatch(text, -1) {
		printed[m[1]] = true
	}
	for _, code := range catalogue {
		if !printed[code] {
			t.Errorf("no bad file is answered with %s", code)
		}
		delete(printed, code)
	}
	for code := range printed {
		t.Errorf("%s is not in the catalogue", code)
	}
}

// TestEveryMessageHasABadFile reads the package's source: each call that
// reports something must have left its words in the golden text.
func TestEveryMessageHasABadFile(t *testing.T) {
	printed := string(read(t, "testdata/bad/expected.txt"))
	for _, file := range []string{
		"yaml.go", "load.go", "env.go", "walk.go", "scalar.go", "object.go", "forms.go", "expression.go", "types.go",
		"semantics.go", "semantics_nodes.go", "semantics_errors.go", "compile_errors.go", "compile_sink.go", "compile_steps.go", "changes.go", "layout.go",
	} {
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			message := messageOf(call)
			if message == nil {
				return true
			}
			calls++
			if words := longestWords(message); words != "" && !strings.Contains(printed, words) && !neverPrinted[words] {
				t.Errorf("%s: no bad file prints %q", set.Position(call.Pos()), words)
			}
			return true
		})
		if calls == 0 {
			t.Errorf("%s reports nothing", file)
		}
	}
}

// neverPrinted is what no bad file of a sensible size can cause; other tests do.
var neverPrinted = map[string]bool{"files cannot be read here": true, "the file is larger than 1 MiB": true,
	"has more than 10,000 fields": true, "the environment's": true}

// messageOf is the message argument of a call that reports, or nil.
func messageOf(call *ast.CallExpr) ast.Expr {
	name := ""
	switch f := call.Fun.(type) {
	case *ast.SelectorExpr:
		name = f.Sel.Name
	case *ast.Ident:
		name = f.Name
	}
	for _, f := range []struct {
		name          string
		arguments, at int
	}{
		{"fail", 5, 3}, {"syntax", 4, 2}, {"bad", 3, 1}, {"report", 2, 0}, {"limit", 4, 2},
		{"problem", 5, 3}, {"unknownMeta", 3, 1},
	} {
		if f.name == name && f.arguments == len(call.Args) {
			return call.Args[f.at]
		}
	}
	return nil
}

var verbs = regexp.MustCompile(`%[a-z]`)

// longestWords is the longest piece of fixed text of a message.
func longestWords(e ast.Expr) string {
	longest := ""
	ast.Inspect(e, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			return true
		}
		for _, part := range verbs.Split(text, -1) {
			if part = strings.TrimSpace(part); len(part) > len(longest) {
				longest = part
			}
		}
		return true
	})
	return longest
}

func TestDiagnosticsAreWhole(t *testing.T) {
	for _, d := range loadAll(t) {
		if d.Line < 1 || d.Message == "" || d.Code == "" || d.Severity != SeverityError {
			t.Errorf("%+v is not a whole diagnostic", d)
		}
		if d.Col == 0 && d.Code != "yaml-syntax" && d.Code != "yaml-limit" {
			t.Errorf("%+v has no column", d)
		}
	}
}

func loadAll(t *testing.T) []Diagnostic {
	var out []Diagnostic
	for _, file := range badFiles(t) {
		spec, ds := Load(filepath.Base(file), read(t, file), testOptions())
		perFile := 0
		for _, d := range ds {
			perFile++
			if d.Line > len(spec.Lines) || d.Col > len([]rune(spec.Lines[d.Line-1]))+1 {
				t.Errorf("%s:%d:%d lies outside the file", file, d.Line, d.Col)
			}
		}
		if perFile > diagnosticsPerFileMax {
			t.Errorf("%s: %d diagnostics", file, perFile)
		}
		out = append(out, ds...)
	}
	return out
}

// TestGoodFiles: every good file passes, the planner included.
func TestGoodFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %d good files, err %v", len(files), err)
	}
	pipelines, err := filepath.Glob("../pipelines/*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, pipelines...) {
		spec, plan, ds := Validate(file, read(t, file), testOptions())
		if len(ds) > 0 || plan == nil {
			t.Errorf("%s is refused:\n%s", file, RenderText(ds, spec.Lines))
		}
	}
}

func mustLoad(t *testing.T, text string, o Options) *Spec {
	t.Helper()
	spec, ds := Load("test.yaml", []byte(text), o)
	if len(ds) > 0 {
		t.Fatalf("refused:\n%s", RenderText(ds, spec.Lines))
	}
	return spec
}

func TestShortFormIsTheLongForm(t *testing.T) {
	short := mustLoad(t, "version: 1\nname: a\nsource: {topic: in}\nsteps:\n  - filter: x > 1\n  - key_by: x\nsink: {topic: out}\n", Options{})
	long := mustLoad(t, "version: 1\nname: a\nsources:\n  source: {topic: in}\nstreams:\n  main:\n    from: source\n    steps:\n      - filter: x > 1\n      - key_by: x\nsinks:\n  sink: {from: main, topic: out}\n", Options{})
	if !short.Short || long.Short {
		t.Error("the form is not kept")
	}
	for _, s := range []*Spec{short, long} {
		if s.Sources[0].UID != "source:source" || s.Streams[0].Name != "main" || s.Streams[0].Steps[1].UID != "main/key_by" ||
			s.Sinks[0].UID != "sink:sink" || s.Sinks[0].From[0].Name != "main" || s.Streams[0].From[0].Name != "source" {
			t.Errorf("ids of short=%v differ", s.Short)
		}
	}
	if short.Streams[0].Steps[1].Path != "steps/1" || long.Streams[0].Steps[1].Path != "streams/main/steps/1" {
		t.Error("paths of steps")
	}
}

func TestDefaults(t *testing.T) {
	s := mustLoad(t, "version: 1\nname: a\nsource: {topic: in}\nsink: {topic: out}\n", Options{})
	src, sink := s.Sources[0], s.Sinks[0]
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"brokers", s.Kafka.Brokers, []string{"localhost:9092"}},
		{"client id", s.Kafka.ClientID, "kstream-a"},
		{"tls", s.Kafka.TLS, (*TLSSpec)(nil)},
		{"dial timeout", s.Kafka.DialTimeout, 10 * time.Second},
		{"time", s.Time, "event"},
		{"parallelism", s.Parallelism, 0},
		{"max parallelism", s.MaxParallelism, 32},
		{"checkpoint", s.Checkpoint, CheckpointSpec{Interval: time.Second, Timeout: time.Minute, TransactionTimeout: time.Minute, MaxUncommitted: 256 << 20}},
		{"buffer", s.BufferTimeout, 5 * time.Millisecond},
		{"producer", s.Producer, ProducerSpec{Compression: "snappy", Linger: 5 * time.Millisecond, BatchSize: 1 << 20}},
		{"restart", s.Restart, RestartSpec{Kind: "exponential", Initial: time.Second, Max: time.Minute, ResetAfter: 10 * time.Minute, Multiplier: 2, Jitter: 0.1, Attempts: -1, MaxFailures: -1}},
		{"state", s.State, StateSpec{Backend: "disk", Dir: "./kstream-state", Memory: 512 << 20}},
		{"internal topics", s.InternalTopics, InternalTopicsSpec{Prefix: "kstream."}},
		{"metrics", s.Metrics, MetricsSpec{Path: "/metrics"}},
		{"log", s.Log, LogSpec{Level: "info"}},
		{"group", src.Group, "kstream-a"},
		{"start", src.Start, Position{Kind: "earliest"}},
		{"stop", src.Stop, Position{Kind: "never"}},
		{"isolation", src.Isolation, "read_committed"},
		{"format", src.Format, FormatSpec{Kind: "json", Timestamp: "rfc3339", Numbers: "auto"}},
		{"key format", src.KeyFormat, FormatSpec{Kind: "auto"}},
		{"watermark", src.Watermark, WatermarkSpec{Kind: "bounded", Bound: 5 * time.Second, Idle: time.Minute, Every: 200 * time.Millisecond}},
		{"on error", src.OnError, OnErrorSpec{Kind: "fail"}},
		{"sink partition", sink.Partition, SinkPartition{Kind: "key_hash"}},
		{"record size", sink.MaxRecordSize, int64(1 << 20)},
		{"create", sink.Create, (*CreateSpec)(nil)},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %+v, want %+v", c.what, c.got, c.want)
		}
	}
}

func TestDefaultsSection(t *testing.T) {
	s := mustLoad(t, `version: 1
name: a
defaults: {on_error: skip, watermark: {bounded: 1s, idle: none}, start: latest, format: {json: {numbers: decimal}}, key_format: string}
sources:
  in: {topic: in}
  own: {topic: own, on_error: fail, start: earliest, format: bytes, watermark: none}
  made: {generate: {record: {n: $n}}}
streams:
  a: {from: in, steps: [{filter: x > 1}, {filter: x > 2, on_error: fail}]}
  b: {from: in, on_error: fail, steps: [{filter: x > 1}]}
sinks:
  out: {from: a, topic: out}
`, Options{})
	in, own, made := s.Sources[0], s.Sources[1], s.Sources[2]
	if in.OnError.Kind != "skip" || in.Watermark.Bound != time.Second || in.Watermark.Idle != 0 || in.Start.Kind != "latest" ||
		in.Format.Numbers != "decimal" || in.KeyFormat.Kind != "string" {
		t.Errorf("a source does not take the defaults: %+v", in)
	}
	if own.OnError.Kind != "fail" || own.Watermark.Kind != "none" || own.Start.Kind != "earliest" || own.Format.Kind != "bytes" {
		t.Errorf("a source's own settings do not win: %+v", own)
	}
	if made.Start.Kind != "" || made.Format.Kind != "" || made.Watermark.Bound != time.Second {
		t.Errorf("a generated source takes settings of topics: %+v", made)
	}
	if a, b := s.Streams[0].Steps, s.Streams[1].Steps; a[0].OnError.Kind != "skip" || a[1].OnError.Kind != "fail" || b[0].OnError.Kind != "fail" {
		t.Error("on_error of steps")
	}
	if out := s.Sinks[0]; out.OnError.Kind != "skip" || out.Format.Numbers != "decimal" {
		t.Errorf("a sink does not take the defaults: %+v", out)
	}
}

func TestSetFlags(t *testing.T) {
	text := "version: 1\nname: a\nsource: {topic: in}\nsteps:\n  - filter: x > 1\nsink: {topic: out}\n"
	s := mustLoad(t, text, Options{Set: []string{
		"checkpoint.interval=2s", "steps.0.filter=y < 3", "source.topic=other", "kafka.brokers=[a:1, b:2]", "state.dir=a=b",
	}})
	if s.Checkpoint.Interval != 2*time.Second || s.Streams[0].Steps[0].Filter.Text != "y < 3" || s.Sources[0].Topics[0] != "other" ||
		!slices.Equal(s.Kafka.Brokers, []string{"a:1", "b:2"}) || s.State.Dir != "a=b" {
		t.Errorf("flags are not applied: %+v", s)
	}
	var out strings.Builder
	for _, set := range []string{
		"checkpoint.intervall=2s", "checkpoint.interval=2", "parallelism=64", "steps.0.filter=y = 3", "steps.7.filter=x", "steps.x=1",
		"source.topic.x=1", "nothing", "=1", "kafka.brokers=[a", "source.format={json: {numbers: all}}", "kafka.sasl.password=hunter2",
	} {
		spec, ds := Load("test.yaml", []byte(text), Options{Set: []string{"log.level=info", set}})
		if !HasErrors(ds) {
			t.Errorf("--set %s passes", set)
		}
		out.WriteString(RenderText(ds, spec.Lines))
	}
	golden(t, "testdata/set.txt", []byte(out.String()))
}

func TestSecretsAreNotShown(t *testing.T) {
	text := "version: 1\nname: a\nsource: {topic: in}\nsink: {topic: out}\nkafka:\n  sasl: {mechanism: plain, username: u, password: canary-one, password_file: present.pem}\n  rack: \"${file:present.pem}\"\n  client_id: [x]\n"
	spec, ds := Load("a.yaml", []byte(text), testOptions())
	all := RenderText(ds, spec.Lines) + string(ReportJSON([]FileReport{{"a.yaml", ds}}))
	text = strings.Replace(strings.Replace(text, ", password_file: present.pem", "", 1), "  client_id: [x]\n", "", 1)
	spec, ds = Load("a.yaml", []byte(text), testOptions())
	if len(ds) > 0 {
		t.Fatal(RenderText(ds, spec.Lines))
	}
	all += string(ConfigText(spec, WithDefaults)) + strings.Join(spec.Lines, "\n")
	for _, secret := range []string{"canary-one", "only need it to be readable"} {
		if strings.Contains(all, secret) {
			t.Errorf("%s is shown:\n%s", secret, all)
		}
	}
	if spec.Kafka.SASL.Password != "canary-one" || !strings.HasSuffix(spec.Kafka.Rack, "only need it to be readable") {
		t.Error("the secrets are lost")
	}
}

func TestReportJSON(t *testing.T) {
	file := "testdata/bad/e09-two-ops.yaml"
	_, ds := Load("e09-two-ops.yaml", read(t, file), testOptions())
	_, syntax := Load("e06-ternary.yaml", read(t, "testdata/bad/e06-ternary.yaml"), testOptions())
	golden(t, "testdata/report.json", ReportJSON([]FileReport{{"e09-two-ops.yaml", ds}, {"e06-ternary.yaml", syntax}, {"good.yaml", nil}}))
}

func TestFileThatCannotBeRead(t *testing.T) {
	_, ds := Load("a.yaml", []byte("version: 1\nname: a\nsource: {topic: \"${file:x}\"}\nsink: {topic: b}\n"), Options{})
	if len(ds) != 1 || ds[0].Code != "file" {
		t.Errorf("got %v", ds)
	}
	_, ds = Load("a.yaml", []byte("version: 1\nname: a\nsource: {topic: \"${file:x}\"}\nsink: {topic: b}\n"),
		Options{ReadFile: func(string) ([]byte, error) { return nil, errors.New("no such luck") }})
	if len(ds) != 1 || !strings.HasSuffix(ds[0].Message, ": no such luck") {
		t.Errorf("got %v", ds)
	}
}
