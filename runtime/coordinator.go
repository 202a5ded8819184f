package runtime

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"kstream/checkpoint"
)

// step gives the machine an event and does what it says, until it waits for
// something that is not here yet. A job that was cancelled does nothing more: its
// effects would fail at once and its restart delays would be none.
func (j *Job) step(e checkpoint.Event) {
	queue := []checkpoint.Event{e}
	for len(queue) > 0 && j.result == nil && j.ctx.Err() == nil {
		e, queue = queue[0], queue[1:]
		e.Now = time.Since(j.began)
		if e.Kind == checkpoint.EventTimer {
			e.Moved = j.life.progress()
		}
		if e.Kind == checkpoint.EventTimer && e.Timer == checkpoint.TimerDeadline {
			e.Text = j.slowest()
		}
		for _, effect := range j.machine.Step(e) {
			done, ok := j.effect(effect)
			if ok {
				queue = append(queue, done)
			}
			if done.Kind == checkpoint.EventFailed {
				break // what follows belongs to what failed
			}
		}
	}
}

// effect does one effect. ok says that done is its result, which the machine
// awaits; a failure is always told.
func (j *Job) effect(e checkpoint.Effect) (done checkpoint.Event, ok bool) {
	awaited := j.machine.Awaiting() == e.Kind
	done = checkpoint.Event{Kind: checkpoint.EventDone, Of: e.Kind}
	var err error
	switch e.Kind {
	case checkpoint.EffectExit:
		j.exit(e)
		return done, false
	case checkpoint.EffectTimer:
		j.timer(e)
		return done, false
	case checkpoint.EffectSleep:
		j.restartAfter(e)
	case checkpoint.EffectCloseClients:
		err = j.closeLife()
	case checkpoint.EffectStopFetching, checkpoint.EffectReleaseClaim, checkpoint.EffectFlushStore:
		err = j.orderlyEnd(e)
	default:
		done, err = j.protocol(e, done)
	}
	if err != nil {
		return j.failedEffect(e.Kind, err), true
	}
	return done, awaited
}

// orderlyEnd does the effects of a stop.
func (j *Job) orderlyEnd(e checkpoint.Effect) (err error) {
	j.fail.before(e.Kind.String())
	switch e.Kind {
	case checkpoint.EffectStopFetching:
		err = j.stopFetching(e.Drain)
	case checkpoint.EffectReleaseClaim:
		// What the last checkpoint decided is shown first: a savepoint holds no work.
		if err = j.life.confirmAll(j.life.ctx); err != nil {
			return err
		}
		if save := j.lastSavepoint; save != nil {
			j.lastSavepoint = nil
			save(j.life)
		}
		err = j.life.releaseClaim(j.life.ctx)
	case checkpoint.EffectFlushStore:
		err = j.life.db.Flush()
	}
	if err == nil {
		j.fail.after(e.Kind.String())
	}
	return err
}

// protocol does the effects of start-up and of the epochs.
func (j *Job) protocol(e checkpoint.Effect, done checkpoint.Event) (checkpoint.Event, error) {
	if e.Kind <= checkpoint.EffectRun {
		if e.Kind == checkpoint.EffectLock {
			j.setState("starting")
			if err := j.closeLife(); err != nil {
				return done, err
			}
		}
		d, err := j.startUp(e.Kind)
		d.Kind, d.Of = done.Kind, done.Of
		if e.Kind == checkpoint.EffectRun && err == nil {
			j.runs()
		}
		j.broker = j.life.broker
		return d, err
	}
	ctx, cancel := j.life.ctx, context.CancelFunc(func() {})
	if e.Kind >= checkpoint.EffectFlush && e.Kind <= checkpoint.EffectEnd {
		j.life.sawWrite()
		ctx, cancel = context.WithDeadlineCause(ctx, j.life.deadline(), errDeadline)
	}
	defer cancel()
	began := time.Now()
	j.waiting.Store(&waitingFor{what: fmt.Sprintf("checkpoint %d", e.Epoch), step: e.Kind.String(), since: began})
	writes, err := j.life.perform(ctx, e)
	j.waiting.Store(nil)
	j.metrics.part(e.Kind, time.Since(began))
	if e.Kind == checkpoint.EffectHandles && err == nil {
		j.handled(e.Epoch)
	}
	done.Writes = writes
	return done, err
}

