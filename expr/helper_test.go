package expr

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"kstream/record"
)

// testScope is a scope of columns, each in its own slot, as a planner makes it.
type testScope struct {
	fields []record.Field
	values []record.Value
	open   bool // every other name is a field of type any in slot 0
}

func (s *testScope) Field(path []string) Binding {
	for i, f := range s.fields {
		if f.Name == path[0] {
			return Binding{Ref: Ref{Kind: RefSlot, Slot: i}, Type: f.Type, Used: 1, Known: true}
		}
	}
	if s.open {
		return Binding{Ref: Ref{Kind: RefSlot}, Used: 0, Known: true}
	}
	return Binding{}
}

func (s *testScope) Meta(name string) Binding {
	meta := func(k RefKind, t record.Type) Binding {
		return Binding{Ref: Ref{Kind: k}, Type: t, Used: 1, Known: true}
	}
	switch name {
	case "$key":
		return meta(RefKey, record.Any)
	case "$ts":
		return meta(RefTime, timestampType)
	case "$headers":
		return meta(RefHeaders, record.Type{Kind: record.TypeMap, Elem: &bytesType})
	case "$topic":
		return meta(RefTopic, textType)
	case "$partition":
		return meta(RefPartition, intType)
	case "$offset":
		return meta(RefOffset, intType)
	case "$record_ts":
		return meta(RefRecordTime, timestampType)
	case "$n":
		return meta(RefN, intType)
	case "$op":
		return meta(RefOp, textType)
	case "$window.start":
		return meta(RefWindowStart, timestampType)
	case "$window.end":
		return meta(RefWindowEnd, timestampType)
	case "$value":
		b := Binding{Ref: Ref{Kind: RefObject}, Type: record.Type{Kind: record.TypeObject, Fields: s.fields}, Used: 1, Known: true}
		for i, f := range s.fields {
			b.Ref.Fields = append(b.Ref.Fields, NamedRef{Name: f.Name, Ref: Ref{Kind: RefSlot, Slot: i}})
		}
		return b
	case "$error.code":
		return Binding{Message: "$error is known only in a side output of on_error", Hint: "read the side output"}
	}
	return Binding{}
}

func (s *testScope) Fields() []string {
	var names []string
	for _, f := range s.fields {
		names = append(names, f.Name)
	}
	return names
}

// parseScope reads lines "name: type" or "name: type = value".
func parseScope(t testing.TB, text string) *testScope {
	s := &testScope{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		name, rest, ok := strings.Cut(line, ":")
		if !ok {
			if line == "open" {
				s.open = true
			}
			continue
		}
		typ, value, _ := strings.Cut(rest, "=")
		ft := parseType(t, strings.TrimSpace(typ))
		s.fields = append(s.fields, record.Field{Name: name, Type: ft})
		s.values = append(s.values, parseValue(t, ft, strings.TrimSpace(value)))
	}
	return s
}

func parseType(t testing.TB, s string) record.Type {
	s, isRequired := strings.CutSuffix(s, "!")
	typ := bareType(t, s)
	typ.Required = isRequired
	return typ
}

func bareType(t testing.TB, s string) record.Type {
	switch {
	case strings.HasPrefix(s, "["):
		return record.ListOf(parseType(t, s[1:len(s)-1]))
	case strings.HasPrefix(s, "map<"):
		elem := parseType(t, s[4:len(s)-1])
		return record.Type{Kind: record.TypeMap, Elem: &elem}
	case strings.HasPrefix(s, "{"):
		typ := record.Type{Kind: record.TypeObject}
		for _, f := range splitFields(s[1 : len(s)-1]) {
			name, ft, _ := strings.Cut(f, " ")
			typ.Fields = append(typ.Fields, record.Field{Name: name, Type: parseType(t, ft)})
		}
		return typ
	case strings.HasPrefix(s, "decimal("):
		n, _ := strconv.Atoi(s[8 : len(s)-1])
		return decimalOf(n)
	}
	for k := record.TypeAny; k <= record.TypeUUID; k++ {
		if typ := record.TypeOf(k); typ.String() == s {
			return typ
		}
	}
	t.Fatalf("no type %q", s)
	return record.Any
}

// splitFields splits at commas outside of braces.
func splitFields(s string) []string {
	var out []string
	depth, start := 0, 0
	for i, c := range s {
		switch c {
		case '{':
			depth++
		case '}':
			depth--
		case ',':
			if depth == 0 {
				out = append(out, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	return append(out, strings.TrimSpace(s[start:]))
}

func parseValue(t testing.TB, typ record.Type, s string) record.Value {
	if s == "" {
		return record.Null
	}
	fail := func(ok bool) {
		if !ok {
			t.Fatalf("%q is not a %s", s, typ)
		}
	}
	switch typ.Kind {
	case record.TypeTimestamp:
		ns, ok := record.ParseTimestampRFC3339(s)
		fail(ok)
		return record.TimestampNanos(ns)
	case record.TypeDuration:
		ns, ok := record.ParseDuration(s)
		fail(ok)
		return record.Duration(ns)
	case record.TypeDate:
		d, ok := record.ParseDate(s)
		fail(ok)
		return record.Date(d)
	case record.TypeTime:
		d, ok := record.ParseTimeOfDay(s)
		fail(ok)
		return record.TimeOfDay(d)
	case record.TypeDecimal:
		n, scale, ok := record.ParseDecimal(s)
		fail(ok)
		return record.Decimal(n, scale)
	case record.TypeFloat:
		f, err := strconv.ParseFloat(s, 64)
		fail(err == nil)
		return record.Float(f)
	case record.TypeString:
		return record.String(s)
	case record.TypeBytes:
		return record.Bytes([]byte(s))
	}
	return record.JSONValue([]byte(s), nil)
}

// testEnv is an Env over the values of a scope.
func testEnv(s *testScope) *Env {
	e := &Env{Arena: &record.Arena{}, Now: 1_769_854_500_123_456_789, Rand: rand.New(rand.NewPCG(1, 2)), Pipeline: "orders"}
	e.Begin(&record.Row{
		Slots: s.values, Key: record.String("k1"), Time: 1_769_854_500_123, Op: record.OpUpdate,
		Window: record.Window{Start: 1_769_854_500_000, End: 1_769_854_560_000},
		Origin: &record.Origin{Topic: "views", Partition: 3, Offset: 42, Time: 1_769_854_499_000, Headers: []record.Header{
			{Key: "trace", Value: []byte("first")}, {Key: "none"}, {Key: "trace", Value: []byte("abc")}}},
	})
	return e
}

// show writes a value so that its type can be seen.
func show(v record.Value) string {
	if v.IsNull() {
		return "null"
	}
	return fmt.Sprintf("%s %s", v.TypeName(), record.AppendJSON(nil, v))
}

// marked shows a problem as the line, the carets and the hint.
func marked(text string, p Problem) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s\n", p.Code, p.Message)
	fmt.Fprintf(&b, "  %s\n", text)
	line := "  " + strings.Repeat(" ", p.Start) + strings.Repeat("^", max(p.End-p.Start, 1))
	if p.Hint != "" {
		line += " " + p.Hint
	}
	b.WriteString(line + "\n")
	return b.String()
}
