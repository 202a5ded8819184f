package expr

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// Compile checks an expression against the names of a place and makes it ready
// to run. It reports everything that is wrong; the program is nil then.
func Compile(t *Tree, s Scope, w Want) (*Program, []Problem) {
	if t == nil {
		return nil, nil
	}
	c := newCompiler(t, s, w.Place)
	o := c.compile(t.root)
	c.checkWant(o, w)
	if len(c.problems) > 0 {
		return nil, inOrder(c.problems)
	}
	return c.program(c.enforce(o, w)), nil
}

// compiler checks one expression and builds its closures in the same walk.
type compiler struct {
	tree  *Tree
	scope Scope
	place string // of the expression, in messages
	agg   *aggregation

	problems   []Problem
	vars       []variable              // in scope, innermost last
	elements   []element               // of the predicates around, innermost last
	locals     int                     // used so far; each has its own index
	impure     bool                    // uses now, random or uuid
	shared     map[ast.Node]*sharedUse // middles of a < b < c
	enclosing  []string                // names of the calls around
	foldingEnv *Env
}

// variable is a let.
type variable struct {
	name string
	op   *operand
}

// element is what # means in a predicate.
type element struct {
	value, index int // locals
	typ          record.Type
}

// operand is a compiled part of an expression.
type operand struct {
	typ  record.Type
	node ast.Node
	// bad says that a problem in it was reported: it causes no further ones.
	bad  bool
	eval func(*Env) record.Value
	// cond is the truth of it, where that can be had without a Value.
	cond func(*Env) bool
	// konst says that value is what it always gives.
	konst bool
	value record.Value
	// exact is the decimal a number literal stands for, if it has at most 18
	// digits: the literal takes the type of the other side.
	exact    record.Value
	hasExact bool
	ref      *Ref
	// folded is the operand x of lower(x) or upper(x), with the mapping.
	folded *operand
	upper  bool
}

func (o *operand) class() class { return classOf(o.typ) }

func newCompiler(t *Tree, s Scope, place string) *compiler {
	if place == "" {
		place = "the expression"
	}
	return &compiler{tree: t, scope: s, place: place, shared: map[ast.Node]*sharedUse{}}
}

// problem reports something wrong with a range of the text, once.
func (c *compiler) problem(code string, start, end int, hint, format string, args ...any) {
	p := Problem{Code: code, Message: fmt.Sprintf(format, args...), Hint: hint, Start: start, End: end}
	for _, q := range c.problems {
		if p == q {
			return
		}
	}
	c.problems = append(c.problems, p)
}

// mismatch reports wrong types at the telling token of a node.
func (c *compiler) mismatch(n ast.Node, hint, format string, args ...any) *operand {
	start, end := nameSpan(n)
	c.problem("type-mismatch", start, end, hint, format, args...)
	return c.badOperand(n)
}

// mismatchSpan is mismatch for the whole text of a node.
func (c *compiler) mismatchSpan(n ast.Node, hint, format string, args ...any) *operand {
	start, end := c.tree.span(n)
	c.problem("type-mismatch", start, end, hint, format, args...)
	return c.badOperand(n)
}

func (c *compiler) badOperand(n ast.Node) *operand {
	return &operand{bad: true, node: n, eval: func(*Env) record.Value { return record.Null }}
}

// is says what an operand is, for messages: `amount is decimal(2)`.
func (c *compiler) is(o *operand) string {
	source := clip(c.tree.source(o.node))
	if source == "." { // the element that .x is a field of
		source = "#"
	}
	return source + " is " + clip(o.typ.String())
}

func constant(n ast.Node, v record.Value) *operand {
	t := typeOfValue(v)
	t.Required = !v.IsNull()
	return &operand{node: n, typ: t, konst: true, value: v, eval: func(*Env) record.Value { return v }}
}

// compile checks a node and everything below it.
func (c *compiler) compile(n ast.Node) *operand {
	if use, ok := c.shared[n]; ok {
		return use.next(c)
	}
	switch n := n.(type) {
	case *ast.NilNode:
		return constant(n, record.Null)
	case *ast.BoolNode:
		return constant(n, record.Bool(n.Value))
	case *ast.IntegerNode, *ast.FloatNode:
		return c.number(n)
	case *ast.StringNode:
		return constant(n, record.String(n.Value))
	case *ast.BytesNode:
		return constant(n, record.Bytes(n.Value))
	case *ast.IdentifierNode, *ast.MemberNode, *ast.ChainNode, *ast.PointerNode:
		return c.access(n)
	case *ast.SliceNode:
		return c.slice(n)
	case *ast.UnaryNode:
		return c.unary(n)
	case *ast.BinaryNode:
		return c.binary(n)
	case *ast.ConditionalNode:
		return c.conditional(n)
	case *ast.VariableDeclaratorNode:
		return c.let(n)
	case *ast.ArrayNode:
		return c.array(n)
	case *ast.MapNode:
		return c.object(n)
	case *ast.CallNode:
		return c.call(n, n.Callee.(*ast.IdentifierNode).Value, n.Arguments)
	case *ast.BuiltinNode:
		return c.call(n, n.Name, n.Arguments)
	case *ast.PredicateNode:
		return c.mismatch(n, "", "no function takes a condition here")
	}
	return c.mismatch(n, "", "unexpected expression")
}

