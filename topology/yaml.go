package topology

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Limits of a file. They are counted here, before anything is expanded:
// libraries differ in what they refuse, and some expand first.
const (
	fileBytesMax   = 1 << 20
	nestingMax     = 100
	aliasNodesMax  = 10_000
	prefixBytesMax = 2 << 20 // read again and again to find the line of a syntax error
)

// source is one text positions refer to: the file, or one --set flag.
type source struct {
	number int // 0 the file, n the n-th --set
	lines  []string
	runes  [][]rune // lines as characters, split when first needed
}

func (s *source) line(n int) []rune {
	if n < 1 || n > len(s.lines) {
		return nil
	}
	if s.runes == nil {
		s.runes = make([][]rune, len(s.lines))
	}
	if s.runes[n-1] == nil {
		s.runes[n-1] = []rune(s.lines[n-1])
	}
	return s.runes[n-1]
}

// splitLines cuts where YAML does, so that line numbers agree.
func splitLines(data []byte) []string {
	text := strings.TrimPrefix(string(data), "\ufeff")
	var lines []string
	start := 0
	for i, r := range text {
		switch r {
		case '\n', '\r', '\u0085', '\u2028', '\u2029':
			if r == '\n' && i > 0 && text[i-1] == '\r' {
				start = i + 1
				continue
			}
			lines = append(lines, text[start:i])
			start = i + utf8.RuneLen(r)
		}
	}
	return append(lines, text[start:])
}

// parse is step (1): the text becomes a tree of nodes that keeps the limits and
// has no key twice. It returns nil when the file cannot be read further.
func (l *loader) parse(data []byte) *yaml.Node {
	if len(data) > fileBytesMax {
		l.syntax("yaml-limit", 1, "the file is larger than 1 MiB", "")
		return nil
	}
	if line, message, hint := unreadable(data); line > 0 {
		l.syntax("yaml-syntax", line, message, hint)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	doc, err := decodeNode(decoder)
	if errors.Is(err, io.EOF) {
		l.fail(Span{Pos{1, 1}, 2, 0}, "missing-field", "", "the file is empty",
			"a pipeline begins with `version: 1`, `name`, `source` and `sink`")
		return nil
	}
	if err != nil {
		l.syntaxError(data, err)
		return nil
	}
	if second, err := decodeNode(decoder); err == nil {
		l.syntax("yaml-syntax", l.clampLine(second.Line), "a second document begins here", "one pipeline per file")
		return nil
	} else if !errors.Is(err, io.EOF) {
		l.syntaxError(data, err)
		return nil
	}
	root := doc.Content[0]
	before := len(l.diags.list)
	g := &guard{l: l, open: map[*yaml.Node]bool{}, sizes: map[*yaml.Node]int{}}
	g.walk(root, "", 1)
	if len(l.diags.list) > before {
		return nil
	}
	return root
}

// decodeNode reads one document. The library reports what is wrong by error;
// a panic of its own on hostile input is reported the same way.
func decodeNode(d *yaml.Decoder) (n *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	n = &yaml.Node{}
	if err := d.Decode(n); err != nil {
		return nil, err
	}
	if len(n.Content) == 0 {
		return nil, io.EOF
	}
	return n, nil
}

// unreadable finds text that no YAML parser should be shown.
func unreadable(data []byte) (line int, message, hint string) {
	if !utf8.Valid(data) {
		for line = 1; len(data) > 0; {
			r, n := utf8.DecodeRune(data)
			if r == utf8.RuneError && n == 1 {
				break
			}
			if r == '\n' {
				line++
			}
			data = data[n:]
		}
		return line, "the file is not UTF-8 text", "save it as UTF-8"
	}
	for i, c := range data {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' || c == 0x7f {
			return 1 + bytes.Count(data[:i], []byte{'\n'}), "control characters are not allowed",
				fmt.Sprintf("remove the character %#02x", c)
		}
	}
	return 0, "", ""
}

