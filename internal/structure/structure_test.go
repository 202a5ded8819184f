package structure

import (
	"flag"
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the table into docs/ARCHITECTURE.md")

// rows is the table by path.
func rows() map[string]Package {
	m := map[string]Package{}
	for _, p := range append(Layers(), Tools()...) {
		m[p.Path] = p
	}
	return m
}

func report(t *testing.T, bad []string) {
	t.Helper()
	for _, b := range bad {
		t.Error(b)
	}
}

func TestImportsPointDown(t *testing.T) {
	table := rows()
	for _, f := range repository(t) {
		report(t, imports(f, table))
	}
}

func TestPureLayersHaveNoClockGoroutineFileOrSocket(t *testing.T) {
	table := rows()
	for _, f := range repository(t) {
		report(t, pure(f, table))
	}
}

func TestAModuleEntersThroughOnePackage(t *testing.T) {
	by := map[string]string{}
	for _, p := range Layers() {
		for _, m := range p.Modules {
			if other := by[m]; other != "" {
				t.Errorf("%s enters through %s and %s", m, other, p.Path)
			}
			by[m] = p.Path
		}
	}
}

func TestFunctionsAndFilesAreShort(t *testing.T) {
	var lengths []int
	for _, f := range repository(t) {
		report(t, sizes(f))
		for _, d := range f.tree.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && !f.test {
				lengths = append(lengths, length(f, fn))
			}
		}
	}
	slices.Sort(lengths)
	if p90 := lengths[len(lengths)*9/10]; p90 > Function90 {
		t.Errorf("one function in ten has more than %d lines, the limit is %d", p90, Function90)
	}
}

func TestNamesAndLeftovers(t *testing.T) {
	for _, f := range repository(t) {
		report(t, words(f))
	}
}

func TestPackageVariablesDoNotChange(t *testing.T) {
	files := repository(t)
	global := map[string]map[string]bool{}
	for _, f := range files {
		if f.test {
			continue
		}
		if global[f.pkg] == nil {
			global[f.pkg] = map[string]bool{}
		}
		for _, n := range globals(f) {
			global[f.pkg][n] = true
		}
	}
	for _, f := range files {
		if !f.test {
			report(t, changes(f, global[f.pkg]))
		}
	}
}

// The marks around the table in docs/ARCHITECTURE.md.
const (
	begin = "<!-- packages: written by `make golden` from internal/structure -->\n"
	end   = "<!-- end of packages -->\n"
)

func TestArchitecturePrintsTheTable(t *testing.T) {
	path := filepath.Join(rootOf(t), "docs", "ARCHITECTURE.md")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(b), begin)
	table, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("docs/ARCHITECTURE.md has no place for the table: %q … %q", begin, end)
	}
	if table == Markdown() {
		return
	}
	if !*rewrite {
		t.Fatalf("docs/ARCHITECTURE.md prints another table, make golden writes it; want\n%s", Markdown())
	}
	if err := os.WriteFile(path, []byte(before+begin+Markdown()+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestRulesCatch shows each rule a file that breaks it.
func TestRulesCatch(t *testing.T) {
	table := rows()
	global := map[string]bool{"count": true}
	for _, c := range []struct {
		name, path, text, want string
		rule                   func(f *file) []string
	}{
		{"import upwards", "record/x.go", `package record; import _ "kstream/runtime"`, "layer 0", func(f *file) []string { return imports(f, table) }},
		{"import sideways", "codec/x.go", `package codec; import _ "kstream/expr"`, "layer 1", func(f *file) []string { return imports(f, table) }},
		{"import of a tool", "cmd/kstream/x.go", `package main; import _ "kstream/testcontainers/verify"`, "layer 7", func(f *file) []string { return imports(f, table) }},
		{"module at the wrong door", "runtime/x.go", `package runtime; import _ "gopkg.in/yaml.v3"`, "does not enter", func(f *file) []string { return imports(f, table) }},
		{"unknown package", "extra/x.go", `package extra`, "not in the table", func(f *file) []string { return imports(f, table) }},
		{"clock", "window/x.go", `package window; import "time"; var x = time.Now()`, "time.Now", func(f *file) []string { return pure(f, table) }},
		{"goroutine", "window/x.go", `package window; func f() { go f() }`, "goroutine", func(f *file) []string { return pure(f, table) }},
		{"file system", "codec/x.go", `package codec; import _ "os"`, "imports os", func(f *file) []string { return pure(f, table) }},
		{"socket", "state/x.go", `package state; import _ "net/http"`, "imports net/http", func(f *file) []string { return pure(f, table) }},
		{"lock", "operator/x.go", `package operator; import _ "sync/atomic"`, "imports sync/atomic", func(f *file) []string { return pure(f, table) }},
		{"chance", "expr/x.go", `package expr; import "math/rand/v2"; var x = rand.IntN(3)`, "rand.IntN", func(f *file) []string { return pure(f, table) }},
		{"long function", "x/x.go", "package x\nfunc f() {" + strings.Repeat("\n", FunctionMax) + "}\n", "f has 71 lines", sizes},
		{"long file", "x/x.go", "package x\n" + strings.Repeat("\n", FileMax), "601 lines", sizes},
		{"init", "x/x.go", "package x\nfunc init() {}\n", "func init", sizes},
		{"name", "util/x.go", "package util\n", "package util", words},
		{"leftover", "x/x.go", "package x\n// TO" + "DO later\n", "leftover", words},
		{"skip", "x/x_test.go", "package x\nfunc TestX(t *testing.T) { t.Sk" + "ip() }\n", "skips itself", words},
		{"variable", "x/x.go", "package x\nvar count int\nfunc f() { count++ }\n", "count changes", func(f *file) []string { return changes(f, global) }},
		{"map variable", "x/x.go", "package x\nvar count map[int]int\nfunc f() { count[1] = 2 }\n", "count changes", func(f *file) []string { return changes(f, global) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := parse(c.path, []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(c.rule(f), "\n"); !strings.Contains(got, c.want) {
				t.Errorf("the rule said %q, want something with %q", got, c.want)
			}
		})
	}
	f, err := parse("x/x.go", []byte("package x\nvar count int\nfunc f(count int) { count++ }\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := changes(f, global); len(got) > 0 {
		t.Errorf("a parameter that hides a package variable was reported: %v", got)
	}
}
