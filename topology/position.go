package topology

import (
	"gopkg.in/yaml.v3"
)

// sourceOf is the text a node's position refers to.
func (l *loader) sourceOf(n *yaml.Node) *source {
	if s, ok := l.setNodes[n]; ok {
		return s
	}
	return l.file
}

// pos is a node's position inside its text.
func (l *loader) pos(n *yaml.Node) (*source, Pos) {
	s := l.sourceOf(n)
	line := min(max(n.Line, 1), len(s.lines))
	return s, Pos{line, min(max(n.Column, 1), len(s.line(line))+1)}
}

// startSpan is the first character of a node.
func (l *loader) startSpan(n *yaml.Node) Span {
	s, p := l.pos(n)
	return Span{p, p.Col + 1, s.number}
}

// keySpan underlines a key.
func (l *loader) keySpan(n *yaml.Node) Span { return l.nodeSpan(n) }

// nodeSpan underlines a scalar as it is written, up to the end of its line;
// of a map or list only where it begins.
func (l *loader) nodeSpan(n *yaml.Node) Span {
	if n.Kind != yaml.ScalarNode {
		return l.startSpan(n)
	}
	s, p := l.pos(n)
	m := mapScalar(s, p, n)
	first, last := m.begin, m.end
	if last.Line != first.Line {
		last = Pos{first.Line, lineEnd(s.line(first.Line))}
	}
	return Span{first, max(last.Col, first.Col+1), s.number}
}

// lineEnd is the column after the last character that is not a blank.
func lineEnd(line []rune) int {
	n := len(line)
	for n > 0 && (line[n-1] == ' ' || line[n-1] == '\t') {
		n--
	}
	return n + 1
}

// scalarMap says where the characters of a scalar's value stand in the text.
type scalarMap struct {
	at         []Pos // of each character of the value, and of the place after it
	begin, end Pos   // of the scalar as written, quotes included
}

// span is the place of characters start to end of the value.
func (m *scalarMap) span(s *source, start, end int) Span {
	last := len(m.at) - 1
	start = min(max(start, 0), last)
	end = min(max(end, start+1), last+1)
	from, to := m.at[start], m.at[end-1]
	if from.Line != to.Line {
		return Span{from, max(lineEnd(s.line(from.Line)), from.Col+1), s.number}
	}
	return Span{from, max(to.Col+1, from.Col+1), s.number}
}

// scalarScanner walks the written form of a scalar beside its value. Where the
// two disagree it stays at the last place that was sure: a position may be
// coarse but always lies inside the text.
type scalarScanner struct {
	s    *source
	p    Pos
	runs []rune // the value
	at   []Pos
}

// mapScalar finds every character of a node's value in the text.
func mapScalar(s *source, p Pos, n *yaml.Node) *scalarMap {
	sc := &scalarScanner{s: s, p: p, runs: []rune(n.Value)}
	sc.properties()
	m := &scalarMap{begin: sc.p}
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0:
		sc.p.Col++
		sc.quoted('"')
		m.at, m.end = sc.finish(), Pos{sc.p.Line, sc.p.Col + 1}
	case n.Style&yaml.SingleQuotedStyle != 0:
		sc.p.Col++
		sc.quoted('\'')
		m.at, m.end = sc.finish(), Pos{sc.p.Line, sc.p.Col + 1}
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		m.end = Pos{sc.p.Line, lineEnd(s.line(sc.p.Line))}
		sc.block()
		m.at = sc.finish()
	default:
		sc.plain()
		m.at, m.end = sc.finish(), sc.p
	}
	return m
}

// finish adds the place after the last character, and whatever was not found.
func (sc *scalarScanner) finish() []Pos {
	end := Pos{sc.p.Line, min(sc.p.Col, len(sc.s.line(sc.p.Line))+1)}
	for len(sc.at) <= len(sc.runs) {
		sc.at = append(sc.at, end)
	}
	return sc.at[:len(sc.runs)+1]
}

func (sc *scalarScanner) peek() rune { return sc.peekAt(0) }

func (sc *scalarScanner) peekAt(n int) rune {
	line := sc.s.line(sc.p.Line)
	if i := sc.p.Col - 1 + n; i < len(line) {
		return line[i]
	}
	return 0
}

// atLineEnd reports that only blanks follow on this line.
func (sc *scalarScanner) atLineEnd() bool {
	return sc.p.Col >= lineEnd(sc.s.line(sc.p.Line))
}

func (sc *scalarScanner) skipBlanks() {
	for sc.peek() == ' ' || sc.peek() == '\t' {
		sc.p.Col++
	}
}

// nextText moves to the first character of the next line that is not blank.
func (sc *scalarScanner) nextText() bool {
	for sc.p.Line < len(sc.s.lines) {
		sc.p = Pos{sc.p.Line + 1, 1}
		sc.skipBlanks()
		if !sc.atLineEnd() {
			return true
		}
	}
	sc.p.Col = lineEnd(sc.s.line(sc.p.Line))
	return false
}

