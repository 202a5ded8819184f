package topology

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strings"

	"gopkg.in/yaml.v3"

	"kstream/expr"
)

// StatePart is one accumulator of a step: the first output it is part of, and
// its call with the types of the arguments.
type StatePart struct {
	Name, Text string
}

// End is a source or a sink as a checkpoint remembers it, to tell later what has
// changed. Hash covers all of its settings.
type End struct {
	UID, Text, Hash string
	Source          bool
}

// describeState fills in what a checkpoint keeps of the stateful nodes besides
// what must agree: see State.
func (c *compiler) describeState() {
	for _, s := range c.spec.Streams {
		for i, st := range s.Steps {
			n := c.nodes[st.UID]
			if n == nil {
				continue
			}
			n.State.Key = c.keyText(s, i)
			before := c.beforeText(s, i, map[string]bool{})
			if n.Aggregate == nil { // what the step itself says is not compared part by part
				before += c.textAt("/" + st.Path + "/" + st.Op)
			}
			n.State.Before = digest(before)
			if a := n.Aggregate; a != nil {
				n.State.describe(n)
			}
		}
	}
	for _, s := range c.spec.Sources {
		c.plan.Ends = append(c.plan.Ends, End{UID: s.UID, Text: sourceText(s), Hash: digest(c.textAt("/sources/" + s.Name)), Source: true})
	}
	for _, s := range c.spec.Sinks {
		c.plan.Ends = append(c.plan.Ends, End{UID: s.UID, Text: sinkText(s), Hash: digest(c.textAt("/sinks/" + s.Name))})
	}
}

// checkMoved demands that a moved uid has a new owner and no old one.
func (c *compiler) checkMoved() {
	known := map[string]bool{}
	for uid := range c.nodes {
		known[uid] = true
	}
	for _, s := range c.spec.Sources {
		known[s.UID] = true
	}
	for _, s := range c.spec.Sinks {
		known[s.UID] = true
	}
	moved := c.spec.root.get("moved")
	olds := make([]string, 0, len(c.spec.Moved))
	for old := range c.spec.Moved {
		olds = append(olds, old)
	}
	sort.Strings(olds)
	for _, old := range olds {
		entry, to := moved.get(old), c.spec.Moved[old]
		if known[old] {
			c.problem(entry.keyAt, "duplicate-uid", "moved/"+old, quote(old)+" is still the state id of a step", "a moved id is not used any more")
		}
		if !known[to] {
			c.problem(entry.at, "unknown-reference", "moved/"+old, "no source, sink or step with state has the id "+quote(to), "")
		}
	}
}

// describe takes an aggregate apart.
func (s *State) describe(n *Node) {
	for _, call := range n.Aggregate.Calls {
		var b strings.Builder
		b.WriteString(call.Text)
		for i, a := range call.Args {
			sep := ", "
			if i == 0 {
				sep = " of "
			}
			b.WriteString(sep + a.Type.String())
		}
		p := StatePart{Text: b.String()}
		if len(s.Parts) < len(n.Aggregate.CallNames) {
			p.Name = n.Aggregate.CallNames[len(s.Parts)]
		}
		s.Parts = append(s.Parts, p)
	}
	if n.Window != nil {
		s.Window = n.Window.print()
	}
	if n.Aggregate.Changing {
		s.Rest = "of a changelog"
	}
	if r := n.Aggregate.Reduce; r != nil {
		for _, f := range r.Fields {
			s.Rest += fmt.Sprintf(" %s:%s", f.Name, f.Type)
		}
		s.Rest = strings.TrimSpace(s.Rest)
	}
}

// keyText is the expression behind the key of a step: that of the key_by before
// it, in its stream or in the first one it reads.
func (c *compiler) keyText(s *StreamSpec, i int) string {
	for k := i - 1; k >= 0; k-- {
		if by := s.Steps[k].KeyBy; by != nil {
			return by.text()
		}
	}
	for _, r := range s.From {
		for _, up := range c.spec.Streams {
			if up.Name == r.Name {
				return c.keyText(up, len(up.Steps))
			}
		}
	}
	return ""
}

