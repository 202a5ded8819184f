package codec

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"kstream/record"
)

func decimalOf(scale int8) record.Type { return record.Type{Kind: record.TypeDecimal, Scale: scale} }

func timeOf(u record.TimeUnit) record.Type { return record.Type{Kind: record.TypeTimestamp, Unit: u} }

func required(t record.Type) record.Type { t.Required = true; return t }

func objectOf(fields ...record.Field) record.Type {
	return record.Type{Kind: record.TypeObject, Fields: fields}
}

var floatType, boolType = record.TypeOf(record.TypeFloat), record.TypeOf(record.TypeBool)

// readCases gives for a type and a JSON text the value, or after ! a part of
// the error.
var readCases = []struct {
	t        record.Type
	in, want string
}{
	{record.Any, `1`, "int 1"}, {record.Any, `-9223372036854775808`, "int -9223372036854775808"}, {record.Any, `3.0`, "float 3"},
	{record.Any, `1e2`, "float 100"}, {record.Any, `9223372036854775808`, "!does not fit into 64 bits"},
	{record.Any, `1e999999`, "!does not fit into a float"}, {record.Any, `[1,18446744073709551616]`, "!does not fit into 64 bits"},
	{record.Any, `"a\u00e9"`, "string aé"}, {record.Any, `true`, "bool 1"}, {record.Any, `null`, "null"}, {record.Any, `{"a": 1}`, `object {"a": 1}`},
	{intType, `42`, "int 42"}, {intType, `3.0`, "int 3"}, {intType, `3.00e2`, "int 300"}, {intType, `9223372036854775807.0`, "int 9223372036854775807"},
	{intType, `9223372036854775808.0`, "!does not fit"}, {intType, `3.5`, "!is not a whole number"}, {intType, `"3"`, `!must be int, found the text "3"`},
	{intType, `1e18`, "!is not a whole number of 64 bits"}, {intType, `12345678901234567890`, "!does not fit"}, {intType, `null`, "null"},
	{required(intType), `null`, "!is required and cannot be null"},
	{record.TypeOf(record.TypeInt32), `2147483647`, "int 2147483647"}, {record.TypeOf(record.TypeInt32), `-2147483649`, "!int32"},
	{floatType, `12345678901234567890`, "float 1.2345678901234567e+19"}, {floatType, `1`, "float 1"}, {floatType, `1e400`, "!float"},
	{record.TypeOf(record.TypeFloat32), `0.1`, "float 0.10000000149011612"}, {record.TypeOf(record.TypeFloat32), `1e39`, "!32 bits"},
	{decimalOf(2), `1.5`, "decimal 1.50"}, {decimalOf(2), `"1.50"`, "decimal 1.50"}, {decimalOf(2), `1.500`, "decimal 1.50"},
	{decimalOf(2), `1.505`, "!more than 2 decimal places"}, {decimalOf(2), `99999999999999999`, "!18 digits"}, {decimalOf(2), `"x"`, "!decimal"},
	{decimalOf(-1), `1.500`, "decimal 1.500"}, {decimalOf(-1), `1234567890123456789`, "!18 digits"}, {decimalOf(-1), `12e-1`, "decimal 1.2"},
	{boolType, `false`, "bool 0"}, {boolType, `0`, "!must be bool"},
	{timeOf(0), `"2026-01-31T10:15:00.5Z"`, "timestamp 1769854500500000000"}, {timeOf(0), `1500`, "timestamp 1500000000"}, {timeOf(0), `1.5`, "timestamp 1500000"},
	{timeOf(0), `"2026-02-30T00:00:00Z"`, "!is not a timestamp"}, {timeOf(0), `9223372036854775807`, "!64 bits"}, {timeOf(0), `true`, "!must be timestamp"},
	{timeOf(record.UnitSeconds), `-1`, "timestamp -1000000000"}, {timeOf(record.UnitMicros), `7`, "timestamp 7000"}, {timeOf(record.UnitNanos), `7`, "timestamp 7"},
	{timeOf(record.UnitNanos), `7.5`, "!finer"}, {timeOf(record.UnitNanos), `7.0`, "timestamp 7"}, {sqlTime, `"2026-01-01 18:59:52.5"`, "timestamp 1767293992500000000"}, {sqlTime, `7`, "!must be timestamp(sql)"},
	{record.TypeOf(record.TypeDate), `"1970-01-02"`, "date 1"}, {record.TypeOf(record.TypeDate), `"1970-1-2"`, "!date"},
	{record.TypeOf(record.TypeTime), `"00:00:01.5"`, "time 1500000000"}, {record.TypeOf(record.TypeDuration), `"1h30m"`, "duration 5400000000000"},
	{record.TypeOf(record.TypeBytes), `"AQI="`, "bytes 0102"}, {record.TypeOf(record.TypeBytes), `"AQI"`, "!bytes"}, {record.TypeOf(record.TypeBytes), `"AQ\nI="`, "!bytes"},
	{record.TypeOf(record.TypeUUID), `"00112233-4455-6677-8899-aabbccddeeff"`, "string 00112233-4455-6677-8899-aabbccddeeff"},
	{record.TypeOf(record.TypeUUID), `"00112233-4455-6677-8899-AABBCCDDEEFF"`, "!uuid"}, {record.TypeOf(record.TypeUUID), `"00112233445566778899aabbccddeeff----"`, "!uuid"},
	{record.ListOf(intType), `[1, 2.0,null]`, "[int 1; int 2; null]"}, {record.ListOf(intType), `[1,"2"]`, "!x[] must be int"}, {record.ListOf(intType), `{}`, "!must be [int]"},
	{record.ListOf(required(intType)), `[null]`, "!required"}, {record.ListOf(record.Any), `[1, {}]`, "object [1, {}]"},
	{record.Type{Kind: record.TypeMap, Elem: &sqlTime}, `{"a":"2026-01-01 18:59:52.5"}`, "{a: timestamp 1767293992500000000}"},
	{record.Type{Kind: record.TypeMap, Elem: &intType}, `{"a":"b"}`, "!x.* must be int"}, {record.Type{Kind: record.TypeMap, Elem: &intType}, `{"a":1,"a":1}`, "!repeated"},
	{objectOf(record.Field{Name: "p", Type: decimalOf(1)}, record.Field{Name: "q", Type: intType}), `{"p":2}`, "{p,q: decimal 2.0; null}"},
	{objectOf(record.Field{Name: "p", Type: required(intType)}), `{}`, "!field x.p is missing"},
	{objectOf(record.Field{Name: "p", Type: record.ListOf(objectOf(record.Field{Name: "d", Type: decimalOf(0)}))}), `{"p":[{"d":7},{}]}`, "{p: [{d: decimal 7}; {d: null}]}"},
}

