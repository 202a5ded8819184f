package expr

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func listFunctions() map[string]*function {
	elem, list := elementOfFirst, sameAs(0)
	return map[string]*function{
		"len":    {sig: "len(x)", params: "L", result: fixed(intType), nulls: true, f1: length},
		"min":    {sig: "min(list), min(a, b, …)", params: "x?x*", result: extremeType, nulls: true, build: buildExtreme},
		"max":    {sig: "max(list), max(a, b, …)", params: "x?x*", result: extremeType, nulls: true, build: buildExtreme},
		"mean":   {sig: "mean(list)", params: "l", result: meanType, f1: mean},
		"median": {sig: "median(list)", params: "l", result: meanType, f1: median},
		"first":  {sig: "first(list)", params: "l", result: elem, f1: first},
		"last":   {sig: "last(list)", params: "l", result: elem, f1: last},
		"take":   {sig: "take(list, n)", params: "li", result: list, f2: take},
		"sort":   {sig: "sort(list[, \"desc\"])", params: "l?t", result: list, f2: sortList},
		"reverse": {sig: "reverse(x)", params: "r", result: list,
			f1: reverse},
		"uniq":    {sig: "uniq(list)", params: "l", result: list, f1: uniq},
		"flatten": {sig: "flatten(list)", params: "l", result: flatType, f1: flatten},
		"concat":  {sig: "concat(list, list, …)", params: "ll*", result: common, fn: concat},
		"zip":     {sig: "zip(a, b)", params: "ll", result: zipType, f2: zip},
	}
}

func length(e *Env, v record.Value) record.Value {
	switch {
	case v.IsNull():
		return record.Int(0)
	case v.Kind() == record.KindString:
		return record.Int(int64(utf8.RuneCountInString(v.Text())))
	case v.Kind() == record.KindBytes:
		return record.Int(int64(len(v.Raw())))
	case v.IsList():
		return record.Int(int64(len(listOf(e, v))))
	}
	return record.Int(int64(len(objectOf(e, v).Names)))
}

// extremeType is for min and max of a list, or of two or more values.
func extremeType(args []*operand) record.Type {
	if len(args) == 1 {
		return widened(elemOf(args[0].typ))
	}
	return common(args)
}

func buildExtreme(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	name, direction := "min", -1
	if strings.HasPrefix(f.sig, "max") {
		name, direction = "max", 1
	}
	if len(args) == 1 {
		if cl := args[0].class(); cl != listClass && !cl.open() {
			hint := ""
			if c.agg != nil {
				hint = "an aggregate cannot contain another one"
			}
			return c.mismatch(n, hint, "%s needs a list, or two or more values; %s", name, c.is(args[0]))
		}
	} else if !c.compatible(n, name, args) {
		return c.badOperand(n)
	}
	args = agree(args)
	g := *f
	g.fn = func(e *Env, vs []record.Value) record.Value {
		if len(args) > 1 {
			return extreme(e, vs, direction)
		}
		switch {
		case vs[0].IsNull():
			return vs[0]
		case !vs[0].IsList():
			return e.fail("%s needs a list, or two or more values, found %s", name, vs[0].TypeName())
		}
		list := listOf(e, vs[0])
		if !e.spend(len(list)) {
			return record.Null
		}
		return extreme(e, list, direction)
	}
	return c.plainCall(&g, n, args)
}

// buildOrdered is for least and greatest.
func buildOrdered(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	if !c.compatible(n, f.sig[:strings.IndexByte(f.sig, '(')], args) {
		return c.badOperand(n)
	}
	return c.plainCall(f, n, agree(args))
}

// agree gives literals and ints the type of the other values.
func agree(args []*operand) []*operand {
	out := slices.Clone(args)
	for i := range out {
		for j := range out {
			out[i], out[j] = adapt(out[i], out[j])
		}
	}
	t := common(out)
	for i := range out {
		out[i] = convert(out[i], t)
	}
	return out
}

// compatible reports values that can never be compared.
func (c *compiler) compatible(n ast.Node, name string, args []*operand) bool {
	for _, a := range args {
		if !a.class().ordered() || !comparable(args[0].typ, a.typ) {
			c.mismatch(n, "", "%s needs values that can be compared, %s and %s", name, c.is(args[0]), c.is(a))
			return false
		}
	}
	return true
}

func meanType(args []*operand) record.Type {
	switch elem := elemOf(args[0].typ); classOf(elem) {
	case intClass, floatClass:
		return floatType
	case decimalClass:
		return decimalType
	case durationClass:
		return durationType
	}
	return record.Any
}

