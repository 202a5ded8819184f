// Package expr is the expression language: text is parsed with the grammar of
// expr-lang/expr, checked against the names and types of a place in a pipeline,
// and compiled to closures over the slots of a row.
//
//	tree, problems := expr.Parse("amount * 1.19 > 100")
//	program, problems := expr.Compile(tree, scope, expr.Want{Type: expr.WantBool, Place: "filter"})
//	env.Begin(row)
//	if program.Cond(env) { … }
//
// Checking is complete: it reports every wrong name, function and type of an
// expression with its place in the text. What the checker has let through can
// fail at run time only for its data (overflow, division by zero, a wrong type
// in a value of type any); then the evaluation gives null and Env.Err is set.
//
// Types, null rules, functions, limits and evaluation are this package's own.
// Of expr-lang only the parser and the syntax tree are used.
package expr
