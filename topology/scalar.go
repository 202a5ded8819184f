package topology

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// scalarValue reads one text.
func (l *loader) scalarValue(n *yaml.Node, s *shape, v *value) *value {
	if s.scalar == kindTemplate {
		return l.templateValue(n, v)
	}
	if s.scalar == kindTopicTemplate {
		return l.topicTemplate(n, v)
	}
	e := l.expander(n, v)
	if !l.expand(e) {
		return nil
	}
	v.text = string(e.out)
	if e.secret {
		v.secret = true
	}
	if v.secret && l.opaque == 0 && !strings.Contains(n.Value, "${") {
		s, p := l.pos(n)
		m := mapScalar(s, p, n)
		l.masked = append(l.masked, maskedText{s.number, m.at[:len(m.at)-1]})
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
		if s.object != nil {
			message += " or a map"
		}
	}
	l.fail(v.at, "bad-value", v.path, message, suggestName(shown, texts))
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
	if !isTopic(v.text) {
		hint := topicHint
		if strings.Contains(v.text, "{") {
			hint = "only the topic of a sink may have holes"
		}
		l.fail(v.at, "bad-value", v.path, quote(shown)+" is not a topic name", hint)
		return false
	}
	return true
}

const topicHint = "letters, digits and . _ -, at most 249"

// topicTemplate reads a topic name that may have holes; without any it is text.
func (l *loader) topicTemplate(n *yaml.Node, v *value) *value {
	v = l.templateValue(n, v)
	if v == nil {
		return nil
	}
	fixed := strings.Join(v.template.Text, "")
	if len(v.template.Holes) > 0 {
		fixed += "x" // the least a hole is
	}
	if !isTopic(fixed) {
		l.fail(v.at, "bad-value", v.path, quote(v.text)+" is not a topic name", topicHint)
		return nil
	}
	return v
}

func (l *loader) address(v *value, text string) bool {
	host, port, ok := splitAddress(text)
	if ok && (host != "" || v.field != nil && v.field.name == "listen") {
		return true
	}
	message, hint := quote(host)+" has no port", "write host:port"
	if strings.Contains(text, ":") {
		message, hint = quote(text)+" is not an address", "write host:port, with a port up to 65535"
		if port > 65535 {
			message = fmt.Sprintf("port %d is more than 65535", port)
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
			return bad(code, q+durationMessage(s), durationHint(v.text, s))
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

func durationHint(text string, s *shape) string {
	if _, ok := parseNumber(text); ok {
		return "add a unit: " + text + "s or " + text + "ms"
	}
	return suggestName(text, s.wordTexts())
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
