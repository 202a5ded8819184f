//go:build harness

package state

import "os"

// mutant reports whether the deliberate fault is switched on: the test that
// proves a rule must fail when the rule is broken.
func mutant(name string) bool { return os.Getenv("KSTREAM_MUTANT") == name }
