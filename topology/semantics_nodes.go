package topology

import (
	"fmt"
	"strings"
)

// nodeValue is the checked tree of a source or a sink.
func (l *loader) nodeValue(section, short, name string) *value {
	if v := l.spec.root.get(short); v != nil {
		return v
	}
	return l.spec.root.get(section).get(name)
}

func (l *loader) sourceRules() {
	l.fileSourceRules()
	for _, s := range l.spec.Sources {
		v := l.nodeValue("sources", "source", s.Name)
		if s.EventTime != nil && l.spec.Time == "processing" {
			l.fail(v.get("event_time").keyAt, "conflicting-fields", v.path+"/event_time", "with time: processing there is no event_time",
				"remove event_time, or use time: event")
		}
		if s.Parallelism > l.spec.MaxParallelism {
			l.fail(v.get("parallelism").at, "bad-value", v.path+"/parallelism",
				fmt.Sprintf("parallelism %d is more than max_parallelism %d", s.Parallelism, l.spec.MaxParallelism), "")
		}
		for _, p := range []string{"start", "stop"} {
			if m := v.get(p); m != nil && m.isMap && m.get("offsets") != nil && len(s.Topics) > 1 {
				l.fail(m.get("offsets").keyAt, "conflicting-fields", v.path+"/"+p+"/offsets", "offsets do not say of which topic they are", "use `topic`, or a timestamp")
			}
		}
		l.nexmarkRules(s, v)
		seen := map[string]bool{}
		if m := v.get("topics"); m != nil {
			for _, t := range m.members {
				if seen[t.text] {
					l.fail(t.at, "duplicate-name", t.path, quote(t.text)+" is in this list twice", "")
				}
				seen[t.text] = true
			}
		}
	}
}

func (l *loader) sinkRules() {
	l.fileSinkRules()
	for _, s := range l.spec.Sinks {
		v := l.nodeValue("sinks", "sink", s.Name)
		if s.Parallelism > l.spec.MaxParallelism {
			l.fail(v.get("parallelism").at, "bad-value", v.path+"/parallelism",
				fmt.Sprintf("parallelism %d is more than max_parallelism %d", s.Parallelism, l.spec.MaxParallelism), "")
		}
		if s.MaxRecordSize > l.spec.Producer.BatchSize {
			at := l.settingAt("producer/batch_size")
			if m := v.get("max_record_size"); m.written {
				at = m.at
			}
			l.fail(at, "bad-value", v.path+"/max_record_size",
				fmt.Sprintf("max_record_size %s is more than producer.batch_size %s", formatSize(s.MaxRecordSize), formatSize(l.spec.Producer.BatchSize)),
				"raise producer.batch_size: a record travels in one batch")
		}
	}
}

// nameFlow is the fields known by name at one place; open means that there may
// be others.
type nameFlow struct {
	known map[string]bool
	open  bool
}

func (f nameFlow) with(names ...string) nameFlow {
	out := nameFlow{known: map[string]bool{}, open: f.open}
	for n := range f.known {
		out.known[n] = true
	}
	for _, n := range names {
		first, _, _ := strings.Cut(n, ".")
		out.known[first] = true
	}
	return out
}

func closedFlow(names ...string) nameFlow { return nameFlow{}.with(names...) }

func fieldNames(fields []NamedExpr) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.Name
	}
	return out
}

// ambiguousNames finds quoted single names in value positions that are not
// known to be fields: YAML removed quotes that were perhaps meant.
func (l *loader) ambiguousNames() {
	flows := map[string]nameFlow{}
	for _, s := range l.spec.Sources {
		flows[s.Name] = l.sourceNames(s)
	}
	byName := map[string]*StreamSpec{}
	for _, s := range l.spec.Streams {
		byName[s.Name] = s
	}
	var flowOf func(r Ref) nameFlow
	flowOf = func(r Ref) nameFlow {
		s := byName[r.Name]
		if f, ok := flows[r.text()]; ok || s == nil {
			f.open = f.open || !ok // the output of a source or a sink
			return f
		}
		in := l.union(s.From, flowOf)
		for _, st := range s.Steps {
			if _, ok := flows[st.OnError.Ref]; !ok && st.OnError.Ref != "" {
				flows[st.OnError.Ref] = in
			}
			if st.Window != nil && st.Window.Late != "" {
				flows[s.Name+"."+st.Window.Late] = in
			}
			in = l.stepNames(st, in)
		}
		for _, o := range endOutputs(s) {
			flows[s.Name+"."+o] = in
		}
		flows[s.Name] = in
		return flows[r.text()]
	}
	for _, s := range l.spec.Streams {
		flowOf(Ref{Name: s.Name})
	}
	for _, s := range l.spec.Sinks {
		if s.Value != nil {
			l.ambiguousBody(s.Value, l.union(s.From, flowOf))
		}
	}
}

