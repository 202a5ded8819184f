package expr

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser/lexer"
)

// Tree is a parsed expression: its text, its tokens and its syntax tree.
//
// The tree knows of each node only where its most telling token stands (the
// operator of a sum, the name of a call). What a node covers is worked out from
// the tokens, because a message quotes and underlines whole expressions.
type Tree struct {
	text    string
	offsets []int         // byte offset of each rune, and the length
	tokens  []lexer.Token // without the end
	match   []int         // index of the bracket that belongs to a bracket, else -1
	root    ast.Node
}

// Text is the expression as it was written.
func (t *Tree) Text() string { return t.text }

// Name gives the field name if the expression is nothing but one.
func (t *Tree) Name() (name string, ok bool) {
	n, ok := t.root.(*ast.IdentifierNode)
	if !ok || strings.HasPrefix(n.Value, "$") || n.Value == "null" {
		return "", false
	}
	return n.Value, true
}

// Path gives the names if the expression is nothing but a field, or a field of a
// field: a, a.b, a["b"].
func (t *Tree) Path() (path []string, ok bool) {
	nodes, path := staticPath(t.root)
	if len(nodes) == 0 || strings.HasPrefix(path[0], "$") || path[0] == "null" {
		return nil, false
	}
	return path, true
}

// Literal reports whether the expression is nothing but a number.
func (t *Tree) Literal() bool {
	n := t.root
	if u, ok := n.(*ast.UnaryNode); ok && (u.Operator == "-" || u.Operator == "+") {
		n = u.Node
	}
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

// Normal is the expression written in one way: one blank between tokens, the
// words for operators that have two spellings, texts in double quotes. Two
// expressions with the same Normal mean the same.
func (t *Tree) Normal() string { return t.normal(0, len(t.tokens)-1) }

func (t *Tree) normal(from, to int) string {
	var b strings.Builder
	for i := from; i <= to && i < len(t.tokens); i++ {
		if i > from && !glued(t.tokens[i-1], t.tokens[i]) {
			b.WriteByte(' ')
		}
		b.WriteString(normalToken(t.tokens[i]))
	}
	return b.String()
}

// glued says which tokens are written without a blank between them.
func glued(a, b lexer.Token) bool {
	switch {
	case a.Is(lexer.Bracket, "(", "[", "{"), b.Is(lexer.Bracket, ")", "]", "}"):
		return true
	case a.Is(lexer.Operator, ".", "?."), b.Is(lexer.Operator, ",", ";"):
		return true
	case a.Is(lexer.Operator, "#"): // #index is one word in two tokens
		return b.Is(lexer.Operator, ".", "?.") || b.Is(lexer.Identifier) && b.From == a.To
	case b.Is(lexer.Operator, ".", "?."):
		return a.Is(lexer.Identifier) || a.Is(lexer.Bracket, ")", "]")
	case b.Is(lexer.Bracket, "(", "["):
		return a.Is(lexer.Identifier) || a.Is(lexer.Bracket, ")", "]")
	}
	return false
}

func normalToken(t lexer.Token) string {
	switch t.Kind {
	case lexer.String:
		return strconv.Quote(t.Value)
	case lexer.Bytes:
		return "b" + strconv.Quote(t.Value)
	case lexer.Number:
		return strings.ReplaceAll(t.Value, "_", "")
	}
	switch t.Value {
	case "&&":
		return "and"
	case "||":
		return "or"
	case "!":
		return "not"
	case "^":
		return "**"
	case "null":
		return "nil"
	}
	return t.Value
}

// newTree prepares the parts of a tree that need no parser.
func newTree(text string) *Tree {
	t := &Tree{text: text, offsets: make([]int, 0, len(text)+1)}
	for i := range text {
		t.offsets = append(t.offsets, i)
	}
	t.offsets = append(t.offsets, len(text))
	return t
}

func (t *Tree) runes() int { return len(t.offsets) - 1 }

// slice is the text between two rune offsets.
func (t *Tree) slice(start, end int) string {
	start, end = min(max(start, 0), t.runes()), min(max(end, 0), t.runes())
	if start >= end {
		return ""
	}
	return t.text[t.offsets[start]:t.offsets[end]]
}

// matchBrackets fills match and gives the indexes of the brackets left open.
func (t *Tree) matchBrackets() (open []int) {
	t.match = make([]int, len(t.tokens))
	for i, tok := range t.tokens {
		t.match[i] = -1
		if !tok.Is(lexer.Bracket) {
			continue
		}
		if strings.Contains("([{", tok.Value) {
			open = append(open, i)
			continue
		}
		if len(open) > 0 {
			j := open[len(open)-1]
			t.match[i], t.match[j] = j, i
			open = open[:len(open)-1]
		}
	}
	return open
}

// token finds the token that begins at or before a rune offset.
func (t *Tree) token(from int) int {
	lo, hi := 0, len(t.tokens)
	for lo < hi {
		if mid := (lo + hi) / 2; t.tokens[mid].From <= from {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return max(lo-1, 0)
}

// span is the rune range a node covers, brackets included.
func (t *Tree) span(n ast.Node) (start, end int) {
	from, to := t.balance(t.firstToken(n), t.lastToken(n))
	return t.tokens[from].From, t.tokens[to].To
}

// source is the text of a node.
func (t *Tree) source(n ast.Node) string { return t.slice(t.span(n)) }

// normalOf is the normalised text of a node.
func (t *Tree) normalOf(n ast.Node) string {
	return t.normal(t.balance(t.firstToken(n), t.lastToken(n)))
}

// balance widens a range of tokens until every bracket in it has its partner.
func (t *Tree) balance(from, to int) (int, int) {
	for i := from; i <= to; i++ {
		switch m := t.match[i]; {
		case m > to:
			to = m
		case m >= 0 && m < from:
			from = m
			i = m
		}
	}
	return from, to
}

// firstToken is the leftmost token of a node. It follows one child per level:
// the parser shares the middle operand of a < b < c between two nodes, and a
// walk over all children would visit it twice at every level.
func (t *Tree) firstToken(n ast.Node) int {
	at := t.token(n.Location().From)
	switch n := n.(type) {
	case *ast.UnaryNode:
		return min(at, t.firstToken(n.Node))
	case *ast.BinaryNode:
		return t.firstToken(n.Left)
	case *ast.ChainNode:
		return t.firstToken(n.Node)
	case *ast.MemberNode:
		return t.firstToken(n.Node)
	case *ast.SliceNode:
		return t.firstToken(n.Node)
	case *ast.CallNode:
		if _, method := n.Callee.(*ast.MemberNode); method {
			return t.firstToken(n.Callee)
		}
		return t.firstArgument(at, n.Arguments)
	case *ast.BuiltinNode:
		return t.firstArgument(at, n.Arguments)
	case *ast.ConditionalNode:
		return t.firstOfConditional(n)
	case *ast.VariableDeclaratorNode:
		return max(at-1, 0)
	case *ast.SequenceNode:
		return t.firstToken(n.Nodes[0])
	}
	return at
}

// firstArgument is the start of a call: its name, or what is piped into it.
func (t *Tree) firstArgument(name int, args []ast.Node) int {
	if len(args) == 0 {
		return name
	}
	if _, ok := args[0].(*ast.PredicateNode); ok {
		return name
	}
	return min(name, t.firstToken(args[0]))
}

func (t *Tree) firstOfConditional(n *ast.ConditionalNode) int {
	at := t.firstToken(n.Cond)
	if n.Ternary {
		return at
	}
	for at > 0 && !t.tokens[at].Is(lexer.Operator, "if") {
		at--
	}
	return at
}

// lastToken is the rightmost token of a node, but for closing brackets that
// balance will add.
func (t *Tree) lastToken(n ast.Node) int {
	at := t.token(n.Location().From)
	switch n := n.(type) {
	case *ast.UnaryNode:
		return max(at, t.lastToken(n.Node))
	case *ast.BinaryNode:
		return t.lastToken(n.Right)
	case *ast.ChainNode:
		return t.lastToken(n.Node)
	case *ast.PredicateNode:
		return max(at, t.lastToken(n.Node))
	case *ast.ConditionalNode:
		return t.lastToken(n.Exp2)
	case *ast.VariableDeclaratorNode:
		return t.lastToken(n.Expr)
	case *ast.SequenceNode:
		return t.lastToken(n.Nodes[len(n.Nodes)-1])
	case *ast.CallNode, *ast.BuiltinNode:
		if at+1 < len(t.tokens) && t.tokens[at+1].Is(lexer.Bracket, "(") {
			return at + 1
		}
	case *ast.PointerNode:
		if n.Name != "" {
			return at + 1
		}
	}
	return at
}

// nameSpan is the rune range of a call's name, an operator or a literal.
func nameSpan(n ast.Node) (start, end int) {
	loc := n.Location()
	return loc.From, loc.To
}

// staticPath gives the chain of constant fields a.b["c"] from its name on: the
// node of every element, and the names. It is empty for any other node.
func staticPath(n ast.Node) (nodes []ast.Node, path []string) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return []ast.Node{n}, []string{n.Value}
	case *ast.ChainNode:
		return staticPath(n.Node)
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if !ok || n.Method {
			return nil, nil
		}
		if nodes, path = staticPath(n.Node); len(nodes) == 0 {
			return nil, nil
		}
		return append(nodes, n), append(path, name.Value)
	}
	return nil, nil
}

// clip shortens text for a message.
func clip(s string) string {
	const most = 60
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	runes := []rune(s)
	return string(runes[:most-1]) + "…"
}
