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
