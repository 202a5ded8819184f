package operator

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"kstream/expr"
	"kstream/record"
)

// fold makes one value of all values of a key.
type fold struct {
	// check refuses a value before anything is changed; element is what is kept
	// of a row.
	check   func(args []record.Value) error
	element func(args []record.Value) record.Value
	result  func(list []record.Value) (record.Value, error)
}

// fold is the switch over the functions that keep all values.
func (p *parts) fold(k expr.AggregateCall) (fold, bool) {
	f := fold{
		check:   func([]record.Value) error { return nil },
		element: func(args []record.Value) record.Value { return args[0] },
	}
	pair := func(args []record.Value) record.Value { return record.List([]record.Value{args[0], args[1]}) }
	switch k.Func {
	case "collect":
		f.result = listOf
	case "collect_set":
		f.result = setOf
	case "collect_map":
		f.check, f.element, f.result = textCheck("collect_map"), pair, mapOf
	case "string_agg":
		f.check, f.element, f.result = textsCheck, pair, joined
	case "any_value":
		f.result = func(list []record.Value) (record.Value, error) {
			if len(list) == 0 {
				return record.Null, nil
			}
			return list[0], nil
		}
	case "median":
		f.check = numberCheck("median")
		f.result = func(list []record.Value) (record.Value, error) { return quantile(list, 0.5) }
	case "percentile":
		at := asNumber(k.Args[1].Eval(p.env))
		f.check = numberCheck("percentile")
		f.result = func(list []record.Value) (record.Value, error) { return quantile(list, at) }
	default:
		return f, false
	}
	return f, true
}

// listOf gives a list of its own: the row that takes it may still be read while
// the next one is merged.
func listOf(list []record.Value) (record.Value, error) {
	return record.List(append(make([]record.Value, 0, len(list)), list...)), nil
}

func setOf(list []record.Value) (record.Value, error) {
	out := make([]record.Value, 0, len(list))
	seen := map[string]bool{}
	var buf []byte
	for _, v := range list {
		var err error
		if buf, err = appendMember(buf[:0], v); err != nil {
			return record.Null, badValue("collect_set: %s", err)
		}
		if !seen[string(buf)] {
			seen[string(buf)] = true
			out = append(out, v)
		}
	}
	return record.List(out), nil
}

func mapOf(list []record.Value) (record.Value, error) {
	out := &record.Object{}
	for _, pair := range list {
		out.Set(pair.Elems()[0].Text(), pair.Elems()[1])
	}
	return record.ObjectOf(out), nil
}

// joined puts texts together, each but the first behind its separator.
func joined(list []record.Value) (record.Value, error) {
	if len(list) == 0 {
		return record.Null, nil
	}
	var b strings.Builder
	for i, pair := range list {
		if i > 0 && !pair.Elems()[1].IsNull() {
			b.WriteString(pair.Elems()[1].Text())
		}
		b.WriteString(pair.Elems()[0].Text())
	}
	return record.String(b.String()), nil
}

func textCheck(name string) func([]record.Value) error {
	return func(args []record.Value) error {
		if args[0].Kind() != record.KindString {
			return badValue("%s needs a text, found %s", name, args[0].TypeName())
		}
		return nil
	}
}

func textsCheck(args []record.Value) error {
	for _, v := range args {
		if k := v.Kind(); k != record.KindString && k != record.KindNull {
			return badValue("string_agg needs a text, found %s", v.TypeName())
		}
	}
	return nil
}

func numberCheck(name string) func([]record.Value) error {
	return func(args []record.Value) error {
		switch args[0].Kind() {
		case record.KindInt, record.KindFloat, record.KindDecimal, record.KindDuration:
			return nil
		}
		return badValue("%s needs a number, found %s", name, args[0].TypeName())
	}
}

// quantile is the value at a part of the way through the sorted list, between
// two neighbours in proportion. It has the type of an average.
func quantile(list []record.Value, at float64) (record.Value, error) {
	if len(list) == 0 {
		return record.Null, nil
	}
	ordered := true
	slices.SortStableFunc(list, func(a, b record.Value) int {
		c, ok := record.Compare(a, b)
		ordered = ordered && ok
		return c
	})
	if !ordered {
		return record.Null, badValue("the values cannot be compared with each other")
	}
	place := at * float64(len(list)-1)
	low := list[int(place)]
	high := list[min(int(place)+1, len(list)-1)]
	return between(low, high, place-math.Floor(place))
}

