package topology

import (
	"fmt"

	"kstream/expr"
	"kstream/record"
)

// keys compiles what key_by, by and key take. names are the parts of a
// composite key; fields says which of them are plain fields, whose names go on
// meaning the key behind the exchange.
func (c *compiler) keys(k *Keys, path string, l *layout, place string) (*Key, keyState) {
	want := expr.Want{Type: expr.WantKey, Place: place}
	state := keyState{keyed: true, fields: map[string]record.Type{}}
	if k.Whole != nil {
		p := c.compile(k.Whole, path, l, want)
		if p == nil {
			return nil, state
		}
		state.typ = p.Type
		if k.Whole.Tree != nil {
			if names, ok := k.Whole.Tree.Path(); ok {
				state.single = names[len(names)-1]
			}
		}
		return &Key{Program: p}, state
	}
	key := &Key{}
	state.typ = record.Type{Kind: record.TypeObject, Required: true}
	for _, part := range k.Parts {
		p := c.compile(part.Expr, path+"/"+part.Name, l, want)
		if p == nil {
			return nil, state
		}
		key.Names = append(key.Names, part.Name)
		key.Parts = append(key.Parts, p)
		state.typ.Fields = append(state.typ.Fields, record.Field{Name: part.Name, Type: p.Type})
		state.fields[part.Name] = p.Type
	}
	return key, state
}

// keyBy sets $key and sends every row to the task that owns its key group.
func (c *compiler) keyBy(cur *cursor, s *StreamSpec, st *StepSpec, node Node) {
	key, state := c.keys(st.KeyBy, st.Path+"/key_by", cur.layout, "key_by")
	if key == nil {
		cur.use(keyedLayout(cur.layout, state))
		return
	}
	node.Kind, node.Key = NodeKey, key
	cur.attach(&node)
	if cur.layout.changes != nil {
		c.keyByChanges(cur, s, st, state)
		return
	}
	out := c.exchange(ExchangeHash, s.Name, []*cursor{cur}, &state)
	out.chain.Parallelism = parallelism(st, s)
	*cur = *out
	cur.use(cur.layout)
}

func parallelism(st *StepSpec, s *StreamSpec) int {
	if st.Parallelism > 0 {
		return st.Parallelism
	}
	return s.Parallelism
}

func keyedLayout(l *layout, state keyState) *layout {
	n := l.clone()
	n.key = state
	n.key.read = func() {}
	return n
}

// partition moves rows between tasks without a key.
func (c *compiler) partition(cur *cursor, s *StreamSpec, st *StepSpec) {
	kinds := map[string]ExchangeKind{
		"forward": ExchangeForward, "shuffle": ExchangeRebalance, "rebalance": ExchangeRebalance,
		"rescale": ExchangeRebalance, "broadcast": ExchangeBroadcast, "by": ExchangeHash,
	}
	var by *expr.Program
	if st.Partition.By != nil {
		by = c.compile(st.Partition.By, st.Path+"/partition/by", cur.layout,
			expr.Want{Type: expr.WantKey, Place: "partition"})
		if by == nil {
			return
		}
	}
	c.keepsOrder(cur, st)
	keyed := cur.layout.key.keyed
	out := c.exchange(kinds[st.Partition.Kind], s.Name, []*cursor{cur}, nil)
	end := out.chain.Input.Ends[0]
	end.By = by
	end.Node.UID, end.Node.OnError, end.Node.At = st.UID, st.OnError, st.At
	out.chain.Parallelism = parallelism(st, s)
	out.layout.key.keyed = keyed && st.Partition.Kind == "forward"
	*cur = *out
	cur.use(cur.layout)
}

// exchange connects cursors to a new chain. The new chain's columns are asked
// for one by one, as the expressions behind the exchange read them; each takes
// the next slot of the receiver and is carried by every end.
func (c *compiler) exchange(kind ExchangeKind, name string, ends []*cursor, key *keyState) *cursor {
	ex := &Exchange{ID: len(c.plan.Exchanges), Kind: kind}
	c.plan.Exchanges = append(c.plan.Exchanges, ex)
	to := c.newChain(fmt.Sprintf("%s/%d", name, ex.ID))
	ex.To, to.Input = to, ex
	x := &carrier{exchange: ex, frame: &registers{to}, slots: map[string]int{}}
	for _, cur := range ends {
		end := &ExchangeEnd{Exchange: ex, Chain: cur.chain}
		ex.Ends = append(ex.Ends, end)
		pre := &Node{Kind: NodeAssign, UID: "value"}
		cur.attach(pre)
		end.Node = &Node{Kind: NodeExchange, Exchange: end, UID: to.Name}
		cur.attach(end.Node)
		sender := cur.layout.clone()
		sender.insert = func(a Assign) { pre.Assign = append(pre.Assign, a) }
		x.senders = append(x.senders, sender)
	}
	out := &cursor{chain: to, hang: func(n *Node) { to.Roots = append(to.Roots, n) }}
	l := x.layout()
	if key != nil {
		l.key = *key
		l.unsettled = false
	}
	l.key.raw = false
	l.key.moved = l.key.moved && kind != ExchangeHash
	l.key.read = func() {
		to.NeedsKey = true
		if key == nil {
			x.readKeys()
		}
	}
	if key == nil && kind == ExchangeHash {
		x.readKeys() // the key is encoded anew to route by it
	}
	out.use(l)
	return out
}

