package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/record"
	"kstream/source"
	"kstream/state"
)

// life is one incarnation: everything between a pass through start-up and the
// failure or stop that ends it. Nothing of it is used by the next one (I12).
type life struct {
	job    *Job
	ctx    context.Context
	cancel context.CancelCauseFunc
	fail   *failpoints

	// from start-up, read-only afterwards
	client         *Client
	broker         record.Broker
	topics         map[string]record.TopicInfo
	producer       Producer
	db             *state.DB
	first          bool // no trace of an earlier run: internal topics may be made
	seen           *checkpoint.Claim
	owner          checkpoint.Owner
	converts       bool                        // the state has to be written anew
	restored       *checkpoint.Record          // R(c), nil at the first start
	restoredChains []checkpoint.ChainWatermark // of a savepoint that is being restored
	stores         []checkpoint.StoreEntry
	retired        retired
	changelog      checkpoint.Changelog // generation, topic, id; the ends are those of the last epoch
	starts         []sourceStart        // where every source partition begins
	log            changelog.Log        // the changelog as U5 found it
	decision       changelog.Decision   // of U6
	anew           bool                 // this life has begun anew, with --from none
	parts          participants
	tails          []*source.Tail // of file sources
	tailsMu        sync.Mutex     // tasks add to them
	begun          bool           // a transaction has been begun and not ended

	// while it runs
	gate      *gate
	held      atomic.Int64
	stall     blockedTime
	dirty     atomic.Int64
	dirtyMax  int64        // more makes tasks wait that are ahead of the transaction
	moved     atomic.Int64 // records taken in since the life began
	applied   atomic.Uint64
	ready     bool // tasks, sources and consumers are all made; under job.lifeMu
	tasks     []*taskCore
	sources   []*sourceTask
	consumers []Consumer
	running   sync.WaitGroup
	acks      chan ack
	endedLeft atomic.Int32
	stdoutMu  sync.Mutex
	named     namedTopics
	taken0    int64 // what counts for --max-records when this life begins

	// of the epoch under way, owned by the coordinator
	collected    map[*taskCore]*frozen
	barrierTime  time.Time
	movedBefore  int64
	positions    []checkpoint.SourcePosition // of the last committed epoch
	epochRecord  *checkpoint.Record
	epochBytes   int64 // of its transaction, without the record
	records      checkpoint.RecordEncoder
	firstWriteAt time.Time
	openSince    atomic.Int64 // firstWriteAt for metrics, ms

	failedOnce sync.Once
	failure    *checkpoint.Failure
}

func newLife(j *Job) *life {
	l := &life{job: j, parts: participants{dirs: map[string]Directory{}}, gate: newGate(), acks: make(chan ack, 1024), fail: j.fail}
	l.ctx, l.cancel = context.WithCancelCause(j.ctx)
	l.dirtyMax = j.uncommittedMax()
	return l
}

// failed ends the life with its first error; later ones are its echoes.
func (l *life) failed(err error) {
	l.failedOnce.Do(func() {
		l.failure = l.job.failure(err)
		l.cancel(err)
		l.job.event(checkpoint.Event{Kind: checkpoint.EventFailed, Failure: l.failure}, l)
	})
}

// start runs fn on a goroutine of the life; close waits for it.
func (l *life) start(name string, fn func() error) {
	l.running.Add(1)
	go func() {
		defer l.running.Done()
		if err := fn(); err != nil && l.ctx.Err() == nil {
			l.failed(fmt.Errorf("%s: %w", name, err))
		}
	}()
}

// acknowledge hands a task's part of an epoch to the coordinator.
func (l *life) acknowledge(a ack) error {
	select {
	case l.acks <- a:
		l.job.wake()
		return nil
	case <-l.ctx.Done():
		return context.Cause(l.ctx)
	}
}

// close is 7.5 step 2: all tasks stop, nothing more is applied, produced or
// committed. The producer's transaction is left to the fence.
func (l *life) close() error {
	l.cancel(errClosed)
	l.job.lifeMu.Lock()
	l.ready = false
	l.job.lifeMu.Unlock()
	var closers []func()
	if l.producer != nil {
		closers = append(closers, l.producer.Close)
	}
	for _, c := range l.consumers {
		closers = append(closers, c.Close)
	}
	if l.client != nil {
		closers = append(closers, l.client.Close)
	}
	for _, c := range closers {
		c()
	}
	l.running.Wait()
	l.parts.close()
	l.closeTails()
	if l.db == nil {
		return nil
	}
	db := l.db
	l.db = nil
	return db.Close()
}

var errClosed = errors.New("the incarnation is closed")

// made are the tasks, nil until all of them are there. job.lifeMu is held.
func (l *life) made() []*taskCore {
	if !l.ready {
		return nil
	}
	return l.tasks
}

// deadline is when the epoch has to be committed: E2 + CHK, and before the
// broker ends the transaction behind our back (first write + 7/8 TXN).
func (l *life) deadline() time.Time {
	spec := l.job.plan.Spec.Checkpoint
	d := l.barrierTime.Add(spec.Timeout)
	if !l.firstWriteAt.IsZero() {
		if end := l.firstWriteAt.Add(spec.TransactionTimeout * 7 / 8); end.Before(d) {
			d = end
		}
	}
	return d
}

// sawWrite notes when the transaction of the running epoch was opened at the
// broker, as far as it can be seen from here.
func (l *life) sawWrite() {
	if l.firstWriteAt.IsZero() && l.bytesProduced() > 0 {
		l.firstWriteAt = time.Now()
		l.openSince.Store(l.firstWriteAt.UnixMilli())
	}
}

// aligning says that a barrier is under way and not every task has answered it.
func (l *life) aligning() bool {
	return l.collected != nil && len(l.collected) < len(l.tasks)
}

// progress says whether the running epoch has anything to commit.
func (l *life) progress() bool {
	return l.moved.Load() != l.movedBefore || l.dirty.Load() > 0 || l.bytesProduced() > 0 || l.held.Load() > 0
}

func (l *life) bytesProduced() int64 {
	if l.producer == nil {
		return 0
	}
	return l.producer.BytesProduced()
}
