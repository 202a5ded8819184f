package expr

import (
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func conversionFunctions() map[string]*function {
	text, bytes := fixed(textType), fixed(bytesType)
	return map[string]*function{
		"int":     {sig: "int(x)", params: "x", result: fixed(intType), f1: toInt, build: buildConvert(intClass)},
		"float":   {sig: "float(x)", params: "x", result: fixed(floatType), f1: toFloatValue, build: buildConvert(floatClass)},
		"decimal": {sig: "decimal(x[, scale])", params: "x?i", result: decimalResult, f2: toDecimal, build: buildConvert(decimalClass)},
		"bool":    {sig: "bool(x)", params: "x", result: fixed(boolType), f1: toBool, build: buildConvert(boolClass)},
		"string":  {sig: "string(x)", params: "x", result: text, f1: toText},
		"bytes":   {sig: "bytes(s)", params: "s", result: bytes, f1: toBytes},
		"toJSON":  {sig: "toJSON(x)", params: "x", result: text, f1: toJSON},
		"fromJSON": {sig: "fromJSON(s)", params: "t", result: dynamic,
			f1: fromJSON},
		"toBase64":   {sig: "toBase64(x)", params: "s", result: text, f1: toBase64},
		"fromBase64": {sig: "fromBase64(s)", params: "t", result: bytes, f1: fromBase64},
		"hex":        {sig: "hex(b)", params: "s", result: text, f1: toHex},
		"unhex":      {sig: "unhex(s)", params: "t", result: bytes, f1: fromHex},
	}
}

// buildConvert refuses types that have no number or truth in them.
func buildConvert(to class) func(*compiler, *function, ast.Node, []*operand) *operand {
	return func(c *compiler, f *function, n ast.Node, args []*operand) *operand {
		cl := args[0].class()
		ok := cl.open() || cl == textClass || cl.number() && to != boolClass || cl == boolClass && to == boolClass
		if ok {
			if to == decimalClass && args[0].hasExact {
				args = append([]*operand{args[0].asDecimal()}, args[1:]...)
			}
			return c.plainCall(f, n, args)
		}
		hint := ""
		if cl == timestampClass || cl == durationClass {
			hint = "write millis(" + clip(c.tree.source(args[0].node)) + ")"
		}
		needs := "a number or text"
		if to == boolClass {
			needs = "text or true or false"
		}
		return c.mismatchSpan(args[0].node, hint, "%s needs %s, %s", f.sig[:strings.IndexByte(f.sig, '(')], needs, c.is(args[0]))
	}
}

func notNumber(e *Env, v record.Value) record.Value {
	if v.Kind() == record.KindString {
		return e.fail("%q is not a number", clip(v.Text()))
	}
	return e.fail("%s is not a number", article(v.TypeName()))
}

// toInt reads text, and cuts other numbers toward zero.
func toInt(e *Env, v record.Value) record.Value {
	switch v.Kind() {
	case record.KindInt:
		return v
	case record.KindString:
		if i, ok := record.ParseInt(v.Text()); ok {
			return record.Int(i)
		}
	case record.KindDecimal:
		if v.Scale() > 18 {
			return record.Int(0)
		}
		return record.Int(v.Int() / record.Pow10(int(v.Scale())))
	case record.KindFloat:
		if f := v.Float(); wholeFloat(f) {
			return record.Int(int64(f))
		}
		return e.fail("overflow: %g does not fit into 64 bits", v.Float())
	}
	return notNumber(e, v)
}

func toFloatValue(e *Env, v record.Value) record.Value {
	if isNumber(v) {
		return record.Float(toFloat(v))
	}
	if v.Kind() == record.KindString {
		// ParseFloat also reads hexadecimal floats, underscores and words.
		if s := v.Text(); plainNumber(s) {
			if f, err := strconv.ParseFloat(s, 64); err == nil {
				return record.Float(f)
			}
		}
	}
	return notNumber(e, v)
}

func plainNumber(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E':
		default:
			return false
		}
	}
	return s != ""
}