// TestReadTypes reads each case with and without a schema that says the same.
func TestReadTypes(t *testing.T) {
	for _, c := range readCases {
		schema := objectOf(record.Field{Name: "x", Type: c.t})
		for name, o := range map[string]JSONOptions{"dynamic": {}, "declared": {Schema: &schema}} {
			s := NewJSONScanner([]JSONWant{{Path: []string{"x"}, Type: c.t, Slot: 0}}, o)
			for round := range 2 {
				checkRead(t, s, fmt.Sprintf("%s %s as %s, round %d", name, c.in, c.t, round), `{"x":`+c.in+`}`, c.want)
			}
		}
	}
}

func checkRead(t *testing.T, s *JSONScanner, what, in, want string) {
	t.Helper()
	slots := make([]record.Value, 2)
	var a record.Arena
	err := s.Scan([]byte(in), slots, &a)
	if part, wrong := strings.CutPrefix(want, "!"); wrong {
		if err == nil || !strings.Contains(err.Message, part) {
			t.Errorf("%s: %v (%s), want an error with %q", what, err, showAll(slots), part)
		}
		return
	}
	if got := strings.TrimSuffix(showAll(slots[:1]), "; "); err != nil || got != want {
		t.Errorf("%s: %s %v, want %s", what, got, err, want)
	}
}

func TestDecimalNumbers(t *testing.T) {
	s := NewJSONScanner([]JSONWant{{Path: []string{"x"}}}, JSONOptions{Numbers: "decimal"})
	checkRead(t, s, "decimal", `{"x":1.50}`, "decimal 1.50")
	checkRead(t, s, "whole", `{"x":150}`, "int 150")
	checkRead(t, s, "too long", `{"x":1.234567890123456789}`, "!18 digits")
	checkRead(t, s, "too long elsewhere", `{"x":1,"y":[1.234567890123456789]}`, "!18 digits")
	slots, a := make([]record.Value, 1), &record.Arena{}
	if err := s.Scan([]byte(`{"x":{"y":1.50}}`), slots, a); err != nil {
		t.Fatal(err)
	}
	if v, _ := record.JSONField(slots[0], "y", a); v.Kind() != record.KindDecimal || v.Int() != 150 {
		t.Errorf("a number inside is %s", showAll([]record.Value{v}))
	}
}

