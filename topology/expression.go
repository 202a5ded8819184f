package topology

import (
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"kstream/expr"
	"kstream/record"
)

// expression reads one expression of a scalar. Its characters are found again
// in the file, however YAML let them be written.
func (l *loader) expression(n *yaml.Node, v *value, where exprPlace) *Expr {
	return l.expressionOf(n, n.Value, v, where)
}

// expressionOf reads the expression that text, the beginning of a scalar, holds.
func (l *loader) expressionOf(n *yaml.Node, text string, v *value, where exprPlace) *Expr {
	s, p := l.pos(n)
	m := mapScalar(s, p, n)
	e := &Expr{
		Text: text, spec: l.spec, path: v.path,
		At:     func(start, end int) Span { return m.span(s, start, end) },
		Quoted: n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0,
	}
	if l.variableInside(e) {
		return nil
	}
	tree, problems := expr.Parse(text)
	if len(problems) > 0 {
		if n.Style == 0 && l.swallowed(s, m.end, v, problems[0]) {
			return nil
		}
		for _, problem := range problems {
			l.diags.add(e.Diagnostic(l.spec.File, v.path, problem))
		}
		return nil
	}
	e.Tree = tree
	if where == placeValue && e.Quoted {
		if _, isNumber := parseNumber(n.Value); isNumber {
			l.fail(v.at, "ambiguous-text", v.path,
				"is this the number "+n.Value+" or the text "+quote(n.Value)+"? YAML removed your quotes",
				"number: "+n.Value+`    text: '"`+n.Value+`"'  (or {const: "`+n.Value+`"})`)
			return nil
		}
	}
	return e
}

// variableInside refuses ${…} in an expression: a variable could change what
// the state means.
func (l *loader) variableInside(e *Expr) bool {
	if l.options.NoEnv {
		return false
	}
	text := []rune(e.Text)
	for i := 0; i+1 < len(text); i++ {
		if text[i] != '$' || text[i+1] != '{' || i > 0 && text[i-1] == '$' {
			continue
		}
		end := closing(text, i+2)
		if end < 0 {
			end = len(text) - 1
		}
		l.fail(e.At(i, end+1), "bad-expression", e.path, "environment variables are not replaced inside an expression", "")
		return true
	}
	return false
}

// swallowed finds the comment that took the rest of an expression.
func (l *loader) swallowed(s *source, end Pos, v *value, p expr.Problem) bool {
	if p.Message != "text is not closed" && p.Message != "the expression ends too early" {
		return false
	}
	line := s.line(end.Line)
	i := end.Col - 1
	for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
		i++
	}
	if i >= len(line) || line[i] != '#' || i == end.Col-1 {
		return false
	}
	l.fail(Span{Pos{end.Line, i + 1}, i + 2, s.number}, "yaml-swallowed", v.path,
		"YAML took everything from # on as a comment; the expression that is left does not parse: "+p.Message,
		"quote the whole expression: '...'")
	return true
}

// templateValue reads text with {expr} holes.
func (l *loader) templateValue(n *yaml.Node, v *value) *value {
	x := l.expander(n, v)
	x.braces = true
	if !l.expand(x) {
		return nil
	}
	s, p := l.pos(n)
	m := mapScalar(s, p, n)
	v.text = string(x.out)
	at := func(start, end int) Span {
		if len(x.origin) == 0 {
			return v.at
		}
		last := len(x.origin) - 1
		from := x.origin[min(max(start, 0), last)]
		return m.span(s, from, x.origin[min(max(end-1, start, 0), last)]+1)
	}
	texts, holes, problems := expr.ParseTemplate(v.text)
	whole := &Expr{Text: v.text, spec: l.spec, path: v.path, At: at}
	for _, problem := range problems {
		l.diags.add(whole.Diagnostic(l.spec.File, v.path, problem))
	}
	v.template = &Template{Text: texts}
	ok := len(problems) == 0
	for _, h := range holes {
		e := &Expr{Text: h.Text, spec: l.spec, path: v.path,
			At: func(start, end int) Span { return at(h.Start+start, h.Start+end) }}
		tree, problems := expr.Parse(h.Text)
		for _, problem := range problems {
			l.diags.add(e.Diagnostic(l.spec.File, v.path, problem))
			ok = false
		}
		e.Tree = tree
		v.template.Holes = append(v.template.Holes, e)
	}
	if !ok {
		return nil
	}
	return v
}

// constant reads {const: …}, a literal YAML value.
func (l *loader) constant(n *yaml.Node, v *value) *Expr {
	ok := true
	var literal *yaml.Node
	for _, e := range l.entries(n) {
		if key := deref(e.key); key.Value != "const" {
			l.fail(l.nodeSpan(key), "unknown-field", v.path+"/"+key.Value, "unknown field "+quote(key.Value)+" beside const", "{const: …} is a literal value and has no other key")
			ok = false
		} else {
			literal = deref(e.value)
		}
	}
	if !ok || literal == nil {
		return nil
	}
	c, ok := l.literal(literal, v)
	if !ok {
		return nil
	}
	return &Expr{spec: l.spec, path: v.path, Text: "const", Const: &c, At: wholeSpan(l.nodeSpan(literal))}
}

// literal is a YAML value as data.
func (l *loader) literal(n *yaml.Node, v *value) (record.Value, bool) {
	n = deref(n)
	switch n.Kind {
	case yaml.SequenceNode:
		out := make([]record.Value, 0, len(n.Content))
		for _, c := range n.Content {
			item, ok := l.literal(c, v)
			if !ok {
				return record.Null, false
			}
			out = append(out, item)
		}
		return record.List(out), true
	case yaml.MappingNode:
		o := &record.Object{}
		for _, e := range l.entries(n) {
			item, ok := l.literal(e.value, v)
			if !ok || !l.scalarKey(deref(e.key), v.path) {
				return record.Null, false
			}
			o.Names = append(o.Names, deref(e.key).Value)
			o.Values = append(o.Values, item)
		}
		return record.ObjectOf(o), true
	}
	return l.literalScalar(n, v)
}

func (l *loader) literalScalar(n *yaml.Node, v *value) (record.Value, bool) {
	switch n.Tag {
	case "!!null":
		return record.Null, true
	case "!!bool":
		return record.Bool(strings.EqualFold(n.Value, "true")), true
	case "!!int":
		i, ok := parseCount(strings.TrimPrefix(n.Value, "+"))
		if !ok {
			l.fail(l.nodeSpan(n), "bad-value", v.path, quote(n.Value)+" is not a whole number of 64 bits", "quote it if it is a text")
		}
		return record.Int(i), ok
	case "!!float":
		f, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || strings.Trim(n.Value, "+-0123456789") == "" {
			l.fail(l.nodeSpan(n), "bad-value", v.path, quote(n.Value)+" is not a number of 64 bits", "quote it if it is a text")
			return record.Null, false
		}
		return record.Float(f), true
	}
	e := l.expander(n, v)
	if !l.expand(e) {
		return record.Null, false
	}
	return record.String(string(e.out)), true
}
