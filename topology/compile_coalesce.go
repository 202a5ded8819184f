package topology

import "slices"

// coalesce puts the operator behind a step that holds its changes back, if the
// step has emit_every. cur stands behind the step; keep notes a column that is
// kept besides those of the value.
func (c *compiler) coalesce(cur *cursor, st *StepSpec, key State, windowed bool) (keep func(name string, slot int)) {
	next := cur.layout.clone()
	if st.EmitEvery < 0 || next.changes == nil {
		return func(string, int) {}
	}
	spec := &Coalesce{Every: st.EmitEvery, Window: windowed}
	node := &Node{UID: st.UID + "/emit_every", Kind: NodeCoalesce, At: st.At, OnError: st.OnError, Coalesce: spec}
	node.State = &State{Op: "emit_every", Layout: 1, KeyType: key.KeyType, Finger: "emit_every key=" + key.KeyType.String()}
	cur.attach(node)
	c.nodes[node.UID] = node
	next.changes = next.changes.clone()
	above := next.changes.demand
	next.changes.demand = func() {
		spec.Retract = true
		above()
	}
	keep = func(name string, slot int) { spec.Columns = kept(spec.Columns, name, slot) }
	cur.use(watched(next, keep))
	return keep
}

func kept(all []KeptColumn, name string, slot int) []KeptColumn {
	k := KeptColumn{Name: name, Slot: slot}
	if slices.Contains(all, k) {
		return all
	}
	return append(all, k)
}

// watched is a layout that tells which columns are read behind a place: their
// names, the same wherever a pipeline reads them, and their slots.
func watched(l *layout, note func(name string, slot int)) *layout {
	n := l.clone()
	for i := range n.columns {
		name, bind := n.columns[i].name, n.columns[i].bind
		n.columns[i].bind = func(at *layout, rest []string) binding {
			b := bind(at, rest)
			note("col/"+name+joinPath(rest[:b.used]), b.slot)
			return b
		}
	}
	if from := l.base; from != nil {
		n.base = &base{
			field: func(at *layout, name string) int {
				slot := from.field(at, name)
				note("base/"+name, slot)
				return slot
			},
			all: func(at *layout) int {
				slot := from.all(at)
				note("base", slot)
				return slot
			},
		}
	}
	if w := l.whole; w != nil && w.open == nil {
		note("$value", w.slot)
	} else if w != nil {
		n.whole = &binding{typ: w.typ, open: func(at *layout, path []string) binding {
			b := w.open(at, path)
			note("$value"+joinPath(path[:b.used]), b.slot)
			return b
		}}
	}
	return n
}
