//go:build !linux

package broker

import "syscall"

// childAttr keeps the terminal's ^C from the child.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
