package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/bits"
	"strconv"
	"unicode/utf8"

	"kstream/record"
)

// JSONWriteOptions are the options of a JSON sink.
type JSONWriteOptions struct {
	// Timestamp is how timestamps without a unit of their own are written:
	// rfc3339, millis or seconds. Empty is rfc3339.
	Timestamp string
}

// AppendJSON writes a value of a type as compact JSON. A value that is not of
// the type is made to fit as Fit does. Numbers that JSON does not have (NaN and
// the infinities) are an error, and so is text that is not UTF-8. After an error
// dst holds nothing of use.
func AppendJSON(dst []byte, v record.Value, t record.Type, o JSONWriteOptions) ([]byte, error) {
	return appendJSON(dst, v, &t, &o)
}

func appendJSON(dst []byte, v record.Value, t *record.Type, o *JSONWriteOptions) ([]byte, error) {
	if t.Kind != record.TypeAny || t.Required {
		var err error
		if v, err = fit(v, t); err != nil {
			return dst, err
		}
	}
	switch v.Kind() {
	case record.KindNull:
		return append(dst, "null"...), nil
	case record.KindBool:
		return strconv.AppendBool(dst, v.True()), nil
	case record.KindInt:
		return strconv.AppendInt(dst, v.Int(), 10), nil
	case record.KindFloat:
		return appendFloat(dst, v.Float(), t)
	case record.KindDecimal:
		return record.AppendDecimal(dst, v.Int(), v.Scale()), nil
	case record.KindString:
		return appendText(dst, v.Raw())
	case record.KindTimestamp:
		return appendTime(dst, v, t, o), nil
	case record.KindList:
		return appendList(dst, v.Elems(), t, o)
	case record.KindObject:
		return appendObject(dst, v.Object(), t, o)
	case record.KindJSON:
		return appendRaw(dst, v.Raw()), nil
	}
	return append(appendQuoted(append(dst, '"'), v), '"'), nil
}

// appendQuoted writes what needs quotes and no escapes.
func appendQuoted(dst []byte, v record.Value) []byte {
	if v.Kind() == record.KindBytes {
		return base64.StdEncoding.AppendEncode(dst, v.Raw())
	}
	return record.AppendText(dst, v)
}

func appendFloat(dst []byte, f float64, t *record.Type) ([]byte, error) {
	bits := 64
	if t.Kind == record.TypeFloat32 {
		bits = 32
	}
	switch {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return dst, &EncodeError{"JSON has no number " + strconv.FormatFloat(f, 'g', -1, 64)}
	case math.Abs(f) >= 1<<63:
		// In plain digits this would be a whole number out of range for
		// whoever reads it without a schema.
		return strconv.AppendFloat(dst, f, 'e', -1, bits), nil
	case bits == 32:
		return record.AppendFloat32(dst, float32(f)), nil
	}
	return record.AppendFloat(dst, f), nil
}

// appendTime writes a timestamp in its type's unit, or as the sink says. Units
// larger than a nanosecond are floored.
func appendTime(dst []byte, v record.Value, t *record.Type, o *JSONWriteOptions) []byte {
	unit := record.UnitDefault
	if t.Kind == record.TypeTimestamp {
		unit = t.Unit
	}
	switch unit {
	case record.UnitSQL:
		return append(record.AppendTimestampSQL(append(dst, '"'), v.Int()), '"')
	case record.UnitDefault:
		switch o.Timestamp {
		case "millis":
			unit = record.UnitMillis
		case "seconds":
			unit = record.UnitSeconds
		default:
			return append(record.AppendTimestamp(append(dst, '"'), v.Int()), '"')
		}
	}
	return strconv.AppendInt(dst, floorDiv(v.Int(), unitNanos(unit)), 10)
}

func floorDiv(n, d int64) int64 {
	q := n / d
	if n%d < 0 {
		q--
	}
	return q
}

func appendList(dst []byte, elems []record.Value, t *record.Type, o *JSONWriteOptions) ([]byte, error) {
	elem := &record.Any
	if t.Kind == record.TypeList {
		elem = t.Elem
	}
	dst = append(dst, '[')
	for i, e := range elems {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = appendJSON(dst, e, elem, o); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendObject(dst []byte, v *record.Object, t *record.Type, o *JSONWriteOptions) ([]byte, error) {
	dst = append(dst, '{')
	for i, name := range v.Names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(record.AppendJSONString(dst, name), ':')
		var err error
		if dst, err = appendJSON(dst, v.Values[i], memberType(t, i), o); err != nil {
			return dst, inField(name, err)
		}
	}
	return append(dst, '}'), nil
}

// memberType is the type of an object's i-th member. The members are those of
// the type, in its order: the object was made to fit.
func memberType(t *record.Type, i int) *record.Type {
	switch t.Kind {
	case record.TypeObject:
		return &t.Fields[i].Type
	case record.TypeMap:
		return t.Elem
	}
	return &record.Any
}

// appendText writes a text as a JSON string. It escapes quotes, backslashes and
// control characters, nothing else, and looks at eight bytes at once like
// lexString.
func appendText(dst, text []byte) ([]byte, error) {
	seen, start := uint64(0), 0
	dst = append(dst, '"')
	for i := 0; i < len(text); {
		if i+8 <= len(text) {
			x := binary.LittleEndian.Uint64(text[i:])
			mark := special(x)
			seen |= x
			if mark == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(mark) >> 3
		}
		c := text[i]
		seen |= uint64(c)
		if c < ' ' || c == '"' || c == '\\' {
			dst = appendEscape(append(dst, text[start:i]...), c)
			start = i + 1
		}
		i++
	}
	if seen&swarHighs != 0 && !utf8.Valid(text) {
		return dst, &EncodeError{"text is not UTF-8: " + quote(text)}
	}
	return append(append(dst, text[start:]...), '"'), nil
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
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
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// appendRaw copies JSON text. A record must stay on one line, so text that was
// laid out over several loses its white space.
func appendRaw(dst, raw []byte) []byte {
	if severalLines(raw) {
		return appendOneLine(dst, raw)
	}
	return append(dst, raw...)
}

// severalLines reports whether JSON text is laid out. A line feed cannot stand
// inside a JSON string, so that finding one is proof.
func severalLines(raw []byte) bool {
	return bytes.IndexByte(raw, '\n') >= 0 || bytes.IndexByte(raw, '\r') >= 0
}

func appendOneLine(dst, raw []byte) []byte {
	inText := false
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case inText && c == '\\':
			dst = append(dst, c)
			i++
			c = raw[i]
		case c == '"':
			inText = !inText
		case !inText && c <= ' ':
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
