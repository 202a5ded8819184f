package record

import (
	"cmp"
	"encoding/base64"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Equal is == of the language: null equals null; numbers are compared by value
// whatever their type; lists and objects by content, objects without regard to
// the order of their fields. Values of different types are not equal.
func Equal(a, b Value) bool {
	if a.kind == b.kind {
		switch a.kind {
		case KindNull:
			return true
		case KindString, KindBytes:
			return a.Text() == b.Text()
		case KindFloat:
			return a.Float() == b.Float()
		case KindDecimal:
			c, _ := compareNumbers(a, b)
			return c == 0
		case KindList, KindObject, KindJSON:
			return equalNested(a, b)
		}
		return a.num == b.num
	}
	if a.isNumber() && b.isNumber() {
		c, ok := compareNumbers(a, b)
		return ok && c == 0
	}
	return equalNested(a, b)
}

// equalNested compares lists and objects in either form, and gives false for
// anything else.
func equalNested(a, b Value) bool {
	switch {
	case a.kind == KindJSON && b.kind == KindJSON && a.scale == b.scale && a.Text() == b.Text():
		return true
	case a.IsList() && b.IsList():
		x, y := JSONElems(a, nil), JSONElems(b, nil)
		if len(x) != len(y) {
			return false
		}
		for i := range x {
			if !Equal(x[i], y[i]) {
				return false
			}
		}
		return true
	case a.IsObject() && b.IsObject():
		return equalObjects(JSONFields(a, nil), JSONFields(b, nil))
	}
	return false
}

func equalObjects(a, b *Object) bool {
	if len(a.Names) != len(b.Names) {
		return false
	}
	for i, name := range a.Names {
		// The usual case is the same order.
		if b.Names[i] == name {
			if !Equal(a.Values[i], b.Values[i]) {
				return false
			}
			continue
		}
		if v, ok := b.Get(name); !ok || !Equal(a.Values[i], v) {
			return false
		}
	}
	return true
}

// Compare orders two values of one type, or two numbers: -1, 0 or 1. Text is
// ordered by code point, bytes byte by byte. ok is false if one of them is null
// or not a number, or if values of these types have no order.
func Compare(a, b Value) (c int, ok bool) {
	if a.kind != b.kind {
		if a.isNumber() && b.isNumber() {
			return compareNumbers(a, b)
		}
		return 0, false
	}
	switch a.kind {
	case KindInt, KindTimestamp, KindDate, KindTime, KindDuration:
		return cmp.Compare(a.num, b.num), true
	case KindString, KindBytes:
		// UTF-8 sorts as its code points do.
		return strings.Compare(a.Text(), b.Text()), true
	case KindFloat, KindDecimal:
		return compareNumbers(a, b)
	}
	return 0, false
}

func (v Value) isNumber() bool { return v.kind >= KindInt && v.kind <= KindDecimal }

func compareNumbers(a, b Value) (int, bool) {
	switch {
	case a.kind == KindFloat && b.kind == KindFloat:
		return compareFloats(a.Float(), b.Float())
	case a.kind == KindFloat:
		c, ok := compareFloats(b.approximate(), a.Float())
		if ok && c == 0 && b.kind == KindInt {
			c = compareIntFloat(b.num, a.Float())
		}
		return -c, ok
	case b.kind == KindFloat:
		c, ok := compareNumbers(b, a)
		return -c, ok
	}
	return compareScaled(a.num, int(a.scale), b.num, int(b.scale)), true
}

func compareFloats(a, b float64) (int, bool) {
	if a != a || b != b {
		return 0, false
	}
	return cmp.Compare(a, b), true
}

// compareIntFloat decides between an integer and the float that its rounding
// equals: beyond 2^53 many integers round to one float.
func compareIntFloat(i int64, f float64) int {
	if f >= math.MaxInt64 { // 2^63, which no int64 reaches
		return -1
	}
	return cmp.Compare(i, int64(f))
}

// approximate is the float nearest to an int, decimal or float.
func (v Value) approximate() float64 {
	switch v.kind {
	case KindInt:
		return float64(v.num)
	case KindDecimal:
		return DecimalFloat(v.num, v.scale)
	}
	return v.Float()
}

// DecimalFloat is the float nearest to unscaled·10^-scale.
func DecimalFloat(unscaled int64, scale uint8) float64 {
	// Both are exact as floats in this range, so the division rounds once.
	if scale <= 18 && unscaled <= 1<<53 && unscaled >= -1<<53 {
		return float64(unscaled) / float64(pow10[scale])
	}
	var room [48]byte
	text := strconv.AppendInt(room[:0], unscaled, 10)
	text = strconv.AppendInt(append(text, 'e', '-'), int64(scale), 10)
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}

// compareScaled compares a·10^-as with b·10^-bs exactly.
func compareScaled(a int64, as int, b int64, bs int) int {
	if as == bs || a == 0 || b == 0 || (a < 0) != (b < 0) {
		return cmp.Compare(a, b)
	}
	sign := 1
	if a < 0 {
		sign = -1
	}
	x, y := magnitude(a), magnitude(b)
	if as < bs {
		return -sign * compareShifted(y, x, bs-as)
	}
	return sign * compareShifted(x, y, as-bs)
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n)
	}
	return uint64(n)
}

