package structure

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// imports checks the layers and where modules from outside enter. Tests may
// import anything: they put parts together that never meet otherwise.
func imports(f *file, rows map[string]Package) []string {
	if f.test {
		return nil
	}
	row, ok := rows[f.pkg]
	if !ok {
		return []string{fmt.Sprintf("%s: package %s is not in the table of internal/structure", f.path, f.pkg)}
	}
	var bad []string
	for _, p := range f.imports {
		switch inner, ours := strings.CutPrefix(p, module+"/"); {
		case ours:
			to, ok := rows[inner]
			sameTool := row.Layer > 6 && to.Layer == row.Layer
			if !ok || to.Layer >= row.Layer && !sameTool {
				bad = append(bad, fmt.Sprintf("%s: %s (layer %d) imports %s (layer %d)", f.path, f.pkg, row.Layer, inner, to.Layer))
			}
		case strings.Contains(strings.SplitN(p, "/", 2)[0], "."):
			if !slices.ContainsFunc(row.Modules, func(m string) bool { return p == m || strings.HasPrefix(p, m+"/") }) {
				bad = append(bad, fmt.Sprintf("%s: %s does not enter through %s", f.path, p, f.pkg))
			}
		}
	}
	return bad
}

// bannedImports are what a pure layer must not see. The store needs some for
// Pebble.
func bannedImports(path, pkg string) bool {
	if pkg == "state" {
		return path == "net" || strings.HasPrefix(path, "net/")
	}
	switch path {
	case "os", "net", "sync", "crypto/rand":
		return true
	}
	return strings.HasPrefix(path, "os/") || strings.HasPrefix(path, "net/") || strings.HasPrefix(path, "sync/")
}

// clockCalls read or wait for a clock.
var clockCalls = regexp.MustCompile(`^time\.(Now|Since|Until|Sleep|After|AfterFunc|Tick|NewTimer|NewTicker)$`)

// globalRandom draws from the process's generator, which no seed repeats.
var globalRandom = regexp.MustCompile(`^rand\.(Int|Uint|Float|Perm|Shuffle|Norm|Exp|N$|Read|Text)`)

// pure checks that layers below the shell have no clock, goroutine, file,
// socket or chance of their own.
func pure(f *file, rows map[string]Package) []string {
	row, ok := rows[f.pkg]
	if f.test || !ok || row.Layer >= Shell {
		return nil
	}
	var bad []string
	for _, p := range f.imports {
		if bannedImports(p, f.pkg) {
			bad = append(bad, fmt.Sprintf("%s: a pure layer imports %s", f.path, p))
		}
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			if f.pkg != "state" {
				bad = append(bad, fmt.Sprintf("%s:%d: a pure layer starts a goroutine", f.path, f.line(n)))
			}
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil {
				if call := x.Name + "." + n.Sel.Name; clockCalls.MatchString(call) || f.pkg != "state" && globalRandom.MatchString(call) {
					bad = append(bad, fmt.Sprintf("%s:%d: a pure layer uses %s", f.path, f.line(n), call))
				}
			}
		}
		return true
	})
	return bad
}

// length of a function in lines, from "func" to its closing brace.
func length(f *file, d *ast.FuncDecl) int {
	return f.fset.Position(d.End()).Line - f.fset.Position(d.Pos()).Line + 1
}

// sizes checks functions and files.
func sizes(f *file) []string {
	var bad []string
	limit := FileMax
	if f.test {
		limit = TestFileMax
	}
	if f.lines > limit {
		bad = append(bad, fmt.Sprintf("%s: %d lines, the limit is %d", f.path, f.lines, limit))
	}
	for _, d := range f.tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if fn.Name.Name == "init" && fn.Recv == nil {
			bad = append(bad, fmt.Sprintf("%s:%d: func init", f.path, f.line(fn)))
		}
		if n := length(f, fn); !f.test && n > FunctionMax {
			bad = append(bad, fmt.Sprintf("%s:%d: %s has %d lines, the limit is %d", f.path, f.line(fn), fn.Name.Name, n, FunctionMax))
		}
	}
	return bad
}

// bannedNames say nothing about what is inside.
var bannedNames = []string{"util", "utils", "common", "types", "manager", "helper", "helpers", "misc"}

// words checks names and leftovers.
func words(f *file) []string {
	var bad []string
	if slices.Contains(bannedNames, strings.TrimSuffix(f.name, "_test")) {
		bad = append(bad, fmt.Sprintf("%s: package %s", f.path, f.name))
	}
	for i, line := range strings.Split(string(f.text), "\n") {
		if leftover.MatchString(line) {
			bad = append(bad, fmt.Sprintf("%s:%d: a leftover: %s", f.path, i+1, strings.TrimSpace(line)))
		}
		if f.test && skips.MatchString(line) {
			bad = append(bad, fmt.Sprintf("%s:%d: a test that skips itself", f.path, i+1))
		}
	}
	return bad
}

var (
	leftover = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	skips    = regexp.MustCompile(`\bt\.Skip` + `(f|Now)?\(`)
)

// globals returns the variables of the package level of a file.
func globals(f *file) []string {
	var names []string
	for _, d := range f.tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
			for _, s := range g.Specs {
				for _, n := range s.(*ast.ValueSpec).Names {
					names = append(names, n.Name)
				}
			}
		}
	}
	return names
}

// changes finds assignments to variables of the package level. A name that is
// declared in the function hides them and is resolved by the parser.
func changes(f *file, global map[string]bool) []string {
	var bad []string
	report := func(e ast.Expr) {
		id := base(e)
		if id == nil || !global[id.Name] {
			return
		}
		if id.Obj != nil {
			spec, ok := id.Obj.Decl.(*ast.ValueSpec)
			if !ok || !topLevel(f, spec) {
				return
			}
		}
		bad = append(bad, fmt.Sprintf("%s:%d: the package variable %s changes", f.path, f.line(id), id.Name))
	}
	ast.Inspect(f.tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				for _, e := range n.Lhs {
					report(e)
				}
			}
		case *ast.IncDecStmt:
			report(n.X)
		}
		return true
	})
	return bad
}

// base is the variable an assignment to e changes: x of x, x[i] and x.f.
func base(e ast.Expr) *ast.Ident {
	switch e := e.(type) {
	case *ast.Ident:
		return e
	case *ast.IndexExpr:
		return base(e.X)
	case *ast.SelectorExpr:
		return base(e.X)
	case *ast.ParenExpr:
		return base(e.X)
	}
	return nil
}

func topLevel(f *file, spec *ast.ValueSpec) bool {
	for _, d := range f.tree.Decls {
		if g, ok := d.(*ast.GenDecl); ok && slices.Contains(g.Specs, ast.Spec(spec)) {
			return true
		}
	}
	return false
}
