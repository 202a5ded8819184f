package runtime

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/codec"
	"kstream/expr"
	"kstream/operator"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
	"kstream/window"
)

// taskCore is what source tasks and other tasks have in common: one subtask of
// a chain with its state, its outputs and its place in the epochs. It is owned
// by one goroutine.
type taskCore struct {
	// configuration
	life    *life
	name    string
	chain   *topology.Chain
	subtask int
	senders []*sender
	retimes bool // some sender has times of its own
	out     output
	files   []*fileOutput
	inbox   *inbox

	// state
	op      *operator.Chain
	env     expr.Env
	arena   record.Arena
	row     record.Row
	applied checkpoint.Epoch
	dirty   int64                   // last reported to life.dirty
	tables  map[string]*state.Table // by uid

	// what others may read
	records atomic.Int64 // rows taken in
	busy    blockedTime  // waiting for room downstream
	wm      atomic.Int64
}

// frozen is a task's part of an epoch, handed over with its acknowledgement.
type frozen struct {
	times     []checkpoint.ChainWatermark // of timestamps steps
	deltas    []*state.Delta
	handles   []checkpoint.Handle
	positions []checkpoint.SourcePosition
	watermark record.Timestamp
	taken     int64 // records of a source task since the life began
	moved     bool
	operators []OperatorStatus
}

// barrier is E3-E6 for one task: everything of the epoch is handed on, the
// state is frozen, the barrier goes to every output, D(n) to the changelog, and
// the coordinator gets the acknowledgement.
func (t *taskCore) barrier(n checkpoint.Epoch, positions []checkpoint.SourcePosition, moved bool) error {
	t.life.fail.before("aligned")
	t.life.fail.after("aligned")
	t.env.Now = t.life.job.nowNanos()
	if err := t.op.Release(); err != nil {
		return err
	}
	if err := t.retime(true); err != nil {
		return err
	}
	f := &frozen{positions: positions, moved: moved, watermark: record.Timestamp(t.wm.Load()), times: t.ownTimes(), taken: t.records.Load()}
	for _, s := range t.senders {
		if err := s.flush(); err != nil {
			return err
		}
	}
	f.operators = t.operators()
	t.life.fail.before("frozen")
	t.env.Now = t.life.job.nowNanos()
	if err := t.op.Sweep(sweepEntries); err != nil {
		return err
	}
	f.deltas = t.op.Freeze(uint64(n))
	t.reportDirty()
	t.life.fail.after("frozen")
	for _, s := range t.senders {
		if err := s.control(message{kind: messageBarrier, epoch: n}); err != nil {
			return err
		}
	}
	t.life.fail.before("prepared")
	if err := t.out.close(); err != nil {
		return err
	}
	var err error
	if f.handles, err = t.prepare(n); err != nil {
		return err
	}
	t.life.fail.after("prepared")
	t.life.fail.before("changelog")
	if err := t.writeChangelog(f.deltas); err != nil {
		return err
	}
	t.life.fail.after("changelog")
	return t.life.acknowledge(ack{task: t, epoch: n, frozen: f})
}

// sweepEntries is how many entries of each operator are looked at per epoch for
// having expired.
const sweepEntries = 10_000

// writeChangelog produces D(n), one record per changed key, into the partition
// of its key group (E6). T(n) stays open until every task has acknowledged.
func (t *taskCore) writeChangelog(deltas []*state.Delta) error {
	m := record.Message{Topic: t.life.changelog.Topic, Time: t.life.job.now()}
	var key, value []byte
	for _, d := range deltas {
		err := d.Each(func(g record.KeyGroup, k, v []byte) error {
			key = changelog.AppendKey(key[:0], k)
			m.Key, m.Value, m.Partition = key, nil, int32(g)
			if v != nil {
				value = changelog.AppendValue(value[:0], v)
				m.Value = value
			}
			t.life.producer.Produce(&m)
			return nil
		})
		if err != nil {
			return fmt.Errorf("write changelog of %s: %w", t.name, err)
		}
	}
	return nil
}

