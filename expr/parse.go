package expr

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/parser/lexer"
)

// Limits of an expression's text.
const (
	maxTextBytes  = 16 << 10
	maxNodes      = 2_000
	maxPredicates = 3
)

// Parse reads an expression. It reports the first error of the grammar, or else
// everything the grammar allows and the language does not. The tree is nil if
// there are problems.
func Parse(text string) (*Tree, []Problem) {
	if len(text) > maxTextBytes {
		return nil, []Problem{{Code: "bad-expression", Message: "the expression is too large (16 KiB)", End: 1}}
	}
	t := newTree(text)
	lexed := t.lex()
	if problems := t.foreignTokens(); len(problems) > 0 {
		return nil, problems
	}
	// The parser knows a sequence of its own whether a name is a function with
	// a predicate; every other name must come out as a plain call (see calls).
	config := &conf.Config{MaxNodes: maxNodes, Functions: plainFunctions}
	tree, err := new(parser.Parser).Parse(text, config)
	if err == nil && !lexed {
		err = &file.Error{Message: "unexpected token EOF", Location: file.Location{From: t.runes()}}
	}
	if err != nil {
		var e *file.Error
		if !errors.As(err, &e) {
			e = &file.Error{Message: err.Error()}
		}
		return nil, []Problem{t.translate(e)}
	}
	t.root = tree.Node
	w := syntaxWalk{tree: t, seen: map[ast.Node]bool{}}
	w.walk(t.root, 0)
	if len(w.problems) > 0 {
		return nil, inOrder(w.problems)
	}
	return t, nil
}

// inOrder sorts problems by their place.
func inOrder(ps []Problem) []Problem {
	slices.SortStableFunc(ps, func(a, b Problem) int { return a.Start - b.Start })
	return ps
}

// plainFunctions is what the parser shall not treat as a function with a
// predicate: Expr's ordinary functions, and count, which is an aggregate.
var plainFunctions = func() conf.FunctionsTable {
	table := conf.FunctionsTable{"count": &builtin.Function{Name: "count"}}
	for name, f := range conf.CreateNew().Builtins {
		if !f.Predicate {
			table[name] = f
		}
	}
	return table
}()

// lex fills the tokens and brackets; false means that the text ends in the
// middle of a token or holds a character that belongs to none.
func (t *Tree) lex() bool {
	l := lexer.New()
	l.Reset(file.NewSource(t.text))
	for {
		token, err := l.Next()
		if err != nil || token.Kind == lexer.EOF {
			t.matchBrackets()
			return err == nil
		}
		t.tokens = append(t.tokens, token)
	}
}

// foreignTokens finds what the parser would read as something else: ${…} as a
// map behind a name, ::f() as f().
func (t *Tree) foreignTokens() []Problem {
	var problems []Problem
	for i, tok := range t.tokens {
		switch {
		case tok.Value == "$" && tok.Kind == lexer.Identifier && i+1 < len(t.tokens) &&
			t.tokens[i+1].Is(lexer.Bracket, "{") && t.tokens[i+1].From == tok.To:
			problems = append(problems, Problem{
				Code: "bad-expression", Message: "environment variables are not replaced inside an expression",
				Start: tok.From, End: t.closingBrace(i + 1),
			})
		case tok.Is(lexer.Operator, "::"):
			problems = append(problems, Problem{
				Code: "bad-expression", Message: `unexpected "::"`, Hint: "write the name of the function alone",
				Start: tok.From, End: tok.To,
			})
		case tok.Is(lexer.Identifier, "$env"):
			problems = append(problems, Problem{
				Code: "bad-expression", Message: "$env is not offered",
				Hint: "fields are bare names, the whole value is $value", Start: tok.From, End: tok.To,
			})
		}
	}
	return problems
}

// closingBrace is the rune offset behind the brace that closes token i.
func (t *Tree) closingBrace(i int) int {
	if m := t.match[i]; m >= 0 {
		return t.tokens[m].To
	}
	if at := strings.IndexByte(t.text[t.offsets[t.tokens[i].From]:], '}'); at >= 0 {
		return t.tokens[i].From + len([]rune(t.text[t.offsets[t.tokens[i].From]:][:at+1]))
	}
	return t.runes()
}

// syntaxWalk finds what the grammar allows and the language does not.
type syntaxWalk struct {
	tree     *Tree
	seen     map[ast.Node]bool // the parser shares the middle of a < b < c
	problems []Problem
}