// TestSchemas has records under one schema, whatever is wanted of them.
func TestSchemas(t *testing.T) {
	schema := objectOf(
		record.Field{Name: "id", Type: required(intType)},
		record.Field{Name: "at", Type: objectOf(record.Field{Name: "ts", Type: required(sqlTime)}, record.Field{Name: "n", Type: intType})},
		record.Field{Name: "tags", Type: record.ListOf(stringType)},
	)
	for _, c := range []struct{ extra, in, want string }{
		{"", `{"id":1}`, ""}, {"", `{"id":1,"at":null,"tags":null,"z":[]}`, ""}, {"", `{}`, "field id is missing"}, {"", `{"id":null}`, "field id is required"},
		{"", `{"id":1,"at":{}}`, "field at.ts is missing"}, {"", `{"id":1,"at":{"ts":5}}`, "field at.ts must be timestamp(sql)"},
		{"", `{"id":1,"at":[]}`, "field at must be {ts: timestamp(sql)!, n: int}"}, {"", `{"id":1,"tags":["a",1]}`, "field tags[] must be string"},
		{"", `null`, "a JSON object is needed"}, {"", `7`, "a JSON object is needed"}, {"", `{"id":1,"z":99999999999999999999}`, ""},
		{"keep", `{"id":1,"z":99999999999999999999}`, "does not fit"}, {"keep", `{"id":1,"z":{"y":99999999999999999999}}`, "does not fit"},
		{"fail", `{"id":1}`, ""}, {"fail", `{"id":1,"z":1}`, `field "z" is not in the schema`}, {"fail", `{"id":1,"at":{"ts":"2026-01-01 00:00:00","z":1}}`, `"z" is not in`},
		{"fail", `{"id":1,"\u007a":1}`, `field "z" is not in the schema`}, {"", `{"id":1,"z":1,"z":2}`, "repeated"},
	} {
		for _, wants := range [][]JSONWant{nil, {{Path: []string{"id"}, Type: intType}}, {{Path: []string{"at", "n"}, Type: intType}}, {{Type: schema}}} {
			s := NewJSONScanner(wants, JSONOptions{Schema: &schema, ExtraFields: c.extra})
			err := s.Scan([]byte(c.in), make([]record.Value, 1), &record.Arena{})
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Message, c.want) {
				t.Errorf("%s %s with %d wants: %v, want %q", c.extra, c.in, len(wants), err, c.want)
			}
		}
	}
}

func TestWholeValues(t *testing.T) {
	whole := NewJSONScanner([]JSONWant{{}}, JSONOptions{})
	for in, want := range map[string]string{
		` 7 `: "int 7", `"a"`: "string a", `[1]`: "object [1]", ` {"a":1} `: `object {"a":1}`, `null`: "null", `tru`: "!unexpected", `{"a":1}}`: "!more text",
	} {
		checkRead(t, whole, in, in, want)
	}
	schema := objectOf(record.Field{Name: "d", Type: decimalOf(2)})
	for extra, want := range map[string]string{"": "{d: decimal 1.00}", "keep": `{d,z: decimal 1.00; object [1]}`} {
		s := NewJSONScanner([]JSONWant{{Type: schema}}, JSONOptions{Schema: &schema, ExtraFields: extra})
		checkRead(t, s, extra, `{"z":[1],"d":1}`, want)
	}
	list := record.ListOf(intType)
	checkRead(t, NewJSONScanner([]JSONWant{{Type: list}}, JSONOptions{Schema: &list}), "list", `[1]`, "[int 1]")
}

func TestWantsBelowWhatIsNoObject(t *testing.T) {
	s := NewJSONScanner([]JSONWant{{Path: []string{"a", "b"}}}, JSONOptions{})
	checkRead(t, s, "missing", `{}`, "null")
	checkRead(t, s, "null", `{"a":null}`, "null")
	checkRead(t, s, "text", `{"a":"x"}`, `!field a must be an object, found the text "x"`)
	both := NewJSONScanner([]JSONWant{{Path: []string{"a"}}, {Path: []string{"a", "b"}, Slot: 1}}, JSONOptions{})
	slots := make([]record.Value, 2)
	if err := both.Scan([]byte(`{"a":{"b":1}}`), slots, nil); err != nil || showAll(slots) != `object {"b":1}; int 1; ` {
		t.Errorf("%v %s", err, showAll(slots))
	}
}

