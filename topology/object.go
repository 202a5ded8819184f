package topology

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// objectWalk is the check of one map with fixed fields.
type objectWalk struct {
	l       *loader
	o       *object
	v       *value
	entries []entry

	variant  string          // the first variant written
	unknown  bool            // a key was not known: what is missing may be that one
	meant    map[string]bool // the fields that unknown keys may have meant
	present  map[string]bool // the keys
	failed   bool
	reserved bool
}

func (l *loader) objectValue(n *yaml.Node, o *object, v *value) *value {
	v.isMap = true
	w := &objectWalk{l: l, o: o, v: v, entries: l.entries(n), meant: map[string]bool{}, present: map[string]bool{}}
	for _, e := range w.entries {
		key := deref(e.key)
		w.present[key.Value] = true
		if f := o.field(key.Value); f != nil && f.variant && w.variant == "" {
			w.variant = f.name
		}
	}
	l.stack = append(l.stack, frame{o, v.path})
	for _, e := range w.entries {
		w.entry(deref(e.key), e.value)
	}
	w.complete()
	l.stack = l.stack[:len(l.stack)-1]
	if w.failed {
		return nil
	}
	w.fillDefaults()
	return v
}

func (w *objectWalk) fail(at Span, code, path, message, hint string) {
	w.failed = true
	w.l.fail(at, code, path, message, hint)
}

func (w *objectWalk) entry(key, n *yaml.Node) {
	if !w.l.scalarKey(key, w.v.path) {
		w.failed = true
		return
	}
	name, path := key.Value, w.v.path+"/"+key.Value
	if w.o == pipelineFields && strings.HasPrefix(name, "x-") {
		return
	}
	f := w.o.field(name)
	at := w.l.keySpan(key)
	switch {
	case f == nil:
		w.unknown = true
		w.fail(at, "unknown-field", path, fmt.Sprintf("unknown field %s in %s", quote(name), label(w.v.path)), w.unknownHint(key, n))
	case w.shortSink(f):
		w.fail(at, "unknown-field", path, `unknown field "from" in sink`, `the short form has no "from": the sink takes what the last step gives`)
	case f.variant && name != w.variant && w.o.oneOf == choiceOne:
		w.conflict(at, path, name)
	case f.status == later:
		w.fail(at, "reserved", path, quote(name)+" is reserved for a later version of the language", "")
	case !w.o.goesWith(f, w.variant):
		w.fail(at, "conflicting-fields", path, fmt.Sprintf("`%s` has no meaning for %s", name, w.variant), "it goes with "+strings.Join(f.only, ", "))
	case f.status == notBuilt:
		w.reserved = true
		w.fail(at, "reserved", path, quote(name)+" is not built yet", "")
	default:
		m := w.l.value(n, f.shape, place{path: path, name: name, key: key, field: f})
		if m == nil {
			w.failed = true
			return
		}
		w.v.members = append(w.v.members, m)
	}
}

// shortSink: the sink of the short form takes what the last step gives.
func (w *objectWalk) shortSink(f *field) bool {
	return w.o == sinkFields && w.v.path == "/sink" && f.name == "from"
}

func (w *objectWalk) conflict(at Span, path, name string) {
	hint := "keep one of them"
	if w.o == stepFields {
		hint = "a step is one operator: start the next one with `- `"
	}
	w.fail(at, "conflicting-fields", path,
		fmt.Sprintf("%s has both %s and %s", label(w.v.path), quote(w.variant), quote(name)), hint)
}

// unknownHint says where the key belongs, or what it may have meant.
func (w *objectWalk) unknownHint(key, value *yaml.Node) string {
	if w.l.diags.crowded() {
		return ""
	}
	name := key.Value
	if w.l.splitByComma(key, value, w.v.node) {
		return commaHint
	}
	for i := range w.o.fields {
		if f := &w.o.fields[i]; w.present[f.name] && f.shape != nil && holds(f.shape, name) {
			return fmt.Sprintf("%s is a field of %s: indent it under %s:", quote(name), quote(f.name), f.name)
		}
	}
	stack := w.l.stack[:len(w.l.stack)-1]
	for i := len(stack) - 1; i >= 0; i-- {
		if f := stack[i].object.field(name); f != nil && f.status == built {
			return fmt.Sprintf("%s is a field of %s: indent it less", quote(name), label(stack[i].path))
		}
	}
	if s := suggest(name, w.o.names()); s != "" {
		w.meant[s] = true
		return "did you mean " + quote(s) + "?"
	}
	for i := range w.o.fields {
		f := &w.o.fields[i]
		if f.shape != nil && holds(f.shape, name) {
			return fmt.Sprintf("%s is a field of %s", quote(name), quote(f.name))
		}
	}
	return ""
}

// holds reports whether a map written at this shape has the field.
func holds(s *shape, name string) bool {
	if s.object == nil {
		return false
	}
	f := s.object.field(name)
	return f != nil && f.status == built
}

// complete finds what is missing.
func (w *objectWalk) complete() {
	if w.unknown && len(w.meant) == 0 {
		return // what is missing may be what was not understood
	}
	at := w.v.keyAt
	if w.o == stepFields || w.o == pipelineFields {
		at = w.l.startSpan(w.v.node)
	}
	if w.o.oneOf == choiceOne && w.variant == "" && !w.unknown {
		w.missingVariant(at)
	}
	if w.o == pipelineFields {
		w.missingForm(at)
	}
	for i := range w.o.fields {
		f := &w.o.fields[i]
		if !f.required || w.meant[f.name] || w.written(f.name) || w.o == sinkFields && w.v.path == "/sink" {
			continue
		}
		w.fail(at, "missing-field", w.v.path, label(w.v.path)+" needs "+quote(f.name), w.missingHint(f))
	}
}

