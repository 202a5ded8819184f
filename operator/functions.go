package operator

import (
	"encoding/binary"

	"kstream/expr"
	"kstream/record"
)

// parts gives numbers to the parts of accumulators that have entries beside the
// main one.
type parts struct {
	env   *expr.Env
	panes bool
	next  int

	changing bool // the input is a changelog
}

func (p *parts) take() byte {
	p.next++
	return byte(p.next - 1)
}

// cell makes the cell of a value of a static type.
func (p *parts) cell(t record.Type) cell {
	if fixedSize(t) {
		return cell{}
	}
	return cell{beside: true, part: p.take()}
}

// accumulator is the switch over the aggregate functions. It gives the size of
// their part of the main entry.
func (p *parts) accumulator(k expr.AggregateCall) (accumulator, int, error) {
	if p.changing {
		return p.changingAccumulator(k)
	}
	arg := func(i int) record.Type { return k.Args[i].Type }
	switch k.Func {
	case "count":
		return &count{all: len(k.Args) == 0}, 8, nil
	case "count_if":
		return &countIf{}, 8, nil
	case "sum":
		return &sum{}, scalarSize, nil
	case "sum_if":
		return &sum{conditional: true}, scalarSize, nil
	case "avg":
		return &avg{}, scalarSize + 8, nil
	case "min", "max":
		e := &extreme{name: k.Func, sign: signOf(k.Func), cell: p.cell(arg(0))}
		return e, e.cell.size(), nil
	case "min_by", "max_by":
		e := &extremeBy{name: k.Func, sign: signOf(k.Func), by: p.cell(arg(1)), value: p.cell(arg(0))}
		return e, e.by.size() + e.value.size(), nil
	case "first", "last":
		f := &firstLast{env: p.env, last: k.Func == "last", cell: p.cell(arg(0))}
		return f, timedHead + f.cell.size(), nil
	case "count_distinct":
		return &distinct{part: p.take(), panes: p.panes}, 8, nil
	}
	return p.statistics(k)
}

// signOf is what record.Compare(new, old) must give for the new value to win.
func signOf(name string) int {
	if name == "min" || name == "min_by" {
		return -1
	}
	return 1
}

// inline is embedded by accumulators without entries beside the main one.
type inline struct{}

func (inline) load(*place, []record.Value) error  { return nil }
func (inline) store(*place, []record.Value) error { return nil }
func (inline) drop([]byte, *place) error          { return nil }

// increment adds one to a counter of the main entry.
func increment(b []byte) {
	binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+1)
}

