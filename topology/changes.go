package topology

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kstream/record"
)

// changes is what is known of a stream that is a changelog at one place: what
// identifies its rows, and where that can be found. It is never changed; a step
// that rearranges fields makes another one.
type changes struct {
	stream string // what made it a changelog, for messages
	remedy string // how to have final records instead

	// identity names the parts that together tell rows apart. opaque says that
	// they cannot be followed any further.
	identity []string
	opaque   bool
	// copies says for a field or a name with a sigil of which parts of the
	// identity it is a plain copy.
	copies map[string][]int
	// stableKey: $key is made of such copies alone, so that it never changes with
	// an update.
	stableKey bool
	// deletes: rows may be deleted. demand asks for the rows as they were before
	// an update.
	deletes bool
	demand  func()
}

func (ch *changes) clone() *changes {
	out := *ch
	out.copies = maps.Clone(ch.copies)
	return &out
}

// withDeletes is a changelog whose rows may be deleted.
func (ch *changes) withDeletes() *changes {
	out := *ch
	out.deletes = true
	return &out
}

// plainPath is the field or the name with a sigil that an expression copies, ""
// if it does more.
func plainPath(e *Expr) string {
	if e == nil || e.Tree == nil {
		return ""
	}
	if path, ok := e.Tree.Path(); ok {
		return strings.Join(path, ".")
	}
	text := strings.ReplaceAll(e.Tree.Normal(), " ", "")
	if strings.HasPrefix(text, "$") && !strings.ContainsAny(text[1:], "$()[]{}+-*/%<>=!?&|,:\"'`#^") {
		return text
	}
	return ""
}

// at is the parts that a path holds.
func (ch *changes) at(e *Expr) []int { return ch.copies[plainPath(e)] }

// forget takes a field away.
func (ch *changes) forget(name string) {
	for path := range ch.copies {
		if path == name || strings.HasPrefix(path, name+".") {
			delete(ch.copies, path)
		}
	}
}

// sigils is the copies that are no fields.
func (ch *changes) sigils() map[string][]int {
	out := map[string][]int{}
	for path, parts := range ch.copies {
		if strings.HasPrefix(path, "$") {
			out[path] = parts
		}
	}
	return out
}

// put notes what an expression puts into a field.
func (ch *changes) put(name string, e *Expr, from *changes) {
	if e.Object != nil {
		for _, f := range e.Object {
			ch.put(name+"."+f.Name, f.Expr, from)
		}
		return
	}
	if parts := from.at(e); parts != nil {
		ch.copies[name] = parts
	}
}

// behind is the changelog behind a stateless step.
func (ch *changes) behind(st *StepSpec) *changes {
	out := ch.clone()
	switch {
	case st.Map != nil:
		out.copies = ch.sigils()
		for _, f := range st.Map.Fields {
			out.put(f.Name, f.Expr, ch)
		}
	case st.Set != nil:
		for _, f := range st.Set {
			out.forget(f.Name)
		}
		if st.When == nil {
			for _, f := range st.Set {
				out.put(f.Name, f.Expr, ch)
			}
		}
	case st.Project != nil:
		out.copies = ch.sigils()
		for _, f := range st.Project {
			for path, parts := range ch.copies {
				if path == f.Name || strings.HasPrefix(path, f.Name+".") {
					out.copies[path] = parts
				}
			}
		}
	case st.Drop != nil:
		for _, f := range st.Drop {
			out.forget(f.Name)
		}
	case st.Rename != nil:
		for _, r := range st.Rename {
			out.forget(r.Old)
			if parts := ch.copies[r.Old]; parts != nil && st.When == nil {
				out.copies[r.New] = parts
			}
		}
	case st.KeyBy != nil:
		out.keyBy(st.KeyBy, ch)
	case st.FlatMap != nil:
		out.flatMap(st.FlatMap, ch)
	}
	return out
}

// flatMap adds the index of the element to the identity.
func (ch *changes) flatMap(f *FlatMapSpec, from *changes) {
	index := len(ch.identity)
	ch.identity = append(slices.Clip(ch.identity), "the index of the element")
	ch.copies = from.sigils()
	ch.deletes = true
	if f.Select == nil {
		return
	}
	for _, field := range f.Select.Fields {
		if f.IndexAs != "" && plainPath(field.Expr) == f.IndexAs {
			ch.copies[field.Name] = []int{index}
			continue
		}
		ch.put(field.Name, field.Expr, from)
	}
}

