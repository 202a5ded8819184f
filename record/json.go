package record

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// jsonDecimals marks a KindJSON whose numbers with a fraction are decimals. It
// stands in Value.scale, which KindJSON does not need otherwise.
const jsonDecimals = 1

// JSONDecimals is JSON for text whose numbers with a fraction or an exponent
// are read as decimals; the caller checked that each has at most 18 digits.
func JSONDecimals(b []byte) Value {
	v := JSON(b)
	v.scale = jsonDecimals
	return v
}

// HasJSONDecimals reports whether v was made by JSONDecimals.
func (v Value) HasJSONDecimals() bool { return v.kind == KindJSON && v.scale == jsonDecimals }

// TypeName is the name that the function type(x) of the language returns.
func (v Value) TypeName() string {
	if v.kind == KindJSON && v.num > 0 && *(*byte)(v.ptr) == '[' {
		return "list"
	}
	return v.kind.String()
}

// IsList reports whether v is a list in either form.
func (v Value) IsList() bool {
	return v.kind == KindList || v.kind == KindJSON && v.num > 0 && *(*byte)(v.ptr) == '['
}

// IsObject reports whether v is an object in either form.
func (v Value) IsObject() bool {
	return v.kind == KindObject || v.kind == KindJSON && v.num > 0 && *(*byte)(v.ptr) == '{'
}

// JSONField is the member of an object in either form; ok is false if v has no
// such member or is no object. Text with escapes is written to the arena, all
// other text shares the bytes of v. A nil arena means the heap.
func JSONField(v Value, name string, a *Arena) (Value, bool) {
	if v.kind == KindObject {
		return v.Object().Get(name)
	}
	if !v.IsObject() {
		return Null, false
	}
	c := NewJSONCursor(v)
	for c.Next() {
		if JSONKeyIs(c.Key, name) {
			return c.Value(a), true
		}
	}
	return Null, false
}

// JSONElems is the elements of a list in either form, nil of anything else.
func JSONElems(v Value, a *Arena) []Value {
	if v.kind == KindList {
		return v.Elems()
	}
	if !v.IsList() {
		return nil
	}
	n := 0
	for c := NewJSONCursor(v); c.Next(); {
		n++
	}
	out := make([]Value, 0, n)
	for c := NewJSONCursor(v); c.Next(); {
		out = append(out, c.Value(a))
	}
	return out
}

// JSONFields is the members of an object in either form, nil of anything else.
func JSONFields(v Value, a *Arena) *Object {
	if v.kind == KindObject {
		return v.Object()
	}
	if !v.IsObject() {
		return nil
	}
	o := &Object{}
	for c := NewJSONCursor(v); c.Next(); {
		name := JSONText(c.Key, a)
		o.Names = append(o.Names, unsafe.String(unsafe.SliceData(name), len(name)))
		o.Values = append(o.Values, c.Value(a))
	}
	return o
}

// JSONValue reads one valid JSON value without surrounding white space: whole
// numbers are ints, other numbers floats, lists and objects stay text.
func JSONValue(raw []byte, a *Arena) Value { return jsonValue(raw, a, 0) }

func jsonValue(raw []byte, a *Arena, mode uint8) Value {
	if len(raw) == 0 {
		return Null
	}
	switch raw[0] {
	case '{', '[':
		v := JSON(raw)
		v.scale = mode
		return v
	case '"':
		return StringBytes(JSONText(raw, a))
	case 't':
		return Bool(true)
	case 'f':
		return Bool(false)
	case 'n':
		return Null
	}
	return jsonNumber(raw, mode)
}

func jsonNumber(raw []byte, mode uint8) Value {
	if n, ok := ParseInt(raw); ok {
		return Int(n)
	}
	if mode == jsonDecimals {
		if unscaled, scale, ok := ParseDecimal(raw); ok {
			return Decimal(unscaled, scale)
		}
	}
	f, _ := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), 64)
	return Float(f)
}

