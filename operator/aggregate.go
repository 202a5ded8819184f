package operator

import "kstream/record"

// aggregate keeps one row per key and passes it on after every change: an
// insert for a new key, then updates.
type aggregate struct {
	*accumulators
	own record.Row
}

func newAggregate(b *base, acc *accumulators, slots []record.Value) *aggregate {
	return &aggregate{accumulators: acc, own: record.Row{Slots: slots}}
}

func (a *aggregate) process(row *record.Row) error {
	a.stats.In++
	main, fresh, err := a.update(row, 0)
	if main == nil || err != nil {
		return err
	}
	a.own.Op = record.OpUpdate
	if fresh {
		a.own.Op = record.OpInsert
	}
	a.own.Time, a.own.Group = newestOf(main), row.Group
	if err := a.merge(main, row.Group, 0, row.KeyBytes); err != nil {
		a.forget()
		return a.stateError(row, err)
	}
	if _, err := a.decodeKey(&a.own, row.KeyBytes); err != nil {
		return err
	}
	return a.pass(&a.own, row)
}
