package codec

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"kstream/record"
)

// ordered is values of each kind in their order.
func ordered() [][]record.Value {
	var ints, times []record.Value
	for _, n := range []int64{math.MinInt64, math.MinInt64 + 1, -1 << 40, -65537, -65536, -257, -256, -255, -2, -1, 0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 40, math.MaxInt64} {
		ints = append(ints, record.Int(n))
		times = append(times, record.TimestampNanos(n))
	}
	object := func(name string, v record.Value) record.Value {
		return record.ObjectOf(&record.Object{Names: []string{name}, Values: []record.Value{v}})
	}
	return [][]record.Value{
		{record.Null}, {record.Bool(false), record.Bool(true)}, ints, times,
		{
			record.Decimal(-999999999999999999, 0), record.Decimal(-15, 1), record.Decimal(-149, 2), record.Decimal(-1, 0), record.Decimal(-1, 255), record.Decimal(0, 5), record.Decimal(1, 255),
			record.Decimal(999999999999999999, 19), record.Decimal(1, 1), record.Decimal(999999999999999999, 18), record.Decimal(100, 2), record.Decimal(15, 1), record.Decimal(999999999999999999, 0),
		},
		{
			record.String(""), record.String("\x00"), record.String("\x00\x00"), record.String("\x00\x01"), record.String("\x00a"), record.String("\x01"), record.String("a"), record.String("a\x00"),
			record.String("a\x00b"), record.String("a\x01"), record.String("aa"), record.String("é"), record.String("\xff"),
		},
		{record.Bytes(nil), record.Bytes([]byte{0}), record.Bytes([]byte{0, 0xff}), record.Bytes([]byte{1}), record.Bytes([]byte{0xff})},
		{record.Date(-1), record.Date(0), record.Date(1)}, {record.TimeOfDay(0), record.TimeOfDay(1)}, {record.Duration(-1), record.Duration(1)},
		{record.List(nil), record.List([]record.Value{record.Null}), record.List([]record.Value{record.Int(1)}), record.List([]record.Value{record.Int(1), record.Null}), record.List([]record.Value{record.Int(1), record.Int(-1)}), record.List([]record.Value{record.Int(2)})},
		{object("a", record.Int(1)), object("a", record.Int(2)), object("b", record.Int(0))},
	}
}

func mustKey(t *testing.T, v record.Value) []byte {
	t.Helper()
	b, err := AppendKey(nil, v)
	if err != nil {
		t.Fatalf("%s: %v", showAll([]record.Value{v}), err)
	}
	return b
}

func TestKeyOrder(t *testing.T) {
	var all [][]byte
	for _, kind := range ordered() {
		for i, v := range kind {
			k := mustKey(t, v)
			if i > 0 && bytes.Compare(mustKey(t, kind[i-1]), k) >= 0 {
				t.Errorf("%s does not sort before %s", showAll(kind[i-1:i]), showAll(kind[i:i+1]))
			}
			all = append(all, k)
			checkKey(t, v, k)
		}
	}
	for i, a := range all {
		for j, b := range all {
			if i != j && bytes.HasPrefix(a, b) {
				t.Errorf("%x begins with %x", a, b)
			}
		}
	}
}

// checkKey decodes a key, alone and with something behind it.
func checkKey(t *testing.T, v record.Value, key []byte) {
	t.Helper()
	got, rest, err := DecodeKey(append(slices.Clone(key), 0xaa))
	if err != nil || len(rest) != 1 || got.Kind() != v.Kind() || !record.Equal(got, v) {
		t.Errorf("%x is %s with %d bytes left, %v; want %s", key, showAll([]record.Value{got}), len(rest), err, showAll([]record.Value{v}))
	}
	for i := range key {
		if _, _, err := DecodeKey(key[:i]); err == nil {
			t.Errorf("%x is a key without its last %d bytes", key, len(key)-i)
		}
	}
}

// TestKeyBytes pins the layout: stored keys must stay readable.
func TestKeyBytes(t *testing.T) {
	for want, v := range map[string]record.Value{
		"\x01": record.Null, "\x03": record.Bool(true), "\x20": record.Int(0), "\x21\x01": record.Int(1), "\x22\x01\x00": record.Int(256), "\x18": record.Int(-1), "\x17\x00": record.Int(-256),
		"\x40ab\x00\x01": record.String("ab"), "\x41\x00\xff\x00\x01": record.Bytes([]byte{0}), "\x31": record.Decimal(0, 2),
		"\x50\x80\x00\x00\x00\x00\x00\x00\x01": record.TimestampNanos(1), "\x32\x01\x01\x02\x14\xe8\x34\x8c\x4f\x00\x00": record.Decimal(15, 1),
		"\x60\x21\x01\x00": record.List([]record.Value{record.Int(1)}), "\x61\x01a\x00\x01\x21\x01\x00": record.ObjectOf(&record.Object{Names: []string{"a"}, Values: []record.Value{record.Int(1)}}),
	} {
		if got := string(mustKey(t, v)); got != want {
			t.Errorf("%s is %x, want %x", showAll([]record.Value{v}), got, want)
		}
	}
}

