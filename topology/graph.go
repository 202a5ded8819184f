package topology

import (
	"fmt"
	"strings"
)

// edge connects two nodes of the drawing.
type edge struct {
	from, to, label string
}

// drawing is the logical graph: sources, streams and sinks with their inputs.
type drawing struct {
	name  string
	order []string
	text  map[string]string
	shape map[string]string // source, stream, sink
	edges []edge
}

// Graph draws the streams as "ascii" (also "text"), "mermaid" or "dot"; ok is
// false for another format.
func (p *Plan) Graph(format string) (text string, ok bool) {
	d := p.drawing()
	switch format {
	case "ascii", "text":
		return d.ascii(), true
	case "mermaid":
		return d.mermaid(), true
	case "dot":
		return d.dot(), true
	}
	return "", false
}

func (p *Plan) drawing() *drawing {
	d := &drawing{name: p.Name, text: map[string]string{}, shape: map[string]string{}}
	add := func(id, text, shape string) {
		d.order = append(d.order, id)
		d.text[id], d.shape[id] = text, shape
	}
	for _, s := range p.Spec.Sources {
		add(s.Name, s.Name, "source")
	}
	for _, s := range p.Spec.Streams {
		add(s.Name, s.Name+stepsText(s), "stream")
		for _, r := range s.From {
			d.edges = append(d.edges, edge{from: p.Spec.owner(r), to: s.Name, label: r.Output})
		}
	}
	for _, s := range p.Spec.Sinks {
		id := "sink:" + s.Name
		add(id, "sink "+s.Name+" ("+s.place()+")", "sink")
		for _, r := range s.From {
			d.edges = append(d.edges, edge{from: p.Spec.owner(r), to: id, label: r.Output})
		}
	}
	return d
}

// owner is the node of a reference; an output may be that of a sink.
func (s *Spec) owner(r Ref) string {
	if sink := s.sink(r.Name); sink != nil && r.Output != "" && sink.OnError.Output == r.Output {
		return "sink:" + r.Name
	}
	return r.Name
}

// place is where a sink writes to.
func (s *SinkSpec) place() string {
	switch {
	case s.Stdout != nil:
		return "stdout"
	case s.File != nil:
		return s.File.Path
	case s.Blackhole:
		return "blackhole"
	}
	return s.TopicText
}

func stepsText(s *StreamSpec) string {
	var steps []string
	for _, st := range s.Steps {
		steps = append(steps, st.summary())
	}
	if len(steps) == 0 {
		return ""
	}
	return ": " + strings.Join(steps, " ─▶ ")
}

// summary is a step in a few words.
func (st *StepSpec) summary() string {
	text := st.Op
	if st.Named {
		text = st.Name + " (" + st.Op + ")"
	}
	switch {
	case st.KeyBy != nil:
		return text + "(" + st.KeyBy.summary() + ")"
	case st.Check != nil:
		return text + "(" + strings.Join(fieldNames(st.Check), ", ") + ")"
	case st.Split != nil:
		return text + "(" + strings.Join(st.Split.Outputs(), ", ") + ")"
	case st.Dedup != nil && st.Dedup.By != nil:
		return text + "(" + st.Dedup.By.summary() + ")"
	case st.TopN != nil && st.TopN.By != nil:
		return fmt.Sprintf("%s(%d by %s)", text, st.TopN.N, st.TopN.By.summary())
	case st.Window != nil:
		return text + "(" + st.Window.summary() + ")"
	}
	return text
}

func (k *Keys) summary() string {
	if k.Whole != nil {
		return k.Whole.Text
	}
	var names []string
	for _, p := range k.Parts {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// ascii lists every node below the one it reads first, with the others named.
func (d *drawing) ascii() string {
	children := map[string][]edge{}
	inputs := map[string]int{}
	for _, e := range d.edges {
		children[e.from] = append(children[e.from], e)
		inputs[e.to]++
	}
	var b strings.Builder
	drawn := map[string]bool{}
	var draw func(id, prefix string)
	draw = func(id, prefix string) {
		for i, e := range children[id] {
			branch, next := "├─", "│  "
			if i == len(children[id])-1 {
				branch, next = "└─", "   "
			}
			label := ""
			if e.label != "" {
				label = " " + e.label + " ─"
			}
			if drawn[e.to] {
				fmt.Fprintf(&b, "%s%s%s▶ %s (above)\n", prefix, branch, label, d.title(e.to))
				continue
			}
			drawn[e.to] = true
			fmt.Fprintf(&b, "%s%s%s▶ %s\n", prefix, branch, label, d.text[e.to])
			draw(e.to, prefix+next)
		}
	}
	for _, id := range d.order {
		if d.shape[id] == "source" {
			b.WriteString(d.text[id] + "\n")
			draw(id, "")
		}
	}
	return b.String()
}

// title is the name of a node without its steps.
func (d *drawing) title(id string) string {
	name, _, _ := strings.Cut(d.text[id], ": ")
	return name
}

func (d *drawing) mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	id := func(name string) string {
		return strings.NewReplacer(":", "_", "-", "_", ".", "_").Replace(name)
	}
	for _, n := range d.order {
		text := strings.ReplaceAll(d.text[n], `"`, "#quot;")
		switch d.shape[n] {
		case "source":
			fmt.Fprintf(&b, "  %s([\"%s\"])\n", id(n), text)
		case "sink":
			fmt.Fprintf(&b, "  %s[(\"%s\")]\n", id(n), text)
		default:
			fmt.Fprintf(&b, "  %s[\"%s\"]\n", id(n), text)
		}
	}
	for _, e := range d.edges {
		if e.label != "" {
			fmt.Fprintf(&b, "  %s -- %s --> %s\n", id(e.from), e.label, id(e.to))
			continue
		}
		fmt.Fprintf(&b, "  %s --> %s\n", id(e.from), id(e.to))
	}
	return b.String()
}

func (d *drawing) dot() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  rankdir=LR;\n  node [shape=box];\n", d.name)
	for _, n := range d.order {
		shape := map[string]string{"source": "oval", "stream": "box", "sink": "cylinder"}[d.shape[n]]
		fmt.Fprintf(&b, "  %q [shape=%s, label=%q];\n", n, shape, d.text[n])
	}
	for _, e := range d.edges {
		if e.label != "" {
			fmt.Fprintf(&b, "  %q -> %q [label=%q];\n", e.from, e.to, e.label)
			continue
		}
		fmt.Fprintf(&b, "  %q -> %q;\n", e.from, e.to)
	}
	b.WriteString("}\n")
	return b.String()
}
