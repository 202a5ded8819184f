package runtime

import (
	"errors"
	"io"
	"sync"

	"kstream/record"
	"kstream/source"
)

// stdinReader reads standard input once for the whole process: it cannot be read
// again, so it outlives the lives of the job.
type stdinReader struct {
	in    io.Reader
	ready chan struct{}
	begin sync.Once
	lines *source.Lines // of the source task, one life after the other

	mu    sync.Mutex
	chunk []byte
	eof   bool
	err   error
	space *sync.Cond
}

// stdinBuffer is how much input waits for the source task.
const stdinBuffer = 1 << 20

func newStdinReader(in io.Reader) *stdinReader {
	r := &stdinReader{in: in, ready: make(chan struct{}, 1)}
	r.space = sync.NewCond(&r.mu)
	return r
}

// start begins to read. The goroutine ends with the input; a read of a terminal
// cannot be interrupted, so nothing waits for it.
func (r *stdinReader) start() {
	r.begin.Do(func() { go r.read() })
}

// splitter is where lines are put together, from a position on. It outlives the
// lives too: a line of which one had the beginning is not cut in two.
func (r *stdinReader) splitter(at record.Offset) *source.Lines {
	if r.lines == nil {
		r.lines = source.NewLines(at)
	}
	return r.lines
}

func (r *stdinReader) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := r.in.Read(buf)
		r.mu.Lock()
		for len(r.chunk) > stdinBuffer {
			r.space.Wait()
		}
		r.chunk = append(r.chunk, buf[:n]...)
		if errors.Is(err, io.EOF) {
			r.eof = true
		} else if err != nil {
			r.err = err
		}
		r.mu.Unlock()
		select {
		case r.ready <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// take returns what was read since the last call; nil if there is nothing.
func (r *stdinReader) take() (chunk []byte, eof bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	chunk, r.chunk = r.chunk, nil
	r.space.Signal()
	return chunk, r.eof, r.err
}