func (w *syntaxWalk) report(n ast.Node, message, hint string) {
	start, end := nameSpan(n)
	w.problems = append(w.problems, Problem{Code: "bad-expression", Message: message, Hint: hint, Start: start, End: end})
}

func (w *syntaxWalk) walk(n ast.Node, predicates int) {
	if n == nil || w.seen[n] {
		return
	}
	w.seen[n] = true
	switch n := n.(type) {
	case *ast.CallNode:
		w.call(n)
	case *ast.BuiltinNode:
		if hint, ok := notOffered[n.Name]; ok {
			w.report(n, n.Name+" is not offered", hint)
			return
		}
	case *ast.SequenceNode:
		w.sequence(n)
	case *ast.PredicateNode:
		if predicates++; predicates > maxPredicates {
			w.report(n, fmt.Sprintf("predicates are nested more than %d deep", maxPredicates), "")
			return
		}
	}
	for _, child := range children(n) {
		w.walk(child, predicates)
	}
}

func (w *syntaxWalk) call(n *ast.CallNode) {
	switch callee := n.Callee.(type) {
	case *ast.IdentifierNode:
		if hint, ok := notOffered[callee.Value]; ok {
			w.report(n, callee.Value+" is not offered", hint)
		}
	case *ast.MemberNode:
		name, _ := callee.Property.(*ast.StringNode)
		w.report(n, "values have no methods", w.methodHint(callee, name, n.Arguments))
	}
}

// methodHint rewrites x.f(y) as a call, and as a pipe.
func (w *syntaxWalk) methodHint(callee *ast.MemberNode, name *ast.StringNode, args []ast.Node) string {
	if name == nil {
		return ""
	}
	object := w.tree.source(callee.Node)
	rest := make([]string, len(args))
	for i, a := range args {
		rest[i] = w.tree.source(a)
	}
	call := fmt.Sprintf("%s(%s)", name.Value, strings.Join(append([]string{object}, rest...), ", "))
	return fmt.Sprintf("write %s, or %s | %s(%s)", call, object, name.Value, strings.Join(rest, ", "))
}

func (w *syntaxWalk) sequence(n *ast.SequenceNode) {
	at := w.tree.firstToken(n.Nodes[1])
	for at > 0 && !w.tree.tokens[at].Is(lexer.Operator, ";") {
		at--
	}
	tok := w.tree.tokens[at]
	w.problems = append(w.problems, Problem{
		Code: "bad-expression", Message: `unexpected ";"`, Hint: "an expression has one value; ; stands only behind let x = …",
		Start: tok.From, End: tok.To,
	})
}

// notOffered holds Expr's functions that the language leaves out, with what to
// use instead.
var notOffered = map[string]string{
	"groupBy":    "use key_by and aggregate",
	"reduce":     "use sum, min, max, map or filter",
	"splitAfter": "use split",
	"hasPrefix":  "write a startsWith b",
	"hasSuffix":  "write a endsWith b",
	"timezone":   "functions of time take the name of a time zone as their last argument",
	"toPairs":    "use keys and values",
	"fromPairs":  "write the map: {name: value}",
	"bitand":     "",
	"bitor":      "",
	"bitxor":     "",
	"bitnand":    "",
	"bitnot":     "",
	"bitshl":     "",
	"bitshr":     "",
	"bitushr":    "",
}

// children lists the direct parts of a node.
func children(n ast.Node) []ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []ast.Node{n.Node}
	case *ast.BinaryNode:
		return []ast.Node{n.Left, n.Right}
	case *ast.ChainNode:
		return []ast.Node{n.Node}
	case *ast.MemberNode:
		return []ast.Node{n.Node, n.Property}
	case *ast.SliceNode:
		return []ast.Node{n.Node, n.From, n.To}
	case *ast.CallNode:
		return append([]ast.Node{n.Callee}, n.Arguments...)
	case *ast.BuiltinNode:
		return n.Arguments
	case *ast.PredicateNode:
		return []ast.Node{n.Node}
	case *ast.ConditionalNode:
		return []ast.Node{n.Cond, n.Exp1, n.Exp2}
	case *ast.VariableDeclaratorNode:
		return []ast.Node{n.Value, n.Expr}
	case *ast.SequenceNode:
		return n.Nodes
	case *ast.ArrayNode:
		return n.Nodes
	case *ast.MapNode:
		return n.Pairs
	case *ast.PairNode:
		return []ast.Node{n.Key, n.Value}
	}
	return nil
}
