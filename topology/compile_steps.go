package topology

import (
	"fmt"
	"strings"

	"kstream/expr"
	"kstream/record"
)

// stream compiles the steps of one stream and registers its outputs.
func (c *compiler) stream(s *StreamSpec) {
	cur := c.input(s.Name, s.From)
	if cur == nil {
		return
	}
	var window *StepSpec
	for _, st := range s.Steps {
		if st.Window != nil {
			window = st
			c.needsFinal(cur, st)
			continue
		}
		before, changes := len(c.diags), cur.layout.changes
		if st.Reduce != nil && window == nil || st.Dedup != nil || st.Times != nil {
			c.needsFinal(cur, st)
		}
		c.step(cur, s, st, window)
		c.changed(cur, changes, st)
		window = nil
		if len(c.diags) > before {
			// The shape behind a faulty step is only half known; what follows is
			// checked against it as far as it goes.
			cur.layout = cur.layout.clone()
		}
	}
	if s.split() == nil {
		c.taps[s.Name] = cur
	}
}

// input is the place a stream or sink begins at: the one it reads, or behind an
// exchange that brings several together.
func (c *compiler) input(name string, from []Ref) *cursor {
	var ends []*cursor
	for _, r := range from {
		tap := c.taps[r.text()]
		if tap == nil {
			return nil // its own errors were reported
		}
		ends = append(ends, tap.fork())
	}
	if len(ends) == 1 {
		return ends[0]
	}
	c.sameShape(name, from, ends)
	kind := ExchangeForward
	if keyedAlike(ends) && !unsettled(ends) {
		// The inputs may run with different parallelism: rows go to the owner of
		// their key group again.
		kind = ExchangeHash
	}
	return c.exchange(kind, name, ends, nil)
}

// keyedAlike says whether all inputs of a union are keyed, with one key type.
func keyedAlike(ends []*cursor) bool {
	first := ends[0].layout.key
	for _, e := range ends {
		if !e.layout.key.keyed || e.layout.key.typ.String() != first.typ.String() {
			return false
		}
	}
	return true
}

// unsettled says whether the rows of an input are not where their key belongs.
func unsettled(ends []*cursor) bool {
	for _, e := range ends {
		if e.layout.unsettled {
			return true
		}
	}
	return false
}

func (r Ref) text() string {
	if r.Output != "" {
		return r.Name + "." + r.Output
	}
	return r.Name
}

// sameShape checks that the inputs of a union have the same fields.
func (c *compiler) sameShape(name string, from []Ref, ends []*cursor) {
	first := ends[0].layout.valueType()
	for i, e := range ends[1:] {
		t := e.layout.valueType()
		if first.Kind == record.TypeAny || t.Kind == record.TypeAny {
			continue
		}
		if diff := shapeDifference(first, t); diff != "" {
			c.problem(from[i+1].At, "type-mismatch", "streams/"+name+"/from",
				fmt.Sprintf("%s and %s cannot be brought together: %s", from[0].text(), from[i+1].text(), diff),
				"give both the same fields, for example with map")
		}
	}
}

func shapeDifference(a, b record.Type) string {
	if a.Kind != record.TypeObject || b.Kind != record.TypeObject {
		if a.String() != b.String() {
			return fmt.Sprintf("one is %s, the other %s", a, b)
		}
		return ""
	}
	for _, f := range a.Fields {
		other, ok := b.Field(f.Name)
		switch {
		case !ok:
			return fmt.Sprintf("only one has the field %q", f.Name)
		case other.String() != f.Type.String():
			return fmt.Sprintf("%q is %s in one and %s in the other", f.Name, f.Type, other)
		}
	}
	for _, f := range b.Fields {
		if _, ok := a.Field(f.Name); !ok {
			return fmt.Sprintf("only one has the field %q", f.Name)
		}
	}
	return ""
}

