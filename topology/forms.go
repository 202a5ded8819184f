package topology

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"kstream/expr"
	"kstream/record"
)

// formValue checks the values that have a shape of their own.
func (l *loader) formValue(n *yaml.Node, s *shape, v *value) *value {
	ok := false
	switch s.form {
	case formSteps:
		return l.steps(n, s, v)
	case formExpr:
		v.expr = l.oneExpr(n, s, v, placeCode)
		ok = v.expr != nil
	case formBody:
		ok = l.bodyForm(n, s, v)
	case formFields:
		v.named, ok = l.fieldMap(n, s, v, l.anyExpr)
	case formTerms:
		v.named, ok = l.fieldMap(n, s, v, l.term)
	case formKeys:
		ok = l.keysForm(n, s, v)
	case formOrder:
		v.named, ok = l.order(n, s, v)
	case formHeaders:
		v.named, ok = l.headers(n, s, v)
	case formRenames:
		ok = l.renames(n, s, v)
	case formSchema:
		v.typ = l.schema(n, v)
		ok = v.typ != nil
	case formSchemas:
		ok = l.checkSchemas(n, s, v)
	case formOffsets:
		ok = l.offsets(n, s, v)
	case formTexts:
		ok = l.texts(n, s, v)
	}
	if !ok {
		return nil
	}
	return v
}

func (l *loader) steps(n *yaml.Node, s *shape, v *value) *value {
	if n.Kind != yaml.SequenceNode {
		l.wrongType(n, s, v)
		return nil
	}
	return l.listValue(n, objectOf(stepFields), v)
}

// isConst reports whether a map is {const: …}.
func isConst(n *yaml.Node) bool {
	if n.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == "const" {
			return true
		}
	}
	return false
}

// oneExpr is an expression or {const: …}.
func (l *loader) oneExpr(n *yaml.Node, s *shape, v *value, where exprPlace) *Expr {
	switch {
	case isConst(n):
		return l.constant(n, v)
	case n.Kind == yaml.ScalarNode:
		return l.expression(n, v, where)
	}
	l.wrongType(n, &shape{form: formExpr, object: s.object}, v)
	return nil
}

// anyExpr is a value under construction: an expression, or a map or list of
// them.
func (l *loader) anyExpr(n *yaml.Node, v *value) *Expr {
	switch {
	case isConst(n) || n.Kind == yaml.ScalarNode:
		return l.oneExpr(n, &shape{form: formExpr}, v, placeValue)
	case n.Kind == yaml.SequenceNode:
		e := &Expr{spec: l.spec, path: v.path, List: []*Expr{}, At: wholeSpan(v.at)}
		ok := true
		for i, c := range n.Content {
			item := l.child(c, v, fmt.Sprintf("%s/%d", v.path, i), "")
			if item == nil {
				ok = false
				continue
			}
			e.List = append(e.List, item)
		}
		if !ok {
			return nil
		}
		return e
	}
	named, ok := l.fieldMap(n, &shape{form: formFields}, v, l.anyExpr)
	if !ok {
		return nil
	}
	return &Expr{spec: l.spec, path: v.path, Object: named, At: wholeSpan(v.at)}
}

func wholeSpan(at Span) func(int, int) Span { return func(int, int) Span { return at } }

// child checks an element of a list under construction.
func (l *loader) child(n *yaml.Node, parent *value, path, name string) *Expr {
	n = deref(n)
	c := &value{name: name, path: path, node: n, at: l.nodeSpan(n)}
	c.keyAt = c.at
	s := &shape{form: formExpr}
	if !l.tagged(n, c, s) || !l.present(n, c, s) {
		return nil
	}
	return l.anyExpr(n, c)
}

// term is one output of an aggregate.
func (l *loader) term(n *yaml.Node, v *value) *Expr {
	return l.oneExpr(n, &shape{form: formExpr}, v, placeValue)
}

