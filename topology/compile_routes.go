package topology

import "kstream/expr"

// check compiles the conditions that every record must fulfil.
func (c *compiler) check(cur *cursor, st *StepSpec, node Node, when *expr.Program) {
	node.Kind, node.When = NodeCheck, when
	for _, e := range st.Check {
		cond := c.compile(e.Expr, st.Path+"/check/"+e.Name, cur.layout, expr.Want{Type: expr.WantBool, Place: "check"})
		node.Check = append(node.Check, Check{Name: e.Name, Cond: cond})
	}
	cur.attach(&node)
}

// split gives every output a place of its own behind the split.
func (c *compiler) split(cur *cursor, s *StreamSpec, st *StepSpec, node Node) {
	sp := st.Split
	node.Kind = NodeSplit
	node.Split = &Split{Names: sp.Outputs(), All: sp.All, Fail: sp.ElseKind == "fail"}
	for _, r := range sp.Routes {
		cond := c.compile(r.Expr, st.Path+"/split/routes/"+r.Name, cur.layout, expr.Want{Type: expr.WantBool, Place: "routes"})
		node.Split.Conds = append(node.Split.Conds, cond)
	}
	cur.attach(&node)
	if ch := cur.layout.changes; ch != nil {
		ch.demand()
		cur.layout.changes = ch.withDeletes()
	}
	node.Routes = make([][]*Node, len(node.Split.Names))
	for i, name := range node.Split.Names {
		out := &cursor{chain: cur.chain, hang: func(n *Node) { node.Routes[i] = append(node.Routes[i], n) }}
		out.use(cur.layout.clone())
		c.taps[s.Name+"."+name] = out
	}
}
