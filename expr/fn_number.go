package expr

import (
	"math"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func numberFunctions() map[string]*function {
	same, float := sameAs(0), fixed(floatType)
	return map[string]*function{
		"abs":      {sig: "abs(x)", params: "n", result: same, f1: abs},
		"ceil":     {sig: "ceil(x)", params: "n", result: wholeType, f1: ceil},
		"floor":    {sig: "floor(x)", params: "n", result: wholeType, f1: floor},
		"round":    {sig: "round(x[, places])", params: "n?i", result: roundType, f2: round},
		"sign":     {sig: "sign(x)", params: "n", result: fixed(intType), f1: sign},
		"sqrt":     {sig: "sqrt(x)", params: "n", result: float, f1: sqrt},
		"exp":      {sig: "exp(x)", params: "n", result: float, f1: exp},
		"ln":       {sig: "ln(x)", params: "n", result: float, f1: ln},
		"log10":    {sig: "log10(x)", params: "n", result: float, f1: log10},
		"div":      {sig: "div(a, b)", params: "ii", result: fixed(intType), f2: div},
		"least":    {sig: "least(a, b, …)", params: "OO*", result: common, fn: least, build: buildOrdered},
		"greatest": {sig: "greatest(a, b, …)", params: "OO*", result: common, fn: greatest, build: buildOrdered},
		"random": {sig: "random([a, b])", params: "?ii", impure: true, f2: random, build: buildRandom,
			result: func(args []*operand) record.Type {
				if len(args) == 0 {
					return floatType
				}
				return intType
			}},
	}
}

// wholeType is the type of ceil and floor: a decimal loses its places.
func wholeType(args []*operand) record.Type {
	if args[0].class() == decimalClass {
		return decimalOf(0)
	}
	return widened(args[0].typ)
}

func roundType(args []*operand) record.Type {
	if args[0].class() != decimalClass {
		return widened(args[0].typ)
	}
	switch {
	case len(args) == 1:
		return decimalOf(0)
	case args[1].konst && args[1].value.Kind() == record.KindInt && args[1].value.Int() >= 0:
		return decimalOf(int(min(args[1].value.Int(), 100)))
	}
	return decimalType
}

func abs(e *Env, x record.Value) record.Value {
	switch x.Kind() {
	case record.KindFloat:
		return record.Float(math.Abs(x.Float()))
	case record.KindDecimal:
		return record.Decimal(int64(magnitude(x.Int())), x.Scale())
	}
	if x.Int() < 0 {
		return negate(e, x)
	}
	return x
}

func ceil(e *Env, x record.Value) record.Value  { return whole(e, x, math.Ceil, 1) }
func floor(e *Env, x record.Value) record.Value { return whole(e, x, math.Floor, -1) }

// whole rounds to the next whole number in one direction.
func whole(e *Env, x record.Value, float func(float64) float64, direction int64) record.Value {
	switch x.Kind() {
	case record.KindFloat:
		return record.Float(float(x.Float()))
	case record.KindDecimal:
		if x.Scale() > 18 {
			return decimalFrom(0, x.Int(), direction)
		}
		p := record.Pow10(int(x.Scale()))
		return decimalFrom(x.Int()/p, x.Int()%p, direction)
	}
	return x
}

func decimalFrom(quotient, rest, direction int64) record.Value {
	if rest*direction > 0 {
		quotient += direction
	}
	return record.Decimal(quotient, 0)
}

// round rounds half away from zero. Negative places round to tens and so on.
func round(e *Env, x, places record.Value) record.Value {
	n := places.Int() // 0 if missing
	if n > math.MaxUint8 || n < -18 {
		return e.fail("round takes from -18 to 255 places, found %d", n)
	}
	switch x.Kind() {
	case record.KindFloat:
		return roundFloat(x.Float(), int(n))
	case record.KindDecimal:
		if n < int64(x.Scale()) {
			return roundTens(e, x, int(n))
		}
		return roundDecimal(e, x, int(n))
	}
	if n >= 0 {
		return x
	}
	if scaled := roundTens(e, record.Decimal(x.Int(), 0), int(n)); !scaled.IsNull() {
		return record.Int(scaled.Int())
	}
	return record.Null
}

// roundTens rounds a decimal to a scale that may be negative.
func roundTens(e *Env, x record.Value, places int) record.Value {
	if places >= 0 {
		return roundDecimal(e, x, places)
	}
	if drop := int(x.Scale()) - places; drop > 18 {
		return record.Decimal(0, 0)
	}
	// With its scale raised the number reads as a fraction of 10^-places.
	shifted := roundDecimal(e, record.Decimal(x.Int(), uint8(int(x.Scale())-places)), 0)
	p, ok := mul64(shifted.Int(), record.Pow10(-places))
	if !ok {
		return largeDecimal(e)
	}
	return record.Decimal(p, 0)
}

// roundFloat rounds the number as it is written in decimal, so that 1.005 with
// two places is 1.01 although its float is a little less.
func roundFloat(f float64, places int) record.Value {
	if places == 0 {
		return record.Float(math.Round(f))
	}
	p := math.Pow10(max(places, -places))
	scaled := f * p
	if places < 0 {
		scaled = f / p
	}
	if math.IsInf(scaled, 0) || math.IsNaN(scaled) {
		return record.Float(f)
	}
	if math.Abs(scaled) < 1<<52 {
		// The product can fall short of a half by one bit.
		scaled = math.Round(math.Nextafter(scaled, math.Copysign(math.Inf(1), scaled)))
	}
	if places < 0 {
		return record.Float(scaled * p)
	}
	return record.Float(scaled / p)
}

func sign(_ *Env, x record.Value) record.Value {
	n := x.Int()
	if x.Kind() == record.KindFloat {
		switch f := x.Float(); {
		case f > 0:
			n = 1
		case f < 0:
			n = -1
		default:
			n = 0
		}
	}
	switch {
	case n > 0:
		return record.Int(1)
	case n < 0:
		return record.Int(-1)
	}
	return record.Int(0)
}

func sqrt(e *Env, x record.Value) record.Value {
	f := toFloat(x)
	if f < 0 {
		return e.fail("sqrt of a negative number")
	}
	return record.Float(math.Sqrt(f))
}

func exp(_ *Env, x record.Value) record.Value { return record.Float(math.Exp(toFloat(x))) }

func ln(e *Env, x record.Value) record.Value { return logarithm(e, "ln", x, math.Log) }

func log10(e *Env, x record.Value) record.Value { return logarithm(e, "log10", x, math.Log10) }

func logarithm(e *Env, name string, x record.Value, log func(float64) float64) record.Value {
	f := toFloat(x)
	if f <= 0 {
		return e.fail("%s of a number that is not positive", name)
	}
	return record.Float(log(f))
}

func div(e *Env, a, b record.Value) record.Value {
	switch {
	case b.Int() == 0:
		return divisionByZero(e)
	case b.Int() == -1:
		return subInts(e, 0, a.Int())
	}
	return record.Int(a.Int() / b.Int())
}

func least(e *Env, vs []record.Value) record.Value    { return extreme(e, vs, -1) }
func greatest(e *Env, vs []record.Value) record.Value { return extreme(e, vs, 1) }

// extreme is the smallest (-1) or largest (1) value; nulls are skipped.
func extreme(e *Env, vs []record.Value, direction int) record.Value {
	best := record.Null
	for _, v := range vs {
		if v.IsNull() {
			continue
		}
		if best.IsNull() {
			best = v
			continue
		}
		c, ok := record.Compare(v, best)
		if !ok && !(isNumber(v) && isNumber(best)) {
			return e.fail("cannot compare %s and %s", v.TypeName(), best.TypeName())
		}
		if c == direction {
			best = v
		}
	}
	return best
}

func buildRandom(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	if len(args) == 1 {
		return c.mismatch(n, "", "%s takes 0 or 2 arguments, found 1", f.sig)
	}
	return c.plainCall(f, n, args)
}

func random(e *Env, a, b record.Value) record.Value {
	switch {
	case e.Rand == nil:
		return e.fail("there is no source of random numbers here")
	case a.IsNull():
		return record.Float(e.Rand.Float64())
	case b.IsNull() || b.Int() < a.Int():
		return e.fail("random(a, b) needs a number b that is not less than a")
	}
	width := uint64(b.Int()) - uint64(a.Int())
	if width == math.MaxUint64 {
		return record.Int(int64(e.Rand.Uint64()))
	}
	return record.Int(int64(uint64(a.Int()) + e.Rand.Uint64N(width+1)))
}
