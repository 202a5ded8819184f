package codec

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"kstream/record"
)

func copyFields() ([]JSONWant, []EncodeField, []int, []bool) {
	types := []struct {
		name string
		typ  record.Type
	}{{"a", intType}, {"b", stringType}, {"c", sqlTime}, {"d", timeOf(0)}, {"e", record.Any}, {"f", record.TypeOf(record.TypeInt32)}}
	var wants []JSONWant
	var fields []EncodeField
	var refs []int
	var same []bool
	for i, f := range types {
		ref := 0
		if CopyAlike(f.typ, f.typ, JSONWriteOptions{}) {
			ref = i + 1
		}
		wants = append(wants, JSONWant{Path: []string{"o", f.name}, Type: f.typ, Slot: i, Ref: ref})
		name := f.name
		if f.name == "e" {
			name = "other"
		}
		fields = append(fields, EncodeField{name, i, f.typ})
		refs, same = append(refs, ref), append(same, name == f.name)
	}
	return wants, fields, refs, same
}

// TestCopiedTextMeansTheSame writes records with and without copies of their
// text: the values are the same, and but for the escapes of strings the bytes.
func TestCopiedTextMeansTheSame(t *testing.T) {
	wants, fields, refs, same := copyFields()
	s := NewJSONScanner(wants, JSONOptions{})
	e, plain := NewJSONEncoder(fields, RestSpec{Slot: -1}, JSONWriteOptions{}), NewJSONEncoder(fields, RestSpec{Slot: -1}, JSONWriteOptions{})
	e.CopyText(refs, same)
	random := rand.New(rand.NewPCG(5, 6))
	texts := map[string][]string{
		"a": {"7", "-3", "-0", "0", "3.0", "1e3", "null", "9223372036854775807"},
		"b": {`"x"`, `""`, `"a\\b\"\u0041\/"`, `"é"`, "null"},
		"c": {`"2024-01-02 03:04:05"`, `"2024-01-02 03:04:05.120"`, `"2024-01-02 03:04:05.12"`, `"2024-01-02 03:04:05\u002e5"`, "null"},
		"d": {`"2024-01-02T03:04:05Z"`, `"2024-01-02T03:04:05.5Z"`, `"2024-01-02T03:04:05.50Z"`, `"2024-01-02T03:04:05+01:00"`, "1700000000000", "null"},
		"e": {`"x\ty"`, "4", "1.50", "true", "null", "-0"},
		"f": {"5", "6.0", "null"},
	}
	var a record.Arena
	slots := make([]record.Value, len(fields))
	copied := 0
	for range 20_000 {
		var in strings.Builder
		in.WriteString(`{"o":{`)
		names := []string{"a", "b", "c", "d", "e", "f"}
		if random.IntN(4) == 0 {
			random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
		wrote := false
		for _, name := range names {
			if random.IntN(8) == 0 {
				continue
			}
			if wrote {
				in.WriteString([]string{",", ",", ",", ", ", ",\n"}[random.IntN(5)])
			}
			wrote = true
			key := `"` + name + `":`
			if random.IntN(10) == 0 {
				key = []string{`"` + name + `" : `, `"\u006` + string("0123456789"[name[0]-'a'+1]) + `":`}[random.IntN(2)]
			}
			in.WriteString(key + texts[name][random.IntN(len(texts[name]))])
		}
		in.WriteString("}}")
		a.Reset()
		if err := s.Scan([]byte(in.String()), slots, &a); err != nil {
			t.Fatalf("%s: %v", in.String(), err)
		}
		got, err := e.Append(nil, slots, s.Text())
		want, wrong := plain.Append(nil, slots, nil)
		if err != nil || wrong != nil {
			t.Fatalf("%s: %v %v", in.String(), err, wrong)
		}
		if string(got) == string(want) {
			continue
		}
		copied++
		var x, y any
		if json.Unmarshal(got, &x) != nil || json.Unmarshal(want, &y) != nil || !reflect.DeepEqual(x, y) || !strings.Contains(in.String(), `\`) ||
			strings.ContainsAny(string(got), "\n") {
			t.Fatalf("%s: got %s, want %s", in.String(), got, want)
		}
	}
	if copied == 0 {
		t.Error("no text was copied: all escapes were written anew")
	}
}

func TestMembersSideBySideAreOneCopy(t *testing.T) {
	wants, fields, refs, same := copyFields()
	s := NewJSONScanner(wants, JSONOptions{})
	e := NewJSONEncoder(fields, RestSpec{Slot: -1}, JSONWriteOptions{})
	e.CopyText(refs, same)
	const in = `{"o":{"a":1,"b":"\u0062","c":"2024-01-02 03:04:05","d":"2024-01-02T03:04:05Z","e":"\u0065","f":2}}`
	data, slots := []byte(in), make([]record.Value, len(fields))
	var a record.Arena
	for range 3 { // the first time the shape is not known
		if err := s.Scan(data, slots, &a); err != nil {
			t.Fatal(err)
		}
	}
	if dst, i := e.appendCopies(nil, 0, s.Text()); i != len(fields) || string(dst) != strings.Replace(in[6:len(in)-2], `"e":`, `"other":`, 1)+"," {
		t.Errorf("%d fields in one go: %s", i, dst)
	}
	out, err := e.Append(nil, slots, s.Text())
	if want := strings.Replace(in[5:len(in)-1], `"e":`, `"other":`, 1); err != nil || string(out) != want {
		t.Errorf("%s %v, want %s", out, err, want)
	}
	if n := testing.AllocsPerRun(100, func() {
		a.Reset()
		if err := s.Scan(data, slots, &a); err != nil {
			t.Fatal(err)
		}
		out, _ = e.Append(out[:0], slots, s.Text())
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
