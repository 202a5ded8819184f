package runtime

import (
	"context"
	"sync/atomic"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/source"
	"kstream/topology"
)

// sourceStart is where one partition of a source begins in this life.
type sourceStart struct {
	source *topology.Source
	pos    checkpoint.SourcePosition
}

// partition is one partition that a source task reads.
type partition struct {
	checkpoint.SourcePosition
	polled atomic.Int64 // B7's position: behind what was fetched, processed or not
	lag    atomic.Int64
	// undecided is the log between its last stable offset and its end; fetchedAt
	// is when records came last, in milliseconds.
	undecided atomic.Int64
	fetchedAt atomic.Int64
}

// sourceTask is one subtask of a chain that begins with a source: it decodes,
// follows event time per partition, and answers barriers with the positions of
// what it has handed on (I7).
type sourceTask struct {
	taskCore
	source  *topology.Source
	decoder *source.Decoder
	parts   []*partition // by channel number
	control int          // channel number of barriers and stop
	marks   *source.Watermarks
	wmEvery time.Duration
	wmAt    time.Time
	flushAt time.Time // when batches that are not full go on (buffer_timeout)
	idle    bool
	moved   bool // something was taken in since the last barrier
	stopped bool
	ended   bool
	holder  atomic.Int32 // partition that holds the watermark back, -1 none
	feed    feed         // generate and stdin; nil for Kafka
	work    work         // the run of records under way
	limit   *rateLimit   // rate_limit; nil is none
}

// work is a run of fetched records and how far the task is in it.
type work struct {
	fetched record.FetchedPartition
	input   int // channel number of its partition
	next    int // index of the next record
	left    bool
}

// sliceRecords is how many records of a run are processed between two looks at
// the control channel: a barrier waits for no more.
const sliceRecords = 1024

// feed is a source inside the process. next runs some records through the chain
// and says how long to wait for more; done says that there are none.
type feed interface {
	next(ctx context.Context) (wait time.Duration, done bool, err error)
	// ready is a channel that says that something may be there, nil if time does.
	ready() <-chan struct{}
}

// run is the loop of a source task. Control messages are taken even while a
// feed waits or partitions are paused (A4).
func (t *sourceTask) run() error {
	ctx := t.life.ctx
	for _, s := range t.senders {
		if s.times != nil {
			t.wmEvery = min(t.wmEvery, s.times.every)
		}
	}
	tick := time.NewTicker(max(t.wmEvery, time.Millisecond))
	defer tick.Stop()
	if err := t.tick(); err != nil {
		return err
	}
	if err := t.checkEnd(); err != nil { // of a job that had reached its end before
		return err
	}
	for {
		progressed, err := t.turn()
		if err != nil {
			return err
		}
		if progressed {
			continue
		}
		wait, err := t.pump(ctx)
		if err != nil {
			return err
		}
		if wait == 0 {
			continue
		}
		if err := t.flush(); err != nil {
			return err
		}
		if err := t.wait(ctx, tick.C, wait); err != nil {
			return err
		}
	}
}

// turn does the next thing there is to do: control messages first, then a slice
// of the run under way, then the next run.
func (t *sourceTask) turn() (progressed bool, err error) {
	if m, ok := t.inbox.takeFrom(t.control); ok {
		t.apply()
		return true, t.handle(m)
	}
	if err := t.between(); err != nil {
		return false, err
	}
	if !t.work.left {
		from, m, ok := t.inbox.take()
		if !ok {
			return false, nil
		}
		if m.kind != messageFetched {
			return true, t.handle(m)
		}
		t.work = work{fetched: m.fetched, input: t.partOf(from), left: true}
	}
	if t.limit != nil && t.limit.hold(t.life.job.clock()) > 0 {
		return false, nil
	}
	return true, t.slice()
}

// forever is a wait that only a message or a tick ends.
const forever = time.Duration(1<<63 - 1)

// pump lets a feed make records.
func (t *sourceTask) pump(ctx context.Context) (wait time.Duration, err error) {
	if t.work.left {
		return t.limit.hold(t.life.job.clock()), nil
	}
	if t.feed == nil || t.stopped || t.ended {
		return forever, nil
	}
	if err := t.between(); err != nil {
		return 0, err
	}
	t.env.Now = t.life.job.nowNanos()
	wait, done, err := t.feed.next(ctx)
	t.reportDirty()
	if err != nil || !done {
		return wait, err
	}
	return forever, t.end(0)
}

