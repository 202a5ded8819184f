package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

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

// has reports that a field was written.
func (v *value) has(name string) bool {
	m := v.get(name)
	return m != nil && m.written
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
		if rest := strings.TrimPrefix(n.Tag, "!"); n.Value == "" && isFieldPath(rest) {
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
	case formFields, formTerms, formBody, formKeys, formExpr:
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
	kindRef: "the name of a source or stream", kindField: "a field name", kindTopic: "a topic name",
	kindAddress: "an address host:port", kindBrokers: "addresses host:port", kindFile: "a file name",
	kindType: "a type", kindExpr: "an expression", kindTemplate: "a text", kindVersion: "a version",
}

var formNouns = map[form]string{
	formSteps: "a list of steps", formFields: "a map of fields to expressions", formTerms: "a map of fields to aggregates",
	formBody: "a map of fields to expressions, or an expression", formKeys: "an expression, a list of fields or a map",
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

// scalarValue reads one text.
func (l *loader) scalarValue(n *yaml.Node, s *shape, v *value) *value {
	if s.scalar == kindTemplate {
		return l.templateValue(n, v)
	}
	e := l.expander(n, v)
	if !l.expand(e) {
		return nil
	}
	v.text = string(e.out)
	if e.secret {
		v.secret = true
	}
	if v.secret && l.opaque == 0 {
		l.masked = append(l.masked, n.Value)
	}
	if w, ok := s.word(v.text); ok {
		if w.reserved {
			l.fail(v.at, "reserved", v.path, quote(w.text)+" is not built yet", "")
			return nil
		}
		v.isWord = true
		return v
	}
	shown := v.text
	if e.secret {
		shown = n.Value
	}
	if s.scalar == 0 {
		l.badWord(s, v, shown)
		return nil
	}
	if !l.readScalar(s, v, shown) {
		return nil
	}
	return v
}

func (l *loader) expander(n *yaml.Node, v *value) *expander {
	e := &expander{l: l, text: []rune(n.Value), path: v.path}
	e.at = func(start, end int) Span {
		s, p := l.pos(n)
		return mapScalar(s, p, n).span(s, start, end)
	}
	return e
}

func (l *loader) badWord(s *shape, v *value, shown string) {
	texts := s.wordTexts()
	message := quote(shown) + " is not one of " + strings.Join(texts, ", ")
	if len(texts) == 1 {
		message = quote(shown) + " is not " + texts[0]
	}
	if s.object != nil {
		message += ", or a map"
	}
	l.fail(v.at, "bad-value", v.path, strings.TrimSuffix(message, unwritten(s)), suggestName(shown, texts))
}

// unwritten is what is left unsaid: most words of formats and policies have a
// long form as a map that is rarely meant.
func unwritten(s *shape) string {
	if s.object == formatFields || s.object == onErrorFields {
		return ", or a map"
	}
	return ""
}

// readScalar reads a text as the kind of its field.
func (l *loader) readScalar(s *shape, v *value, shown string) bool {
	bad := func(code, message, hint string) bool {
		l.fail(v.at, code, v.path, message, hint)
		return false
	}
	q := quote(shown)
	switch s.scalar {
	case kindVersion:
		n, ok := parseCount(v.text)
		if !ok {
			return bad("bad-value", q+" is not a version", "write version: 1")
		}
		if n != 1 {
			return bad("bad-value", "this kstream reads version 1; the file says "+v.text, "upgrade kstream")
		}
	case kindBool:
		if v.truth = v.text == "true"; !v.truth && v.text != "false" {
			return bad("bad-value", q+" is not true or false", boolHint(v.text))
		}
	case kindJobName:
		if !isJobName(v.text) {
			return bad("bad-name", q+" is not a pipeline name", "small letters, digits and -, beginning with a letter or digit, at most 63")
		}
	case kindName:
		if !isName(v.text) {
			l.badName(v.at, v.path, v.text)
			return false
		}
	case kindUID:
		if !isUID(v.text) {
			return bad("bad-name", q+" is not a state id", "letters, digits and _ . : / -, at most 128")
		}
	case kindRef:
		name, output, dot := strings.Cut(v.text, ".")
		if !isName(name) || dot && !isName(output) {
			return bad("bad-name", q+" is not the name of a source, a stream or an output", "name, or stream.output")
		}
	case kindField:
		if !isFieldPath(v.text) {
			return bad("bad-field-name", q+" is not a field name", fieldNameHint)
		}
	case kindTopic:
		return l.topicName(v, shown)
	case kindAddress:
		return l.address(v, v.text)
	case kindBrokers:
		for _, a := range strings.Split(v.text, ",") {
			if !l.address(v, strings.TrimSpace(a)) {
				return false
			}
		}
	case kindFile:
		return l.readable(v)
	default:
		return l.readMeasure(s, v, q, bad)
	}
	return true
}

const fieldNameHint = "letters, digits, _ and -, not beginning with a digit; a dot goes one level down"

func boolHint(text string) string {
	switch strings.ToLower(text) {
	case "yes", "y", "on", "1", "true":
		return "write true"
	case "no", "n", "off", "0", "false":
		return "write false"
	}
	return ""
}

func (l *loader) topicName(v *value, shown string) bool {
	if strings.Contains(v.text, "{") {
		l.fail(v.at, "reserved", v.path, "a topic with holes is not built yet", "")
		return false
	}
	if !isTopic(v.text) {
		l.fail(v.at, "bad-value", v.path, quote(shown)+" is not a topic name", "letters, digits and . _ -, at most 249")
		return false
	}
	return true
}

func (l *loader) address(v *value, text string) bool {
	host, port, ok := splitAddress(text)
	if ok && (host != "" || v.field != nil && v.field.name == "listen") {
		return true
	}
	message, hint := quote(host)+" has no port", "write host:port"
	if strings.Contains(text, ":") {
		message, hint = quote(text)+" is not an address", "write host:port, with a port up to 65535"
		if n, isCount := parseCount(text[strings.LastIndexByte(text, ':')+1:]); isCount && port != int(n) || n > 65535 {
			message = fmt.Sprintf("port %d is more than 65535", n)
		}
	}
	l.fail(v.at, "bad-value", v.path, message, hint)
	return false
}

// readable checks that a file the pipeline names can be read.
func (l *loader) readable(v *value) bool {
	if v.text == "" {
		l.fail(v.at, "bad-value", v.path, `"" is not a file name`, "")
		return false
	}
	if l.options.ReadFile == nil {
		return true
	}
	if _, err := l.options.ReadFile(v.text); err != nil {
		l.fail(v.at, "file", v.path, "cannot read "+quote(v.text)+": "+reason(err), "a path is relative to the working directory")
		return false
	}
	return true
}

// readMeasure reads numbers and their like, and keeps them within the bounds.
func (l *loader) readMeasure(s *shape, v *value, q string, bad func(code, message, hint string) bool) bool {
	var ok bool
	measure := 0.0
	show := func(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }
	code := "bad-value"
	switch s.scalar {
	case kindInt:
		if v.number, ok = parseCount(v.text); !ok {
			return bad(code, q+" is not a whole number"+orWords(s), "")
		}
		measure = float64(v.number)
	case kindFloat:
		if v.float, ok = parseNumber(v.text); !ok {
			return bad(code, q+" is not a number", "")
		}
		measure = v.float
	case kindDuration, kindMillis:
		code = "bad-duration"
		d, ok := parseDuration(v.text)
		if !ok {
			return bad(code, q+durationMessage(s), durationHint(v.text))
		}
		if s.scalar == kindMillis && d%time.Millisecond != 0 {
			return bad(code, q+" is not a whole number of milliseconds", "event time has milliseconds")
		}
		v.number, measure = int64(d), float64(d)
		show = func(f float64) string { return formatDuration(time.Duration(f)) }
	case kindSize:
		code = "bad-size"
		if v.number, ok = parseSize(v.text); !ok {
			return bad(code, q+" is not a size, for example 64KiB, 10MB, 2GiB", sizeHint(v.text))
		}
		measure = float64(v.number)
		show = func(f float64) string { return formatSize(int64(f)) }
	case kindRate:
		if v.float, ok = parseRate(v.text); !ok {
			return bad("bad-rate", q+" is not a rate, for example 1000/s, 60/m, 5/h", rateHint(v.text))
		}
		return true
	case kindTimestamp:
		t, ok := parseTimestamp(v.text)
		if !ok {
			return bad(code, q+" is not a timestamp, for example 2026-01-01T00:00:00Z", "RFC 3339, with a zone")
		}
		v.number = int64(t)
		return true
	default:
		return true // text
	}
	if measure < s.min {
		return bad(code, q+" is less than "+show(s.min), "")
	}
	if s.max > 0 && measure > s.max {
		return bad(code, q+" is more than "+show(s.max), "")
	}
	return true
}

func orWords(s *shape) string {
	if len(s.words) == 0 {
		return ""
	}
	return " or " + strings.Join(s.wordTexts(), ", ")
}

func durationMessage(s *shape) string {
	if slices.Equal(s.wordTexts(), []string{"none"}) {
		return " is not a duration with a unit (30s, 5m, 1h30m) or none"
	}
	return " is not a duration with a unit, for example 500ms, 30s, 5m, 1h30m, 7d"
}

func durationHint(text string) string {
	if _, ok := parseNumber(text); ok {
		return "add a unit: " + text + "s or " + text + "ms"
	}
	return ""
}

func sizeHint(text string) string {
	if n, ok := parseCount(text); ok && n >= 0 {
		return "add a unit: " + text + "MiB or " + text + "B"
	}
	return ""
}

func rateHint(text string) string {
	if n, ok := parseCount(text); ok && n > 0 {
		return "add a unit: " + text + "/s"
	}
	return ""
}

// formatSize writes a size with the largest unit that leaves nothing over.
func formatSize(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10) + "B"
}
