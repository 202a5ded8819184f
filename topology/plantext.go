package topology

import (
	"fmt"
	"strings"
	"time"

	"kstream/expr"
	"kstream/record"
)

// Text is the plan as text: what `kstream graph --physical` prints and what the
// golden plans of the repository hold.
func (p *Plan) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "pipeline %s  parallelism %s  key groups %d\n", p.Name, auto(p.Spec.Parallelism), p.MaxParallelism)
	for _, c := range p.Chains {
		b.WriteByte('\n')
		c.text(&b, p.Spec)
	}
	if len(p.Stateful) > 0 {
		b.WriteString("\nstate\n")
		for _, n := range p.Stateful {
			fmt.Fprintf(&b, "  %-28s %s\n", n.UID, n.State.Finger)
		}
	}
	prefix := p.Spec.InternalTopics.Prefix + p.Name
	fmt.Fprintf(&b, "\ninternal topics\n  %s.checkpoints  1 partition\n  %s.changelog  %d partitions\n", prefix, prefix, p.MaxParallelism)
	return b.String()
}

func auto(n int) string {
	if n == 0 {
		return "auto"
	}
	return fmt.Sprint(n)
}

func (c *Chain) text(b *strings.Builder, spec *Spec) {
	fmt.Fprintf(b, "chain %d %s  parallelism %s  slots %d\n", c.ID, c.Name, auto(c.Parallelism), c.Slots)
	switch {
	case c.Source != nil:
		c.Source.text(b)
	default:
		fmt.Fprintf(b, "  exchange %d %s, %d columns", c.Input.ID, c.Input.Kind, len(c.Input.Slots))
		if c.Input.Original {
			b.WriteString(" and the record as it was read")
		}
		b.WriteString(" from")
		for _, e := range c.Input.Ends {
			fmt.Fprintf(b, " %d", e.Chain.ID)
		}
		b.WriteByte('\n')
	}
	for _, n := range c.Roots {
		n.text(b, "  ")
	}
	c.Bad.text(b, "  ")
}

func (s *Source) text(b *strings.Builder) {
	spec := s.Spec
	switch {
	case spec.Generate != nil:
		fmt.Fprintf(b, "  source %s: generate, %d fields\n", spec.Name, len(s.Assign))
	case spec.Nexmark != nil:
		fmt.Fprintf(b, "  source %s: nexmark, %s\n", spec.Name, s.scanText())
	case spec.File != nil:
		fmt.Fprintf(b, "  source %s: file %s, %s, %s\n", spec.Name, spec.File.Path, spec.Format.Kind, s.scanText())
	case spec.Stdin:
		fmt.Fprintf(b, "  source %s: stdin, %s\n", spec.Name, spec.Format.Kind)
	default:
		fmt.Fprintf(b, "  source %s: topic %s, %s, %s\n", spec.Name, strings.Join(spec.Topics, ", "), spec.Format.Kind, s.scanText())
	}
	w := spec.Watermark
	if w.Kind == "none" {
		b.WriteString("  watermark none\n")
		return
	}
	fmt.Fprintf(b, "  watermark bounded %s, idle %s\n", durationText(w.Bound), durationText(w.Idle))
}

// scanText lists what of the value is read.
func (s *Source) scanText() string {
	if s.Spec.Format.Kind != "json" {
		return "whole value"
	}
	var paths []string
	for _, w := range s.Wants {
		if len(w.Path) == 0 {
			paths = append(paths, "$value")
			continue
		}
		paths = append(paths, strings.Join(w.Path, "."))
	}
	if len(paths) == 0 {
		return "nothing read"
	}
	return "reads " + strings.Join(paths, " ")
}

func (n *Node) text(b *strings.Builder, indent string) {
	fmt.Fprintf(b, "%s%s\n", indent, n.summary())
	for _, next := range n.Next {
		next.text(b, indent+"  ")
	}
	for _, late := range n.Late {
		b.WriteString(indent + "  late:\n")
		late.text(b, indent+"    ")
	}
	for i, route := range n.Routes {
		b.WriteString(indent + "  " + n.Split.Names[i] + ":\n")
		for _, next := range route {
			next.text(b, indent+"    ")
		}
	}
	n.Bad.text(b, indent+"  ")
}

