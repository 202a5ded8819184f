package topology

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"kstream/record"
)

// schemaTable resolves the names of `schemas:` when they are first used.
type schemaTable struct {
	nodes map[string]*yaml.Node
	types map[string]*record.Type
	sizes map[string]int // fields of a schema with its names written out
	open  []string       // being resolved, for cycles
}

// schemaFieldsMax is the most fields a schema may have when the names in it are
// written out: each name may stand for several others.
const schemaFieldsMax = 10_000

func (l *loader) findSchemas(root *yaml.Node) *schemaTable {
	t := &schemaTable{nodes: map[string]*yaml.Node{}, types: map[string]*record.Type{}, sizes: map[string]int{}}
	for _, e := range l.entries(root) {
		if n := deref(e.value); e.key.Value == "schemas" && n.Kind == yaml.MappingNode {
			for _, s := range l.entries(n) {
				t.nodes[deref(s.key).Value] = s.value
			}
		}
	}
	return t
}

// checkSchemas checks the `schemas:` section, used or not.
func (l *loader) checkSchemas(n *yaml.Node, s *shape, v *value) bool {
	if n.Kind != yaml.MappingNode {
		l.wrongType(n, s, v)
		return false
	}
	ok := true
	for _, e := range l.entries(n) {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) {
			ok = false
			continue
		}
		path := v.path + "/" + key.Value
		if !isTypeName(key.Value) || builtinType(key.Value) {
			l.fail(l.keySpan(key), "bad-name", path, quote(key.Value)+" is not a name for a schema", "letters, digits and _, not beginning with a digit, and not the name of a type")
			ok = false
			continue
		}
		m := l.value(e.value, formOf(formSchema), place{path: path, name: key.Value, key: key})
		if m == nil {
			ok = false
			continue
		}
		v.members = append(v.members, m)
		v.isMap = true
	}
	return ok
}

// schema is a type expression, or a map of fields to types.
func (l *loader) schema(n *yaml.Node, v *value) *record.Type {
	if n.Kind == yaml.MappingNode {
		if word, key := externalSchema(n); word != "" {
			l.fail(l.keySpan(key), "reserved", v.path+"/"+word, "a schema from a "+word+" is not built yet", "")
			return nil
		}
	}
	if n.Kind == yaml.SequenceNode {
		l.wrongType(n, formOf(formSchema), v)
		return nil
	}
	if len(l.schemas.open) == 0 && n.Kind == yaml.MappingNode {
		if p := strings.Split(v.path, "/"); len(p) == 3 && p[1] == "schemas" {
			return l.namedSchema(p[2], v.at, v.path)
		}
	}
	return l.typeNode(n, v)
}

// externalSchema finds {file: order.avsc} and {registry: subject}. A schema may
// as well have a field named file.
func externalSchema(n *yaml.Node) (string, *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		word, value := n.Content[i].Value, deref(n.Content[i+1])
		if (word == "file" || word == "registry") && len(n.Content) <= 4 && value.Kind == yaml.ScalarNode && !builtinType(strings.TrimSuffix(value.Value, "!")) {
			return word, n.Content[i]
		}
	}
	return "", nil
}

// typeNode is a type as YAML: text, [T] or a map.
func (l *loader) typeNode(n *yaml.Node, v *value) *record.Type {
	n = deref(n)
	switch n.Kind {
	case yaml.ScalarNode:
		return l.typeText(n, v)
	case yaml.SequenceNode:
		if len(n.Content) != 1 {
			l.fail(l.startSpan(n), "unknown-type", v.path, fmt.Sprintf("a list type has one type, found %d", len(n.Content)), "[string] is a list of texts")
			return nil
		}
		elem := l.typeMember(n.Content[0], v.path+"/0", "", nil)
		if elem == nil {
			return nil
		}
		t := record.ListOf(*elem)
		return &t
	}
	t := &record.Type{Kind: record.TypeObject}
	ok := len(n.Content) > 0
	if !ok {
		l.fail(l.startSpan(n), "missing-value", v.path, "a schema needs at least one field", "leave `schema` out for values of any shape")
	}
	for _, e := range l.entries(n) {
		key := deref(e.key)
		path := v.path + "/" + key.Value
		if !l.scalarKey(key, v.path) {
			ok = false
			continue
		}
		if !isFieldPath(key.Value) || strings.Contains(key.Value, ".") {
			l.fail(l.keySpan(key), "bad-field-name", path, quote(key.Value)+" is not a field name", "letters, digits, _ and -, not beginning with a digit; nested fields are a map")
			ok = false
			continue
		}
		field := l.typeMember(e.value, path, key.Value, key)
		if field == nil {
			ok = false
			continue
		}
		t.Fields = append(t.Fields, record.Field{Name: key.Value, Type: *field})
	}
	if !ok {
		return nil
	}
	return t
}

