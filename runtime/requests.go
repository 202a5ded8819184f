package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/savepoint"
)

// ErrEnded answers a request to a job that has ended.
var ErrEnded = errors.New("the job has ended")

// Committed is one committed checkpoint.
type Committed struct {
	ID    uint64
	At    record.Timestamp
	Took  time.Duration
	Bytes int64 // of state and output in its transaction
}

// historyMax is how many committed checkpoints and failures are remembered.
const historyMax = 100

// Failed is a checkpoint, or a start, that did not come to its end.
type Failed struct {
	At   record.Timestamp
	Step string
	Text string
}

// waiter is told of the first committed epoch that is not before need.
type waiter struct {
	need checkpoint.Epoch
	fn   func(c Committed, r *checkpoint.Record, l *life)
	lost func(error)
}

// ask runs fn on the coordinator's goroutine, between two steps of the protocol.
func (j *Job) ask(ctx context.Context, fn func()) error {
	select {
	case j.asks <- fn:
		return nil
	case <-j.over:
		return ErrEnded
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await registers a waiter and asks for a checkpoint that holds everything taken
// in so far.
func (j *Job) await(w *waiter) {
	w.need = j.machine.Running()
	if j.life.aligning() {
		w.need++ // the barrier that is under way does not have it all
	}
	j.waiters = append(j.waiters, w)
	j.step(checkpoint.Event{Kind: checkpoint.EventPressure})
}

// handled follows E15: who waits for a checkpoint is told.
func (j *Job) handled(n checkpoint.Epoch) {
	c := Committed{ID: uint64(n), At: j.life.restored.Wall, Took: time.Duration(j.status.took.Load()), Bytes: j.life.epochBytes}
	j.historyMu.Lock()
	j.history = append(j.history, c)
	if len(j.history) > historyMax {
		j.history = j.history[1:]
	}
	j.historyMu.Unlock()
	all := j.waiters
	j.waiters = nil
	for _, w := range all {
		if n < w.need {
			j.waiters = append(j.waiters, w)
			continue
		}
		w.fn(c, j.life.restored, j.life)
	}
	j.pressWaiters()
}

// pressWaiters asks for a checkpoint if somebody waits for one.
func (j *Job) pressWaiters() {
	if len(j.waiters) > 0 {
		j.event(checkpoint.Event{Kind: checkpoint.EventPressure}, j.life)
	}
}

// parallelism is that of chains that have none of their own.
func (j *Job) parallelism() int {
	if n := j.rescaled.Load(); n > 0 {
		return int(n)
	}
	return j.opts.Parallelism
}

// History gives the newest committed checkpoints and failures, oldest first.
func (j *Job) History() ([]Committed, []Failed) {
	j.historyMu.Lock()
	defer j.historyMu.Unlock()
	return append([]Committed(nil), j.history...), append([]Failed(nil), j.failures...)
}

func (j *Job) rememberFailure(step, text string) {
	j.historyMu.Lock()
	defer j.historyMu.Unlock()
	j.failures = append(j.failures, Failed{At: j.now(), Step: step, Text: text})
	if len(j.failures) > historyMax {
		j.failures = j.failures[1:]
	}
}

// CheckpointNow commits everything taken in before the call and tells of the
// checkpoint that holds it.
func (j *Job) CheckpointNow(ctx context.Context) (Committed, error) {
	type answer struct {
		c   Committed
		err error
	}
	done := make(chan answer, 1)
	err := j.ask(ctx, func() {
		j.await(&waiter{
			fn:   func(c Committed, _ *checkpoint.Record, _ *life) { done <- answer{c: c} },
			lost: func(err error) { done <- answer{err: err} },
		})
	})
	if err != nil {
		return Committed{}, err
	}
	select {
	case a := <-done:
		return a.c, a.err
	case <-ctx.Done():
		return Committed{}, context.Cause(ctx)
	}
}

// SavepointResult is how a savepoint ended.
type SavepointResult struct {
	Manifest *savepoint.Manifest
	Took     time.Duration
	Err      error
}

// Savepoint takes a checkpoint and writes it into the directory that dir makes,
// while the job goes on: 16.1. A failure never touches the job.
func (j *Job) Savepoint(ctx context.Context, dir func(checkpoint.Epoch) (savepoint.Directory, error)) SavepointResult {
	done := make(chan SavepointResult, 1)
	began := time.Now()
	w := &waiter{lost: func(err error) { done <- SavepointResult{Err: err} }}
	w.fn = func(c Committed, r *checkpoint.Record, l *life) {
		if len(l.parts.open) > 0 { // what this checkpoint wrote is not all to be seen: the next one
			w.need = checkpoint.Epoch(c.ID) + 1
			j.waiters = append(j.waiters, w)
			return
		}
		l.export(ctx, r, dir, func(s SavepointResult) { done <- s })
	}
	err := j.ask(ctx, func() { j.await(w) })
	if err != nil {
		return SavepointResult{Err: err}
	}
	s := SavepointResult{}
	select {
	case s = <-done:
	case <-ctx.Done():
		s.Err = context.Cause(ctx)
	}
	s.Took = time.Since(began)
	return s
}

// export writes the state of r, which has just been applied, in the background.
func (l *life) export(ctx context.Context, r *checkpoint.Record, dir func(checkpoint.Epoch) (savepoint.Directory, error), done func(SavepointResult)) {
	r = l.settled(r)
	if n := len(l.parts.open); n > 0 {
		done(SavepointResult{Err: fmt.Errorf("%d files of committed checkpoints have not appeared yet", n)})
		return
	}
	snapshot, err := l.db.Snapshot()
	if err != nil {
		done(SavepointResult{Err: err})
		return
	}
	l.running.Add(1) // the store is not closed before the snapshot is
	go func() {
		defer l.running.Done()
		defer snapshot.Close()
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(l.ctx, func() {
			cancel(fmt.Errorf("the job ended or started again meanwhile: %w", context.Cause(l.ctx)))
		})()
		content, err := savepointContent(l.job.plan.Spec, withoutHandles(r), l.broker.ClusterID, l.job.opts.Version)
		var s SavepointResult
		if err == nil {
			s.Manifest, err = l.writeSavepoint(dir, r.Epoch, content, entriesOf(ctx, snapshot, r))
		}
		s.Err = err
		done(s)
	}()
}

// withoutHandles is a record whose handles are all confirmed.
func withoutHandles(r *checkpoint.Record) *checkpoint.Record {
	c := *r
	c.Handles = nil
	return &c
}

func (l *life) writeSavepoint(make func(checkpoint.Epoch) (savepoint.Directory, error), n checkpoint.Epoch, c *savepoint.Content, e savepoint.Entries) (*savepoint.Manifest, error) {
	dir, err := make(n)
	if err != nil {
		return nil, err
	}
	return savepoint.Write(steppedDirectory{dir, l.fail}, c, e)
}

// StopWithSavepoint stops the job and writes a savepoint of its last checkpoint
// before it lets go of its claim. It returns when the savepoint is written or
// cannot be.
func (j *Job) StopWithSavepoint(ctx context.Context, mode checkpoint.StopMode, dir func(checkpoint.Epoch) (savepoint.Directory, error)) SavepointResult {
	done := make(chan SavepointResult, 1)
	began := time.Now()
	err := j.ask(ctx, func() {
		j.lastSavepoint = func(l *life) {
			if l.restored == nil || l.restored.Epoch == 0 {
				done <- SavepointResult{Err: errors.New("the job has no checkpoint yet")}
				return
			}
			wait := make(chan SavepointResult, 1)
			l.export(ctx, l.restored, dir, func(s SavepointResult) { wait <- s })
			done <- <-wait
		}
		j.Stop(mode)
	})
	if err != nil {
		return SavepointResult{Err: err}
	}
	s := SavepointResult{}
	select {
	case s = <-done:
	case <-j.over:
		select {
		case s = <-done:
		default:
			s.Err = ErrEnded
		}
	}
	s.Took = time.Since(began)
	return s
}

// Restart goes back to the last checkpoint and on from there.
func (j *Job) Restart(ctx context.Context) error { return j.again(ctx, "a restart was asked for") }

// Rescale restarts with other parallelism: that of every chain that has none of
// its own.
func (j *Job) Rescale(ctx context.Context, parallelism int) error {
	if parallelism < 1 || parallelism > j.plan.MaxParallelism {
		return fmt.Errorf("parallelism %d is outside of 1 to %d (max_parallelism)", parallelism, j.plan.MaxParallelism)
	}
	j.rescaled.Store(int64(parallelism))
	return j.again(ctx, fmt.Sprintf("parallelism %d was asked for", parallelism))
}

func (j *Job) again(ctx context.Context, why string) error {
	return j.ask(ctx, func() {
		j.life.failed(&checkpoint.Failure{AtOnce: true, Asked: true, Text: why})
	})
}
