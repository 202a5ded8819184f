package expr

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// function describes one function of the language. The parameters are written
// as letters, one per argument: see params.
type function struct {
	sig    string // for messages: "lpad(s, n[, c])"
	params string // one letter per parameter; behind ? optional, the last with * repeats
	result func(args []*operand) record.Type
	// nulls: null arguments reach the function; without it they give null.
	nulls  bool
	impure bool
	// One of f0 to fn is set, unless build does without; missing optional
	// arguments are null.
	f0    func(*Env) record.Value
	f1    func(e *Env, a record.Value) record.Value
	f2    func(e *Env, a, b record.Value) record.Value
	f3    func(e *Env, a, b, c record.Value) record.Value
	fn    func(e *Env, args []record.Value) record.Value                       // args is valid during the call
	build func(c *compiler, f *function, n ast.Node, args []*operand) *operand // checks and does more
}

// param is what one argument must be.
type param struct {
	needs string
	fits  func(class) bool
}

// params are the letters of function.params.
var params = map[byte]param{
	'x': {"", func(class) bool { return true }},
	't': {"text", func(c class) bool { return c == textClass }},
	'i': {"a whole number", func(c class) bool { return c == intClass }},
	'n': {"a number", class.number},
	'b': {"true or false", func(c class) bool { return c == boolClass }},
	'l': {"a list", func(c class) bool { return c == listClass }},
	'm': {"a map", func(c class) bool { return c == mapClass }},
	'c': {"a list or a map", func(c class) bool { return c == listClass || c == mapClass }},
	'r': {"a list or text", func(c class) bool { return c == listClass || c == textClass }},
	'T': {"a timestamp", func(c class) bool { return c == timestampClass }},
	'D': {"a timestamp or a duration", func(c class) bool { return c == timestampClass || c == durationClass }},
	's': {"text or bytes", func(c class) bool { return c == textClass || c == bytesClass }},
	'L': {"text, bytes, a list or a map", func(c class) bool {
		return c == textClass || c == bytesClass || c == listClass || c == mapClass
	}},
	'S': {"numbers", func(c class) bool { return c.number() || c == durationClass }},
	'O': {"values that have an order", func(c class) bool { return c.ordered() }},
}

// arity gives how many arguments a function takes; most is -1 without a limit.
func (f *function) arity() (least, most int) {
	optional := false
	for i := 0; i < len(f.params); i++ {
		switch f.params[i] {
		case '?':
			optional = true
		case '*':
			return least, -1
		default:
			if most++; !optional {
				least++
			}
		}
	}
	return least, most
}

// param is the letter of the i-th argument.
func (f *function) param(i int) byte {
	letters := strings.NewReplacer("?", "", "*", "").Replace(f.params)
	return letters[min(i, len(letters)-1)]
}

func takes(least, most int) string {
	plural := func(n int) string {
		if n == 1 {
			return "1 argument"
		}
		return fmt.Sprintf("%d arguments", n)
	}
	switch {
	case most < 0:
		return "at least " + plural(least)
	case least == most:
		return plural(least)
	case most == least+1:
		return fmt.Sprintf("%d or %d arguments", least, most)
	}
	return fmt.Sprintf("%d to %d arguments", least, most)
}

// call compiles name(args).
func (c *compiler) call(n ast.Node, name string, args []ast.Node) *operand {
	if c.agg != nil && !c.agg.inside && IsAggregate(name) {
		return c.aggregateCall(n, name, args)
	}
	c.enclosing = append(c.enclosing, name)
	defer func() { c.enclosing = c.enclosing[:len(c.enclosing)-1] }()
	if f, ok := predicateFunctions[name]; ok {
		return c.predicateCall(n, name, f, args)
	}
	f, ok := functions[name]
	if !ok {
		return c.unknownFunction(n, name, args)
	}
	least, most := f.arity()
	if len(args) < least || most >= 0 && len(args) > most {
		return c.mismatch(n, "", "%s takes %s, found %d", f.sig, takes(least, most), len(args))
	}
	ops, bad := make([]*operand, len(args)), false
	for i, a := range args {
		ops[i] = c.argument(name, f, i, c.compile(a))
		bad = bad || ops[i].bad
	}
	if bad {
		return c.badOperand(n)
	}
	if f.build != nil {
		return f.build(c, f, n, ops)
	}
	return c.plainCall(f, n, ops)
}

// plainCall makes the operand of a call whose arguments have been checked.
func (c *compiler) plainCall(f *function, n ast.Node, ops []*operand) *operand {
	c.impure = c.impure || f.impure
	o := &operand{node: n, typ: nullable(f.result(ops)), eval: f.bind(ops)}
	if f.impure {
		return o
	}
	return c.fold(o, ops...)
}

// argument checks one argument, and has a value of type any checked when it
// comes.
func (c *compiler) argument(name string, f *function, i int, o *operand) *operand {
	p := params[f.param(i)]
	cl := o.class()
	switch {
	case o.bad, p.needs == "", cl == nullClass:
		return o
	case cl == anyClass:
		return &operand{node: o.node, typ: o.typ, eval: checked(name, p, o.eval)}
	case p.fits(cl):
		return o
	}
	return c.mismatchSpan(o.node, argumentHint(p.needs, cl, clip(c.tree.source(o.node))), "%s needs %s, %s", name, p.needs, c.is(o))
}

func argumentHint(needs string, cl class, source string) string {
	switch {
	case needs == "text" && cl != listClass && cl != mapClass:
		return "write string(" + source + ")"
	case needs == "a timestamp":
		return timestampHint(cl, source)
	case needs == "a whole number" && cl.number():
		return "write int(" + source + ")"
	}
	return ""
}

