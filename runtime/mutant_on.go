//go:build harness

package runtime

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// mutant reports whether the bug named by KSTREAM_MUTANT is switched on.
func mutant(name string) bool { return os.Getenv("KSTREAM_MUTANT") == name }

// failpoints end the process with SIGKILL at a step of the protocol.
// KSTREAM_FAILPOINT is "before=record:3" or "after=record:3": the third passage.
// A test in the same process passes a function instead.
type failpoints struct {
	call  func(string)
	point string
	count int64
	seen  atomic.Int64
}

func newFailpoints(call func(string)) *failpoints {
	f := &failpoints{call: call}
	point, count, _ := strings.Cut(os.Getenv("KSTREAM_FAILPOINT"), ":")
	f.point, f.count = point, 1
	if n, err := strconv.ParseInt(count, 10, 64); err == nil {
		f.count = n
	}
	return f
}

// before and after are the two sides of a step.
func (f *failpoints) before(name string) { f.pass("before=" + name) }

func (f *failpoints) after(name string) { f.pass("after=" + name) }

func (f *failpoints) pass(name string) {
	if f == nil {
		return
	}
	if f.call != nil {
		f.call(name)
	}
	if f.point == name && f.seen.Add(1) == f.count {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}