func (e *ErrorOutput) text(b *strings.Builder, indent string) {
	if e == nil {
		return
	}
	b.WriteString(indent + "on error:\n")
	for _, n := range e.Next {
		n.text(b, indent+"  ")
	}
}

// summary is a node in one line.
func (n *Node) summary() string {
	switch n.Kind {
	case NodeFilter:
		return "filter " + n.UID
	case NodeAssign:
		return fmt.Sprintf("compute %s: %d columns", n.UID, len(n.Assign))
	case NodeFlatMap:
		return "flat_map " + n.UID
	case NodeKey:
		return fmt.Sprintf("key %s", n.UID)
	case NodeExchange:
		return fmt.Sprintf("to exchange %d %s: columns %v%s", n.Exchange.Exchange.ID, n.Exchange.Exchange.Kind, n.Exchange.Columns, n.Exchange.Times.text())
	case NodeLog:
		return "log " + n.UID
	case NodeCheck:
		return fmt.Sprintf("check %s: %s", n.UID, n.checkNames())
	case NodeUpsert:
		return "upsert " + n.UID
	case NodeSplit:
		return n.splitText()
	case NodeDedup:
		return "dedup " + n.UID + ": " + n.Dedup.text()
	case NodeTopN:
		return "top_n " + n.UID + ": " + n.TopN.text()
	case NodeCoalesce:
		return fmt.Sprintf("hold %s: %s", n.UID, durationText(time.Duration(n.Coalesce.Every)*time.Millisecond))
	case NodeTimes:
		return "event time " + n.UID
	case NodeRekey:
		return fmt.Sprintf("key %s: column %d", n.UID, n.Rekey)
	case NodeAggregate, NodeWindow:
		return n.aggregateText()
	}
	return fmt.Sprintf("sink %s: %s, %s", n.UID, n.Sink.Spec.place(), n.Sink.Spec.Format.Kind)
}

func (n *Node) aggregateText() string {
	var calls []string
	for _, c := range n.Aggregate.Calls {
		calls = append(calls, callText(c))
	}
	if n.Aggregate.Reduce != nil {
		calls = n.Aggregate.Reduce.texts()
	}
	text := fmt.Sprintf("%s %s: %s, emit %s", n.State.Op, n.UID, strings.Join(calls, " "), n.Aggregate.Emit)
	if w := n.Window; w != nil {
		text = "window " + w.text() + ", " + text
	}
	return text
}

func (r *Reduce) texts() []string {
	var out []string
	for _, f := range r.Fields {
		name := f.Name
		if name == "" {
			name = "$value"
		}
		if f.Next != nil {
			out = append(out, name)
		}
	}
	return out
}

func (r *Retimed) text() string {
	switch {
	case r == nil:
		return ""
	case r.Watermark.Kind == "none":
		return ", watermark none"
	}
	return fmt.Sprintf(", watermark bounded %s, idle %s", durationText(r.Watermark.Bound), durationText(r.Watermark.Idle))
}

func (d *Dedup) text() string {
	keep, within, time := "first", "none", "event"
	if d.Last {
		keep = "last"
	}
	if d.Within >= 0 {
		within = msText(d.Within)
	}
	if d.Clock {
		time = "processing"
	}
	return fmt.Sprintf("keep %s, within %s, time %s", keep, within, time)
}

func (t *TopN) text() string {
	per, ties := "stream", "cut"
	if t.Window {
		per = "window"
	}
	if t.Ties {
		ties = "all"
	}
	return fmt.Sprintf("%d per %s, ties %s, %d columns, emit %s", t.N, per, ties, len(t.Columns), t.Emit)
}

func (n *Node) checkNames() string {
	var names []string
	for _, c := range n.Check {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

func (n *Node) splitText() string {
	match, other := "first", "drop"
	if n.Split.All {
		match = "all"
	}
	switch {
	case n.Split.Fail:
		other = "fail"
	case len(n.Split.Names) > len(n.Split.Conds):
		other = n.Split.Names[len(n.Split.Conds)]
	}
	return fmt.Sprintf("split %s: match %s, else %s", n.UID, match, other)
}

func callText(c expr.AggregateCall) string { return c.Text }

func msText(ms int64) string { return durationText(time.Duration(ms) * time.Millisecond) }

// durationText writes a duration as the language does: 10s, 1h30m, 1m.
func durationText(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	return string(record.AppendDuration(nil, int64(d)))
}
