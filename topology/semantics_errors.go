package topology

import "fmt"

// What is said of an output that nobody reads.
const (
	unreadLate  = "add a sink or a stream that reads it, or remove `late`"
	unreadError = "add a sink or a stream that reads it, or write on_error: skip"
)

// errorOutputs declares the side outputs of on_error. The nodes of a stream may
// share one. It also demands the topic of dead letters.
func (g *graph) errorOutputs() {
	asked := map[Span]bool{}
	visit := func(node, path string, e OnErrorSpec) {
		switch {
		case e.Kind == "output":
			g.errorOutput(node, path, e)
		case e.Kind == "dead_letter" && g.spec.DeadLetter == nil && !asked[e.At]:
			asked[e.At] = true // a default is said once
			g.l.fail(e.At, "missing-field", path+"/on_error", "on_error: dead_letter needs a top-level `dead_letter: {topic: …}`", "")
		}
	}
	for _, s := range g.spec.Sources {
		visit(s.Name, "/sources/"+s.Name, s.OnError)
	}
	for _, s := range g.spec.Streams {
		for _, st := range s.Steps {
			visit(s.Name, "/"+st.Path, st.OnError)
		}
	}
	for _, s := range g.spec.Sinks {
		visit(s.Name, "/sinks/"+s.Name, s.OnError)
	}
}

func (g *graph) errorOutput(node, path string, e OnErrorSpec) {
	for _, o := range g.outputs[node] {
		if o.name != e.Output {
			continue
		}
		if o.hint != unreadError {
			g.l.fail(e.At, "duplicate-name", path+"/on_error", fmt.Sprintf("stream %s has two outputs named %s", quote(node), quote(o.name)),
				fmt.Sprintf("the first is at line %d", o.at.Line))
		}
		return
	}
	g.outputs[node] = append(g.outputs[node], output{e.Output, e.At, path + "/on_error", unreadError})
}

// nodeNames is what may have outputs, in the order of the file's sections; a
// name that a stream and a sink share is there once.
func (g *graph) nodeNames() []string {
	var names []string
	seen := map[string]bool{}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for _, s := range g.spec.Sources {
		add(s.Name)
	}
	for _, s := range g.spec.Streams {
		add(s.Name)
	}
	for _, s := range g.spec.Sinks {
		add(s.Name)
	}
	return names
}

// sinksWithOutputs is the sink of that name if its output can be read.
func (g *graph) sinksWithOutputs(name string) []string {
	if g.sinkWithOutput(name) == nil {
		return nil
	}
	return []string{name}
}

func (g *graph) sinkWithOutput(name string) *SinkSpec {
	for _, s := range g.spec.Sinks {
		if s.Name == name && s.OnError.Kind == "output" {
			return s
		}
	}
	return nil
}

// readers is every stream by name, and every sink that has an output as
// "sink:name": streams may read that.
func (s *Spec) readers() map[string]*StreamSpec {
	byName := map[string]*StreamSpec{}
	for _, st := range s.Streams {
		byName[st.Name] = st
	}
	for _, sink := range s.Sinks {
		if sink.OnError.Kind == "output" {
			name := "sink:" + sink.Name
			byName[name] = &StreamSpec{Name: name, At: sink.At, From: sink.From}
		}
	}
	return byName
}

// upstreams names what a list of references needs: an output may belong to a
// stream or to a sink.
func upstreams(from []Ref) []string {
	var names []string
	for _, r := range from {
		names = append(names, r.Name)
		if r.Output != "" {
			names = append(names, "sink:"+r.Name)
		}
	}
	return names
}
