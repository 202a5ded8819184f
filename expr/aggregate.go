package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// aggregateFunction describes one aggregate. Built ones have an accumulator in
// this release; the names of the others are kept, so that they are never read
// as something else.
type aggregateFunction struct {
	name   string
	sig    string
	params string // letters as of function.params
	built  bool
	result func(args []*operand) record.Type
}

// aggregateFunctions, in the order of the reference.
var aggregateFunctions = []aggregateFunction{
	{"count", "count([x])", "?x", true, required(intType)},
	{"count_if", "count_if(condition)", "b", true, required(intType)},
	{"sum", "sum(x)", "S", true, sameAs(0)},
	{"sum_if", "sum_if(x, condition)", "Sb", true, sameAs(0)},
	{"avg", "avg(x)", "S", true, averageType},
	{"min", "min(x)", "O", true, sameAs(0)},
	{"max", "max(x)", "O", true, sameAs(0)},
	{"min_by", "min_by(value, by)", "xO", true, asWritten},
	{"max_by", "max_by(value, by)", "xO", true, asWritten},
	{"first", "first(x)", "x", true, asWritten},
	{"last", "last(x)", "x", true, asWritten},
	{"collect", "collect(x)", "x", true, collected},
	{"collect_set", "collect_set(x)", "x", true, collected},
	{"collect_map", "collect_map(key, value)", "tx", true, dynamic},
	{"count_distinct", "count_distinct(x)", "x", true, required(intType)},
	{"median", "median(x)", "S", true, averageType},
	{"percentile", "percentile(x, p)", "Sn", true, averageType},
	{"variance", "variance(x)", "n", true, fixed(floatType)},
	{"stddev", "stddev(x)", "n", true, fixed(floatType)},
	{"bool_and", "bool_and(x)", "b", true, fixed(boolType)},
	{"bool_or", "bool_or(x)", "b", true, fixed(boolType)},
	{"string_agg", "string_agg(x, sep)", "tt", true, fixed(textType)},
	{"any_value", "any_value(x)", "x", true, asWritten},
	{"approx_count_distinct", "approx_count_distinct(x)", "x", false, required(intType)},
	{"top_k", "top_k(x, k)", "xi", false, dynamic},
}

// IsAggregate reports whether name is an aggregate function. Some of these
// names are also functions of lists: which one a call means depends on whether
// it stands inside of another aggregate's arguments.
func IsAggregate(name string) bool { return aggregateOf(name) != nil }

func aggregateOf(name string) *aggregateFunction {
	for i := range aggregateFunctions {
		if aggregateFunctions[i].name == name {
			return &aggregateFunctions[i]
		}
	}
	return nil
}

func required(t record.Type) func([]*operand) record.Type {
	t.Required = true
	return fixed(t)
}

func asWritten(args []*operand) record.Type { return args[0].typ }

func collected(args []*operand) record.Type {
	t := record.ListOf(nullable(args[0].typ))
	t.Required = true
	return t
}

// averageType is sum / count: a decimal stays one.
func averageType(args []*operand) record.Type {
	switch args[0].class() {
	case decimalClass:
		return decimalArith('/', args[0].typ, intType)
	case durationClass:
		return durationType
	case anyClass, nullClass:
		return record.Any
	}
	return floatType
}

// aggregation is what a compiler needs in a field of an aggregate step.
type aggregation struct {
	in, keys Scope
	nextAcc  func() int
	inside   bool // of the arguments of an aggregate
	calls    []AggregateCall
}

// CompileAggregate checks one field of an aggregate step. in resolves the names
// inside of the arguments of aggregate functions, keys those outside. nextAcc
// gives every call its own place in Env.Acc; two calls of one field with the
// same text share one.
func CompileAggregate(t *Tree, in, keys Scope, nextAcc func() int) (*AggregateField, []Problem) {
	if t == nil {
		return nil, nil
	}
	c := newCompiler(t, in, "aggregate")
	c.agg = &aggregation{in: in, keys: keys, nextAcc: nextAcc}
	o := c.compile(t.root)
	if len(c.problems) > 0 {
		return nil, inOrder(c.problems)
	}
	return &AggregateField{Calls: c.agg.calls, Result: c.program(o)}, nil
}

// lookUp resolves a field, outside of aggregates among the keys only.
func (c *compiler) lookUp(path []string) Binding {
	if c.agg == nil || c.agg.inside {
		return c.scope.Field(path)
	}
	if b := c.agg.keys.Field(path); b.Known {
		return b
	}
	b := c.agg.in.Field(path)
	if b.Known {
		name := strings.Join(path, ".")
		b = Binding{Code: "not-aggregated", Hint: c.notAggregatedHint(), Message: name +
			" must be inside an aggregate function such as sum(" + name + "), or be part of key_by"}
	}
	return b
}

