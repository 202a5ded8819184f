package topology

// topN checks where a top_n stands, and what it emits.
func (g *graph) topN(s *StreamSpec, st *StepSpec) {
	path := "/" + st.Path
	if st.TopN.Window && !g.leavesWindow(s, st, map[string]bool{}) {
		g.l.fail(st.TopN.PerAt, "misplaced-step", path+"/top_n/per", "per: window needs a windowed step before it", "")
	}
	if !st.TopN.Window && st.Emit == "append" {
		g.l.fail(st.EmitAt, "bad-value", path+"/emit", "without a window a result is never final",
			"use update, or per: window behind a windowed step")
	}
}

// leavesWindow reports whether rows have a $window in front of a step of a
// stream, or at its end: an aggregate gives them one or takes it away.
func (g *graph) leavesWindow(s *StreamSpec, before *StepSpec, open map[string]bool) bool {
	has := false
	if open[s.Name] {
		return false
	}
	open[s.Name] = true
	for _, r := range s.From {
		for _, up := range g.spec.Streams {
			has = has || up.Name == r.Name && g.leavesWindow(up, nil, open)
		}
	}
	for i, st := range s.Steps {
		if st == before {
			break
		}
		if st.aggregates() {
			// Windows of counted records are each of one key.
			has = i > 0 && s.Steps[i-1].Window != nil && s.Steps[i-1].Window.Kind != "count"
		}
	}
	return has
}

// emitEvery checks that a step has updates to hold back.
func (g *graph) emitEvery(s *StreamSpec, st *StepSpec, i int) {
	path, hint := "/"+st.Path+"/emit_every", "write emit: update, or leave emit_every out"
	switch {
	case st.EmitEvery < 0:
		return
	case st.Dedup != nil && st.Dedup.Last, st.aggregates() && (st.Emit == "update" || i == 0 || s.Steps[i-1].Window == nil):
		return
	case st.Dedup != nil:
		hint = "write keep: last, or leave emit_every out"
	}
	g.l.fail(st.EveryAt, "conflicting-fields", path, "`emit_every` is for updates, and the results of this "+st.Op+" are final", hint)
}
