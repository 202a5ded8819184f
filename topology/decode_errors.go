package topology

// decodeOnError is what becomes of records that fail at a node; of an output,
// name is that of the source, stream or sink that it belongs to.
func decodeOnError(v *value, name string) OnErrorSpec {
	switch {
	case v == nil:
		return OnErrorSpec{Kind: "fail"}
	case v.isMap:
		out := v.get("output")
		return OnErrorSpec{Kind: "output", Output: out.text, Ref: name + "." + out.text, At: out.at}
	}
	if v.text == "fail" {
		return OnErrorSpec{Kind: "fail"}
	}
	return OnErrorSpec{Kind: v.text, At: v.at}
}

func decodeDeadLetter(v *value) *DeadLetterSpec {
	if v == nil {
		return nil
	}
	return &DeadLetterSpec{
		Topic: v.str("topic"), At: v.get("topic").at,
		Create: decodeCreate(v.get("create")), IncludeValue: v.flag("include_value"),
	}
}

func decodeCreate(v *value) *CreateSpec {
	if v == nil || !v.isMap {
		return nil
	}
	return &CreateSpec{Partitions: int(v.num("partitions")), Replication: int(v.num("replication")), Config: v.textsOf("config")}
}