// startUp does one step of start-up. A stop ends the steps that may take long and
// that leave nothing half done: nothing runs yet, so there is nothing to commit.
func (j *Job) startUp(k checkpoint.EffectKind) (checkpoint.Event, error) {
	ctx, cancel := context.WithCancelCause(j.life.ctx)
	defer cancel(nil)
	switch k {
	case checkpoint.EffectInspect, checkpoint.EffectWatchOwner, checkpoint.EffectBound, checkpoint.EffectReplay:
		defer context.AfterFunc(j.stopping, func() { cancel(errStopped) })()
	}
	j.waiting.Store(&waitingFor{what: "start-up", step: k.String(), since: time.Now()})
	done, err := j.life.prepare(ctx, k)
	j.waiting.Store(nil)
	if err != nil && context.Cause(ctx) == errStopped && j.life.ctx.Err() == nil {
		j.machine.Step(checkpoint.Event{Kind: checkpoint.EventStop, Now: time.Since(j.began), Stop: checkpoint.StopMode(j.asked.Load())})
		err = nil
	}
	return done, err
}

var errStopped = errors.New("the job was stopped while it started")

var errDeadline = errors.New("the epoch's deadline has passed (checkpoint.timeout, or 7/8 of checkpoint.transaction_timeout)")

// failedEffect is the event of an effect that did not work. If a task failed
// meanwhile, its error came first and is the reason.
func (j *Job) failedEffect(k checkpoint.EffectKind, err error) checkpoint.Event {
	if cause := context.Cause(j.life.ctx); cause != nil && errors.Is(err, context.Canceled) {
		err = cause
	}
	f := j.failure(err)
	l := j.life
	j.metrics.failed(f.Class, k.String())
	j.rememberFailure(k.String(), f.Text)
	l.failedOnce.Do(func() {
		l.failure = f
		l.cancel(err)
	})
	return checkpoint.Event{Kind: checkpoint.EventFailed, Of: k, Failure: l.failure}
}

// closeLife drops everything of a life and begins the next.
func (j *Job) closeLife() error {
	j.stopTimers()
	err := j.life.close()
	j.renew()
	if err != nil {
		// Closing a store that failed tells of the failure again; the store is
		// checked when it is opened.
		j.log.Debug("closing", "error", err)
	}
	return nil
}

func (j *Job) exit(e checkpoint.Effect) {
	j.result = &Result{Exit: e.Exit, Text: e.Text, Hint: e.Hint}
	if e.Exit == 0 && e.Text == "" {
		j.setState("stopped")
	} else {
		j.setState("failed")
	}
}

func (j *Job) timer(e checkpoint.Effect) {
	l := j.life
	if before := j.timers[e.Timer]; before != nil {
		before.Stop() // of an earlier epoch
	}
	j.timers[e.Timer] = time.AfterFunc(e.Delay, func() {
		j.event(checkpoint.Event{Kind: checkpoint.EventTimer, Timer: e.Timer, Epoch: e.Epoch}, l)
	})
}

func (j *Job) stopTimers() {
	for _, t := range j.timers {
		if t != nil {
			t.Stop()
		}
	}
}

// restartAfter is 7.5 step 6; no transaction is open meanwhile. A stop ends the
// wait.
func (j *Job) restartAfter(e checkpoint.Effect) {
	j.setState("restarting")
	j.log.Warn("starting again", "in", e.Delay.Round(time.Millisecond), "because", e.Text)
	j.tell("restart", e.Text, e.Delay)
	j.restarting = true
	timer := time.NewTimer(e.Delay)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
			return
		case <-j.ctx.Done():
			return
		case ev := <-j.events:
			if ev.Kind == checkpoint.EventStop {
				ev.Now = time.Since(j.began)
				j.machine.Step(ev.Event)
				return
			}
		}
	}
}

