package topology

import (
	"fmt"

	"kstream/expr"
	"kstream/record"
)

// reduce compiles the accumulator of a reduce step. Where the fields of the
// value are known each has a slot of its own; else the value is one.
func (c *compiler) reduce(st *StepSpec, a *Aggregate, in *layout) *layout {
	a.Reduce = &Reduce{}
	path := st.Path + "/reduce"
	if in.whole != nil || in.base != nil || st.Reduce.Whole != nil {
		return c.reduceWhole(st.Reduce, a.Reduce, in, path)
	}
	fresh := reduceLayout(in)
	groups := map[string]fieldGroup{}
	for _, g := range groupFields(st.Reduce.Fields) {
		if _, known := in.column(g.name); !known {
			c.noReduceField(g, path, in)
			continue
		}
		groups[g.name] = g
	}
	for _, col := range in.columns {
		f := ReduceField{Name: col.name, Type: col.typ, Slot: in.frame.alloc(), New: slotProgram(col.bind(in, nil))}
		if _, changed := groups[col.name]; changed {
			f.Type.Required = false
		}
		fresh.put(slotColumn(col.name, f.Slot, f.Type))
		a.Reduce.Fields = append(a.Reduce.Fields, f)
	}
	scope := reduceScope{fresh, a.Reduce}
	for i := range a.Reduce.Fields {
		f := &a.Reduce.Fields[i]
		if g, changed := groups[f.Name]; changed {
			f.Next = c.reducedField(g, path, scope, *f)
		}
	}
	return &layout{frame: in.frame, columns: fresh.columns}
}

// reducedField compiles the entries of one field of the value.
func (c *compiler) reducedField(g fieldGroup, path string, scope reduceScope, f ReduceField) *expr.Program {
	fresh := slotProgram(binding{slot: f.Slot, typ: f.Type})
	if g.entries[0].Name == "" {
		p := c.group(g, path, scope, nil)
		c.reducedType(p, f.Type, g.entries[0].Expr, path+"/"+g.name)
		return p
	}
	p := c.group(g, path, scope, fresh)
	if f.Type.Kind == record.TypeObject {
		for _, e := range g.entries {
			if _, known := f.Type.Field(e.Name); !known {
				c.noReduceField(fieldGroup{name: g.name + "." + e.Name, entries: []NamedExpr{e}}, path, scope.layout)
			}
		}
	}
	return p
}

// reduceWhole combines values that are kept as one.
func (c *compiler) reduceWhole(b *Body, r *Reduce, in *layout, path string) *layout {
	t := in.valueType()
	t.Required = false
	f := ReduceField{Type: t, Slot: in.frame.alloc(), New: slotProgram(binding{slot: in.valueSlot(), typ: t})}
	fresh := reduceLayout(in)
	fresh.whole = &binding{slot: f.Slot, typ: t}
	r.Fields = []ReduceField{f}
	scope := reduceScope{fresh, r}
	if b.Whole != nil {
		r.Fields[0].Next = c.value(b.Whole, path, scope)
		c.reducedType(r.Fields[0].Next, t, b.Whole, path)
	} else {
		r.Fields[0].Next = c.setFields(b, path, scope, f)
	}
	if in.whole != nil || in.base != nil {
		return &layout{frame: in.frame, whole: fresh.whole}
	}
	// The fields of the value are known; they are members of the result.
	out := &layout{frame: in.frame}
	for _, field := range t.Fields {
		out.put(memberColumn(f.Slot, field))
	}
	return out
}

// setFields is the new value with fields set.
func (c *compiler) setFields(b *Body, path string, scope reduceScope, f ReduceField) *expr.Program {
	var names []string
	var parts []*expr.Program
	for _, g := range groupFields(b.Fields) {
		field := ReduceField{Name: g.name, Type: record.Any, Slot: f.Slot}
		if f.Type.Kind != record.TypeAny {
			known := false
			if field.Type, known = f.Type.Field(g.name); !known || f.Type.Kind != record.TypeObject {
				c.noReduceField(g, path, scope.layout)
				continue
			}
			field.Type.Required = false
		}
		var p *expr.Program
		if g.entries[0].Name == "" {
			p = c.reducedField(g, path, scope, field)
		} else {
			p = c.group(g, path, scope, memberProgram(f.Slot, g.name))
		}
		if p != nil {
			names, parts = append(names, g.name), append(parts, p)
		}
	}
	p := objectProgram(names, parts, slotProgram(binding{slot: f.Slot, typ: f.Type}))
	p.Type = f.Type
	return p
}

