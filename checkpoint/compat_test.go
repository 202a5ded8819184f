package checkpoint

import (
	"fmt"
	"strings"
	"testing"
)

// counted is a step with two accumulators.
func counted(uid string) NodePrint {
	return NodePrint{
		UID: uid, Operator: "aggregate", Layout: 1, KeyType: "string", Key: "user", Window: "tumbling 1m", TTL: "", Before: "filter(a > 1)",
		Parts: []PartPrint{{Name: "n", Text: "count()", Size: 8}, {Name: "total", Text: "sum(x int)", Size: 10}},
	}
}

func withNode(n NodePrint, change func(*NodePrint)) NodePrint {
	n.Parts = append([]PartPrint(nil), n.Parts...)
	change(&n)
	return n
}

func text(changes []Change) string {
	var b strings.Builder
	for _, c := range changes {
		fmt.Fprintf(&b, "%c %s %s", c.Mark, c.UID, c.Text)
		switch c.Verdict {
		case Asked:
			b.WriteString(" [--accept " + c.Needs + "]")
		case Refused:
			b.WriteString(" [refused]")
		}
		if c.Convert {
			b.WriteString(" (convert)")
		}
		if c.Empty {
			b.WriteString(" (empty)")
		}
		if c.Warning {
			b.WriteString(" (warning)")
		}
		if c.Hint != "" {
			b.WriteString(" {" + c.Hint + "}")
		}
		b.WriteString("\n")
	}
	return strings.TrimSpace(b.String())
}

