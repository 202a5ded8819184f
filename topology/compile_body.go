package topology

import (
	"strings"

	"kstream/expr"
	"kstream/record"
)

// fieldGroup is the entries of a map of expressions that make one field of the
// value: one entry, or several with dotted names.
type fieldGroup struct {
	name    string
	entries []NamedExpr // Name is what is left behind the first dot, "" for the field itself
}

func groupFields(fields []NamedExpr) []fieldGroup {
	var groups []fieldGroup
	index := map[string]int{}
	for _, f := range fields {
		first, rest, _ := strings.Cut(f.Name, ".")
		i, ok := index[first]
		if !ok {
			i = len(groups)
			index[first] = i
			groups = append(groups, fieldGroup{name: first})
		}
		groups[i].entries = append(groups[i].entries, NamedExpr{Name: rest, At: f.At, Expr: f.Expr})
	}
	return groups
}

// body compiles a value under construction into the columns of out and the
// assignments that fill them. Fields with an error become columns of any type,
// so that one mistake is reported once.
func (c *compiler) body(b *Body, path string, in *layout) (out *layout, assigns []Assign) {
	out = &layout{frame: in.frame}
	node := &Node{}
	if b.Whole != nil {
		if b.Whole.Tree != nil {
			if path, ok := b.Whole.Tree.Path(); ok {
				if w, ok := in.part(path); ok {
					out.whole = w
					return out, nil
				}
			}
		}
		p := c.value(b.Whole, path, in)
		if p == nil {
			out.whole = &binding{typ: record.Any}
			return out, nil
		}
		c.assign(in, out, node, "", p)
		w := out.columns[0].bind(out, nil)
		out.columns, out.whole = nil, &w
		return out, node.Assign
	}
	for _, g := range groupFields(b.Fields) {
		p := c.group(g, path, in, nil)
		if p == nil {
			out.put(slotColumn(g.name, 0, record.Any))
			continue
		}
		c.assign(in, out, node, g.name, p)
	}
	return out, node.Assign
}

// group compiles the entries of one field. Dotted names make an object; old is
// what the object was before.
func (c *compiler) group(g fieldGroup, path string, in expr.Scope, old *expr.Program) *expr.Program {
	if len(g.entries) == 1 && g.entries[0].Name == "" {
		return c.value(g.entries[0].Expr, path+"/"+g.name, in)
	}
	var names []string
	var parts []*expr.Program
	for _, inner := range groupFields(g.entries) {
		p := c.group(inner, path+"/"+g.name, in, nil)
		if p == nil {
			return nil
		}
		names, parts = append(names, inner.name), append(parts, p)
	}
	return objectProgram(names, parts, old)
}

// value compiles an expression in a value position, where a YAML map or list is
// the object or list of its expressions.
func (c *compiler) value(e *Expr, path string, in expr.Scope) *expr.Program {
	switch {
	case e.Object != nil:
		var names []string
		var parts []*expr.Program
		ok := true
		for _, g := range groupFields(e.Object) {
			p := c.group(g, path, in, nil)
			ok = ok && p != nil
			names, parts = append(names, g.name), append(parts, p)
		}
		if !ok {
			return nil
		}
		return objectProgram(names, parts, nil)
	case e.List != nil:
		return c.list(e.List, path, in)
	}
	return c.compile(e, path, in, expr.Want{Place: "value"})
}

func (c *compiler) list(items []*Expr, path string, in expr.Scope) *expr.Program {
	var parts []*expr.Program
	ok := true
	elem := record.Any
	for i, item := range items {
		p := c.value(item, path, in)
		ok = ok && p != nil
		parts = append(parts, p)
		if p != nil && (i == 0 || p.Type.String() == elem.String()) {
			elem = p.Type
		} else {
			elem = record.Any
		}
	}
	if !ok {
		return nil
	}
	return &expr.Program{Type: record.ListOf(elem), Deterministic: true, Eval: func(env *expr.Env) record.Value {
		out := make([]record.Value, len(parts))
		for i, p := range parts {
			out[i] = p.Eval(env)
		}
		return record.List(out)
	}}
}

// objectProgram builds an object, on top of old where that is one.
func objectProgram(names []string, parts []*expr.Program, old *expr.Program) *expr.Program {
	t := record.Type{Kind: record.TypeObject}
	for i, name := range names {
		t.Fields = append(t.Fields, record.Field{Name: name, Type: parts[i].Type})
	}
	if old != nil {
		t = record.Any
	}
	return &expr.Program{Type: t, Deterministic: true, Eval: func(env *expr.Env) record.Value {
		out := &record.Object{Names: make([]string, 0, len(names)), Values: make([]record.Value, 0, len(names))}
		if old != nil {
			if o := record.JSONFields(old.Eval(env), env.Arena); o != nil {
				out.Names = append(out.Names, o.Names...)
				out.Values = append(out.Values, o.Values...)
			}
		}
		for i, p := range parts {
			out.Set(names[i], p.Eval(env))
		}
		return record.ObjectOf(out)
	}}
}

// nameTree gathers dotted field names into objects.
type nameTree struct {
	name     string
	leaf     *expr.Program
	children []*nameTree
}

func (t *nameTree) put(path []string, p *expr.Program) {
	for _, child := range t.children {
		if child.name == path[0] {
			if len(path) > 1 {
				child.put(path[1:], p)
			} else {
				child.leaf = p
			}
			return
		}
	}
	child := &nameTree{name: path[0]}
	t.children = append(t.children, child)
	if len(path) > 1 {
		child.put(path[1:], p)
	} else {
		child.leaf = p
	}
}

func (t *nameTree) program() *expr.Program {
	if t.leaf != nil {
		return t.leaf
	}
	var names []string
	var parts []*expr.Program
	for _, child := range t.children {
		names, parts = append(names, child.name), append(parts, child.program())
	}
	return objectProgram(names, parts, nil)
}

// typeOfValue is the static type of a literal value.
func typeOfValue(v record.Value) record.Type {
	kinds := map[record.Kind]record.TypeKind{
		record.KindNull: record.TypeNull, record.KindBool: record.TypeBool, record.KindInt: record.TypeInt,
		record.KindFloat: record.TypeFloat, record.KindDecimal: record.TypeDecimal, record.KindString: record.TypeString,
	}
	if k, ok := kinds[v.Kind()]; ok {
		return record.TypeOf(k)
	}
	return record.Any
}