// present is the elements that are not null, charged for.
func present(e *Env, list record.Value) []record.Value {
	all := listOf(e, list)
	if !e.spend(len(all)) {
		return nil
	}
	out := make([]record.Value, 0, len(all))
	for _, v := range all {
		if !v.IsNull() {
			out = append(out, v)
		}
	}
	return out
}

func mean(e *Env, list record.Value) record.Value {
	vs := present(e, list)
	if len(vs) == 0 {
		return record.Null
	}
	total := record.Null
	for _, v := range vs {
		total = plus(e, total, v)
	}
	return arith(e, '/', total, record.Int(int64(len(vs))))
}

// median is the middle element, or the mean of the two in the middle.
func median(e *Env, list record.Value) record.Value {
	vs := present(e, list)
	if len(vs) == 0 {
		return record.Null
	}
	for _, v := range vs {
		if !isNumber(v) && v.Kind() != record.KindDuration {
			return e.fail("median needs numbers, found %s", v.TypeName())
		}
	}
	v := sorted(e, vs, vs, false)
	if v.IsNull() {
		return v
	}
	s := v.Elems()
	sum := s[(len(s)-1)/2]
	if len(s)%2 == 0 {
		sum = arith(e, '+', sum, s[len(s)/2])
	} else {
		sum = arith(e, '+', sum, sum)
	}
	return arith(e, '/', sum, record.Int(2))
}

func first(e *Env, list record.Value) record.Value {
	return elementOrNull(listOf(e, list), min(0, len(listOf(e, list))-1))
}

func last(e *Env, list record.Value) record.Value {
	elems := listOf(e, list)
	return elementOrNull(elems, len(elems)-1)
}

func take(e *Env, list, n record.Value) record.Value {
	elems := listOf(e, list)
	k := min(max(n.Int(), 0), int64(len(elems)))
	return record.List(elems[:k:k])
}

func sortList(e *Env, list, order record.Value) record.Value {
	elems := listOf(e, list)
	if !e.list(len(elems)) {
		return record.Null
	}
	if o := order.Text(); !order.IsNull() && o != "asc" && o != "desc" {
		return e.fail("the order is \"asc\" or \"desc\", found %q", clip(o))
	}
	return sorted(e, elems, elems, !order.IsNull() && order.Text() == "desc")
}

func reverse(e *Env, v record.Value) record.Value {
	if v.Kind() == record.KindString {
		return reverseText(e, v)
	}
	elems := listOf(e, v)
	if !e.list(len(elems)) {
		return record.Null
	}
	out := slices.Clone(elems)
	slices.Reverse(out)
	return record.List(out)
}

func reverseText(e *Env, v record.Value) record.Value {
	s := v.Text()
	out := e.text(len(s))
	if out == nil {
		return record.Null
	}
	end := len(s)
	for i := 0; i < len(s); {
		_, n := utf8.DecodeRuneInString(s[i:])
		end -= n
		copy(out[end:], s[i:i+n])
		i += n
	}
	return record.StringBytes(out)
}

// uniq keeps the first of equal elements. Texts and ints are found in a set,
// other values are compared one by one and charged for.
func uniq(e *Env, list record.Value) record.Value {
	var out, others []record.Value
	texts, ints := map[string]bool{}, map[int64]bool{}
	for _, v := range listOf(e, list) {
		if !e.spend(1) {
			return record.Null
		}
		seen := false
		switch v.Kind() {
		case record.KindString:
			seen = texts[v.Text()]
			texts[v.Text()] = true
		case record.KindInt:
			seen = ints[v.Int()]
			ints[v.Int()] = true
			seen = seen || containsEqual(e, others, v)
		default:
			if seen = containsEqual(e, others, v) || isNumber(v) && containsEqual(e, out, v); !seen {
				others = append(others, v)
			}
		}
		if !seen {
			out = append(out, v)
		}
	}
	if !e.list(len(out)) {
		return record.Null
	}
	return record.List(out)
}

func containsEqual(e *Env, list []record.Value, v record.Value) bool {
	if !e.spend(len(list)) {
		return false
	}
	for _, x := range list {
		if equal(e, x, v) {
			return true
		}
	}
	return false
}

func flatType(args []*operand) record.Type {
	t := elemOf(args[0].typ)
	for t.Kind == record.TypeList {
		t = elemOf(t)
	}
	return record.ListOf(t)
}

func flatten(e *Env, list record.Value) record.Value {
	out := appendFlat(e, nil, list)
	if !e.list(len(out)) {
		return record.Null
	}
	return record.List(out)
}

func appendFlat(e *Env, out []record.Value, list record.Value) []record.Value {
	for _, v := range listOf(e, list) {
		if !e.spend(1) {
			return out
		}
		if v.IsList() {
			out = appendFlat(e, out, v)
		} else {
			out = append(out, v)
		}
	}
	return out
}

