package runtime

import (
	"fmt"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/expr"
	"kstream/operator"
	"kstream/record"
	"kstream/sink"
	"kstream/source"
	"kstream/state"
	"kstream/topology"
)

// trip takes records through a pipeline of one source and one topic sink as its
// tasks do, from bytes to bytes; rows cross the exchanges in between.
type trip struct {
	t       testing.TB
	decoder *source.Decoder
	chains  map[*topology.Chain]*tripChain
	row     record.Row
	first   *tripChain
	out     []string
}

type tripChain struct {
	op    *operator.Chain
	env   expr.Env
	arena record.Arena
	row   record.Row
}

func newTrip(t testing.TB, text string) *trip {
	t.Helper()
	spec, plan, ds := topology.Validate("trip.yaml", []byte(text), topology.Options{})
	if plan == nil {
		t.Fatalf("refused:\n%s", topology.RenderText(ds, spec.Lines))
	}
	trip := &trip{t: t, chains: map[*topology.Chain]*tripChain{}}
	for i := len(plan.Chains) - 1; i >= 0; i-- {
		trip.build(plan.Chains[i])
	}
	src := plan.Sources[0]
	trip.first = trip.chains[src.Chain]
	trip.decoder = source.NewDecoder(src, source.Options{Time: spec.Time, Expr: &trip.first.env})
	trip.row.Slots = trip.first.op.Slots
	return trip
}

