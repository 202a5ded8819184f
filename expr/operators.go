package expr

import (
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func (c *compiler) unary(n *ast.UnaryNode) *operand {
	o := c.compile(n.Node)
	if o.bad {
		return c.badOperand(n)
	}
	if n.Operator == "not" || n.Operator == "!" {
		if !c.boolean(n, "not", o) {
			return c.badOperand(n)
		}
		cond := o.truth("not")
		return c.fold(condition(n, func(e *Env) bool { return !cond(e) }), o)
	}
	if cl := o.class(); !cl.number() && !cl.open() && cl != durationClass {
		return c.mismatch(n, "", "%s needs a number, %s", n.Operator, c.is(o))
	}
	out := &operand{node: n, typ: widened(o.typ), eval: o.eval}
	sign := n.Operator
	if eval := o.eval; sign == "-" {
		out.eval = func(e *Env) record.Value { return negate(e, eval(e)) }
	} else {
		out.eval = func(e *Env) record.Value {
			v := eval(e)
			if !isNumber(v) && !v.IsNull() && v.Kind() != record.KindDuration {
				return e.fail("+ needs a number, found %s", v.TypeName())
			}
			return v
		}
	}
	out = c.fold(out, o)
	if o.hasExact {
		out.exact, out.hasExact = o.exact, true
		if sign == "-" {
			out.exact = record.Decimal(-o.exact.Int(), o.exact.Scale())
		}
	}
	return out
}

// boolean reports an operand of and, or, not that is no condition.
func (c *compiler) boolean(n ast.Node, op string, o *operand) bool {
	if o.bad {
		return false
	}
	if cl := o.class(); cl != boolClass && !cl.open() {
		c.mismatchSpan(o.node, "", "%s needs true or false, %s", op, c.is(o))
		return false
	}
	return true
}

// widened is the type a number has in a computation.
func widened(t record.Type) record.Type {
	switch t.Kind {
	case record.TypeInt32:
		t.Kind = record.TypeInt
	case record.TypeFloat32:
		t.Kind = record.TypeFloat
	}
	return t
}

func (c *compiler) binary(n *ast.BinaryNode) *operand {
	switch n.Operator {
	case "and", "&&":
		c.shareMiddles(n)
		return c.logic(n, "and", func(l, r func(*Env) bool) func(*Env) bool {
			return func(e *Env) bool { return l(e) && r(e) }
		})
	case "or", "||":
		return c.logic(n, "or", func(l, r func(*Env) bool) func(*Env) bool {
			return func(e *Env) bool { return l(e) || r(e) }
		})
	case "??":
		return c.coalesce(n, []*operand{c.compile(n.Left), c.compile(n.Right)})
	}
	l, r := c.compile(n.Left), c.compile(n.Right)
	if l.bad || r.bad {
		return c.badOperand(n)
	}
	var o *operand
	switch n.Operator {
	case "+", "-", "*", "/", "%", "**", "^":
		o = c.arithmetic(n, l, r)
	case "==", "!=":
		o = c.equality(n, l, r)
	case "<", "<=", ">", ">=":
		o = c.order(n, l, r)
	case "in":
		o = c.in(n, l, r)
	case "..":
		o = c.rangeOf(n, l, r)
	case "matches":
		o = c.matches(n, l, r)
	default: // contains, startsWith, endsWith
		o = c.textTest(n, l, r)
	}
	if o.bad {
		return o
	}
	return c.fold(o, l, r)
}

func (c *compiler) logic(n *ast.BinaryNode, op string, join func(l, r func(*Env) bool) func(*Env) bool) *operand {
	l, r := c.compile(n.Left), c.compile(n.Right)
	lok, rok := c.boolean(n, op, l), c.boolean(n, op, r)
	if !lok || !rok {
		return c.badOperand(n)
	}
	return c.fold(condition(n, join(l.truth(op), r.truth(op))), l, r)
}

// shareMiddles finds a < b < c, which the parser gives as a < b && b < c with
// one node for both b.
func (c *compiler) shareMiddles(n *ast.BinaryNode) {
	right, ok := n.Right.(*ast.BinaryNode)
	if !ok {
		return
	}
	left, _ := n.Left.(*ast.BinaryNode)
	if left != nil && (left.Operator == "&&" || left.Operator == "and") {
		left, _ = left.Right.(*ast.BinaryNode)
	}
	if left == nil || left.Right != right.Left {
		return
	}
	if first, ok := n.Left.(*ast.BinaryNode); ok && first != left {
		c.shareMiddles(first)
	}
	if _, done := c.shared[right.Left]; !done {
		c.share(right.Left)
	}
}

// arithmetic compiles + - * / % and **.
func (c *compiler) arithmetic(n *ast.BinaryNode, l, r *operand) *operand {
	op := n.Operator[0]
	if n.Operator == "**" {
		op = '^'
	}
	lit := l.hasExact || r.hasExact
	l2, r2 := adapt(l, r)
	t, ok := arithType(op, l2.typ, r2.typ)
	if !ok {
		return c.mismatch(n, c.arithHint(op, l, r), "%s", verbs(op, l.typ.String(), r.typ.String()))
	}
	out := &operand{node: n, typ: t}
	switch {
	case l2.class() == intClass && r2.class() == intClass:
		out.eval = intArith(op, l2, r2)
	case l2.class() == floatClass && r2.class() == floatClass && op != '%' && op != '^':
		out.eval = floatArith(op, l2, r2)
	case (op == '*' || op == '+' || op == '-') && (l2.class() == decimalClass || r2.class() == decimalClass) &&
		l2.class().number() && r2.class().number():
		out.eval = decimalClosure(op, l2, r2)
	case lit && (l.class() == floatClass || r.class() == floatClass) && l2.class() != decimalClass && r2.class() != decimalClass:
		out.eval = literalArith(op, l, r)
	default:
		a, b := l2.eval, r2.eval
		out.eval = func(e *Env) record.Value { return arith(e, op, a(e), b(e)) }
	}
	return out
}

func (c *compiler) arithHint(op byte, l, r *operand) string {
	lc, rc := l.class(), r.class()
	left, right := clip(c.tree.source(l.node)), clip(c.tree.source(r.node))
	switch {
	case lc == decimalClass && rc == floatClass, lc == floatClass && rc == decimalClass:
		return convertOne
	case (op == '+' || op == '-') && (lc == timestampClass || lc == durationClass) && rc.number():
		if r.konst && rc == intClass {
			right += "s"
		} else {
			right = "10m"
		}
		what := "timestamp"
		if lc == durationClass {
			what = "duration"
		}
		return "a " + what + " moves by a duration: " + left + " " + string(op) + " duration(\"" + right + "\")"
	case op == '+' && lc == textClass:
		return "text is joined with text: " + left + " + string(" + right + ")"
	case op == '+' && rc == textClass:
		return "text is joined with text: string(" + left + ") + " + right
	case op == '+' && lc == listClass && rc == listClass:
		return "lists are joined with concat(" + left + ", " + right + ")"
	}
	return ""
}

// arithType is the type of a computation; ok is false if there is none.
func arithType(op byte, lt, rt record.Type) (t record.Type, ok bool) {
	l, r := classOf(lt), classOf(rt)
	switch {
	case l.open() || r.open():
		return openArith(op, l, r)
	case op == '^':
		return floatType, l.number() && r.number()
	case op == '%':
		return intType, l == intClass && r == intClass
	case l.number() && r.number():
		return numberArith(op, lt, rt)
	case op == '+' && l == textClass && r == textClass:
		return textType, true
	}
	return timeArith(op, l, r)
}

// openArith is for a side that is known at run time only. The other side must
// at least be something the operator can work on.
func openArith(op byte, l, r class) (record.Type, bool) {
	fits := func(c class) bool {
		switch {
		case c.open(), c.number():
			return true
		case c == textClass:
			return op == '+'
		case c == timestampClass:
			return op == '+' || op == '-'
		}
		return c == durationClass && op != '%' && op != '^'
	}
	t := record.Any
	if op == '^' {
		t = floatType
	}
	return t, fits(l) && fits(r)
}

func numberArith(op byte, lt, rt record.Type) (record.Type, bool) {
	l, r := classOf(lt), classOf(rt)
	switch {
	case l == decimalClass && r == floatClass, l == floatClass && r == decimalClass:
		return record.Any, false
	case l == decimalClass || r == decimalClass:
		return decimalArith(op, lt, rt), true
	case op == '/' || l == floatClass || r == floatClass:
		return floatType, true
	}
	return intType, true
}

func decimalArith(op byte, lt, rt record.Type) record.Type {
	scale := func(t record.Type) int {
		if classOf(t) == intClass {
			return 0
		}
		return int(t.Scale)
	}
	a, b := scale(lt), scale(rt)
	switch {
	case a < 0 || b < 0:
		return decimalType
	case op == '*':
		return decimalOf(a + b)
	case op == '/':
		return decimalOf(max(a, b, 6))
	}
	return decimalOf(max(a, b))
}

func timeArith(op byte, l, r class) (record.Type, bool) {
	sum := op == '+' || op == '-'
	switch {
	case l == timestampClass && r == durationClass && sum, l == durationClass && r == timestampClass && op == '+':
		return timestampType, true
	case l == timestampClass && r == timestampClass && op == '-', l == durationClass && r == durationClass && sum,
		l == durationClass && r.number() && (op == '*' || op == '/'), l.number() && r == durationClass && op == '*':
		return durationType, true
	case l == durationClass && r == durationClass && op == '/':
		return floatType, true
	}
	return record.Any, false
}

// literalArith is for a literal such as 1.5 with a side that is known at run
// time only: it is a decimal if that side is one.
func literalArith(op byte, l, r *operand) func(*Env) record.Value {
	a, b := l.eval, r.eval
	if l.hasExact && l.class() == floatClass {
		float, exact := l.value, l.exact
		return func(e *Env) record.Value {
			y := b(e)
			if y.Kind() == record.KindDecimal {
				return arith(e, op, exact, y)
			}
			return arith(e, op, float, y)
		}
	}
	if r.hasExact && r.class() == floatClass {
		float, exact := r.value, r.exact
		return func(e *Env) record.Value {
			x := a(e)
			if x.Kind() == record.KindDecimal {
				return arith(e, op, x, exact)
			}
			return arith(e, op, x, float)
		}
	}
	return func(e *Env) record.Value { return arith(e, op, a(e), b(e)) }
}

// in compiles x in list, and key in map.
func (c *compiler) in(n *ast.BinaryNode, l, r *operand) *operand {
	switch cl := r.class(); {
	case cl == listClass:
		if elem := elemOf(r.typ); !comparable(l.typ, elem) {
			return c.mismatch(n, "", "%s can never be in %s", l.typ.String(), r.typ.String())
		}
	case cl == mapClass:
		if lc := l.class(); lc != textClass && !lc.open() {
			return c.mismatch(n, "", "the keys of a map are text, %s", c.is(l))
		}
	case cl == textClass:
		hint := "a part of a text: " + clip(c.tree.source(r.node)) + " contains " + clip(c.tree.source(l.node))
		return c.mismatch(n, hint, "in needs a list or a map, %s", c.is(r))
	case !cl.open():
		return c.mismatch(n, "", "in needs a list or a map, %s", c.is(r))
	}
	a, b := l.eval, r.eval
	if r.konst && r.value.Kind() == record.KindList {
		return condition(n, inConstant(a, r.value.Elems()))
	}
	return condition(n, func(e *Env) bool { return isIn(e, a(e), b(e)) })
}

// inConstant looks texts up in a set; other values are compared one by one.
func inConstant(eval func(*Env) record.Value, list []record.Value) func(*Env) bool {
	texts := make(map[string]bool)
	for _, v := range list {
		if v.Kind() == record.KindString {
			texts[v.Text()] = true
		}
	}
	return func(e *Env) bool {
		v := eval(e)
		if v.IsNull() {
			return false
		}
		if v.Kind() == record.KindString {
			return texts[v.Text()]
		}
		for _, x := range list {
			if record.Equal(x, v) {
				return true
			}
		}
		return false
	}
}

func isIn(e *Env, v, in record.Value) bool {
	if v.IsNull() || in.IsNull() {
		return false
	}
	switch {
	case in.IsList():
		for _, x := range listOf(e, in) {
			if !e.spend(1) {
				return false
			}
			if equal(e, x, v) {
				return true
			}
		}
		return false
	case in.IsObject() && v.Kind() == record.KindString:
		_, ok := record.JSONField(in, v.Text(), e.Arena)
		return ok
	case in.IsObject():
		e.fail("the keys of a map are text, found %s", v.TypeName())
	default:
		e.fail("in needs a list or a map, found %s", in.TypeName())
	}
	return false
}

// rangeOf compiles a..b.
func (c *compiler) rangeOf(n *ast.BinaryNode, l, r *operand) *operand {
	for _, o := range []*operand{l, r} {
		if cl := o.class(); cl != intClass && !cl.open() {
			return c.mismatch(n, "", ".. needs whole numbers, %s", c.is(o))
		}
	}
	a, b := l.eval, r.eval
	return &operand{node: n, typ: record.ListOf(intType), eval: func(e *Env) record.Value {
		from, to := a(e), b(e)
		if from.IsNull() || to.IsNull() {
			return record.Null
		}
		if from.Kind() != record.KindInt || to.Kind() != record.KindInt {
			return e.fail(".. needs whole numbers, found %s and %s", from.TypeName(), to.TypeName())
		}
		return listRange(e, from.Int(), to.Int())
	}}
}

func listRange(e *Env, from, to int64) record.Value {
	if to < from {
		return record.List(nil)
	}
	if n := uint64(to) - uint64(from); n >= maxRange {
		return e.fail("%d..%d has more than 10,000 elements", from, to)
	}
	n := int(to-from) + 1
	if !e.list(n) {
		return record.Null
	}
	out := make([]record.Value, n)
	for i := range out {
		out[i] = record.Int(from + int64(i))
	}
	return record.List(out)
}

// texts reports an operand that is no text.
func (c *compiler) texts(n *ast.BinaryNode, l, r *operand) bool {
	for _, o := range []*operand{l, r} {
		if cl := o.class(); cl != textClass && !cl.open() {
			hint := ""
			if n.Operator == "contains" && cl == listClass {
				hint = "an element of a list: x in list"
			}
			c.mismatch(n, hint, "%s needs text on both sides, %s", n.Operator, c.is(o))
			return false
		}
	}
	return true
}

func (c *compiler) textTest(n *ast.BinaryNode, l, r *operand) *operand {
	if !c.texts(n, l, r) {
		return c.badOperand(n)
	}
	test := strings.Contains
	switch n.Operator {
	case "startsWith":
		test = strings.HasPrefix
	case "endsWith":
		test = strings.HasSuffix
	}
	a, b, op := l.eval, r.eval, n.Operator
	return condition(n, func(e *Env) bool {
		x, y := a(e), b(e)
		if x.Kind() == record.KindString && y.Kind() == record.KindString {
			return test(x.Text(), y.Text())
		}
		return notText(e, op, x, y)
	})
}

// notText is the answer for operands that are not both text: false for null,
// else an error.
func notText(e *Env, op string, vs ...record.Value) bool {
	for _, v := range vs {
		if v.Kind() != record.KindString && !v.IsNull() {
			e.fail("%s needs text on both sides, found %s", op, v.TypeName())
		}
	}
	return false
}

func (c *compiler) matches(n *ast.BinaryNode, l, r *operand) *operand {
	if !c.texts(n, l, r) {
		return c.badOperand(n)
	}
	re := c.regexp(r)
	if re == nil {
		return c.badOperand(n)
	}
	eval := l.eval
	return condition(n, func(e *Env) bool {
		v := eval(e)
		if v.Kind() == record.KindString {
			return re.MatchString(v.Text())
		}
		return notText(e, "matches", v)
	})
}

// regexp compiles a pattern, which must be constant.
func (c *compiler) regexp(o *operand) *regexp.Regexp {
	if o.bad {
		return nil
	}
	if !o.konst || o.value.Kind() != record.KindString {
		c.mismatchSpan(o.node, "", "a regular expression must be a constant text")
		return nil
	}
	re, err := regexp.Compile(o.value.Text())
	if err != nil {
		start, end := c.tree.span(o.node)
		c.problem("bad-value", start, end, "the syntax is that of RE2", "not a regular expression: %s",
			strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return nil
	}
	return re
}

// conditional compiles a ? b : c and if a { b } else { c }.
func (c *compiler) conditional(n *ast.ConditionalNode) *operand {
	cond := c.compile(n.Cond)
	ok := c.boolean(n, "the condition", cond)
	yes, no := c.compile(n.Exp1), c.compile(n.Exp2)
	if !ok || yes.bad || no.bad {
		return c.badOperand(n)
	}
	yes, no = adapt(yes, no)
	t := unify(yes.typ, no.typ)
	test, a, b := cond.truth("the condition"), convert(yes, t).eval, convert(no, t).eval
	out := &operand{node: n, typ: t, eval: func(e *Env) record.Value {
		if test(e) {
			return a(e)
		}
		return b(e)
	}}
	if classOf(t) == boolClass {
		ca, cb := yes.truth(c.place), no.truth(c.place)
		out.cond = func(e *Env) bool {
			if test(e) {
				return ca(e)
			}
			return cb(e)
		}
	}
	return c.fold(out, cond, yes, no)
}

// convert turns ints into the float or decimal type that branches share.
func convert(o *operand, t record.Type) *operand {
	if o.class() != intClass {
		return o
	}
	eval, to := o.eval, classOf(t)
	if to != floatClass && to != decimalClass {
		return o
	}
	return &operand{node: o.node, typ: t, eval: func(e *Env) record.Value {
		v := eval(e)
		switch {
		case v.Kind() != record.KindInt:
			return v
		case to == floatClass:
			return record.Float(float64(v.Int()))
		}
		return makeDecimal(e, v.Int(), 0)
	}}
}
