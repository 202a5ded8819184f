package expr

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// hole is one {} of a format text.
type hole struct {
	before string // literal text before it
	width  int    // padded with zeros to
	places int    // decimal places, -1 as the value has them
}

// buildFormat reads the text once; it must be constant.
func buildFormat(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	if !args[0].konst || args[0].value.Kind() != record.KindString {
		return c.mismatchSpan(args[0].node, "", "the first argument of format must be a constant text")
	}
	start, end := c.tree.span(args[0].node)
	holes, rest, message := parseFormat(args[0].value.Text())
	if message != "" {
		c.problem("bad-value", start, end, "{} takes the next value, {:.2} has two decimal places, {:05} five digits", "%s", message)
		return c.badOperand(n)
	}
	if len(holes) != len(args)-1 {
		return c.mismatch(n, "", "format has %d places and %d values", len(holes), len(args)-1)
	}
	g := *f
	g.nulls = true
	g.fn = func(e *Env, values []record.Value) record.Value {
		b := e.scratch[:0]
		for i, h := range holes {
			b = append(b, h.before...)
			if !e.affordable(values[i]) {
				return record.Null
			}
			if b = h.append(e, b, values[i]); len(b) > maxText {
				return e.fail("the text is longer than 1 MiB")
			}
		}
		return e.made(append(b, rest...))
	}
	return c.plainCall(&g, n, args[1:])
}

// parseFormat splits a format text; {{ and }} are braces.
func parseFormat(text string) (holes []hole, rest, message string) {
	var plain strings.Builder
	for i := 0; i < len(text); i++ {
		ch := text[i]
		switch {
		case ch != '{' && ch != '}':
			plain.WriteByte(ch)
		case i+1 < len(text) && text[i+1] == ch:
			plain.WriteByte(ch)
			i++
		case ch == '}':
			return nil, "", `"}" closes nothing`
		default:
			n := strings.IndexByte(text[i:], '}')
			if n < 0 {
				return nil, "", `"{" is not closed`
			}
			h, ok := parseHole(text[i+1 : i+n])
			if !ok {
				return nil, "", "\"" + text[i:i+n+1] + "\" is not a place for a value"
			}
			h.before = plain.String()
			plain.Reset()
			holes = append(holes, h)
			i += n
		}
	}
	return holes, plain.String(), ""
}

// parseHole reads "", ":.2", ":05" and ":08.2".
func parseHole(s string) (h hole, ok bool) {
	h.places = -1
	if s == "" {
		return h, true
	}
	if s[0] != ':' || len(s) < 3 {
		return h, false
	}
	width, places, hasPlaces := strings.Cut(s[1:], ".")
	const most = 100
	if width != "" {
		n, err := strconv.Atoi(width)
		if err != nil || width[0] != '0' || n < 1 || n > most {
			return h, false
		}
		h.width = n
	}
	if hasPlaces {
		n, err := strconv.Atoi(places)
		if err != nil || n < 0 || n > 17 {
			return h, false
		}
		h.places = n
	}
	return h, true
}

func (h hole) append(e *Env, b []byte, v record.Value) []byte {
	if v.IsNull() {
		return b
	}
	start := len(b)
	switch {
	case h.places < 0:
		b = record.AppendText(b, v)
	case v.Kind() == record.KindFloat:
		b = strconv.AppendFloat(b, v.Float(), 'f', h.places, 64)
	case v.Kind() == record.KindInt, v.Kind() == record.KindDecimal:
		r := roundDecimal(e, v, h.places)
		b = record.AppendDecimal(b, r.Int(), r.Scale())
	default:
		e.fail("{:.%d} needs a number, found %s", h.places, v.TypeName())
	}
	return padZeros(b, start, h.width)
}

// padZeros puts zeros before the number that begins at start, behind its sign.
func padZeros(b []byte, start, width int) []byte {
	missing := width - (len(b) - start)
	if missing <= 0 {
		return b
	}
	if start < len(b) && b[start] == '-' {
		start++
	}
	b = append(b, bytes.Repeat([]byte{'0'}, missing)...)
	copy(b[start+missing:], b[start:len(b)-missing])
	for i := range missing {
		b[start+i] = '0'
	}
	return b
}
