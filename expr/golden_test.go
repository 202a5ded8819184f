package expr

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestGolden runs testdata. Each file sets up names with "scope" and then holds
// one expression per line:
//
//	parse      problems, or the normal form
//	check      problems, or the type; place=… and want=… as in a pipeline
//	eval       value or error of every line
//	aggregate  problems, or the calls and the type of one field
func TestGolden(t *testing.T) {
	datadriven.Walk(t, "testdata/golden", func(t *testing.T, path string) {
		scope := &testScope{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "scope" {
				scope = parseScope(t, d.Input)
				return ""
			}
			var b strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				switch d.Cmd {
				case "parse":
					goldenParse(&b, line)
				case "check":
					goldenCheck(&b, scope, line, wantOf(t, d))
				case "eval":
					goldenEval(&b, scope, line)
				case "aggregate":
					goldenAggregate(&b, scope, line)
				default:
					t.Fatalf("unknown command %s", d.Cmd)
				}
			}
			return b.String()
		})
	})
}

func wantOf(t *testing.T, d *datadriven.TestData) Want {
	w := Want{Place: "value"}
	d.MaybeScanArgs(t, "place", &w.Place)
	var kind string
	if d.MaybeScanArgs(t, "want", &kind) {
		w.Type = map[string]WantKind{
			"bool": WantBool, "timestamp": WantTimestamp, "key": WantKey, "list": WantList, "int": WantInt,
			"text": WantText, "bytes": WantBytes,
		}[kind]
	}
	return w
}

func problems(b *strings.Builder, text string, ps []Problem) bool {
	for _, p := range ps {
		b.WriteString(marked(text, p))
	}
	return len(ps) > 0
}

func goldenParse(b *strings.Builder, line string) {
	tree, ps := Parse(line)
	if !problems(b, line, ps) {
		fmt.Fprintln(b, tree.Normal())
	}
}

func goldenCheck(b *strings.Builder, s Scope, line string, w Want) {
	tree, ps := Parse(line)
	if problems(b, line, ps) {
		return
	}
	p, ps := Compile(tree, s, w)
	if problems(b, line, ps) {
		return
	}
	mark := ""
	if p.Type.Required {
		mark = "!"
	}
	for _, f := range []struct {
		name string
		set  bool
	}{{"const", p.Const}, {"ref", p.Ref != nil}, {"random", !p.Deterministic}} {
		if f.set {
			mark += " " + f.name
		}
	}
	fmt.Fprintf(b, "%s%s\n", p.Type, mark)
}

func goldenEval(b *strings.Builder, s *testScope, line string) {
	tree, ps := Parse(line)
	if problems(b, line, ps) {
		return
	}
	p, ps := Compile(tree, s, Want{Place: "value"})
	if problems(b, line, ps) {
		return
	}
	e := testEnv(s)
	v := p.Eval(e)
	if err := e.Err(); err != nil {
		fmt.Fprintf(b, "error: %s\n", err.Message)
		return
	}
	if p.Cond != nil && p.Cond(e) != v.True() {
		fmt.Fprintf(b, "Cond is %v, ", p.Cond(e))
	}
	fmt.Fprintln(b, show(v))
}

func goldenAggregate(b *strings.Builder, s *testScope, line string) {
	tree, ps := Parse(line)
	if problems(b, line, ps) {
		return
	}
	acc := 0
	keys := &testScope{fields: s.fields[:1], values: s.values[:1]}
	f, ps := CompileAggregate(tree, s, keys, func() int { acc++; return acc - 1 })
	if problems(b, line, ps) {
		return
	}
	fmt.Fprintf(b, "%s", f.Result.Type)
	for _, call := range f.Calls {
		fmt.Fprintf(b, " | %d: %s -> %s", call.Acc, call.Text, call.Type)
	}
	b.WriteByte('\n')
}