func (ch *changes) keyBy(k *Keys, from *changes) {
	ch.forget("$key")
	parts, stable := from.keyParts(k)
	ch.stableKey = stable
	ch.copies["$key"] = parts
	for _, p := range k.Parts {
		ch.copies["$key."+p.Name] = from.at(p.Expr)
	}
}

// keyParts is the parts of the identity that a key holds; stable says that it
// holds nothing else.
func (ch *changes) keyParts(k *Keys) (parts []int, stable bool) {
	exprs := []*Expr{k.Whole}
	if k.Whole == nil {
		exprs = nil
		for _, p := range k.Parts {
			exprs = append(exprs, p.Expr)
		}
	}
	stable = true
	for _, e := range exprs {
		if e.Const != nil {
			continue
		}
		found, known := ch.copies[plainPath(e)]
		if plainPath(e) == "$key" {
			stable = stable && ch.stableKey
		} else {
			stable = stable && known && len(found) > 0
		}
		parts = append(parts, found...)
	}
	return parts, stable
}

// missing names a part of the identity that is not among parts.
func (ch *changes) missing(parts []int) string {
	for i, name := range ch.identity {
		if !slices.Contains(parts, i) {
			return name
		}
	}
	return ""
}

// aggregateChanges is the changelog that an aggregate in update mode makes: its
// rows are identified by the key and the window.
func aggregateChanges(s *StreamSpec, st *StepSpec, node *Node, in *layout) *changes {
	ch := &changes{
		stream:    s.Name,
		remedy:    "let the aggregate before it emit append, or do without the window",
		copies:    map[string][]int{},
		stableKey: true,
		demand:    func() { node.Aggregate.Retract = true },
	}
	names := map[string][]int{}
	if in.key.keyed {
		ch.copies["$key"] = nil
		ch.keyIdentity(in.key, names)
	}
	if node.Window != nil {
		ch.deletes = node.Window.Session != nil
		ch.copies["$window.start"] = []int{len(ch.identity)}
		ch.copies["$window.end"] = []int{len(ch.identity)}
		ch.identity = append(ch.identity, "the window")
	}
	for _, f := range st.Aggregate {
		path := plainPath(f.Expr)
		if parts := ch.copies[path]; parts != nil {
			ch.copies[f.Name] = parts
		} else if parts := names[path]; parts != nil {
			ch.copies[f.Name] = parts
		}
	}
	if in.changes != nil {
		ch.deletes = in.changes.deletes || in.key.keyed && !in.changes.stableKey
	}
	return ch
}

// keyIdentity takes the parts of a key as the identity; names are those that
// mean them in an aggregate.
func (ch *changes) keyIdentity(key keyState, names map[string][]int) {
	if len(key.fields) == 0 {
		name := "$key"
		if key.single != "" {
			name = quote(key.single)
			names[key.single] = []int{0}
		}
		ch.identity, ch.copies["$key"] = []string{name}, []int{0}
		return
	}
	for _, f := range key.typ.Fields {
		i := len(ch.identity)
		ch.identity = append(ch.identity, quote(f.Name))
		ch.copies["$key"] = append(ch.copies["$key"], i)
		ch.copies["$key."+f.Name] = []int{i}
		names[f.Name] = []int{i}
	}
}

