//go:build !linux

package main

import "time"

var began = time.Now()

// threadTime is wall time here.
func threadTime() time.Duration { return time.Since(began) }

// maxRSS is not known here.
func maxRSS(any) int64 { return 0 }
