package topology

import (
	"bytes"
	"strings"

	"gopkg.in/yaml.v3"
)

// secretText stands for a secret.
const secretText = "***"

// Detail is how much ConfigText prints.
type Detail uint8

// What is written in the file, or that and every default.
const (
	AsWritten Detail = iota
	WithDefaults
)

// ConfigText is the resolved file as YAML: variables replaced, aliases and
// merge keys expanded, secrets masked. The Spec must come from a Load without
// errors.
func ConfigText(s *Spec, d Detail) []byte {
	w := &configWriter{detail: d}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(w.node(s.root)); err != nil {
		panic("encode the configuration: " + err.Error())
	}
	return b.Bytes()
}

// ConfigJSON is ConfigText as JSON; expressions and measures are texts.
func ConfigJSON(s *Spec, d Detail) []byte {
	w := &configWriter{detail: d}
	return marshal(jsonOf(w.node(s.root)))
}

// jsonOf reads a node as YAML does, but for keys, which are texts.
func jsonOf(n *yaml.Node) any {
	switch n.Kind {
	case yaml.MappingNode:
		out := jsonObject{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			out[n.Content[i].Value] = jsonOf(n.Content[i+1])
		}
		return out
	case yaml.SequenceNode:
		out := []any{}
		for _, c := range n.Content {
			out = append(out, jsonOf(c))
		}
		return out
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return n.Value
	}
	switch v.(type) {
	case bool, int, nil:
		return v
	}
	return n.Value // durations, timestamps and expressions as they are written
}

type configWriter struct {
	detail Detail
}

// node writes a checked value in the form it was written in.
func (w *configWriter) node(v *value) *yaml.Node {
	switch {
	case v.secret:
		return textNode(secretText)
	case v.isMap:
		return w.mapNode(v)
	case v.expr != nil || v.body != nil || v.keys != nil || v.named != nil || v.renames != nil || v.typ != nil || v.offsets != nil:
		return w.copy(v.node, v)
	case v.template != nil || len(v.members) == 0:
		return w.scalar(v)
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: v.node.Style & yaml.FlowStyle}
	for _, m := range v.members {
		n.Content = append(n.Content, w.node(m))
	}
	return n
}

func (w *configWriter) mapNode(v *value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if v.written && v.node.Kind == yaml.MappingNode && w.detail == AsWritten {
		n.Style = v.node.Style & yaml.FlowStyle
	}
	for _, m := range v.members {
		if w.detail == AsWritten && !m.written {
			continue
		}
		n.Content = append(n.Content, textNode(m.name), w.node(m))
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// scalar writes a resolved text. A number or a word stays plain; a text that a
// YAML reader would take for something else is quoted by the encoder.
func (w *configWriter) scalar(v *value) *yaml.Node {
	n := textNode(strings.ReplaceAll(v.text, "${", "$${"))
	if v.isWord || v.field != nil && v.field.shape != nil && plainKind(v.field.shape.scalar) {
		n.Tag = ""
	}
	return n
}

func plainKind(k kind) bool {
	switch k {
	case kindBool, kindInt, kindFloat, kindDuration, kindMillis, kindSize, kindRate, kindTimestamp, kindVersion:
		return true
	}
	return false
}

func textNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// copy writes expressions, schemas and the like as they stand, without anchors
// and comments.
func (w *configWriter) copy(n *yaml.Node, v *value) *yaml.Node {
	n = deref(n)
	out := &yaml.Node{Kind: n.Kind, Style: n.Style &^ yaml.TaggedStyle, Tag: n.Tag, Value: n.Value}
	if n.Kind == yaml.MappingNode {
		for _, e := range (&loader{diags: &collector{}, spec: &Spec{}}).entries(n) {
			out.Content = append(out.Content, w.copy(e.key, v), w.copy(e.value, v))
		}
		return out
	}
	for _, c := range n.Content {
		out.Content = append(out.Content, w.copy(c, v))
	}
	return out
}
