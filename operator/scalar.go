package operator

import (
	"math"
	"math/bits"

	"kstream/record"
)

// scalar makes a value of fixed size of its parts.
func scalar(k record.Kind, places uint8, n int64) record.Value {
	switch k {
	case record.KindBool:
		return record.Bool(n != 0)
	case record.KindInt:
		return record.Int(n)
	case record.KindFloat:
		return record.Float(math.Float64frombits(uint64(n)))
	case record.KindDecimal:
		return record.Decimal(n, places)
	case record.KindTimestamp:
		return record.TimestampNanos(n)
	case record.KindDate:
		return record.Date(n)
	case record.KindTime:
		return record.TimeOfDay(n)
	case record.KindDuration:
		return record.Duration(n)
	}
	return record.Null
}

// isScalar reports whether values of a kind are made by scalar.
func isScalar(k record.Kind) bool {
	switch k {
	case record.KindString, record.KindBytes, record.KindList, record.KindObject, record.KindJSON:
		return false
	}
	return true
}

// fixedSize reports whether all values of a type are scalars.
func fixedSize(t record.Type) bool {
	switch t.Kind {
	case record.TypeBool, record.TypeInt, record.TypeInt32, record.TypeFloat, record.TypeFloat32, record.TypeDecimal,
		record.TypeTimestamp, record.TypeDate, record.TypeTime, record.TypeDuration, record.TypeNull:
		return true
	}
	return false
}

// sumOf adds two numbers or durations. Null and a number is the number; an int
// and a decimal are a decimal with the larger number of places; an int and a
// float are a float.
func sumOf(a, b record.Value) (record.Value, error) {
	if a.IsNull() {
		if !summable(b.Kind()) {
			return record.Null, badValue("cannot add up %s", b.TypeName())
		}
		return b, nil
	}
	switch x, y := a.Kind(), b.Kind(); {
	case x == y && (x == record.KindInt || x == record.KindDuration):
		sum, ok := add(a.Int(), b.Int())
		if !ok {
			return record.Null, badValue("the sum is too large")
		}
		return scalar(x, 0, sum), nil
	case isDecimal(x) && isDecimal(y):
		return sumOfDecimals(a, b)
	case isFloat(x) && isFloat(y):
		return record.Float(asFloat(a) + asFloat(b)), nil
	}
	return record.Null, badValue("cannot add %s and %s", a.TypeName(), b.TypeName())
}

func summable(k record.Kind) bool {
	return k == record.KindInt || k == record.KindFloat || k == record.KindDecimal || k == record.KindDuration
}

func isDecimal(k record.Kind) bool { return k == record.KindInt || k == record.KindDecimal }
func isFloat(k record.Kind) bool   { return k == record.KindInt || k == record.KindFloat }

func asFloat(v record.Value) float64 {
	if v.Kind() == record.KindInt {
		return float64(v.Int())
	}
	return v.Float()
}

// add adds integers; ok is false if the sum does not fit.
func add(a, b int64) (sum int64, ok bool) {
	sum = a + b
	return sum, (sum < a) == (b < 0)
}

func sumOfDecimals(a, b record.Value) (record.Value, error) {
	places := max(a.Scale(), b.Scale())
	x, okX := rescale(a.Int(), places-a.Scale())
	y, okY := rescale(b.Int(), places-b.Scale())
	sum, ok := add(x, y)
	if !ok || !okX || !okY || magnitude(sum) >= uint64(record.Pow10(record.MaxDecimalDigits)) {
		return record.Null, badValue("the sum has more than %d digits", record.MaxDecimalDigits)
	}
	return record.Decimal(sum, places), nil
}

// rescale multiplies by 10^places.
func rescale(n int64, places uint8) (int64, bool) {
	hi, lo := bits.Mul64(magnitude(n), uint64(record.Pow10(int(places))))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if n < 0 {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// avgPlaces is how many decimal places the average of decimals has at least.
const avgPlaces = 6

// average divides a sum by a count: ints and floats give a float, decimals a
// decimal rounded half away from zero, durations a duration.
func average(sum record.Value, n uint64) (record.Value, error) {
	switch sum.Kind() {
	case record.KindInt, record.KindFloat:
		return record.Float(asFloat(sum) / float64(n)), nil
	case record.KindDuration:
		return record.Duration(sum.Int() / int64(n)), nil
	case record.KindDecimal:
		places := max(sum.Scale(), avgPlaces)
		hi, lo := bits.Mul64(magnitude(sum.Int()), uint64(record.Pow10(int(places-sum.Scale()))))
		if hi >= n {
			return record.Null, badValue("the average has more than %d digits", record.MaxDecimalDigits)
		}
		quo, rem := bits.Div64(hi, lo, n)
		if rem >= n-rem {
			quo++
		}
		if quo >= uint64(record.Pow10(record.MaxDecimalDigits)) {
			return record.Null, badValue("the average has more than %d digits", record.MaxDecimalDigits)
		}
		if sum.Int() < 0 {
			return record.Decimal(-int64(quo), places), nil
		}
		return record.Decimal(int64(quo), places), nil
	}
	return record.Null, nil
}
