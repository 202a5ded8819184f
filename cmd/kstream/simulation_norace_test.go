//go:build harness && !race

package main

const slowness = 1
