package topology

import (
	"fmt"
	"strings"

	"kstream/expr"
	"kstream/record"
)

// partitioned brings rows to the owners of their $key, and those of a stream
// that is not keyed to one task.
func (c *compiler) partitioned(cur *cursor, s *StreamSpec) {
	switch key := cur.layout.key; {
	case !key.keyed:
		c.single(cur, s)
	case key.moved:
		*cur = *c.exchange(ExchangeHash, s.Name, []*cursor{cur}, nil)
		cur.use(cur.layout)
	}
}

// regrouped is a place where rows are partitioned by something that is not
// their $key, for one step.
type regrouped struct {
	key   keyState // of $key, in front and behind
	by    record.Type
	save  *Node      // where the sender keeps $key; nil if that did not move
	frame *registers // of the sender
}

// regroup partitions by `by` for one step. Where that is $key nothing moves that
// is in its place. One says that without `by` all rows come to one task.
func (c *compiler) regroup(cur *cursor, s *StreamSpec, st *StepSpec, by *Keys, one bool) (*regrouped, bool) {
	key := cur.layout.key
	if by == nil && !one || by.isKey() {
		c.settle(cur, s)
		key = cur.layout.key
		if !key.keyed || key.moved {
			*cur = *c.exchange(ExchangeHash, s.Name, []*cursor{cur}, nil)
			cur.use(cur.layout)
		}
		return &regrouped{key: cur.layout.key, by: key.typ}, true
	}
	node := &Node{Kind: NodeKey, UID: st.UID, At: st.At, OnError: st.OnError, Key: &Key{Program: null}}
	state := keyState{typ: record.TypeOf(record.TypeNull)}
	if by != nil {
		if node.Key, state = c.keys(by, st.Path+"/"+st.Op+"/by", cur.layout, "by"); node.Key == nil {
			return nil, false
		}
	}
	r := &regrouped{key: key, by: state.typ, frame: cur.layout.frame, save: &Node{Kind: NodeAssign, UID: "value"}}
	cur.attach(r.save)
	cur.attach(node)
	*cur = *c.exchange(ExchangeHash, s.Name, []*cursor{cur}, &state)
	cur.use(cur.layout)
	if by == nil {
		cur.chain.Parallelism = 1
	} else {
		cur.chain.Parallelism = parallelism(st, s)
	}
	return r, true
}

// isKey reports whether keys are $key as it is.
func (k *Keys) isKey() bool {
	if k == nil || k.Whole == nil || k.Whole.Tree == nil {
		return false
	}
	name, ok := k.Whole.Tree.Name()
	return ok && name == "$key"
}

// read is the slot in which the receiver finds the $key of the sender.
func (r *regrouped) read(receiver *layout, chain *Chain) int {
	if r.key.read != nil {
		r.key.read()
	}
	slot := r.frame.alloc()
	r.save.Assign = append(r.save.Assign, Assign{Slot: slot, Program: keyProgram(r.key.typ)})
	in := chain.Input
	in.Slots = append(in.Slots, receiver.frame.alloc())
	in.Ends[0].Columns = append(in.Ends[0].Columns, slot)
	return in.Slots[len(in.Slots)-1]
}

func keyProgram(t record.Type) *expr.Program {
	return &expr.Program{Type: t, Deterministic: true, Ref: &expr.Ref{Kind: expr.RefKey},
		Eval: func(env *expr.Env) record.Value { return env.Row.Key }}
}

// restore is the layout behind the step: $key is what it was before.
// keep notes the column it is kept in.
func (c *compiler) restore(cur *cursor, r *regrouped, keep func(name string, slot int)) {
	if r.save == nil {
		return
	}
	rekey := &Node{Kind: NodeRekey, UID: "key", Rekey: -1}
	cur.attach(rekey)
	chain, next := cur.chain, cur.layout.clone()
	next.key = r.key
	next.key.raw, next.key.moved = false, r.key.keyed
	next.key.read = func() {
		if rekey.Rekey < 0 {
			rekey.Rekey = r.read(next, chain)
			keep("$key", rekey.Rekey)
		}
	}
	cur.use(next)
}

