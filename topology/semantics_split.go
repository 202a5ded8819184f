package topology

import (
	"fmt"
	"strings"
)

// output adds a side output of a stream, whose outputs have different names.
func (g *graph) output(s *StreamSpec, out output) {
	for _, o := range g.outputs[s.Name] {
		if o.name == out.name {
			g.l.fail(out.at, "duplicate-name", out.path,
				fmt.Sprintf("stream %s has two outputs named %s", quote(s.Name), quote(o.name)), fmt.Sprintf("the first is at line %d", o.at.Line))
			return
		}
	}
	g.outputs[s.Name] = append(g.outputs[s.Name], out)
}

// split checks a split and gives the stream its outputs.
func (g *graph) split(s *StreamSpec, st *StepSpec, i int) {
	path := "/" + st.Path
	if i+1 < len(s.Steps) {
		g.l.fail(st.At, "misplaced-step", path, "split must be the last step; found "+s.Steps[i+1].Op+" behind it",
			"put what follows into a stream that reads "+s.Name+"."+st.Split.Outputs()[0])
		return
	}
	for _, r := range st.Split.Routes {
		g.output(s, output{r.Name, r.At, path + "/split/routes/" + r.Name, "add a sink or a stream that reads it, or remove the route"})
	}
	if st.Split.ElseKind == "output" {
		g.output(s, output{st.Split.Else, st.Split.ElseAt, path + "/split/else", "add a sink or a stream that reads it, or write else: drop"})
	}
}

// endOutputs are the outputs of the split a stream ends in, nil if it does not.
func endOutputs(s *StreamSpec) []string {
	if split := s.split(); split != nil {
		return split.Outputs()
	}
	return nil
}

// endsInSplit: a stream that ends in a split has no rows of its own.
func (g *graph) endsInSplit(r Ref, path string, outputs []string) {
	var full []string
	for _, o := range outputs {
		full = append(full, r.Name+"."+o)
	}
	hint := "use " + full[0]
	if last := len(full) - 1; last > 0 {
		hint = "use " + strings.Join(full[:last], ", ") + " or " + full[last]
	}
	if g.spec.Short {
		hint = "use the long form: sinks that read " + strings.Join(full, ", ")
	}
	g.l.fail(r.At, "unknown-reference", path, r.Name+" ends in a split", hint)
}