func TestEqualKeysHaveEqualBytes(t *testing.T) {
	if a, b := mustKey(t, record.Decimal(150, 2)), mustKey(t, record.Decimal(15, 1)); !bytes.Equal(a, b) {
		t.Errorf("1.50 is %x and 1.5 is %x", a, b)
	}
	a, b := mustKey(t, record.JSON([]byte(`{"b": [1, "x"], "a":null}`))), mustKey(t, record.JSON([]byte(`{"\u0061":null,"b":[1,"\u0078"]}`)))
	if !bytes.Equal(a, b) {
		t.Errorf("the same content is %x and %x", a, b)
	}
}

func TestKeyErrors(t *testing.T) {
	deep := record.Int(1)
	for range nestedMax + 1 {
		deep = record.List([]record.Value{deep})
	}
	for _, v := range []record.Value{record.Float(1), record.List([]record.Value{record.Float(1)}), record.JSON([]byte(`{"a":1.5}`)), record.Decimal(math.MinInt64, 0), deep} {
		if _, err := AppendKey(nil, v); err == nil {
			t.Errorf("%.40s is a key", showAll([]record.Value{v}))
		}
	}
	for _, b := range []string{"", "\x00", "\x22\x00\x01", "\x28\x80\x00\x00\x00\x00\x00\x00\x00", "\x17\xff", "\x10\x7f\xff\xff\xff\xff\xff\xff\xff", "\x40a\x00\x02", "\x40a", "\x60", "\x61\x02a\x00\x01\x01\x00", "\x32\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00", "\x32\xff\xff\x02\x14\xe8\x34\x8c\x4f\x00\x00", strings.Repeat("\x60", 100_000)} {
		if v, _, err := DecodeKey([]byte(b)); err == nil {
			t.Errorf("%.20x is %s", b, showAll([]record.Value{v}))
		}
	}
}

// valueFrom builds a value out of fuzz bytes; depth bounds the nesting.
func valueFrom(in *[]byte, depth int, floats bool) record.Value {
	next := func(n int) []byte {
		b := (*in)[:min(n, len(*in))]
		*in = (*in)[len(b):]
		return b
	}
	number := func() (n int64) {
		for _, c := range next(1 + int(lenByte(next(1)))%8) {
			n = n<<8 | int64(int8(c))
		}
		return n
	}
	switch k := lenByte(next(1)) % 13; {
	case k == 1:
		return record.Bool(number()&1 == 1)
	case k == 2:
		return record.Int(number())
	case k == 3:
		return record.Decimal(number()%record.Pow10(18), uint8(number()))
	case k == 4:
		return record.StringBytes(next(int(lenByte(next(1))) % 40))
	case k == 5:
		return record.Bytes(next(int(lenByte(next(1))) % 40))
	case k == 6:
		return record.TimestampNanos(number())
	case k == 7:
		return record.Date(number())
	case k == 8:
		return record.TimeOfDay(number())
	case k == 9:
		return record.Duration(number())
	case k == 10 && floats:
		return record.Float(math.Float64frombits(uint64(number())))
	case k >= 11 && depth > 0:
		o := &record.Object{}
		for i := range int(lenByte(next(1))) % 4 {
			o.Names = append(o.Names, string(next(2))+string(rune('a'+i)))
			o.Values = append(o.Values, valueFrom(in, depth-1, floats))
		}
		if k == 11 {
			return record.List(o.Values)
		}
		return record.ObjectOf(o)
	}
	return record.Null
}

