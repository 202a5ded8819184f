// Package pipelines holds the example pipelines; this test keeps each of them
// valid and shows what becomes of it.
package pipelines

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kstream/topology"
)

var rewrite = flag.Bool("rewrite", false, "write the golden plans anew")

// TestPlans compares the plan of every example with the file beside it. A file
// must not need the environment: an example works where it is copied to.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("*/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 5 {
		t.Fatalf("only %d pipelines were found", len(files))
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, plan, found := topology.Validate(file, data, topology.Options{})
			for _, d := range found {
				t.Errorf("%s:%d:%d: %s", d.File, d.Line, d.Col, d.Message)
			}
			if plan == nil {
				t.Fatal("no plan")
			}
			compare(t, strings.TrimSuffix(file, ".yaml")+".plan", plan.Text())
		})
	}
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the plan is\n%s\n%s has\n%s", got, golden, want)
	}
}

// TestReadmes: a reader of an example sees in ten lines what it does and how to
// run it.
func TestReadmes(t *testing.T) {
	dirs, err := filepath.Glob("*/pipeline.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range dirs {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(file), "README.md"))
		if err != nil {
			t.Error(err)
			continue
		}
		if n := strings.Count(string(text), "\n"); n > 12 {
			t.Errorf("the README of %s has %d lines", filepath.Dir(file), n)
		}
		if !strings.Contains(string(text), "kstream run pipelines/"+filepath.Dir(file)+"/") {
			t.Errorf("the README of %s does not say how to run it", filepath.Dir(file))
		}
	}
}
