package expr

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser/lexer"

	"kstream/record"
)

// translate turns a message of Expr's parser into one of the language.
func (t *Tree) translate(e *file.Error) Problem {
	p := Problem{Code: "bad-expression", Start: e.From, End: max(e.To, e.From+1)}
	switch m := e.Message; {
	case strings.Contains(m, "exceeds maximum allowed nodes"):
		p.Message, p.Start, p.End = "the expression is too large (2,000 nodes)", 0, 1
	case strings.HasPrefix(m, "bad number syntax"):
		t.badNumber(&p)
	case m == "literal not terminated":
		t.openText(&p, "text is not closed")
	case m == "unclosed comment":
		t.openText(&p, "comment is not closed")
	case strings.HasPrefix(m, "unrecognized character"):
		p.Message = "unexpected character"
	case strings.Contains(m, "char escape"), strings.Contains(m, "unescape"):
		p.Message, p.Hint = "unknown escape in a text", "write \\\\ for a backslash, or the text in backticks"
	case strings.Contains(m, "coalesce expressions (??) cannot be mixed"):
		t.mixedCoalesce(&p)
	case strings.HasPrefix(m, "invalid ") && strings.Contains(m, "literal"), strings.HasSuffix(m, "is too large"):
		t.largeNumber(&p)
	case m == "expected name":
		t.expectedName(&p)
	case len(t.tokens) == 0, strings.HasSuffix(m, "EOF"), strings.HasSuffix(m, "EOF)"), m == "unexpected end of expression":
		t.end(&p)
	default:
		t.unexpected(&p)
	}
	return p
}

// end is the place just behind the last character of the expression.
func (t *Tree) end(p *Problem) {
	n := len([]rune(strings.TrimRightFunc(t.text, unicode.IsSpace)))
	p.Message = "the expression ends too early"
	p.Start, p.End = n, n+1
	if open := t.matchBrackets(); len(open) > 0 {
		p.Hint = fmt.Sprintf("%q is not closed", t.tokens[open[len(open)-1]].Value)
	}
}

// openText points at the token that has no end. The lexer gives up at the end
// of the text, so the token begins behind the last complete one.
func (t *Tree) openText(p *Problem, message string) {
	p.Message = message
	start := 0
	if n := len(t.tokens); n > 0 {
		start = t.tokens[n-1].To
	}
	for start < t.runes() && strings.TrimSpace(t.slice(start, start+1)) == "" {
		start++
	}
	p.Start, p.End = start, max(t.runes(), start+1)
}

func isWordRune(s string) bool {
	r := []rune(s)
	return len(r) == 1 && (unicode.IsLetter(r[0]) || unicode.IsDigit(r[0]) || r[0] == '_')
}

// badNumber underlines the whole word a number is glued to.
func (t *Tree) badNumber(p *Problem) {
	start := 0
	if n := len(t.tokens); n > 0 {
		start = t.tokens[n-1].To
	}
	for start < p.Start && !isWordRune(t.slice(start, start+1)) && t.slice(start, start+1) != "." {
		start++
	}
	end := p.End
	for isWordRune(t.slice(end, end+1)) {
		end++
	}
	word := t.slice(start, end)
	p.Start, p.End = start, end
	p.Message = fmt.Sprintf("%q is not a number", word)
	if d, ok := asDuration(word); ok {
		p.Hint = fmt.Sprintf("a duration is written duration(%q)", d)
	}
}

// asDuration reads words such as 10m and 10min as a duration of the language.
func asDuration(word string) (string, bool) {
	if _, ok := record.ParseDuration(word); ok {
		return word, true
	}
	digits := strings.TrimRightFunc(word, unicode.IsLetter)
	unit := strings.TrimSuffix(strings.ToLower(word[len(digits):]), "s")
	short, ok := map[string]string{
		"min": "m", "minute": "m", "sec": "s", "second": "s", "hr": "h", "hour": "h", "day": "d", "week": "w",
		"msec": "ms", "milli": "ms", "millisecond": "ms",
	}[unit]
	_, valid := record.ParseDuration(digits + short)
	return digits + short, ok && valid
}

