package operator

import (
	"encoding/binary"
	"fmt"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// accumulators is the state of one aggregate step: for each key, and each pane
// of a window, one main entry of a fixed size that is changed in place, and for
// what has no fixed size entries of its own beside it.
//
// # Bytes (layout 1; 2 without a window)
//
// All numbers are little-endian; a fresh entry is all zeros and means that
// nothing was seen.
//
//	main entry   key = the encoded $key
//	             [newest event time, 8 bytes; end of the group, 8]   only without a window
//	             [oldest, newest event time, 8 bytes each]   only in count windows
//	             [number of rows, 8 bytes]                           only over a changelog
//	             the accumulators in the order of the calls:
//	  count, count_if          n 8
//	  sum, sum_if              scalar 10
//	  avg                      scalar 10 (the sum), n 8
//	  min, max                 cell
//	  min_by, max_by           cell (by), cell (the value)
//	  first, last              time 8, seen 1, cell
//	  count_distinct           n 8
//	  collect                  n 8
//	  reduce                   newest event time 8, seen 1, a scalar for each
//	                           field whose static type has a fixed size
//	  any_value                seen 1, cell
//	  collect_set, collect_map, median, percentile, string_agg
//	                           n 8
//	  bool_and, bool_or        number of true 8, of false 8
//	  variance, stddev         n 8, mean 8, sum of squared distances 8
//	             at least 1 byte
//
//	scalar   kind 1 (0 is null), decimal places 1, number 8
//	cell     a scalar, if the static type is a bool, number or time; otherwise
//	         nothing in the main entry, and the value in an entry beside it
//
//	entries beside it   key = the encoded $key, number of the part 1, rest
//	  cell                 rest empty; value = codec.AppendValue
//	  count_distinct       rest = 0 and the member's bytes; value = 1
//	  count_distinct       rest = 1 and its number 8, big-endian; value = the
//	                       member's bytes. Only if windows have several panes,
//	                       whose members must be counted once
//	  collect, median,     rest = the element's number 8, big-endian;
//	  percentile,          value = codec.AppendValue; of string_agg the list of
//	  string_agg           text and separator
//	  collect_set,         rest = 0 and the member's or the key's bytes; value =
//	  collect_map          its number 8, big-endian
//	                       rest = 1 and its number; value = codec.AppendValue,
//	                       of collect_map the list of key and value
//	  reduce               rest empty; value = codec.AppendValue of each other
//	                       field, one behind the other
//
// Over a changelog, where values are taken back, the main entry has
//
//	count, count_if, bool_…, variance, stddev   as above
//	sum, sum_if, avg         scalar 10, n 8
//	count_distinct           n 8; beside it the members as above, with their
//	                         number of rows 8
//	min, max, min_by, max_by, first, last       see ranked
//	the others                                  see bag
//
// The parts that need entries of their own are numbered in the order of the
// calls. Encoded keys are prefix-free, so no entry of one key is taken for one
// of another.
//
// So a record costs one probe of the table plus one for each part beside the
// main entry, however many elements were collected and members counted.
type accumulators struct {
	*base
	table   *state.Table
	calls   []call
	size    int
	newest  bool                           // the main entry begins with the newest event time, and when the group ends
	expiry  *expiry                        // of state without a window
	span    bool                           // it begins with the oldest and the newest event time
	beside  bool                           // some accumulator has entries beside the main one
	evals   []func(*expr.Env) record.Value // the arguments of all calls
	args    []record.Value
	results []record.Value // Env.Acc
	reduced *reduce        // of a reduce step
	at      place
	saved   []byte // the main entry before the record

	changing bool // rows can be taken back: behind newest stands their number
}

// call is one aggregate call: its arguments and where its state is.
type call struct {
	acc       accumulator
	off, end  int // in the main entry
	first     int // of its arguments in accumulators.args
	arguments int
}

// accumulator is one aggregate function. It belongs to one operator; between
// the methods for one record it may remember what it is about to do.
type accumulator interface {
	// load reads what the record is compared with from the entries beside the
	// main one, and decides what can be decided from them.
	load(at *place, args []record.Value) error
	// add takes a record into the part of the main entry. After an error of any
	// accumulator the main entry is put back as it was and store is not called.
	add(main []byte, args []record.Value) error
	// store writes what load and add decided to the entries beside the main one.
	store(at *place, args []record.Value) error
	// merge takes the state of one pane into the result, in order of panes.
	merge(main []byte, at *place) error
	// drop deletes the entries beside the main one.
	drop(main []byte, at *place) error
	// result is the value of everything merged since the last call of result.
	result() (record.Value, error)
}

// newAccumulators makes the accumulators of a node and opens its table.
// Panes says that results are merged of several panes.
func (c *Chain) newAccumulators(b *base, panes bool) (*accumulators, error) {
	a := &accumulators{base: b, newest: b.node.Kind == topology.NodeAggregate}
	if a.newest {
		a.size = newestSize + expirySize
	}
	if a.span = b.node.Window != nil && b.node.Window.Count; a.span {
		a.size = 16
	}
	if a.changing = b.node.Aggregate.Changing; a.changing {
		a.size += 8
	}
	layout := parts{env: b.expr, panes: panes, changing: a.changing}
	for _, k := range b.node.Aggregate.Calls {
		acc, size, err := layout.accumulator(k)
		if err != nil {
			return nil, err
		}
		a.calls = append(a.calls, call{
			acc: acc, off: a.size, end: a.size + size, first: len(a.evals), arguments: len(k.Args),
		})
		a.size += size
		for _, p := range k.Args {
			a.evals = append(a.evals, p.Eval)
		}
	}
	if r := b.node.Aggregate.Reduce; r != nil {
		acc, size := layout.newReduce(r, c.Slots)
		a.reduced = acc
		a.calls = append(a.calls, call{acc: acc, off: a.size, end: a.size + size, arguments: len(r.Fields)})
		a.size += size
		for _, f := range r.Fields {
			a.evals = append(a.evals, f.New.Eval)
		}
	}
	if layout.next > 255 {
		return nil, fmt.Errorf("%d aggregates with state of their own, the limit is 255", layout.next)
	}
	a.args = make([]record.Value, len(a.evals))
	a.size = max(a.size, 1)
	a.saved = make([]byte, a.size)
	a.beside = layout.next > 0
	a.results = make([]record.Value, len(a.calls))
	var err error
	if a.table, err = b.env.Table(b.node.UID); err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	c.stateful = append(c.stateful, a.table)
	a.expiry = c.expire(b, a.table, newestSize, a.beside, isMainKey)
	a.at = place{table: a.table, arena: b.expr.Arena}
	return a, nil
}

// update takes a row into the state of its key. The main entry is valid until
// the table changes, nil if the row was skipped.
func (a *accumulators) update(row *record.Row, ns int64) (main []byte, fresh bool, err error) {
	if bad := a.evaluate(); bad != nil {
		return nil, false, a.failed(row, bad)
	}
	a.at.move(row.Group, ns, row.KeyBytes)
	if a.beside {
		if err := a.expiry.dropEnded(row.Group, ns, row.KeyBytes); err != nil {
			return nil, false, a.wrap("drop expired state", err)
		}
		for i := range a.calls {
			if err := a.calls[i].acc.load(&a.at, a.argsOf(i)); err != nil {
				return nil, false, a.stateError(row, err)
			}
		}
	}
	main, fresh, err = a.table.Upsert(row.Group, ns, row.KeyBytes, a.size)
	if err != nil {
		return nil, false, a.wrap("update state", err)
	}
	if !fresh && a.expiry.on() && a.expiry.ended(main) {
		clear(main)
		fresh = true
	}
	if err := a.add(main); err != nil {
		if err := a.undo(row, ns, main, fresh); err != nil {
			return nil, false, err
		}
		return nil, false, a.stateError(row, err)
	}
	if a.newest {
		raise(main, row.Time, fresh)
		a.expiry.renew(main)
	}
	if a.span {
		if fresh || row.Time < oldestOf(main) {
			binary.LittleEndian.PutUint64(main, uint64(row.Time))
		}
		raise(main[8:], row.Time, fresh)
	}
	if !a.beside {
		return main, fresh, nil
	}
	return a.store(row, ns, fresh)
}

// evaluate computes the arguments of all calls before anything is changed.
func (a *accumulators) evaluate() *RecordError {
	for i, eval := range a.evals {
		a.args[i] = eval(a.expr)
	}
	if err := a.expr.Err(); err != nil {
		return &RecordError{Code: err.Code, Message: err.Message}
	}
	return nil
}

func (a *accumulators) argsOf(i int) []record.Value {
	k := &a.calls[i]
	return a.args[k.first : k.first+k.arguments]
}

// add changes the main entry. It keeps a copy first if a call can fail behind
// one that has changed its part.
func (a *accumulators) add(main []byte) error {
	copy(a.saved, main)
	for i := range a.calls {
		k := &a.calls[i]
		if err := k.acc.add(main[k.off:k.end], a.args[k.first:k.first+k.arguments]); err != nil {
			return err
		}
	}
	return nil
}

// undo puts the main entry back as it was before the row.
func (a *accumulators) undo(row *record.Row, ns int64, main []byte, fresh bool) error {
	if !fresh {
		copy(main, a.saved)
		return nil
	}
	if err := a.table.Delete(row.Group, ns, row.KeyBytes); err != nil {
		return a.wrap("update state", err)
	}
	return nil
}

// store writes the entries beside the main one, and finds that again.
func (a *accumulators) store(row *record.Row, ns int64, fresh bool) ([]byte, bool, error) {
	for i := range a.calls {
		if err := a.calls[i].acc.store(&a.at, a.argsOf(i)); err != nil {
			return nil, false, a.stateError(row, err)
		}
	}
	main, ok, err := a.table.Get(row.Group, ns, row.KeyBytes)
	if err != nil {
		return nil, false, a.wrap("read state", err)
	}
	if !ok {
		return nil, false, a.wrap("read state", errMissing)
	}
	return main, fresh, nil
}

// merge takes one pane of a key into the results.
func (a *accumulators) merge(main []byte, g record.KeyGroup, ns int64, key []byte) error {
	a.at.move(g, ns, key)
	if a.beside {
		// Reading the entries beside it may move the main entry in memory.
		main = a.expr.Arena.Copy(main)
	}
	for i := range a.calls {
		k := &a.calls[i]
		if err := k.acc.merge(main[k.off:k.end], &a.at); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what was merged.
func (a *accumulators) forget() {
	for i := range a.calls {
		a.results[i], _ = a.calls[i].acc.result()
	}
	a.at.earlier = a.at.earlier[:0]
}

// pass makes own of what was merged and hands it to the children. Row is the one
// that is being processed, nil when the watermark fires.
func (a *accumulators) pass(own, row *record.Row) error {
	bad, err := a.finish(own)
	switch {
	case err != nil:
		return err
	case bad != nil:
		err = a.resultFailed(own, row, bad)
		a.expr.Begin(row)
		return err
	}
	return a.emitOwn(own, row)
}

// finish takes the results and computes the output columns of own, whose key,
// time and window are set. Bad is why there is no row to pass on.
func (a *accumulators) finish(own *record.Row) (bad *RecordError, err error) {
	var first error
	for i := range a.calls {
		v, err := a.calls[i].acc.result()
		if err != nil && first == nil {
			first = err
		}
		a.results[i] = v
	}
	a.at.earlier = a.at.earlier[:0]
	a.expr.Begin(own)
	if first != nil {
		if value, ok := first.(valueError); ok {
			return &RecordError{Code: codeEval, Message: string(value)}, nil
		}
		return nil, a.wrap("state", first)
	}
	if a.reduced != nil {
		a.reduced.putResult(own.Slots)
	}
	a.expr.Acc = a.results
	for i := range a.node.Aggregate.Outputs {
		o := &a.node.Aggregate.Outputs[i]
		own.Slots[o.Slot] = o.Program.Eval(a.expr)
	}
	if err := a.expr.Err(); err != nil {
		return &RecordError{Code: err.Code, Message: err.Message}, nil
	}
	return nil, nil
}

// decodeKey sets the key of own from its encoding and gives what follows the
// key in b, which is empty for a main entry.
func (a *accumulators) decodeKey(own *record.Row, b []byte) (rest []byte, err error) {
	own.Key, rest, err = codec.DecodeKey(b)
	if err != nil {
		return nil, a.wrap("decode key", err)
	}
	own.KeyBytes = b[:len(b)-len(rest)]
	return rest, nil
}

// stateError tells an error of the record's values from one of the table.
func (a *accumulators) stateError(row *record.Row, err error) error {
	if bad, ok := err.(valueError); ok {
		return a.failed(row, &RecordError{Code: codeEval, Message: string(bad)})
	}
	return a.wrap("state", err)
}

// drop deletes what is known of a key in a namespace.
func (a *accumulators) drop(g record.KeyGroup, ns int64, key []byte) error {
	if a.beside {
		main, ok, err := a.table.Get(g, ns, key)
		if err != nil || !ok {
			return err
		}
		a.saved = append(a.saved[:0], main...)
		a.at.move(g, ns, key)
		for i := range a.calls {
			k := &a.calls[i]
			if err := k.acc.drop(a.saved[k.off:k.end], &a.at); err != nil {
				return err
			}
		}
	}
	return a.table.Delete(g, ns, key)
}

func oldestOf(main []byte) record.Timestamp {
	return record.Timestamp(binary.LittleEndian.Uint64(main))
}

// raise keeps the newest event time of the key at the start of the main entry.
func raise(main []byte, t record.Timestamp, fresh bool) {
	if fresh || t > newestOf(main) {
		binary.LittleEndian.PutUint64(main, uint64(t))
	}
}

// newestSize is what the newest event time takes at the start of the main entry.
const newestSize = 8

// isMainKey reports whether the key of an entry is that of a main one.
func isMainKey(key []byte) bool {
	_, rest, err := codec.DecodeKey(key)
	return err == nil && len(rest) == 0
}

func newestOf(main []byte) record.Timestamp {
	return record.Timestamp(binary.LittleEndian.Uint64(main))
}
