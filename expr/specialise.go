package expr

import (
	"cmp"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// The closures for shapes that pipelines are full of: a slot compared with a
// constant, arithmetic of ints, lower(x) == "text". Each falls back to the
// general function when a value is not what the type promised.

// slot is the index of an operand that is nothing but a slot, else -1.
func (o *operand) slot() int {
	if o.ref != nil && o.ref.Kind == RefSlot {
		return o.ref.Slot
	}
	return -1
}

func intArith(op byte, l, r *operand) func(*Env) record.Value {
	a, b := l.eval, r.eval
	switch op {
	case '+':
		if r.konst {
			return plusConstant(a, r.value.Int())
		}
		return func(e *Env) record.Value {
			x, y := a(e), b(e)
			if x.Kind() == record.KindInt && y.Kind() == record.KindInt {
				return addInts(e, x.Int(), y.Int())
			}
			return arith(e, op, x, y)
		}
	case '*':
		if r.konst {
			return timesConstant(a, r.value.Int())
		}
		return func(e *Env) record.Value {
			x, y := a(e), b(e)
			if x.Kind() == record.KindInt && y.Kind() == record.KindInt {
				return mulInts(e, x.Int(), y.Int())
			}
			return arith(e, op, x, y)
		}
	}
	return func(e *Env) record.Value {
		x, y := a(e), b(e)
		if x.Kind() == record.KindInt && y.Kind() == record.KindInt && op != '^' {
			return ints(e, op, x.Int(), y.Int())
		}
		return arith(e, op, x, y)
	}
}

func plusConstant(a func(*Env) record.Value, k int64) func(*Env) record.Value {
	return func(e *Env) record.Value {
		v := a(e)
		if s := v.Int() + k; v.Kind() == record.KindInt && (s^v.Int())&(s^k) >= 0 {
			return record.Int(s)
		}
		return arith(e, '+', v, record.Int(k))
	}
}

func timesConstant(a func(*Env) record.Value, k int64) func(*Env) record.Value {
	// Within 32 bits on both sides a product cannot overflow.
	small := int64(int32(k)) == k
	return func(e *Env) record.Value {
		v := a(e)
		if i := v.Int(); small && v.Kind() == record.KindInt && int64(int32(i)) == i {
			return record.Int(i * k)
		}
		return arith(e, '*', v, record.Int(k))
	}
}

func floatArith(op byte, l, r *operand) func(*Env) record.Value {
	a, b := l.eval, r.eval
	return func(e *Env) record.Value {
		x, y := a(e), b(e)
		if x.Kind() == record.KindFloat && y.Kind() == record.KindFloat {
			return floats(e, op, x.Float(), y.Float())
		}
		return arith(e, op, x, y)
	}
}

// decimalClosure multiplies decimals, or adds them at the same scale. An int has
// the scale 0 in its Value as well.
func decimalClosure(op byte, l, r *operand) func(*Env) record.Value {
	a, b := l.eval, r.eval
	if op == '*' {
		return func(e *Env) record.Value {
			x, y := a(e), b(e)
			p, ok := mul64(x.Int(), y.Int())
			scale := int(x.Scale()) + int(y.Scale())
			if ok && exact(x) && exact(y) && p < maxDecimal && p > -maxDecimal && scale <= record.MaxDecimalDigits {
				return record.Decimal(p, uint8(scale))
			}
			return arith(e, op, x, y)
		}
	}
	return func(e *Env) record.Value {
		x, y := a(e), b(e)
		if x.Kind() == record.KindDecimal && y.Kind() == record.KindDecimal && x.Scale() == y.Scale() {
			// Two numbers of 18 digits cannot wrap.
			s := x.Int() + y.Int()
			if op == '-' {
				s = x.Int() - y.Int()
			}
			return makeDecimal(e, s, int(x.Scale()))
		}
		return arith(e, op, x, y)
	}
}

func exact(v record.Value) bool { return v.Kind() == record.KindDecimal || v.Kind() == record.KindInt }

// orders holds for an operator which results of a comparison make it true, as
// bits for less, equal and greater.
type orders uint8

func ordersOf(op string) orders {
	switch op {
	case "<":
		return 1
	case "<=":
		return 1 | 2
	case ">":
		return 4
	}
	return 2 | 4 // >=
}

func (o orders) true(c int) bool { return o>>(c+1)&1 != 0 }

// flipped is the operator with its sides exchanged.
func (o orders) flipped() orders { return o&2 | o>>2&1 | o&1<<2 }

// comparable reports whether == between two types can ever be true.
func comparable(a, b record.Type) bool {
	x, y := classOf(a), classOf(b)
	return x.open() || y.open() || x == y || x.number() && y.number()
}

// ordered reports whether < applies to a class.
func (c class) ordered() bool { return c != boolClass && c != listClass && c != mapClass }

func (c *compiler) compareHint(l, r *operand) string {
	lc, rc := l.class(), r.class()
	switch {
	case lc == textClass && rc.number() && r.konst:
		return "a text is written in quotes: \"" + clip(c.tree.source(r.node)) + "\""
	case lc == timestampClass && rc == textClass:
		return "write timestamp(" + clip(c.tree.source(r.node)) + ")"
	case lc == durationClass && rc == textClass:
		return "write duration(" + clip(c.tree.source(r.node)) + ")"
	case lc == timestampClass && rc == intClass:
		return "write from_millis(" + clip(c.tree.source(r.node)) + ")"
	}
	return ""
}

// equality compiles == and !=.
func (c *compiler) equality(n *ast.BinaryNode, l, r *operand) *operand {
	l, r = adapt(l, r)
	if !comparable(l.typ, r.typ) {
		return c.mismatch(n, c.compareHint(l, r), "cannot compare %s and %s", l.typ.String(), r.typ.String())
	}
	if l.konst && !r.konst {
		l, r = r, l
	}
	same := sameTest(l, r)
	if n.Operator == "!=" {
		return condition(n, func(e *Env) bool { return !same(e) })
	}
	return condition(n, same)
}

func sameTest(l, r *operand) func(*Env) bool {
	a, b := l.eval, r.eval
	if !r.konst {
		return func(e *Env) bool { return equal(e, a(e), b(e)) }
	}
	k := r.value
	switch {
	case k.Kind() == record.KindString && l.folded != nil:
		return foldedTest(l, k.Text())
	case k.Kind() == record.KindString && l.slot() >= 0:
		slot, text := l.slot(), k.Text()
		return func(e *Env) bool {
			v := e.Row.Slots[slot]
			return v.Kind() == record.KindString && v.Text() == text
		}
	case k.Kind() == record.KindString:
		text := k.Text()
		return func(e *Env) bool {
			v := a(e)
			return v.Kind() == record.KindString && v.Text() == text
		}
	case k.Kind() == record.KindInt && l.slot() >= 0:
		slot, i := l.slot(), k.Int()
		return func(e *Env) bool {
			if v := e.Row.Slots[slot]; v.Kind() == record.KindInt {
				return v.Int() == i
			}
			return equal(e, e.Row.Slots[slot], k)
		}
	case k.Kind() == record.KindInt:
		i := k.Int()
		return func(e *Env) bool {
			v := a(e)
			if v.Kind() == record.KindInt {
				return v.Int() == i
			}
			return equal(e, v, k)
		}
	case k.IsNull():
		return func(e *Env) bool { return a(e).IsNull() }
	case r.hasExact && k.Kind() == record.KindFloat:
		return func(e *Env) bool {
			x, y := literalFor(r, a(e))
			return equal(e, x, y)
		}
	}
	return func(e *Env) bool { return equal(e, a(e), k) }
}

// literalFor gives the value and the literal in the type it takes beside it.
func literalFor(literal *operand, v record.Value) (record.Value, record.Value) {
	if v.Kind() == record.KindDecimal {
		return v, literal.exact
	}
	return v, literal.value
}

// equal is ==, charged for values that have to be walked through.
func equal(e *Env, a, b record.Value) bool {
	if a.Kind() >= record.KindList && b.Kind() >= record.KindList && !(e.affordable(a) && e.affordable(b)) {
		return false
	}
	return record.Equal(a, b)
}

// order compiles < <= > and >=.
func (c *compiler) order(n *ast.BinaryNode, l, r *operand) *operand {
	l, r = adapt(l, r)
	lc, rc := l.class(), r.class()
	if !comparable(l.typ, r.typ) || !lc.ordered() || !rc.ordered() {
		return c.mismatch(n, c.compareHint(l, r), "cannot compare %s and %s", l.typ.String(), r.typ.String())
	}
	when := ordersOf(n.Operator)
	if l.konst && !r.konst {
		l, r, when = r, l, when.flipped()
	}
	a, b := l.eval, r.eval
	switch {
	case r.konst && r.value.Kind() == record.KindInt:
		return condition(n, orderWithInt(l, r.value, when))
	case r.hasExact && r.konst && r.value.Kind() == record.KindFloat && l.class() == anyClass:
		return condition(n, func(e *Env) bool {
			x, y := literalFor(r, a(e))
			return compare(e, x, y, when)
		})
	case intOrTime(l.class()) && l.class() == r.class():
		return condition(n, func(e *Env) bool {
			x, y := a(e), b(e)
			if x.Kind() == y.Kind() && !x.IsNull() {
				return when.true(cmp.Compare(x.Int(), y.Int()))
			}
			return compare(e, x, y, when)
		})
	}
	return condition(n, func(e *Env) bool { return compare(e, a(e), b(e), when) })
}

// intOrTime says that values of a class are ordered as their integer is.
func intOrTime(c class) bool {
	return c == intClass || c == timestampClass || c == dateClass || c == timeClass || c == durationClass
}

func orderWithInt(l *operand, k record.Value, when orders) func(*Env) bool {
	i := k.Int()
	if slot := l.slot(); slot >= 0 {
		return orderSlotWithInt(slot, k, when)
	}
	a := l.eval
	return func(e *Env) bool {
		v := a(e)
		if v.Kind() == record.KindInt {
			return when.true(cmp.Compare(v.Int(), i))
		}
		return compare(e, v, k, when)
	}
}

// orderSlotWithInt has a closure for each operator, because < is one
// instruction and a comparison with three results is several.
func orderSlotWithInt(slot int, k record.Value, when orders) func(*Env) bool {
	i := k.Int()
	switch when {
	case ordersOf("<"):
		return func(e *Env) bool {
			if v := e.Row.Slots[slot]; v.Kind() == record.KindInt {
				return v.Int() < i
			}
			return compare(e, e.Row.Slots[slot], k, when)
		}
	case ordersOf("<="):
		return func(e *Env) bool {
			if v := e.Row.Slots[slot]; v.Kind() == record.KindInt {
				return v.Int() <= i
			}
			return compare(e, e.Row.Slots[slot], k, when)
		}
	case ordersOf(">"):
		return func(e *Env) bool {
			if v := e.Row.Slots[slot]; v.Kind() == record.KindInt {
				return v.Int() > i
			}
			return compare(e, e.Row.Slots[slot], k, when)
		}
	}
	return func(e *Env) bool {
		if v := e.Row.Slots[slot]; v.Kind() == record.KindInt {
			return v.Int() >= i
		}
		return compare(e, e.Row.Slots[slot], k, when)
	}
}

// compare is an order of any two values: false with null, an error for values
// that have no order.
func compare(e *Env, a, b record.Value, when orders) bool {
	c, ok := record.Compare(a, b)
	if ok {
		return when.true(c)
	}
	if a.IsNull() || b.IsNull() || isNumber(a) && isNumber(b) {
		return false
	}
	e.fail("cannot compare %s and %s", a.TypeName(), b.TypeName())
	return false
}

// foldedTest is lower(x) == "text" without making the text.
func foldedTest(l *operand, want string) func(*Env) bool {
	eval, change, general := l.folded.eval, unicode.ToLower, l.eval
	if l.upper {
		change = unicode.ToUpper
	}
	return func(e *Env) bool {
		v := eval(e)
		if v.Kind() == record.KindString {
			return foldsTo(v.Text(), want, change)
		}
		if v.IsNull() {
			return false
		}
		return equal(e, general(e), record.String(want))
	}
}

// foldsTo reports whether every code point of s, changed, gives want.
func foldsTo(s, want string, change func(rune) rune) bool {
	i := 0
	for k := 0; k < len(s); {
		r, n := rune(s[k]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[k:])
		}
		k += n
		if i >= len(want) {
			return false
		}
		w, m := rune(want[i]), 1
		if w >= utf8.RuneSelf {
			w, m = utf8.DecodeRuneInString(want[i:])
		}
		i += m
		if change(r) != w {
			return false
		}
	}
	return i == len(want)
}