// dedup keeps one row per key.
func (c *compiler) dedup(cur *cursor, s *StreamSpec, st *StepSpec, node Node) {
	d := st.Dedup
	r, ok := c.regroup(cur, s, st, d.By, false)
	if !ok {
		return
	}
	node.Kind = NodeDedup
	node.Dedup = &Dedup{Within: d.Within.Milliseconds(), Last: d.Last, Clock: d.Time == "processing" && c.spec.Time != "processing"}
	if d.Within < 0 {
		node.Dedup.Within = -1
	}
	node.State = &State{Op: st.Op, Layout: stateLayout, KeyType: r.by, Finger: "dedup " + node.Dedup.fingerText(r.by)}
	cur.attach(&node)
	c.nodes[node.UID] = &node
	next := cur.layout.clone()
	next.op, next.changes = d.Last, nil
	keep := func(string, int) {}
	if d.Last {
		keep = func(name string, slot int) { node.Dedup.Columns = kept(node.Dedup.Columns, name, slot) }
		next = watched(next, keep)
		next.changes = c.groupChanges(s, st, d.By, r)
		next.changes.demand = func() { node.Dedup.Retract = true }
	}
	next.origin, next.original, next.headers, next.raw = false, false, false, false
	next.key.raw = false
	cur.use(next)
	hold := c.coalesce(cur, st, *node.State, false)
	c.restore(cur, r, func(name string, slot int) {
		keep(name, slot)
		hold(name, slot)
	})
}

// groupChanges is the changelog of a step that keeps rows by `by`, which is what
// identifies them.
func (c *compiler) groupChanges(s *StreamSpec, st *StepSpec, by *Keys, r *regrouped) *changes {
	ch := &changes{
		stream: s.Name, remedy: "do without the window", copies: map[string][]int{}, demand: func() {},
	}
	exprs := []NamedExpr{}
	switch {
	case by == nil && r.save != nil: // one list
	case by == nil || by.isKey():
		names := map[string][]int{}
		ch.keyIdentity(r.key, names)
		for name, parts := range names {
			ch.copies[name] = parts
		}
		ch.stableKey = true
		return ch
	case by.Whole != nil:
		exprs = append(exprs, NamedExpr{Name: by.summary(), Expr: by.Whole})
	default:
		exprs = by.Parts
	}
	for i, e := range exprs {
		ch.identity = append(ch.identity, quote(e.Name))
		if path := plainPath(e.Expr); path != "" {
			ch.copies[path] = []int{i}
		}
	}
	return ch
}

// topChanges is the changelog of a top_n: rows are known by their rank, where
// there is one; else by all they hold, which no key can be compared with.
func (c *compiler) topChanges(s *StreamSpec, st *StepSpec, r *regrouped) *changes {
	t := st.TopN
	ch := c.groupChanges(s, st, t.By, r)
	if t.Window {
		ch.copies["$window.start"] = []int{len(ch.identity)}
		ch.copies["$window.end"] = []int{len(ch.identity)}
		ch.identity = append(ch.identity, "the window")
	}
	switch {
	case t.Ties || t.RankAs == "" && t.N > 1:
		// Every change is a delete and an insert of whole rows.
		ch.opaque, ch.deletes, ch.stableKey = true, true, false
	case t.RankAs != "":
		ch.copies[t.RankAs] = []int{len(ch.identity)}
		ch.identity = append(ch.identity, quote(t.RankAs))
		ch.stableKey = false
	}
	return ch
}

// fingerText is what must not change: the length of `within` may.
func (d *Dedup) fingerText(by record.Type) string {
	keep, memory, time := "first", "forever", "event"
	if d.Last {
		keep = "last"
	}
	if d.Within >= 0 {
		memory = "within"
	}
	if d.Clock {
		time = "processing"
	}
	return fmt.Sprintf("key=%s keep=%s %s time=%s", by, keep, memory, time)
}

// topN keeps the first rows of an order. All columns are kept, also those that
// nobody reads now, so that a change behind the step does not touch the state.
func (c *compiler) topN(cur *cursor, s *StreamSpec, st *StepSpec, node Node) {
	t := st.TopN
	r, ok := c.regroup(cur, s, st, t.By, t.By == nil)
	in := cur.layout
	order := c.order(st, in)
	if !ok {
		return
	}
	top := &TopN{Order: order, N: t.N, Rank: -1, Ties: t.Ties, Window: t.Window, HasSpan: in.window, Lateness: in.lateness, Emit: st.Emit}
	if top.Emit == "" {
		top.Emit = map[bool]string{true: "append", false: "update"}[t.Window]
	}
	if top.Changing = in.changes != nil; top.Changing {
		in.changes.demand()
	}
	node.Kind, node.TopN = NodeTopN, top
	out := c.topColumns(top, in)
	if r.save != nil {
		// The key is a column as the others, computed in front of the exchange.
		top.Key = true
		slot := r.read(in, cur.chain)
		top.Columns = append(top.Columns, TopColumn{Name: "$key", Type: r.key.typ, In: slot, Out: in.frame.alloc()})
	}
	if t.RankAs != "" {
		top.Rank = in.frame.alloc()
		if out.whole == nil {
			out.put(slotColumn(t.RankAs, top.Rank, required(record.TypeInt)))
		} else {
			c.rankMember(out, t, st, top.Rank)
		}
	}
	node.State = &State{Op: st.Op, Layout: stateLayout, KeyType: r.by, Finger: top.fingerText(r.by)}
	cur.attach(&node)
	c.nodes[node.UID] = &node
	var ch *changes
	if top.Emit == "update" {
		ch = c.topChanges(s, st, r)
		ch.demand = func() { top.Retract = true }
		ch.deletes = ch.deletes || top.Changing
	}
	c.topLayout(cur, r, in, out, ch)
}