// properties skips the anchor and the tag in front of a scalar.
func (sc *scalarScanner) properties() {
	for sc.peek() == '&' || sc.peek() == '!' {
		start := sc.p
		for c := sc.peek(); c != 0 && c != ' ' && c != '\t'; c = sc.peek() {
			sc.p.Col++
		}
		sc.skipBlanks()
		if sc.peek() != 0 && sc.peek() != '#' {
			continue
		}
		// Nothing else on this line: the value is below, or empty.
		if len(sc.runs) == 0 || !sc.nextText() {
			sc.p = start
			return
		}
	}
}

// folded places the characters a line break became: a blank, or a line feed
// for every empty line.
func (sc *scalarScanner) folded(i int) int {
	end := sc.p
	for i < len(sc.runs) && (sc.runs[i] == ' ' || sc.runs[i] == '\n') {
		sc.at = append(sc.at, end)
		i++
		if sc.runs[i-1] == ' ' {
			break
		}
	}
	return i
}

func (sc *scalarScanner) plain() {
	for i := 0; i < len(sc.runs); {
		if sc.peek() == sc.runs[i] && !sc.atLineEnd() {
			sc.at = append(sc.at, sc.p)
			sc.p.Col++
			i++
			continue
		}
		n := sc.folded(i)
		if n == i || !sc.nextText() {
			return
		}
		i = n
	}
}

func (sc *scalarScanner) quoted(q rune) {
	for i := 0; i < len(sc.runs); {
		c := sc.peek()
		switch {
		case sc.atLineEnd():
			n := sc.folded(i)
			if n == i || !sc.nextText() {
				return
			}
			i = n
			continue
		case q == '\'' && c == q:
			if sc.peekAt(1) != q {
				return
			}
			sc.at = append(sc.at, sc.p)
			sc.p.Col += 2
		case q == '"' && c == q:
			return
		case q == '"' && c == '\\':
			if sc.peekAt(1) == 0 { // an escaped line break adds nothing
				if !sc.nextText() {
					return
				}
				continue
			}
			sc.at = append(sc.at, sc.p)
			sc.p.Col += escapeWidth(sc.peekAt(1))
		default:
			sc.at = append(sc.at, sc.p)
			sc.p.Col++
		}
		i++
	}
	for sc.atLineEnd() && sc.peek() != q && sc.nextText() { // the closing quote may be further down
		continue
	}
}

func escapeWidth(c rune) int {
	switch c {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	}
	return 2
}

// block walks a block scalar. Whether a line break was kept or folded is read
// from the value; the text is always on the next line.
func (sc *scalarScanner) block() {
	header := sc.p
	if !sc.nextText() {
		sc.p = Pos{header.Line, lineEnd(sc.s.line(header.Line))}
		return
	}
	indent := sc.p.Col - 1
	if k := explicitIndent(sc.s.line(header.Line), header.Col); k > 0 {
		parent := len(sc.s.line(header.Line)) - len(trimLeftBlanks(sc.s.line(header.Line)))
		indent = min(indent, parent+k)
	}
	sc.p = Pos{header.Line + 1, 1}
	for i := 0; i < len(sc.runs); {
		if sc.p.Col == 1 {
			sc.p.Col = min(indent, len(sc.s.line(sc.p.Line))) + 1
		}
		if r := sc.runs[i]; sc.peek() == r && r != '\n' {
			sc.at = append(sc.at, sc.p)
			sc.p.Col++
			i++
			continue
		}
		if sc.peek() != 0 || sc.p.Line >= len(sc.s.lines) {
			return
		}
		i = sc.blockBreak(i)
	}
}

// blockBreak places one line break. A folded break before empty lines left
// nothing in the value.
func (sc *scalarScanner) blockBreak(i int) int {
	feeds, breaks := 0, 0
	for i+feeds < len(sc.runs) && sc.runs[i+feeds] == '\n' {
		feeds++
	}
	end := sc.p
	for breaks == 0 || sc.p.Line < len(sc.s.lines) && len(trimLeftBlanks(sc.s.line(sc.p.Line))) == 0 {
		sc.p = Pos{sc.p.Line + 1, 1}
		breaks++
		if feeds > 0 && breaks >= feeds && len(trimLeftBlanks(sc.s.line(sc.p.Line))) > 0 || sc.p.Line >= len(sc.s.lines) {
			break
		}
	}
	if feeds == 0 { // one break, folded into a blank
		sc.at = append(sc.at, end)
		return i + 1
	}
	for range feeds {
		sc.at = append(sc.at, end)
	}
	return i + feeds
}

func trimLeftBlanks(line []rune) []rune {
	for len(line) > 0 && (line[0] == ' ' || line[0] == '\t') {
		line = line[1:]
	}
	return line
}

// explicitIndent is the digit in a block scalar's header, |2-, or 0.
func explicitIndent(line []rune, col int) int {
	for i := col; i < len(line) && i < col+2; i++ {
		if line[i] >= '1' && line[i] <= '9' {
			return int(line[i] - '0')
		}
	}
	return 0
}