// number reads a literal from the text, because the tree holds a rounded float.
func (c *compiler) number(n ast.Node) *operand {
	text := strings.ReplaceAll(c.tree.slice(nameSpan(n)), "_", "")
	var o *operand
	switch n := n.(type) {
	case *ast.IntegerNode:
		o = constant(n, record.Int(int64(n.Value)))
	case *ast.FloatNode:
		o = constant(n, record.Float(n.Value))
	}
	if strings.HasPrefix(text, ".") {
		text = "0" + text
	}
	text = strings.TrimSuffix(text, ".")
	if unscaled, scale, ok := record.ParseDecimal(text); ok {
		o.exact, o.hasExact = record.Decimal(unscaled, scale), true
	}
	return o
}

// asDecimal turns a number literal into the decimal it is written as.
func (o *operand) asDecimal() *operand {
	d := constant(o.node, o.exact)
	d.exact, d.hasExact = o.exact, true
	return d
}

// adapt gives literals the type of the other side.
func adapt(a, b *operand) (*operand, *operand) {
	if a.hasExact && b.class() == decimalClass {
		return a.asDecimal(), b
	}
	if b.hasExact && a.class() == decimalClass {
		return a, b.asDecimal()
	}
	return a, b
}

// fold evaluates an operand of constants once. An error is left for run time:
// the place may never be reached.
func (c *compiler) fold(o *operand, args ...*operand) *operand {
	for _, a := range args {
		if !a.konst {
			return o
		}
	}
	v, err := c.evalNow(o)
	if err != nil {
		return o
	}
	folded := constant(o.node, v)
	if !v.IsNull() && o.class() != anyClass {
		folded.typ = o.typ
	}
	return folded
}

// evalNow runs an operand without a row.
func (c *compiler) evalNow(o *operand) (record.Value, *EvalError) {
	if c.foldingEnv == nil {
		c.foldingEnv = &Env{Rand: rand.New(rand.NewPCG(0, 0))}
	}
	e := c.foldingEnv
	e.Arena = &record.Arena{}
	e.Begin(nil)
	e.grow(c.locals)
	v := o.eval(e)
	return v.CloneHeap(), e.Err()
}

// truth is an operand as a condition: null is false, anything else that is not
// a bool is an error.
func (o *operand) truth(place string) func(*Env) bool {
	if o.cond != nil {
		return o.cond
	}
	if o.konst {
		yes := o.value.True()
		if o.value.IsNull() || o.value.Kind() == record.KindBool {
			return func(*Env) bool { return yes }
		}
	}
	eval := o.eval
	return func(e *Env) bool {
		v := eval(e)
		if v.Kind() == record.KindBool {
			return v.Int() != 0
		}
		if !v.IsNull() {
			e.fail("%s needs true or false, found %s", place, v.TypeName())
		}
		return false
	}
}

// condition is an operand that is computed as a truth.
func condition(n ast.Node, cond func(*Env) bool) *operand {
	return &operand{node: n, typ: boolType, cond: cond, eval: func(e *Env) record.Value { return record.Bool(cond(e)) }}
}

// newLocal reserves a place for a value during the evaluation.
func (c *compiler) newLocal() int {
	c.locals++
	return c.locals - 1
}

func readLocal(n ast.Node, t record.Type, local int) *operand {
	return &operand{node: n, typ: t, eval: func(e *Env) record.Value { return e.locals[local] }}
}

// program closes the walk.
func (c *compiler) program(o *operand) *Program {
	p := &Program{Type: o.typ, Eval: o.eval, Const: o.konst, Deterministic: !c.impure, Ref: o.ref}
	if cl := o.class(); cl == boolClass || cl.open() {
		p.Cond = o.truth(c.place)
	}
	if n := c.locals; n > 0 {
		eval, cond := p.Eval, p.Cond
		p.Eval = func(e *Env) record.Value { e.grow(n); return eval(e) }
		if cond != nil {
			p.Cond = func(e *Env) bool { e.grow(n); return cond(e) }
		}
	}
	return p
}

// sharedUse is the middle operand of a chain of comparisons, which stands in two
// nodes of the tree: it is checked once, and evaluated once.
type sharedUse struct {
	op    *operand
	local int // -1: evaluating it twice costs nothing
	used  bool
}

func (c *compiler) share(n ast.Node) {
	use := &sharedUse{op: c.compile(n), local: -1}
	if !use.op.konst && use.op.ref == nil && !use.op.bad {
		use.local = c.newLocal()
	}
	c.shared[n] = use
}

func (u *sharedUse) next(*compiler) *operand {
	if u.local < 0 {
		return u.op
	}
	local, eval := u.local, u.op.eval
	if u.used {
		return readLocal(u.op.node, u.op.typ, local)
	}
	u.used = true
	return &operand{node: u.op.node, typ: u.op.typ, eval: func(e *Env) record.Value {
		v := eval(e)
		e.locals[local] = v
		return v
	}}
}