func memberProgram(slot int, name string) *expr.Program {
	return &expr.Program{Type: record.Any, Deterministic: true, Eval: func(env *expr.Env) record.Value {
		v, _ := record.JSONField(env.Row.Slots[slot], name, env.Arena)
		return v
	}}
}

func (c *compiler) noReduceField(g fieldGroup, path string, in *layout) {
	c.problem(g.entries[0].At, "type-mismatch", path+"/"+g.name,
		fmt.Sprintf("reduce gives a value of its input's type, which has no field %q", g.name), suggestName(g.name, in.Fields()))
}

// reducedType reports a result that is not of the type of its input.
func (c *compiler) reducedType(p *expr.Program, want record.Type, e *Expr, path string) {
	if p == nil || alike(want, p.Type) {
		return
	}
	c.problem(e.At(0, len([]rune(e.Text))), "type-mismatch", path,
		fmt.Sprintf("reduce gives a value of its input's type, %s; this is %s", nullable(want), nullable(p.Type)),
		"convert the result, or give the input that type before")
}

func nullable(t record.Type) string {
	t.Required = false
	return t.String()
}

// alike reports whether a value of type got can stand where want is: null can
// everywhere, and anything where any is.
func alike(want, got record.Type) bool {
	switch {
	case want.Kind == record.TypeAny || got.Kind == record.TypeNull:
		return true
	case widened(want.Kind) != widened(got.Kind):
		return false
	case want.Kind == record.TypeDecimal:
		return nullable(want) == nullable(got)
	case want.Elem != nil && got.Elem != nil:
		return alike(*want.Elem, *got.Elem)
	case want.Kind != record.TypeObject:
		return true
	case len(want.Fields) != len(got.Fields):
		return false
	}
	for _, f := range want.Fields {
		if t, ok := got.Field(f.Name); !ok || !alike(f.Type, t) {
			return false
		}
	}
	return true
}

func widened(k record.TypeKind) record.TypeKind {
	switch k {
	case record.TypeInt32:
		return record.TypeInt
	case record.TypeFloat32:
		return record.TypeFloat
	}
	return k
}

// reduceLayout is what names mean in a reduce: the new record's fields stand in
// slots of their own, and what a pane of a window does not keep is not known.
func reduceLayout(in *layout) *layout {
	l := reshape(in, &layout{})
	l.origin, l.headers, l.window = false, false, false
	return l
}

// reduceScope adds acc to the names of the new record.
type reduceScope struct {
	*layout
	reduce *Reduce
}

// Field is expr.Scope.
func (s reduceScope) Field(path []string) expr.Binding {
	if path[0] != "acc" {
		return s.layout.Field(path)
	}
	known := func(i, used int) expr.Binding {
		return expr.Binding{Ref: expr.Ref{Kind: expr.RefAcc, Slot: i}, Type: s.reduce.Fields[i].Type, Used: used, Known: true}
	}
	if s.whole != nil {
		return known(0, 1)
	}
	if len(path) > 1 {
		for i, f := range s.reduce.Fields {
			if f.Name == path[1] {
				return known(i, 2)
			}
		}
		return expr.Binding{Used: 1}
	}
	all := expr.Ref{Kind: expr.RefObject}
	for i, f := range s.reduce.Fields {
		all.Fields = append(all.Fields, expr.NamedRef{Name: f.Name, Ref: expr.Ref{Kind: expr.RefAcc, Slot: i}})
	}
	return expr.Binding{Ref: all, Type: s.valueType(), Used: 1, Known: true}
}

// Meta is expr.Scope. The key of a pane is decoded only if it is read.
func (s reduceScope) Meta(name string) expr.Binding {
	if name == "$key" {
		s.reduce.Key = true
	}
	return s.layout.Meta(name)
}

// Fields is expr.Scope.
func (s reduceScope) Fields() []string { return append(s.layout.Fields(), "acc") }
