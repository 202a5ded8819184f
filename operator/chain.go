package operator

import (
	"fmt"

	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// RecordError is what a record failed with at a node whose on_error is fail.
type RecordError = record.Error

// Env is what a chain needs of its task. The functions are called while the
// chain is built, but Log and the counters, which are called while it runs.
type Env struct {
	// Expr is shared by all programs of the chain; its Row is set by the chain
	// when an operator makes rows of its own.
	Expr *expr.Env
	// MaxParallelism is the number of key groups.
	MaxParallelism int
	// Table opens the state of a node. Its contents are restored before Build:
	// window operators read its namespaces.
	Table func(uid string) (*state.Table, error)
	// Exchange and Sink give the functions that take rows out of the chain. The
	// row is valid during the call only. A *RecordError returned by a sink is
	// subject to the on_error of its node; other errors end the task.
	Exchange func(end *topology.ExchangeEnd) (func(*record.Row) error, error)
	Sink     func(node *topology.Node) (func(*record.Row) error, error)
	// DeadLetter writes a dead letter of a row that failed at a node.
	DeadLetter func(node *topology.Node, row *record.Row, e *RecordError) error
	// Log takes the lines of log steps, already limited in rate.
	Log   func(level, uid, text string)
	Count Counters
}

// Counters are told of every record that is not processed further.
type Counters struct {
	Skipped     func(uid, code string) // on_error: skip
	Diverted    func(uid, code string) // on_error: {output: …}
	LateDropped func(uid string)
}

// NodeStats counts the rows of one operator since Build.
type NodeStats struct {
	UID  string
	Kind topology.NodeKind
	In   uint64 // rows that arrived
	Out  uint64 // rows that were passed on; of a node with two children each counts once
}

// Chain runs one subtask of a topology.Chain. It belongs to one goroutine.
type Chain struct {
	// Slots is the register file: rows that enter have it as their Slots. Before
	// is that of the rows as they were before an update.
	Slots, Before []record.Value

	roots     []step
	bad       []step // who takes what the source cannot read
	bases     []*base
	stateful  []*state.Table
	expiring  []*expiry // those with a state_ttl
	clocked   []clocked
	holding   []*coalesce
	behind    record.Timestamp // how far Passed is behind the watermark
	watermark record.Timestamp
}

// step is one operator.
type step interface {
	// process takes a row, which is valid during the call.
	process(row *record.Row) error
	// advance takes a new watermark, which is above the one before, and hands
	// it to the children after the rows that it causes.
	advance(watermark record.Timestamp) error
	// restore takes the watermark of a checkpoint; nothing fires.
	restore(watermark record.Timestamp)
}

// Process runs a row through the chain. env.Expr.Begin was called for it.
func (c *Chain) Process(row *record.Row) error {
	for _, r := range c.roots {
		if err := r.process(row); err != nil {
			return err
		}
	}
	return nil
}

// Watermark says that no row at or before w is expected. One that is not above
// the last is ignored. No row is being processed; the arena is used and reset.
func (c *Chain) Watermark(w record.Timestamp) error {
	if w <= c.watermark {
		return nil
	}
	c.watermark = w
	for _, r := range c.roots {
		if err := r.advance(w); err != nil {
			return err
		}
	}
	for _, r := range c.bad {
		if err := r.advance(w); err != nil {
			return err
		}
	}
	return nil
}

// RestoreWatermark sets the watermark of the restored checkpoint. It is called
// once, before the first row.
func (c *Chain) RestoreWatermark(w record.Timestamp) {
	c.watermark = w
	for _, r := range c.roots {
		r.restore(w)
	}
	for _, r := range c.bad {
		r.restore(w)
	}
}

// CurrentWatermark is the watermark to keep in a checkpoint.
func (c *Chain) CurrentWatermark() record.Timestamp { return c.watermark }

// Freeze ends the epoch for the state of the chain and gives what it changed,
// one delta for each stateful operator, in the order of the tree.
func (c *Chain) Freeze(epoch uint64) []*state.Delta {
	if len(c.stateful) == 0 {
		return nil
	}
	deltas := make([]*state.Delta, len(c.stateful))
	for i, t := range c.stateful {
		deltas[i] = t.Freeze(epoch)
	}
	return deltas
}

// Applied says that the deltas of the epoch are in the local store.
func (c *Chain) Applied(epoch uint64) {
	for _, t := range c.stateful {
		t.Applied(epoch)
	}
}

// DirtyBytes is the state changed since the last Freeze.
func (c *Chain) DirtyBytes() int64 {
	var n int64
	for _, t := range c.stateful {
		n += t.DirtyBytes()
	}
	return n
}

// Stats appends the counts of all operators, in the order of the tree.
func (c *Chain) Stats(dst []NodeStats) []NodeStats {
	for _, b := range c.bases {
		dst = append(dst, b.stats)
	}
	return dst
}

// base is what all operators share.
type base struct {
	env   *Env
	expr  *expr.Env
	node  *topology.Node
	next  []step
	only  step   // next[0] if it is the only one
	bad   []step // who takes what fails here, with on_error: {output: …}
	stats NodeStats
}

// emit hands a row to the children.
func (b *base) emit(row *record.Row) error {
	b.stats.Out++
	if b.only != nil {
		return b.only.process(row)
	}
	for _, n := range b.next {
		if err := n.process(row); err != nil {
			return err
		}
	}
	return nil
}

// emitOwn hands a row the operator made to the children, so that their programs
// read it, and goes back to the row that is being processed, if there is one.
func (b *base) emitOwn(own, row *record.Row) error {
	b.expr.Begin(own)
	err := b.emit(own)
	b.expr.Begin(row)
	return err
}

func (b *base) advance(w record.Timestamp) error {
	for _, n := range b.next {
		if err := n.advance(w); err != nil {
			return err
		}
	}
	for _, n := range b.bad {
		if err := n.advance(w); err != nil {
			return err
		}
	}
	return nil
}

func (b *base) restore(w record.Timestamp) {
	for _, n := range b.next {
		n.restore(w)
	}
	for _, n := range b.bad {
		n.restore(w)
	}
}

// evalFailed deals with an expression of this node that failed for a row.
func (b *base) evalFailed(row *record.Row, err *expr.EvalError) error {
	return b.failed(row, &RecordError{Code: err.Code, Message: err.Message})
}

// holds evaluates a `when`; null is false.
func (b *base) holds(p *expr.Program) (bool, *expr.EvalError) {
	ok := p.Cond(b.expr)
	return ok, b.expr.Err()
}

// wrap says at which node something that is no record error went wrong.
func (b *base) wrap(what string, err error) error {
	return fmt.Errorf("%s: %s: %w", b.node.UID, what, err)
}