func (l *loader) typeMember(n *yaml.Node, path, name string, key *yaml.Node) *record.Type {
	n = deref(n)
	m := &value{name: name, path: path, node: n, at: l.nodeSpan(n)}
	m.keyAt = m.at
	if key != nil {
		m.keyAt = l.keySpan(key)
	}
	s := scalarOf(kindType)
	if !l.tagged(n, m, s) || !l.present(n, m, s) {
		return nil
	}
	return l.typeNode(n, m)
}

func (l *loader) typeText(n *yaml.Node, v *value) *record.Type {
	e := l.expander(n, v)
	if !l.expand(e) {
		return nil
	}
	p := &typeParser{l: l, v: v, text: string(e.out)}
	t := p.whole()
	if p.failed {
		return nil
	}
	return t
}

// namedSchema resolves a name of `schemas:`.
func (l *loader) namedSchema(name string, at Span, path string) *record.Type {
	t := l.schemas
	if typ, ok := t.types[name]; ok {
		return typ
	}
	for i, open := range t.open {
		if open == name {
			l.fail(at, "cycle", path, "schemas refer to each other: "+strings.Join(append(t.open[i:], name), " -> "), "")
			return nil
		}
	}
	t.open = append(t.open, name)
	own := "/schemas/" + name
	typ := l.typeNode(t.nodes[name], &value{name: name, path: own, node: deref(t.nodes[name]), at: l.nodeSpan(deref(t.nodes[name]))})
	t.open = t.open[:len(t.open)-1]
	if typ != nil {
		if t.sizes[name] = t.size(t.nodes[name]); t.sizes[name] > schemaFieldsMax {
			l.fail(at, "yaml-limit", path, "schema "+quote(name)+" has more than 10,000 fields", "")
			typ = nil
		}
	}
	t.types[name] = typ
	return typ
}

// size counts the fields of a schema; those of the names in it are known.
func (t *schemaTable) size(n *yaml.Node) int {
	n = deref(n)
	if n.Kind == yaml.ScalarNode {
		return 1 + t.sizes[strings.TrimSuffix(n.Value, "!")]
	}
	total := 1
	for _, c := range n.Content {
		total = min(total+t.size(c), schemaFieldsMax+1)
	}
	return total
}

// typeParser reads a type expression of one scalar.
type typeParser struct {
	l      *loader
	v      *value
	text   string
	i      int
	depth  int
	failed bool
}

func (p *typeParser) whole() *record.Type {
	t := p.typ()
	if !p.failed && p.i < len(p.text) {
		p.fail()
	}
	return t
}

func (p *typeParser) fail() {
	p.report(quote(p.text)+" is not a type", "for example string!, decimal(2), [int], map<string>")
}

func (p *typeParser) report(message, hint string) {
	if !p.failed {
		p.l.fail(p.v.at, "unknown-type", p.v.path, message, hint)
	}
	p.failed = true
}

func (p *typeParser) take(s string) bool {
	if strings.HasPrefix(p.text[p.i:], s) {
		p.i += len(s)
		return true
	}
	return false
}

func (p *typeParser) word() string {
	start := p.i
	for p.i < len(p.text) && (letterOrUnderscore(p.text[p.i]) || p.i > start && p.text[p.i] >= '0' && p.text[p.i] <= '9') {
		p.i++
	}
	return p.text[start:p.i]
}

