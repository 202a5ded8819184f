package topology

import (
	"fmt"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
)

// sink compiles a sink once for every chain that writes to it: the shapes of
// its inputs may differ, the sink is one.
func (c *compiler) sink(s *SinkSpec) {
	sink := &Sink{Spec: s}
	c.plan.Sinks = append(c.plan.Sinks, sink)
	for _, r := range s.From {
		tap := c.taps[r.text()]
		if tap == nil {
			continue
		}
		c.sinkEnd(sink, tap.fork())
	}
	c.errorOutputs()
}

func (c *compiler) sinkEnd(sink *Sink, cur *cursor) {
	s := sink.Spec
	path := "sinks/" + s.Name
	if c.spec.Short {
		path = "sink"
	}
	enc := &Encode{Topic: s.Topic, Holes: c.topicHoles(s, path, cur.layout)}
	c.sinkKey(enc, s, path, cur.layout)
	for _, h := range s.Headers {
		enc.Headers = append(enc.Headers, HeaderEncode{Name: h.Name,
			Program: c.compile(h.Expr, path+"/headers/"+h.Name, cur.layout, expr.Want{Type: expr.WantBytes, Place: "headers"})})
	}
	if s.Timestamp != nil {
		enc.Timestamp = c.compile(s.Timestamp, path+"/timestamp", cur.layout,
			expr.Want{Type: expr.WantTimestamp, Place: "timestamp"})
	}
	if s.Partition.By != nil {
		enc.By = c.compile(s.Partition.By, path+"/partition/by", cur.layout,
			expr.Want{Type: expr.WantKey, Place: "partition"})
	}
	if s.Partition.Kind == "source_partition" && !cur.layout.origin {
		c.problem(s.At, "bad-value", path+"/partition", "source_partition is not known behind a stateful step",
			"use key_hash, or write the sink before the step")
	}
	c.sinkChanges(enc, s, cur.layout, path)
	in, value := cur.layout, cur.layout
	if s.Value != nil {
		out, assigns := c.body(s.Value, path+"/value", cur.layout)
		cur.attach(&Node{Kind: NodeAssign, UID: s.UID, At: s.At, OnError: s.OnError, Assign: assigns})
		value = reshape(cur.layout, out)
		cur.use(value)
	}
	enc.Value = c.valueEncode(s, value, path)
	node := &Node{Kind: NodeSink, UID: s.UID, At: s.At, OnError: s.OnError, Sink: sink, Encode: enc}
	cur.attach(node)
	node.in = in // what fails here is the record, not the value made of it
}

// topicHoles compiles the holes of a topic.
func (c *compiler) topicHoles(s *SinkSpec, path string, l *layout) *TopicHoles {
	if s.Holes == nil {
		return nil
	}
	out := &TopicHoles{Text: s.Holes.Text, Internal: c.spec.InternalTopics.Prefix + c.spec.Name + "."}
	for _, h := range s.Holes.Holes {
		out.Programs = append(out.Programs, c.compile(h, path+"/topic", l, expr.Want{Place: "topic"}))
	}
	return out
}

func (c *compiler) sinkKey(enc *Encode, s *SinkSpec, path string, l *layout) {
	if s.Key != nil {
		enc.Key, _ = c.keys(s.Key, path+"/key", l, "key")
		return
	}
	if l.key.raw && (s.KeyFormat.Kind == "auto" || s.KeyFormat.Kind == "") && s.KeySchema == nil {
		enc.KeyRaw = true
		if !l.headers { // behind an exchange the bytes are gone: write the decoded key
			enc.KeyRaw = false
			l.key.read()
		}
		return
	}
	if l.key.read != nil {
		l.key.read()
	}
}

// valueEncode says which slots make the value.
func (c *compiler) valueEncode(s *SinkSpec, l *layout, path string) ValueEncode {
	v := ValueEncode{Format: s.Format, Whole: -1, Type: l.valueType(), Rest: codec.RestSpec{Slot: -1}}
	if s.Blackhole {
		return v // nothing is written, so nothing needs to be read
	}
	if s.Schema != nil {
		v.Type = *s.Schema
		c.fits(s, l, path)
	}
	if l.whole != nil || s.Format.Kind != "json" || s.Schema != nil && l.base != nil { // what is there is known when it comes
		v.Whole = l.valueSlot()
		return v
	}
	names := map[string]bool{}
	for _, col := range l.columns {
		t := col.typ
		if s.Schema != nil {
			t, _ = s.Schema.Field(col.name)
		}
		names[col.name] = true
		v.Fields = append(v.Fields, codec.EncodeField{Name: col.name, Slot: col.bind(l, nil).slot, Type: t})
	}
	if l.base != nil {
		v.Rest.Slot = l.base.all(l)
		for name := range l.hidden {
			if !names[name] {
				v.Rest.Skip = append(v.Rest.Skip, name)
			}
		}
	}
	return v
}

// fits compares a sink's schema with the stream, field by field.
func (c *compiler) fits(s *SinkSpec, l *layout, path string) {
	if s.Schema.Kind != record.TypeObject || l.base != nil || l.whole != nil {
		return
	}
	for _, f := range s.Schema.Fields {
		col, ok := l.column(f.Name)
		switch {
		case !ok && f.Type.Required:
			c.problem(s.At, "type-mismatch", path+"/schema",
				fmt.Sprintf("the schema needs %q, which the stream does not have", f.Name), "add the field with set, or drop the !")
		case ok && !assignable(col.typ, f.Type):
			c.problem(s.At, "type-mismatch", path+"/schema",
				fmt.Sprintf("%q is %s in the stream and %s in the schema", f.Name, col.typ, f.Type), "convert it in a set step")
		}
	}
	for _, col := range l.columns {
		if _, ok := s.Schema.Field(col.name); !ok {
			c.problem(s.At, "type-mismatch", path+"/schema",
				fmt.Sprintf("the schema has no field %q", col.name), "add it to the schema, or drop it from the stream")
		}
	}
}

// assignable says whether a value of one type can be written as another.
func assignable(from, to record.Type) bool {
	if from.Kind == record.TypeAny || to.Kind == record.TypeAny || from.Kind == record.TypeNull {
		return true
	}
	if from.Kind == to.Kind {
		return true
	}
	group := func(k record.TypeKind) int {
		switch k {
		case record.TypeInt, record.TypeInt32:
			return 1
		case record.TypeFloat, record.TypeFloat32:
			return 2
		case record.TypeString, record.TypeUUID:
			return 3
		case record.TypeObject, record.TypeMap:
			return 4
		}
		return 100 + int(k)
	}
	f, t := group(from.Kind), group(to.Kind)
	return f == t || f == 1 && (t == 2 || to.Kind == record.TypeDecimal)
}
