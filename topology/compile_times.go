package topology

import "kstream/expr"

// timestamps assigns event time again. What stands behind is a chain of its own,
// because the watermark of a chain is one: that of its input, which follows the
// new times. Rows of a keyed stream stay with the owners of their keys.
func (c *compiler) timestamps(cur *cursor, s *StreamSpec, st *StepSpec, node Node) {
	node.Kind = NodeTimes
	node.Times = c.compile(st.Times.EventTime, st.Path+"/timestamps/event_time", cur.layout,
		expr.Want{Type: expr.WantTimestamp, Place: "event_time"})
	if node.Times == nil {
		return
	}
	cur.attach(&node)
	kind := ExchangeForward
	if cur.layout.key.keyed {
		kind = ExchangeHash
	}
	out := c.exchange(kind, s.Name, []*cursor{cur}, nil)
	out.chain.Input.Ends[0].Times = &Retimed{UID: st.UID, Watermark: st.Times.Watermark}
	out.chain.Parallelism = parallelism(st, s)
	out.layout.lateness = 0
	*cur = *out
	cur.use(cur.layout)
}
