package state

import "syscall"

// madvHuge is MADV_HUGEPAGE.
const madvHuge = 14

// advise is best effort: a kernel without huge pages says no.
func advise(b []byte) { _ = syscall.Madvise(b, madvHuge) }
