package topology

import (
	"sort"
	"strings"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
)

// compiler turns a Spec into a Plan. It walks the streams in the order of their
// inputs; a place where nodes can be hung is a cursor.
type compiler struct {
	spec  *Spec
	plan  *Plan
	diags []Diagnostic
	taps  map[string]*cursor // sources, streams and side outputs by reference
	nodes map[string]*Node   // stateful nodes by uid
}

// cursor is a place in a chain: the next node hangs there, and names mean what
// the layout says.
type cursor struct {
	chain  *Chain
	layout *layout
	hang   func(*Node)
	pre    *Node // computed columns in front of the next node
}

// attach hangs n here and moves behind it.
func (c *cursor) attach(n *Node) {
	c.failing(n)
	if c.pre != nil {
		pre := c.pre
		c.pre = nil
		c.attach(pre)
	}
	c.hang(n)
	c.hang = func(next *Node) { n.Next = append(n.Next, next) }
}

// use gives the cursor a layout whose computed columns go in front of the
// cursor's next node.
func (c *cursor) use(l *layout) {
	l.insert = func(a Assign) {
		if c.pre == nil {
			c.pre = &Node{Kind: NodeAssign, UID: "value"}
		}
		c.pre.Assign = append(c.pre.Assign, a)
	}
	c.layout = l
}

// fork is another reader of the same place.
func (c *cursor) fork() *cursor {
	f := &cursor{chain: c.chain, hang: c.hang}
	f.use(c.layout.clone())
	return f
}

// Compile plans a checked Spec. It reports every unknown name and wrong type of
// every expression; the Plan is nil if there are any.
func Compile(spec *Spec) (*Plan, []Diagnostic) {
	c := &compiler{
		spec:  spec,
		plan:  &Plan{Spec: spec, Name: spec.Name, MaxParallelism: spec.MaxParallelism},
		taps:  map[string]*cursor{},
		nodes: map[string]*Node{},
	}
	for _, s := range spec.Sources {
		c.source(s)
	}
	done := map[string]bool{}
	for _, s := range c.streamsInOrder() {
		if sink, ok := strings.CutPrefix(s.Name, "sink:"); ok {
			done[sink] = true
			c.sink(spec.sink(sink))
			continue
		}
		c.stream(s)
		c.errorOutputs()
	}
	for _, s := range spec.Sinks {
		if !done[s.Name] {
			c.sink(s)
		}
	}
	c.checkMoved()
	if len(c.diags) > 0 {
		return nil, c.diags
	}
	c.finish()
	return c.plan, nil
}

// streamsInOrder puts every stream behind the streams it reads, and a sink whose
// output is read before who reads it. The checks of Load have refused cycles.
func (c *compiler) streamsInOrder() []*StreamSpec {
	byName := c.spec.readers()
	var order []*StreamSpec
	seen := map[string]bool{}
	var visit func(s *StreamSpec)
	visit = func(s *StreamSpec) {
		if seen[s.Name] {
			return
		}
		seen[s.Name] = true
		for _, name := range upstreams(s.From) {
			if up := byName[name]; up != nil {
				visit(up)
			}
		}
		order = append(order, s)
	}
	for _, s := range c.spec.Streams {
		visit(s)
	}
	return order
}

func (c *compiler) newChain(name string) *Chain {
	ch := &Chain{ID: len(c.plan.Chains), Name: name}
	c.plan.Chains = append(c.plan.Chains, ch)
	return ch
}

// source makes the chain that begins with a source.
func (c *compiler) source(s *SourceSpec) {
	ch := c.newChain("source:" + s.Name)
	src := &Source{Spec: s, Chain: ch, ValueSlot: -1}
	ch.Source = src
	ch.Parallelism = s.Parallelism
	c.plan.Sources = append(c.plan.Sources, src)

	cur := &cursor{chain: ch, hang: func(n *Node) { ch.Roots = append(ch.Roots, n) }}
	l := c.sourceLayout(src, &registers{ch})
	cur.use(l)
	c.sourceOutput(src, l)
	if s.EventTime != nil {
		src.EventTime = c.compile(s.EventTime, "sources/"+s.Name+"/event_time", l,
			expr.Want{Type: expr.WantTimestamp, Place: "event_time"})
	}
	if s.Mode == "upsert" {
		c.upsertSource(cur, s)
	}
	c.taps[s.Name] = cur
}

func (c *compiler) sourceLayout(src *Source, f *registers) *layout {
	s := src.Spec
	l := &layout{frame: f, hidden: map[string]bool{}, origin: true, original: true, headers: true, raw: true}
	l.key = keyState{raw: true, read: func() { src.NeedsKey = true }}
	if s.KeySchema != nil {
		l.key.typ = *s.KeySchema
	}
	switch {
	case s.Generate != nil:
		c.generate(src, l)
	case s.Format.Kind == "json":
		jsonLayout(src, l)
	default:
		src.ValueSlot = f.alloc()
		t := required(record.TypeString)
		if s.Format.Kind == "bytes" {
			t = required(record.TypeBytes)
		}
		l.whole = &binding{slot: src.ValueSlot, typ: t}
	}
	return l
}

