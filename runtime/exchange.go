package runtime

import (
	"context"
	"sync"

	"kstream/checkpoint"
	"kstream/record"
)

// messageKind is what travels on a channel between tasks, in order (A1).
type messageKind uint8

const (
	messageRows messageKind = iota
	messageWatermark
	messageIdle
	messageBarrier
	messageFetched   // records of a source partition, to a source task
	messagePartition // to a source task: a partition that was added to a topic
	messageStop      // to a source task: no further input; drain says whether the final watermark comes first
)

// message is one item on a channel. Rows belong to the receiver, who gives them
// back to their pool.
type message struct {
	kind      messageKind
	rows      *rows
	fetched   record.FetchedPartition
	partition *partition
	watermark record.Timestamp
	epoch     checkpoint.Epoch
	drain     bool
}

// inputCapacity is how many messages with data may wait on one channel: short
// channels keep barriers fast (A12). Control messages are always taken, so that
// a full channel cannot stop a barrier.
const inputCapacity = 4

// inbox is the receiving end of all channels of one task. Each input is a
// bounded queue; an input that is blocked by a barrier is not read, the others
// are read in turn.
type inbox struct {
	mu     sync.Mutex
	inputs []input
	next   int           // whose turn it is
	ready  chan struct{} // capacity 1: something may be there
}

type input struct {
	queue   []message
	head    int
	data    int // messages with data in the queue
	blocked bool
	space   chan struct{} // capacity 1: a sender waits for room
}

func newInbox(inputs int) *inbox {
	b := &inbox{inputs: make([]input, inputs), ready: make(chan struct{}, 1)}
	for i := range b.inputs {
		b.inputs[i].space = make(chan struct{}, 1)
	}
	return b
}

// grow adds an input and gives its number.
func (b *inbox) grow() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inputs = append(b.inputs, input{space: make(chan struct{}, 1)})
	return len(b.inputs) - 1
}

// fetchCapacity is how many runs of fetched records may wait for a source task
// beside the one it works on. A run is all that a fetch brought of a partition,
// up to a few megabytes: what waits longer has left the processor's cache.
const fetchCapacity = 1

func capacityOf(k messageKind) int {
	if k == messageFetched {
		return fetchCapacity
	}
	return inputCapacity
}

func hasData(k messageKind) bool { return k == messageRows || k == messageFetched }

// put appends a message. Data waits for room; waited says that it had to.
func (b *inbox) put(ctx context.Context, from int, m message) (waited bool, err error) {
	for {
		b.mu.Lock()
		in := &b.inputs[from] // anew: grow moves them
		if !hasData(m.kind) || in.data < capacityOf(m.kind) {
			b.append(in, m)
			b.mu.Unlock()
			return waited, nil
		}
		space := in.space
		b.mu.Unlock()
		waited = true
		select {
		case <-space:
		case <-ctx.Done():
			return waited, context.Cause(ctx)
		}
	}
}

func (b *inbox) append(in *input, m message) {
	if hasData(m.kind) {
		in.data++
	}
	if in.head > 0 && len(in.queue) == cap(in.queue) {
		// A queue that is never empty would grow without end.
		n := copy(in.queue, in.queue[in.head:])
		clear(in.queue[n:])
		in.queue, in.head = in.queue[:n], 0
	}
	in.queue = append(in.queue, m)
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// take returns the next message of an input that is not blocked.
func (b *inbox) take() (from int, m message, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.inputs {
		at := (b.next + i) % len(b.inputs)
		in := &b.inputs[at]
		if in.blocked || in.head == len(in.queue) {
			continue
		}
		b.next = at + 1
		return at, in.pop(), true
	}
	return 0, message{}, false
}

// takeFrom returns the next message of one input.
func (b *inbox) takeFrom(from int) (m message, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	in := &b.inputs[from]
	if in.head == len(in.queue) {
		return message{}, false
	}
	return in.pop(), true
}

func (in *input) pop() message {
	m := in.queue[in.head]
	in.queue[in.head] = message{}
	in.head++
	if in.head == len(in.queue) {
		in.queue, in.head = in.queue[:0], 0
	}
	if hasData(m.kind) {
		in.data--
		select {
		case in.space <- struct{}{}:
		default:
		}
	}
	return m
}

// block stops reading an input (E3); unblock reads all of them again.
func (b *inbox) block(from int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inputs[from].blocked = true
}

func (b *inbox) unblock() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.inputs {
		b.inputs[i].blocked = false
	}
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// rowsMax is how many rows a batch holds (performance.md rule 4).
const rowsMax = 512

// rows is a pooled batch: what rows carry beside their columns, the columns
// themselves, row after row, and the bytes they point to.
type rows struct {
	heads  []head
	values []record.Value
	arena  record.Arena
	pool   *rowsPool
	// of an exchange that carries the records as they were read
	originals []original
	headers   []record.Header
	kept      int // bytes of the records
}

// keptMax is how many bytes of records as they were read a batch holds before it
// is sent, full or not: whole records may be a thousand times their columns.
const keptMax = 1 << 20

// original is the record a row was read from, as a dead letter shows it. Its
// headers are rows.headers[from:to].
type original struct {
	key, value []byte
	from, to   int
}

// keep copies what a dead letter of the row just added needs.
func (r *rows) keep(o *record.Origin) {
	kept := original{from: len(r.headers), to: len(r.headers)}
	if o != nil {
		kept.key, kept.value = copyOrNil(&r.arena, o.Key), copyOrNil(&r.arena, o.Value)
		for _, h := range o.Headers {
			r.headers = append(r.headers, record.Header{Key: h.Key, Value: copyOrNil(&r.arena, h.Value)})
		}
		kept.to = len(r.headers)
		r.kept += len(o.Key) + len(o.Value)
	}
	r.originals = append(r.originals, kept)
}

// restore gives a row's origin the record it was read from.
func (r *rows) restore(i int, o *record.Origin) {
	kept := &r.originals[i]
	o.Key, o.Value = kept.key, kept.value
	o.Headers = r.headers[kept.from:kept.to:kept.to]
}

// head is what every row carries through an exchange.
type head struct {
	key    []byte // encoded, nil if there is none
	group  record.KeyGroup
	op     record.Op
	before bool // the row is what the next one of the batch was before its update
	bare   bool // of a delete: the columns mean nothing
	time   record.Timestamp
	window record.Window
	topic  string
	part   int32
	offset record.Offset
	read   record.Timestamp // $record_ts
}

func (r *rows) release() {
	r.heads = r.heads[:0]
	r.values = r.values[:0]
	r.originals, r.headers = r.originals[:0], r.headers[:0]
	r.kept = 0
	r.arena.Reset()
	select {
	case r.pool.free <- r:
	default:
	}
}

// rowsPool is the free list of one exchange. What does not fit is garbage.
type rowsPool struct {
	free chan *rows
}

func newRowsPool(size int) *rowsPool { return &rowsPool{free: make(chan *rows, size)} }

func (p *rowsPool) get(columns int) *rows {
	select {
	case r := <-p.free:
		return r
	default:
		return &rows{
			heads:  make([]head, 0, rowsMax),
			values: make([]record.Value, 0, rowsMax*columns),
			pool:   p,
		}
	}
}