func (l *loader) union(from []Ref, flowOf func(Ref) nameFlow) nameFlow {
	var out nameFlow
	for i, r := range from {
		f := flowOf(r)
		if i == 0 {
			out = f.with()
			continue
		}
		for n := range out.known {
			if !f.known[n] {
				delete(out.known, n)
			}
		}
		out.open = out.open || f.open
	}
	return out
}

func (l *loader) sourceNames(s *SourceSpec) nameFlow {
	switch {
	case s.Generate != nil:
		l.ambiguousBody(&s.Generate.Record, nameFlow{})
		if s.Generate.Record.Whole != nil {
			return nameFlow{open: true}
		}
		return closedFlow(fieldNames(s.Generate.Record.Fields)...)
	case s.Schema == nil:
		return nameFlow{open: true}
	}
	out := nameFlow{open: s.Format.ExtraFields == "keep"}
	for _, f := range s.Schema.Fields {
		out = out.with(f.Name)
	}
	return out
}

// stepNames checks one step and gives the names behind it.
func (l *loader) stepNames(st *StepSpec, in nameFlow) nameFlow {
	switch {
	case st.Map != nil:
		l.ambiguousBody(st.Map, in)
		if st.Map.Whole != nil {
			return nameFlow{open: true}
		}
		return closedFlow(fieldNames(st.Map.Fields)...)
	case st.Set != nil:
		l.ambiguousFields(st.Set, in)
		return in.with(fieldNames(st.Set)...)
	case st.Aggregate != nil:
		l.ambiguousFields(st.Aggregate, in)
		return closedFlow(fieldNames(st.Aggregate)...)
	case st.Reduce != nil:
		l.ambiguousBody(st.Reduce, in.with("acc"))
	case st.TopN != nil && st.TopN.RankAs != "":
		return in.with(st.TopN.RankAs)
	case st.Project != nil:
		out := nameFlow{}
		for _, f := range st.Project {
			out = out.with(f.Name)
		}
		return out
	case st.Rename != nil:
		out := in.with()
		for _, r := range st.Rename {
			delete(out.known, r.Old)
			out = out.with(r.New)
		}
		return out
	case st.FlatMap != nil && st.FlatMap.Select == nil:
		return nameFlow{open: true}
	case st.FlatMap != nil:
		body := st.FlatMap.Select
		l.ambiguousBody(body, in.with(st.FlatMap.As, st.FlatMap.IndexAs))
		if body.Whole != nil {
			return nameFlow{open: true}
		}
		return closedFlow(fieldNames(body.Fields)...)
	}
	return in
}

func (l *loader) ambiguousBody(b *Body, in nameFlow) {
	if b.Whole != nil {
		l.ambiguous(b.Whole, in)
		return
	}
	l.ambiguousFields(b.Fields, in)
}

func (l *loader) ambiguousFields(fields []NamedExpr, in nameFlow) {
	for _, f := range fields {
		l.ambiguous(f.Expr, in)
	}
}

func (l *loader) ambiguous(e *Expr, in nameFlow) {
	l.ambiguousFields(e.Object, in)
	for _, item := range e.List {
		l.ambiguous(item, in)
	}
	if !e.Quoted || e.Tree == nil {
		return
	}
	name, ok := e.Tree.Name()
	if !ok || in.known[name] || strings.HasPrefix(name, "$") {
		return
	}
	at := e.At(0, len([]rune(e.Text)))
	at.Col, at.End = at.Col-1, at.End+1 // with its quotes
	l.fail(at, "ambiguous-text", e.path, fmt.Sprintf("is this the field %s or the text %s? YAML removed your quotes", name, quote(name)),
		fmt.Sprintf(`field: %s    text: '"%s"'  (or {const: %s})`, name, name, name))
}
