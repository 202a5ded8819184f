package codec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"kstream/record"
)

// FuzzScan compares the scanner with encoding/json and a walk over its tokens:
// the same texts are accepted, and the same values found. Every text is scanned
// three times, so that what was learned from it is used.
func FuzzScan(f *testing.F) {
	for _, file := range [][]byte{variants, invalid} {
		for _, l := range lines(file) {
			f.Add(l)
		}
	}
	for _, l := range []string{
		`{}`, ` {"a":{}} `, `{"a":[],"b":{"a":[{"x":1,"x":2}]}}`, `{"a":"\ud83d\ude00\/\b\f\n\r\t\"\\"}`, `{"a":1e5,"b":-0.5E-3}`,
		`{"\u0061":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"a" :1 , "b": true,"c":false ,"d":null}`, `{"":1,"":2}`, `{"a\"b":1,"a\"b":2}`,
		`{"a":9223372036854775807,"b":{"a":-9223372036854775808}}`, `{"a":1e400}`, `{"a":[1,2,]}`, `{"a":1,}`, "{\"a\":\"\xff\"}", `{"a":{"b":{"c":[[[{}]]]}}}`,
		`{"a":{"b":{"c":1,"c":1}}}`, `{"a":18446744073709551616}`, `{"a":1e20,"b":[1e19]}`, `[{"a":1,"b":2}]`,
		`{"k0":0,"k1":1,"k2":2,"k3":3,"k4":4,"k5":5,"k6":6,"k7":7,"k8":8,"k9":9,"ka":1,"kb":1,"kc":1,"kd":1,"ke":1,"kf":1,"kg":1,"k\u0030":1}`,
	} {
		f.Add([]byte(l))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		in = append(make([]byte, 0, len(in)), in...)
		want := reference(in)
		object := want == nil && bytes.TrimLeft(in, " \t\r\n")[0] == '{'
		wants := []JSONWant{{Path: []string{"a"}, Slot: 0}, {Path: []string{"b"}, Slot: 1}}
		s, whole := NewJSONScanner(wants, JSONOptions{}), NewJSONScanner([]JSONWant{{Slot: 2}}, JSONOptions{})
		var a record.Arena
		slots := make([]record.Value, 3)
		for range 3 {
			checkScan(t, s, in, slots, &a, want == nil && object)
			if want == nil && object {
				checkValue(t, slots[0], in, "a")
				checkValue(t, slots[1], in, "b")
			}
			checkScan(t, whole, in, slots, &a, want == nil)
			if want == nil {
				checkText(t, slots[2], in)
			}
		}
	})
}

func checkScan(t *testing.T, s *JSONScanner, in []byte, slots []record.Value, a *record.Arena, accept bool) {
	t.Helper()
	err := s.Scan(in, slots, a)
	if (err == nil) != accept {
		t.Fatalf("%q: scanner says %v, reference says %v", in, err, reference(in))
	}
	if err != nil && (err.Offset < 0 || err.Offset > len(in) || len(err.Message) > 600) {
		t.Fatalf("%q: offset %d, message %q", in, err.Offset, err.Message)
	}
}

// reference says whether a text is acceptable: RFC 8259 as encoding/json reads
// it, UTF-8, whole surrogate pairs, no repeated keys, depth, range of numbers.
func reference(in []byte) error {
	if !json.Valid(in) || !utf8.Valid(in) {
		return errors.New("invalid")
	}
	if err := surrogates(in); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	return walk(d, 0)
}

// surrogates finds halves of pairs, which encoding/json replaces.
func surrogates(in []byte) error {
	for i := 0; i < len(in); i++ {
		if in[i] != '\\' {
			continue
		}
		i++
		if in[i] != 'u' {
			continue
		}
		r, _ := strconv.ParseUint(string(in[i+1:i+5]), 16, 32)
		i += 4
		if r < 0xd800 || r > 0xdfff {
			continue
		}
		if r > 0xdbff || !strings.HasPrefix(string(in[i+1:]), `\u`) {
			return errors.New("surrogate")
		}
		low, _ := strconv.ParseUint(string(in[i+3:i+7]), 16, 32)
		if low < 0xdc00 || low > 0xdfff {
			return errors.New("surrogate")
		}
		i += 6
	}
	return nil
}

func walk(d *json.Decoder, depth int) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	switch v := tok.(type) {
	case json.Number:
		return inRange(v.String())
	case json.Delim:
		if depth++; depth > depthMax {
			return errors.New("depth")
		}
		names := map[string]bool{}
		for d.More() {
			if v == '{' {
				key, err := d.Token()
				if err != nil {
					return err
				}
				if names[key.(string)] {
					return fmt.Errorf("repeated %q", key)
				}
				names[key.(string)] = true
			}
			if err := walk(d, depth); err != nil {
				return err
			}
		}
		_, err = d.Token()
	}
	return err
}

func inRange(n string) error {
	var err error
	if strings.ContainsAny(n, ".eE") {
		_, err = strconv.ParseFloat(n, 64)
	} else {
		_, err = strconv.ParseInt(n, 10, 64)
	}
	return err
}

