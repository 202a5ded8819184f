package topology

// String is the word of the kind in the status of a job.
func (k NodeKind) String() string {
	switch k {
	case NodeFilter:
		return "filter"
	case NodeAssign:
		return "map"
	case NodeFlatMap:
		return "flat_map"
	case NodeKey:
		return "key_by"
	case NodeExchange:
		return "exchange"
	case NodeLog:
		return "log"
	case NodeAggregate, NodeWindow:
		return "aggregate"
	case NodeCoalesce:
		return "emit_every"
	case NodeSink:
		return "sink"
	}
	return "step"
}
