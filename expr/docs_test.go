package expr

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kstream/record"
)

// anything knows every name, with a type that fits everywhere.
type anything struct{}

func (anything) Field([]string) Binding {
	return Binding{Ref: Ref{Kind: RefSlot}, Type: record.Any, Used: 1, Known: true}
}
func (anything) Meta(string) Binding {
	return Binding{Ref: Ref{Kind: RefKey}, Type: record.Any, Used: 1, Known: true}
}
func (anything) Fields() []string { return nil }

// TestEveryFunctionIsDescribed, once, with an example that is true.
func TestEveryFunctionIsDescribed(t *testing.T) {
	described := map[string]int{}
	for _, d := range Docs() {
		described[d.Group+"."+d.Name]++
		if d.Signature == "" || d.Text == "" || d.Example == "" || !strings.HasSuffix(d.Text, ".") {
			t.Errorf("%s is not described: %+v", d.Name, d)
		}
		if d.Group == "names" || d.Group == "aggregate" {
			continue
		}
		described["."+d.Name]++
		if !strings.Contains(d.Example, d.Name+"(") {
			t.Errorf("the example of %s does not use it: %s", d.Name, d.Example)
		}
		checkExample(t, d)
	}
	var names []string
	for name := range functions {
		names = append(names, "."+name)
	}
	for name := range predicateFunctions {
		if functions[name] == nil {
			names = append(names, "."+name)
		}
	}
	for _, f := range aggregateFunctions {
		names = append(names, "aggregate."+f.name)
	}
	for _, name := range metaNames {
		names = append(names, "names."+name)
	}
	for _, name := range names {
		if described[name] != 1 {
			t.Errorf("%s is described %d times", name, described[name])
		}
	}
}

func checkExample(t *testing.T, d Doc) {
	t.Helper()
	tree, problems := Parse(d.Example)
	if len(problems) > 0 {
		t.Errorf("%s: %s: %v", d.Name, d.Example, problems)
		return
	}
	p, problems := Compile(tree, anything{}, Want{Type: WantBool, Place: "example"})
	if len(problems) > 0 {
		t.Errorf("%s: %s: %v", d.Name, d.Example, problems)
		return
	}
	env := &Env{Arena: &record.Arena{}, Now: 1_800_000_000_000_000_000, Rand: rand.New(rand.NewPCG(1, 2))}
	env.Begin(&record.Row{})
	if v := p.Eval(env); !v.True() || env.Err() != nil {
		t.Errorf("%s: %s is not true: %v", d.Name, d.Example, env.Err())
	}
}

// TestAggregateExamples: each is a field of an aggregate step with that function.
func TestAggregateExamples(t *testing.T) {
	for _, d := range Docs() {
		if d.Group != "aggregate" || !d.Built {
			continue
		}
		_, text, _ := strings.Cut(d.Example, ": ")
		tree, problems := Parse(text)
		if len(problems) > 0 {
			t.Errorf("%s: %v", d.Example, problems)
			continue
		}
		next := 0
		f, problems := CompileAggregate(tree, anything{}, anything{}, func() int { next++; return next - 1 })
		if len(problems) > 0 || !slices.ContainsFunc(f.Calls, func(c AggregateCall) bool { return c.Func == d.Name }) {
			t.Errorf("%s: %v", d.Example, problems)
		}
	}
}