func (k *Keys) text() string {
	if k.Whole != nil {
		return exprText(k.Whole)
	}
	var parts []string
	for _, p := range k.Parts {
		text := exprText(p.Expr)
		if text != p.Name {
			text = p.Name + ": " + text
		}
		parts = append(parts, text)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func exprText(e *Expr) string {
	if e.Tree == nil {
		return e.Text
	}
	return e.Tree.Normal()
}

// beforeText is everything in front of a step that decides what it sees.
func (c *compiler) beforeText(s *StreamSpec, i int, seen map[string]bool) string {
	var b strings.Builder
	for _, r := range s.From {
		b.WriteString("from " + r.Name + "." + r.Output + "\n")
		for _, up := range c.spec.Streams {
			if up.Name == r.Name && !seen[up.Name] {
				seen[up.Name] = true
				b.WriteString(c.beforeText(up, len(up.Steps), seen))
			}
		}
		for _, src := range c.spec.Sources {
			if src.Name == r.Name && src.EventTime != nil {
				b.WriteString("event_time " + exprText(src.EventTime) + "\n")
			}
		}
	}
	for _, st := range s.Steps[:i] {
		b.WriteString(c.textAt("/"+st.Path) + "\n")
	}
	return b.String()
}

// textAt is what was written at a path, in a form that does not depend on its
// layout, the order of keys, or white space in expressions.
func (c *compiler) textAt(path string) string {
	v := c.spec.root.find(path)
	if v == nil {
		return path
	}
	return canonical(v.node, true)
}

// find finds a value by its path.
func (v *value) find(path string) *value {
	if v == nil || v.path == path {
		return v
	}
	for _, m := range v.members {
		if m != nil && (m.path == path || strings.HasPrefix(path, m.path+"/")) {
			if found := m.find(path); found != nil {
				return found
			}
		}
	}
	return nil
}

// notIdentity are keys beside an operator that say nothing about its results.
var notIdentity = map[string]bool{"description": true, "name": true, "uid": true, "parallelism": true, "on_error": true, "late": true,
	"allowed_lateness": true, "emit_every": true, "emit": true}

func canonical(n *yaml.Node, top bool) string {
	switch n.Kind {
	case yaml.AliasNode:
		return canonical(n.Alias, top)
	case yaml.MappingNode:
		var parts []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			if key := n.Content[i].Value; !top || !notIdentity[key] {
				parts = append(parts, key+": "+canonical(n.Content[i+1], false))
			}
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	case yaml.SequenceNode:
		var parts []string
		for _, m := range n.Content {
			parts = append(parts, canonical(m, false))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case yaml.ScalarNode:
		if tree, problems := expr.Parse(n.Value); len(problems) == 0 {
			return tree.Normal()
		}
	}
	return n.Value
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

func sourceText(s *SourceSpec) string {
	switch {
	case len(s.Topics) > 0:
		return "topic " + strings.Join(s.Topics, ", ")
	case s.Generate != nil:
		return "generate"
	case s.Stdin:
		return "stdin"
	}
	return "file or generator"
}

func sinkText(s *SinkSpec) string {
	switch {
	case s.Topic != "":
		return "topic " + s.Topic
	case s.Stdout != nil:
		return "stdout"
	case s.Blackhole:
		return "blackhole"
	}
	return "file"
}

// print is a window without what its state does not depend on.
func (w *Window) print() string {
	var text string
	switch s := w.Session; {
	case w.Count:
		text = fmt.Sprintf("count %d every %d", w.Size, w.Slide)
	case s != nil:
		text = "session gap " + s.GapText
		if s.GapText == "" {
			text += msText(s.Gap)
		}
		if s.Max > 0 {
			text += " max " + msText(s.Max)
		}
	case w.Size == w.Slide:
		text = "tumbling " + msText(w.Size)
	default:
		text = "sliding " + msText(w.Size) + " every " + msText(w.Slide)
	}
	if w.Offset != 0 {
		text += " offset " + msText(w.Offset)
	}
	if w.Zone != nil {
		text += " in " + w.Zone.String()
	}
	if w.Clock {
		text += " of processing time"
	}
	return text
}
