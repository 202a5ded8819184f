package codec

import (
	"encoding/binary"
	"math"
	"math/bits"
	"unicode/utf8"
	"unsafe"
)

// The lexer of the JSON scanner: strings, numbers and white space. Its
// functions take the text and a place and give the place behind what they read,
// so that the place lives in a register. A negative place ^p means that the text
// is wrong at p.

// fault says why a text is not JSON.
type fault uint8

const (
	faultNone fault = iota
	faultEnd
	faultCharacter
	faultControl
	faultEscape
	faultSurrogate
	faultUTF8
	faultNumber
)

var faultTexts = [...]string{
	faultEnd:       "the text ends too early",
	faultCharacter: "unexpected character",
	faultControl:   "control character inside a text",
	faultEscape:    "invalid escape",
	faultSurrogate: "half of a surrogate pair",
	faultUTF8:      "not UTF-8",
	faultNumber:    "invalid number",
}

const swarHighs = 0x8080808080808080

// special marks the bytes of x at which a JSON string does not simply go on: its
// high bit is set in the first byte that is a control character, a quote or a
// backslash. With the bit 02 turned over, a quote is 20 and the first character
// above the control characters that is not one, the space, is 22: one
// subtraction finds both. Bytes behind the first one may be marked wrongly,
// because a subtraction borrows; bytes from 80 on are never marked.
func special(x uint64) uint64 {
	low := (x ^ 0x0202020202020202) - 0x2121212121212121
	slash := (x ^ 0x5c5c5c5c5c5c5c5c) - 0x0101010101010101
	return (low | slash) &^ x & swarHighs
}

// word is the eight bytes from i on, which are there.
func word(data []byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(data)), i))[:])
}

// lexString reads a string from behind its opening quote to behind its closing
// one, eight bytes at once.
func lexString(data []byte, i int) (end int, escaped bool, bad fault) {
	start, seen := i, uint64(0)
	for {
		mark := uint64(0)
		for i+8 <= len(data) {
			x := word(data, i)
			seen |= x
			if mark = special(x); mark != 0 {
				i += bits.TrailingZeros64(mark) >> 3
				break
			}
			i += 8
		}
		if mark == 0 {
			i = lexPlain(data, i)
			seen |= swarHighs // not looked at
		}
		switch {
		case i >= len(data):
			return ^i, false, faultEnd
		case data[i] == '"':
			// Bytes behind the quote may have been seen too; then the check
			// is made in vain, and is right.
			if seen&swarHighs != 0 && !utf8.Valid(data[start:i]) {
				return ^start, false, faultUTF8
			}
			return i + 1, escaped, faultNone
		case data[i] != '\\':
			return ^i, false, faultControl
		}
		next, bad := lexEscape(data, i)
		if bad != faultNone {
			return ^i, false, bad
		}
		i, escaped = next, true
	}
}

// lexPlain skips to the next byte that special would mark, at the end of data.
func lexPlain(data []byte, i int) int {
	for i < len(data) && data[i] >= ' ' && data[i] != '"' && data[i] != '\\' {
		i++
	}
	return i
}

// lexEscape reads the escape whose backslash is at i.
func lexEscape(data []byte, i int) (end int, bad fault) {
	if i+1 >= len(data) {
		return 0, faultEnd
	}
	switch data[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2, faultNone
	case 'u':
	default:
		return 0, faultEscape
	}
	high, ok := lexHex(data, i+2)
	switch {
	case !ok:
		return 0, faultEscape
	case high&0xf800 != 0xd800:
		return i + 6, faultNone
	case high >= 0xdc00 || i+8 > len(data) || data[i+6] != '\\' || data[i+7] != 'u':
		return 0, faultSurrogate
	}
	low, ok := lexHex(data, i+8)
	if !ok || low&0xfc00 != 0xdc00 {
		return 0, faultSurrogate
	}
	return i + 12, faultNone
}

func lexHex(data []byte, i int) (n uint32, ok bool) {
	if i+4 > len(data) {
		return 0, false
	}
	for _, c := range data[i : i+4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20-'a' <= 5:
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		n = n<<4 | uint32(c)
	}
	return n, true
}

// numberClass is the form of a number.
type numberClass uint8

const (
	numberBad   numberClass = iota
	numberInt               // no fraction, no exponent, fits into 64 bits
	numberLarge             // no fraction, no exponent, does not fit
	numberFraction
)

// lexSmall reads what most numbers are: 1 to 18 digits and then a comma or a
// brace. Of everything else it says numberBad.
func lexSmall(data []byte, i int) (end int, n int64, class numberClass) {
	for end = i; end < len(data) && data[end]-'0' <= 9; end++ {
		n = n*10 + int64(data[end]-'0')
	}
	if end == len(data) || end-i > 18 || data[i] == '0' || data[end] != ',' && data[end] != '}' {
		return i, 0, numberBad
	}
	return end, n, numberInt
}

// lexNumber reads the number at i. Of a numberBad end is the place of the fault.
func lexNumber(data []byte, i int) (end int, n int64, class numberClass) {
	negative := data[i] == '-'
	if negative {
		i++
	}
	start, u := i, uint64(0)
	for i < len(data) && data[i]-'0' <= 9 {
		u = u*10 + uint64(data[i]-'0')
		i++
	}
	width := i - start
	if width == 0 || width > 1 && data[start] == '0' {
		return start, 0, numberBad
	}
	if i < len(data) && (data[i] == '.' || data[i]|0x20 == 'e') {
		end, ok := lexFraction(data, i)
		if !ok {
			return end, 0, numberBad
		}
		return end, 0, numberFraction
	}
	switch {
	case width > 19 || u > math.MaxInt64+1 || u == math.MaxInt64+1 && !negative:
		return i, 0, numberLarge
	case negative:
		return i, -int64(u), numberInt
	}
	return i, int64(u), numberInt
}

// lexFraction reads what follows the whole part of a number.
func lexFraction(data []byte, i int) (end int, ok bool) {
	if data[i] == '.' {
		if i, ok = lexDigits(data, i+1); !ok {
			return i, false
		}
	}
	if i < len(data) && data[i]|0x20 == 'e' {
		i++
		if i < len(data) && (data[i] == '+' || data[i] == '-') {
			i++
		}
		return lexDigits(data, i)
	}
	return i, true
}

func lexDigits(data []byte, i int) (end int, some bool) {
	start := i
	for i < len(data) && data[i]-'0' <= 9 {
		i++
	}
	return i, i > start
}

// lexSpace skips white space.
func lexSpace(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}

// lexLiteral reports whether the word stands at i.
func lexLiteral(data []byte, i int, word string) bool {
	return len(data)-i >= len(word) && string(data[i:i+len(word)]) == word
}