// readKeys tells the senders that their $key is read.
func (x *carrier) readKeys() {
	for _, s := range x.senders {
		if s.key.read != nil {
			s.key.read()
		}
	}
}

// carrier gives the columns that an exchange carries their slots.
type carrier struct {
	exchange *Exchange
	frame    *registers // of the receiver
	senders  []*layout
	slots    map[string]int
}

// carry makes one more column: slotOf says where each sender has it.
func (x *carrier) carry(name string, slotOf func(sender *layout) int) int {
	if slot, ok := x.slots[name]; ok {
		return slot
	}
	slot := x.frame.alloc()
	x.slots[name] = slot
	x.exchange.Slots = append(x.exchange.Slots, slot)
	x.exchange.Names = append(x.exchange.Names, name)
	for i, s := range x.senders {
		x.exchange.Ends[i].Columns = append(x.exchange.Ends[i].Columns, slotOf(s))
	}
	return slot
}

// layout is what the receiver knows: the columns of its one sender, or what
// several senders have in common.
func (x *carrier) layout() *layout {
	first := x.senders[0]
	l := &layout{frame: x.frame, hidden: map[string]bool{}, key: first.key,
		lateness: first.lateness, origin: first.origin, original: first.original, window: first.window, op: first.op, errors: x.errors(),
		changes: together(x.exchange.To.Name, x.senders), parallelism: first.parallelism}
	open := false
	for _, s := range x.senders {
		open = open || s.base != nil || s.whole != nil
		l.origin = l.origin && s.origin
		l.original = l.original && s.original
		l.window = l.window && s.window
		l.lateness = max(l.lateness, s.lateness)
		l.op = l.op || s.op
		l.unsettled = l.unsettled || s.unsettled
		if s.key.typ.String() != first.key.typ.String() || s.key.keyed != first.key.keyed {
			l.key = keyState{}
		}
	}
	switch {
	case len(x.senders) == 1:
		x.mirror(l, first)
	case open:
		l.whole = &binding{slot: x.carry("$value", (*layout).valueSlot), typ: record.Any}
	default:
		for _, col := range first.columns {
			l.columns = append(l.columns, x.column(col, false))
		}
	}
	return l
}

// mirror gives the receiver the shape of its only sender.
func (x *carrier) mirror(l, s *layout) {
	for name := range s.hidden {
		l.hidden[name] = true
	}
	for _, col := range s.columns {
		l.columns = append(l.columns, x.column(col, true))
	}
	if s.base != nil {
		l.base = &base{
			field: func(_ *layout, name string) int {
				return x.carry("base/"+name, func(s *layout) int { return s.base.field(s, name) })
			},
			all: func(*layout) int {
				return x.carry("base", func(s *layout) int { return s.base.all(s) })
			},
		}
	}
	if s.whole != nil {
		l.whole = x.whole(s.whole)
	}
}

// whole is the sender's value behind the exchange, or the parts of it that are
// read.
func (x *carrier) whole(w *binding) *binding {
	return &binding{typ: w.typ, open: func(_ *layout, path []string) binding {
		if w.open == nil || len(path) == 0 {
			return binding{slot: x.carry("$value", (*layout).valueSlot), typ: w.typ}
		}
		b := w.open(x.senders[0], path)
		if b.used == 0 {
			return binding{slot: x.carry("$value", (*layout).valueSlot), typ: w.typ}
		}
		covered := path[:b.used]
		b.slot = x.carry("$value"+joinPath(covered), func(s *layout) int { return s.whole.open(s, covered).slot })
		return b
	}}
}

// column is a sender's column behind the exchange. Paths into it are carried by
// themselves when there is one sender, which may have them scanned directly.
func (x *carrier) column(col column, paths bool) column {
	return column{name: col.name, typ: col.typ, deep: paths && col.deep, bind: func(_ *layout, rest []string) binding {
		if !paths {
			rest = nil
		}
		probe := x.senders[0]
		b, _ := probe.field(append([]string{col.name}, rest...))
		covered := rest[:max(0, b.used-1)]
		slot := x.carry("col/"+col.name+joinPath(covered), func(s *layout) int {
			v, _ := s.field(append([]string{col.name}, covered...))
			return v.slot
		})
		return binding{slot: slot, typ: b.typ, used: len(covered)}
	}}
}