// together is the changelog that several inputs of a union make. Rows of
// different inputs with the same identity take each other's place.
func together(name string, senders []*layout) *changes {
	var all []*changes
	for _, s := range senders {
		if s.changes != nil {
			all = append(all, s.changes)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if len(senders) == 1 {
		return all[0]
	}
	out := all[0].clone()
	out.stream = name
	out.demand = func() {
		for _, ch := range all {
			ch.demand()
		}
	}
	for _, ch := range all[1:] {
		out.deletes = out.deletes || ch.deletes
		out.stableKey = out.stableKey && ch.stableKey
		out.opaque = out.opaque || ch.opaque || len(ch.identity) != len(out.identity)
		for path, parts := range out.copies {
			if !slices.Equal(parts, ch.copies[path]) {
				delete(out.copies, path)
			}
		}
	}
	return out
}

// needsFinal refuses a step over a changelog that needs records which nothing
// corrects later.
func (c *compiler) needsFinal(cur *cursor, st *StepSpec) {
	if ch := cur.layout.changes; ch != nil {
		c.problem(st.At, "misplaced-step", st.Path,
			fmt.Sprintf("%s needs final records, %s is a changelog", st.Op, ch.stream),
			strings.Replace(ch.remedy, "window", st.Op, 1))
	}
}

// changed follows the changelog through a stateless step. Steps that pass on
// some of the rows only need to know what a row was before.
func (c *compiler) changed(cur *cursor, before *changes, st *StepSpec) {
	if before == nil || cur.layout.changes != before {
		return
	}
	cur.layout.changes = before.behind(st)
	selects := st.Filter != nil || st.Check != nil && st.OnError.Kind != "fail"
	if selects {
		cur.layout.changes = before.withDeletes()
	}
	if selects || st.FlatMap != nil {
		before.demand()
	}
}

// settle brings the rows of a changelog to the owners of their keys. key_by over
// a changelog does not move them by itself: all changes of a row stay behind one
// another, in one task, until something with state needs them elsewhere. Two
// exchanges in a row could let a later change overtake an earlier one.
func (c *compiler) settle(cur *cursor, s *StreamSpec) {
	if !cur.layout.unsettled {
		return
	}
	state := cur.layout.key
	if state.read != nil {
		state.read()
	}
	parallel := cur.layout.parallelism
	out := c.exchange(ExchangeHash, s.Name, []*cursor{cur}, &state)
	out.chain.Parallelism = parallel
	out.layout.unsettled = false
	*cur = *out
	cur.use(cur.layout)
}

// keyByChanges sets $key on a changelog.
func (c *compiler) keyByChanges(cur *cursor, s *StreamSpec, st *StepSpec, state keyState) {
	l := keyedLayout(cur.layout, state)
	l.unsettled, l.parallelism = true, parallelism(st, s)
	cur.use(l)
}

// sinkChanges decides how a sink writes a changelog.
func (c *compiler) sinkChanges(enc *Encode, s *SinkSpec, l *layout, path string) {
	ch := l.changes
	deletes := ch != nil && ch.deletes
	if deletes && s.Mode == "append" {
		c.problem(s.ModeAt, "conflicting-fields", path+"/mode",
			fmt.Sprintf("mode: append cannot delete rows, and %s is a changelog with deletes", ch.stream),
			"write mode: upsert, or leave it out")
		return
	}
	enc.Upsert = s.Mode == "upsert" || deletes
	if !enc.Upsert || s.Topic == "" {
		return
	}
	if s.Key == nil && !l.key.keyed && !l.key.raw {
		at := s.ModeAt
		if s.Mode == "" {
			at = s.At
		}
		c.problem(at, "upsert-key", path+"/mode", "mode: upsert needs a key, and the stream has none",
			"say what identifies a row, for example key: id")
		return
	}
	if ch == nil {
		return
	}
	parts, stable := ch.copies["$key"], ch.stableKey
	at := s.At
	if s.Key != nil {
		parts, stable = ch.keyParts(s.Key)
		at = s.KeyAt
	}
	if missing := ch.missing(parts); missing != "" && !ch.opaque {
		c.problem(at, "upsert-key", path+"/key",
			fmt.Sprintf("the key does not hold %s, which is part of what identifies a row", missing),
			"leave key out, or name every part")
	}
	if !stable || s.Partition.Kind == "by" || s.Holes != nil {
		enc.Moves = true
		ch.demand()
	}
}

// keepsOrder refuses to deal the rows of a changelog out: a later change of a
// row could overtake an earlier one.
func (c *compiler) keepsOrder(cur *cursor, st *StepSpec) {
	ch := cur.layout.changes
	if ch == nil || st.Partition.Kind == "forward" || st.Partition.Kind == "broadcast" {
		return
	}
	c.problem(st.At, "misplaced-step", st.Path,
		fmt.Sprintf("partition: %s takes the changes of a row out of order, and %s is a changelog", st.Partition.Kind, ch.stream),
		"use key_by, or partition before the stream becomes a changelog")
}

// upsertChanges is the changelog of a source in upsert mode: its rows are
// identified by the record key.
func upsertChanges(s *SourceSpec, demand func()) *changes {
	ch := &changes{
		stream: s.Name, remedy: "read " + s.Name + " with mode: append, or do without the window",
		copies: map[string][]int{}, stableKey: true, deletes: true, demand: demand,
		opaque: s.KeySchema == nil,
	}
	key := keyState{}
	if s.KeySchema != nil {
		key.typ, key.fields = *s.KeySchema, map[string]record.Type{}
		for _, f := range s.KeySchema.Fields {
			key.fields[f.Name] = f.Type
		}
	}
	ch.keyIdentity(key, map[string][]int{})
	return ch
}
