package expr

import (
	"slices"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

// predicateFunction is a function whose last argument is evaluated once per
// element of the list before it.
type predicateFunction struct {
	sig       string
	needsBool bool // the predicate is a condition
	optional  bool // it may be missing
	order     bool // a third argument "asc" or "desc" may follow
	result    func(list, body record.Type) record.Type
	run       func(l *loop, e *Env, list []record.Value) record.Value
}

// loop is a predicate ready to run over a list.
type loop struct {
	body         func(*Env) record.Value
	cond         func(*Env) bool
	value, index int // locals of # and #index
	cost         int // of one round
	descending   bool
}

// at prepares round i and reports whether the evaluation may go on.
func (l *loop) at(e *Env, i int, v record.Value) bool {
	if !e.spend(l.cost) {
		return false
	}
	e.locals[l.value], e.locals[l.index] = v, record.Int(int64(i))
	return true
}

func boolResult(_, _ record.Type) record.Type { return boolType }
func intResult(_, _ record.Type) record.Type  { return intType }
func listResult(list, _ record.Type) record.Type {
	return record.ListOf(elemOf(list))
}
func elemResult(list, _ record.Type) record.Type { return nullable(elemOf(list)) }

// predicateFunctions are the functions the grammar itself knows.
var predicateFunctions = map[string]predicateFunction{
	"all":  {sig: "all(list, condition)", needsBool: true, result: boolResult, run: (*loop).all},
	"any":  {sig: "any(list, condition)", needsBool: true, result: boolResult, run: (*loop).any},
	"none": {sig: "none(list, condition)", needsBool: true, result: boolResult, run: (*loop).none},
	"one":  {sig: "one(list, condition)", needsBool: true, result: boolResult, run: (*loop).one},
	"filter": {sig: "filter(list, condition)", needsBool: true, result: listResult,
		run: (*loop).filter},
	"map": {sig: "map(list, expr)", run: (*loop).mapTo,
		result: func(_, body record.Type) record.Type { return record.ListOf(body) }},
	"find":          {sig: "find(list, condition)", needsBool: true, result: elemResult, run: (*loop).find},
	"findLast":      {sig: "findLast(list, condition)", needsBool: true, result: elemResult, run: (*loop).findLast},
	"findIndex":     {sig: "findIndex(list, condition)", needsBool: true, result: intResult, run: (*loop).findIndex},
	"findLastIndex": {sig: "findLastIndex(list, condition)", needsBool: true, result: intResult, run: (*loop).findLastIndex},
	"sum": {sig: "sum(list[, expr])", optional: true, run: (*loop).sum,
		result: func(_, body record.Type) record.Type { return widened(body) }},
	"sortBy": {sig: "sortBy(list, expr[, \"desc\"])", order: true, result: listResult, run: (*loop).sortBy},
}

func (c *compiler) predicateCall(n ast.Node, name string, f predicateFunction, args []ast.Node) *operand {
	if len(args) == 0 || len(args) == 1 && !f.optional {
		return c.mismatch(n, "", "%s takes 2 arguments, found %d", f.sig, len(args))
	}
	list := c.compile(args[0])
	cl := list.class()
	if !list.bad && cl != listClass && !cl.open() {
		list = c.mismatchSpan(args[0], "", "%s needs a list, %s", name, c.is(list))
	}
	l := &loop{value: c.newLocal(), index: c.newLocal(), cost: 1}
	body := c.predicateBody(l, list, args)
	ok := true
	if f.order && len(args) > 2 {
		l.descending, ok = c.direction(args[2])
	}
	if list.bad || body.bad || !ok {
		return c.badOperand(n)
	}
	bc := body.class()
	switch {
	case f.needsBool && bc != boolClass && !bc.open():
		return c.mismatchSpan(body.node, "", "%s needs true or false, %s", name, c.is(body))
	case name == "sum" && !bc.number() && bc != durationClass && !bc.open():
		return c.mismatchSpan(body.node, "", "sum needs numbers, %s", c.is(body))
	}
	l.body = body.eval
	if f.needsBool {
		l.cond = body.truth(name)
	}
	eval, run := list.eval, f.run
	return &operand{node: n, typ: f.result(list.typ, body.typ), eval: func(e *Env) record.Value {
		v := eval(e)
		if v.IsNull() {
			return v
		}
		if !v.IsList() {
			return e.fail("%s needs a list, found %s", name, v.TypeName())
		}
		return run(l, e, listOf(e, v))
	}}
}

// predicateBody compiles what is evaluated per element; without it that is the
// element itself.
func (c *compiler) predicateBody(l *loop, list *operand, args []ast.Node) *operand {
	el := element{value: l.value, index: l.index, typ: elemOf(list.typ)}
	if len(args) < 2 {
		o := readLocal(args[0], el.typ, el.value)
		o.bad = list.bad
		return o
	}
	node := args[1].(*ast.PredicateNode).Node
	l.cost += countNodes(node, map[ast.Node]bool{})
	c.elements = append(c.elements, el)
	body := c.compile(node)
	c.elements = c.elements[:len(c.elements)-1]
	return body
}

func countNodes(n ast.Node, seen map[ast.Node]bool) int {
	if n == nil || seen[n] {
		return 0
	}
	seen[n] = true
	count := 1
	for _, child := range children(n) {
		count += countNodes(child, seen)
	}
	return count
}

// direction reads a constant "asc" or "desc".
func (c *compiler) direction(n ast.Node) (descending, ok bool) {
	o := c.compile(n)
	if o.bad {
		return false, false
	}
	if o.konst && o.value.Kind() == record.KindString {
		switch o.value.Text() {
		case "asc":
			return false, true
		case "desc":
			return true, true
		}
	}
	start, end := c.tree.span(n)
	c.problem("bad-value", start, end, "", "the order is \"asc\" or \"desc\"")
	return false, false
}

// search gives the place of the first or last element for which the predicate
// gives want, -1 if there is none.
func (l *loop) search(e *Env, list []record.Value, want bool) int {
	for i, v := range list {
		if !l.at(e, i, v) {
			return -1
		}
		if l.cond(e) == want {
			return i
		}
	}
	return -1
}

func (l *loop) searchBack(e *Env, list []record.Value) int {
	for i := len(list) - 1; i >= 0; i-- {
		if !l.at(e, i, list[i]) {
			return -1
		}
		if l.cond(e) {
			return i
		}
	}
	return -1
}

func (l *loop) all(e *Env, list []record.Value) record.Value {
	return record.Bool(l.search(e, list, false) < 0)
}

func (l *loop) any(e *Env, list []record.Value) record.Value {
	return record.Bool(l.search(e, list, true) >= 0)
}

func (l *loop) none(e *Env, list []record.Value) record.Value {
	return record.Bool(l.search(e, list, true) < 0)
}

func (l *loop) one(e *Env, list []record.Value) record.Value {
	first := l.search(e, list, true)
	return record.Bool(first >= 0 && l.searchBack(e, list) == first)
}

func (l *loop) find(e *Env, list []record.Value) record.Value {
	return elementOrNull(list, l.search(e, list, true))
}

func (l *loop) findLast(e *Env, list []record.Value) record.Value {
	return elementOrNull(list, l.searchBack(e, list))
}

func elementOrNull(list []record.Value, i int) record.Value {
	if i < 0 {
		return record.Null
	}
	return list[i]
}

func (l *loop) findIndex(e *Env, list []record.Value) record.Value {
	return indexOrNull(l.search(e, list, true))
}

func (l *loop) findLastIndex(e *Env, list []record.Value) record.Value {
	return indexOrNull(l.searchBack(e, list))
}

func indexOrNull(i int) record.Value {
	if i < 0 {
		return record.Null
	}
	return record.Int(int64(i))
}

func (l *loop) filter(e *Env, list []record.Value) record.Value {
	var out []record.Value
	for i, v := range list {
		if !l.at(e, i, v) {
			return record.Null
		}
		if l.cond(e) {
			out = append(out, v)
		}
	}
	if !e.list(len(out)) {
		return record.Null
	}
	return record.List(out)
}

func (l *loop) mapTo(e *Env, list []record.Value) record.Value {
	if !e.list(len(list)) {
		return record.Null
	}
	out := make([]record.Value, len(list))
	for i, v := range list {
		if !l.at(e, i, v) {
			return record.Null
		}
		out[i] = l.body(e)
	}
	return record.List(out)
}

func (l *loop) sum(e *Env, list []record.Value) record.Value {
	total := record.Null
	for i, v := range list {
		if !l.at(e, i, v) {
			return record.Null
		}
		total = plus(e, total, l.body(e))
	}
	if total.IsNull() {
		return record.Int(0)
	}
	return total
}

// plus adds a value to a sum that may not have begun; nulls are skipped.
func plus(e *Env, total, v record.Value) record.Value {
	switch {
	case v.IsNull():
		return total
	case !isNumber(v) && v.Kind() != record.KindDuration:
		return e.fail("sum needs numbers, found %s", v.TypeName())
	case total.IsNull():
		return v
	}
	return arith(e, '+', total, v)
}

func (l *loop) sortBy(e *Env, list []record.Value) record.Value {
	if !e.list(len(list)) {
		return record.Null
	}
	keys := make([]record.Value, len(list))
	for i, v := range list {
		if !l.at(e, i, v) {
			return record.Null
		}
		keys[i] = l.body(e)
	}
	return sorted(e, list, keys, l.descending)
}

// sorted orders list by keys, stably, nulls last.
func sorted(e *Env, list, keys []record.Value, descending bool) record.Value {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := keys[i], keys[j]
		switch {
		case !e.spend(1):
			return 0
		case a.IsNull() || b.IsNull():
			return int(boolBit(a.IsNull())) - int(boolBit(b.IsNull()))
		}
		c, ok := record.Compare(a, b)
		if !ok && !(isNumber(a) && isNumber(b)) {
			e.fail("cannot order %s and %s", a.TypeName(), b.TypeName())
		}
		if descending {
			return -c
		}
		return c
	})
	if e.err != nil {
		return record.Null
	}
	out := make([]record.Value, len(list))
	for i, k := range order {
		out[i] = list[k]
	}
	return record.List(out)
}

func boolBit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