func (p *trip) build(c *topology.Chain) {
	tc := &tripChain{}
	tc.env.Arena = &tc.arena
	p.chains[c] = tc
	var err error
	tc.op, err = operator.Build(c, operator.Env{
		Expr: &tc.env, MaxParallelism: 4,
		Table: func(string) (*state.Table, error) { panic("no state here") },
		Exchange: func(end *topology.ExchangeEnd) (func(*record.Row) error, error) {
			return func(row *record.Row) error { return p.cross(end, row) }, nil
		},
		Sink: func(n *topology.Node) (func(*record.Row) error, error) {
			enc, err := sink.NewEncoder(n, &tc.env)
			return func(row *record.Row) error {
				m, err := enc.Encode(row)
				if err == nil {
					p.out = append(p.out, messageText(m))
				}
				return err
			}, err
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	tc.row.Slots = tc.op.Slots
}

// cross is what a sender and a receiver do with a row.
func (p *trip) cross(end *topology.ExchangeEnd, row *record.Row) error {
	to := p.chains[end.Exchange.To]
	to.arena.Reset()
	for i, slot := range end.Columns {
		to.row.Slots[end.Exchange.Slots[i]] = row.Slots[slot].Clone(&to.arena)
	}
	to.row.Time, to.row.Op, to.row.Origin = row.Time, row.Op, &record.Origin{Topic: row.Origin.Topic}
	key, err := codec.AppendKey(nil, row.Key)
	if err != nil {
		return &record.Error{Code: "eval-failed", Message: err.Error()}
	}
	to.row.KeyBytes = key
	if to.row.Key, _, err = codec.DecodeKey(key); err != nil {
		return err
	}
	to.env.Begin(&to.row)
	return to.op.Process(&to.row)
}

func messageText(m *record.Message) string {
	show := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return string(b)
	}
	text := show(m.Key) + " " + show(m.Value)
	for _, h := range m.Headers {
		text += fmt.Sprintf(" %s=%s", h.Key, show(h.Value))
	}
	return text
}

// record gives what comes out for a record, or ! and the error.
func (p *trip) record(m record.Message) string {
	p.t.Helper()
	p.out = nil
	p.first.arena.Reset()
	ok, err := p.decoder.Decode(&m, &p.row)
	if err == nil && ok {
		err = p.first.op.Process(&p.row)
	}
	if err != nil {
		bad, ok := err.(*record.Error)
		if !ok {
			p.t.Fatal(err)
		}
		return "!" + bad.Code + " " + bad.Message
	}
	return strings.Join(p.out, "; ")
}

// tripTypes has every type of the language: what is written for what is read.
var tripTypes = []struct {
	typ, in, want string // want "" is in
}{
	{"bool", "true", ""}, {"int", "-9223372036854775808", ""}, {"int", "3.0", "3"}, {"int32", "2147483647", ""}, {"int32", "2147483648", "!"},
	{"float", "0.1", ""}, {"float", "1e300", "1e+300"}, {"float", "3", "3"}, {"float32", "0.1", ""}, {"float32", "1e39", "!"},
	{"decimal", "1.500", ""}, {"decimal", `"12.50"`, "12.50"}, {"decimal", "-123456789012345678", ""}, {"decimal", "1234567890123456789", "!"},
	{"decimal(2)", "1.5", "1.50"}, {"decimal(2)", "1.505", "!"}, {"decimal(0)", "7", ""}, {"decimal(18)", "0.123456789012345678", ""},
	{"string", `"a\"\u00e9\n"`, `"a\"é\n"`}, {"string", `""`, ""},
	{"bytes", `"AQL/"`, ""}, {"bytes", `""`, ""}, {"bytes", `"?"`, "!"},
	{"uuid", `"00112233-4455-6677-8899-aabbccddeeff"`, ""}, {"uuid", `"x"`, "!"},
	{"timestamp", `"2026-01-31T10:15:00.123456789Z"`, ""}, {"timestamp", `"2026-01-31T10:15:00+02:00"`, `"2026-01-31T08:15:00Z"`}, {"timestamp", "1500", `"1970-01-01T00:00:01.5Z"`},
	{"timestamp(s)", "7", ""}, {"timestamp(ms)", "-7", ""}, {"timestamp(us)", "7", ""},
	{"timestamp(ns)", "7", ""}, {"timestamp(sql)", `"2026-01-31 10:15:00.5"`, ""}, {"timestamp(sql)", `"2026-01-31T10:15:00Z"`, "!"},
	{"date", `"2026-01-31"`, ""}, {"date", `"0001-01-01"`, ""}, {"time", `"10:15:00.123"`, ""}, {"time", `"24:00:00"`, "!"},
	{"duration", `"1h30m"`, ""}, {"duration", `"90m"`, `"1h30m"`}, {"duration", "5", "!"},
	{"any", `{"a": [1, 2.5, null, {"b": "c"}], "z": 1.50}`, ""}, {"any", "18446744073709551616", "!"},
	{"[int]", "[1,2,null]", ""}, {"[[string]]", `[["a"],[]]`, ""}, {"[decimal(1)]", "[1]", "[1.0]"}, {"[{a: date}]", `[{"a":"2026-01-31"},{}]`, `[{"a":"2026-01-31"},{"a":null}]`},
	{"map<float>", `{"b":1.5,"a":2.5}`, ""}, {"map<uuid>", `{"a":"00112233-4455-6677-8899-aabbccddeeff"}`, ""}, {"map<int>", `{"a":"b"}`, "!"},
	{"{a: int, b: timestamp(sql)}", `{"b":"2026-01-31 10:15:00","a":1}`, `{"a":1,"b":"2026-01-31 10:15:00"}`}, {"{a: int!}", `{}`, "!"},
	{"Named", `{"p":{"q":1.5},"l":["a"]}`, ""},
}

// TestEveryTypeTravels: a value of every type is written as the language says,
// with and without a schema at the sink, computed anew, and behind an exchange.
func TestEveryTypeTravels(t *testing.T) {
	for _, c := range tripTypes {
		for name, parts := range map[string][2]string{
			"copied":                {"", ""},
			"declared":              {"", ", schema: {x: " + c.typ + "}"},
			"computed":              {"steps: [{map: {x: 'if true { x } else { x }'}}]\n", ""},
			"declared and computed": {"steps: [{map: {x: 'if true { x } else { x }'}}]\n", ", schema: {x: " + c.typ + "}"},
			"exchanged":             {"steps: [{partition: rebalance}]\n", ""},
		} {
			p := newTrip(t, "version: 1\nname: trip\nschemas: {Named: {p: {q: float}, l: [string]}}\nsource: {topic: in, schema: {x: "+c.typ+"}}\n"+parts[0]+"sink: {topic: out"+parts[1]+"}\n")
			for _, in := range []string{c.in, "null"} {
				want := c.want
				if want == "" || in == "null" {
					want = in
				}
				if c.typ == "string" && (name == "copied" || name == "declared") {
					want = in // its text is copied, with its escapes
				}
				got := p.record(record.Message{Topic: "in", Value: []byte(`{"x":` + in + `}`)})
				if want == "!" && strings.HasPrefix(got, "!decode-failed") {
					continue
				}
				if got != `null {"x":`+want+`}` {
					t.Errorf("%s, %s: %s comes out as %s", c.typ, name, in, got)
				}
			}
		}
	}
}

// TestKeysTravel: keys of every format and type, as they are and with an
// expression that reads them, in front of an exchange and behind one.
func TestKeysTravel(t *testing.T) {
	for _, c := range []struct {
		source, sink string // key_format and key_schema of both
		in, want     string // \x00 is null; want "" is in
		behind       string // want behind an exchange, if it is another
	}{
		{"", "", "abc", "", ""}, {"", "", "", "", ""}, {"", "", "\x00", "", ""}, {"", "", "\xff\xfe", "", ""},
		{"", "", `{"a": 1}`, "", `{"a":1}`}, {"", "", `[1, 2]`, "", `[1,2]`}, {"", "", `{"a":1,"a":2}`, "", ""}, {"", "", "42", "", ""},
		{"key_format: string", "", "abc", "", ""}, {"key_format: string", "", "\xff", "", "!"},
		{"key_format: bytes", "", "\xff", "", ""}, {"key_format: json", "", `{"a": [1]}`, "", `{"a":[1]}`}, {"key_format: json", "", `"a"`, "", "a"},
		{"key_format: json", "key_format: json", `"a"`, `"a"`, ""}, {"key_format: json", "key_format: json", "1.5", "1.5", "!"},
		{"", "key_format: json", "abc", `"abc"`, ""}, {"", "key_format: string", `{"a":1}`, "!", ""}, {"", "key_format: bytes", "abc", "abc", ""},
		{"key_schema: int", "", "42", "", ""}, {"key_schema: int", "key_format: json", "42", "42", ""}, {"key_schema: int", "key_schema: int", "x", "!", ""},
		{"key_schema: int!", "key_schema: int!", "\x00", "!", ""}, {"key_schema: string", "", "42", "", ""}, {"key_schema: decimal(2)", "key_schema: decimal(2)", "1.5", "1.50", ""},
		{"key_schema: timestamp", "key_schema: timestamp", "2026-01-31T10:15:00Z", "", ""}, {"key_schema: date", "key_schema: date", "2026-01-31", "", ""},
		{"key_schema: duration", "key_schema: duration", "90m", "1h30m", ""}, {"key_schema: uuid", "key_schema: uuid", "00112233-4455-6677-8899-aabbccddeeff", "", ""},
		{"key_schema: bool", "key_schema: bool", "true", "", ""}, {"key_schema: bytes", "key_schema: bytes", "\xff", "", ""},
		{"key_schema: {a: int, b: string}", "key_schema: {a: int, b: string}", `{"b":"x","a":1}`, `{"a":1,"b":"x"}`, ""},
	} {
		for name, step := range map[string]string{"": "", "behind": "steps: [{partition: rebalance}]\n"} {
			spec := func(s string) string {
				if s == "" {
					return ""
				}
				return ", " + s
			}
			p := newTrip(t, "version: 1\nname: trip\nsource: {topic: in, format: string"+spec(c.source)+"}\n"+step+"sink: {topic: out, format: string"+spec(c.sink)+"}\n")
			m := record.Message{Topic: "in", Value: []byte("v"), Key: []byte(c.in)}
			want := c.want
			if want == "" {
				want = c.in
			}
			if name != "" && c.behind != "" {
				want = c.behind
			}
			if c.in == "\x00" {
				m.Key = nil
				if want == c.in {
					want = "null"
				}
			}
			got := p.record(m)
			if want == "!" && strings.HasPrefix(got, "!") {
				continue
			}
			if got != want+" v" {
				t.Errorf("%s -> %s %s: key %q comes out as %q, want %q", c.source, c.sink, name, c.in, got, want)
			}
		}
	}
}

// TestHeadersTravel: headers are bytes, several may have one name, null is none.
func TestHeadersTravel(t *testing.T) {
	p := newTrip(t, `version: 1
name: trip
source: {topic: in, format: string}
sink:
  topic: out
  format: string
  headers:
    trace: $headers["trace"]
    text: $value
    none: $headers["missing"]
    empty: '""'
`)
	for _, c := range []struct {
		headers []record.Header
		want    string
	}{
		{nil, "null v text=v empty="},
		{[]record.Header{{Key: "trace", Value: []byte{0xff, 0}}}, "null v trace=\xff\x00 text=v empty="},
		{[]record.Header{{Key: "trace", Value: []byte("1")}, {Key: "x"}, {Key: "trace", Value: []byte("2")}}, "null v trace=2 text=v empty="},
		{[]record.Header{{Key: "trace", Value: []byte{}}}, "null v trace= text=v empty="},
		{[]record.Header{{Key: "trace"}}, "null v text=v empty="},
	} {
		if got := p.record(record.Message{Topic: "in", Value: []byte("v"), Headers: c.headers}); got != c.want {
			t.Errorf("%v: got %q, want %q", c.headers, got, c.want)
		}
	}
	p = newTrip(t, "version: 1\nname: trip\nsource: {topic: in}\nsink: {topic: out, headers: {n: n}}\n")
	if got := p.record(record.Message{Topic: "in", Value: []byte(`{"n":1}`)}); got != "!encode-failed header n: headers needs text or bytes, found int" {
		t.Errorf("a number as a header: %s", got)
	}
}

// TestValuesTravel: formats and their options.
func TestValuesTravel(t *testing.T) {
	for _, c := range []struct{ source, sink, in, want string }{
		{"", "", `{"b": 1, "a": [ 2 ]}`, `{"b":1,"a":[ 2 ]}`},
		{"", "", "\x00", "!decode-failed"},
		{"", "", `{"a":1,"a":2}`, "!decode-failed"},
		{"", "", `{"a":` + strings.Repeat("[", 101) + strings.Repeat("]", 101) + `}`, "!decode-failed"},
		{", schema: {a: int}", "", `{"a":1,"b":2}`, `{"a":1}`},
		{", schema: {a: int}, format: {json: {extra_fields: keep}}", "", `{"a":1,"b":2}`, `{"a":1,"b":2}`},
		{", schema: {a: int}, format: {json: {extra_fields: fail}}", "", `{"a":1,"b":2}`, "!decode-failed"},
		{", format: {json: {extra_fields: ignore}}", "", `{"b":2}`, `{"b":2}`},
		{", format: {json: {numbers: decimal}}", ", value: {x: 'a + 1'}", `{"a":1.10}`, `{"x":2.10}`},
		{"", ", value: {x: 'a + 1'}", `{"a":1.10}`, `{"x":2.1}`},
		{", schema: {t: timestamp}", ", format: {json: {timestamp: millis}}", `{"t":"1970-01-01T00:00:01.5Z"}`, `{"t":1500}`},
		{", schema: {t: timestamp}", ", format: {json: {timestamp: seconds}}", `{"t":"1970-01-01T00:00:01.5Z"}`, `{"t":1}`},
		{", schema: string", "", `"a"`, `"a"`},
		{", schema: map<int>", "", `{"z":1,"a":2}`, `{"z":1,"a":2}`},
		{", format: string", ", format: string", "a\u00e9\n", "a\u00e9\n"},
		{", format: string", "", "a\"b", `"a\"b"`},
		{", format: string", ", format: string", "\xff", "!decode-failed"},
		{", format: string", ", format: string", "\x00", "null"},
		{", format: bytes", ", format: bytes", "\xff\x01", "\xff\x01"},
		{", format: bytes", "", "\xff\x01", `"/wE="`},
		{", schema: {a: int}", ", format: string, value: a", `{"a":7}`, "7"},
		{", schema: {a: bytes}", ", format: bytes, value: a", `{"a":"/wE="}`, "\xff\x01"},
		{", schema: {a: int}", ", format: bytes, value: a", `{"a":7}`, "!encode-failed"},
		{", schema: {a: [int]}", ", format: string, value: a", `{"a":[7]}`, "!encode-failed"},
		{", schema: {a: int}", ", schema: {a: int!}", `{"a":null}`, "!encode-failed"},
		{", schema: {a: int}", ", schema: {a: int32}", `{"a":2147483648}`, "!encode-failed"},
		{", schema: {a: float}", ", schema: {a: float32}", `{"a":1e300}`, "!encode-failed"},
		{", schema: {a: int}", ", schema: {a: decimal(2)}", `{"a":7}`, `{"a":7.00}`},
		{", schema: {a: decimal(3)}", ", schema: {a: decimal(2)}", `{"a":0.125}`, `{"a":0.13}`},
		{"", ", schema: {a: int}", `{"a":"x"}`, "!encode-failed"},
		{"", ", schema: {a: int, b: int}", `{"b":1,"a":2}`, `{"a":2,"b":1}`},
		{"", ", schema: {a: int, b: int}", `{"a":2}`, `{"a":2,"b":null}`},
		{"", ", schema: {a: int}", `{"a":2,"b":1}`, "!encode-failed"},
		{"", ", schema: {a: timestamp}", `{"a":"2026-01-01T00:00:00Z"}`, "!encode-failed"}, // a text; the expression converts
	} {
		p := newTrip(t, "version: 1\nname: trip\nsource: {topic: in"+c.source+"}\nsink: {topic: out"+c.sink+"}\n")
		m := record.Message{Topic: "in", Value: []byte(c.in)}
		if c.in == "\x00" {
			m.Value = nil
		}
		got := p.record(m)
		if strings.HasPrefix(c.want, "!") && strings.HasPrefix(got, c.want+" ") {
			continue
		}
		if got != "null "+c.want {
			t.Errorf("%s -> %s: %s comes out as %q, want %q", c.source, c.sink, c.in, got, c.want)
		}
	}
}