// between is what a task does between two messages: entries of epochs that were
// applied become clean, and a task that is an epoch ahead of the open
// transaction waits when the instance holds more changed state than it may. Its
// barrier is behind it, so nobody waits for it meanwhile.
func (t *taskCore) between() error {
	t.apply()
	if t.life.dirty.Load() <= t.life.dirtyMax || t.out.gate.isOpen(t.out.epoch) {
		return nil
	}
	began := time.Now()
	err := t.out.gate.wait(t.life.ctx, t.out.epoch)
	t.busy.add(time.Since(began))
	return err
}

func (t *taskCore) apply() {
	if done := checkpoint.Epoch(t.life.applied.Load()); done > t.applied {
		t.applied = done
		t.op.Applied(uint64(done))
	}
}

// reportDirty adds the change of the task's dirty state to the instance's sum.
func (t *taskCore) reportDirty() {
	now := t.op.DirtyBytes()
	t.life.dirty.Add(now - t.dirty)
	t.dirty = now
}

// process runs one row through the chain.
func (t *taskCore) process() error {
	t.arena.Reset()
	t.env.Begin(&t.row)
	return t.op.Process(&t.row)
}

// advance takes the watermark of all inputs through the chain and sends it on.
func (t *taskCore) advance(w record.Timestamp) error {
	if w <= record.Timestamp(t.wm.Load()) {
		return nil
	}
	t.wm.Store(int64(w))
	if err := t.op.Watermark(w); err != nil {
		return err
	}
	return t.sendWatermark()
}

// sendWatermark tells the outputs how far event time is.
func (t *taskCore) sendWatermark() error {
	m := message{kind: messageWatermark, watermark: t.op.Passed(record.Timestamp(t.wm.Load()))}
	for _, s := range t.senders {
		if err := s.sendMark(m); err != nil {
			return err
		}
	}
	return nil
}

func (t *taskCore) sendIdle() error {
	for _, s := range t.senders {
		if err := s.sendMark(message{kind: messageIdle}); err != nil {
			return err
		}
	}
	return nil
}

// sendActive ends idleness: the watermark says that it waits for us again. Rows
// do not, since only some of the receivers get them, and event time must be the
// same in all of them at a barrier (A9, A10).
func (t *taskCore) sendActive() error { return t.sendWatermark() }

// flush hands on what is under way, when there is nothing else to do.
func (t *taskCore) flush() error {
	for _, s := range t.senders {
		if err := s.flush(); err != nil {
			return err
		}
	}
	if len(t.out.hold.messages) > 0 && t.out.gate.isOpen(t.out.epoch) {
		t.out.release()
	}
	t.life.flushStdout()
	return nil
}

// task is one subtask of a chain behind an exchange.
type task struct {
	taskCore
	// of the inputs, by channel number
	marks   *window.Partitions
	idle    bool
	arrived int              // inputs that delivered the barrier under way
	epoch   checkpoint.Epoch // of that barrier
	before  record.Row       // what the row that is processed was before its update

	origin, originBefore record.Origin
}

