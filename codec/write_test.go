package codec

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"kstream/record"
)

func TestAppendJSON(t *testing.T) {
	half := record.TimestampNanos(1767293992500000000)
	before := record.TimestampNanos(-1)
	for _, c := range []struct {
		v    record.Value
		t    record.Type
		o, w string
	}{
		{record.Null, record.Any, "", "null"}, {record.Null, required(intType), "", "!null where"}, {record.Bool(true), record.Any, "", "true"}, {record.Int(-7), intType, "", "-7"},
		{record.Float(0.1), record.Any, "", "0.1"}, {record.Float(3), record.Any, "", "3"}, {record.Float(math.NaN()), record.Any, "", "!NaN"}, {record.Float(math.Inf(-1)), floatType, "", "!-Inf"},
		{record.Float(float64(float32(0.1))), record.TypeOf(record.TypeFloat32), "", "0.1"}, {record.Int(3), floatType, "", "3"},
		{record.Decimal(150, 2), record.Any, "", "1.50"}, {record.Decimal(15, 1), decimalOf(3), "", "1.500"}, {record.Decimal(1005, 3), decimalOf(2), "", "1.01"},
		{record.String("a\"\\\n\r\t\x00\x1f\x7f</é😀&"), record.Any, "", `"a\"\\\n\r\t\u0000\u001f` + "\x7f" + `</é😀&"`}, {record.String("12345678\n12345678\"é1234567"), record.Any, "", `"12345678\n12345678\"é1234567"`},
		{record.String(""), stringType, "", `""`}, {record.String("1234567\xff"), record.Any, "", "!UTF-8"}, {record.String("123456789\xff0123456789"), record.Any, "", "!UTF-8"}, {record.Bytes([]byte{1, 2}), record.Any, "", `"AQI="`},
		{half, record.Any, "", `"2026-01-01T18:59:52.5Z"`}, {half, record.Any, "rfc3339", `"2026-01-01T18:59:52.5Z"`}, {half, record.Any, "millis", "1767293992500"}, {half, record.Any, "seconds", "1767293992"},
		{half, sqlTime, "millis", `"2026-01-01 18:59:52.5"`}, {half, timeOf(record.UnitMicros), "seconds", "1767293992500000"}, {half, timeOf(0), "millis", "1767293992500"}, {before, timeOf(record.UnitMillis), "", "-1"}, {before, timeOf(record.UnitNanos), "", "-1"},
		{record.Date(1), record.Any, "", `"1970-01-02"`}, {record.TimeOfDay(15e8), record.Any, "", `"00:00:01.5"`}, {record.Duration(5400e9), record.Any, "", `"1h30m"`},
		{record.JSON([]byte(`{"a": [1, "x\ny"]}`)), record.Any, "", `{"a": [1, "x\ny"]}`}, {record.JSON([]byte("{\n  \"a\": [1,\r\n \"x \\\"\\\\\" ] }")), record.Any, "", `{"a":[1,"x \"\\"]}`},
		{record.List([]record.Value{record.Int(1), record.Null, half}), record.Any, "millis", `[1,null,1767293992500]`}, {record.JSON([]byte(`[1,2]`)), record.ListOf(decimalOf(1)), "", `[1.0,2.0]`},
		{record.ObjectOf(&record.Object{Names: []string{"b\"", "a"}, Values: []record.Value{record.Int(1), half}}), record.Any, "seconds", `{"b\"":1,"a":1767293992}`},
		{record.JSON([]byte(`{"b":1}`)), objectOf(record.Field{Name: "a", Type: intType}, record.Field{Name: "b", Type: decimalOf(1)}), "", `{"a":null,"b":1.0}`},
		{record.JSON([]byte(`{"k":1}`)), record.Type{Kind: record.TypeMap, Elem: &floatType}, "", `{"k":1}`}, {record.String("x"), intType, "", "!does not fit"},
	} {
		out, err := AppendJSON([]byte("> "), c.v, c.t, JSONWriteOptions{Timestamp: c.o})
		part, wrong := strings.CutPrefix(c.w, "!")
		if wrong != (err != nil) || wrong && !strings.Contains(err.Error(), part) || !wrong && string(out) != "> "+c.w {
			t.Errorf("%s as %s %s: %s %v, want %s", showAll([]record.Value{c.v}), c.t, c.o, out, err, c.w)
		}
		var e *EncodeError
		if wrong && (!errors.As(err, &e) || e.Code() != "encode-failed") {
			t.Errorf("%v is no EncodeError", err)
		}
	}
}