// checkValue compares the value of a member with what encoding/json finds.
func checkValue(t *testing.T, v record.Value, in []byte, name string) {
	t.Helper()
	var o map[string]json.RawMessage
	if err := json.Unmarshal(in, &o); err != nil {
		t.Fatal(err)
	}
	raw, ok := o[name]
	if !ok {
		raw = json.RawMessage("null")
	}
	checkText(t, v, raw)
}

// checkText writes a value and compares it with the text it was read from.
func checkText(t *testing.T, v record.Value, raw []byte) {
	t.Helper()
	out, err := AppendJSON(nil, v, record.Any, JSONWriteOptions{})
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if got, want := generic(t, out), generic(t, raw); got != want {
		t.Fatalf("%q: read and written %s, want %s", raw, got, want)
	}
	again, _ := AppendJSON(nil, rebuild(v), record.Any, JSONWriteOptions{})
	if err := reference(again); err != nil {
		t.Fatalf("%q: written %s, which is refused: %v", raw, again, err)
	}
	if got, want := generic(t, again), generic(t, raw); got != want {
		t.Fatalf("%q: built and written %s, want %s", raw, got, want)
	}
}

// rebuild reads all of a value, so that nothing of it is text any more.
func rebuild(v record.Value) record.Value {
	switch {
	case v.IsList():
		var out []record.Value
		for _, e := range record.JSONElems(v, nil) {
			out = append(out, rebuild(e))
		}
		return record.List(out)
	case v.IsObject():
		o := record.JSONFields(v, nil)
		for i := range o.Values {
			o.Values[i] = rebuild(o.Values[i])
		}
		return record.ObjectOf(o)
	}
	return v
}

// generic is a canonical form of JSON text by way of encoding/json; numbers
// become their value as a float or an exact int.
func generic(t *testing.T, raw []byte) string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("%q: more than one value", raw)
	}
	out, _ := json.Marshal(canonical(v))
	return string(out)
}

func canonical(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i
		}
		f, _ := v.Float64()
		if f == float64(int64(f)) {
			return int64(f)
		}
		return f
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = canonical(v[k])
		}
	}
	return v
}

// FuzzSchema reads records under a schema, field by field and as a whole: what
// is accepted as a whole gives the same fields, and is read back equal after it
// was written. (Equal: a float 3 is written 3, and where the type is any that is
// an int.)
func FuzzSchema(f *testing.F) {
	for _, c := range readCases {
		f.Add([]byte(`{"a":1,"b":{"c":` + c.in + `},"e":` + c.in + `,"f":` + c.in + `}`))
	}
	f.Add([]byte(`{"a":1.0,"b":{"c":"1.5","d":["2026-01-31T10:15:00.5+01:00",1500,null]},"e":{"x":1e3,"y":null},"f":[1.5,{"z":"\u00e9"}],"g":"AQI="}`))
	schema := objectOf(
		record.Field{Name: "a", Type: required(intType)},
		record.Field{Name: "b", Type: objectOf(record.Field{Name: "c", Type: decimalOf(2)}, record.Field{Name: "d", Type: record.ListOf(timeOf(0))})},
		record.Field{Name: "e", Type: record.Type{Kind: record.TypeMap, Elem: &floatType}},
		record.Field{Name: "f", Type: record.Any},
		record.Field{Name: "g", Type: record.TypeOf(record.TypeBytes)},
	)
	o := JSONOptions{Schema: &schema}
	fields := []JSONWant{{Path: []string{"a"}, Type: intType}, {Path: []string{"b", "c"}, Type: decimalOf(2), Slot: 1}, {Path: []string{"b", "d"}, Type: record.ListOf(timeOf(0)), Slot: 2}, {Path: []string{"f"}, Slot: 3}}
	f.Fuzz(func(t *testing.T, in []byte) {
		byField, whole := NewJSONScanner(fields, o), NewJSONScanner([]JSONWant{{Type: schema, Slot: 4}}, o)
		slots, a := make([]record.Value, 5), &record.Arena{}
		for range 2 {
			errFields, err := byField.Scan(in, slots, a), whole.Scan(in, slots, a)
			if err != nil {
				return
			}
			if errFields != nil {
				t.Fatalf("%q is accepted as a whole, but %v", in, errFields)
			}
			v := slots[4].Object()
			var c, d record.Value
			if b := v.Values[1]; !b.IsNull() {
				c, d = b.Object().Values[0], b.Object().Values[1]
			}
			if got, want := showAll(slots[:4]), showAll([]record.Value{v.Values[0], c, d, v.Values[3]}); got != want {
				t.Fatalf("%q: fields %s, whole %s", in, got, want)
			}
		}
		before := slots[4]
		out, err := AppendJSON(nil, slots[4], schema, JSONWriteOptions{})
		if err != nil {
			t.Fatalf("%q: %v", in, err)
		}
		if err := whole.Scan(out, slots, a); err != nil || !record.Equal(slots[4], before) {
			t.Fatalf("%q was written as %s: %v %s, want %s", in, out, err, showAll(slots[4:]), showAll([]record.Value{before}))
		}
	})
}
