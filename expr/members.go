package expr

import (
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// member compiles a field .x, ["x"], an element [i] or a value [key].
func (c *compiler) member(o *operand, n *ast.MemberNode) *operand {
	name, ok := n.Property.(*ast.StringNode)
	if !ok {
		return c.index(o, n)
	}
	return c.fieldOf(o, n, name, name.Value)
}

// fieldOf compiles a field by its name; at is where the name stands.
func (c *compiler) fieldOf(o *operand, n, at ast.Node, name string) *operand {
	if o.bad {
		return c.badOperand(n)
	}
	var t record.Type
	switch cl := o.class(); cl {
	case anyClass, nullClass:
	case mapClass:
		if o.typ.Kind == record.TypeMap {
			t = nullable(elemOf(o.typ))
			break
		}
		var known bool
		if t, known = o.typ.Field(name); !known {
			return c.noField(o, at, name)
		}
	case listClass:
		return c.mismatch(at, "an element is written list[0], all of them map(list, ."+name+")",
			"%s is a list and has no field %q", clip(c.tree.source(o.node)), name)
	default:
		return c.mismatch(at, "", "%s and has no field %q", c.is(o), name)
	}
	key, eval := name, o.eval
	out := &operand{node: n, typ: nullable(t), eval: func(e *Env) record.Value { return field(e, eval(e), key) }}
	return c.fold(out, o)
}

func (c *compiler) noField(o *operand, at ast.Node, name string) *operand {
	names := make([]string, len(o.typ.Fields))
	for i, f := range o.typ.Fields {
		names[i] = f.Name
	}
	start, end := nameSpan(at)
	c.problem("unknown-name", start, end, didYouMean(closest(name, names)),
		"there is no field %q in %s", name, clip(c.tree.source(o.node)))
	return c.badOperand(at)
}

// field reads a member of an object in either form; a missing one is null.
func field(e *Env, v record.Value, name string) record.Value {
	switch v.Kind() {
	case record.KindNull:
		return v
	case record.KindObject:
		f, _ := v.Object().Get(name)
		return f
	case record.KindJSON:
		if v.IsObject() {
			f, _ := record.JSONField(v, name, e.Arena)
			return f
		}
	}
	return e.fail("%s has no field %q", article(v.TypeName()), name)
}

// article puts a or an before the name of a type.
func article(name string) string {
	if strings.ContainsAny(name[:1], "aeiou") {
		return "an " + name
	}
	return "a " + name
}

// index compiles list[i] and map[key].
func (c *compiler) index(o *operand, n *ast.MemberNode) *operand {
	key := c.compile(n.Property)
	if o.bad || key.bad {
		return c.badOperand(n)
	}
	needs, hint := "", ""
	switch o.class() {
	case listClass:
		if cl := key.class(); cl != intClass && !cl.open() {
			needs = "a whole number"
		}
	case mapClass:
		if cl := key.class(); cl != textClass && !cl.open() {
			needs = "text"
		}
	case textClass:
		hint = "a part of a text is written s[a:b]"
		fallthrough
	default:
		if !o.class().open() {
			return c.mismatch(n, hint, "%s and has no elements", c.is(o))
		}
	}
	if needs != "" {
		return c.mismatchSpan(n.Property, "", "the place in %s needs %s, %s", o.typ.String(), needs, c.is(key))
	}
	t := record.Any
	if o.class() == listClass || o.class() == mapClass {
		t = nullable(elemOf(o.typ))
	}
	eval, at := o.eval, key.eval
	if o.konst && o.value.Kind() == record.KindObject {
		return c.fold(&operand{node: n, typ: t, eval: constantMap(o.value.Object(), at)}, key)
	}
	return c.fold(&operand{node: n, typ: t, eval: func(e *Env) record.Value { return element1(e, eval(e), at(e)) }}, o, key)
}

// constantMap looks a text up in a map that never changes.
func constantMap(o *record.Object, at func(*Env) record.Value) func(*Env) record.Value {
	m := make(map[string]record.Value, len(o.Names))
	for i, name := range o.Names {
		m[name] = o.Values[i]
	}
	return func(e *Env) record.Value {
		k := at(e)
		switch k.Kind() {
		case record.KindString:
			return m[k.Text()]
		case record.KindNull:
			return record.Null
		}
		return e.fail("the key of a map is text, found %s", k.TypeName())
	}
}

// element1 is list[i] or map[key].
func element1(e *Env, v, at record.Value) record.Value {
	if v.IsNull() || at.IsNull() {
		return record.Null
	}
	switch {
	case v.IsObject() && at.Kind() == record.KindString:
		return field(e, v, at.Text())
	case v.IsList() && at.Kind() == record.KindInt:
		elems := listOf(e, v)
		if i := at.Int(); i < int64(len(elems)) && i >= -int64(len(elems)) {
			if i < 0 {
				i += int64(len(elems))
			}
			return elems[i]
		}
		return e.fail("index %d is outside of a list of %d", at.Int(), len(elems))
	}
	return e.fail("cannot take element %s of %s", at.TypeName(), v.TypeName())
}

// listOf is the elements of a list in either form, charged for if they have to
// be read.
func listOf(e *Env, v record.Value) []record.Value {
	if v.Kind() == record.KindJSON && !e.spend(len(v.Raw())/costPerText) {
		return nil
	}
	return record.JSONElems(v, e.Arena)
}

// slice compiles x[a:b].
func (c *compiler) slice(n *ast.SliceNode) *operand {
	o := c.compile(n.Node)
	from, to := constant(n, record.Null), constant(n, record.Null)
	if n.From != nil {
		from = c.compile(n.From)
	}
	if n.To != nil {
		to = c.compile(n.To)
	}
	if o.bad || from.bad || to.bad {
		return c.badOperand(n)
	}
	if cl := o.class(); cl != listClass && cl != textClass && !cl.open() {
		return c.mismatch(n, "", "[a:b] is a part of a list or text, %s", c.is(o))
	}
	for _, b := range []*operand{from, to} {
		if cl := b.class(); cl != intClass && !cl.open() {
			return c.mismatchSpan(b.node, "", "[a:b] needs whole numbers, %s", c.is(b))
		}
	}
	eval, a, b, open := o.eval, from.eval, to.eval, n.To == nil
	out := &operand{node: n, typ: nullable(o.typ), eval: func(e *Env) record.Value {
		v, from, to := eval(e), a(e), b(e)
		if v.IsNull() || !open && to.IsNull() {
			return record.Null
		}
		return cut(e, v, from, to)
	}}
	return c.fold(out, o, from, to)
}

// cut takes a part of a list or a text; null bounds are the ends, negative ones
// count from the end.
func cut(e *Env, v, from, to record.Value) record.Value {
	for _, b := range [...]record.Value{from, to} {
		if b.Kind() != record.KindInt && !b.IsNull() {
			return e.fail("[a:b] needs whole numbers, found %s", b.TypeName())
		}
	}
	if v.Kind() == record.KindString {
		return cutText(v.Text(), from, to)
	}
	if !v.IsList() {
		return e.fail("[a:b] is a part of a list or text, found %s", v.TypeName())
	}
	elems := listOf(e, v)
	a, b := bounds(len(elems), from, to)
	return record.List(elems[a:b:b])
}

func bounds(n int, from, to record.Value) (int, int) {
	bound := func(v record.Value, otherwise int) int {
		if v.IsNull() {
			return otherwise
		}
		i := v.Int()
		if i < 0 {
			i += int64(n)
		}
		return int(min(max(i, 0), int64(n)))
	}
	a, b := bound(from, 0), bound(to, n)
	return min(a, b), b
}

// cutText counts code points, but not more of them than it must.
func cutText(s string, from, to record.Value) record.Value {
	n := len(s) // an upper bound is enough for bounds that are not negative
	if from.Int() < 0 || to.Int() < 0 || !ascii(s) {
		n = utf8.RuneCountInString(s)
	}
	a, b := bounds(n, from, to)
	if n == len(s) {
		return record.String(s[a:b])
	}
	start := byteOffset(s, a)
	return record.String(s[start : start+byteOffset(s[start:], b-a)])
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// byteOffset is where the n-th code point begins.
func byteOffset(s string, n int) int {
	for i := range s {
		if n == 0 {
			return i
		}
		n--
	}
	return len(s)
}

// array compiles [a, b].
func (c *compiler) array(n *ast.ArrayNode) *operand {
	elems := make([]*operand, len(n.Nodes))
	t, bad := record.Any, false
	for i, e := range n.Nodes {
		elems[i] = c.compile(e)
		bad = bad || elems[i].bad
		if i == 0 {
			t = elems[i].typ
		} else {
			t = unify(t, elems[i].typ)
		}
	}
	if bad {
		return c.badOperand(n)
	}
	evals := evalsOf(elems)
	return c.fold(&operand{node: n, typ: record.ListOf(nullable(t)), eval: func(e *Env) record.Value {
		out := make([]record.Value, len(evals))
		for i, eval := range evals {
			out[i] = eval(e)
		}
		if !e.list(len(out)) {
			return record.Null
		}
		return record.List(out)
	}}, elems...)
}

func evalsOf(ops []*operand) []func(*Env) record.Value {
	evals := make([]func(*Env) record.Value, len(ops))
	for i, o := range ops {
		evals[i] = o.eval
	}
	return evals
}

// object compiles {a: 1, "b": 2, (name): 3}.
func (c *compiler) object(n *ast.MapNode) *operand {
	t := record.Type{Kind: record.TypeObject, Required: true}
	var keys, values []*operand
	fixed, bad := true, false
	for _, p := range n.Pairs {
		pair := p.(*ast.PairNode)
		key, value := c.compile(pair.Key), c.compile(pair.Value)
		keys, values = append(keys, key), append(values, value)
		if cl := key.class(); !key.bad && cl != textClass && !cl.open() {
			key = c.mismatchSpan(pair.Key, "write string(x)", "the key of a map is text, %s", c.is(key))
		}
		bad = bad || key.bad || value.bad
		if !key.konst || key.value.Kind() != record.KindString {
			fixed = false
			continue
		}
		if _, twice := t.Field(key.value.Text()); twice {
			start, end := c.tree.span(pair.Key)
			c.problem("duplicate-key", start, end, "", "%q is written twice in the map", key.value.Text())
		}
		t.Fields = append(t.Fields, record.Field{Name: key.value.Text(), Type: value.typ})
	}
	if bad {
		return c.badOperand(n)
	}
	all := append(append([]*operand(nil), keys...), values...)
	if fixed {
		return c.fold(&operand{node: n, typ: t, eval: fixedObject(t, evalsOf(values))}, all...)
	}
	t = record.Type{Kind: record.TypeMap, Elem: &record.Any, Required: true}
	return c.fold(&operand{node: n, typ: t, eval: openObject(evalsOf(keys), evalsOf(values))}, all...)
}

func fixedObject(t record.Type, evals []func(*Env) record.Value) func(*Env) record.Value {
	names := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		names[i] = f.Name
	}
	return func(e *Env) record.Value {
		values := make([]record.Value, len(evals))
		for i, eval := range evals {
			values[i] = eval(e)
		}
		return record.ObjectOf(&record.Object{Names: names, Values: values})
	}
}

func openObject(keys, values []func(*Env) record.Value) func(*Env) record.Value {
	return func(e *Env) record.Value {
		o := &record.Object{}
		for i, key := range keys {
			k, v := key(e), values[i](e)
			if k.Kind() != record.KindString {
				return e.fail("the key of a map is text, found %s", k.TypeName())
			}
			o.Set(k.Text(), v)
		}
		return record.ObjectOf(o)
	}
}
