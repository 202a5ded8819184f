package topology

import "kstream/codec"

// copyTexts finds the fields of sinks that are written as they were read: slots
// of the scan that nothing changes, in the chain of their source. The slots of a
// chain are written once for each record, so whoever has the slot of a want has
// the value that was read.
func (c *compiler) copyTexts() {
	for _, ch := range c.plan.Chains {
		if ch.Source == nil || len(ch.Source.Wants) == 0 {
			continue
		}
		wants := map[int]*codec.JSONWant{} // by slot
		for i := range ch.Source.Wants {
			wants[ch.Source.Wants[i].Slot] = &ch.Source.Wants[i]
		}
		refs := 0
		for _, n := range ch.nodes {
			if n.Kind != NodeSink || n.Encode == nil || n.Encode.Value.Rest.Slot >= 0 {
				continue
			}
			v := &n.Encode.Value
			for i := range v.Fields {
				w := wants[v.Fields[i].Slot]
				if w == nil || len(w.Path) == 0 || !codec.CopyAlike(w.Type, v.Fields[i].Type, codec.JSONWriteOptions{Timestamp: v.Format.Timestamp}) {
					continue
				}
				if w.Ref == 0 {
					refs++
					w.Ref = refs
				}
				if v.Refs == nil {
					v.Refs, v.Same = make([]int, len(v.Fields)), make([]bool, len(v.Fields))
				}
				v.Refs[i] = w.Ref
				v.Same[i] = v.Fields[i].Name == w.Path[len(w.Path)-1]
			}
		}
	}
}
