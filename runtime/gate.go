package runtime

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"kstream/checkpoint"
	"kstream/record"
)

// gate says which epoch's transaction is open. A task produces only while its
// own epoch's is: a task that has passed barrier n produces for n+1, and holds
// its output until the answer of EndTxn(n) has opened the gate for n+1 (I5).
type gate struct {
	epoch atomic.Uint64

	mu     sync.Mutex
	opened chan struct{} // closed and replaced at every opening
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

// open lets tasks produce into the transaction of an epoch (E0).
func (g *gate) open(n checkpoint.Epoch) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.epoch.Store(uint64(n))
	close(g.opened)
	g.opened = make(chan struct{})
}

func (g *gate) isOpen(n checkpoint.Epoch) bool { return g.epoch.Load() == uint64(n) }

// next is closed when the gate opens the next time.
func (g *gate) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.opened
}

func (g *gate) wait(ctx context.Context, n checkpoint.Epoch) error {
	for !g.isOpen(n) {
		next := g.next()
		if g.isOpen(n) {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// holdLimit is how much output the tasks of an instance hold together while
// EndTxn is on its way (4.3); then they block, and back-pressure does the rest.
const holdLimit = 32 << 20

// hold keeps the output of one task in order while its gate is closed.
type hold struct {
	messages []record.Message
	arena    record.Arena
	bytes    int64
}

func (h *hold) add(m *record.Message) int64 {
	kept := *m
	kept.Key = copyOrNil(&h.arena, m.Key)
	kept.Value = copyOrNil(&h.arena, m.Value)
	if len(m.Headers) > 0 {
		kept.Headers = make([]record.Header, len(m.Headers))
		for i, header := range m.Headers {
			kept.Headers[i] = record.Header{Key: header.Key, Value: copyOrNil(&h.arena, header.Value)}
		}
	}
	h.messages = append(h.messages, kept)
	size := int64(len(m.Key) + len(m.Value) + 64)
	h.bytes += size
	return size
}

// copyOrNil keeps the difference between no value, a tombstone, and an empty one.
func copyOrNil(a *record.Arena, b []byte) []byte {
	if b == nil {
		return nil
	}
	return a.Copy(b)
}

// output is where a task's sinks put their records: into the open transaction,
// or into the hold.
type output struct {
	ctx      context.Context
	producer Output
	gate     *gate
	held     *atomic.Int64 // of all tasks
	stall    *blockedTime
	epoch    checkpoint.Epoch // the task's
	hold     hold
	fail     *failpoints
	wrote    bool // something of this epoch was produced
}

// write hands a record on. The message may be reused afterwards.
func (o *output) write(m *record.Message) error {
	if o.gate.isOpen(o.epoch) {
		if len(o.hold.messages) > 0 {
			o.release()
		}
		o.produce(m)
		return nil
	}
	if o.held.Load() > holdLimit {
		began := time.Now()
		err := o.gate.wait(o.ctx, o.epoch)
		o.stall.add(time.Since(began))
		if err != nil {
			return err
		}
		return o.write(m)
	}
	o.held.Add(o.hold.add(m))
	return nil
}

// produce is E1.
func (o *output) produce(m *record.Message) {
	step := "mid"
	if !o.wrote {
		o.wrote, step = true, "first-write"
	}
	o.fail.before(step)
	o.producer.Produce(m)
	o.fail.after(step)
}

// release produces what was held; the gate is open.
func (o *output) release() {
	for i := range o.hold.messages {
		o.produce(&o.hold.messages[i])
	}
	o.held.Add(-o.hold.bytes)
	o.hold.messages, o.hold.bytes = o.hold.messages[:0], 0
	o.hold.arena.Reset()
}

// waiting is the channel that says when held output can go, nil if there is none.
func (o *output) waiting() <-chan struct{} {
	if len(o.hold.messages) == 0 {
		return nil
	}
	next := o.gate.next()
	if o.gate.isOpen(o.epoch) {
		done := make(chan struct{})
		close(done)
		return done
	}
	return next
}

// close ends the task's epoch: everything of it is in the transaction (E5). The
// gate is open, because barrier n is sent only while T(n) is.
func (o *output) close() error {
	if len(o.hold.messages) > 0 {
		if err := o.gate.wait(o.ctx, o.epoch); err != nil {
			return err
		}
		o.release()
	}
	o.epoch++
	o.wrote = false
	return nil
}

// blockedTime is time spent waiting, added up for a metric.
type blockedTime struct{ nanos atomic.Int64 }

func (b *blockedTime) add(d time.Duration) { b.nanos.Add(int64(d)) }

func (b *blockedTime) seconds() float64 { return float64(b.nanos.Load()) / 1e9 }
