package expr

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func textFunctions() map[string]*function {
	text, list, number := fixed(textType), fixed(record.ListOf(textType)), fixed(intType)
	return map[string]*function{
		"upper":       {sig: "upper(s)", params: "t", result: text, f1: upper, build: buildFolded},
		"lower":       {sig: "lower(s)", params: "t", result: text, f1: lower, build: buildFolded},
		"trim":        {sig: "trim(s[, chars])", params: "t?t", result: text, f2: trim},
		"ltrim":       {sig: "ltrim(s)", params: "t", result: text, f1: ltrim},
		"rtrim":       {sig: "rtrim(s)", params: "t", result: text, f1: rtrim},
		"trimPrefix":  {sig: "trimPrefix(s, prefix)", params: "tt", result: text, f2: trimPrefix},
		"trimSuffix":  {sig: "trimSuffix(s, suffix)", params: "tt", result: text, f2: trimSuffix},
		"split":       {sig: "split(s, sep[, n])", params: "tt?i", result: list, f3: split},
		"replace":     {sig: "replace(s, old, new)", params: "ttt", result: text, f3: replace},
		"repeat":      {sig: "repeat(s, n)", params: "ti", result: text, f2: repeat},
		"join":        {sig: "join(list[, sep])", params: "l?t", result: text, nulls: true, f2: join},
		"indexOf":     {sig: "indexOf(s, sub)", params: "tt", result: number, f2: indexOf},
		"lastIndexOf": {sig: "lastIndexOf(s, sub)", params: "tt", result: number, f2: lastIndexOf},
		"lpad":        {sig: "lpad(s, n[, c])", params: "ti?t", result: text, f3: lpad},
		"rpad":        {sig: "rpad(s, n[, c])", params: "ti?t", result: text, f3: rpad},
		"mask":        {sig: "mask(s, keep)", params: "ti", result: text, f2: mask},
		"split_re":    {sig: "split_re(s, re)", params: "tt", result: list, build: buildSplitRe},
		"replace_re":  {sig: "replace_re(s, re, new)", params: "ttt", result: text, build: buildReplaceRe},
		"extract":     {sig: "extract(s, re[, group])", params: "tt?i", result: text, build: buildExtract},
		"format":      {sig: "format(text, v, …)", params: "t?x*", result: text, build: buildFormat},
	}
}

// buildFolded remembers what is folded, for comparisons.
func buildFolded(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	o := c.plainCall(f, n, args)
	o.folded, o.upper = args[0], strings.HasPrefix(f.sig, "upper")
	return o
}

func upper(e *Env, s record.Value) record.Value { return mapRunes(e, s, unicode.ToUpper) }
func lower(e *Env, s record.Value) record.Value { return mapRunes(e, s, unicode.ToLower) }

// mapRunes changes every code point; text that stays as it is is not copied.
func mapRunes(e *Env, v record.Value, change func(rune) rune) record.Value {
	s := v.Text()
	for i, r := range s {
		if change(r) == r {
			continue
		}
		b := append(e.scratch[:0], s[:i]...)
		for _, r := range s[i:] {
			b = utf8.AppendRune(b, change(r))
		}
		return e.made(b)
	}
	return v
}

func trim(_ *Env, s, chars record.Value) record.Value {
	if chars.IsNull() {
		return record.String(strings.TrimSpace(s.Text()))
	}
	return record.String(strings.Trim(s.Text(), chars.Text()))
}

func ltrim(_ *Env, s record.Value) record.Value {
	return record.String(strings.TrimLeftFunc(s.Text(), unicode.IsSpace))
}

func rtrim(_ *Env, s record.Value) record.Value {
	return record.String(strings.TrimRightFunc(s.Text(), unicode.IsSpace))
}

func trimPrefix(_ *Env, s, p record.Value) record.Value {
	return record.String(strings.TrimPrefix(s.Text(), p.Text()))
}

func trimSuffix(_ *Env, s, p record.Value) record.Value {
	return record.String(strings.TrimSuffix(s.Text(), p.Text()))
}