func concat(e *Env, lists []record.Value) record.Value {
	var out []record.Value
	for _, l := range lists {
		elems := listOf(e, l)
		if !e.list(len(out) + len(elems)) {
			return record.Null
		}
		out = append(out, elems...)
	}
	return record.List(out)
}

func zipType(args []*operand) record.Type {
	return record.ListOf(record.ListOf(unify(elemOf(args[0].typ), elemOf(args[1].typ))))
}

// zip pairs the elements of two lists, as many as the shorter one has.
func zip(e *Env, a, b record.Value) record.Value {
	x, y := listOf(e, a), listOf(e, b)
	n := min(len(x), len(y))
	if !e.list(2 * n) {
		return record.Null
	}
	out := make([]record.Value, n)
	for i := range out {
		out[i] = record.List([]record.Value{x[i], y[i]})
	}
	return record.List(out)
}

func mapFunctions() map[string]*function {
	return map[string]*function{
		"get":    {sig: "get(x, key)", params: "cx", result: elementOfFirst, f2: get},
		"keys":   {sig: "keys(m)", params: "m", result: fixed(record.ListOf(textType)), f1: keys},
		"values": {sig: "values(m)", params: "m", result: func(args []*operand) record.Type { return record.ListOf(elemOf(args[0].typ)) }, f1: values},
		"has":    {sig: "has(m, key)", params: "mt", result: fixed(boolType), f2: has},
		"merge":  {sig: "merge(a, b)", params: "mm", result: mergeType, f2: merge},
	}
}

// objectOf is the fields of an object in either form, charged for if they have
// to be read.
func objectOf(e *Env, v record.Value) *record.Object {
	if v.Kind() == record.KindJSON && !e.spend(len(v.Raw())/costPerText) {
		return &record.Object{}
	}
	return record.JSONFields(v, e.Arena)
}

func get(e *Env, in, key record.Value) record.Value {
	if in.IsList() && key.Kind() == record.KindInt {
		elems := listOf(e, in)
		i := key.Int()
		if i < 0 {
			i += int64(len(elems))
		}
		if i < 0 || i >= int64(len(elems)) {
			return record.Null
		}
		return elems[i]
	}
	return element1(e, in, key)
}

// byName is the order of the sorted keys.
func byName(o *record.Object) []int {
	order := make([]int, len(o.Names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return strings.Compare(o.Names[i], o.Names[j]) })
	return order
}

func keys(e *Env, m record.Value) record.Value {
	o := objectOf(e, m)
	if !e.list(len(o.Names)) {
		return record.Null
	}
	out := make([]record.Value, len(o.Names))
	for i, k := range byName(o) {
		out[i] = record.String(o.Names[k])
	}
	return record.List(out)
}

func values(e *Env, m record.Value) record.Value {
	o := objectOf(e, m)
	if !e.list(len(o.Names)) {
		return record.Null
	}
	out := make([]record.Value, len(o.Names))
	for i, k := range byName(o) {
		out[i] = o.Values[k]
	}
	return record.List(out)
}

func has(e *Env, m, key record.Value) record.Value {
	_, ok := record.JSONField(m, key.Text(), e.Arena)
	return record.Bool(ok)
}

func mergeType(args []*operand) record.Type {
	a, b := args[0].typ, args[1].typ
	if a.Kind != record.TypeObject || b.Kind != record.TypeObject {
		elem := record.Any
		if a.Kind == record.TypeMap && b.Kind == record.TypeMap {
			elem = unify(*a.Elem, *b.Elem)
		}
		return record.Type{Kind: record.TypeMap, Elem: &elem}
	}
	t := record.Type{Kind: record.TypeObject, Fields: slices.Clone(a.Fields)}
	for _, f := range b.Fields {
		i := slices.IndexFunc(t.Fields, func(g record.Field) bool { return g.Name == f.Name })
		if i >= 0 {
			t.Fields[i] = f
		} else {
			t.Fields = append(t.Fields, f)
		}
	}
	return t
}

func merge(e *Env, a, b record.Value) record.Value {
	x, y := objectOf(e, a), objectOf(e, b)
	if !e.list(len(x.Names) + len(y.Names)) {
		return record.Null
	}
	out := &record.Object{Names: slices.Clone(x.Names), Values: slices.Clone(x.Values)}
	for i, name := range y.Names {
		if !e.spend(len(out.Names) / costPerText) {
			return record.Null
		}
		out.Set(name, y.Values[i])
	}
	return record.ObjectOf(out)
}
