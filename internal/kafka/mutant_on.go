//go:build harness

package kafka

import "os"

// mutant reports whether the bug named by KSTREAM_MUTANT is switched on.
func mutant(name string) bool { return os.Getenv("KSTREAM_MUTANT") == name }