// split gives parts that share the text. A limit n gives at most n parts, the
// last one with the rest; an empty separator splits into code points.
func split(e *Env, s, sep, limit record.Value) record.Value {
	most := -1
	if !limit.IsNull() {
		most = int(min(max(limit.Int(), -1), maxList+1))
	}
	text := s.Text()
	n := strings.Count(text, sep.Text()) + 1
	if sep.Text() == "" {
		n = utf8.RuneCountInString(text)
	}
	if most >= 0 {
		n = min(n, most)
	}
	if !e.list(n) {
		return record.Null
	}
	out := make([]record.Value, 0, n)
	for _, part := range strings.SplitN(text, sep.Text(), most) {
		out = append(out, record.String(part))
	}
	return record.List(out)
}

// splitPart is split(s, sep)[k] without the list; nil for any other node.
func (c *compiler) splitPart(n *ast.MemberNode) *operand {
	call, ok := n.Node.(*ast.CallNode)
	k, isInt := n.Property.(*ast.IntegerNode)
	if !ok || !isInt || len(call.Arguments) != 2 {
		return nil
	}
	if callee, ok := call.Callee.(*ast.IdentifierNode); !ok || callee.Value != "split" {
		return nil
	}
	sep, ok := call.Arguments[1].(*ast.StringNode)
	if !ok || sep.Value == "" {
		return nil
	}
	s := c.argument("split", functions["split"], 0, c.compile(call.Arguments[0]))
	if s.bad {
		return s
	}
	eval, by, at := s.eval, sep.Value, k.Value
	return c.fold(&operand{node: n, typ: textType, eval: func(e *Env) record.Value {
		v := eval(e)
		if v.IsNull() {
			return v
		}
		return part(e, v.Text(), by, at)
	}}, s)
}

func part(e *Env, s, sep string, at int) record.Value {
	for k := 0; ; k++ {
		i := strings.Index(s, sep)
		switch {
		case k == at && i < 0:
			return record.String(s)
		case k == at:
			return record.String(s[:i])
		case i < 0:
			return e.fail("index %d is outside of a list of %d", at, k+1)
		}
		s = s[i+len(sep):]
	}
}

func replace(e *Env, s, old, by record.Value) record.Value {
	text, n := s.Text(), strings.Count(s.Text(), old.Text())
	if n == 0 {
		return s
	}
	if size := len(text) + n*(len(by.Raw())-len(old.Raw())); size > maxText {
		return e.fail("the text is longer than 1 MiB")
	}
	b := e.scratch[:0]
	if old.Text() == "" {
		return e.made(append(b, strings.ReplaceAll(text, "", by.Text())...))
	}
	for {
		i := strings.Index(text, old.Text())
		if i < 0 {
			return e.made(append(b, text...))
		}
		b = append(append(b, text[:i]...), by.Raw()...)
		text = text[i+len(old.Raw()):]
	}
}

func repeat(e *Env, s, n record.Value) record.Value {
	size, ok := mul64(int64(len(s.Raw())), n.Int())
	switch {
	case n.Int() < 0:
		return e.fail("repeat needs a number of times that is not negative, found %d", n.Int())
	case !ok || size > maxText:
		return e.fail("the text is longer than 1 MiB")
	}
	out := e.text(int(size))
	if out == nil {
		return record.Null
	}
	for i := 0; i < len(out); i += len(s.Raw()) {
		copy(out[i:], s.Raw())
	}
	return record.StringBytes(out)
}

// join writes the elements as string(x) does, null as nothing.
func join(e *Env, list, sep record.Value) record.Value {
	b := e.scratch[:0]
	for i, v := range listOf(e, list) {
		if i > 0 && !sep.IsNull() {
			b = append(b, sep.Raw()...)
		}
		if !e.affordable(v) {
			return record.Null
		}
		if b = record.AppendText(b, v); len(b) > maxText {
			return e.fail("the text is longer than 1 MiB")
		}
	}
	return e.made(b)
}

// runesBefore is a place in code points for one in bytes.
func runesBefore(s string, i int) record.Value {
	if i < 0 {
		return record.Int(-1)
	}
	return record.Int(int64(utf8.RuneCountInString(s[:i])))
}

func indexOf(_ *Env, s, sub record.Value) record.Value {
	return runesBefore(s.Text(), strings.Index(s.Text(), sub.Text()))
}