// step is the closed set of operators, in the order of the language.
func (c *compiler) step(cur *cursor, s *StreamSpec, st, window *StepSpec) {
	when := c.when(cur, st)
	node := Node{UID: st.UID, At: st.At, OnError: st.OnError}
	switch {
	case st.Filter != nil:
		node.Kind = NodeFilter
		node.Filter = c.compile(st.Filter, st.Path+"/filter", cur.layout, expr.Want{Type: expr.WantBool, Place: "filter"})
		cur.attach(&node)
	case st.Map != nil:
		c.mapStep(cur, st, node)
	case st.Set != nil:
		c.setStep(cur, st, node, when)
	case st.Project != nil:
		c.projectStep(cur, st, node)
	case st.Drop != nil:
		c.dropStep(cur, st, node, when)
	case st.Rename != nil:
		c.renameStep(cur, st, node, when)
	case st.FlatMap != nil:
		c.flatMap(cur, st, node)
	case st.KeyBy != nil:
		c.keyBy(cur, s, st, node)
	case st.Partition != nil:
		c.partition(cur, s, st)
	case st.Log != nil:
		c.logStep(cur, st, node, when)
	case st.Check != nil:
		c.check(cur, st, node, when)
	case st.Split != nil:
		c.split(cur, s, st, node)
	case st.Times != nil:
		c.timestamps(cur, s, st, node)
	case st.Dedup != nil:
		c.dedup(cur, s, st, node)
	case st.TopN != nil:
		c.topN(cur, s, st, node)
	case st.Aggregate != nil, st.Reduce != nil:
		c.aggregate(cur, s, st, window, node)
	}
}

func (c *compiler) when(cur *cursor, st *StepSpec) *expr.Program {
	if st.When == nil {
		return nil
	}
	return c.compile(st.When, st.Path+"/when", cur.layout, expr.Want{Type: expr.WantBool, Place: "when"})
}

// mapStep gives the value exactly these fields, or one expression's result.
func (c *compiler) mapStep(cur *cursor, st *StepSpec, node Node) {
	out, assigns := c.body(st.Map, st.Path+"/map", cur.layout)
	node.Kind, node.Assign = NodeAssign, assigns
	cur.attach(&node)
	cur.use(reshape(cur.layout, out))
}

// reshape is l with the value of out: what is not data stays.
func reshape(l, out *layout) *layout {
	n := l.clone()
	n.columns, n.whole, n.base, n.hidden, n.raw = out.columns, out.whole, nil, map[string]bool{}, false
	return n
}

// setStep adds or overwrites fields; all expressions see the old value.
func (c *compiler) setStep(cur *cursor, st *StepSpec, node Node, when *expr.Program) {
	l := cur.layout
	next := l.clone()
	next.raw = false
	c.explode(l, next, st)
	for _, g := range groupFields(st.Set) {
		old, exists := l.field([]string{g.name})
		var oldProgram *expr.Program
		if exists && old.used == 1 {
			oldProgram = slotProgram(old)
		}
		p := c.group(g, st.Path+"/set", l, oldProgram)
		if p == nil {
			next.put(slotColumn(g.name, 0, record.Any))
			continue
		}
		p = unless(when, p, oldProgram)
		c.assign(l, next, &node, g.name, p)
	}
	node.Kind = NodeAssign
	cur.attach(&node)
	cur.use(next)
}

// explode turns a value that is one typed object into columns, so that fields
// can be set beside its own.
func (c *compiler) explode(l, next *layout, st *StepSpec) {
	if l.whole == nil {
		return
	}
	t, whole := l.whole.typ, l.whole
	next.whole = nil
	if whole.open != nil && t.Kind == record.TypeObject {
		for _, f := range t.Fields {
			next.columns = append(next.columns, partColumn(whole, f))
		}
		return
	}
	slot := l.wholeSlot()
	switch t.Kind {
	case record.TypeObject:
		for _, f := range t.Fields {
			next.columns = append(next.columns, memberColumn(slot, f))
		}
	case record.TypeAny:
		next.base = &base{
			field: func(at *layout, name string) int { return memberSlot(at, slot, name) },
			all:   func(*layout) int { return slot },
		}
	default:
		c.problem(st.At, "type-mismatch", st.Path, fmt.Sprintf("%s needs an object, the value is %s", st.Op, t),
			"make an object first: map: {text: $value}")
	}
}

