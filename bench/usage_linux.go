package main

import "syscall"

// maxRSS reads the peak from the kernel's accounting, which counts KiB here.
func maxRSS(usage any) int64 {
	if u, ok := usage.(*syscall.Rusage); ok {
		return u.Maxrss << 10
	}
	return 0
}