// topLayout is the layout behind a top_n: every column stands in a slot that the
// step fills.
func (c *compiler) topLayout(cur *cursor, r *regrouped, in, out *layout, ch *changes) {
	next := reshape(in, out)
	next.base, next.hidden = out.base, out.hidden
	if next.hidden == nil {
		next.hidden = map[string]bool{}
	}
	next.origin, next.original, next.headers = false, false, false
	next.op, next.changes = ch != nil, ch
	next.key = r.key
	next.key.raw = false
	next.key.read = func() {}
	next.key.moved = r.save != nil && r.key.keyed
	cur.use(next)
}

// topColumns gives every column of the value a slot behind the step.
func (c *compiler) topColumns(top *TopN, in *layout) *layout {
	out := &layout{frame: in.frame}
	if in.whole != nil || in.base != nil {
		col := TopColumn{Name: "$value", Type: in.valueType(), In: in.valueSlot(), Out: in.frame.alloc()}
		top.Columns = append(top.Columns, col)
		out.whole = &binding{slot: col.Out, typ: col.Type}
		return out
	}
	for _, col := range in.columns {
		t := TopColumn{Name: col.name, Type: col.typ, In: col.bind(in, nil).slot, Out: in.frame.alloc()}
		top.Columns = append(top.Columns, t)
		out.put(slotColumn(col.name, t.Out, t.Type))
	}
	return out
}

// rankMember puts the rank beside the members of a value that is kept whole.
func (c *compiler) rankMember(out *layout, t *TopNSpec, st *StepSpec, rank int) {
	slot, typ := out.whole.slot, out.whole.typ
	out.whole, out.hidden = nil, map[string]bool{}
	switch typ.Kind {
	case record.TypeObject:
		for _, f := range typ.Fields {
			out.put(memberColumn(slot, f))
		}
	case record.TypeAny, record.TypeMap:
		out.base = &base{
			field: func(at *layout, name string) int { return memberSlot(at, slot, name) },
			all:   func(*layout) int { return slot },
		}
	default:
		c.problem(t.RankAt, "type-mismatch", st.Path+"/top_n/rank_as", fmt.Sprintf("rank_as needs an object, the value is %s", nullable(typ)),
			"make an object first: map: {text: $value}")
	}
	out.put(slotColumn(t.RankAs, rank, required(record.TypeInt)))
}

// order compiles the terms of an order, whose values must have one.
func (c *compiler) order(st *StepSpec, in *layout) []Order {
	var out []Order
	for _, o := range st.TopN.Order {
		p := c.compile(o.Expr, st.Path+"/top_n/order_by", in, expr.Want{Place: "order_by"})
		if p != nil && (p.Type.Kind == record.TypeList || p.Type.Kind == record.TypeMap || p.Type.Kind == record.TypeObject) {
			c.problem(o.Expr.At(0, len([]rune(o.Expr.Text))), "type-mismatch", st.Path+"/top_n/order_by",
				fmt.Sprintf("order_by needs values that have an order, %s is %s", o.Expr.Text, nullable(p.Type)), "")
		}
		out = append(out, Order{Program: p, Desc: o.Name == "desc"})
	}
	return out
}

// fingerText is what the stored rows are made of.
func (t *TopN) fingerText(by record.Type) string {
	var b strings.Builder
	fmt.Fprintf(&b, "top_n key=%s", by)
	for _, o := range t.Order {
		direction := "asc"
		if o.Desc {
			direction = "desc"
		}
		fmt.Fprintf(&b, " %s:%s", direction, nullable(o.Program.Type))
	}
	if t.Window {
		b.WriteString(" window")
	}
	if t.Changing {
		b.WriteString(" changelog")
	}
	for _, c := range t.Columns {
		fmt.Fprintf(&b, " %s:%s", c.Name, nullable(c.Type))
	}
	return b.String()
}