// largeNumber points at the first number that is too large; the parser names
// the token behind it.
func (t *Tree) largeNumber(p *Problem) {
	for _, tok := range t.tokens {
		if tok.Kind != lexer.Number {
			continue
		}
		text := strings.ReplaceAll(tok.Value, "_", "")
		_, intErr := strconv.ParseInt(text, 0, 64)
		_, floatErr := strconv.ParseFloat(text, 64)
		if intErr != nil && (floatErr != nil || !strings.ContainsAny(text, ".eE")) {
			p.Start, p.End = tok.From, tok.To
			p.Message = fmt.Sprintf("%q does not fit into 64 bits", tok.Value)
			return
		}
	}
	p.Message = "a number does not fit into 64 bits"
}

func (t *Tree) expectedName(p *Problem) {
	i := t.token(p.Start)
	for i > 0 && !t.tokens[i].Is(lexer.Operator, ".", "?.") {
		i--
	}
	if i+1 >= len(t.tokens) {
		t.end(p)
		return
	}
	tok := t.tokens[i+1]
	p.Start, p.End = tok.From, tok.To
	p.Message = fmt.Sprintf(`unexpected "%s"`, clip(tok.Value))
	p.Hint = "a name must follow the dot; other fields are written value[\"name\"]"
}

// mixedCoalesce explains a ?? b > c. The parser stops at the operator.
func (t *Tree) mixedCoalesce(p *Problem) {
	i := t.token(p.Start)
	op := t.tokens[i].Value
	p.Message = fmt.Sprintf("?? and %s cannot be mixed", op)
	left, right := t.operand(i, -1), t.operand(i, +1)
	if left == "" || right == "" {
		left, right = "a ?? b", "c"
	}
	p.Hint = fmt.Sprintf("put one of them in parentheses: (%s) %s %s", left, op, right)
}

// operand is the text of the operand on one side of token i.
func (t *Tree) operand(i, step int) string {
	j := i
	for k := i + step; k >= 0 && k < len(t.tokens); k += step {
		tok := t.tokens[k]
		if tok.Is(lexer.Bracket) {
			// Go over brackets as a whole, and stop at the end of the own one and
			// at one without a partner (-1).
			if m := t.match[k]; m >= 0 && (m-k)*step > 0 {
				k = m
			} else {
				break
			}
		} else if tok.Is(lexer.Operator) && !tok.Is(lexer.Operator, "??", ".", "?.", "#") {
			break
		}
		j = k
	}
	if j == i {
		return ""
	}
	if step < 0 {
		return t.slice(t.tokens[j].From, t.tokens[i-1].To)
	}
	return t.slice(t.tokens[i+1].From, t.tokens[j].To)
}

// unexpected names the token the parser stopped at, with a hint for what people
// bring along from other languages.
func (t *Tree) unexpected(p *Problem) {
	i := t.token(p.Start)
	tok := t.tokens[i]
	p.Start, p.End = tok.From, tok.To
	p.Message = fmt.Sprintf(`unexpected "%s"`, clip(tok.Value))
	p.Hint = t.foreignHint(i)
}

// at gives token i, or an empty one outside of the text.
func (t *Tree) at(i int) lexer.Token {
	if i < 0 || i >= len(t.tokens) {
		return lexer.Token{}
	}
	return t.tokens[i]
}

func (t *Tree) foreignHint(i int) string {
	tok, before, after := t.at(i), t.at(i-1), t.at(i+1)
	switch tok.Kind {
	case lexer.Identifier:
		return t.wordHint(i)
	case lexer.String:
		if before.Is(lexer.Identifier, "f") && before.To == tok.From {
			return fmt.Sprintf(`there is no f"…": write %s`, formatCall(tok.Value))
		}
	}
	switch tok.Value {
	case "contains", "matches", "startsWith", "endsWith", "in":
		return fmt.Sprintf("%s is an operator: a %s b", tok.Value, tok.Value)
	case "=":
		if after.Is(lexer.Operator, ">") && after.From == tok.To {
			return t.arrowHint(i + 1)
		}
		return "equality is written =="
	case ">":
		if before.Is(lexer.Operator, "<") {
			return "not equal is written !="
		}
		if before.Is(lexer.Operator, "-") {
			return t.arrowHint(i)
		}
	case "&":
		return "the operator is and"
	case ")":
		if name := t.at(t.opener(i) - 1); name.Kind == lexer.Identifier && predicateFunctions[name.Value].sig != "" {
			return "write " + predicateFunctions[name.Value].sig
		}
	case ";":
		return "an expression has one value; ; stands only behind let x = …"
	case ".", "#":
		if t.inCallOf(i, "count") {
			return "count is an aggregate; the number of matching elements is " + t.countHint(i)
		}
		return "the element of a list is written so only inside of any, filter, map and the like"
	}
	return t.ifHint(i)
}

