package topology

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Options is what a load depends on besides the file.
type Options struct {
	// Env looks up an environment variable; nil is an empty environment.
	Env func(name string) (value string, ok bool)
	// ReadFile reads the files that ${file:…} and paths of certificates and
	// passwords name; nil leaves them unchecked and refuses ${file:…}.
	ReadFile func(name string) ([]byte, error)
	// NoEnv turns the replacement of ${…} off.
	NoEnv bool
	// Set holds path=value pairs that win over the file.
	Set []string
}

// Load reads a pipeline file: YAML, fields and values, syntax of expressions,
// and the checks that need no types. The Spec is complete if no diagnostic is
// an error; its File and Lines are always set.
func Load(file string, data []byte, o Options) (*Spec, []Diagnostic) {
	l := &loader{
		options: o,
		spec:    &Spec{File: file, Lines: splitLines(data), sets: o.Set},
		file:    &source{lines: splitLines(data)},
		diags:   &collector{},
	}
	l.load(data)
	l.maskLines()
	return l.spec, SortDiagnostics(l.diags.list)
}

// Validate is everything that can be said about a file without a cluster: what
// Load finds and, if that is nothing, what the planner finds. The Plan is nil
// if there are errors.
func Validate(file string, data []byte, o Options) (*Spec, *Plan, []Diagnostic) {
	spec, found := Load(file, data, o)
	if HasErrors(found) {
		return spec, nil, found
	}
	plan, more := Compile(spec)
	for i := range more {
		spec.locate(&more[i])
	}
	return spec, plan, SortDiagnostics(append(found, more...))
}

// loader reads one file.
type loader struct {
	options  Options
	spec     *Spec
	file     *source
	setNodes map[*yaml.Node]*source // nodes that came from --set
	diags    *collector

	defaults *value // the `defaults` section, walked first
	schemas  *schemaTable
	stack    []frame // the maps around the current place
	masked   []maskedText
	walked   bool // the file was read as far as its fields
	opaque   int  // > 0 while a default of the table is walked
}

// frame is a map that is being walked.
type frame struct {
	object *object
	path   string
}

func (l *loader) load(data []byte) {
	root := l.parse(data)
	if root == nil {
		return
	}
	if isTestFile(l.spec.File) {
		l.fail(l.startSpan(root), "reserved", "", "pipeline tests are not built yet", "")
		return
	}
	if !l.applySets(root) {
		return
	}
	if root.Kind != yaml.MappingNode {
		l.fail(l.startSpan(root), "wrong-type", "", "expected a pipeline, found "+found(root),
			"a pipeline begins with `version: 1`, `name`, `source` and `sink`")
		return
	}
	l.walked = true
	l.schemas = l.findSchemas(root)
	l.walkDefaults(root)
	v := l.value(root, objectOf(pipelineFields), place{})
	if len(l.diags.list) > 0 {
		return
	}
	l.spec.root = v
	l.decode(v)
	l.semantics()
}

func isTestFile(name string) bool {
	return strings.HasSuffix(name, "_test.yaml") || strings.HasSuffix(name, "_test.yml")
}

// walkDefaults reads the `defaults` section before anything that takes
// settings from it.
func (l *loader) walkDefaults(root *yaml.Node) {
	for _, e := range l.entries(root) {
		if e.key.Value == "defaults" && deref(e.value).Kind == yaml.MappingNode {
			before := l.diags
			l.diags = &collector{} // said when the section itself is walked
			l.defaults = l.value(e.value, objectOf(defaultsFields), place{path: "/defaults"})
			l.diags = before
		}
	}
}

// fail reports an error at a place.
func (l *loader) fail(at Span, code, path, message, hint string) {
	l.diags.add(l.spec.Diagnostic(at, code, path, message, hint))
}

// syntax reports an error that has a line only.
func (l *loader) syntax(code string, line int, message, hint string) {
	l.fail(Span{Pos: Pos{Line: line}}, code, "", message, hint)
}

// Diagnostic makes an error at a place of the file, or of a --set flag.
func (s *Spec) Diagnostic(at Span, code, path, message, hint string) Diagnostic {
	d := Diagnostic{
		Severity: SeverityError, Code: code, File: s.File, Line: at.Line, Col: at.Col, EndCol: at.End,
		Path: path, Message: message, Hint: hint,
	}
	if at.Source > 0 {
		d.File, d.Source = setFile, s.sets[at.Source-1]
	}
	return d
}

// locate gives a diagnostic of the planner the form of paths used here.
func (s *Spec) locate(d *Diagnostic) {
	if d.Path != "" && !strings.HasPrefix(d.Path, "/") {
		d.Path = "/" + d.Path
	}
	if d.Severity == "" {
		d.Severity = SeverityError
	}
}

// maskedText is the places of a secret that was written out.
type maskedText struct {
	source int
	at     []Pos
}

// maskLines hides secrets written into the file from the lines that errors
// show; the columns stay.
func (l *loader) maskLines() {
	sets := slices.Clone(l.spec.sets)
	for _, m := range l.masked {
		for _, p := range m.at {
			if m.source > 0 {
				sets[m.source-1] = star(sets[m.source-1], p.Col)
			} else {
				l.spec.Lines[p.Line-1] = star(l.spec.Lines[p.Line-1], p.Col)
			}
		}
	}
	if !l.walked {
		for i, line := range l.spec.Lines {
			l.spec.Lines[i] = maskUnread(line)
		}
	}
	for i := range l.diags.list {
		if n := slices.Index(l.spec.sets, l.diags.list[i].Source); n >= 0 {
			l.diags.list[i].Source = sets[n]
		}
	}
	l.spec.sets = sets
}