// TestCompare has the rows of the compatibility table.
func TestCompare(t *testing.T) {
	base := counted("s/aggregate")
	for name, c := range map[string]struct {
		old, now []NodePrint
		oldEnds  []EndPrint
		nowEnds  []EndPrint
		in       Intent
		groups   int
		want     string
	}{
		"nothing": {old: []NodePrint{base}, now: []NodePrint{base}, want: "= s/aggregate aggregate"},
		"output renamed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Parts[0].Name = "views" })},
			want: "~ s/aggregate n is now views"},
		"output removed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Parts = n.Parts[:1] })},
			want: "~ s/aggregate - total: sum(x int) (convert)"},
		"output added": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) {
			n.Parts = append(n.Parts, PartPrint{Name: "users", Text: "count_distinct(id string)"})
		})}, want: "~ s/aggregate + users: count_distinct(id string) [--accept new-state] (convert)"},
		"output added and accepted": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) {
			n.Parts = append(n.Parts, PartPrint{Name: "users", Text: "count_distinct(id string)"})
		})}, in: Intent{Accept: []string{"new-state"}}, want: "~ s/aggregate + users: count_distinct(id string) (convert)"},
		"another order": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Parts[0], n.Parts[1] = n.Parts[1], n.Parts[0] })},
			want: "~ s/aggregate its accumulators are in another order (convert)"},
		"function changed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Parts[1].Text = "avg(x int)" })},
			want: "! s/aggregate total: sum(x int) -> avg(x int) [refused] {give the step a new name (state starts empty) or pass --reset s/aggregate}"},
		"what comes before changed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Before = "filter(a > 2)" })},
			want: "~ s/aggregate what comes before it changed: results before and after differ (warning)"},
		"ttl": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.TTL = "1h" })},
			want: "~ s/aggregate state_ttl none -> 1h, for what is written from now on"},
		"new step":  {old: nil, now: []NodePrint{base}, want: "+ s/aggregate new, starts empty [--accept new-state] (empty)"},
		"step gone": {old: []NodePrint{base}, now: nil, want: "- s/aggregate its state would be lost [--accept dropped-state]"},
		"key changed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Key = "lower(user)" })},
			want: "~ s/aggregate key user -> lower(user) [--accept rekeyed]"},
		"key changed and output added": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) {
			n.Key = "lower(user)"
			n.Parts = append(n.Parts, PartPrint{Name: "users", Text: "count_distinct(id string)"})
		})}, in: Intent{Accept: []string{"new-state"}},
			want: "~ s/aggregate + users: count_distinct(id string); key user -> lower(user) [--accept new-state,rekeyed] (convert)"},
		"key type changed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.KeyType = "int" })},
			want: "! s/aggregate key type string -> int [refused] {give the step a new name (state starts empty) or pass --reset s/aggregate}"},
		"window changed": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Window = "tumbling 5m" })},
			want: "! s/aggregate window tumbling 1m -> tumbling 5m [refused] {give the step a new name (state starts empty) or pass --reset s/aggregate}"},
		"window changed and reset": {old: []NodePrint{base}, now: []NodePrint{withNode(base, func(n *NodePrint) { n.Window = "tumbling 5m" })},
			in: Intent{Reset: map[string]bool{"s/aggregate": true}}, want: "~ s/aggregate starts empty (--reset) (empty)"},
		"step renamed": {old: []NodePrint{base}, now: []NodePrint{counted("s/per_user")},
			want: "+ s/per_user new, starts empty [--accept new-state] (empty)\n- s/aggregate its state would be lost [--accept dropped-state] {if it was renamed, say so: moved: {s/aggregate: s/per_user}}"},
		"step moved": {old: []NodePrint{base}, now: []NodePrint{counted("s/per_user")}, in: Intent{Moved: map[string]string{"s/aggregate": "s/per_user"}},
			want: "~ s/per_user was s/aggregate"},
		"max_parallelism": {old: []NodePrint{base}, now: []NodePrint{base}, groups: 48,
			want: "! max_parallelism 32 -> 48 [refused] {take a savepoint and restore it, or set it back}\n= s/aggregate aggregate"},
		"max_parallelism from a savepoint": {old: []NodePrint{base}, now: []NodePrint{base}, groups: 48, in: Intent{Restored: true},
			want: "~ max_parallelism 32 -> 48: the state is hashed anew (convert)\n= s/aggregate aggregate"},
		"topics of a source": {
			oldEnds: []EndPrint{{UID: "source:a", Text: "topic a, b", Source: true}, {UID: "source:b", Text: "topic b", Source: true}, {UID: "source:c", Text: "topic c", Source: true}},
			nowEnds: []EndPrint{{UID: "source:a", Text: "topic b, d", Source: true}, {UID: "source:b", Text: "topic b, c", Source: true}, {UID: "source:c", Text: "topic d", Source: true}},
			in:      Intent{Reset: map[string]bool{"source:c": true}},
			want: "~ source:a topic a, b -> topic b, d: the positions of a would be lost [--accept dropped-state]\n" +
				"~ source:b topic b -> topic b, c\n~ source:c topic c -> topic d",
		},
		"sources and sinks": {
			oldEnds: []EndPrint{{UID: "source:a", Text: "topic a", Source: true}, {UID: "source:b", Text: "topic b", Source: true}, {UID: "sink:x", Text: "topic x"}, {UID: "sink:y", Text: "topic y"}},
			nowEnds: []EndPrint{{UID: "source:a", Text: "topic a", Source: true}, {UID: "source:c", Text: "topic c", Source: true}, {UID: "sink:x", Text: "topic xx"}},
			want:    "= source:a topic a\n+ source:c new\n~ sink:x topic x -> topic xx\n- source:b removed with its positions [--accept dropped-state]\n- sink:y removed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			groups := max(c.groups, 32)
			got := text(Compare(Fingerprint{MaxParallelism: 32, Nodes: c.old, Ends: c.oldEnds}, Fingerprint{MaxParallelism: groups, Nodes: c.now, Ends: c.nowEnds}, c.in))
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestDecide(t *testing.T) {
	if ok, refused, asked := Decide([]Change{{}, {Verdict: Asked}, {Verdict: Refused}, {Verdict: Asked}}); ok || refused != 1 || asked != 2 {
		t.Errorf("%v %d %d", ok, refused, asked)
	}
	if ok, _, _ := Decide([]Change{{Verdict: Accepted}}); !ok {
		t.Error("what is accepted is refused")
	}
}

// TestCompareMovedOntoAnother: a move may not take the state or the positions of
// another id away, whichever of the two stands first.
func TestCompareMovedOntoAnother(t *testing.T) {
	for _, olds := range [][]string{{"a", "b"}, {"b", "a"}} {
		old, now := Fingerprint{}, Fingerprint{Nodes: []NodePrint{counted("b")}, Ends: []EndPrint{{UID: "source:b", Source: true}}}
		for _, uid := range olds {
			old.Nodes = append(old.Nodes, counted(uid))
			old.Ends = append(old.Ends, EndPrint{UID: "source:" + uid, Source: true})
		}
		moved := map[string]string{"a": "b", "source:a": "source:b"}
		changes := Compare(old, now, Intent{Moved: moved})
		if _, refused, _ := Decide(changes); refused != 2 {
			t.Errorf("%v: %d refused, want 2:\n%s", olds, refused, text(changes))
		}
	}
}