func (t *sourceTask) wait(ctx context.Context, tick <-chan time.Time, wait time.Duration) error {
	var timer <-chan time.Time
	if wait != forever {
		timer = time.After(wait)
	}
	var ready <-chan struct{}
	if t.feed != nil && !t.stopped && !t.ended {
		ready = t.feed.ready()
	}
	select {
	case <-t.inbox.ready:
	case <-ready:
	case <-timer:
	case <-t.out.waiting():
		return t.flush()
	case <-tick:
		return t.tick()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

func (t *sourceTask) handle(m message) error {
	switch m.kind {
	case messageBarrier:
		return t.checkpoint(m.epoch)
	case messagePartition:
		t.add(m.partition)
	case messageStop:
		// The event time of what was taken in still counts: what it closes is
		// part of the work in flight.
		if err := t.tick(); err != nil {
			return err
		}
		t.stopped = true
		if m.drain {
			return t.finalWatermark()
		}
	}
	return nil
}

// slice runs some records of the run under way through the chain.
func (t *sourceTask) slice() error {
	w := &t.work
	p := t.parts[w.input]
	if t.stopped || p.Ended {
		return t.workDone()
	}
	job := t.life.job
	if t.idle { // said before the records are sent
		t.marks.Active(w.input, job.now())
		if err := t.tick(); err != nil {
			return err
		}
	}
	t.env.Now = job.nowNanos()
	want := t.limit.most(min(sliceRecords, w.fetched.Records.Len()-w.next))
	admitted := job.admit(want)
	t.limit.take(admitted)
	if err := t.takeIn(w, p, w.next+admitted); err != nil {
		return err
	}
	t.marks.Active(w.input, job.now())
	if admitted < want && w.next < w.fetched.Records.Len() {
		return t.workDone() // more than was asked for: the stop is on its way
	}
	if w.next >= w.fetched.Records.Len() {
		if err := t.runDone(p); err != nil {
			return err
		}
	}
	now := job.clock()
	if now.After(t.flushAt) { // rows for a receiver that gets few
		t.flushAt = now.Add(job.plan.Spec.BufferTimeout)
		if err := t.flush(); err != nil {
			return err
		}
	}
	if now.After(t.wmAt) {
		return t.tick()
	}
	return nil
}

// takeIn runs the records of a run up to end through the chain, or up to the
// partition's stop.
func (t *sourceTask) takeIn(w *work, p *partition, end int) error {
	var m record.Message
	first := w.next
	for ; w.next < end; w.next++ {
		w.fetched.Records.At(w.next, &m)
		if p.Stop >= 0 && m.Offset >= p.Stop {
			break
		}
		if err := t.one(w.input, &m); err != nil {
			return err
		}
		p.Offset, p.LeaderEpoch, p.LastTime = m.Offset+1, m.Epoch, m.Time
	}
	t.taken(w.next - first)
	if w.next < end {
		w.next = w.fetched.Records.Len()
	}
	return nil
}

// runDone moves the position behind what followed the run's last record, markers
// and aborted records, and ends the partition at its stop.
func (t *sourceTask) runDone(p *partition) error {
	f := &t.work.fetched
	input := t.work.input
	if p.Stop < 0 || f.Next.Offset <= p.Stop {
		p.Offset = f.Next.Offset
		p.LeaderEpoch = f.Next.LeaderEpoch
	}
	p.lag.Store(int64(max(0, f.LastStable-p.Offset)))
	p.undecided.Store(int64(max(0, f.HighWatermark-f.LastStable)))
	p.fetchedAt.Store(int64(t.life.job.now()))
	reached := p.Stop >= 0 && (p.Offset >= p.Stop || f.Next.Offset >= p.Stop)
	if err := t.workDone(); err != nil || !reached {
		return err
	}
	return t.end(input)
}

// workDone gives the run's memory back.
func (t *sourceTask) workDone() error {
	t.work.fetched.Records.Release()
	t.work = work{}
	return nil
}

// one decodes a record and runs it through the chain.
func (t *sourceTask) one(from int, m *record.Message) error {
	t.arena.Reset()
	ok, err := t.decoder.Decode(m, &t.row)
	if err != nil || !ok {
		return err
	}
	t.marks.Observe(from, t.row.Time)
	return t.op.Process(&t.row)
}

func (t *sourceTask) taken(n int) {
	t.moved = true
	t.records.Add(int64(n))
	t.life.moved.Add(int64(max(n, 1)))
	t.life.job.taken(int64(n))
	t.reportDirty()
}

// tick looks at the clock: idleness, and the watermark every so often.
func (t *sourceTask) tick() error {
	job := t.life.job
	t.wmAt = job.clock().Add(t.wmEvery)
	if t.stopped {
		return nil
	}
	if err := t.retime(false); err != nil {
		return err
	}
	t.keepActive()
	w, idle := t.marks.Current(job.now())
	if idle {
		if !t.idle {
			t.idle = true
			return t.sendIdle()
		}
		return nil
	}
	if t.idle {
		t.idle = false
		if err := t.sendActive(); err != nil {
			return err
		}
	}
	t.holder.Store(int32(t.marks.Holder()))
	return t.advance(w)
}

// end notes that a partition has reached its stop. When all have, the watermark
// is the final one and every window fires.
func (t *sourceTask) end(i int) error {
	if t.parts[i].Ended {
		return nil
	}
	t.parts[i].Ended = true
	t.marks.End(i)
	t.life.moved.Add(1)
	t.moved = true
	return t.checkEnd()
}

// checkEnd ends the task's part of the input when all partitions have ended.
func (t *sourceTask) checkEnd() error {
	for _, p := range t.parts {
		if !p.Ended {
			return nil
		}
	}
	if t.ended {
		return nil
	}
	t.ended = true
	if err := t.finalWatermark(); err != nil {
		return err
	}
	if t.life.endedLeft.Add(-1) == 0 {
		t.life.job.event(checkpoint.Event{Kind: checkpoint.EventEnded}, t.life)
	}
	return nil
}

func (t *sourceTask) finalWatermark() error {
	if err := t.advance(record.MaxTimestamp); err != nil {
		return err
	}
	t.reportDirty()
	return t.flush()
}

// checkpoint is E2 for a source task: the positions are those of what was
// handed on, the watermark goes first, so that a restart judges late records as
// this life would have (A9).
func (t *sourceTask) checkpoint(n checkpoint.Epoch) error {
	if err := t.tick(); err != nil {
		return err
	}
	positions := make([]checkpoint.SourcePosition, len(t.parts))
	for i, p := range t.parts {
		positions[i] = p.SourcePosition
		if !p.Ended {
			positions[i].Watermark, positions[i].Idle = t.marks.Partition(i)
		}
		if mutant("B7") {
			positions[i].Offset = max(p.Offset, record.Offset(p.polled.Load()))
		}
	}
	moved := t.moved
	t.moved = false
	return t.barrier(n, positions, moved)
}

// stdinFeed takes the lines of standard input. It cannot be read again: after a
// restart it goes on with the next line.
type stdinFeed struct {
	t     *sourceTask
	lines *source.Lines
	in    *stdinReader
}

func (s *stdinFeed) ready() <-chan struct{} { return s.in.ready }

func (s *stdinFeed) next(context.Context) (time.Duration, bool, error) {
	chunk, eof, err := s.in.take()
	if err != nil {
		return 0, false, err
	}
	if chunk == nil && !eof {
		return forever, false, nil
	}
	if err := s.lines.Feed(chunk); err != nil {
		return 0, false, err
	}
	count := 0
	admitted := true
	for {
		if admitted = s.t.life.job.admit(1) == 1; !admitted {
			break
		}
		line, at, ok := s.lines.Next()
		if !ok && eof {
			line, at, ok = s.lines.Last()
		}
		if !ok {
			s.t.life.job.admitted.Add(-1)
			break
		}
		m := record.Message{Topic: s.t.source.Spec.Name, Offset: at, Epoch: -1, Time: s.t.life.job.now(), Value: line}
		if err := s.t.one(0, &m); err != nil {
			return 0, false, err
		}
		count++
	}
	s.t.parts[0].Offset = s.lines.Position()
	if count > 0 {
		s.t.taken(count)
		s.t.marks.Active(0, s.t.life.job.now())
	}
	if !admitted {
		return forever, false, nil // the stop is on its way
	}
	return 0, eof, nil
}