// checked tests a value of type any before a function sees it.
func checked(name string, p param, eval func(*Env) record.Value) func(*Env) record.Value {
	return func(e *Env) record.Value {
		v := eval(e)
		if cl := classOfValue(v); cl != nullClass && !p.fits(cl) {
			return e.fail("%s needs %s, found %s", name, p.needs, v.TypeName())
		}
		return v
	}
}

// bind makes the closure of a call for the arguments that are given.
func (f *function) bind(args []*operand) func(*Env) record.Value {
	null := func(*Env) record.Value { return record.Null }
	at := func(i int) func(*Env) record.Value {
		if i < len(args) {
			return args[i].eval
		}
		return null
	}
	switch {
	case f.f0 != nil:
		return f.f0
	case f.f1 != nil:
		return f.bind1(at(0))
	case f.f2 != nil:
		return f.bind2(len(args), at(0), at(1))
	case f.f3 != nil:
		return f.bind3(len(args), at(0), at(1), at(2))
	}
	return f.bindAll(evalsOf(args))
}

func (f *function) bind1(a func(*Env) record.Value) func(*Env) record.Value {
	f1, nulls := f.f1, f.nulls
	return func(e *Env) record.Value {
		x := a(e)
		if x.IsNull() && !nulls {
			return x
		}
		return f1(e, x)
	}
}

func (f *function) bind2(n int, a, b func(*Env) record.Value) func(*Env) record.Value {
	f2, nulls := f.f2, f.nulls
	return func(e *Env) record.Value {
		x, y := a(e), b(e)
		if !nulls && (n > 0 && x.IsNull() || n > 1 && y.IsNull()) {
			return record.Null
		}
		return f2(e, x, y)
	}
}

func (f *function) bind3(n int, a, b, c func(*Env) record.Value) func(*Env) record.Value {
	f3, nulls := f.f3, f.nulls
	return func(e *Env) record.Value {
		x, y, z := a(e), b(e), c(e)
		if !nulls && (x.IsNull() || n > 1 && y.IsNull() || n > 2 && z.IsNull()) {
			return record.Null
		}
		return f3(e, x, y, z)
	}
}

// bindAll puts the arguments on the stack of the Env, where calls inside of the
// arguments have theirs above.
func (f *function) bindAll(evals []func(*Env) record.Value) func(*Env) record.Value {
	fn, nulls := f.fn, f.nulls
	return func(e *Env) record.Value {
		base := len(e.stack)
		for _, eval := range evals {
			v := eval(e)
			if v.IsNull() && !nulls {
				e.stack = e.stack[:base]
				return v
			}
			e.stack = append(e.stack, v)
		}
		v := fn(e, e.stack[base:])
		e.stack = e.stack[:base]
		return v
	}
}

func (c *compiler) unknownFunction(n ast.Node, name string, args []ast.Node) *operand {
	start, end := nameSpan(n)
	if IsAggregate(name) {
		place := c.place
		hint := aggregateHint(name)
		if c.agg != nil {
			place, hint = "another aggregate", "an aggregate cannot contain another one"
		}
		c.problem("unknown-function", start, end, hint, "%s is an aggregate and means nothing in %s", name, place)
		return c.badOperand(n)
	}
	switch name {
	case "url_parse", "query_param", "ip_in":
		c.problem("reserved", start, end, "", "%q is not built yet", name)
		return c.badOperand(n)
	}
	for _, a := range args {
		if _, ok := a.(*ast.PredicateNode); !ok {
			c.compile(a)
		}
	}
	c.problem("unknown-function", start, end, functionHint(name), "there is no function %q", name)
	return c.badOperand(n)
}

// functionHint is for names of other languages, and for slips.
func functionHint(name string) string {
	switch strings.ToLower(name) {
	case "substring", "substr", "mid":
		return "a part of a text is written s[a:b]"
	case "distinct", "unique":
		return "did you mean \"uniq\"?"
	case "starts_with", "startswith", "hasprefix":
		return "write a startsWith b"
	case "ends_with", "endswith", "hassuffix":
		return "write a endsWith b"
	case "json_parse", "parse_json":
		return "did you mean \"fromJSON\"?"
	case "to_json", "json":
		return "did you mean \"toJSON\"?"
	case "pow", "power":
		return "write a ** b"
	case "mod":
		return "write a % b"
	case "ifnull", "nvl", "isnull":
		return "write a ?? b, or x == nil"
	case "case", "iff", "iif", "when":
		return ifElse
	case "length", "size":
		return "did you mean \"len\"?"
	case "cast", "convert":
		return "write int(x), float(x), string(x), decimal(x) or timestamp(x)"
	case "concat_ws":
		return "did you mean \"join\"?"
	case "current_timestamp":
		return "did you mean \"now\"?"
	}
	names := make([]string, 0, len(functions)+len(predicateFunctions))
	for f := range functions {
		names = append(names, f)
	}
	for f := range predicateFunctions {
		names = append(names, f)
	}
	return didYouMean(closestSorted(name, names))
}

func aggregateHint(name string) string {
	switch name {
	case "count":
		return "the number of elements of a list is len(list)"
	case "avg":
		return "the average of a list is mean(list)"
	}
	return ""
}

func fixed(t record.Type) func([]*operand) record.Type {
	return func([]*operand) record.Type { return t }
}

// sameAs is the type of the i-th argument, with small numbers widened.
func sameAs(i int) func([]*operand) record.Type {
	return func(args []*operand) record.Type { return widened(args[i].typ) }
}

// common is the type that all arguments share.
func common(args []*operand) record.Type {
	t := args[0].typ
	for _, a := range args[1:] {
		t = unify(t, a.typ)
	}
	return widened(t)
}

// elementOfFirst is the element type of the first argument.
func elementOfFirst(args []*operand) record.Type { return elemOf(args[0].typ) }

var dynamic = fixed(record.Any)
