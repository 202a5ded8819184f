package topology

import (
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"
)

// order is what records are ordered by: one expression or a list, each with asc
// or desc behind it. The entries are named by that word.
func (l *loader) order(n *yaml.Node, s *shape, v *value) ([]NamedExpr, bool) {
	items := []*yaml.Node{n}
	if n.Kind == yaml.SequenceNode {
		items = n.Content
	}
	if len(items) == 0 {
		l.fail(v.at, "missing-value", v.path, quote(v.name)+" is an empty list", "")
		return nil, false
	}
	var out []NamedExpr
	ok := true
	for i, c := range items {
		c = deref(c)
		item := v
		if n.Kind == yaml.SequenceNode {
			item = &value{path: fmt.Sprintf("%s/%d", v.path, i), node: c, at: l.nodeSpan(c), keyAt: l.nodeSpan(c)}
		}
		e := l.orderItem(c, s, item)
		ok = ok && e.Expr != nil
		out = append(out, e)
	}
	return out, ok
}

func (l *loader) orderItem(n *yaml.Node, s *shape, v *value) NamedExpr {
	if !l.tagged(n, v, s) || !l.present(n, v, s) {
		return NamedExpr{}
	}
	if n.Kind != yaml.ScalarNode {
		l.wrongType(n, &shape{form: formExpr}, v)
		return NamedExpr{}
	}
	text, word := cutDirection(n.Value)
	return NamedExpr{Name: word, At: v.at, Expr: l.expressionOf(n, text, v, placeCode)}
}

// cutDirection takes asc or desc off the end of an expression.
func cutDirection(text string) (string, string) {
	trimmed := strings.TrimRight(text, " \t\n")
	for _, word := range []string{"asc", "desc"} {
		rest, ok := strings.CutSuffix(trimmed, word)
		if before := strings.TrimRight(rest, " \t\n"); ok && before != rest && before != "" {
			return before, word
		}
	}
	return text, "asc"
}
