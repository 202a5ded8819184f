package broker

import "syscall"

// childAttr ends the child when the test dies, also by a time-out that runs no
// cleanup, and keeps the terminal's ^C from it.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