func lenByte(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

// FuzzKey makes two values: their keys sort as they do, none is the beginning
// of the other, and both are read back.
func FuzzKey(f *testing.F) {
	f.Add([]byte("\x02\x07abcdefgh\x02\x07abcdefgi"))
	f.Add([]byte("\x04\x03a\x00b\x04\x02a\x00"))
	f.Add([]byte("\x03\x01\x05\x01\x02\x03\x01\x32\x01\x03"))
	f.Add([]byte("\x0c\x02xx\x02\x00\x01yy\x04\x01z\x0b\x01\x02\x00\x01"))
	f.Fuzz(func(t *testing.T, in []byte) {
		raw := in
		a, b := valueFrom(&in, 3, false), valueFrom(&in, 3, false)
		ka, kb := mustKey(t, a), mustKey(t, b)
		checkKey(t, a, ka)
		same := record.Equal(a, b) && a.Kind() == b.Kind()
		if a.Kind() != record.KindObject && same != bytes.Equal(ka, kb) {
			t.Fatalf("equal %v, keys %x and %x", same, ka, kb)
		}
		if !bytes.Equal(ka, kb) && (bytes.HasPrefix(ka, kb) || bytes.HasPrefix(kb, ka)) {
			t.Fatalf("%x and %x are not prefix-free", ka, kb)
		}
		if c, ok := record.Compare(a, b); ok && a.Kind() == b.Kind() && sign(c) != bytes.Compare(ka, kb) {
			t.Fatalf("values compare %d, keys %x and %x", c, ka, kb)
		}
		if v, rest, err := DecodeKey(raw); err == nil {
			if back := mustKey(t, v); !bytes.Equal(back, raw[:len(raw)-len(rest)]) {
				t.Fatalf("%x was accepted and is written %x", raw, back)
			}
		}
	})
}

func sign(c int) int { return max(-1, min(c, 1)) }

// FuzzValue reads back what was written, and reads anything without harm.
func FuzzValue(f *testing.F) {
	for _, kind := range ordered() {
		for _, v := range kind {
			b, _ := AppendValue(nil, v)
			f.Add(b)
		}
	}
	f.Add([]byte("\x0c\xff\xff\xff\xff\x0f"))
	f.Add([]byte("\x0f\x02{}"))
	f.Fuzz(func(t *testing.T, in []byte) {
		if v, rest, err := ReadValue(in); err == nil {
			b, err := AppendValue(nil, v)
			if err != nil || len(rest) > len(in) {
				t.Fatalf("%x: %v", in, err)
			}
			if again, _, err := ReadValue(b); err != nil || again.Kind() != v.Kind() {
				t.Fatalf("%x: %v", b, err)
			}
		}
		v := valueFrom(&in, 3, true)
		b, err := AppendValue(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		got, rest, err := ReadValue(append(slices.Clone(b), 0xaa))
		if err != nil || len(rest) != 1 || showAll([]record.Value{got}) != showAll([]record.Value{v}) || got.Scale() != v.Scale() {
			t.Fatalf("%x is %s, want %s", b, showAll([]record.Value{got}), showAll([]record.Value{v}))
		}
		for i := range b {
			if _, _, err := ReadValue(b[:i]); err == nil {
				t.Fatalf("%x is a value without its end", b)
			}
		}
	})
}

// TestValueBytes pins the layout: stored values must stay readable.
func TestValueBytes(t *testing.T) {
	for want, v := range map[string]record.Value{
		"\x00": record.Null, "\x02": record.Bool(true), "\x03\x03": record.Int(-2), "\x04\x00\x00\x00\x00\x00\x00\xf0\x3f": record.Float(1), "\x05\x02\xac\x02": record.Decimal(150, 2),
		"\x06\x02ab": record.String("ab"), "\x07\x01\x00": record.Bytes([]byte{0}), "\x08\x01\x00\x00\x00\x00\x00\x00\x00": record.TimestampNanos(1), "\x09\x02": record.Date(1),
		"\x0a\x01\x00\x00\x00\x00\x00\x00\x00": record.TimeOfDay(1), "\x0b\x01\x00\x00\x00\x00\x00\x00\x00": record.Duration(1), "\x0c\x01\x03\x02": record.List([]record.Value{record.Int(1)}),
		"\x0d\x01\x01a\x03\x02": record.ObjectOf(&record.Object{Names: []string{"a"}, Values: []record.Value{record.Int(1)}}), "\x0e\x02{}": record.JSON([]byte("{}")), "\x0f\x02[]": record.JSONDecimals([]byte("[]")),
	} {
		b, err := AppendValue(nil, v)
		if err != nil || string(b) != want {
			t.Errorf("%s is %x %v, want %x", showAll([]record.Value{v}), b, err, want)
		}
		if got, _, err := ReadValue(b); err != nil || got.HasJSONDecimals() != v.HasJSONDecimals() {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, _, err := ReadValue([]byte(strings.Repeat("\x0c\x01", 100_000))); err == nil {
		t.Error("100000 levels were read")
	}
}

func TestKeysAllocateNothing(t *testing.T) {
	pair := record.ObjectOf(&record.Object{Names: []string{"a", "b"}, Values: []record.Value{record.Int(1107), record.String("x\x00y")}})
	vs := []record.Value{record.Int(-77), record.String("channel"), record.Decimal(15, 1), record.TimestampNanos(5), pair, record.Null}
	buf := make([]byte, 0, 256)
	plain := mustKey(t, record.String("channel"))
	if n := testing.AllocsPerRun(100, func() {
		for _, v := range vs {
			buf, _ = AppendKey(buf[:0], v)
			_ = record.KeyGroupOf(buf, 32)
			buf, _ = AppendValue(buf[:0], v)
		}
		if _, _, err := DecodeKey(plain); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
