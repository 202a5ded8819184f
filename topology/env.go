package topology

import (
	"bytes"
	"fmt"
	"strings"
)

// expander replaces ${…} in one scalar. What a variable holds is never looked
// at again: it cannot add variables, holes, keys or lines.
type expander struct {
	l      *loader
	text   []rune // as written
	at     func(start, end int) Span
	path   string
	braces bool // double the braces of what is put in: it stands in a template

	out    []rune
	origin []int // of each character of out, in text
	secret bool  // something came from a file
	failed bool
}

// expand replaces the variables of text. The origins lead from the result back
// to the text as written.
func (l *loader) expand(e *expander) bool {
	if l.options.NoEnv && l.opaque == 0 {
		e.out = e.text
		for i := range e.text {
			e.origin = append(e.origin, i)
		}
		return true
	}
	for i := 0; i < len(e.text) && !e.failed; {
		switch {
		case e.has(i, "$${"):
			e.keep(i+1, i+3)
			i += 3
		case e.has(i, "${"):
			i = e.variable(i)
		default:
			e.keep(i, i+1)
			i++
		}
	}
	return !e.failed
}

func (e *expander) has(i int, s string) bool {
	return i+len(s) <= len(e.text) && string(e.text[i:i+len(s)]) == s
}

func (e *expander) keep(from, to int) {
	for ; from < to; from++ {
		e.out = append(e.out, e.text[from])
		e.origin = append(e.origin, from)
	}
}

func (e *expander) put(value string, origin int) {
	for _, r := range value {
		n := 1
		if e.braces && (r == '{' || r == '}') {
			n = 2
		}
		for range n {
			e.out = append(e.out, r)
			e.origin = append(e.origin, origin)
		}
	}
}

// closing finds the brace that ends the variable whose name begins at i.
func closing(text []rune, i int) int {
	depth := 1
	for ; i < len(text); i++ {
		switch {
		case text[i] == '$' && i+1 < len(text) && text[i+1] == '{':
			depth++
			i++
		case text[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// variable replaces the one that begins at i and returns the place after it.
func (e *expander) variable(i int) int {
	end := closing(e.text, i+2)
	if end < 0 {
		e.fail(i, len(e.text), "bad-value", "${ is not closed", "the text ${ itself is written $${")
		return len(e.text)
	}
	value, ok := e.resolve(i, end, 0)
	if ok {
		e.put(value, i)
	}
	return end + 1
}

// resolve gives the value of text[i:end+1], which is ${…}.
func (e *expander) resolve(i, end, depth int) (string, bool) {
	body := string(e.text[i+2 : end])
	if name, ok := strings.CutPrefix(body, "file:"); ok {
		return e.file(i, end, name)
	}
	n := 0
	for n < len(body) && (letterOrUnderscore(body[n]) || n > 0 && body[n] >= '0' && body[n] <= '9') {
		n++
	}
	name, rest := body[:n], body[n:]
	if name == "" || depth > 10 {
		e.fail(i, end+1, "bad-value", quote("${"+body+"}")+" is not a variable", "write ${NAME} or ${NAME:-default}; the text ${ itself is written $${")
		return "", false
	}
	value, set := e.lookup(name)
	from := i + 2 + n
	switch {
	case rest == "":
		if !set {
			e.fail(i, end+1, "unset-variable", name+" is not set", "set it, or give a default: ${"+name+":-…}")
		}
		return value, set
	case strings.HasPrefix(rest, ":-"):
		if set && value != "" {
			return value, true
		}
		return e.nested(from+2, end, depth)
	case strings.HasPrefix(rest, "-"):
		if set {
			return value, true
		}
		return e.nested(from+1, end, depth)
	case strings.HasPrefix(rest, ":?"):
		if !set || value == "" {
			e.fail(i, end+1, "unset-variable", name+" is not set: "+strings.Trim(quote(rest[2:]), `"`), "")
			return "", false
		}
		return value, true
	}
	e.fail(i, end+1, "bad-value", quote("${"+body+"}")+" is not a variable", "behind the name stand :-default, -default or :?message")
	return "", false
}

// nested is a default, which may hold further variables.
func (e *expander) nested(from, to, depth int) (string, bool) {
	var b strings.Builder
	for i := from; i < to; {
		if !e.has(i, "${") {
			b.WriteRune(e.text[i])
			i++
			continue
		}
		end := closing(e.text, i+2)
		if end < 0 || end >= to {
			end = to - 1
		}
		value, ok := e.resolve(i, max(end, i+2), depth+1)
		if !ok {
			return "", false
		}
		b.WriteString(value)
		i = end + 1
	}
	return b.String(), true
}

func (e *expander) lookup(name string) (string, bool) {
	if e.l.options.Env == nil || e.l.options.NoEnv {
		return "", false
	}
	return e.l.options.Env(name)
}

func (e *expander) file(i, end int, name string) (string, bool) {
	if e.l.options.ReadFile == nil {
		e.fail(i, end+1, "file", "files cannot be read here", "")
		return "", false
	}
	data, err := e.l.options.ReadFile(name)
	if err != nil {
		e.fail(i, end+1, "file", "cannot read "+quote(name)+": "+reason(err), "")
		return "", false
	}
	e.secret = true
	return string(bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r"))), true
}

// reason is the last part of an error: paths are said elsewhere.
func reason(err error) string {
	text := err.Error()
	return text[strings.LastIndex(text, ": ")+1+min(1, strings.Count(text, ": ")):]
}

func (e *expander) fail(start, end int, code, message, hint string) {
	e.failed = true
	e.l.fail(e.at(start, end), code, e.path, message, hint)
}

// EnvFile reads KEY=value lines; # begins a comment, quotes around a value are
// removed.
func EnvFile(data []byte) (map[string]string, error) {
	out := map[string]string{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(strings.TrimPrefix(line, "export "), "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" || !letterOrUnderscore(name[0]) || !onlyRunes(name, "_", lower|upper|digit) {
			return nil, fmt.Errorf("line %d is not KEY=value", i+1)
		}
		out[name] = unquoteEnv(strings.TrimSpace(value))
	}
	return out, nil
}

func unquoteEnv(s string) string {
	if len(s) > 1 && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : 1+end]
		}
	}
	if i := strings.Index(s, " #"); i >= 0 {
		s = strings.TrimSpace(s[:i])
	}
	return s
}
