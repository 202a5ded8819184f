//go:build !harness

package kafka

// mutant reports whether the named bug is switched on; only test builds have any.
func mutant(string) bool { return false }