// JSONText is the text of a valid JSON string given with its quotes: shared with
// raw if it has no escape, else written to the arena.
func JSONText(raw []byte, a *Arena) []byte {
	in := raw[1 : len(raw)-1]
	if bytes.IndexByte(in, '\\') < 0 {
		return in
	}
	var room []byte
	if a != nil {
		room = a.Alloc(len(in)) // unescaping never makes text longer
	} else {
		room = make([]byte, len(in))
	}
	return AppendJSONUnescaped(room[:0], in)
}

// AppendJSONUnescaped appends what a valid JSON string without its quotes means.
func AppendJSONUnescaped(dst, in []byte) []byte {
	for {
		i := bytes.IndexByte(in, '\\')
		if i < 0 {
			return append(dst, in...)
		}
		dst = append(dst, in[:i]...)
		c := in[i+1]
		in = in[i+2:]
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(in)
			in = in[4:]
			if utf16.IsSurrogate(r) {
				r = utf16.DecodeRune(r, hex4(in[2:]))
				in = in[6:]
			}
			dst = utf8.AppendRune(dst, r)
			continue
		}
		dst = append(dst, c)
	}
}

func hex4(b []byte) rune {
	var r rune
	for _, c := range b[:4] {
		switch {
		case c <= '9':
			c -= '0'
		default:
			c = c&0x0f + 9
		}
		r = r<<4 | rune(c)
	}
	return r
}

// JSONKeyIs reports whether a member's key as written, with its quotes, means
// name.
func JSONKeyIs(key []byte, name string) bool {
	in := key[1 : len(key)-1]
	if string(in) == name {
		return true
	}
	if len(in) <= len(name) || bytes.IndexByte(in, '\\') < 0 {
		return false
	}
	var room [64]byte
	return string(AppendJSONUnescaped(room[:0], in)) == name
}

// JSONCursor walks over the members of a valid JSON object or the elements of a
// list, in order, without reading them. It never allocates.
//
//	for c := NewJSONCursor(v); c.Next(); { use c.Key, c.Raw }
type JSONCursor struct {
	Key []byte // as written, with quotes; nil in a list
	Raw []byte // the value as written

	text []byte
	i    int
	mode uint8
}

// NewJSONCursor starts before the first member of a KindJSON value.
func NewJSONCursor(v Value) JSONCursor {
	return JSONCursor{text: v.Raw(), i: 1, mode: v.scale}
}

// Next moves to the next member and reports whether there is one.
func (c *JSONCursor) Next() bool {
	i := jsonSpace(c.text, c.i)
	if c.text[i] == ',' {
		i = jsonSpace(c.text, i+1)
	}
	if c.text[i] == '}' || c.text[i] == ']' {
		return false
	}
	if c.text[0] == '{' {
		end := jsonStringEnd(c.text, i)
		c.Key = c.text[i:end:end]
		i = jsonSpace(c.text, jsonSpace(c.text, end)+1)
	}
	end := jsonEnd(c.text, i)
	c.Raw, c.i = c.text[i:end:end], end
	return true
}

// Value reads the value under the cursor as JSONValue does.
func (c *JSONCursor) Value(a *Arena) Value { return jsonValue(c.Raw, a, c.mode) }

func jsonSpace(b []byte, i int) int {
	for b[i] <= ' ' {
		i++
	}
	return i
}

// jsonStringEnd is the place behind the string that begins at i.
func jsonStringEnd(b []byte, i int) int {
	for i++; ; i++ {
		i += bytes.IndexByte(b[i:], '"')
		slashes := 0
		for b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

// jsonEnd is the place behind the value that begins at i.
func jsonEnd(b []byte, i int) int {
	switch b[i] {
	case '"':
		return jsonStringEnd(b, i)
	case '{', '[':
		return jsonNestedEnd(b, i)
	}
	for i < len(b) && b[i] > ' ' && b[i] != ',' && b[i] != '}' && b[i] != ']' {
		i++
	}
	return i
}

func jsonNestedEnd(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = jsonStringEnd(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
}
