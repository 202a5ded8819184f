//go:build harness

package main

import (
	"os"
	"runtime/pprof"
)

// startProfile writes a CPU profile to the file that KSTREAM_CPUPROFILE names.
func startProfile() (stop func()) {
	path := os.Getenv("KSTREAM_CPUPROFILE")
	if path == "" {
		return func() {}
	}
	f, err := os.Create(path)
	if err != nil {
		panic(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		panic(err)
	}
	return func() {
		pprof.StopCPUProfile()
		f.Close()
	}
}