func (p *typeParser) typ() *record.Type {
	if p.depth++; p.depth > nestingMax {
		p.fail()
	}
	if p.failed {
		return nil
	}
	t := &record.Type{}
	if p.take("[") {
		elem := p.typ()
		if p.failed || !p.take("]") {
			p.fail()
			return nil
		}
		*t = record.ListOf(*elem)
	} else if t = p.named(); p.failed {
		return nil
	}
	if p.take("!") {
		required := *t
		required.Required = true
		t = &required
	}
	p.depth--
	return t
}

// named is a type by its word, with what belongs to it.
func (p *typeParser) named() *record.Type {
	name := p.word()
	kind, ok := typeWord(name)
	if !ok {
		return p.schemaName(name)
	}
	t := record.TypeOf(kind)
	switch {
	case kind == record.TypeMap:
		if !p.take("<") {
			p.report("map needs the type of its values", "map<string>")
			return nil
		}
		elem := p.typ()
		if p.failed || !p.take(">") {
			p.fail()
			return nil
		}
		t.Elem = elem
	case kind == record.TypeDecimal && p.take("("):
		start := p.i
		for p.i < len(p.text) && p.text[p.i] != ')' {
			p.i++
		}
		scale, isCount := parseCount(p.text[start:p.i])
		if !isCount || scale < 0 || scale > 18 || !p.take(")") {
			p.report("decimal needs a number of places from 0 to 18", "decimal(2)")
			return nil
		}
		t.Scale = int8(scale)
	case kind == record.TypeTimestamp && p.take("("):
		unit := p.word()
		u, known := timeUnit(unit)
		if !known || !p.take(")") {
			p.report("timestamp has no unit "+quote(unit), "s, ms, us, ns or sql")
			return nil
		}
		t.Unit = u
	}
	return &t
}

func (p *typeParser) schemaName(name string) *record.Type {
	if name == "" {
		p.fail()
		return nil
	}
	if _, ok := p.l.schemas.nodes[name]; !ok {
		names := typeWords()
		for s := range p.l.schemas.nodes {
			names = append(names, s)
		}
		p.report("there is no type "+quote(name), suggestName(name, names))
		return nil
	}
	t := p.l.namedSchema(name, p.v.at, p.v.path)
	if t == nil {
		p.failed = true
	}
	return t
}

func typeWords() []string {
	return []string{"bool", "int", "int32", "float", "float32", "decimal", "string", "bytes", "timestamp", "date", "time", "duration", "uuid", "any", "map"}
}

func typeWord(s string) (record.TypeKind, bool) {
	switch s {
	case "bool":
		return record.TypeBool, true
	case "int":
		return record.TypeInt, true
	case "int32":
		return record.TypeInt32, true
	case "float":
		return record.TypeFloat, true
	case "float32":
		return record.TypeFloat32, true
	case "decimal":
		return record.TypeDecimal, true
	case "string":
		return record.TypeString, true
	case "bytes":
		return record.TypeBytes, true
	case "timestamp":
		return record.TypeTimestamp, true
	case "date":
		return record.TypeDate, true
	case "time":
		return record.TypeTime, true
	case "duration":
		return record.TypeDuration, true
	case "uuid":
		return record.TypeUUID, true
	case "any":
		return record.TypeAny, true
	case "map":
		return record.TypeMap, true
	}
	return 0, false
}

// builtinType reports whether a text begins with the word of a type.
func builtinType(s string) bool {
	if i := strings.IndexAny(s, "(<"); i >= 0 {
		s = s[:i]
	}
	_, ok := typeWord(s)
	return ok
}

func timeUnit(s string) (record.TimeUnit, bool) {
	switch s {
	case "s":
		return record.UnitSeconds, true
	case "ms":
		return record.UnitMillis, true
	case "us":
		return record.UnitMicros, true
	case "ns":
		return record.UnitNanos, true
	case "sql":
		return record.UnitSQL, true
	}
	return record.UnitDefault, false
}
