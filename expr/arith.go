package expr

import (
	"math"
	"math/big"
	"math/bits"

	"kstream/record"
)

// The arithmetic of values at run time: int64 with overflow checks, decimals as
// scaled int64 with 128 bits in between, times with durations. Null gives null.
// The functions are complete for values of type any; the compiler puts faster
// closures before them where it knows the types.

// maxDecimal is the first number with more than 18 digits.
const maxDecimal = 1_000_000_000_000_000_000

func isNumber(v record.Value) bool {
	k := v.Kind()
	return k == record.KindInt || k == record.KindFloat || k == record.KindDecimal
}

// toFloat is the float nearest to a number.
func toFloat(v record.Value) float64 {
	switch v.Kind() {
	case record.KindInt:
		return float64(v.Int())
	case record.KindDecimal:
		return record.DecimalFloat(v.Int(), v.Scale())
	}
	return v.Float()
}

// verbs is how a message names what an operator does.
func verbs(op byte, a, b string) string {
	switch op {
	case '+':
		return "cannot add " + a + " and " + b
	case '-':
		return "cannot subtract " + b + " from " + a
	case '*':
		return "cannot multiply " + a + " by " + b
	case '/':
		return "cannot divide " + a + " by " + b
	case '%':
		return "% needs whole numbers, found " + a + " and " + b
	}
	return "** needs numbers, found " + a + " and " + b
}

const convertOne = "convert one: decimal(x) or float(x)"

// arith applies + - * / % ^ to any two values.
func arith(e *Env, op byte, a, b record.Value) record.Value {
	if a.IsNull() || b.IsNull() {
		return record.Null
	}
	if isNumber(a) && isNumber(b) {
		return numbers(e, op, a, b)
	}
	ak, bk := a.Kind(), b.Kind()
	switch {
	case op == '+' && ak == record.KindString && bk == record.KindString:
		return concatText(e, a, b)
	case ak == record.KindTimestamp || ak == record.KindDuration || bk == record.KindDuration:
		return times(e, op, a, b)
	}
	return e.fail("%s", verbs(op, a.TypeName(), b.TypeName()))
}

func numbers(e *Env, op byte, a, b record.Value) record.Value {
	ak, bk := a.Kind(), b.Kind()
	switch {
	case op == '^':
		return record.Float(math.Pow(toFloat(a), toFloat(b)))
	case ak == record.KindInt && bk == record.KindInt:
		return ints(e, op, a.Int(), b.Int())
	case op == '%':
		return e.fail("%s", verbs(op, a.TypeName(), b.TypeName()))
	case ak == record.KindFloat || bk == record.KindFloat:
		if ak == record.KindDecimal || bk == record.KindDecimal {
			return e.fail("%s: %s", verbs(op, a.TypeName(), b.TypeName()), convertOne)
		}
		return floats(e, op, toFloat(a), toFloat(b))
	}
	return decimals(e, op, a, b)
}

func ints(e *Env, op byte, a, b int64) record.Value {
	switch op {
	case '+':
		return addInts(e, a, b)
	case '-':
		return subInts(e, a, b)
	case '*':
		return mulInts(e, a, b)
	case '%':
		if b == 0 {
			return divisionByZero(e)
		}
		return record.Int(a % b)
	}
	return floats(e, op, float64(a), float64(b))
}

func divisionByZero(e *Env) record.Value { return e.fail("division by zero") }

func addInts(e *Env, a, b int64) record.Value {
	s := a + b
	if (s^a)&(s^b) < 0 {
		return overflow(e, a, "+", b)
	}
	return record.Int(s)
}

func subInts(e *Env, a, b int64) record.Value {
	d := a - b
	if (a^b)&(d^a) < 0 {
		return overflow(e, a, "-", b)
	}
	return record.Int(d)
}

func mulInts(e *Env, a, b int64) record.Value {
	p, ok := mul64(a, b)
	if !ok {
		return overflow(e, a, "*", b)
	}
	return record.Int(p)
}

func overflow(e *Env, a int64, op string, b int64) record.Value {
	return e.fail("overflow: %d %s %d does not fit into 64 bits", a, op, b)
}

