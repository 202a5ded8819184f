package topology

import (
	"maps"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "500ms": 500 * time.Millisecond, "30s": 30 * time.Second, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour,
		"2w": 14 * 24 * time.Hour, "1.5s": 1500 * time.Millisecond, "3us": 3 * time.Microsecond, "9ns": 9, "1m1ms": time.Minute + time.Millisecond,
	} {
		if got, ok := parseDuration(text); !ok || got != want {
			t.Errorf("%s: got %v %v", text, got, ok)
		}
		if got, ok := parseDuration(formatDuration(want)); !ok || got != want {
			t.Errorf("%s is written %s", text, formatDuration(want))
		}
	}
	for _, text := range []string{"", "5", "s", "-1s", "1 s", "1x", "1.2.3s", "1h30", "99999999999w", "1e3s"} {
		if got, ok := parseDuration(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	if got := formatDuration(100 * time.Second); got != "1m40s" {
		t.Errorf("got %s", got)
	}
}

func TestSizesAndRates(t *testing.T) {
	for text, want := range map[string]int64{"0B": 0, "64KiB": 64 << 10, "10MB": 10e6, "2 GiB": 2 << 30, "1TB": 1e12} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%s: got %d %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "5", "MB", "1.5MB", "-1MB", "9999999999TiB", "1mb", "1  MB"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
	for text, want := range map[string]float64{"1000/s": 1000, "60/m": 1, "36/h": 0.01} {
		if got, ok := parseRate(text); !ok || got != want {
			t.Errorf("%s: got %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "5", "/s", "0/s", "1/d", "-1/s", "1.5/s"} {
		if got, ok := parseRate(text); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
	for n, want := range map[int64]string{0: "0B", 1000: "1000B", 1 << 20: "1MiB", 3 << 30: "3GiB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		what  string
		check func(string) bool
		good  []string
		bad   []string
	}{
		{"name", isName, []string{"a", "a_1"}, []string{"", "1a", "A", "a-b", "a.b", "é"}},
		{"job", isJobName, []string{"a", "1-a"}, []string{"", "-a", "A", "a_b", "a.b"}},
		{"field", isFieldPath, []string{"a", "_a", "A.b-c", "a.b.c"}, []string{"", ".", "a.", "1a", "a b", "é", "a..b"}},
		{"topic", isTopic, []string{"a", "A.b_c-1"}, []string{"", ".", "..", "a b", "a/b"}},
		{"uid", isUID, []string{"a/b", "source:x", "A.1_-"}, []string{"", "a b"}},
		{"type", isTypeName, []string{"A", "_a1"}, []string{"", "1a", "a.b"}},
	} {
		for _, s := range c.good {
			if !c.check(s) {
				t.Errorf("%q is no %s", s, c.what)
			}
		}
		for _, s := range c.bad {
			if c.check(s) {
				t.Errorf("%q is a %s", s, c.what)
			}
		}
	}
}

func TestSuggest(t *testing.T) {
	for _, c := range []struct {
		word  string
		valid []string
		want  string
	}{
		{"windw", []string{"map", "window"}, "window"},
		{"Window", []string{"window"}, "window"},
		{"key-by", []string{"key_by"}, "key_by"},
		{"mpa", []string{"map"}, "map"}, // a swap counts one
		{"xyz", []string{"map"}, ""},
		{"map2x", []string{"map"}, "map"},
		{"mx", []string{"map"}, ""}, // short words: one slip
		{"groupBy", []string{"key_by", "map"}, "key_by"},
		{"hopping", []string{"sliding"}, "sliding"},
		{"hopping", []string{"map"}, ""},
	} {
		if got := suggest(c.word, c.valid); got != c.want {
			t.Errorf("%s: got %q, want %q", c.word, got, c.want)
		}
	}
}

func TestVariables(t *testing.T) {
	env := map[string]string{"A": "a", "EMPTY": "", "HOLE": "{x}", "VAR": "${A}", "NUM": "7", "HASH": "ab #cd", "MAP": "a: b", "LINE": "1\n2"}
	o := Options{Env: func(n string) (string, bool) { v, ok := env[n]; return v, ok }, ReadFile: testFiles}
	for text, want := range map[string]string{
		"${A}": "a", "x${A}y": "xay", "${EMPTY}": "", "${EMPTY:-d}": "d", "${EMPTY-d}": "", "${NONE-d}": "d", "${NONE:-d}": "d",
		"${NONE:-${NONE:-${A}}}": "a", "${NONE:-x${A}y}": "xay", "${A:?must}": "a", "$${A}": "${A}", "$A": "$A", "$": "$", "{A}": "{A}",
		"${VAR}": "${A}", "${HASH}": "ab #cd", "${MAP}": "a: b", "${LINE}": "1\n2", "${file:present.pem}": "not a certificate: the bad files only need it to be readable",
	} {
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: text}
		data, err := yaml.Marshal(map[string]any{"version": 1, "name": "a", "source": map[string]any{"topic": "b"}, "sink": map[string]any{"topic": "c"}, "description": n})
		if err != nil {
			t.Fatal(err)
		}
		if got := mustLoad(t, string(data), o).Description; got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	s := mustLoad(t, "version: 1\nname: a\nparallelism: ${NUM}\nsource: {topic: b}\nsteps:\n  - log: 'v {y} ${HOLE}'\nsink: {topic: c}\n", o)
	if s.Parallelism != 7 {
		t.Errorf("parallelism %d", s.Parallelism)
	}
	if m := s.Streams[0].Steps[0].Log.Message; len(m.Holes) != 1 || m.Text[1] != " {x}" {
		t.Errorf("a variable made a hole: %+v", m)
	}
	o.NoEnv = true
	if got := mustLoad(t, "version: 1\nname: a\ndescription: ${A} $${A}\nsource: {topic: b}\nsink: {topic: c}\n", o).Description; got != "${A} $${A}" {
		t.Errorf("--no-env: got %q", got)
	}
}

func TestBrokersOfTheEnvironment(t *testing.T) {
	text := "version: 1\nname: a\nsource: {topic: b}\nsink: {topic: c}\n"
	env := func(value string) Options {
		return Options{Env: func(n string) (string, bool) { return value, n == "KSTREAM_BROKERS" }}
	}
	if got := mustLoad(t, text, env("a:1, b:2")).Kafka.Brokers; len(got) != 2 || got[1] != "b:2" {
		t.Errorf("got %q", got)
	}
	_, ds := Load("a.yaml", []byte(text), env("kafka"))
	if len(ds) != 1 || ds[0].Message != `the environment's KSTREAM_BROKERS: "kafka" has no port` || ds[0].Line != 1 {
		t.Errorf("got %+v", ds)
	}
	o := env("kafka")
	o.NoEnv = true
	if got := mustLoad(t, text, o).Kafka.Brokers; len(got) != 1 || got[0] != "localhost:9092" {
		t.Errorf("got %q", got)
	}
}

func TestEnvFile(t *testing.T) {
	got, err := EnvFile([]byte("# comment\nA=1\nB = two words # comment\nexport C='x # y'\nD=\"q\" # z\n\nE=\nF=a=b\n"))
	want := map[string]string{"A": "1", "B": "two words", "C": "x # y", "D": "q", "E": "", "F": "a=b"}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v %v", got, err)
	}
	for _, bad := range []string{"A", "1A=x", "=x", "A B=c"} {
		if _, err := EnvFile([]byte("X=1\n" + bad)); err == nil || err.Error() != "line 2 is not KEY=value" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestPositions finds the letter X of each scalar's value in the text.
func TestPositions(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       Pos
	}{
		{"plain", "a: bX", Pos{1, 5}},
		{"plain folded", "a: b\n  c\n\n  dX", Pos{4, 4}},
		{"single", "a: 'it''s X'", Pos{1, 11}},
		{"single folded", "a: 'b\n\n   cX'", Pos{3, 5}},
		{"double", `a: "\u00e9\n\x41X"`, Pos{1, 17}},
		{"double continued", "a: \"b\\\n   X\"", Pos{2, 4}},
		{"literal", "a: |\n   b\n    X", Pos{3, 5}},
		{"literal blank lines", "a: |-\n\n  b\n\n\n  X", Pos{6, 3}},
		{"literal with indent", "a: |1\n   bX", Pos{2, 5}},
		{"folded", "a: >-\n  b\n  cX", Pos{3, 4}},
		{"folded blank line", "a: >\n  b\n\n  X\n", Pos{4, 3}},
		{"folded more indented", "a: >\n  b\n    c\n  X\n", Pos{4, 3}},
		{"anchor", "a: &x b X", Pos{1, 9}},
		{"anchor above", "a: &x\n  bX", Pos{2, 4}},
		{"tag", "a: !!str bX", Pos{1, 11}},
		{"wide", "a: ééX", Pos{1, 6}},
		{"flow", "a: {b: [c, dX]}", Pos{1, 13}},
	} {
		doc := &yaml.Node{}
		if err := yaml.Unmarshal([]byte(c.text), doc); err != nil {
			t.Fatal(err)
		}
		n := doc.Content[0].Content[1]
		for n.Kind != yaml.ScalarNode {
			n = n.Content[len(n.Content)-1]
		}
		l := &loader{file: &source{lines: splitLines([]byte(c.text))}}
		s, p := l.pos(n)
		m := mapScalar(s, p, n)
		for i, r := range []rune(n.Value) {
			if r == 'X' && m.at[i] != c.want {
				t.Errorf("%s: got %v, want %v", c.name, m.at[i], c.want)
			}
		}
	}
}

func TestLines(t *testing.T) {
	got := splitLines([]byte("\ufeffa\r\nb\rc\u2028d\n"))
	if len(got) != 5 || got[0] != "a" || got[1] != "b" || got[2] != "c" || got[3] != "d" || got[4] != "" {
		t.Errorf("got %q", got)
	}
}

func TestExcerptOfALongLine(t *testing.T) {
	d := Diagnostic{Code: "x", File: "f", Line: 1, Col: 300, EndCol: 302, Message: "m"}
	line := strings.Repeat("é", 299) + "XY" + strings.Repeat("é", 300)
	rows := strings.Split(RenderText([]Diagnostic{d}, []string{line}), "\n")
	shown, carets := []rune(rows[1]), []rune(rows[2])
	if len(shown) > sourceColumnsMax+10 {
		t.Errorf("%d characters are shown", len(shown))
	}
	if n := len(carets); string(shown[n-2:n]) != "XY" || string(carets[n-2:]) != "^^" {
		t.Errorf("the carets stand elsewhere:\n%s\n%s", rows[1], rows[2])
	}
	d = Diagnostic{Code: "x", File: "f", Line: 1, Col: 3, EndCol: 4, Message: "m"}
	if got := RenderText([]Diagnostic{d}, []string{"\t\x1b[31mb"}); got != "f:1:3: error[x]: m\n   1 | \t?[31mb\n     | \t ^\n" {
		t.Errorf("got %q", got)
	}
}
