//go:build !harness

package state

// mutant reports whether a deliberate fault is switched on. Release builds have
// none.
func mutant(string) bool { return false }