// runs follows U10.
func (j *Job) runs() {
	j.setState("running")
	j.status.starts.Add(1)
	j.status.epoch.Store(uint64(j.machine.Committed()))
	j.tell("running", "parallelism "+strconv.Itoa(j.parallelism()), 0)
	for _, w := range j.waiters { // of the life before
		w.need = min(w.need, j.machine.Running())
	}
	j.pressWaiters()
	if j.opts.Until > 0 && j.status.starts.Load() == 1 {
		time.AfterFunc(j.opts.Until, func() { j.Stop(j.stopMode()) })
	}
}

// acknowledged is E7: when the last task has answered barrier n, nobody produces
// for epoch n any more.
func (j *Job) acknowledged(a ack) {
	l := j.life
	if a.task.life != l || l.collected == nil || a.epoch != j.machine.Running() {
		return
	}
	l.collected[a.task] = a.frozen
	if len(l.collected) < len(l.tasks) {
		return
	}
	moved := l.bytesProduced() > 0
	for _, f := range l.collected {
		moved = moved || f.moved || len(f.handles) > 0
		for _, d := range f.deltas {
			moved = moved || d.Len() > 0
		}
	}
	j.publish(l)
	if _, left := l.retired.next(l.stores); left {
		moved = true // an idle job deletes them as well
	}
	l.fail.before("collected")
	j.metrics.aligned(time.Since(l.barrierTime))
	l.fail.after("collected")
	j.step(checkpoint.Event{Kind: checkpoint.EventCollected, Epoch: a.epoch, Moved: moved})
}

// tick looks at what has no event of its own: failed promises, the size and the
// age of the epoch.
func (j *Job) tick() {
	l := j.life
	if l.producer == nil || l.tasks == nil {
		return
	}
	select {
	case <-l.producer.Failed():
		l.failed(l.producer.FirstError())
		return
	default:
	}
	l.retryHandles()
	bytes := l.producer.BytesProduced()
	l.sawWrite()
	if l.aligning() && time.Now().After(l.deadline()) {
		j.step(checkpoint.Event{Kind: checkpoint.EventTimer, Timer: checkpoint.TimerDeadline, Epoch: j.machine.Running()})
		return
	}
	old := !l.firstWriteAt.IsZero() && time.Since(l.firstWriteAt) > j.plan.Spec.Checkpoint.TransactionTimeout/2
	if bytes+l.dirty.Load() > j.uncommittedMax() || old {
		j.step(checkpoint.Event{Kind: checkpoint.EventPressure})
	}
}

// uncommittedMax is how much changed state and output an epoch may hold before
// its barrier is sent early: what the file says, but at most half of the hot
// tables.
func (j *Job) uncommittedMax() int64 {
	return min(j.plan.Spec.Checkpoint.MaxUncommitted, j.plan.Spec.State.Memory/4)
}

func (j *Job) stopFetching(drain bool) error {
	j.setState("stopping")
	j.tell("stopping", "finishing in-flight records", 0)
	for _, s := range j.life.sources {
		if _, err := s.inbox.put(j.life.ctx, s.control, message{kind: messageStop, drain: drain}); err != nil {
			return err
		}
	}
	return nil
}

// committed follows E14 of an epoch.
func (j *Job) committed(n checkpoint.Epoch, r *checkpoint.Record, l *life) {
	took := time.Since(l.barrierTime)
	j.status.epoch.Store(uint64(n))
	j.status.at.Store(int64(j.now()))
	j.status.took.Store(int64(took))
	j.metrics.committed(took)
	j.forgive()
	for _, uid := range j.opts.Reset {
		delete(j.reset, uid)
	}
	j.tell("checkpoint", strconv.FormatUint(uint64(n), 10), took)
}

func itoa(n int) string { return strconv.Itoa(n) }
