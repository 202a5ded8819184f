//go:build !linux

package state

func advise([]byte) {}