// between is the value at a part of the way from a to b.
func between(a, b record.Value, part float64) (record.Value, error) {
	a, err := average(a, 1)
	if err != nil {
		return record.Null, err
	}
	if b, err = average(b, 1); err != nil || part == 0 {
		return a, err
	}
	switch {
	case a.Kind() == record.KindDuration && b.Kind() == record.KindDuration:
		return record.Duration(a.Int() + int64(math.Round(float64(b.Int()-a.Int())*part))), nil
	case a.Kind() == record.KindDecimal && b.Kind() == record.KindDecimal:
		places := max(a.Scale(), b.Scale())
		x, okX := rescale(a.Int(), places-a.Scale())
		y, okY := rescale(b.Int(), places-b.Scale())
		if !okX || !okY {
			return record.Null, badValue("the result has more than %d digits", record.MaxDecimalDigits)
		}
		return record.Decimal(x+int64(math.Round(float64(y-x)*part)), places), nil
	}
	x, y := asNumber(a), asNumber(b)
	return record.Float(x + (y-x)*part), nil
}

// asNumber is a number as a float.
func asNumber(v record.Value) float64 {
	if v.Kind() == record.KindDecimal {
		return float64(v.Int()) / float64(record.Pow10(int(v.Scale())))
	}
	return asFloat(v)
}

// bools is bool_and and bool_or: the numbers of true and of false.
type bools struct {
	signed
	or            bool
	trues, falses uint64
}

func (b *bools) add(main []byte, args []record.Value) error {
	ok, err := condition("bool_and", args[0])
	if err != nil || args[0].IsNull() {
		return err
	}
	if !ok {
		main = main[8:]
	}
	b.step(main)
	return nil
}

func (b *bools) merge(main []byte, _ *place) error {
	b.trues += counter(main)
	b.falses += counter(main[8:])
	return nil
}

func (b *bools) result() (record.Value, error) {
	trues, falses := b.trues, b.falses
	b.trues, b.falses = 0, 0
	switch {
	case trues+falses == 0:
		return record.Null, nil
	case b.or:
		return record.Bool(trues > 0), nil
	}
	return record.Bool(falses == 0), nil
}

// spread is the sample variance and its root: the number of values, their mean
// and the sum of the squared distances from it.
type spread struct {
	signed
	root    bool
	n       uint64
	mean, s float64
}

const spreadSize = 24

func floatAt(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) }

func putFloat(b []byte, f float64) { binary.LittleEndian.PutUint64(b, math.Float64bits(f)) }

func (s *spread) add(main []byte, args []record.Value) error {
	v := args[0]
	switch v.Kind() {
	case record.KindNull:
		return nil
	case record.KindInt, record.KindFloat, record.KindDecimal:
	default:
		return badValue("variance needs a number, found %s", v.TypeName())
	}
	n, x, mean := counter(main), asNumber(v), floatAt(main[8:])
	if s.back && n <= 1 {
		clear(main)
		return nil
	}
	sign := 1.0
	s.step(main)
	if s.back {
		sign = -1
	}
	after := mean + sign*(x-mean)/float64(counter(main))
	putFloat(main[8:], after)
	putFloat(main[16:], max(0, floatAt(main[16:])+sign*(x-mean)*(x-after)))
	return nil
}

func (s *spread) merge(main []byte, _ *place) error {
	n := counter(main)
	if n == 0 {
		return nil
	}
	distance := floatAt(main[8:]) - s.mean
	all := float64(s.n + n)
	s.s += floatAt(main[16:]) + distance*distance*float64(s.n)*float64(n)/all
	s.mean += distance * float64(n) / all
	s.n += n
	return nil
}

func (s *spread) result() (record.Value, error) {
	n, sum := s.n, s.s
	s.n, s.mean, s.s = 0, 0, 0
	if n < 2 {
		return record.Null, nil
	}
	v := sum / float64(n-1)
	if s.root {
		v = math.Sqrt(v)
	}
	return record.Float(v), nil
}