func TestJSONEncoder(t *testing.T) {
	rest := record.JSON([]byte(`{ "a" : 1.50 , "b\u0062":{"x": 2}, "c":"x\/y" , "d":[] }`))
	laidOut := record.JSON([]byte("{\n  \"a\": [\n 1, 2]\r\n}"))
	built := record.ObjectOf(&record.Object{Names: []string{"a", "bb", "c"}, Values: []record.Value{record.Int(1), record.Null, record.String("x")}})
	slots := []record.Value{record.Int(7), record.String("t\n"), rest, built, record.Null, record.Int(5), record.Float(math.NaN()), laidOut}
	for _, c := range []struct {
		fields []EncodeField
		rest   RestSpec
		want   string
	}{
		{nil, RestSpec{Slot: -1}, `{}`}, {[]EncodeField{{"x", 0, intType}, {"y\"", 1, stringType}, {"n", 4, record.Any}}, RestSpec{Slot: -1}, `{"x":7,"y\"":"t\n","n":null}`},
		{nil, RestSpec{Slot: 2}, `{"a":1.50,"b\u0062":{"x": 2},"c":"x\/y","d":[]}`}, {nil, RestSpec{Slot: 2, Skip: []string{"bb", "d"}}, `{"a":1.50,"c":"x\/y"}`},
		{[]EncodeField{{"c", 0, intType}, {"x", 1, stringType}, {"a", 0, decimalOf(1)}}, RestSpec{Slot: 2, Skip: []string{"d"}}, `{"a":7.0,"b\u0062":{"x": 2},"c":7,"x":"t\n"}`},
		{[]EncodeField{{"bb", 0, intType}}, RestSpec{Slot: 3, Skip: []string{"a"}}, `{"bb":7,"c":"x"}`}, {[]EncodeField{{"x", 0, intType}}, RestSpec{Slot: 4}, `{"x":7}`},
		{[]EncodeField{{"d", 0, intType}}, RestSpec{Slot: 2, Skip: []string{"d"}}, `{"a":1.50,"b\u0062":{"x": 2},"c":"x\/y","d":7}`},
		{nil, RestSpec{Slot: 7}, `{"a":[1,2]}`}, {nil, RestSpec{Slot: 5}, "!an object is needed"}, {[]EncodeField{{"f", 6, floatType}}, RestSpec{Slot: -1}, "!field f: JSON has no number NaN"}, {[]EncodeField{{"f", 4, required(intType)}}, RestSpec{Slot: 2}, "!field f: null where"},
	} {
		e := NewJSONEncoder(c.fields, c.rest, JSONWriteOptions{})
		for range 2 {
			out, err := e.Append([]byte("> "), slots, nil)
			part, wrong := strings.CutPrefix(c.want, "!")
			if wrong != (err != nil) || wrong && !strings.Contains(err.Error(), part) || !wrong && string(out) != "> "+c.want {
				t.Errorf("%v %v: %s %v, want %s", c.fields, c.rest, out, err, c.want)
			}
		}
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	rest := record.JSON([]byte(flatBid))
	slots := []record.Value{record.Int(7), record.String("t\né"), rest, record.Decimal(15, 1), record.Float(1.5), record.TimestampNanos(5), record.Bytes([]byte("abc"))}
	fields := []EncodeField{{"price", 3, decimalOf(3)}, {"b", 1, stringType}, {"c", 0, intType}, {"d", 4, floatType}, {"e", 5, timeOf(0)}, {"f", 6, record.Any}, {"g", 5, sqlTime}}
	e, plain := NewJSONEncoder(fields, RestSpec{Slot: 2, Skip: []string{"url"}}, JSONWriteOptions{}), NewJSONEncoder(fields, RestSpec{Slot: -1}, JSONWriteOptions{Timestamp: "millis"})
	buf := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		var err error
		if buf, err = e.Append(buf[:0], slots, nil); err != nil {
			t.Fatal(err)
		}
		if buf, err = plain.Append(buf[:0], slots, nil); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRecordKeys(t *testing.T) {
	object := record.ObjectOf(&record.Object{Names: []string{"a", "b"}, Values: []record.Value{record.Int(1), record.Null}})
	for _, c := range []struct {
		v            record.Value
		format, want string
	}{
		{record.String("x"), "auto", "x"}, {record.Int(7), "auto", "7"}, {record.Bool(true), "auto", "true"}, {record.Bytes([]byte{0xff}), "auto", "\xff"}, {object, "auto", `{"a":1,"b":null}`}, {record.JSON([]byte(`[1]`)), "auto", `[1]`},
		{record.TimestampNanos(0), "auto", "1970-01-01T00:00:00Z"}, {record.Decimal(150, 2), "string", "1.50"}, {record.String("x"), "string", "x"}, {object, "string", "!cannot be object"}, {record.JSON([]byte(`[1]`)), "string", "!cannot be list"},
		{record.String("x"), "json", `"x"`}, {record.Int(7), "json", "7"}, {object, "json", `{"a":1,"b":null}`}, {record.Float(math.NaN()), "json", "!NaN"},
		{record.Bytes([]byte{1}), "bytes", "\x01"}, {record.String("x"), "bytes", "x"}, {record.Int(7), "bytes", "!cannot be int"}, {object, "bytes", "!cannot be object"}, {record.String(""), "auto", ""},
	} {
		out, isNull, err := AppendRecordKey([]byte("> "), c.v, c.format)
		part, wrong := strings.CutPrefix(c.want, "!")
		if isNull || wrong != (err != nil) || wrong && !strings.Contains(err.Error(), part) || !wrong && string(out) != "> "+c.want {
			t.Errorf("%s in %s: %q %v %v, want %q", showAll([]record.Value{c.v}), c.format, out, isNull, err, c.want)
		}
	}
	for _, format := range []string{"auto", "string", "json", "bytes"} {
		if _, isNull, err := AppendRecordKey(nil, record.Null, format); !isNull || err != nil {
			t.Errorf("null in %s: %v %v", format, isNull, err)
		}
	}
}

func TestDecodeRecordKeys(t *testing.T) {
	date, bytesType, needed := record.TypeOf(record.TypeDate), record.TypeOf(record.TypeBytes), required(intType)
	object := objectOf(record.Field{Name: "a", Type: decimalOf(1)})
	dec := decimalOf(2)
	for _, c := range []struct {
		in, format string
		t          *record.Type
		want       string
	}{
		{"x", "auto", nil, "string x"}, {"42", "auto", nil, "string 42"}, {`{"a":1}`, "auto", nil, `object {"a":1}`}, {` [1]`, "auto", nil, `object [1]`}, {`{"a":`, "auto", nil, `string {"a":`}, {"\xff", "auto", nil, "bytes ff"}, {"", "auto", nil, "string "},
		{"42", "auto", &intType, "int 42"}, {"x", "auto", &intType, "!unexpected character"}, {"42", "auto", &stringType, "string 42"}, {`"x"`, "auto", &stringType, `string "x"`}, {"2026-01-31", "auto", &date, "date 20484"}, {`"2026-01-31"`, "auto", &date, "date 20484"},
		{"2026-02-31", "auto", &date, "!date"}, {`"2026-02-31"`, "auto", &date, "!date"}, {"1.5", "auto", &dec, "decimal 1.50"}, {`{"a":1}`, "auto", &object, "{a: decimal 1.0}"}, {"\xff", "auto", &bytesType, "bytes ff"}, {"\xff", "auto", &stringType, "!not UTF-8"}, {"", "auto", &date, "!date"},
		{"\xff", "string", nil, "!not UTF-8"}, {"42", "string", nil, "string 42"}, {"42", "string", &intType, "int 42"}, {"2026-01-31", "string", &date, "date 20484"}, {`"x"`, "json", nil, "string x"}, {"x", "json", nil, "!unexpected"}, {"1", "json", &stringType, "!must be string"},
		{"\xff{", "bytes", nil, "bytes ff7b"}, {"42", "json", &needed, "int 42"},
	} {
		v, err := DecodeRecordKey([]byte(c.in), c.format, c.t, &record.Arena{})
		got := strings.TrimSuffix(showAll([]record.Value{v}), "; ")
		part, wrong := strings.CutPrefix(c.want, "!")
		if wrong != (err != nil) || wrong && !strings.Contains(err.Message, part) || !wrong && got != c.want {
			t.Errorf("%q in %s: %s %v, want %s", c.in, c.format, got, err, c.want)
		}
	}
	if v, err := DecodeRecordKey(nil, "json", nil, nil); err != nil || !v.IsNull() {
		t.Errorf("no key: %v", err)
	}
	if _, err := DecodeRecordKey(nil, "auto", &needed, nil); err == nil {
		t.Error("no key where one is required")
	}
	if _, err := DecodeString([]byte("ab\xffc")); err == nil || err.Offset != 2 {
		t.Errorf("invalid text: %v", err)
	}
}

func TestZstd(t *testing.T) {
	z, err := NewZstd(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	in := bytes.Repeat([]byte("kstream "), 1<<17)
	small := z.Compress(nil, in)
	if out, err := z.Decompress(small); err != nil || !bytes.Equal(out, in) || len(small) > 1000 {
		t.Errorf("%d bytes became %d and %d: %v", len(in), len(small), len(out), err)
	}
	if _, err := z.Decompress(z.Compress(nil, append(in, 'x'))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte too much: %v", err)
	}
	if _, err := z.Decompress(small[:len(small)-1]); err == nil || errors.Is(err, ErrTooLarge) {
		t.Errorf("cut short: %v", err)
	}
}
