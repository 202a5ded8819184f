package topology

import (
	"fmt"
	"strings"

	"kstream/expr"
	"kstream/record"
)

// stateLayout is the version of the bytes that aggregates keep (docs/formats.md).
const stateLayout = 1

// groupLayout is the same of aggregates without a window.
const groupLayout = 2

// flatMap makes one row per element of a list.
func (c *compiler) flatMap(cur *cursor, st *StepSpec, node Node) {
	f, l := st.FlatMap, cur.layout
	each := c.compile(f.Each, st.Path+"/flat_map", l, expr.Want{Type: expr.WantList, Place: "flat_map"})
	elem := record.Any
	if each != nil && each.Type.Kind == record.TypeList {
		elem = *each.Type.Elem
	}
	if f.KeepEmpty {
		elem.Required = false
	}
	node.Kind = NodeFlatMap
	node.FlatMap = &FlatMap{Each: each, Element: l.frame.alloc(), Index: -1, KeepEmpty: f.KeepEmpty}
	element := &binding{slot: node.FlatMap.Element, typ: elem}
	inner := l.clone()
	inner.raw = false
	if f.As != "" {
		inner.put(slotColumn(f.As, element.slot, elem))
	}
	if f.IndexAs != "" {
		node.FlatMap.Index = l.frame.alloc()
		inner.put(slotColumn(f.IndexAs, node.FlatMap.Index, required(record.TypeInt)))
	}
	cur.attach(&node)
	cur.use(inner)
	if f.Select == nil {
		cur.use(reshape(inner, &layout{frame: l.frame, whole: element}))
		return
	}
	out, assigns := c.body(f.Select, st.Path+"/flat_map/select", cur.layout)
	selected := &Node{Kind: NodeAssign, UID: st.UID, At: st.At, OnError: st.OnError, Assign: assigns}
	cur.attach(selected)
	selected.in = l
	cur.use(reshape(inner, out))
}

// aggregate compiles an aggregate or reduce step, windowed if window is not nil.
func (c *compiler) aggregate(cur *cursor, s *StreamSpec, st, window *StepSpec, node Node) {
	c.partitioned(cur, s)
	c.settle(cur, s)
	node.Kind = NodeAggregate
	emit := "update"
	in := cur.layout
	inside := keyScope{in}
	if window != nil {
		node.Kind = NodeWindow
		node.Window = c.window(window, in)
		emit = "append"
		windowed := in.clone()
		windowed.window = true
		inside = keyScope{windowed}
	}
	if st.Emit != "" {
		emit = st.Emit
	}
	node.Aggregate = &Aggregate{Emit: emit, Changing: in.changes != nil}
	if in.changes != nil {
		in.changes.demand()
	}
	var out *layout
	if st.Reduce != nil {
		out = c.reduce(st, node.Aggregate, in)
	} else {
		out = c.aggregateFields(st, node.Aggregate, in, inside)
	}
	node.State = &State{Op: st.Op, Layout: groupLayout, KeyType: in.key.typ, TTL: st.TTL}
	if window != nil {
		node.State.Layout, node.State.TTL = stateLayout, TTL{}
	}
	node.State.Finger = finger(&node)
	cur.attach(&node)
	c.nodes[node.UID] = &node
	if window != nil && window.Window.Late != "" {
		c.late(s, window, &node, cur.chain, in)
	}
	next := reshape(in, out)
	next.key.read = func() {}
	next.origin, next.headers, next.errors = false, false, nil
	next.window, next.lateness = window != nil, 0
	if node.Window != nil {
		next.lateness = node.Window.AllowedLateness
	}
	next.op, next.changes = emit == "update", nil
	if next.op {
		next.changes = aggregateChanges(s, st, &node, in)
	}
	cur.use(next)
	c.coalesce(cur, st, *node.State, window != nil)
}

// single brings all rows of a stream that is not keyed to one task.
func (c *compiler) single(cur *cursor, s *StreamSpec) {
	cur.attach(&Node{Kind: NodeKey, UID: s.Name + "/all", Key: &Key{Program: null}})
	state := keyState{typ: record.TypeOf(record.TypeNull)}
	out := c.exchange(ExchangeHash, s.Name, []*cursor{cur}, &state)
	out.chain.Parallelism = 1
	*cur = *out
	cur.use(cur.layout)
}

// aggregateFields compiles the output fields. Equal calls share an accumulator.
func (c *compiler) aggregateFields(st *StepSpec, a *Aggregate, in *layout, keys keyScope) *layout {
	out := &layout{frame: in.frame}
	for _, f := range st.Aggregate {
		p := c.aggregateField(st, a, f, in, keys)
		a.Names = append(a.Names, f.Name)
		if p == nil {
			out.put(slotColumn(f.Name, 0, record.Any))
			continue
		}
		slot := in.frame.alloc()
		a.Outputs = append(a.Outputs, Assign{Slot: slot, Program: p})
		out.put(slotColumn(f.Name, slot, p.Type))
	}
	return out
}

func (c *compiler) aggregateField(st *StepSpec, a *Aggregate, f NamedExpr, in *layout, keys keyScope) *expr.Program {
	if f.Expr.Const != nil {
		return constant(*f.Expr.Const)
	}
	next := len(a.Calls)
	field, problems := expr.CompileAggregate(f.Expr.Tree, in, keys, func() int { next++; return next - 1 })
	for _, p := range problems {
		c.diags = append(c.diags, f.Expr.Diagnostic(c.spec.File, st.Path+"/aggregate/"+f.Name, p))
	}
	if len(problems) > 0 {
		return nil
	}
	a.Calls = append(a.Calls, field.Calls...)
	for range field.Calls {
		a.CallNames = append(a.CallNames, f.Name)
	}
	return field.Result
}

// late registers the side output of a window.
func (c *compiler) late(s *StreamSpec, window *StepSpec, node *Node, chain *Chain, in *layout) {
	cur := &cursor{chain: chain, hang: func(n *Node) { node.Late = append(node.Late, n) }}
	cur.use(in.clone())
	c.taps[s.Name+"."+window.Window.Late] = cur
}

// finger is what of a stateful node must not change while its state is kept
// (language 7): everything but names of outputs, lateness and emission.
func finger(n *Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s key=%s", n.State.Op, n.State.KeyType)
	if w := n.Window; w != nil {
		fmt.Fprintf(&b, " window=%s", w.finger())
	}
	if r := n.Aggregate.Reduce; r != nil {
		for _, f := range r.Fields {
			fmt.Fprintf(&b, " %s:%s", f.Name, f.Type)
		}
	}
	if n.Aggregate.Changing {
		b.WriteString(" changelog")
	}
	for _, call := range n.Aggregate.Calls {
		fmt.Fprintf(&b, " %s", call.Text)
		for _, a := range call.Args {
			fmt.Fprintf(&b, ":%s", a.Type)
		}
	}
	return b.String()
}
