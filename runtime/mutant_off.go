//go:build !harness

package runtime

import "kstream/checkpoint"

// mutant reports whether the named bug is switched on; only test builds have any.
func mutant(string) bool { return false }

// failpoints kill the process at named steps; only test builds have any.
type failpoints struct{}

func newFailpoints(func(string)) *failpoints { return nil }

func (*failpoints) after(string)  {}
func (*failpoints) before(string) {}

func (*failpoints) remember(*checkpoint.Record)                    {}
func (*failpoints) recall(r *checkpoint.Record) *checkpoint.Record { return r }