// TestLearning changes the shape of the records in every way that the memory of
// earlier ones could get wrong.
func TestLearning(t *testing.T) {
	var many, shuffled strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, `"k%d":%d,`, i, i)
		fmt.Fprintf(&shuffled, `"k%d":%d,`, (i*77)%200, i)
	}
	s := NewJSONScanner([]JSONWant{{Path: []string{"x"}, Type: intType}}, JSONOptions{})
	for round := range 3 {
		for _, in := range []string{
			`{"x":1}`, `{"a":0,"x":1}`, `{"a":0,"b":0,"x":1}`, `{"b":0,"a":0,"x":1}`, `{"x":1,"a":{"x":2}}`, `{"\u0078":1,"a":0}`, `{"a":0,"\u0078":1}`,
			`{"a":{"b":[{"x":5},{"y":5,"x":6}]},"x":1}`, `{ "x" : 1 , "q" : 2 }`, `{"x" :1}`, "{\n\t\"x\": 1\n}",
			`{` + many.String() + `"x":1}`, `{"x":1,` + strings.TrimSuffix(shuffled.String(), ",") + `}`,
		} {
			checkRead(t, s, fmt.Sprintf("round %d %.40s", round, in), in, "int 1")
		}
		for _, in := range []string{
			`{"x":1,"x":1}`, `{"x":1,"\u0078":1}`, `{"\u0078":1,"x":1}`, `{"n\u0065w":1,"new":1}`, `{"new2":1,"n\u0065w2":1}`,
			`{` + many.String() + `"k199":1}`, `{` + many.String() + `"k\u0031":1}`, `{"a":{"b":[{"x":5,"x":5}]}}`, `{"u":{` + many.String() + `"k150":1}}`,
		} {
			checkRead(t, s, fmt.Sprintf("round %d %.40s", round, in), in, "!repeated")
		}
	}
}

// TestLearningIsBounded feeds ever new keys and looks at what is remembered.
func TestLearningIsBounded(t *testing.T) {
	s := NewJSONScanner([]JSONWant{{Path: []string{"x"}, Type: intType}}, JSONOptions{})
	for i := range 10_000 {
		checkRead(t, s, "new keys", fmt.Sprintf(`{"a%d":{"b%d":[{"c%d":[]}]},"x":1}`, i%100, i%300, i), "int 1")
	}
	if s.learned > learnedTotalMax {
		t.Errorf("%d keys learned", s.learned)
	}
	if n := countFields(s.root); n > 2*learnedTotalMax {
		t.Errorf("%d fields kept", n)
	}
}

func countFields(f *field) int {
	n := 1
	if f.elem != nil && f.elem != f {
		n += countFields(f.elem)
	}
	if f.object != nil {
		for _, c := range f.object.byName {
			n += countFields(c)
		}
	}
	return n
}

func TestDepth(t *testing.T) {
	nested := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	s := NewJSONScanner(nil, JSONOptions{})
	checkRead(t, s, "100", nested(100), "null")
	checkRead(t, s, "101", nested(101), "!deeper than 100")
	checkRead(t, s, "a million", `{"a":`+strings.Repeat("[", 1_000_000), "!deeper than 100")
	checkRead(t, s, "after an error", nested(100), "null")
}

