package operator

import "kstream/record"

// imager is a stateless operator that computes something of one image of a row:
// the row as it is, or as it was before an update.
type imager interface {
	// image computes; keep says whether the operator passes the image on. The
	// evaluation over row has begun.
	image(row *record.Row) (keep bool, bad *RecordError)
}

// update runs an operator over both images of an update and passes on what is
// left of it. An image that fails and is skipped is one that is not there: when
// the row had these values before, it was skipped too.
func (b *base) update(row *record.Row, op imager) error {
	b.expr.Begin(row.Before)
	was, bad := op.image(row.Before)
	if bad != nil {
		if !b.goesOn() {
			return b.failed(row, bad)
		}
		was = false
	}
	b.expr.Begin(row)
	is, bad := op.image(row)
	if bad != nil {
		if err := b.failed(row, bad); err != nil {
			return err
		}
		is = false
	}
	return b.emitImages(row, was, is)
}

// emitImages passes on an update of which perhaps only one image is left: with
// the old one alone it is a delete, with the new one alone an insert. The
// evaluation over row has begun.
func (b *base) emitImages(row *record.Row, was, is bool) error {
	if was || is {
		b.stats.Out++
	}
	return b.passImages(b.next, row, was, is)
}

func (b *base) passImages(to []step, row *record.Row, was, is bool) error {
	before := row.Before
	switch {
	case was && is:
		return pass(to, row)
	case is:
		row.Before, row.Op = nil, record.OpInsert
		err := pass(to, row)
		row.Before, row.Op = before, record.OpUpdate
		return err
	case was:
		before.Op = record.OpDelete
		b.expr.Begin(before)
		err := pass(to, before)
		before.Op = record.OpUpdate
		b.expr.Begin(row)
		return err
	}
	return nil
}

func pass(to []step, row *record.Row) error {
	for _, n := range to {
		if err := n.process(row); err != nil {
			return err
		}
	}
	return nil
}

// evalError is the error of the evaluation under way, nil if there is none.
func (b *base) evalError() *RecordError {
	if err := b.expr.Err(); err != nil {
		return &RecordError{Code: err.Code, Message: err.Message}
	}
	return nil
}