// syntaxError says what the library says, at a line of our own finding.
func (l *loader) syntaxError(data []byte, err error) {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	reported := 0
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if n, ok := parseCount(number); ok {
				message, reported = text, int(n)
			}
		}
	}
	if strings.Contains(message, "exceeded max depth") {
		l.syntax("yaml-limit", l.clampLine(reported), "more than 100 levels of nesting", "")
		return
	}
	line := l.clampLine(brokenLine(data, reported))
	l.syntax("yaml-syntax", line, message, syntaxHint(l.file.lines, line, message))
}

func (l *loader) clampLine(n int) int { return min(max(n, 1), len(l.file.lines)) }

// brokenLine is the line after the longest run of whole lines, counted from the
// top, that is valid by itself: the line the library names may be that of the
// construct around the error. How far the library read bounds the search.
func brokenLine(data []byte, reported int) int {
	r := &lineReader{rest: data}
	for d := yaml.NewDecoder(r); ; {
		if _, err := decodeNode(d); err != nil {
			break
		}
	}
	budget := prefixBytesMax
	ends := r.ends
	for k := len(ends) - 1; k > 0; k-- {
		prefix := data[:ends[k-1]]
		if budget -= len(prefix); budget < 0 {
			return reported
		}
		if validYAML(prefix) {
			return k + 1
		}
	}
	return 1
}

func validYAML(data []byte) bool {
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := decodeNode(d); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// lineReader hands out one line at a time and remembers how far it was read.
type lineReader struct {
	rest []byte
	read int
	ends []int // offset after each line handed out
}

func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := bytes.IndexByte(r.rest, '\n') + 1
	whole := n > 0 && n <= len(p)
	if n == 0 || n > len(p) {
		n = min(len(r.rest), len(p))
		whole = n == len(r.rest)
	}
	copy(p, r.rest[:n])
	r.rest = r.rest[n:]
	r.read += n
	if whole {
		r.ends = append(r.ends, r.read)
	}
	return n, nil
}

// syntaxHint looks at the broken line for the usual causes.
func syntaxHint(lines []string, line int, message string) string {
	text := lines[line-1]
	trimmed := strings.TrimLeft(text, " ")
	value := trimmed
	if _, after, ok := strings.Cut(trimmed, ": "); ok {
		value = strings.TrimLeft(after, " ")
	}
	switch {
	case strings.HasPrefix(trimmed, "\t"):
		return "indent with spaces, YAML does not allow tabs"
	case strings.Contains(text, " ? ") && strings.Contains(message, "mapping values"):
		return `"a ? b : c" contains ": ", which YAML reads as a key; quote the whole expression, or write if a { b } else { c }`
	case strings.Contains(message, "escape character"):
		return `in double quotes \ begins an escape; use single quotes, or write \\`
	case strings.Contains(message, "mapping values") && strings.Count(trimmed, ": ") < 2 && indentedUnlike(lines, line):
		return "this line is indented differently from the lines above it"
	case strings.Contains(message, "mapping values"):
		return `": " begins a value here; quote the whole text if it is one, and check the indentation of the line above`
	case len(value) > 1 && (value[0] == '"' || value[0] == '\'') && strings.Count(value, value[:1]) >= 2:
		return "the value starts with a quote, so YAML ends it at the next one; put the whole expression in the other kind of quotes"
	case strings.Contains(message, "unexpected end of stream") || strings.Contains(message, "found unexpected document"):
		return "a quote is not closed"
	case strings.Contains(message, "unknown anchor"):
		return "an unquoted value that begins with * is an alias; quote the whole value, or define the anchor above"
	case value != "" && strings.ContainsRune("@`%&*|>", rune(value[0])):
		return "a value cannot begin with " + value[:1] + "; quote the whole value"
	case strings.Contains(text, "${") && strings.ContainsAny(message, "{}[]"):
		return "a value with ${…} inside { } or [ ] must be quoted"
	case strings.Contains(text, "?") && strings.Contains(message, "expected ',' or"):
		return "a ? inside { } or [ ] is YAML's own; write this map in block style, one field per line, or quote the expression"
	case strings.Count(text, "{") > strings.Count(text, "}") || strings.Count(text, "[") > strings.Count(text, "]"):
		return "a bracket is not closed"
	case strings.HasPrefix(trimmed, "- ") && indentedUnlike(lines, line):
		return "this line is indented differently from the list items above it"
	case indentedUnlike(lines, line):
		return "this line is indented differently from the lines above it"
	}
	return "check the indentation, and quote values with special characters"
}

