package topology

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"kstream/record"
)

// value is one checked place of the file, or a default of the field table.
// Which of the result fields is set follows from its shape and from how it was
// written.
type value struct {
	name    string // of a field or of an entry of a map with free names
	path    string
	field   *field // nil for items and entries
	node    *yaml.Node
	at      Span // of the value
	keyAt   Span // of the key
	written bool // false for a default
	secret  bool

	text    string // scalars, after variables were replaced
	isWord  bool   // text is one of the words of the shape
	number  int64  // integers, sizes, durations in nanoseconds, timestamps in milliseconds
	float   float64
	truth   bool
	members []*value // fields of an object in the order written, entries, items
	isMap   bool     // members are fields or entries

	expr     *Expr
	body     *Body
	keys     *Keys
	named    []NamedExpr
	renames  []RenameName
	template *Template
	typ      *record.Type
	texts    map[string]string
	offsets  map[int32]record.Offset
}

// get is a field of an object, or nil.
func (v *value) get(name string) *value {
	if v == nil {
		return nil
	}
	for _, m := range v.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// place is where a value stands.
type place struct {
	path  string
	name  string
	key   *yaml.Node
	field *field
}

// value checks a node against a shape. It returns nil when something was wrong
// with it, and has said what.
func (l *loader) value(n *yaml.Node, s *shape, p place) *value {
	n = deref(n)
	v := &value{name: p.name, path: p.path, field: p.field, node: n, at: l.nodeSpan(n), written: l.opaque == 0}
	v.keyAt = v.at
	if p.key != nil {
		v.keyAt = l.keySpan(p.key)
	}
	if p.field != nil {
		v.secret = p.field.secret
	}
	if !l.tagged(n, v, s) || !l.present(n, v, s) {
		return nil
	}
	if s.form != formNone && !(n.Kind == yaml.MappingNode && s.object != nil && !isConst(n)) {
		return l.formValue(n, s, v)
	}
	switch n.Kind {
	case yaml.MappingNode:
		if s.object != nil {
			return l.objectValue(n, s.object, v)
		}
		if s.dict != nil {
			return l.dictValue(n, s.dict, v)
		}
	case yaml.SequenceNode:
		if s.list != nil {
			return l.listValue(n, s.list, v)
		}
	case yaml.ScalarNode:
		if s.scalar != 0 || len(s.words) > 0 {
			return l.scalarValue(n, s, v)
		}
	}
	l.wrongType(n, s, v)
	return nil
}

// tagged refuses tags of other languages: an expression that begins with "!"
// is read as one.
func (l *loader) tagged(n *yaml.Node, v *value, s *shape) bool {
	if n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	switch n.Tag {
	case "!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!binary", "!!map", "!!seq", "!!merge":
		return true
	}
	at := l.startSpan(n)
	written := lineFrom(l.sourceOf(n).line(at.Line), at.Col)
	at.End = at.Col + len([]rune(written))
	left, hint := "the value", "quote the whole value"
	if isExpression(s) {
		left, hint = "the expression", "quote the whole expression"
		if rest := strings.TrimPrefix(n.Tag, "!"); n.Kind == yaml.ScalarNode && n.Value == "" && isFieldPath(rest) {
			hint = "write not " + rest + ", or " + hint
		}
	}
	rest := "nothing is left of " + left
	if n.Value != "" || n.Kind != yaml.ScalarNode {
		rest = "it is not part of " + left
	}
	l.fail(at, "yaml-swallowed", v.path, fmt.Sprintf("YAML read %s as a tag, %s", quote(n.Tag), rest), hint)
	return false
}

// lineFrom is the word that begins at a column.
func lineFrom(line []rune, col int) string {
	rest := string(line[min(col-1, len(line)):])
	if i := strings.IndexAny(rest, " \t,]}"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

func isExpression(s *shape) bool {
	switch s.form {
	case formFields, formTerms, formBody, formKeys, formOrder, formExpr:
		return true
	}
	return false
}

// present refuses a key without a value.
func (l *loader) present(n *yaml.Node, v *value, s *shape) bool {
	if !isNull(n) {
		return true
	}
	hint := ""
	if n.Value != "" {
		hint = "quote it if it is a text"
		if isExpression(s) {
			hint = "the null value is written nil"
		}
	}
	name := v.name
	if name == "" {
		name = label(v.path)
	}
	l.fail(v.keyAt, "missing-value", v.path, quote(name)+" has no value", hint)
	return false
}

func (l *loader) wrongType(n *yaml.Node, s *shape, v *value) {
	hint := ""
	if n.Kind == yaml.MappingNode && s.form == formExpr {
		hint = mapAsCondition(n)
	}
	l.fail(l.startSpan(n), "wrong-type", v.path, "expected "+s.describe()+", found "+found(n), hint)
}

// mapAsCondition is the expression a map in place of one may have meant.
func mapAsCondition(n *yaml.Node) string {
	if len(n.Content) < 2 || n.Content[0].Kind != yaml.ScalarNode || n.Content[1].Kind != yaml.ScalarNode || !isFieldPath(n.Content[0].Value) {
		return "to compare with a map, quote the whole expression"
	}
	right := n.Content[1].Value
	if n.Content[1].Tag == "!!str" {
		right = quote(right)
	}
	return "write a condition such as " + n.Content[0].Value + " == " + right + "; to compare with a map, quote the whole expression"
}

// describe says what a shape expects.
func (s *shape) describe() string {
	var parts []string
	if s.scalar != 0 {
		parts = append(parts, kindNouns[s.scalar])
	}
	if len(s.words) > 0 {
		parts = append(parts, strings.Join(s.wordTexts(), ", "))
	}
	if s.form != formNone {
		parts = append(parts, formNouns[s.form])
	}
	if s.list != nil {
		parts = append(parts, "a list")
	}
	if s.object != nil || s.dict != nil {
		parts = append(parts, "a map")
	}
	return strings.Join(parts, " or ")
}

var kindNouns = map[kind]string{
	kindText: "text", kindBool: "true or false", kindInt: "a whole number", kindFloat: "a number",
	kindDuration: "a duration", kindMillis: "a duration", kindSize: "a size", kindRate: "a rate",
	kindTimestamp: "a timestamp", kindName: "a name", kindJobName: "a name", kindUID: "a state id",
	kindRef: "the name of a source or stream", kindField: "a field name", kindTopic: "a topic name", kindTopicTemplate: "a topic name",
	kindAddress: "an address host:port", kindBrokers: "addresses host:port", kindFile: "a file name",
	kindType: "a type", kindExpr: "an expression", kindTemplate: "a text", kindVersion: "a version",
}

var formNouns = map[form]string{
	formSteps: "a list of steps", formFields: "a map of fields to expressions", formTerms: "a map of fields to aggregates",
	formBody: "a map of fields to expressions, or an expression", formKeys: "an expression, a list of fields or a map",
	formOrder:   "an expression with asc or desc, or a list of them",
	formHeaders: "a map of header names to expressions", formExpr: "an expression", formRenames: "a map of field names to field names",
	formSchema: "a schema", formSchemas: "a map of names to schemas", formOffsets: "a map of partitions to offsets",
	formTexts: "a map of texts",
}

func (l *loader) listValue(n *yaml.Node, s *shape, v *value) *value {
	if len(n.Content) == 0 {
		l.fail(v.at, "missing-value", v.path, quote(v.name)+" is an empty list", "")
		return nil
	}
	ok := true
	for i, c := range n.Content {
		item := l.value(c, s, place{path: fmt.Sprintf("%s/%d", v.path, i)})
		if item == nil {
			ok = false
			continue
		}
		v.members = append(v.members, item)
	}
	if !ok {
		return nil
	}
	return v
}

// dictValue is a map whose keys are names given by the user.
func (l *loader) dictValue(n *yaml.Node, s *shape, v *value) *value {
	v.isMap = true
	ok := true
	for _, e := range l.entries(n) {
		key := deref(e.key)
		if !l.scalarKey(key, v.path) {
			ok = false
			continue
		}
		if !isName(key.Value) {
			l.badName(l.keySpan(key), v.path+"/"+key.Value, key.Value)
			ok = false
			continue
		}
		m := l.value(e.value, s, place{path: v.path + "/" + key.Value, name: key.Value, key: key})
		if m == nil {
			ok = false
			continue
		}
		v.members = append(v.members, m)
	}
	if len(n.Content) == 0 {
		l.fail(v.keyAt, "missing-value", v.path, quote(v.name)+" is empty", "")
		return nil
	}
	if !ok {
		return nil
	}
	return v
}

func (l *loader) badName(at Span, path, name string) {
	hint := "small letters, digits and _, beginning with a letter"
	if better := strings.ToLower(strings.NewReplacer("-", "_", " ", "_", ".", "_").Replace(name)); isName(better) {
		hint += ": " + better
	}
	l.fail(at, "bad-name", path, quote(name)+" is not a name", hint)
}

func (l *loader) scalarKey(key *yaml.Node, path string) bool {
	if key.Kind == yaml.ScalarNode {
		return true
	}
	l.fail(l.startSpan(key), "wrong-type", path, "a key is a text, found "+found(key), "")
	return false
}