// notAggregatedHint is for functions of lists taken for aggregates.
func (c *compiler) notAggregatedHint() string {
	if len(c.enclosing) > 0 && c.enclosing[len(c.enclosing)-1] == "mean" {
		return "mean is a function of lists; the aggregate is avg"
	}
	return ""
}

// metaBinding resolves a name with a sigil, outside of aggregates what holds
// for the whole group.
func (c *compiler) metaBinding(name string) Binding {
	if c.agg == nil || c.agg.inside {
		return c.scope.Meta(name)
	}
	b := c.agg.keys.Meta(name)
	if !b.Known && b.Message == "" && c.agg.in.Meta(name).Known {
		b.Code = "not-aggregated"
		b.Message = name + " must be inside an aggregate function such as max(" + name + ")"
	}
	return b
}

// aggregateCall compiles a call of an aggregate into a program for each
// argument and a reference to its result.
func (c *compiler) aggregateCall(n ast.Node, name string, args []ast.Node) *operand {
	f := aggregateOf(name)
	start, end := nameSpan(n)
	if !f.built {
		c.problem("reserved", start, end, "", "%q is not built yet", name)
		return c.badOperand(n)
	}
	least, most := (&function{params: f.params}).arity()
	if len(args) < least || len(args) > most {
		return c.wrongCount(n, f, args, least, most)
	}
	ops, bad := make([]*operand, len(args)), false
	// A row knows nothing of the variables and elements around the call.
	vars, elements := c.vars, c.elements
	c.vars, c.elements, c.agg.inside = nil, nil, true
	for i, a := range args {
		if p, ok := a.(*ast.PredicateNode); ok {
			ops[i] = c.mismatch(p, "the sum over the elements of a list, in every row: sum(sum(list, expr))",
				"the aggregate %s takes no predicate", name)
		} else {
			ops[i] = c.argument(name, &function{params: f.params}, i, c.compile(a))
		}
		bad = bad || ops[i].bad
	}
	if name == "percentile" && !bad && !isShare(ops[1]) {
		ops[1] = c.mismatch(args[1], "for example percentile(x, 0.95)", "the second argument of percentile is a number from 0 to 1, the same for all rows")
		bad = true
	}
	c.vars, c.elements, c.agg.inside = vars, elements, false
	if bad {
		return c.badOperand(n)
	}
	return c.finishAggregate(n, f, ops)
}

// isShare reports whether an operand is a constant from 0 to 1.
func isShare(o *operand) bool {
	if !o.konst {
		return false
	}
	low, okLow := record.Compare(o.value, record.Int(0))
	high, okHigh := record.Compare(o.value, record.Int(1))
	return okLow && okHigh && low >= 0 && high <= 0
}

func (c *compiler) finishAggregate(n ast.Node, f *aggregateFunction, ops []*operand) *operand {
	call := AggregateCall{Func: f.name, Type: f.result(ops), Text: c.aggregateText(f.name, ops)}
	if i := slices.IndexFunc(c.agg.calls, func(x AggregateCall) bool { return x.Text == call.Text }); i >= 0 {
		return refOperand(n, Ref{Kind: RefAcc, Slot: c.agg.calls[i].Acc}, call.Type)
	}
	for _, o := range ops {
		call.Args = append(call.Args, c.program(o))
	}
	call.Acc = c.agg.nextAcc()
	c.agg.calls = append(c.agg.calls, call)
	return refOperand(n, Ref{Kind: RefAcc, Slot: call.Acc}, call.Type)
}

// aggregateText is the call in its normal form, the same whether it is written
// as a call or as a pipe.
func (c *compiler) aggregateText(name string, ops []*operand) string {
	args := make([]string, len(ops))
	for i, o := range ops {
		args[i] = c.tree.normalOf(o.node)
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

// wrongCount reports a number of arguments, not looking at the arguments.
func (c *compiler) wrongCount(n ast.Node, f *aggregateFunction, args []ast.Node, least, most int) *operand {
	hint := ""
	if f.name == "min" || f.name == "max" {
		texts := make([]string, len(args))
		for i, a := range args {
			texts[i] = c.tree.source(a)
		}
		other, what := "greatest", "larger"
		if f.name == "min" {
			other, what = "least", "smaller"
		}
		if len(args) > 1 {
			hint = fmt.Sprintf("the %s of two values is %s(%s)", what, other, strings.Join(texts, ", "))
		}
	}
	if _, list := functions[f.name]; list || f.name == "sum" {
		return c.mismatch(n, hint, "the aggregate %s takes %s, found %d", f.name, takes(least, most), len(args))
	}
	return c.mismatch(n, hint, "%s takes %s, found %d", f.sig, takes(least, most), len(args))
}
