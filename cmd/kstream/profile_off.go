//go:build !harness

package main

// startProfile writes profiles in test builds only.
func startProfile() (stop func()) { return func() {} }