func star(line string, col int) string {
	runes := []rune(line)
	if col >= 1 && col <= len(runes) {
		runes[col-1] = '*'
	}
	return string(runes)
}

// maskUnread hides what looks like a secret in a file that YAML cannot read.
func maskUnread(line string) string {
	for _, key := range []string{"password:", "_secret:", "bearer_token:"} {
		if before, value, ok := strings.Cut(line, key); ok && !strings.Contains(value, "${") {
			line = before + key + strings.Repeat("*", len([]rune(value)))
		}
	}
	return line
}

// label names a place in messages.
func label(path string) string {
	if path == "" {
		return "the pipeline"
	}
	if runes := []rune(path[1:]); len(runes) > quotedRunesMax {
		return string(runes[:quotedRunesMax]) + "…"
	}
	return path[1:]
}

// stepPath reports whether a path is that of a step.
func stepPath(path string) bool {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return false
	}
	_, isIndex := parseCount(path[i+1:])
	return isIndex && strings.HasSuffix(path[:i], "/steps")
}

func isOperator(name string) bool {
	f := stepFields.field(name)
	return f != nil && f.variant
}

// deref follows an alias to what it stands for.
func deref(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// found names what a node is.
func found(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a YAML map"
	case n.Kind == yaml.SequenceNode:
		return "a YAML list"
	case isNull(n):
		return "nothing"
	}
	return "text"
}

// entry is one key of a map with merge keys resolved.
type entry struct {
	key, value *yaml.Node
}

// entries lists a map's keys. What is written beside a merge key wins over what
// it brings in, and of several merged maps the first one wins.
func (l *loader) entries(n *yaml.Node) []entry {
	var own, merged []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			continue
		}
		seen[deref(key).Value] = true
		own = append(own, entry{key, value})
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		for _, from := range l.mergeSources(n.Content[i], n.Content[i+1]) {
			for _, e := range l.entries(from) {
				if !seen[deref(e.key).Value] {
					seen[deref(e.key).Value] = true
					merged = append(merged, e)
				}
			}
		}
	}
	return append(merged, own...)
}

// mergeSources is the maps behind <<.
func (l *loader) mergeSources(key, value *yaml.Node) []*yaml.Node {
	value = deref(value)
	if value.Kind == yaml.MappingNode {
		return []*yaml.Node{value}
	}
	var maps []*yaml.Node
	if value.Kind == yaml.SequenceNode {
		for _, c := range value.Content {
			if deref(c).Kind == yaml.MappingNode {
				maps = append(maps, deref(c))
			}
		}
	}
	if len(maps) == 0 || len(maps) < len(value.Content) {
		l.fail(l.keySpan(key), "wrong-type", "", "<< merges maps, found "+found(value), "")
	}
	return maps
}

// applySets writes the --set flags into the tree.
func (l *loader) applySets(root *yaml.Node) bool {
	ok := true
	for i, flag := range l.options.Set {
		s := &source{number: i + 1, lines: []string{flag}}
		if err := l.applySet(root, s, flag); err != nil {
			l.fail(Span{Pos{1, 1}, len([]rune(flag)) + 1, s.number}, "bad-value", "", err.Error(),
				"for example --set checkpoint.interval=5s")
			ok = false
		}
	}
	return ok
}

func (l *loader) applySet(root *yaml.Node, s *source, flag string) error {
	path, text, ok := strings.Cut(flag, "=")
	if !ok || path == "" {
		return errors.New("a setting is written path=value")
	}
	value, err := setValue(text)
	if err != nil {
		return err
	}
	if l.setNodes == nil {
		l.setNodes = map[*yaml.Node]*source{}
	}
	l.own(value, s, len([]rune(path))+1)
	col := 1
	at := root
	parts := strings.Split(path, ".")
	for i, part := range parts {
		if at = deref(at); isNull(at) {
			*at = yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line, Column: at.Column}
		}
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: part, Line: 1, Column: col}
		l.setNodes[key] = s
		next := value
		if i < len(parts)-1 {
			next = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: 1, Column: col}
			l.setNodes[next] = s
		}
		if at, err = l.put(at, key, next, i == len(parts)-1); err != nil {
			return err
		}
		col += len([]rune(part)) + 1
	}
	return nil
}

// put sets or enters one element of a path.
func (l *loader) put(at, key, next *yaml.Node, last bool) (*yaml.Node, error) {
	switch at.Kind {
	case yaml.SequenceNode:
		n, ok := parseCount(key.Value)
		if !ok || n < 0 || n >= int64(len(at.Content)) {
			return nil, fmt.Errorf("%s is not an item of a list of %d", quote(key.Value), len(at.Content))
		}
		if last {
			at.Content[n] = next
		}
		return at.Content[n], nil
	case yaml.MappingNode:
		for i := 0; i+1 < len(at.Content); i += 2 {
			if at.Content[i].Value != key.Value {
				continue
			}
			if last {
				at.Content[i], at.Content[i+1] = key, next
			}
			return at.Content[i+1], nil
		}
		at.Content = append(at.Content, key, next)
		return next, nil
	}
	return nil, fmt.Errorf("%s lies inside a value that is not a map", quote(key.Value))
}

// setValue reads the text behind "=": a list or map in flow style, or one text.
func setValue(text string) (*yaml.Node, error) {
	if !strings.HasPrefix(text, "[") && !strings.HasPrefix(text, "{") {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: 1, Column: 1}, nil
	}
	n, err := decodeNode(yaml.NewDecoder(strings.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("the value is not YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return n.Content[0], nil
}

// own moves the positions of a --set value behind its path.
func (l *loader) own(n *yaml.Node, s *source, shift int) {
	n.Column += shift
	l.setNodes[n] = s
	for _, c := range n.Content {
		l.own(c, s, shift)
	}
}
