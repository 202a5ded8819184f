package expr

import (
	"math"
	"strings"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// access compiles a name, a field of something, an element of a list or #.
func (c *compiler) access(n ast.Node) *operand {
	switch n := n.(type) {
	case *ast.ChainNode:
		return c.compile(n.Node)
	case *ast.PointerNode:
		return c.pointer(n)
	}
	if nodes, path := staticPath(n); len(nodes) > 0 {
		return c.path(nodes, path)
	}
	m := n.(*ast.MemberNode)
	if o := c.splitPart(m); o != nil {
		return o
	}
	return c.member(c.compile(m.Node), m)
}

func (c *compiler) pointer(n *ast.PointerNode) *operand {
	if len(c.elements) == 0 {
		start, end := nameSpan(n)
		c.problem("bad-expression", start, end, "", "# is the element of a list, inside of any, filter, map and the like")
		return c.badOperand(n)
	}
	el := c.elements[len(c.elements)-1]
	switch n.Name {
	case "":
		return readLocal(n, el.typ, el.value)
	case "index":
		return readLocal(n, intType, el.index)
	}
	start, end := nameSpan(n)
	c.problem("unknown-name", start, end+len([]rune(n.Name)), "the element is #, its place #index", "there is no #%s", n.Name)
	return c.badOperand(n)
}

// path resolves a chain of constant fields from its first name on.
func (c *compiler) path(nodes []ast.Node, path []string) *operand {
	o, used := c.name(nodes, path)
	for i := used; i < len(path); i++ {
		if m, ok := nodes[i].(*ast.MemberNode); ok {
			o = c.member(o, m)
		} else {
			o = c.fieldOf(o, nodes[i], nodes[i], path[i])
		}
	}
	return o
}

// name resolves the start of a path and gives how much of it that covers.
func (c *compiler) name(nodes []ast.Node, path []string) (o *operand, used int) {
	name := path[0]
	if name == "null" {
		return constant(nodes[0], record.Null), 1
	}
	for i := len(c.vars) - 1; i >= 0; i-- {
		if c.vars[i].name == name {
			v := *c.vars[i].op
			v.node = nodes[0]
			return &v, 1
		}
	}
	if strings.HasPrefix(name, "$") {
		return c.meta(nodes, path)
	}
	b := c.lookUp(path)
	if !b.Known {
		return c.unknownField(nodes, path, b), len(path)
	}
	return c.bound(nodes, b), min(b.Used, len(path))
}

// bound makes the operand of a binding; it stands for the nodes it covers.
func (c *compiler) bound(nodes []ast.Node, b Binding) *operand {
	return refOperand(nodes[min(max(b.Used-1, 0), len(nodes)-1)], b.Ref, b.Type)
}

// meta resolves names with a sigil. The parts of $window and $error are names
// of their own; the fields of a $value that is kept in parts are its parts.
func (c *compiler) meta(nodes []ast.Node, path []string) (o *operand, used int) {
	name, used := path[0], 1
	if (name == "$window" || name == "$error") && len(path) > 1 {
		name, used = name+"."+path[1], 2
	}
	if name == "$pipeline" {
		return &operand{node: nodes[0], typ: textType, eval: func(e *Env) record.Value { return record.String(e.Pipeline) }}, 1
	}
	b := c.metaBinding(name)
	if !b.Known {
		return c.unknownMeta(nodes, name, used, b), len(path)
	}
	if b.Ref.Kind == RefObject && len(path) > 1 {
		for _, f := range b.Ref.Fields {
			if f.Name == path[1] {
				t, _ := b.Type.Field(f.Name)
				return refOperand(nodes[1], f.Ref, t), 2
			}
		}
	}
	if b.Ref.Kind == RefHeaders && len(path) > 1 {
		return header(nodes[1], path[1]), 2
	}
	return refOperand(nodes[used-1], b.Ref, b.Type), used
}

var metaNames = []string{
	"$value", "$key", "$ts", "$record_ts", "$topic", "$partition", "$offset", "$headers", "$op",
	"$window.start", "$window.end", "$n", "$error.code", "$error.message", "$pipeline",
}

func (c *compiler) unknownMeta(nodes []ast.Node, name string, used int, b Binding) *operand {
	start, _ := nameSpan(nodes[0])
	_, end := nameSpan(nodes[used-1])
	if b.Message == "" {
		b.Message = "there is no " + name
		b.Hint = didYouMean(closest(name, metaNames))
	}
	if b.Code == "" {
		b.Code = "unknown-name"
	}
	c.problem(b.Code, start, end, b.Hint, "%s", b.Message)
	return c.badOperand(nodes[0])
}

func (c *compiler) unknownField(nodes []ast.Node, path []string, b Binding) *operand {
	at := min(b.Used, len(path)-1)
	start, end := nameSpan(nodes[at])
	if m, ok := nodes[at].(*ast.MemberNode); ok {
		start, end = nameSpan(m.Property)
	}
	if b.Message == "" {
		b.Message = "there is no field \"" + path[at] + "\""
		if at == 0 {
			b.Hint = didYouMean(closest(path[0], c.fieldNames()))
		} else {
			b.Message += " in " + strings.Join(path[:at], ".")
		}
	}
	if b.Code == "" {
		b.Code = "unknown-name"
	}
	c.problem(b.Code, start, end, b.Hint, "%s", b.Message)
	return c.badOperand(nodes[0])
}

func (c *compiler) fieldNames() []string {
	names := c.scope.Fields()
	for _, v := range c.vars {
		names = append(names[:len(names):len(names)], v.name)
	}
	return names
}

// refOperand reads a reference.
func refOperand(n ast.Node, r Ref, t record.Type) *operand {
	if r.Kind == RefConst {
		o := constant(n, r.Const)
		if t.Kind != record.TypeAny {
			o.typ = t
		}
		o.ref = &r
		return o
	}
	return &operand{node: n, typ: t, eval: read(r), ref: &r}
}

// read is the closure of a reference.
func read(r Ref) func(*Env) record.Value {
	slot := r.Slot
	switch r.Kind {
	case RefSlot:
		return func(e *Env) record.Value { return e.Row.Slots[slot] }
	case RefAcc:
		return func(e *Env) record.Value { return e.Acc[slot] }
	case RefKey:
		return func(e *Env) record.Value { return e.Row.Key }
	case RefTime:
		return func(e *Env) record.Value { return timestampOf(e.Row.Time) }
	case RefWindowStart:
		return func(e *Env) record.Value { return timestampOf(e.Row.Window.Start) }
	case RefWindowEnd:
		return func(e *Env) record.Value { return timestampOf(e.Row.Window.End) }
	case RefOp:
		return func(e *Env) record.Value { return record.String(e.Row.Op.String()) }
	case RefHeaders:
		return headers
	case RefConst:
		return func(*Env) record.Value { return r.Const }
	case RefObject:
		return readObject(r.Fields)
	}
	return readOrigin(r.Kind)
}

func readOrigin(kind RefKind) func(*Env) record.Value {
	return func(e *Env) record.Value {
		o := e.Row.Origin
		if o == nil {
			return record.Null
		}
		switch kind {
		case RefRecordTime:
			return timestampOf(o.Time)
		case RefTopic:
			return record.String(o.Topic)
		case RefPartition:
			return record.Int(int64(o.Partition))
		}
		return record.Int(int64(o.Offset)) // RefOffset, RefN
	}
}

// timestampOf converts milliseconds, stopping at the ends of the range.
func timestampOf(t record.Timestamp) record.Value {
	const most = math.MaxInt64 / 1_000_000
	return record.TimestampNanos(int64(min(max(t, -most), most)) * 1_000_000)
}

// headers is $headers as a whole. Of headers with one name the last counts, as
// Kafka's lastHeader has it.
func headers(e *Env) record.Value {
	o := &record.Object{}
	if e.Row.Origin == nil {
		return record.ObjectOf(o)
	}
next:
	for _, h := range e.Row.Origin.Headers {
		v := record.Bytes(h.Value)
		if h.Value == nil {
			v = record.Null
		}
		for i, name := range o.Names {
			if name == h.Key {
				o.Values[i] = v
				continue next
			}
		}
		o.Names, o.Values = append(o.Names, h.Key), append(o.Values, v)
	}
	return record.ObjectOf(o)
}

// header is one header by name.
func header(n ast.Node, name string) *operand {
	return &operand{node: n, typ: bytesType, eval: func(e *Env) record.Value {
		if e.Row.Origin == nil {
			return record.Null
		}
		hs := e.Row.Origin.Headers
		for i := len(hs) - 1; i >= 0; i-- {
			if hs[i].Key == name && hs[i].Value != nil {
				return record.Bytes(hs[i].Value)
			}
		}
		return record.Null
	}}
}

func readObject(fields []NamedRef) func(*Env) record.Value {
	names := make([]string, len(fields))
	reads := make([]func(*Env) record.Value, len(fields))
	for i, f := range fields {
		names[i], reads[i] = f.Name, read(f.Ref)
	}
	return func(e *Env) record.Value {
		values := make([]record.Value, len(reads))
		for i, r := range reads {
			values[i] = r(e)
		}
		return record.ObjectOf(&record.Object{Names: names, Values: values})
	}
}

// let compiles a variable and what it is visible in.
func (c *compiler) let(n *ast.VariableDeclaratorNode) *operand {
	start, end := nameSpan(n)
	switch {
	case strings.HasPrefix(n.Name, "$"):
		c.problem("bad-expression", start, end, "", "the name of a variable has no $")
	case contains(c.scope.Fields(), n.Name):
		c.problem("ambiguous-name", start, end, "give the variable another name", "the variable %q hides the field %q", n.Name, n.Name)
	}
	value := c.compile(n.Value)
	v := variable{name: n.Name, op: value}
	if value.konst || value.bad || value.ref != nil {
		c.vars = append(c.vars, v)
		body := c.compile(n.Expr)
		c.vars = c.vars[:len(c.vars)-1]
		return body
	}
	local := c.newLocal()
	v.op = readLocal(n, value.typ, local)
	c.vars = append(c.vars, v)
	body := c.compile(n.Expr)
	c.vars = c.vars[:len(c.vars)-1]
	if body.bad {
		return body
	}
	set, eval := value.eval, body.eval
	out := &operand{node: n, typ: body.typ, eval: func(e *Env) record.Value {
		v := set(e) // before locals is read: it can grow them
		e.locals[local] = v
		return eval(e)
	}}
	if cond := body.cond; cond != nil {
		out.cond = func(e *Env) bool {
			v := set(e)
			e.locals[local] = v
			return cond(e)
		}
	}
	return out
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
