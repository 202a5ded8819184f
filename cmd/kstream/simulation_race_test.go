//go:build harness && race

package main

// slowness is how many times fewer seeds run: the race detector is slow.
const slowness = 6
