package structure

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "kstream"

// file is one parsed Go file of the repository.
type file struct {
	path    string // slash-separated, below the root
	pkg     string // directory below the module, "" at the root
	name    string // of the package clause
	test    bool
	lines   int
	text    []byte
	tree    *ast.File
	fset    *token.FileSet
	imports []string
}

func (f *file) line(n ast.Node) int { return f.fset.Position(n.Pos()).Line }

// repository parses every Go file below the module's root.
func repository(t *testing.T) []*file {
	t.Helper()
	root := rootOf(t)
	var files []*file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(rel), text)
		if err == nil {
			files = append(files, f)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files were found", len(files))
	}
	return files
}

// parse reads one file.
func parse(path string, text []byte) (*file, error) {
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, path, text, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	f := &file{path: path, test: strings.HasSuffix(path, "_test.go"), text: text, tree: tree, fset: fset,
		name: tree.Name.Name, lines: bytes.Count(text, []byte("\n"))}
	if dir := filepath.ToSlash(filepath.Dir(path)); dir != "." {
		f.pkg = dir
	}
	for _, spec := range tree.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		f.imports = append(f.imports, p)
	}
	return f, nil
}

func rootOf(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	return root
}