// compareShifted compares x with y·10^by for by > 0 and y > 0.
func compareShifted(x, y uint64, by int) int {
	if by > 18 {
		var p big.Int
		p.Exp(big.NewInt(10), big.NewInt(int64(by)), nil)
		p.Mul(&p, new(big.Int).SetUint64(y))
		return new(big.Int).SetUint64(x).Cmp(&p)
	}
	hi, lo := bits.Mul64(y, uint64(pow10[by]))
	if hi > 0 {
		return -1
	}
	return cmp.Compare(x, lo)
}

// AppendText writes what string(x) of the language gives: text and bytes as they
// are, lists and objects as compact JSON, null as nothing.
func AppendText(dst []byte, v Value) []byte {
	switch v.kind {
	case KindNull:
		return dst
	case KindString, KindBytes, KindJSON:
		return append(dst, v.Raw()...)
	case KindList, KindObject:
		return AppendJSON(dst, v)
	}
	return appendScalar(dst, v)
}

func appendScalar(dst []byte, v Value) []byte {
	switch v.kind {
	case KindBool:
		return strconv.AppendBool(dst, v.num != 0)
	case KindInt:
		return strconv.AppendInt(dst, v.num, 10)
	case KindFloat:
		return AppendFloat(dst, v.Float())
	case KindDecimal:
		return AppendDecimal(dst, v.num, v.scale)
	case KindTimestamp:
		return AppendTimestamp(dst, v.num)
	case KindDate:
		return AppendDate(dst, v.num)
	case KindTime:
		return AppendTimeOfDay(dst, v.num)
	case KindDuration:
		return AppendDuration(dst, v.num)
	}
	return dst
}

// AppendJSON writes a value as compact JSON, as toJSON of the language does:
// fields in their order, times as text, bytes as base64, a float that is not a
// number as null. JSON text that was kept is copied as it is.
func AppendJSON(dst []byte, v Value) []byte {
	switch v.kind {
	case KindNull:
		return append(dst, "null"...)
	case KindJSON:
		return append(dst, v.Raw()...)
	case KindString:
		return AppendJSONString(dst, v.Raw())
	case KindBytes:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, v.Raw())
		return append(dst, '"')
	case KindFloat:
		if f := v.Float(); f != f || math.IsInf(f, 0) {
			return append(dst, "null"...)
		}
	case KindTimestamp, KindDate, KindTime, KindDuration:
		dst = appendScalar(append(dst, '"'), v)
		return append(dst, '"')
	case KindList:
		dst = append(dst, '[')
		for i, e := range v.Elems() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = AppendJSON(dst, e)
		}
		return append(dst, ']')
	case KindObject:
		return appendJSONObject(dst, v.Object())
	}
	return appendScalar(dst, v)
}

func appendJSONObject(dst []byte, o *Object) []byte {
	dst = append(dst, '{')
	for i, e := range o.Values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendJSONString(dst, o.Names[i])
		dst = AppendJSON(append(dst, ':'), e)
	}
	return append(dst, '}')
}

const hexDigits = "0123456789abcdef"

// AppendJSONString writes text as a JSON string with its quotes, escaping no
// more than JSON demands. Bytes that are not UTF-8 become U+FFFD.
func AppendJSONString[T Text](dst []byte, s T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		width := 1
		if c >= utf8.RuneSelf {
			var r rune
			if r, width = decodeRune(s[i:]); r != utf8.RuneError || width > 1 {
				i += width
				continue
			}
		}
		dst = appendJSONEscape(append(dst, s[start:i]...), c)
		i += width
		start = i
	}
	return append(append(dst, s[start:]...), '"')
}

func decodeRune[T Text](s T) (rune, int) {
	var room [utf8.UTFMax]byte
	return utf8.DecodeRune(room[:copy(room[:], s)])
}

func appendJSONEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if c >= utf8.RuneSelf {
		return utf8.AppendRune(dst, utf8.RuneError)
	}
	return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
}