// mul64 multiplies; ok is false on overflow.
func mul64(a, b int64) (int64, bool) {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	// Mul64 is unsigned: take back what the signs added to the high half.
	if a < 0 {
		hi -= uint64(b)
	}
	if b < 0 {
		hi -= uint64(a)
	}
	p := int64(lo)
	return p, int64(hi) == p>>63
}

func floats(e *Env, op byte, a, b float64) record.Value {
	switch op {
	case '+':
		return record.Float(a + b)
	case '-':
		return record.Float(a - b)
	case '*':
		return record.Float(a * b)
	}
	if b == 0 {
		return divisionByZero(e)
	}
	return record.Float(a / b)
}

// decimals applies an operator to two decimals, or a decimal and an int.
func decimals(e *Env, op byte, a, b record.Value) record.Value {
	as, bs := int(a.Scale()), int(b.Scale())
	switch op {
	case '*':
		p, ok := mul64(a.Int(), b.Int())
		if !ok || as+bs > math.MaxUint8 {
			return largeDecimal(e)
		}
		return makeDecimal(e, p, as+bs)
	case '/':
		return divDecimals(e, a.Int(), as, b.Int(), bs)
	}
	scale := max(as, bs)
	x, xok := rescale(a.Int(), as, scale)
	y, yok := rescale(b.Int(), bs, scale)
	if !xok || !yok {
		return bigSum(e, op, a, b, scale)
	}
	if op == '-' {
		y = -y
	}
	// Both are below 2^63 - 10^18 in size only if they are decimals; the sum of
	// an int and a decimal can wrap.
	s := x + y
	if (s^x)&(s^y) < 0 {
		return largeDecimal(e)
	}
	return makeDecimal(e, s, scale)
}

func largeDecimal(e *Env) record.Value { return e.fail("overflow: a decimal has at most 18 digits") }

func makeDecimal(e *Env, unscaled int64, scale int) record.Value {
	if unscaled >= maxDecimal || unscaled <= -maxDecimal || scale > math.MaxUint8 {
		return largeDecimal(e)
	}
	return record.Decimal(unscaled, uint8(scale))
}

// rescale multiplies by a power of ten; ok is false if the product does not fit.
func rescale(n int64, from, to int) (int64, bool) {
	d := to - from
	if d == 0 || n == 0 {
		return n, true
	}
	if d > 18 {
		return 0, false
	}
	return mul64(n, record.Pow10(d))
}

// bigSum is a sum whose operands do not fit at the same scale; the result can
// still fit when they nearly cancel.
func bigSum(e *Env, op byte, a, b record.Value, scale int) record.Value {
	x, y := bigScaled(a.Int(), scale-int(a.Scale())), bigScaled(b.Int(), scale-int(b.Scale()))
	if op == '-' {
		x.Sub(x, y)
	} else {
		x.Add(x, y)
	}
	if !x.IsInt64() {
		return largeDecimal(e)
	}
	return makeDecimal(e, x.Int64(), scale)
}

func bigScaled(n int64, by int) *big.Int {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(by)), nil)
	return p.Mul(p, big.NewInt(n))
}