// indentedUnlike compares a line with the nearest one above that says anything.
func indentedUnlike(lines []string, line int) bool {
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " ")) }
	for i := line - 2; i >= 0; i-- {
		if strings.TrimSpace(lines[i]) != "" {
			return indent(lines[i]) != indent(lines[line-1])
		}
	}
	return false
}

// guard is the walk over the raw tree that makes every later walk safe.
type guard struct {
	l      *loader
	open   map[*yaml.Node]bool // the nodes around the current one
	sizes  map[*yaml.Node]int  // expanded sizes
	added  int                 // nodes added by aliases so far
	failed bool                // a limit was passed: said once
}

func (g *guard) walk(n *yaml.Node, path string, depth int) {
	if g.failed {
		return
	}
	if depth > nestingMax {
		g.limit(n, path, "more than 100 levels of nesting", "")
		return
	}
	if n.Kind == yaml.AliasNode {
		g.alias(n, path)
		return
	}
	g.open[n] = true
	defer delete(g.open, n)
	switch n.Kind {
	case yaml.SequenceNode:
		for i, c := range n.Content {
			g.walk(c, fmt.Sprintf("%s/%d", path, i), depth+1)
		}
	case yaml.MappingNode:
		g.mapping(n, path, depth)
	}
}

func (g *guard) mapping(n *yaml.Node, path string, depth int) {
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		name := key.Value
		if key.Kind == yaml.ScalarNode {
			if other, twice := first[name]; twice {
				g.duplicate(key, other, path)
			} else {
				first[name] = key
			}
		} else {
			g.walk(key, path, depth+1)
		}
		g.walk(value, path+"/"+name, depth+1)
	}
}

func (g *guard) duplicate(key, first *yaml.Node, path string) {
	hint := ""
	if stepPath(path) && isOperator(key.Value) {
		hint = "a step is one operator: start the next one with `- `"
	}
	g.l.fail(g.l.keySpan(key), "duplicate-key", path+"/"+key.Value,
		fmt.Sprintf("%s is written twice in %s, first at line %d", quote(key.Value), label(path), first.Line), hint)
}

func (g *guard) alias(n *yaml.Node, path string) {
	if g.open[n.Alias] {
		g.limit(n, path, fmt.Sprintf("alias *%s stands inside its own anchor", n.Value), "")
		return
	}
	g.added += g.size(n.Alias)
	if g.added > aliasNodesMax {
		g.limit(n, path, "aliases expand to more than 10,000 nodes", "")
	}
}

// size is the number of nodes of a tree with its aliases expanded, cut off
// where it is over the limit anyway.
func (g *guard) size(n *yaml.Node) int {
	if n.Kind == yaml.AliasNode {
		return g.size(n.Alias)
	}
	if s, ok := g.sizes[n]; ok {
		return s
	}
	s := 1
	for _, c := range n.Content {
		s = min(s+g.size(c), aliasNodesMax+1)
	}
	g.sizes[n] = s
	return s
}

func (g *guard) limit(n *yaml.Node, path, message, hint string) {
	at := g.l.nodeSpan(n)
	if n.Kind == yaml.AliasNode {
		at.End = at.Col + 1 + len([]rune(n.Value))
	}
	g.l.fail(at, "yaml-limit", path, message, hint)
	g.failed = true
}