func (w *objectWalk) written(name string) bool { return w.present[name] }

func (w *objectWalk) missingHint(f *field) string {
	switch {
	case w.o == pipelineFields && f.name == "version":
		return "add `version: 1` as the first line"
	case w.o == dedupFields:
		return "say how long to remember a key, or `within: none` for ever"
	case w.o == pipelineFields && f.name == "name":
		return "add `name: …`, the identity of the job and its state"
	case f.example != "":
		return "for example " + f.example
	}
	return "add `" + f.name + ": …`"
}

func (w *objectWalk) missingVariant(at Span) {
	if w.o == stepFields {
		message := label(w.v.path) + " has no operator"
		if len(w.entries) == 0 {
			message = label(w.v.path) + " is empty"
		}
		w.fail(at, "missing-field", w.v.path, message, "a step is one operator, for example filter, map or key_by")
		return
	}
	w.fail(at, "missing-field", w.v.path,
		label(w.v.path)+" needs one of: "+strings.Join(w.o.variants(true), ", "), "write exactly one of them")
}

// missingForm checks that a file is in the short form or in the long one.
func (w *objectWalk) missingForm(at Span) {
	short, long := "", ""
	for _, e := range w.entries {
		key := deref(e.key)
		switch name := key.Value; name {
		case "source", "steps", "sink":
			if long != "" {
				w.mixed(key, name, "short form", long, "long form")
			} else if short == "" {
				short = name
			}
		case "sources", "streams", "sinks":
			if short != "" {
				w.mixed(key, name, "long form", short, "short form")
			} else if long == "" {
				long = name
			}
		}
	}
	need := []string{"source", "sink"}
	if long != "" {
		need = []string{"sources", "sinks"}
	}
	if short == "" && long == "" {
		if !w.reserved {
			w.fail(at, "missing-field", "", "the pipeline needs a source and a sink", "write `source` and `sink`, or `sources`, `streams` and `sinks`")
		}
		return
	}
	for _, name := range need {
		if !w.written(name) && !w.meant[name] && !w.reserved && (short == "" || long == "") {
			w.fail(at, "missing-field", "", "the pipeline needs "+quote(name), "")
		}
	}
}

func (w *objectWalk) mixed(key *yaml.Node, name, form, other, otherForm string) {
	w.fail(w.l.keySpan(key), "conflicting-fields", "/"+name,
		fmt.Sprintf("`%s` (%s) and `%s` (%s) cannot be mixed", other, otherForm, name, form),
		"the short form is `source`, `steps` and `sink`; the long form is `sources`, `streams` and `sinks`")
}

// fillDefaults adds the fields that were not written, from the `defaults`
// section or the field table.
func (w *objectWalk) fillDefaults() {
	for i := range w.o.fields {
		f := &w.o.fields[i]
		if f.status != built || w.written(f.name) || !w.o.goesWith(f, w.variant) {
			continue
		}
		if m := w.inherited(f); m != nil {
			w.v.members = append(w.v.members, m)
			continue
		}
		if f.def == "" {
			continue
		}
		if m := w.tableDefault(f); m != nil {
			m.at, m.keyAt = w.v.keyAt, w.v.keyAt
			w.v.members = append(w.v.members, m)
		}
	}
}

// tableDefault reads a default of the field table. It is valid, unless a
// variable stands in it: then what is wrong is said about the map around it.
func (w *objectWalk) tableDefault(f *field) *value {
	said := w.l.diags
	w.l.diags = &collector{}
	w.l.opaque++
	m := w.l.value(defaultNode(f), f.shape, place{path: w.v.path + "/" + f.name, name: f.name, field: f})
	w.l.opaque--
	found := w.l.diags.list
	w.l.diags = said
	for _, d := range found {
		variable, _, isVariable := strings.Cut(strings.TrimPrefix(f.def, "${"), ":-")
		switch {
		case isVariable:
			w.l.fail(w.v.keyAt, d.Code, d.Path, "the environment's "+variable+": "+d.Message, d.Hint)
		case strings.HasPrefix(d.Message, "the environment's "):
			w.l.diags.add(d) // of a default inside this one
		default:
			panic("the default of " + f.name + " is not valid: " + d.Message)
		}
	}
	return m
}

// inherited is what the `defaults` section says about a field.
func (w *objectWalk) inherited(f *field) *value {
	if w.o != sourceFields && w.o != sinkFields {
		return nil
	}
	m := w.l.defaults.get(f.name)
	if m == nil {
		return nil
	}
	out := *m
	out.written, out.path = false, w.v.path+"/"+f.name
	return &out
}

// defaultNode is a default of the table as YAML.
func defaultNode(f *field) *yaml.Node {
	if !strings.HasPrefix(f.def, "{") {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: f.def, Line: 1, Column: 1}
	}
	n, err := decodeNode(yaml.NewDecoder(strings.NewReader(f.def)))
	if err != nil {
		panic("the default of " + f.name + " is not YAML: " + err.Error())
	}
	return n.Content[0]
}
