package expr

import (
	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func choiceFunctions() map[string]*function {
	return map[string]*function{
		"try":      {sig: "try(expr, default)", params: "xx", build: buildTry},
		"coalesce": {sig: "coalesce(a, b, …)", params: "xx*", build: buildCoalesce},
		"nullif":   {sig: "nullif(a, b)", params: "xx", result: sameAs(0), nulls: true, f2: nullif},
		"is_null": {sig: "is_null(x)", params: "x", result: fixed(boolType), nulls: true,
			f1: func(_ *Env, v record.Value) record.Value { return record.Bool(v.IsNull()) }},
		"type": {sig: "type(x)", params: "x", result: fixed(textType), nulls: true,
			f1: func(_ *Env, v record.Value) record.Value { return record.String(v.TypeName()) }},
	}
}

func nullif(e *Env, a, b record.Value) record.Value {
	if equal(e, a, b) {
		return record.Null
	}
	return a
}

// buildTry compiles try(expr, default): an error of expr is forgotten.
func buildTry(c *compiler, _ *function, n ast.Node, args []*operand) *operand {
	args = agree(args)
	eval, otherwise := args[0].eval, args[1].eval
	o := &operand{node: n, typ: unify(args[0].typ, args[1].typ), eval: func(e *Env) record.Value {
		before := e.err
		e.err = nil
		v := eval(e)
		failed := e.err != nil
		e.err = before
		if failed {
			return otherwise(e)
		}
		return v
	}}
	return c.fold(o, args...)
}

func buildCoalesce(c *compiler, _ *function, n ast.Node, args []*operand) *operand {
	return c.coalesce(n, args)
}

// coalesce is a ?? b, and coalesce of any number: the first value that is not
// null. Those behind it are not evaluated.
func (c *compiler) coalesce(n ast.Node, args []*operand) *operand {
	for _, a := range args {
		if a.bad {
			return c.badOperand(n)
		}
	}
	args = agree(args)
	t, required := common(args), false
	for _, a := range args {
		required = required || a.typ.Required
	}
	t.Required = required
	evals := evalsOf(args)
	o := &operand{node: n, typ: t, eval: func(e *Env) record.Value {
		v := record.Null
		for _, eval := range evals {
			if v = eval(e); !v.IsNull() {
				break
			}
		}
		return v
	}}
	if len(evals) == 2 {
		a, b := evals[0], evals[1]
		o.eval = func(e *Env) record.Value {
			if v := a(e); !v.IsNull() {
				return v
			}
			return b(e)
		}
	}
	return c.fold(o, args...)
}
