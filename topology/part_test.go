package topology

import (
	"slices"
	"strings"
	"testing"
)

// TestPartOfAValueIsReadAlone says what is scanned of a record, and carried
// through an exchange, behind a map to one of its objects.
func TestPartOfAValueIsReadAlone(t *testing.T) {
	for _, c := range []struct {
		name, steps string
		want        string // paths of the scan, sorted
		carried     int    // columns of the exchange
	}{
		{"a field", `[{map: bid}, {map: {a: auction}}]`, "bid.auction", 0},
		{"fields of fields", `[{map: bid}, {map: {n: where.lane, w: where}}]`, "bid.where bid.where.lane", 0},
		{"map of a map", `[{map: bid}, {map: where}, {map: {n: lane}}]`, "bid.where.lane", 0},
		{"a path", `[{map: bid.where}, {map: {n: lane}}]`, "bid.where.lane", 0},
		{"the whole", `[{map: bid}]`, "bid", 0},
		{"the whole, by its name", `[{map: bid}, {map: {v: $value}}]`, "bid", 0},
		{"set beside its fields", `[{map: bid}, {set: {price: price * 2}}]`, "bid.auction bid.price bid.where", 0},
		{"project", `[{map: bid}, {project: [where.lane, auction]}]`, "bid.auction bid.where.lane", 0},
		{"filter", `[{map: bid}, {filter: price > 3}, {map: {a: auction}}]`, "bid.auction bid.price", 0},
		{"key", `[{map: bid}, {key_by: auction}, {aggregate: {n: count()}}]`, "bid.auction", 0},
		{"through an exchange", `[{map: bid}, {key_by: auction}, {aggregate: {n: max(price), m: max(where.lane)}}]`, "bid.auction bid.price bid.where.lane", 2},
		{"the whole through an exchange", `[{map: bid}, {key_by: auction}, {aggregate: {n: last($value)}}]`, "bid bid.auction", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan := compileSteps(t, c.steps)
			var got []string
			for _, w := range plan.Sources[0].Wants {
				got = append(got, strings.Join(w.Path, "."))
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); text != c.want {
				t.Errorf("the scan reads %q, want %q", text, c.want)
			}
			carried := 0
			for _, x := range plan.Exchanges {
				carried += len(x.Slots)
			}
			if carried != c.carried {
				t.Errorf("the exchange carries %d columns, want %d", carried, c.carried)
			}
		})
	}
}

func compileSteps(t *testing.T, steps string) *Plan {
	t.Helper()
	text := `version: 1
name: parts
sources:
  in:
    topic: in
    schema: {kind: int!, bid: {auction: int!, price: int!, where: {lane: int, side: string}}}
streams:
  main: {from: in, steps: ` + steps + `}
sinks:
  out: {from: main, topic: out}
`
	spec, diags := Load("parts.yaml", []byte(text), Options{})
	if len(diags) > 0 {
		t.Fatal(diags[0].Message)
	}
	plan, diags := Compile(spec)
	if len(diags) > 0 {
		t.Fatal(diags[0].Message)
	}
	return plan
}

func TestPartIsNullWithItsObject(t *testing.T) {
	// A field that its object must have is missing where the object is null.
	spec, _ := Load("null.yaml", []byte(`version: 1
name: parts
sources:
  in: {topic: in, schema: {bid: {auction: int!}}}
streams:
  main: {from: in, steps: [{map: bid}, {map: {a: auction}}]}
sinks:
  out: {from: main, topic: out, schema: {a: int!}}
`), Options{})
	plan, diags := Compile(spec)
	if len(diags) > 0 {
		t.Fatal(diags[0].Message)
	}
	var sink *Node
	for n := plan.Chains[0].Roots[0]; n != nil; n = n.Next[0] {
		if sink = n; len(n.Next) == 0 {
			break
		}
	}
	if f := sink.Encode.Value.Fields; len(f) != 1 || f[0].Name != "a" {
		t.Fatalf("fields %v", f)
	}
}
