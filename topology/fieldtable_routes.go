package topology

var splitFields = &object{
	name: "step.split",
	doc:  "Every output must be read by a sink or a stream. On a changelog a row that changes its route is deleted in the old one.",
	fields: []field{
		{name: "routes", shape: &shape{dict: formOf(formExpr)}, required: true, doc: "Output name to condition, tried in this order; null counts as false.", example: "routes: {eu: region == \"EU\"}"},
		{name: "else", shape: &shape{scalar: kindName, words: words("drop", "fail")}, required: true, doc: "Where records go that match no route: an output, nowhere, or to on_error with `check-failed`.", example: "else: rest"},
		{name: "match", shape: oneOf("first", "all"), def: "first", doc: "Whether a record takes its first route or all that match."},
	},
}

var dedupFields = &object{
	name: "step.dedup",
	doc:  "Records are remembered by time: one is a duplicate if a record of its key was less than `within` before it, or came earlier with a later time.",
	fields: []field{
		{name: "by", shape: formOf(formKeys), defDoc: "`$key`", doc: "What is the same in duplicates.", example: "by: [device, event_id]"},
		{name: "within", shape: &shape{scalar: kindMillis, words: words("none"), min: 1e6}, required: true, doc: "How long a key is remembered; `none` is for ever."},
		{name: "keep", shape: oneOf("first", "last"), def: "first", doc: "`first`: duplicates are dropped. `last`: a later record, by its time, corrects the one before; an update stream."},
		{name: "time", shape: oneOf("event", "processing"), defDoc: "of the pipeline", doc: "What `within` is counted in; with `processing` the last record is the one that came last."},
	},
}

var topFields = &object{
	name: "step.top_n",
	fields: []field{
		{name: "n", shape: number(kindInt, 1, 10000), required: true, doc: "How many.", example: "n: 10"},
		{name: "order_by", shape: formOf(formOrder), required: true, doc: "What comes first; `desc` behind an expression turns it round. Nulls are last, and the earlier of equal records is first.", example: "order_by: [price desc, id]"},
		{name: "by", shape: formOf(formKeys), defDoc: "one list, in one subtask", doc: "A list for each value.", example: "by: category"},
		{name: "per", shape: oneOf("stream", "window"), def: "stream", doc: "`stream`: the list changes with the records, an update stream. `window`: a list for each `$window` of an earlier windowed step, when it closes."},
		{name: "ties", shape: oneOf("cut", "all"), def: "cut", doc: "`all`: records equal to the last are in the list too, and equal records share a rank."},
		{name: "rank_as", shape: scalarOf(kindName), defDoc: "no such field", doc: "Field with the rank, from 1. An update then replaces the record at its rank; without it (and n above 1) what falls out is deleted."},
	},
}

var timestampsFields = &object{
	name: "step.timestamps",
	doc:  "Every subtask follows the times of its records by itself, as a source does those of a partition. Not with `time: processing`.",
	fields: []field{
		{name: "event_time", shape: formOf(formExpr), required: true, doc: "The event time, a timestamp.", example: "event_time: ts"},
		{name: "watermark", shape: watermarkShape, def: "5s", doc: "How far event time may be out of order.", example: "watermark: {bounded: 5s, idle: 30s}"},
	},
}