// fieldMap is a map of field names to values.
func (l *loader) fieldMap(n *yaml.Node, s *shape, v *value, each func(*yaml.Node, *value) *Expr) ([]NamedExpr, bool) {
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, s, v)
		return nil, false
	}
	entries := l.entries(n)
	if len(entries) == 0 {
		l.fail(v.keyAt, "missing-value", v.path, quote(v.name)+" is empty", "")
		return nil, false
	}
	var out []NamedExpr
	ok := true
	for _, e := range entries {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) || !l.fieldName(key, e.value, n, v) {
			ok = false
			continue
		}
		m := &value{name: key.Value, path: v.path + "/" + key.Value, node: deref(e.value), keyAt: l.keySpan(key), at: l.nodeSpan(deref(e.value))}
		if l.splitByComma(key, m.node, n) {
			l.fail(m.keyAt, "missing-value", m.path, quote(m.name)+" has no value", commaHint)
			ok = false
			continue
		}
		if !l.tagged(m.node, m, &shape{form: formExpr}) || !l.present(m.node, m, &shape{form: formExpr}) {
			ok = false
			continue
		}
		x := each(m.node, m)
		if x == nil {
			ok = false
			continue
		}
		out = append(out, NamedExpr{Name: key.Value, At: m.keyAt, Expr: x})
	}
	return out, l.disjoint(out, v) && ok
}

// fieldName checks the name of an output field. A name without a value in a
// flow map is usually the rest of an expression that held a comma.
func (l *loader) fieldName(key, value, n *yaml.Node, v *value) bool {
	if isFieldPath(key.Value) {
		return true
	}
	hint := fieldNameHint
	if l.splitByComma(key, value, n) {
		hint = commaHint
	}
	l.fail(l.keySpan(key), "bad-field-name", v.path+"/"+key.Value, quote(key.Value)+" is not a field name", hint)
	return false
}

const commaHint = "a comma inside { } split your expression; write this map in block style, one field per line"

// splitByComma reports a key of a flow map that has neither a value nor a
// colon: it is usually the rest of a text that held a comma.
func (l *loader) splitByComma(key, value, n *yaml.Node) bool {
	value = deref(value)
	if n.Style&yaml.FlowStyle == 0 || !isNull(value) || value.Value != "" {
		return false
	}
	s, p := l.pos(key)
	end := mapScalar(s, p, key).end
	rest := trimLeftBlanks(s.line(end.Line)[min(end.Col-1, len(s.line(end.Line))):])
	return len(rest) == 0 || rest[0] != ':'
}

// disjoint refuses a field that lies inside another one of the same map.
func (l *loader) disjoint(fields []NamedExpr, v *value) bool {
	seen := map[string]bool{}
	for _, f := range fields {
		seen[f.Name] = true
	}
	ok := true
	for _, f := range fields {
		for i, c := range f.Name {
			if c == '.' && seen[f.Name[:i]] {
				l.fail(f.At, "duplicate-name", v.path+"/"+f.Name, fmt.Sprintf("%s lies inside %s, which is written too", quote(f.Name), quote(f.Name[:i])), "write one of them")
				ok = false
			}
		}
	}
	return ok
}

func (l *loader) bodyForm(n *yaml.Node, s *shape, v *value) bool {
	if n.Kind == yaml.MappingNode && !isConst(n) {
		named, ok := l.fieldMap(n, s, v, l.anyExpr)
		v.body = &Body{Fields: named}
		return ok
	}
	if n.Kind == yaml.SequenceNode {
		l.wrongType(n, s, v)
		return false
	}
	e := l.oneExpr(n, s, v, placeValue)
	v.body = &Body{Whole: e}
	return e != nil
}

// keysForm: several fields make an object; in a list every item must be a
// plain field, whose last part becomes the name.
func (l *loader) keysForm(n *yaml.Node, s *shape, v *value) bool {
	v.keys = &Keys{}
	switch {
	case n.Kind == yaml.SequenceNode:
		return l.keyList(n, v)
	case n.Kind == yaml.MappingNode && !isConst(n):
		named, ok := l.fieldMap(n, s, v, l.keyPart)
		v.keys.Parts = named
		return ok
	}
	v.keys.Whole = l.oneExpr(n, s, v, placeCode)
	return v.keys.Whole != nil
}

func (l *loader) keyPart(n *yaml.Node, v *value) *Expr {
	return l.oneExpr(n, &shape{form: formExpr}, v, placeCode)
}

