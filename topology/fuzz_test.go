package topology

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// FuzzLoad: whatever the text is, every diagnostic lies inside it, the answer
// is the same twice, and what is accepted is accepted again as it is printed.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatalf("%s: %d files, err %v", pattern, len(files), err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			if len(data) < 4<<10 {
				f.Add(data)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkLoad(t, data) })
}

func checkLoad(t *testing.T, data []byte) {
	t.Helper()
	begin := time.Now()
	spec, ds := Load("a.yaml", data, testOptions())
	if d := time.Since(begin); d > time.Second {
		t.Errorf("%v for %d bytes", d, len(data))
	}
	lines := splitLines(data)
	for _, d := range ds {
		if d.Line < 1 || d.Line > len(lines) {
			t.Fatalf("line %d of %d: %+v", d.Line, len(lines), d)
		}
		if d.Col < 0 || d.Col > len([]rune(lines[d.Line-1]))+1 || d.Col > 0 && d.EndCol <= d.Col {
			t.Fatalf("column outside of the line: %+v", d)
		}
		if d.Col == 0 && d.Code != "yaml-syntax" && d.Code != "yaml-limit" {
			t.Fatalf("no column: %+v", d)
		}
	}
	text := RenderText(ds, spec.Lines)
	again, ds2 := Load("a.yaml", data, testOptions())
	if text2 := RenderText(ds2, again.Lines); text2 != text {
		t.Fatalf("two answers:\n%s\n%s", text, text2)
	}
	if HasErrors(ds) {
		return
	}
	for _, detail := range []Detail{AsWritten, WithDefaults} {
		printed := ConfigText(spec, detail)
		second, ds := Load("a.yaml", printed, testOptions())
		if HasErrors(ds) {
			t.Fatalf("the printed file is refused:\n%s\n%s", printed, RenderText(ds, second.Lines))
		}
	}
}

// TestHeavyFiles: each is refused for its size, or finished at once.
func TestHeavyFiles(t *testing.T) {
	head := "version: 1\nname: a\nsource: {topic: b}\nsink: {topic: c}\n"
	repeat := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, text, code string
		limit            time.Duration
	}{
		{"too large", head + "x-a: " + strings.Repeat("y", 1<<20), "yaml-limit", 100 * time.Millisecond},
		{"wide bomb", head + "x-a: &a [1, 2]\nx-b: [" + strings.Repeat("*a, ", 100_000) + "]\n", "yaml-limit", time.Second},
		{"merge bomb", head + "x-0: &m0 {" + repeat(9, "k%d: v, ") + "}\n" + mergeBomb(), "yaml-limit", 200 * time.Millisecond},
		{"deep flow", head + "x-a: " + strings.Repeat("[", 1<<19), "yaml-limit", time.Second},
		{"deep blocks", head + "x-a:\n" + deepBlocks(101), "yaml-limit", 200 * time.Millisecond},
		{"one long key", head + strings.Repeat("k", 1<<19) + ": v\n", "yaml-syntax", time.Second},
		{"many unknown keys", head + repeat(50_000, "key%d: v\n"), "unknown-field", 2 * time.Second},
		{"many steps", strings.Replace(head, "sink", "steps:\n"+repeat(10_000, "  - filter: a%d = 1\n")+"sink", 1), "bad-expression", 2 * time.Second},
		{"long number", strings.Replace(head, "sink", "parallelism: "+strings.Repeat("9", 500_000)+"\nsink", 1), "bad-value", 200 * time.Millisecond},
		{"schemas that double", head + doublingSchemas(40), "yaml-limit", 200 * time.Millisecond},
		{"open bracket", head + "x-a: [\n" + repeat(20_000, "  a%d,\n"), "yaml-syntax", 2 * time.Second},
		{"long line", strings.Replace(head, "topic: b", "topic: b, x: "+strings.Repeat("é", 200_000), 1), "unknown-field", 500 * time.Millisecond},
		{"many fields", strings.Replace(head, "sink", "steps:\n  - set:\n"+repeat(20_000, "      f%d: x + 1\n")+"sink", 1), "", 3 * time.Second},
	} {
		begin := time.Now()
		_, ds := Load("a.yaml", []byte(c.text), testOptions())
		took := time.Since(begin)
		if c.code == "" && len(ds) > 0 || c.code != "" && (len(ds) == 0 || ds[0].Code != c.code) {
			t.Errorf("%s: got %d diagnostics, want %q first: %.200v", c.name, len(ds), c.code, ds)
		}
		// Generous on a busy machine: a limit that is missing takes minutes.
		if took > 10*c.limit {
			t.Errorf("%s takes %v", c.name, took)
		}
		t.Logf("%s: %v", c.name, took)
	}
}

// mergeBomb merges nine maps into each of nine levels.
func mergeBomb() string {
	var b strings.Builder
	for level := 1; level < 9; level++ {
		fmt.Fprintf(&b, "x-%d: &m%d {<<: [%s*m%d]}\n", level, level, strings.Repeat(fmt.Sprintf("*m%d, ", level-1), 8), level-1)
	}
	return b.String()
}

func deepBlocks(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i+1) + "k:\n")
	}
	return b.String() + strings.Repeat(" ", n+1) + "v\n"
}

// doublingSchemas names each schema twice in the next one.
func doublingSchemas(n int) string {
	var b strings.Builder
	b.WriteString("schemas:\n  S0: {a: int, b: int}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "  S%d: {a: S%d, b: S%d}\n", i, i-1, i-1)
	}
	return b.String()
}

func BenchmarkLoad(b *testing.B) {
	data, err := os.ReadFile("testdata/good/everything.yaml")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, ds := Load("a.yaml", data, testOptions()); len(ds) > 0 {
			b.Fatal(ds[0].Message)
		}
	}
}
