package topology

import "fmt"

// upsertSource makes a changelog of a source whose records replace each other by
// their key. Where a reader needs to know what a row was before, the rows are
// brought to the owners of their keys and kept there.
func (c *compiler) upsertSource(cur *cursor, s *SourceSpec) {
	l := cur.layout
	l.changes, l.op = upsertChanges(s, func() {}), true
	l.key.keyed, l.unsettled = true, true
	if !c.needsPrevious(s.Name) {
		return
	}
	l.key.read()
	state := l.key
	out := c.exchange(ExchangeHash, "source:"+s.Name, []*cursor{cur}, &state)
	out.layout.origin = false // what a row was before was read elsewhere
	node := &Node{UID: s.UID + "/rows", At: s.At, Kind: NodeUpsert, Input: out.chain.Input}
	node.State = &State{Op: "upsert", Layout: 1, KeyType: state.typ, Finger: fmt.Sprintf("upsert key=%s", state.typ)}
	out.attach(node)
	c.nodes[node.UID] = node
	*cur = *out
	cur.use(cur.layout)
}

// needsPrevious reports whether somebody who reads a source or a stream needs to
// know what a row was before: whoever does more with it than compute its fields
// and write it under its key.
func (c *compiler) needsPrevious(name string) bool {
	reads := func(from []Ref) bool {
		for _, r := range from {
			if r.Name == name && r.Output == "" {
				return true
			}
		}
		return false
	}
	for _, s := range c.spec.Streams {
		if !reads(s.From) {
			continue
		}
		if len(s.From) > 1 || !keepsRows(s.Steps) || c.needsPrevious(s.Name) {
			return true
		}
	}
	for _, s := range c.spec.Sinks {
		if reads(s.From) && (s.Key != nil && !isKey(s.Key) || s.Partition.Kind == "by" || s.Holes != nil) {
			return true
		}
	}
	return false
}

// keepsRows reports whether steps pass on every row, under its key.
func keepsRows(steps []*StepSpec) bool {
	for _, st := range steps {
		switch {
		case st.Map != nil, st.Set != nil, st.Project != nil, st.Drop != nil, st.Rename != nil, st.Log != nil:
		case st.KeyBy != nil && isKey(st.KeyBy):
		default:
			return false
		}
	}
	return true
}

func isKey(k *Keys) bool { return k.Whole != nil && plainPath(k.Whole) == "$key" }
