package topology

import (
	"kstream/codec"
	"kstream/expr"
	"kstream/record"
)

// failing notes the place of a node whose failed records go somewhere: the rows
// they are, is the layout in front of it.
func (c *cursor) failing(n *Node) {
	n.in, n.chain = c.layout, c.chain
	c.chain.nodes = append(c.chain.nodes, n)
	if n.OnError.Kind == "dead_letter" && (!c.layout.origin || !c.layout.original) {
		n.Dead = deadValue(c.layout)
	}
}

// deadValue is the row as JSON, for rows that are no record that was read.
func deadValue(l *layout) *ValueEncode {
	v := &ValueEncode{
		Format: FormatSpec{Kind: "json", Timestamp: "rfc3339"}, Whole: -1, Type: l.valueType(), Rest: codec.RestSpec{Slot: -1},
	}
	if l.whole != nil || l.base != nil {
		v.Whole = l.valueSlot()
		return v
	}
	for _, col := range l.columns {
		v.Fields = append(v.Fields, codec.EncodeField{Name: col.name, Slot: col.bind(l, nil).slot, Type: col.typ})
	}
	return v
}

// sourceOutput registers the output of records that a source cannot read. They
// have their bytes, and whatever else of them does not need to be decoded.
func (c *compiler) sourceOutput(src *Source, l *layout) {
	s := src.Spec
	if s.OnError.Kind != "output" {
		return
	}
	f := l.frame
	out := &ErrorOutput{Code: f.alloc(), Message: f.alloc(), Value: f.alloc()}
	src.Chain.Bad = out
	bad := &layout{frame: f, hidden: map[string]bool{}, origin: true, original: l.original, headers: l.headers}
	bad.whole = &binding{slot: out.Value, typ: record.TypeOf(record.TypeBytes)}
	bad.key = keyState{raw: l.key.raw, read: l.key.read}
	c.errorTap(s.OnError.Ref, out, bad, src.Chain)
}

// errorTap is the place behind one node where its failed records go.
func (c *compiler) errorTap(ref string, out *ErrorOutput, l *layout, chain *Chain) {
	l.errors = func(_ *layout, i int) int { return [...]int{out.Code, out.Message}[i] }
	cur := &cursor{chain: chain, hang: func(n *Node) { out.Next = append(out.Next, n) }}
	cur.use(l)
	c.taps[ref] = cur
}

// errorOutputs registers the side outputs of the nodes made so far. It is called
// when a stream or a sink is complete: an output that several of its nodes share
// is their union.
func (c *compiler) errorOutputs() {
	ends := map[string][]*cursor{}
	var order []string
	for _, ch := range c.plan.Chains {
		for _, n := range ch.nodes {
			if n.OnError.Kind != "output" || n.Bad != nil || n.Kind == NodeAssign && len(n.Assign) == 0 || c.taps[n.OnError.Ref] != nil {
				continue
			}
			ref := n.OnError.Ref
			if ends[ref] == nil {
				order = append(order, ref)
			}
			ends[ref] = append(ends[ref], c.errorEnd(n))
		}
	}
	for _, ref := range order {
		c.taps[ref] = c.errorUnion(ref, ends[ref])
	}
}

// errorEnd is the place behind one node where its failed records go.
func (c *compiler) errorEnd(n *Node) *cursor {
	l := n.in.clone()
	l.changes, l.op = nil, false // each version that failed is a record of its own
	out := &ErrorOutput{Code: l.frame.alloc(), Message: l.frame.alloc(), Value: -1}
	n.Bad = out
	l.errors = func(_ *layout, i int) int { return [...]int{out.Code, out.Message}[i] }
	cur := &cursor{chain: n.chain, hang: func(next *Node) { out.Next = append(out.Next, next) }}
	cur.use(l)
	return cur
}

// errorUnion brings the failed records of several nodes together. Where their
// rows have different fields, the value is what it is.
func (c *compiler) errorUnion(ref string, ends []*cursor) *cursor {
	if len(ends) == 1 {
		return ends[0]
	}
	first := ends[0].layout.valueType()
	for _, e := range ends[1:] {
		if first.Kind == record.TypeAny || shapeDifference(first, e.layout.valueType()) != "" {
			return c.exchange(ExchangeForward, ref, c.wholes(ends), nil)
		}
	}
	return c.exchange(ExchangeForward, ref, ends, nil)
}

// wholes makes each value one value of any type.
func (c *compiler) wholes(ends []*cursor) []*cursor {
	for _, e := range ends {
		l := e.layout.clone()
		l.insert = e.layout.insert
		slot := e.layout.valueSlot()
		l.columns, l.base, l.hidden = nil, nil, map[string]bool{}
		l.whole = &binding{slot: slot, typ: record.Any}
		e.use(l)
	}
	return ends
}

// errorMeta is $error.code and $error.message.
func (l *layout) errorMeta(name string) (expr.Binding, bool) {
	i, ok := map[string]int{"$error.code": 0, "$error.message": 1}[name]
	if !ok {
		return expr.Binding{}, false
	}
	if l.errors == nil {
		return unknownMeta(name, "$error is known only in a side output of on_error", "read the side output"), true
	}
	return expr.Binding{Ref: expr.Ref{Kind: expr.RefSlot, Slot: l.errors(l, i)}, Type: required(record.TypeString), Used: 1, Known: true}, true
}

// errors carries $error to the receiver, if all senders have it.
func (x *carrier) errors() func(*layout, int) int {
	for _, s := range x.senders {
		if s.errors == nil {
			return nil
		}
	}
	return func(_ *layout, i int) int {
		name := [...]string{"$error.code", "$error.message"}[i]
		return x.carry(name, func(s *layout) int { return s.errors(s, i) })
	}
}

// carryOriginals finds the exchanges behind which dead letters may be written of
// the records that were read. Behind a stateful node rows are no such records.
func (c *compiler) carryOriginals() {
	needs := map[*Chain]bool{}
	for i := len(c.plan.Chains) - 1; i >= 0; i-- {
		ch := c.plan.Chains[i]
		for _, n := range ch.nodes {
			if !n.in.origin {
				continue
			}
			wants := n.OnError.Kind == "dead_letter" && n.in.original
			if n.Exchange != nil && needs[n.Exchange.Exchange.To] {
				wants = true
			}
			needs[ch] = needs[ch] || wants
		}
	}
	for _, ex := range c.plan.Exchanges {
		ex.Original = needs[ex.To]
	}
}

// sink finds a sink by name.
func (s *Spec) sink(name string) *SinkSpec {
	for _, sink := range s.Sinks {
		if sink.Name == name {
			return sink
		}
	}
	return nil
}