func (l *loader) keyList(n *yaml.Node, v *value) bool {
	if len(n.Content) == 0 {
		l.fail(v.at, "missing-value", v.path, quote(v.name)+" is an empty list", "")
		return false
	}
	ok := true
	seen := map[string]bool{}
	for i, c := range n.Content {
		c = deref(c)
		item := &value{path: fmt.Sprintf("%s/%d", v.path, i), node: c, at: l.nodeSpan(c)}
		item.keyAt = item.at
		if !l.tagged(c, item, &shape{form: formExpr}) || !l.present(c, item, &shape{form: formExpr}) {
			ok = false
			continue
		}
		e := l.keyPart(c, item)
		if e == nil {
			ok = false
			continue
		}
		name, plain := "", false
		if e.Tree != nil {
			var path []string
			if path, plain = e.Tree.Path(); plain {
				name = path[len(path)-1]
			}
		}
		switch {
		case !plain || strings.HasPrefix(name, "$"):
			l.fail(item.at, "bad-value", item.path, "an item of this list must be a plain field", "a computed part needs a name: write a map, "+v.name+": {name: …}")
			ok = false
		case seen[name]:
			l.fail(item.at, "duplicate-name", item.path, quote(name)+" is in this list twice", "give one a name: write a map, "+v.name+": {name: …}")
			ok = false
		}
		seen[name] = true
		v.keys.Parts = append(v.keys.Parts, NamedExpr{Name: name, At: item.at, Expr: e})
	}
	return ok
}

func (l *loader) headers(n *yaml.Node, s *shape, v *value) ([]NamedExpr, bool) {
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, s, v)
		return nil, false
	}
	var out []NamedExpr
	ok := true
	for _, e := range l.entries(n) {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) {
			ok = false
			continue
		}
		m := l.value(e.value, formOf(formExpr), place{path: v.path + "/" + key.Value, name: key.Value, key: key})
		if m == nil {
			ok = false
			continue
		}
		out = append(out, NamedExpr{Name: key.Value, At: l.keySpan(key), Expr: m.expr})
	}
	return out, ok
}

func (l *loader) renames(n *yaml.Node, s *shape, v *value) bool {
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, s, v)
		return false
	}
	ok := len(n.Content) > 0
	if !ok {
		l.fail(v.keyAt, "missing-value", v.path, quote(v.name)+" is empty", "")
	}
	target := map[string]bool{}
	for _, e := range l.entries(n) {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) || !l.fieldName(key, e.value, n, v) {
			ok = false
			continue
		}
		m := l.value(e.value, scalarOf(kindField), place{path: v.path + "/" + key.Value, name: key.Value, key: key})
		if m == nil {
			ok = false
			continue
		}
		if target[m.text] {
			l.fail(m.at, "duplicate-name", m.path, "two fields would be named "+quote(m.text), "")
			ok = false
		}
		target[m.text] = true
		v.renames = append(v.renames, RenameName{Old: key.Value, New: m.text, OldAt: m.keyAt, NewAt: m.at})
	}
	return ok
}

func (l *loader) offsets(n *yaml.Node, s *shape, v *value) bool {
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, s, v)
		return false
	}
	ok := len(n.Content) > 0
	if !ok {
		l.fail(v.keyAt, "missing-value", v.path, `"offsets" is empty`, "")
	}
	v.offsets = map[int32]record.Offset{}
	for _, e := range l.entries(n) {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) {
			ok = false
			continue
		}
		partition, isCount := parseCount(key.Value)
		if !isCount || partition < 0 || partition > 1<<31-1 {
			l.fail(l.keySpan(key), "bad-value", v.path+"/"+key.Value, quote(key.Value)+" is not a partition", "partitions are numbered from 0")
			ok = false
			continue
		}
		m := l.value(e.value, number(kindInt, 0, 0), place{path: v.path + "/" + key.Value, name: key.Value, key: key})
		if m == nil {
			ok = false
			continue
		}
		v.offsets[int32(partition)] = record.Offset(m.number)
	}
	return ok
}

func (l *loader) texts(n *yaml.Node, s *shape, v *value) bool {
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, s, v)
		return false
	}
	ok := true
	v.texts, v.isMap = map[string]string{}, true
	for _, e := range l.entries(n) {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) {
			ok = false
			continue
		}
		m := l.value(e.value, scalarOf(kindText), place{path: v.path + "/" + key.Value, name: key.Value, key: key})
		if m == nil {
			ok = false
			continue
		}
		v.members = append(v.members, m)
		v.texts[key.Value] = m.text
	}
	return ok
}

// Diagnostic is a problem of the expression as an error of the file.
func (e *Expr) Diagnostic(file, path string, p expr.Problem) Diagnostic {
	if path == "" {
		path = e.path
	}
	d := e.spec.Diagnostic(e.At(p.Start, p.End), p.Code, path, p.Message, p.Hint)
	if d.File == e.spec.File {
		d.File = file
	}
	return d
}
