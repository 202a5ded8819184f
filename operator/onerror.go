package operator

import (
	"kstream/record"
	"kstream/topology"
)

// failed applies the on_error of the node to a row: nil if the job goes on.
func (b *base) failed(row *record.Row, e *RecordError) error {
	e.Node = b.node.UID
	e.At(row.Origin)
	b.expr.Begin(row) // what failed is forgotten
	switch b.node.OnError.Kind {
	case "skip":
		if b.env.Count.Skipped != nil {
			b.env.Count.Skipped(e.Node, e.Code)
		}
		return nil
	case "dead_letter":
		return b.env.DeadLetter(b.node, row, e)
	case "output":
		if b.env.Count.Diverted != nil {
			b.env.Count.Diverted(e.Node, e.Code)
		}
		return divert(b, b.node.Bad, b.bad, row, e)
	}
	return e
}

// goesOn reports whether the job goes on when a row fails here.
func (b *base) goesOn() bool { return b.node.OnError.Kind != "fail" && b.node.OnError.Kind != "" }

// divert hands a row that failed to a side output, with what is wrong with it.
func divert(b *base, out *topology.ErrorOutput, to []step, row *record.Row, e *RecordError) error {
	row.Slots[out.Code] = record.String(e.Code)
	row.Slots[out.Message] = record.String(e.Message)
	// Of a changelog, each version that failed is a record of its own.
	before, op := row.Before, row.Op
	row.Before, row.Op = nil, record.OpInsert
	defer func() { row.Before, row.Op = before, op }()
	for _, n := range to {
		if err := n.process(row); err != nil {
			return err
		}
	}
	b.expr.Begin(row)
	return nil
}

// Divert hands a record that the source could not read to the side output of
// the source. Row has its key, time and origin.
func (c *Chain) Divert(out *topology.ErrorOutput, row *record.Row, e *RecordError) error {
	row.Slots[out.Code] = record.String(e.Code)
	row.Slots[out.Message] = record.String(e.Message)
	row.Slots[out.Value] = record.Null
	if o := row.Origin; o != nil && o.Value != nil {
		row.Slots[out.Value] = record.Bytes(o.Value)
	}
	for _, n := range c.bad {
		if err := n.process(row); err != nil {
			return err
		}
	}
	return nil
}

// resultFailed applies on_error to a result that could not be made. If a row
// caused it, that row has failed; else, when time did, there is only its key.
func (a *accumulators) resultFailed(own, row *record.Row, e *RecordError) error {
	if row != nil {
		return a.failed(row, e)
	}
	clear(own.Slots) // what the last row left there
	own.Origin = nil
	return a.failed(own, e)
}

// mergeFailed is stateError for a result of which no row is the cause.
func (a *accumulators) mergeFailed(own *record.Row, err error) error {
	if bad, ok := err.(valueError); ok {
		return a.resultFailed(own, nil, &RecordError{Code: codeEval, Message: string(bad)})
	}
	return a.wrap("state", err)
}