// partColumn is a part of a value that has no slot yet, as a column.
func partColumn(whole *binding, f record.Field) column {
	return column{name: f.Name, typ: f.Type, deep: true, bind: func(at *layout, rest []string) binding {
		b := whole.open(at, append([]string{f.Name}, rest...))
		if b.used == 0 {
			return binding{slot: memberSlot(at, b.slot, f.Name), typ: f.Type}
		}
		b.used--
		return b
	}}
}

// memberColumn is a member of an object that stands in a slot, as a column.
func memberColumn(slot int, f record.Field) column {
	return column{name: f.Name, typ: f.Type, bind: func(at *layout, _ []string) binding {
		return binding{slot: memberSlot(at, slot, f.Name), typ: f.Type}
	}}
}

// memberSlot computes a member in front of the node that is compiled at a place.
// It is computed anew for each reader: what was computed on one branch is not
// there on another.
func memberSlot(l *layout, slot int, name string) int {
	out := l.frame.alloc()
	l.insert(Assign{Slot: out, Program: &expr.Program{Deterministic: true,
		Eval: func(env *expr.Env) record.Value {
			v, _ := record.JSONField(env.Row.Slots[slot], name, env.Arena)
			return v
		}}})
	return out
}

// assign computes p into a column of next; a plain copy of a slot needs no work.
func (c *compiler) assign(l, next *layout, node *Node, name string, p *expr.Program) {
	if p.Ref != nil && p.Ref.Kind == expr.RefSlot {
		next.put(slotColumn(name, p.Ref.Slot, p.Type))
		return
	}
	slot := l.frame.alloc()
	node.Assign = append(node.Assign, Assign{Slot: slot, Program: p})
	next.put(slotColumn(name, slot, p.Type))
}

// unless is p where when is true, else the old value.
func unless(when, p, old *expr.Program) *expr.Program {
	if when == nil {
		return p
	}
	t := p.Type
	t.Required = false
	if old != nil && old.Type.String() != t.String() {
		t = record.Any
	}
	return &expr.Program{Type: t, Deterministic: p.Deterministic && when.Deterministic,
		Eval: func(env *expr.Env) record.Value {
			switch {
			case when.Cond(env):
				return p.Eval(env)
			case old != nil:
				return old.Eval(env)
			}
			return record.Null
		}}
}

func slotProgram(b binding) *expr.Program {
	slot := b.slot
	return &expr.Program{Type: b.typ, Deterministic: true, Ref: &expr.Ref{Kind: expr.RefSlot, Slot: slot},
		Eval: func(env *expr.Env) record.Value { return env.Row.Slots[slot] }}
}

var null = &expr.Program{Type: record.TypeOf(record.TypeNull), Const: true, Deterministic: true,
	Eval: func(*expr.Env) record.Value { return record.Null }}

// projectStep keeps only the named fields, in this order.
func (c *compiler) projectStep(cur *cursor, st *StepSpec, node Node) {
	l := cur.layout
	out := &layout{frame: l.frame}
	root := &nameTree{}
	for _, f := range st.Project {
		path := strings.Split(f.Name, ".")
		p := c.fieldProgram(l, path, f, st)
		if p != nil {
			root.put(path, p)
		}
	}
	for _, t := range root.children {
		c.assign(l, out, &node, t.name, t.program())
	}
	node.Kind = NodeAssign
	cur.attach(&node)
	cur.use(reshape(l, out))
}

