package operator

import (
	"encoding/binary"
	"errors"
	"fmt"

	"kstream/codec"
	"kstream/record"
	"kstream/topology"
)

// topList is the rows of a list as they are stored, the last of the order first.
type topList [][]byte

var errTopList = errors.New("a stored list of top_n cannot be read")

// parseTopList finds the rows of an entry, using the memory of into.
func parseTopList(entry []byte, into topList) (topList, error) {
	into = into[:0]
	if len(entry) == 0 {
		return into, nil
	}
	n, size := binary.Uvarint(entry)
	if size <= 0 {
		return nil, errTopList
	}
	for rest := entry[size:]; n > 0; n-- {
		length, size := binary.Uvarint(rest)
		if size <= 0 || length > uint64(len(rest)-size) {
			return nil, errTopList
		}
		into = append(into, rest[size:size+int(length)])
		rest = rest[size+int(length):]
	}
	return into, nil
}

// append writes the list as an entry.
func (l topList) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(l)))
	for _, row := range l {
		b = append(binary.AppendUvarint(b, uint64(len(row))), row...)
	}
	return b
}

// topRows reads, writes and compares rows.
type topRows struct {
	spec    *topology.TopN
	scratch []byte
}

// place is where a row with these order values goes in a list, which must not
// be changed meanwhile: behind those equal to it. -1: it does not get in.
func (r *topRows) place(l topList, wanted []record.Value, spec *topology.TopN) (int, error) {
	for _, v := range wanted {
		if !v.IsNull() {
			if _, ok := record.Compare(v, v); !ok {
				return 0, badValue("order_by needs values that have an order, found %s", v.TypeName())
			}
		}
	}
	low, high := 0, len(l)
	for low < high {
		mid := (low + high) / 2
		if len(l) >= spec.N && low == 0 && high == len(l) {
			mid = 0 // most rows do not get in
		}
		c, err := r.compare(wanted, l[mid])
		if err != nil {
			return 0, err
		}
		if c < 0 { // better than that one
			low = mid + 1
			continue
		}
		if mid == 0 && len(l) >= spec.N && (c > 0 || !spec.Ties) {
			return -1, nil
		}
		high = mid
	}
	return low, nil
}

// compare says whether order values come before those of a stored row (-1),
// behind (1), or neither. Nulls come last in either direction.
func (r *topRows) compare(wanted []record.Value, row []byte) (int, error) {
	for i, o := range r.spec.Order {
		other, rest, err := codec.ReadValue(row)
		if err != nil {
			return 0, errTopList
		}
		row = rest
		c, err := compareOrdered(wanted[i], other, o.Desc)
		if c != 0 || err != nil {
			return c, err
		}
	}
	return 0, nil
}

func compareOrdered(a, b record.Value, desc bool) (int, error) {
	switch {
	case a.IsNull() && b.IsNull():
		return 0, nil
	case a.IsNull():
		return 1, nil
	case b.IsNull():
		return -1, nil
	}
	c, ok := record.Compare(a, b)
	if !ok {
		return 0, badValue("order_by cannot compare %s and %s", a.TypeName(), b.TypeName())
	}
	if desc {
		c = -c
	}
	return c, nil
}

// same reports whether two stored rows are equal in the order.
func (r *topRows) same(a, b []byte) (bool, error) {
	for _, o := range r.spec.Order {
		x, restA, err := codec.ReadValue(a)
		if err != nil {
			return false, errTopList
		}
		y, restB, err := codec.ReadValue(b)
		if err != nil {
			return false, errTopList
		}
		if c, err := compareOrdered(x, y, o.Desc); c != 0 || err != nil {
			return false, err
		}
		a, b = restA, restB
	}
	return true, nil
}

// rank is the rank of the i-th row: its place, or that of the best row equal to
// it if ties count.
func (r *topRows) rank(l topList, i int) (int, error) {
	if r.spec.Ties {
		for i+1 < len(l) {
			same, err := r.same(l[i], l[i+1])
			if err != nil {
				return 0, err
			}
			if !same {
				break
			}
			i++
		}
	}
	return len(l) - i, nil
}

// overhang is how many rows at the beginning of a list are too many.
func (r *topRows) overhang(l topList, spec *topology.TopN) (int, error) {
	if len(l) <= spec.N {
		return 0, nil
	}
	if !spec.Ties {
		return len(l) - spec.N, nil
	}
	first, err := r.rank(l, 0)
	if err != nil || first <= spec.N {
		return 0, err
	}
	return len(l) - first + 1, nil
}

// encode writes a row; it lives in the arena.
func (r *topRows) encode(arena *record.Arena, row *record.Row, wanted []record.Value) ([]byte, error) {
	b, err := r.scratch[:0], error(nil)
	for _, v := range wanted {
		if b, err = codec.AppendValue(b, v); err != nil {
			return nil, fmt.Errorf("order_by: %w", err)
		}
	}
	b = binary.AppendVarint(b, int64(row.Time))
	if r.spec.HasSpan {
		b = binary.AppendVarint(binary.AppendVarint(b, int64(row.Window.Start)), int64(row.Window.End))
	}
	for _, c := range r.spec.Columns {
		if b, err = codec.AppendValue(b, row.Slots[c.In]); err != nil {
			return nil, fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	r.scratch = b
	return arena.Copy(b), nil
}

// decode fills a row.
func (r *topRows) decode(row *record.Row, b []byte, arena *record.Arena) (err error) {
	for range r.spec.Order {
		if _, b, err = codec.ReadValue(b); err != nil {
			return errTopList
		}
	}
	times := [3]*record.Timestamp{&row.Time, &row.Window.Start, &row.Window.End}
	n := 1
	if r.spec.HasSpan {
		n = 3
	}
	for _, at := range times[:n] {
		v, size := binary.Varint(b)
		if size <= 0 {
			return errTopList
		}
		*at, b = record.Timestamp(v), b[size:]
	}
	for _, c := range r.spec.Columns {
		var v record.Value
		if v, b, err = codec.ReadValue(b); err != nil {
			return errTopList
		}
		if c.Name == "$key" && r.spec.Key {
			row.Key, row.KeyBytes = v, nil
		} else {
			row.Slots[c.Out] = v
		}
	}
	return nil
}