func TestMessagesQuoteLittle(t *testing.T) {
	s := NewJSONScanner([]JSONWant{{Path: []string{"x"}, Type: intType}}, JSONOptions{})
	for _, in := range []string{`{"x":"` + strings.Repeat("é", 5000) + `"}`, `{"` + strings.Repeat("k", 5000) + `":1,"` + strings.Repeat("k", 5000) + `":1}`} {
		err := s.Scan([]byte(in), make([]record.Value, 1), nil)
		if err == nil || len(err.Message) > 300 {
			t.Errorf("%d bytes: %v", len(err.Message), err)
		}
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	optional := []string{`{"a":1,"opt":2,"price":7,"name":"x"}`, `{"a":1,"price":7,"name":"x"}`, `{"name":"x","price":7,"a":1}`, `{"price":7,"a":"\u00e9\n","name":"x\ty"}`}
	s := NewJSONScanner([]JSONWant{
		{Path: []string{"price"}, Type: decimalOf(2)}, {Path: []string{"name"}, Slot: 1}, {Path: []string{"bid", "dateTime"}, Type: sqlTime, Slot: 2}, {Path: []string{"extra"}, Slot: 3},
		{Path: []string{"bid"}, Slot: 4}, {Path: []string{"f"}, Type: floatType, Slot: 5},
	}, JSONOptions{})
	in := [][]byte{[]byte(wrappedBid), []byte(flatBid), []byte(escapedBid), []byte(`{"f":1.25,"g":-1e5,"\u0068":[{"a":[]}]}`)}
	for _, l := range optional {
		in = append(in, []byte(l))
	}
	slots := make([]record.Value, 6)
	var a record.Arena
	if n := testing.AllocsPerRun(200, func() {
		for _, l := range in {
			a.Reset()
			if err := s.Scan(l, slots, &a); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// fitCases gives for a value and a type what Fit makes of it.
func TestFit(t *testing.T) {
	for _, c := range []struct {
		v    record.Value
		t    record.Type
		want string
	}{
		{record.Null, intType, "null"}, {record.Null, required(intType), "!null where"}, {record.Int(5), record.Any, "int 5"}, {record.Int(5), stringType, "!int 5 does not fit into string"},
		{record.Int(1 << 31), record.TypeOf(record.TypeInt32), "!does not fit into int32"}, {record.Int(-1 << 31), record.TypeOf(record.TypeInt32), "int -2147483648"},
		{record.Int(3), floatType, "float 3"}, {record.Float(1e300), record.TypeOf(record.TypeFloat32), "!float32"}, {record.Float(0.1), record.TypeOf(record.TypeFloat32), "float 0.10000000149011612"},
		{record.Float(3), intType, "!does not fit into int"}, {record.Int(3), decimalOf(2), "decimal 3.00"}, {record.Decimal(1005, 3), decimalOf(2), "decimal 1.01"}, {record.Decimal(-1005, 3), decimalOf(2), "decimal -1.01"},
		{record.Decimal(1004, 3), decimalOf(2), "decimal 1.00"}, {record.Decimal(1, 40), decimalOf(2), "decimal 0.00"}, {record.Decimal(15, 1), decimalOf(-1), "decimal 1.5"},
		{record.Decimal(5, 1), decimalOf(0), "decimal 1"}, {record.Decimal(999999999999999999, 0), decimalOf(1), "!decimal(1)"}, {record.Int(math.MaxInt64), decimalOf(0), "!decimal(0)"}, {record.Float(1), decimalOf(0), "!decimal"},
		{record.String("x"), record.TypeOf(record.TypeUUID), "!uuid"}, {record.JSON([]byte(`[1,2]`)), record.ListOf(floatType), "[float 1; float 2]"}, {record.JSON([]byte(`[1]`)), record.ListOf(record.Any), "object [1]"},
		{record.JSON([]byte(`{"b":1,"a":2}`)), objectOf(record.Field{Name: "a", Type: decimalOf(1)}, record.Field{Name: "b", Type: intType}), "{a,b: decimal 2.0; int 1}"},
		{record.JSON([]byte(`{"z":1}`)), objectOf(record.Field{Name: "a", Type: intType}), `!"z" is not in the schema`}, {record.JSON([]byte(`{}`)), objectOf(record.Field{Name: "a", Type: required(intType)}), "!field a: null where"},
		{record.JSON([]byte(`{"a":"x"}`)), record.Type{Kind: record.TypeMap, Elem: &intType}, "!field a: string x does not fit into int"}, {record.JSON([]byte(`{}`)), record.ListOf(intType), "!object {} does not fit"},
	} {
		v, err := Fit(c.v, c.t)
		got := strings.TrimSuffix(showAll([]record.Value{v}), "; ")
		if part, wrong := strings.CutPrefix(c.want, "!"); wrong != (err != nil) || wrong && !strings.Contains(err.Error(), part) || !wrong && got != c.want {
			t.Errorf("%s into %s: %s %v, want %s", showAll([]record.Value{c.v}), c.t, got, err, c.want)
		}
	}
}