// jsonLayout gives every path of the JSON value that is read a slot of the scan.
func jsonLayout(src *Source, l *layout) {
	slots := map[string]int{}
	want := func(path []string, t record.Type) int {
		key := joinPath(path)
		if slot, ok := slots[key]; ok {
			return slot
		}
		slot := l.frame.alloc()
		slots[key] = slot
		src.Wants = append(src.Wants, codec.JSONWant{Path: path, Type: t, Slot: slot})
		return slot
	}
	schema := src.Spec.Schema
	open := schema == nil || src.Spec.Format.ExtraFields == "keep"
	if schema != nil && schema.Kind != record.TypeObject {
		l.whole = &binding{slot: want(nil, *schema), typ: *schema}
		return
	}
	if schema != nil {
		for _, f := range schema.Fields {
			l.columns = append(l.columns, column{name: f.Name, typ: f.Type, deep: true, bind: func(_ *layout, rest []string) binding {
				path, t := []string{f.Name}, f.Type
				for _, name := range rest {
					inner, ok := t.Field(name)
					if t.Kind != record.TypeObject || !ok {
						break
					}
					path, t = append(path, name), inner
				}
				return binding{slot: want(path, t), typ: t, used: len(path) - 1}
			}})
		}
	}
	if open {
		l.base = &base{
			field: func(_ *layout, name string) int { return want([]string{name}, record.Any) },
			all:   func(*layout) int { return want(nil, record.Any) },
		}
	}
}

func joinPath(path []string) string {
	key := ""
	for _, p := range path {
		key += "/" + p
	}
	return key
}

// generate compiles the key and the record of a generate source.
func (c *compiler) generate(src *Source, l *layout) {
	g := src.Spec.Generate
	path := "sources/" + src.Spec.Name + "/generate"
	in := &layout{frame: l.frame, hidden: map[string]bool{}, n: true}
	in.key.read = func() {}
	if g.Key != nil {
		src.GenerateKey = c.compile(g.Key, path+"/key", in, expr.Want{Type: expr.WantKey, Place: "key"})
		if src.GenerateKey != nil {
			l.key.typ = src.GenerateKey.Type
		}
	}
	l.raw, l.original = false, false
	l.headers = false
	l.key.raw = false
	l.key.read = func() {}
	out, assigns := c.body(&g.Record, path+"/record", in)
	src.Assign = assigns
	l.columns, l.whole = out.columns, out.whole
}

// compile compiles an expression and collects its problems.
func (c *compiler) compile(e *Expr, path string, s expr.Scope, w expr.Want) *expr.Program {
	if e.Const != nil {
		return constant(*e.Const)
	}
	p, problems := expr.Compile(e.Tree, s, w)
	for _, problem := range problems {
		c.diags = append(c.diags, e.Diagnostic(c.spec.File, path, problem))
	}
	if len(problems) > 0 {
		return nil
	}
	return p
}

func constant(v record.Value) *expr.Program {
	return &expr.Program{Type: typeOfValue(v), Const: true, Deterministic: true,
		Eval: func(*expr.Env) record.Value { return v }}
}

// problem reports what is wrong with a place outside expressions.
func (c *compiler) problem(at Span, code, path, message, hint string) {
	c.diags = append(c.diags, c.spec.Diagnostic(at, code, path, message, hint))
}

// finish numbers and orders what was planned, and drops what nobody reads.
func (c *compiler) finish() {
	for _, ch := range c.plan.Chains {
		ch.Roots = prune(ch.Roots)
		if ch.Bad != nil {
			ch.Bad.Next = prune(ch.Bad.Next)
		}
		if ch.Input != nil && ch.Parallelism == 0 {
			ch.Parallelism = c.spec.Parallelism
		}
	}
	c.carryOriginals()
	c.copyTexts()
	c.describeState()
	uids := make([]string, 0, len(c.nodes))
	for uid := range c.nodes {
		uids = append(uids, uid)
	}
	sort.Strings(uids)
	for _, uid := range uids {
		c.plan.Stateful = append(c.plan.Stateful, c.nodes[uid])
	}
}

// prune takes assignments out that compute nothing.
func prune(nodes []*Node) []*Node {
	var out []*Node
	for _, n := range nodes {
		n.Next = prune(n.Next)
		n.Late = prune(n.Late)
		for i := range n.Routes {
			n.Routes[i] = prune(n.Routes[i])
		}
		if n.Bad != nil {
			n.Bad.Next = prune(n.Bad.Next)
		}
		if (n.Kind == NodeAssign && len(n.Assign) == 0 || n.Kind == NodeRekey && n.Rekey < 0) && n.Bad == nil {
			out = append(out, n.Next...)
			continue
		}
		out = append(out, n)
	}
	return out
}
