//go:build harness

package runtime

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"kstream/checkpoint"
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

	last *checkpoint.Record // B9: what the process believes to be committed
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
func (f *failpoints) before(name string) { f.pass("before=", name) }

func (f *failpoints) after(name string) { f.pass("after=", name) }

// remember and recall are B9: after an unknown end the process goes on from the
// record it knows, without asking Kafka which one counts.
func (f *failpoints) remember(r *checkpoint.Record) { f.last = r }

func (f *failpoints) recall(r *checkpoint.Record) *checkpoint.Record {
	if f.last != nil && mutant("B9") {
		return f.last
	}
	return r
}

// pass is called for every record: without a listener it makes no text, so that
// profiles of this build show what the other one does.
func (f *failpoints) pass(side, name string) {
	if f == nil {
		return
	}
	if f.call != nil {
		f.call(side + name)
	}
	if len(f.point) == len(side)+len(name) && f.point[:len(side)] == side && f.point[len(side):] == name && f.seen.Add(1) == f.count {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
}
