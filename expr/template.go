package expr

import (
	"strings"
	"unicode/utf8"
)

// Hole is one {expression} of a template.
type Hole struct {
	Text  string
	Start int // rune offset of Text in the template
}

// ParseTemplate splits text with holes: texts[0] holes[0] texts[1] … texts[n].
// {{ and }} are literal braces. Inside a hole quotes and brackets balance; the
// expression itself is not parsed. The offsets of problems are runes of text.
func ParseTemplate(text string) (texts []string, holes []Hole, problems []Problem) {
	var plain strings.Builder
	runes := 0 // before i
	for i := 0; i < len(text); {
		c := text[i]
		double := i+1 < len(text) && text[i+1] == c
		switch {
		case c == '{' && !double:
			n := holeLength(text[i+1:])
			if n < 0 {
				return append(texts, plain.String()), holes, append(problems, templateProblem("\"{\" is not closed", runes))
			}
			inside := text[i+1 : i+1+n]
			if strings.TrimSpace(inside) == "" {
				problems = append(problems, templateProblem("the expression is missing", runes))
			}
			texts, holes = append(texts, plain.String()), append(holes, Hole{Text: inside, Start: runes + 1})
			plain.Reset()
			i, runes = i+n+2, runes+utf8.RuneCountInString(inside)+2
		case (c == '{' || c == '}') && double:
			plain.WriteByte(c)
			i, runes = i+2, runes+2
		default:
			if c == '}' {
				problems = append(problems, templateProblem("\"}\" closes nothing", runes))
			}
			_, n := utf8.DecodeRuneInString(text[i:])
			plain.WriteString(text[i : i+n])
			i, runes = i+n, runes+1
		}
	}
	return append(texts, plain.String()), holes, problems
}

func templateProblem(message string, at int) Problem {
	return Problem{Code: "bad-expression", Message: message, Hint: "a brace itself is written {{ or }}", Start: at, End: at + 1}
}

// holeLength is how far the hole reaches that begins with text, -1 if it has no
// end.
func holeLength(text string) int {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'', '`':
			n := quotedLength(text[i:], c)
			if n < 0 {
				return -1
			}
			i += n - 1
		case '{', '[', '(':
			depth++
		case ']', ')':
			depth--
		case '}':
			if depth <= 0 {
				return i
			}
			depth--
		}
	}
	return -1
}

func quotedLength(text string, quote byte) int {
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return i + 1
		case text[i] == '\\' && quote != '`':
			i++
		}
	}
	return -1
}