// wordHint is for words of other languages.
func (t *Tree) wordHint(i int) string {
	word := t.at(i).Value
	if before := t.at(i - 1); before.Is(lexer.Identifier, "NOT", "Not") {
		word = before.Value
	}
	switch strings.ToLower(word) {
	case "and", "or", "not", "in":
		return "operators are lower case: and, or, not"
	case "between":
		return t.betweenHint(i)
	case "like", "ilike", "rlike", "regexp":
		return "write a contains b, a startsWith b, a endsWith b or a matches b"
	case "is":
		return "write x == nil or x != nil"
	case "when", "then", "end":
		return ifElse
	case "div":
		return "whole division is div(a, b)"
	case "mod":
		return "the remainder is a % b"
	}
	if t.at(i-1).Is(lexer.Identifier, "case", "CASE") {
		return ifElse
	}
	return t.ifHint(i)
}

const ifElse = "write if a { b } else { c }"

// ifHint is for an if written as a function or without braces.
func (t *Tree) ifHint(i int) string {
	braces := false
	for k := i; k >= 0; k-- {
		switch {
		case t.tokens[k].Is(lexer.Bracket, "{"):
			braces = true
		case t.tokens[k].Is(lexer.Operator, "if") && !braces:
			return ifElse
		}
	}
	if t.at(i).Is(lexer.Operator, ",") && t.openedBy(i, "(") && t.at(t.opener(i)-1).Is(lexer.Operator, "in") {
		return "a list is written [a, b]"
	}
	return ""
}

// opener is the index of the innermost bracket open at token i, -1 if none is.
func (t *Tree) opener(i int) int {
	for k := i - 1; k >= 0; k-- {
		if !t.tokens[k].Is(lexer.Bracket) {
			continue
		}
		if m := t.match[k]; m >= 0 && m < k {
			k = m // a closed pair
			continue
		}
		return k
	}
	return -1
}

func (t *Tree) openedBy(i int, bracket string) bool {
	return t.at(t.opener(i)).Is(lexer.Bracket, bracket)
}

// inCallOf reports whether token i stands among the arguments of a call of name.
func (t *Tree) inCallOf(i int, name string) bool {
	return t.openedBy(i, "(") && t.at(t.opener(i)-1).Is(lexer.Identifier, name)
}

// countHint rewrites count(list, predicate) with filter.
func (t *Tree) countHint(i int) string {
	open := t.opener(i)
	if end := t.match[open]; end > open {
		return fmt.Sprintf("len(filter(%s))", t.slice(t.tokens[open].To, t.tokens[end].From))
	}
	return "len(filter(list, condition))"
}

func (t *Tree) arrowHint(i int) string {
	field := ".field"
	if name := t.at(i - 2); name.Kind == lexer.Identifier && t.at(i+1).Is(lexer.Identifier, name.Value) &&
		t.at(i+2).Is(lexer.Operator, ".") {
		field = "." + t.at(i+3).Value
	}
	return "there are no arrow functions: write the element as #, its fields as " + field
}

func (t *Tree) betweenHint(i int) string {
	value, low := t.operand(i, -1), t.at(i+1)
	and, high := t.at(i+2), t.at(i+3)
	if value == "" || !strings.EqualFold(and.Value, "and") || high.Kind == "" {
		return "write low <= x <= high"
	}
	return fmt.Sprintf("write %s <= %s <= %s", t.slice(low.From, low.To), value, t.slice(high.From, high.To))
}

// formatCall rewrites the text of f"order {id}" as a call of format.
func formatCall(text string) string {
	texts, holes, problems := ParseTemplate(text)
	if len(problems) > 0 || len(holes) == 0 {
		return `format("{}", x)`
	}
	call := "format(" + strconv.Quote(strings.Join(texts, "{}"))
	for _, h := range holes {
		call += ", " + h.Text
	}
	return call + ")"
}