// divDecimals divides at the scale of the larger side, at least 6, rounding half
// away from zero.
func divDecimals(e *Env, a int64, as int, b int64, bs int) record.Value {
	if b == 0 {
		return divisionByZero(e)
	}
	scale := max(as, bs, 6)
	by := scale - as + bs
	negative := (a < 0) != (b < 0)
	x, y := magnitude(a), magnitude(b)
	if by > 18 {
		return bigQuotient(e, a, b, by, scale)
	}
	hi, lo := bits.Mul64(x, uint64(record.Pow10(by)))
	if hi >= y {
		return largeDecimal(e)
	}
	q, rest := bits.Div64(hi, lo, y)
	if rest >= y-rest {
		q++
	}
	if q >= maxDecimal {
		return largeDecimal(e)
	}
	if negative {
		return record.Decimal(-int64(q), uint8(scale))
	}
	return record.Decimal(int64(q), uint8(scale))
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

func bigQuotient(e *Env, a, b int64, by, scale int) record.Value {
	x, y := bigScaled(a, by), big.NewInt(b)
	q, rest := new(big.Int).QuoRem(x, y, new(big.Int))
	if rest.Lsh(rest, 1).CmpAbs(y) >= 0 {
		q.Add(q, big.NewInt(int64(x.Sign()*y.Sign())))
	}
	if !q.IsInt64() {
		return largeDecimal(e)
	}
	return makeDecimal(e, q.Int64(), scale)
}

// roundDecimal brings a decimal to a scale, half away from zero.
func roundDecimal(e *Env, v record.Value, to int) record.Value {
	n, from := v.Int(), int(v.Scale())
	if to >= from {
		scaled, ok := rescale(n, from, to)
		if !ok {
			return largeDecimal(e)
		}
		return makeDecimal(e, scaled, to)
	}
	if from-to > 18 {
		return record.Decimal(0, uint8(to))
	}
	p := record.Pow10(from - to)
	q, rest := n/p, magnitude(n%p)
	if rest >= uint64(p)-rest {
		if n < 0 {
			q--
		} else {
			q++
		}
	}
	return record.Decimal(q, uint8(to))
}

// times is arithmetic with a timestamp or a duration.
func times(e *Env, op byte, a, b record.Value) record.Value {
	ak, bk := a.Kind(), b.Kind()
	switch {
	case ak == record.KindTimestamp && bk == record.KindDuration && (op == '+' || op == '-'):
		return timeSum(e, op, a, b, record.TimestampNanos)
	case ak == record.KindDuration && bk == record.KindTimestamp && op == '+':
		return timeSum(e, op, a, b, record.TimestampNanos)
	case ak == record.KindTimestamp && bk == record.KindTimestamp && op == '-':
		return timeSum(e, op, a, b, record.Duration)
	case ak == record.KindDuration && bk == record.KindDuration && (op == '+' || op == '-'):
		return timeSum(e, op, a, b, record.Duration)
	case ak == record.KindDuration && bk == record.KindDuration && op == '/':
		return floats(e, '/', float64(a.Int()), float64(b.Int()))
	case ak == record.KindDuration && isNumber(b) && (op == '*' || op == '/'):
		return scaleDuration(e, op, a, b)
	case isNumber(a) && bk == record.KindDuration && op == '*':
		return scaleDuration(e, op, b, a)
	}
	return e.fail("%s", verbs(op, a.TypeName(), b.TypeName()))
}

func timeSum(e *Env, op byte, a, b record.Value, make func(int64) record.Value) record.Value {
	sum := ints(e, op, a.Int(), b.Int())
	if sum.IsNull() {
		return sum
	}
	return make(sum.Int())
}

func scaleDuration(e *Env, op byte, d, by record.Value) record.Value {
	if op == '*' && by.Kind() == record.KindInt {
		p, ok := mul64(d.Int(), by.Int())
		if !ok {
			return overflow(e, d.Int(), "*", by.Int())
		}
		return record.Duration(p)
	}
	f := toFloat(by)
	if op == '/' {
		if f == 0 {
			return divisionByZero(e)
		}
		f = float64(d.Int()) / f
	} else {
		f *= float64(d.Int())
	}
	if f >= math.MaxInt64 || f <= math.MinInt64 || f != f {
		return e.fail("overflow: the duration is too long")
	}
	return record.Duration(int64(math.Round(f)))
}

// negate is unary minus.
func negate(e *Env, v record.Value) record.Value {
	switch v.Kind() {
	case record.KindNull:
		return v
	case record.KindInt:
		return subInts(e, 0, v.Int())
	case record.KindFloat:
		return record.Float(-v.Float())
	case record.KindDecimal:
		return record.Decimal(-v.Int(), v.Scale())
	case record.KindDuration:
		return timeSum(e, '-', record.Duration(0), v, record.Duration)
	}
	return e.fail("- needs a number, found %s", v.TypeName())
}

// concatText joins two texts in the arena.
func concatText(e *Env, a, b record.Value) record.Value {
	n := len(a.Raw()) + len(b.Raw())
	out := e.text(n)
	if out == nil {
		return record.Null
	}
	copy(out[copy(out, a.Raw()):], b.Raw())
	return record.StringBytes(out)
}