func lastIndexOf(_ *Env, s, sub record.Value) record.Value {
	return runesBefore(s.Text(), strings.LastIndex(s.Text(), sub.Text()))
}

func lpad(e *Env, s, n, with record.Value) record.Value { return pad(e, s, n, with, true) }
func rpad(e *Env, s, n, with record.Value) record.Value { return pad(e, s, n, with, false) }

// pad fills a text up to n code points; it never cuts.
func pad(e *Env, s, n, with record.Value, left bool) record.Value {
	fill := " "
	if !with.IsNull() {
		fill = with.Text()
	}
	if utf8.RuneCountInString(fill) != 1 {
		return e.fail("the text is filled with one character, found %q", clip(fill))
	}
	missing := n.Int() - int64(utf8.RuneCountInString(s.Text()))
	if missing <= 0 {
		return s
	}
	if missing > maxText {
		return e.fail("the text is longer than 1 MiB")
	}
	b := e.scratch[:0]
	if !left {
		b = append(b, s.Raw()...)
	}
	for range missing {
		b = append(b, fill...)
	}
	if left {
		b = append(b, s.Raw()...)
	}
	return e.made(b)
}

// mask replaces all code points but the last keep with *.
func mask(e *Env, s, keep record.Value) record.Value {
	hide := int64(utf8.RuneCountInString(s.Text())) - max(keep.Int(), 0)
	b := e.scratch[:0]
	for _, r := range s.Text() {
		if hide > 0 {
			r = '*'
			hide--
		}
		b = utf8.AppendRune(b, r)
	}
	return e.made(b)
}

func buildSplitRe(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	re := c.regexp(args[1])
	if re == nil {
		return c.badOperand(n)
	}
	g := *f
	g.f1 = func(e *Env, s record.Value) record.Value {
		parts := re.Split(s.Text(), maxList+1)
		if !e.list(len(parts)) {
			return record.Null
		}
		out := make([]record.Value, len(parts))
		for i, p := range parts {
			out[i] = record.String(p)
		}
		return record.List(out)
	}
	return c.plainCall(&g, n, args[:1])
}

func buildReplaceRe(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	re := c.regexp(args[1])
	if re == nil {
		return c.badOperand(n)
	}
	g := *f
	g.f2 = func(e *Env, s, by record.Value) record.Value { return replaceRe(e, re, s, by.Text()) }
	return c.plainCall(&g, n, []*operand{args[0], args[2]})
}

// replaceRe replaces every match; $1 and ${name} in the new text are groups.
func replaceRe(e *Env, re *regexp.Regexp, s record.Value, by string) record.Value {
	text, from := s.Text(), 0
	b := e.scratch[:0]
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		b = append(b, text[from:m[0]]...)
		b = re.ExpandString(b, by, text, m)
		if from = m[1]; len(b) > maxText {
			return e.fail("the text is longer than 1 MiB")
		}
	}
	return e.made(append(b, text[from:]...))
}

func buildExtract(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	re := c.regexp(args[1])
	if re == nil {
		return c.badOperand(n)
	}
	group := constant(n, record.Int(int64(min(re.NumSubexp(), 1))))
	if len(args) > 2 {
		group = args[2]
	}
	if group.konst && (group.value.Int() < 0 || group.value.Int() > int64(re.NumSubexp())) {
		start, end := c.tree.span(group.node)
		c.problem("bad-value", start, end, "", "the expression has %d groups", re.NumSubexp())
		return c.badOperand(n)
	}
	g := *f
	g.f2 = func(e *Env, s, group record.Value) record.Value { return extract(e, re, s.Text(), group.Int()) }
	return c.plainCall(&g, n, []*operand{args[0], group})
}

// extract gives a group of the first match, null if nothing matches. Without a
// group it is the first one, or the whole match if the expression has none.
func extract(e *Env, re *regexp.Regexp, s string, group int64) record.Value {
	if group < 0 || group > int64(re.NumSubexp()) {
		return e.fail("the expression has %d groups", re.NumSubexp())
	}
	m := re.FindStringSubmatchIndex(s)
	if m == nil || m[2*group] < 0 {
		return record.Null
	}
	return record.String(s[m[2*group]:m[2*group+1]])
}