// fieldProgram reads a field by its path; a name that is not there is reported.
func (c *compiler) fieldProgram(l *layout, path []string, f NamedName, st *StepSpec) *expr.Program {
	b, ok := l.field(path)
	if !ok {
		c.problem(f.At, "unknown-name", st.Path+"/"+st.Op, fmt.Sprintf("there is no field %q", path[0]),
			suggestName(path[0], l.Fields()))
		return nil
	}
	t, rest := b.typ, path[b.used:]
	for _, name := range rest {
		inner, known := t.Field(name)
		if t.Kind == record.TypeObject && !known {
			c.problem(f.At, "unknown-name", st.Path+"/"+st.Op, fmt.Sprintf("there is no field %q", f.Name), "")
			return nil
		}
		t = inner
	}
	if len(rest) == 0 {
		return slotProgram(b)
	}
	slot := b.slot
	return &expr.Program{Type: t, Deterministic: true, Eval: func(env *expr.Env) record.Value {
		v := env.Row.Slots[slot]
		for _, name := range rest {
			v, _ = record.JSONField(v, name, env.Arena)
		}
		return v
	}}
}

// dropStep takes fields away.
func (c *compiler) dropStep(cur *cursor, st *StepSpec, node Node, when *expr.Program) {
	next := cur.layout.clone()
	next.raw = false
	c.explode(cur.layout, next, st)
	next.insert = cur.layout.insert
	for _, f := range st.Drop {
		path := strings.Split(f.Name, ".")
		b, ok := next.field(path[:1])
		if !ok {
			c.fieldProgram(cur.layout, path, f, st)
			continue
		}
		switch {
		case len(path) > 1:
			c.assign(next, next, &node, path[0], unless(when, without(slotProgram(b), path[1:]), slotProgram(b)))
		case when != nil:
			c.assign(next, next, &node, path[0], unless(when, null, slotProgram(b)))
		default:
			next.remove(path[0])
		}
	}
	node.Kind = NodeAssign
	cur.attach(&node)
	cur.use(next)
}

// without copies an object without the member at a path.
func without(object *expr.Program, path []string) *expr.Program {
	return &expr.Program{Deterministic: true, Eval: func(env *expr.Env) record.Value {
		return withoutMember(object.Eval(env), path, env.Arena)
	}}
}

func withoutMember(v record.Value, path []string, a *record.Arena) record.Value {
	o := record.JSONFields(v, a)
	if o == nil {
		return v
	}
	out := &record.Object{}
	for i, name := range o.Names {
		switch {
		case name != path[0]:
			out.Set(name, o.Values[i])
		case len(path) > 1:
			out.Set(name, withoutMember(o.Values[i], path[1:], a))
		}
	}
	return record.ObjectOf(out)
}

// renameStep gives fields other names, in their places.
func (c *compiler) renameStep(cur *cursor, st *StepSpec, node Node, when *expr.Program) {
	next := cur.layout.clone()
	next.raw = false
	c.explode(cur.layout, next, st)
	next.insert = cur.layout.insert
	for _, r := range st.Rename {
		b, ok := next.field([]string{r.Old})
		if !ok {
			c.fieldProgram(cur.layout, []string{r.Old}, NamedName{Name: r.Old, At: r.OldAt}, st)
			continue
		}
		if when != nil {
			c.assign(next, next, &node, r.New, unless(when, slotProgram(b), nil))
			c.assign(next, next, &node, r.Old, unless(when, null, slotProgram(b)))
			continue
		}
		renamed := false
		for i := range next.columns {
			if next.columns[i].name == r.Old {
				next.columns[i].name, renamed = r.New, true
			}
		}
		if next.base != nil {
			next.hidden[r.Old] = true
		}
		if !renamed {
			next.put(slotColumn(r.New, b.slot, b.typ))
		}
	}
	node.Kind = NodeAssign
	cur.attach(&node)
	cur.use(next)
}

// logStep writes a line for rows.
func (c *compiler) logStep(cur *cursor, st *StepSpec, node Node, when *expr.Program) {
	node.Kind, node.When = NodeLog, when
	node.Log = &Log{Text: st.Log.Message.Text, Level: st.Log.Level, Every: st.Log.Every}
	for _, h := range st.Log.Message.Holes {
		node.Log.Holes = append(node.Log.Holes, c.compile(h, st.Path+"/log", cur.layout, expr.Want{Place: "log"}))
	}
	cur.attach(&node)
}