// run is the loop of a task. It ends with the life's context, or an error.
func (t *task) run() error {
	ctx := t.life.ctx
	flushAt := time.Time{}
	retime, stop := t.timesTick()
	defer stop()
	for {
		from, m, ok := t.inbox.take()
		if !ok {
			if err := t.flush(); err != nil {
				return err
			}
			select {
			case <-t.inbox.ready:
			case <-t.out.waiting():
			case <-retime:
				if err := t.retime(false); err != nil {
					return err
				}
			case <-t.clockDue():
				if err := t.tickClock(); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			continue
		}
		if err := t.between(); err != nil {
			return err
		}
		if err := t.handle(from, m); err != nil {
			return err
		}
		if m.kind != messageRows {
			continue
		}
		if err := t.retime(false); err != nil {
			return err
		}
		if now := time.Now(); now.After(flushAt) {
			if err := t.flush(); err != nil {
				return err
			}
			flushAt = now.Add(t.life.job.plan.Spec.BufferTimeout)
		}
	}
}

func (t *task) handle(from int, m message) error {
	switch m.kind {
	case messageRows:
		err := t.rows(m.rows)
		m.rows.release()
		return err
	case messageWatermark:
		if err := t.tickClock(); err != nil {
			return err
		}
		t.marks.SetIdle(from, false)
		t.marks.Advance(from, m.watermark)
		if t.idle {
			t.idle = false
			if err := t.sendActive(); err != nil {
				return err
			}
		}
		return t.advance(t.marks.Current())
	case messageIdle:
		return t.idleInput(from)
	case messageBarrier:
		return t.align(from, m.epoch)
	}
	return nil
}

// clockDue is a channel that says that the clock has something to do in the
// chain, nil if it has not.
func (t *task) clockDue() <-chan time.Time {
	if !t.op.Clocked() {
		return nil
	}
	due := t.op.ClockDue()
	if due == record.MaxTimestamp {
		return nil
	}
	wait := min(max(0, int64(due-t.life.job.now())), int64(time.Hour/time.Millisecond))
	return time.After(time.Duration(wait) * time.Millisecond)
}

// tickClock tells the chain the time, if it wants to know: what fell due while
// the job was down fires here too, before the first row of the epoch (A7).
func (t *task) tickClock() error {
	if !t.op.Clocked() {
		return nil
	}
	t.env.Now = t.life.job.nowNanos()
	if err := t.op.Clock(record.Timestamp(t.env.Now / 1e6)); err != nil {
		return err
	}
	t.reportDirty()
	return nil
}

func (t *task) idleInput(from int) error {
	t.marks.SetIdle(from, true)
	if t.marks.AllIdle() {
		if t.idle {
			return nil
		}
		t.idle = true
		return t.sendIdle()
	}
	return t.advance(t.marks.Current())
}

// align is E3: an input that has delivered barrier n is not read until all have.
func (t *task) align(from int, n checkpoint.Epoch) error {
	if t.arrived == 0 {
		t.epoch = n
	}
	if n != t.epoch {
		return fmt.Errorf("bug: barrier %d while barrier %d is aligned", n, t.epoch)
	}
	t.arrived++
	if t.arrived < len(t.inbox.inputs) {
		if !mutant("B6") {
			t.inbox.block(from)
		}
		return nil
	}
	t.arrived = 0
	if err := t.barrier(n, nil, false); err != nil {
		return err
	}
	t.inbox.unblock()
	return nil
}

// rows runs a batch through the chain.
func (t *task) rows(b *rows) error {
	t.life.fail.before("rows")
	t.env.Now = t.life.job.nowNanos()
	if err := t.tickClock(); err != nil {
		return err
	}
	t.row.Origin, t.before.Origin = &t.origin, &t.originBefore
	for i := range b.heads {
		if b.heads[i].before {
			// The row it belongs to is the next one of the same batch.
			if err := t.load(&t.before, b, i); err != nil {
				return err
			}
			t.row.Before = &t.before
			continue
		}
		if err := t.load(&t.row, b, i); err != nil {
			return err
		}
		if err := t.process(); err != nil {
			return err
		}
		t.row.Before = nil
	}
	t.records.Add(int64(len(b.heads)))
	t.reportDirty()
	return nil
}

// load makes row i of a batch.
func (t *task) load(row *record.Row, b *rows, i int) error {
	h := &b.heads[i]
	slots := t.chain.Input.Slots
	for j, slot := range slots {
		row.Slots[slot] = b.values[i*len(slots)+j]
	}
	*row.Origin = record.Origin{Topic: h.topic, Partition: h.part, Offset: h.offset, Time: h.read}
	if t.chain.Input.Original {
		b.restore(i, row.Origin)
	}
	row.KeyBytes, row.Group = h.key, h.group
	row.Time, row.Op, row.Window, row.Bare = h.time, h.op, h.window, h.bare
	if t.chain.NeedsKey && h.key != nil {
		key, _, err := codec.DecodeKey(h.key)
		if err != nil {
			return fmt.Errorf("bug: key of an exchange: %w", err)
		}
		row.Key = key
	}
	return nil
}