func counter(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// count counts rows, or the rows whose argument is not null.
type count struct {
	inline
	all bool
	n   uint64
}

func (c *count) add(main []byte, args []record.Value) error {
	if c.all || !args[0].IsNull() {
		increment(main)
	}
	return nil
}

func (c *count) merge(main []byte, _ *place) error {
	c.n += counter(main)
	return nil
}

func (c *count) result() (record.Value, error) {
	n := c.n
	c.n = 0
	return record.Int(int64(n)), nil
}

// countIf counts the rows for which the condition is true.
type countIf struct{ count }

func (c *countIf) add(main []byte, args []record.Value) error {
	ok, err := condition("count_if", args[0])
	if ok {
		increment(main)
	}
	return err
}

func condition(name string, v record.Value) (bool, error) {
	if k := v.Kind(); k != record.KindBool && k != record.KindNull {
		return false, badValue("%s needs true or false, found %s", name, v.TypeName())
	}
	return v.True(), nil
}

// sum adds up numbers or durations; its second argument is the condition of
// sum_if.
type sum struct {
	inline
	conditional bool
	total       record.Value
}

func (s *sum) add(main []byte, args []record.Value) error {
	if s.conditional {
		if ok, err := condition("sum_if", args[1]); !ok {
			return err
		}
	}
	return addTo(main, args[0])
}

// addTo adds a value to a scalar of the main entry; null adds nothing.
func addTo(main []byte, v record.Value) error {
	if v.IsNull() {
		return nil
	}
	if v.Kind() == record.KindInt && main[0] == byte(record.KindInt) {
		total, ok := add(int64(binary.LittleEndian.Uint64(main[2:])), v.Int())
		if !ok {
			return badValue("the sum is too large")
		}
		binary.LittleEndian.PutUint64(main[2:], uint64(total))
		return nil
	}
	total, err := sumOf(getScalar(main), v)
	if err != nil {
		return err
	}
	putScalar(main, total)
	return nil
}

func (s *sum) merge(main []byte, _ *place) (err error) {
	if v := getScalar(main); !v.IsNull() {
		s.total, err = sumOf(s.total, v)
	}
	return err
}

func (s *sum) result() (record.Value, error) {
	v := s.total
	s.total = record.Null
	return v, nil
}

// avg divides the sum of the values that are not null by their number.
type avg struct {
	inline
	total record.Value
	n     uint64
}

func (a *avg) add(main []byte, args []record.Value) error {
	if args[0].IsNull() {
		return nil
	}
	if err := addTo(main, args[0]); err != nil {
		return err
	}
	increment(main[scalarSize:])
	return nil
}

func (a *avg) merge(main []byte, _ *place) (err error) {
	v := getScalar(main)
	if v.IsNull() {
		return nil
	}
	a.n += counter(main[scalarSize:])
	a.total, err = sumOf(a.total, v)
	return err
}

func (a *avg) result() (record.Value, error) {
	total, n := a.total, a.n
	a.total, a.n = record.Null, 0
	if n == 0 {
		return record.Null, nil
	}
	return average(total, n)
}

// extreme keeps the smallest or the largest value.
type extreme struct {
	name string
	sign int
	cell cell
	best record.Value
}

// wins reports whether v replaces old, which may be null for nothing. Of equal
// values the earlier stays.
func wins(name string, sign int, v, old record.Value) (bool, error) {
	if old.IsNull() {
		return true, nil
	}
	c, ok := record.Compare(v, old)
	if !ok {
		return false, badValue("%s cannot compare %s and %s", name, old.TypeName(), v.TypeName())
	}
	return c == sign, nil
}

func (e *extreme) load(at *place, _ []record.Value) error { return e.cell.load(at) }

func (e *extreme) add(main []byte, args []record.Value) error {
	v := args[0]
	if v.IsNull() {
		return nil
	}
	ok, err := wins(e.name, e.sign, v, e.cell.get(main))
	if ok {
		e.cell.set(main, v)
	}
	return err
}

func (e *extreme) store(at *place, _ []record.Value) error { return e.cell.store(at) }

func (e *extreme) drop(_ []byte, at *place) error { return e.cell.drop(at) }

func (e *extreme) merge(main []byte, at *place) error {
	if err := e.cell.load(at); err != nil {
		return err
	}
	v := e.cell.get(main)
	if v.IsNull() {
		return nil
	}
	ok, err := wins(e.name, e.sign, v, e.best)
	if ok {
		e.best = v
	}
	return err
}

func (e *extreme) result() (record.Value, error) {
	v := e.best
	e.best = record.Null
	return v, nil
}

// extremeBy keeps the value of the row with the smallest or the largest `by`,
// which may be null; rows without a `by` do not count.
type extremeBy struct {
	name      string
	sign      int
	by, value cell
	bestBy    record.Value
	best      record.Value
}

func (e *extremeBy) load(at *place, _ []record.Value) error {
	e.value.changed = false
	return e.by.load(at)
}

func (e *extremeBy) add(main []byte, args []record.Value) error {
	if args[1].IsNull() {
		return nil
	}
	ok, err := wins(e.name, e.sign, args[1], e.by.get(main))
	if ok {
		e.by.set(main, args[1])
		e.value.set(main[e.by.size():], args[0])
	}
	return err
}

func (e *extremeBy) store(at *place, _ []record.Value) error {
	if err := e.by.store(at); err != nil {
		return err
	}
	return e.value.store(at)
}

func (e *extremeBy) drop(_ []byte, at *place) error {
	if err := e.by.drop(at); err != nil {
		return err
	}
	return e.value.drop(at)
}

func (e *extremeBy) merge(main []byte, at *place) error {
	if err := e.by.load(at); err != nil {
		return err
	}
	by := e.by.get(main)
	if by.IsNull() {
		return nil
	}
	ok, err := wins(e.name, e.sign, by, e.bestBy)
	if !ok {
		return err
	}
	if err := e.value.load(at); err != nil {
		return err
	}
	e.bestBy, e.best = by, e.value.get(main[e.by.size():])
	return nil
}

func (e *extremeBy) result() (record.Value, error) {
	v := e.best
	e.best, e.bestBy = record.Null, record.Null
	return v, nil
}
