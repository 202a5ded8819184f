package operator

import (
	"encoding/binary"
	"fmt"
	"math"

	"kstream/expr"
	"kstream/record"
)

// changingAccumulator is the switch over the aggregate functions over a
// changelog, where values are taken back. What was never added is not taken
// back: its state had expired.
func (p *parts) changingAccumulator(k expr.AggregateCall) (accumulator, int, error) {
	switch k.Func {
	case "count":
		return &countChanges{all: len(k.Args) == 0}, 8, nil
	case "count_if":
		return &countChanges{conditional: true}, 8, nil
	case "sum", "sum_if":
		return &sumChanges{conditional: k.Func == "sum_if"}, scalarSize + 8, nil
	case "avg":
		return &sumChanges{average: true}, scalarSize + 8, nil
	case "min", "max":
		return &ranked{name: k.Func, part: p.take(), sign: signOf(k.Func)}, rankedSize, nil
	case "min_by", "max_by":
		return &ranked{name: k.Func, part: p.take(), sign: signOf(k.Func), by: true}, rankedSize, nil
	case "first":
		return &ranked{name: k.Func, part: p.take(), sign: -1, timed: true}, rankedSize, nil
	case "last":
		return &ranked{name: k.Func, part: p.take(), sign: 1, timed: true}, rankedSize, nil
	case "count_distinct":
		return &distinctChanges{part: p.take()}, 8, nil
	}
	return p.statistics(k)
}

// signed is embedded by accumulators over a changelog.
type signed struct{ back bool }

func (s *signed) load(at *place, _ []record.Value) error { s.back = at.back; return nil }
func (*signed) store(*place, []record.Value) error       { return nil }
func (*signed) drop([]byte, *place) error                { return nil }

// step changes a counter of the main entry by one.
func (s *signed) step(b []byte) {
	n := counter(b)
	switch {
	case !s.back:
		n++
	case n > 0:
		n--
	}
	binary.LittleEndian.PutUint64(b, n)
}

// countChanges is count and count_if.
type countChanges struct {
	signed
	all, conditional bool
	n                uint64
}

func (c *countChanges) add(main []byte, args []record.Value) error {
	counts := c.all || !args[0].IsNull()
	if c.conditional {
		var err error
		if counts, err = condition("count_if", args[0]); err != nil {
			return err
		}
	}
	if counts {
		c.step(main)
	}
	return nil
}

func (c *countChanges) merge(main []byte, _ *place) error {
	c.n = counter(main)
	return nil
}

func (c *countChanges) result() (record.Value, error) {
	n := c.n
	c.n = 0
	return record.Int(int64(n)), nil
}

// sumChanges is sum, sum_if and avg: the sum and the number of its values.
// Without any the sum is null again.
type sumChanges struct {
	signed
	conditional, average bool
	total                record.Value
	n                    uint64
}

func (s *sumChanges) add(main []byte, args []record.Value) error {
	if s.conditional {
		if ok, err := condition("sum_if", args[1]); !ok {
			return err
		}
	}
	v := args[0]
	n := counter(main[scalarSize:])
	switch {
	case v.IsNull() || s.back && n == 0:
		return nil
	case s.back && n == 1:
		clear(main)
		return nil
	case s.back:
		var err error
		if v, err = negative(v); err != nil {
			return err
		}
	}
	if err := addTo(main, v); err != nil {
		return err
	}
	s.step(main[scalarSize:])
	return nil
}

// negative is what is added to take a value back.
func negative(v record.Value) (record.Value, error) {
	switch v.Kind() {
	case record.KindInt, record.KindDuration:
		if v.Int() == math.MinInt64 {
			return record.Null, badValue("the sum is too large")
		}
		if v.Kind() == record.KindInt {
			return record.Int(-v.Int()), nil
		}
		return record.Duration(-v.Int()), nil
	case record.KindDecimal:
		return record.Decimal(-v.Int(), v.Scale()), nil
	case record.KindFloat:
		return record.Float(-v.Float()), nil
	}
	return v, nil // adding it is an error
}

func (s *sumChanges) merge(main []byte, _ *place) error {
	s.total, s.n = getScalar(main), counter(main[scalarSize:])
	return nil
}

func (s *sumChanges) result() (record.Value, error) {
	total, n := s.total, s.n
	s.total, s.n = record.Null, 0
	if s.average && n > 0 {
		return average(total, n)
	}
	return total, nil
}

// distinctChanges is count_distinct: an entry for each member, with its number
// of rows.
type distinctChanges struct {
	signed
	part   byte
	member []byte
	rows   uint64
	total  uint64
	buf    [8]byte
}

func (d *distinctChanges) load(at *place, args []record.Value) error {
	d.back = at.back
	d.member = d.member[:0]
	if args[0].IsNull() {
		return nil
	}
	var err error
	if d.member, err = appendMember(d.member, args[0]); err != nil {
		return badValue("count_distinct: %s", err)
	}
	b, known, err := at.table.Get(at.group, at.ns, d.key(at))
	d.rows = 0
	if known {
		d.rows = counter(b)
	}
	return err
}

func (d *distinctChanges) key(at *place) []byte {
	at.sub = append(at.subKey(d.part, byMember), d.member...)
	return at.sub
}

func (d *distinctChanges) add(main []byte, _ []record.Value) error {
	if len(d.member) > 0 && (!d.back && d.rows == 0 || d.back && d.rows == 1) {
		d.step(main)
	}
	return nil
}

func (d *distinctChanges) store(at *place, _ []record.Value) error {
	if len(d.member) == 0 || d.back && d.rows == 0 {
		return nil
	}
	if d.back && d.rows == 1 {
		return at.table.Delete(at.group, at.ns, d.key(at))
	}
	binary.LittleEndian.PutUint64(d.buf[:], d.rows)
	d.step(d.buf[:])
	return at.table.Put(at.group, at.ns, d.key(at), d.buf[:])
}

func (d *distinctChanges) merge(main []byte, _ *place) error {
	d.total = counter(main)
	return nil
}

func (d *distinctChanges) result() (record.Value, error) {
	n := d.total
	d.total = 0
	return record.Int(int64(n)), nil
}

// statistics is the functions that are the same over facts and changes.
func (p *parts) statistics(k expr.AggregateCall) (accumulator, int, error) {
	switch k.Func {
	case "bool_and", "bool_or":
		return &bools{or: k.Func == "bool_or"}, 16, nil
	case "variance", "stddev":
		return &spread{root: k.Func == "stddev"}, spreadSize, nil
	}
	fold, ok := p.fold(k)
	switch {
	case !ok:
		return nil, 0, fmt.Errorf("unknown aggregate function %s", k.Func)
	case p.changing:
		return &bag{name: k.Func, part: p.take(), fold: fold}, bagSize, nil
	case k.Func == "collect_set" || k.Func == "collect_map":
		return &uniques{name: k.Func, part: p.take(), fold: fold}, 8, nil
	case k.Func == "any_value":
		c := p.cell(k.Args[0].Type)
		return &anyValue{cell: c}, 1 + c.size(), nil
	}
	return &collect{name: k.Func, part: p.take(), fold: fold}, 8, nil
}