func decimalResult(args []*operand) record.Type {
	if len(args) > 1 {
		if args[1].konst && args[1].value.Kind() == record.KindInt && args[1].value.Int() >= 0 {
			return decimalOf(int(min(args[1].value.Int(), 100)))
		}
		return decimalType
	}
	switch args[0].class() {
	case decimalClass:
		return nullable(args[0].typ)
	case intClass:
		return decimalOf(0)
	}
	return decimalType
}

// toDecimal reads a number as it is written; a float as its shortest text.
func toDecimal(e *Env, v, scale record.Value) record.Value {
	var d record.Value
	switch v.Kind() {
	case record.KindDecimal:
		d = v
	case record.KindInt:
		d = makeDecimal(e, v.Int(), 0)
	case record.KindString:
		d = parseDecimal(e, v.Text())
	case record.KindFloat:
		var room [32]byte
		d = parseDecimal(e, string(record.AppendFloat(room[:0], v.Float())))
	default:
		return notNumber(e, v)
	}
	if scale.IsNull() || d.IsNull() {
		return d
	}
	if s := scale.Int(); s < 0 || s > record.MaxDecimalDigits {
		return e.fail("a decimal has 0 to 18 places, found %d", s)
	}
	return roundDecimal(e, d, int(scale.Int()))
}

func parseDecimal(e *Env, s string) record.Value {
	unscaled, scale, ok := record.ParseDecimal(s)
	if !ok {
		return e.fail("%q is not a decimal of at most 18 digits", clip(s))
	}
	return record.Decimal(unscaled, scale)
}

func toBool(e *Env, v record.Value) record.Value {
	switch {
	case v.Kind() == record.KindBool:
		return v
	case v.Kind() == record.KindString && v.Text() == "true":
		return record.Bool(true)
	case v.Kind() == record.KindString && v.Text() == "false":
		return record.Bool(false)
	case v.Kind() == record.KindString:
		return e.fail("%q is not true or false", clip(v.Text()))
	}
	return e.fail("%s is not true or false", article(v.TypeName()))
}

func toText(e *Env, v record.Value) record.Value {
	switch v.Kind() {
	case record.KindString:
		return v
	case record.KindBytes:
		if !utf8.Valid(v.Raw()) {
			return e.fail("the bytes are not UTF-8 text")
		}
		return record.StringBytes(v.Raw())
	}
	if !e.affordable(v) {
		return record.Null
	}
	return e.made(record.AppendText(e.scratch[:0], v))
}

func toBytes(_ *Env, v record.Value) record.Value { return record.Bytes(v.Raw()) }

func toJSON(e *Env, v record.Value) record.Value {
	if !e.affordable(v) {
		return record.Null
	}
	if v.Kind() == record.KindJSON {
		return e.made(compactJSON(e.scratch[:0], v.Raw()))
	}
	return e.made(record.AppendJSON(e.scratch[:0], v))
}

// compactJSON copies valid JSON without its white space.
func compactJSON(dst, src []byte) []byte {
	quoted := false
	for i := 0; i < len(src); i++ {
		c := src[i]
		switch {
		case quoted && c == '\\':
			dst = append(dst, c)
			i++
			c = src[i]
		case c == '"':
			quoted = !quoted
		case !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			continue
		}
		dst = append(dst, c)
	}
	return dst
}

func toBase64(e *Env, v record.Value) record.Value {
	return e.made(base64.StdEncoding.AppendEncode(e.scratch[:0], v.Raw()))
}

func fromBase64(e *Env, v record.Value) record.Value {
	b, err := base64.StdEncoding.AppendDecode(e.scratch[:0], v.Raw())
	if err != nil {
		return e.fail("%q is not base64", clip(v.Text()))
	}
	return record.Bytes(e.made(b).Raw())
}

func toHex(e *Env, v record.Value) record.Value {
	return e.made(hex.AppendEncode(e.scratch[:0], v.Raw()))
}

func fromHex(e *Env, v record.Value) record.Value {
	b, err := hex.AppendDecode(e.scratch[:0], v.Raw())
	if err != nil {
		return e.fail("%q is not hexadecimal", clip(v.Text()))
	}
	return record.Bytes(e.made(b).Raw())
}
