package expr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"kstream/record"
)

func mustParse(t testing.TB, text string) *Tree {
	t.Helper()
	tree, ps := Parse(text)
	if len(ps) > 0 {
		t.Fatalf("parse %s: %v", text, ps)
	}
	return tree
}

func mustCompile(t testing.TB, s Scope, text string) *Program {
	t.Helper()
	p, ps := Compile(mustParse(t, text), s, Want{Place: "value"})
	if len(ps) > 0 {
		t.Fatalf("compile %s: %v", text, ps)
	}
	return p
}

func TestTreeShapes(t *testing.T) {
	for _, c := range []struct {
		text, name, path string
		literal          bool
	}{
		{"a", "a", "a", false}, {" a // note", "a", "a", false}, {"a.b", "", "a.b", false}, {`a["b-c"].d`, "", "a.b-c.d", false},
		{"a?.b", "", "a.b", false}, {"$key", "", "", false}, {"$value.a", "", "", false}, {"null", "", "", false}, {"nil", "", "", false},
		{"true", "", "", false}, {"a[0]", "", "", false}, {"f(a)", "", "", false}, {"1.5", "", "", true}, {"-3", "", "", true},
		{"'a'", "", "", false}, {"-a", "", "", false},
	} {
		tree := mustParse(t, c.text)
		name, isName := tree.Name()
		path, isPath := tree.Path()
		if name != c.name || isName != (c.name != "") {
			t.Errorf("%s: name %q, %v", c.text, name, isName)
		}
		if strings.Join(path, ".") != c.path || isPath != (c.path != "") {
			t.Errorf("%s: path %q, %v", c.text, path, isPath)
		}
		if tree.Literal() != c.literal || tree.Text() != c.text {
			t.Errorf("%s: literal %v, text %q", c.text, tree.Literal(), tree.Text())
		}
	}
}

func TestNormalIsStable(t *testing.T) {
	for _, text := range []string{"a&&b", "any(xs,{#.a>#index})", "a?.b[0][1:2]", "if a{1}else{x|len()}", "{a:1,(b):[2]}", "-a not in b"} {
		once := mustParse(t, text).Normal()
		if twice := mustParse(t, once).Normal(); once != twice {
			t.Errorf("%s: %s, then %s", text, once, twice)
		}
	}
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"16 KiB":      "a" + strings.Repeat(" ", 16<<10),
		"2,000 nodes": "1" + strings.Repeat("+1", 1100),
	} {
		_, ps := Parse(text)
		if len(ps) != 1 || !strings.Contains(ps[0].Message, name) {
			t.Errorf("%s: %v", name, ps)
		}
	}
	// Deep and shared trees cost no more than their text.
	chain := "x"
	for range 150 {
		chain = "(0 < " + chain + " < 9 ? 1 : 2)"
	}
	p := mustCompile(t, parseScope(t, "x: int = 5"), chain)
	if got := show(p.Eval(testEnv(parseScope(t, "x: int = 5")))); got != "int 1" {
		t.Errorf("chain of comparisons gives %s", got)
	}
}

func TestMiddleOfChainIsEvaluatedOnce(t *testing.T) {
	s := &testScope{}
	p := mustCompile(t, s, "1 <= random(1, 1000000) <= 1000000 and 0 <= random() < 1")
	e, twin := testEnv(s), testEnv(s)
	if !p.Cond(e) {
		t.Fatal("is false")
	}
	twin.Rand.Uint64N(1_000_000)
	twin.Rand.Float64()
	if a, b := e.Rand.Uint64(), twin.Rand.Uint64(); a != b {
		t.Error("a middle operand was evaluated more or less than once")
	}
}

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"plain", `"plain"`}, {"", `""`}, {"{x}", `"" x@1 ""`}, {"a {x} b{y}", `"a " x@3 " b" y@8 ""`}, {"ü {x}", `"ü " x@3 ""`},
		{"{{x}} {y}", `"{x} " y@7 ""`}, {`{f("}", '{', {a: 1})}`, `"" f("}", '{', {a: 1})@1 ""`},
		{"a {x", `"a " "{" is not closed@2`}, {"a } b", `"a } b" "}" closes nothing@2`}, {"{ }", `"" @1 "" the expression is missing@0`},
		{`{"x}`, `"" "{" is not closed@0`},
	} {
		texts, holes, ps := ParseTemplate(c.text)
		var parts []string
		for i, s := range texts {
			parts = append(parts, fmt.Sprintf("%q", s))
			if i < len(holes) {
				parts = append(parts, fmt.Sprintf("%s@%d", strings.TrimSpace(holes[i].Text), holes[i].Start))
			}
		}
		for _, p := range ps {
			parts = append(parts, fmt.Sprintf("%s@%d", p.Message, p.Start))
		}
		if got := strings.Join(parts, " "); got != c.want {
			t.Errorf("%s: got %s, want %s", c.text, got, c.want)
		}
	}
}

func TestWantIsEnforcedForAny(t *testing.T) {
	for _, c := range []struct {
		want  WantKind
		value string
		err   string
	}{
		{WantTimestamp, "5", "place needs a timestamp, found int"}, {WantTimestamp, "null", ""},
		{WantList, `{"a":1}`, "place needs a list, found object"}, {WantList, "[1]", ""},
		{WantKey, "1.5", "a float cannot be a key"}, {WantKey, "[1]", "a list cannot be a key"}, {WantKey, "5", ""}, {WantKey, `{"a":1}`, ""},
		{WantInt, `"x"`, "place needs a whole number, found string"}, {WantText, "1", "place needs text, found int"},
		{WantDuration, "5", "place needs a duration, found int"}, {WantDuration, "null", ""},
		{WantBytes, "1", "place needs text or bytes, found int"}, {WantBytes, `"a"`, ""}, {WantAny, "1.5", ""},
	} {
		s := parseScope(t, "x: any = "+c.value)
		p, ps := Compile(mustParse(t, "x"), s, Want{Type: c.want, Place: "place"})
		if len(ps) > 0 {
			t.Fatal(ps)
		}
		e := testEnv(s)
		p.Eval(e)
		if got := ""; e.Err() != nil && e.Err().Message != c.err || e.Err() == nil && c.err != got {
			t.Errorf("%d of %s: %v, want %q", c.want, c.value, e.Err(), c.err)
		}
	}
}

func TestErrorsOfOneRecordEndWithIt(t *testing.T) {
	s := parseScope(t, "i: int = 0\nx: any = 5")
	e := testEnv(s)
	div, cond := mustCompile(t, s, "1 / i"), mustCompile(t, s, "x")
	if v := div.Eval(e); !v.IsNull() || e.Err() == nil || e.Err().Code != "eval-failed" {
		t.Fatalf("1 / 0 gives %s, %v", show(v), e.Err())
	}
	first := e.Err()
	if cond.Cond(e) || e.Err() != first {
		t.Errorf("the first error does not win: %v", e.Err())
	}
	e.Begin(e.Row)
	if e.Err() != nil {
		t.Error("Begin keeps the error")
	}
	if cond.Cond(e) || e.Err() == nil || e.Err().Message != "the expression needs true or false, found int" && !strings.Contains(e.Err().Message, "needs true or false, found int") {
		t.Errorf("a condition of an int: %v", e.Err())
	}
}

func TestCostLimits(t *testing.T) {
	s := parseScope(t, "n: int = 10000\ni: int = 1")
	for _, c := range []struct{ text, err string }{
		{"map(1..n, sum(1..n, # * 2))", "too expensive"},
		{"let a = map(1..n, 1..i); let b = map(1..1000, a); b == map(1..1000, a)", "too expensive"},
		{"let a = map(1..n, 1..i); let b = map(1..1000, a); toJSON(b)", "too expensive"},
		{"let a = map(1..n, 1..i); flatten(map(1..1000, a))", "too expensive"},
		{"try(map(1..n, sum(1..n, # * 2)), nil) == nil", ""},
		{"join(map(1..n, repeat('x', 1000)))", "the text is longer than 1 MiB"},
		{"let a = 1..n; len(concat(a, a, a, a, a, a, a, a, a, a, a))", "more than 100,000 elements"},
		{"uniq(map(1..n, [#]))", "too expensive"},
		{"lpad('x', 2000000)", "the text is longer than 1 MiB"},
		{"split(repeat('a', 200000), '')", "more than 100,000 elements"},
		{"sum(map(1..n, # + i))", ""},
	} {
		e := testEnv(s)
		mustCompile(t, s, c.text).Eval(e)
		switch {
		case c.err == "" && e.Err() != nil, c.err != "" && (e.Err() == nil || !strings.Contains(e.Err().Message, c.err)):
			t.Errorf("%s: %v, want %q", c.text, e.Err(), c.err)
		}
	}
}

// TestProgramsShareNothing evaluates one program with two Envs in turn.
func TestProgramsShareNothing(t *testing.T) {
	s1 := parseScope(t, "x: int = 1\nl: [int] = [1, 2]")
	s2 := parseScope(t, "x: int = 2\nl: [int] = [5, 6]")
	p := mustCompile(t, s1, "let y = x * 10; map(l, {let z = # + y; [z, #index]})")
	a, b := testEnv(s1), testEnv(s2)
	for range 2 {
		if got := show(p.Eval(a)) + show(p.Eval(b)); got != "list [[11,0],[12,1]]list [[25,0],[26,1]]" {
			t.Errorf("got %s", got)
		}
	}
}

func TestOriginMayBeMissing(t *testing.T) {
	s := &testScope{}
	e := testEnv(s)
	e.Row.Origin = nil
	for text, want := range map[string]string{
		"$topic": "null", "$partition": "null", "$record_ts": "null", `$headers["a"]`: "null", "$headers": "object {}", "$n": "null",
	} {
		if got := show(mustCompile(t, s, text).Eval(e)); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestEndsOfTime(t *testing.T) {
	s := &testScope{}
	e := testEnv(s)
	e.Row.Time = record.MaxTimestamp
	p := mustCompile(t, s, `$ts > timestamp("2200-01-01T00:00:00Z") and $ts + duration("1h") == nil`)
	p.Cond(e)
	if e.Err() == nil || !strings.Contains(e.Err().Message, "overflow") {
		t.Errorf("the final time: %v", e.Err())
	}
}

func TestBindingBeyondItsReference(t *testing.T) {
	// A binding may cover none of the path: the name is looked up in the value.
	s := &testScope{open: true, values: []record.Value{record.JSONValue([]byte(`{"a":{"b":7}}`), nil)}}
	for text, want := range map[string]string{"a.b": "int 7", "a.c": "null", "b": "null", "b.c": "null", "a.b + 1 == 8": "bool true"} {
		if got := show(mustCompile(t, s, text).Eval(testEnv(s))); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestPlainCopies(t *testing.T) {
	s := parseScope(t, "a: int = 1\no: {b int} = {\"b\":2}")
	for text, want := range map[string]string{"a": "slot 0", "$key": "key", "$value.a": "slot 0", "o.b": "", "a + 0": "", "let x = a; x": "slot 0"} {
		got := ""
		if r := mustCompile(t, s, text).Ref; r != nil {
			got = map[RefKind]string{RefSlot: fmt.Sprintf("slot %d", r.Slot), RefKey: "key"}[r.Kind]
		}
		if got != want {
			t.Errorf("%s is %q, want %q", text, got, want)
		}
	}
}

func TestAggregateResults(t *testing.T) {
	s := parseScope(t, "user: string = u1\nprice: decimal(2) = 12.50\nqty: int = 3")
	keys := &testScope{fields: s.fields[:1]}
	next := 4
	f, ps := CompileAggregate(mustParse(t, "round(sum(price) / count(), 1) * count() + max(qty * 2)"), s, keys, func() int { next++; return next })
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	var texts []string
	for i, call := range f.Calls {
		texts = append(texts, call.Text)
		if call.Acc != 5+i {
			t.Errorf("%s has place %d", call.Text, call.Acc)
		}
	}
	if want := []string{"sum(price)", "count()", "max(qty * 2)"}; !slices.Equal(texts, want) {
		t.Fatalf("calls %q, want %q", texts, want)
	}
	e := testEnv(s)
	if got := show(f.Calls[2].Args[0].Eval(e)); got != "int 6" {
		t.Errorf("argument of max: %s", got)
	}
	e.Acc = make([]record.Value, 8)
	e.Acc[5], e.Acc[6], e.Acc[7] = record.Decimal(1000, 2), record.Int(4), record.Int(7)
	if got := show(f.Result.Eval(e)); got != "decimal 17.0" {
		t.Errorf("result %s", got)
	}
}

func TestAggregateNames(t *testing.T) {
	for _, name := range strings.Fields("count count_if sum sum_if avg min max min_by max_by first last collect collect_set collect_map " +
		"count_distinct median percentile variance stddev bool_and bool_or string_agg any_value approx_count_distinct top_k") {
		if !IsAggregate(name) {
			t.Errorf("%s is no aggregate", name)
		}
	}
	if IsAggregate("mean") || IsAggregate("") {
		t.Error("mean is an aggregate")
	}
}

// TestEveryFunctionIsListed compares the functions with the reference.
func TestEveryFunctionIsListed(t *testing.T) {
	want := strings.Fields(`upper lower trim trimPrefix trimSuffix split replace repeat join indexOf lastIndexOf len
		abs ceil floor round all any none one filter map find findIndex findLast findLastIndex sum min max mean median
		first last take get sort sortBy reverse uniq flatten concat keys values int float string toJSON fromJSON toBase64
		fromBase64 type now duration ltrim rtrim lpad rpad split_re replace_re extract format sign sqrt exp ln log10 div
		least greatest random timestamp from_millis from_seconds millis seconds date date_trunc date_part format_time
		has merge zip bool decimal bytes hex unhex try coalesce nullif is_null md5 sha1 sha256 xxhash crc32 murmur2 uuid mask`)
	var have []string
	for name := range functions {
		have = append(have, name)
	}
	for name := range predicateFunctions {
		have = append(have, name)
	}
	slices.Sort(want)
	slices.Sort(have)
	if !slices.Equal(want, have) {
		t.Errorf("functions\n%v\nwant\n%v", have, want)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a + b", `any(items, {.qty > 1})`, "a ?? b > 1", `"open`, "10min", "if(a, b)", "::f", "a; b", "${X}", "x.f(1)", "0 < a < b < 3",
		"let x = 1; x", "{a: 1, (b): 2}", "f\"{x}\"", "a between 1 and 2", "count(x, .y)", "[1, 2][0]?.a", "x not in y", "max_by(a)", "é ü",
		"1e999", "sum(max(x))", "a // b", "{", "]", "let", "#", ".5.5", "a..b", "b'\\xff'", "if a { b } else if c { d } else { e }",
		"( a between", "[ x between 1 and 2",
	} {
		f.Add(s)
	}
	s := parseScope(f, "a: int = 1\nb: string = x\nx: any\nitems: [{qty int}] = [{\"qty\":1}]\nopen")
	f.Fuzz(func(t *testing.T, text string) {
		tree, ps := Parse(text)
		if (tree == nil) != (len(ps) > 0) {
			t.Fatalf("tree %v with problems %v", tree, ps)
		}
		n := len([]rune(text))
		if tree != nil {
			p, more := Compile(tree, s, Want{Type: WantBool, Place: "filter"})
			if (p == nil) != (len(more) > 0) {
				t.Fatalf("program %v with problems %v", p, more)
			}
			_, agg := CompileAggregate(tree, s, s, func() int { return 0 })
			ps = append(more, agg...)
			tree.Normal()
		}
		for _, p := range ps {
			// One place behind the text is where something is missing.
			if p.Start < 0 || p.End <= p.Start || p.Start > n || p.End > n+1 || p.Message == "" || p.Code == "" {
				t.Fatalf("%q: %+v outside of the text", text, p)
			}
		}
	})
}

func FuzzEval(f *testing.F) {
	for _, s := range []string{
		"i + j * 2 - d", "s[1:3] + string(x)", "map(l, # * 2)", "sortBy(items, .qty)", "join(split(s, ''), '-')", "x.a[0].b",
		"date_trunc('week', ts, 'Europe/Berlin')", "try(int(s), -1) ?? 3", "format('{:05.2} {}', d, l)", "fromJSON(s)", "round(f, i)",
		"0 < i < j", "uniq(l + l)", "merge(o, {a: 1})", "d / i * j", "lpad(s, i, 'x')", "replace(s, '', 'ab')", "repeat(s, i)",
		"median(l)", "toJSON({a: x, b: [ts, du, by]})", "extract(s, '(a|b)+')", "1..i", "let a = l; a[i]", "decimal(s, i)", "x[s]", "random(i, j)",
	} {
		f.Add(s, int64(3), "text", 1.5, `{"a":[1,{"b":null}]}`)
	}
	f.Fuzz(func(t *testing.T, text string, i int64, str string, fl float64, raw string) {
		s := parseScope(t, "i: int\nj: int = 2\nd: decimal(2) = 1.25\nf: float\ns: string\nx: any\nl: [int] = [3,1,null]\n"+
			"items: [{qty int}] = [{\"qty\":1}]\no: map<int> = {\"k\":1}\nts: timestamp = 2026-01-31T10:15:00Z\ndu: duration = 1h\nby: bytes = ab")
		tree, ps := Parse(text)
		if len(ps) > 0 {
			return
		}
		p, ps := Compile(tree, s, Want{Place: "value"})
		if len(ps) > 0 {
			return
		}
		s.values[0], s.values[3], s.values[4] = record.Int(i), record.Float(fl), record.String(str)
		e := testEnv(s)
		s.values[5] = fromJSON(e, record.String(raw))
		e.Begin(e.Row)
		v := p.Eval(e)
		if e.cost > 2*maxCost {
			t.Fatalf("%s cost %d", text, e.cost)
		}
		if e.Err() != nil && e.Err().Code != "eval-failed" {
			t.Fatalf("%s: code %s", text, e.Err().Code)
		}
		if e.Err() == nil && p.Cond == nil && !v.IsNull() && p.Type.Kind != record.TypeAny && classOfValue(v) != classOf(p.Type) {
			t.Fatalf("%s has type %s and gives %s", text, p.Type, show(v))
		}
	})
}

// TestSQLLayoutsAreTheLibrarys holds the parser of the SQL form against the
// library's, on texts that are a little wrong in every place.
func TestSQLLayoutsAreTheLibrarys(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	s := parseScope(t, `x: string = "2026-01-31 10:15:00"`)
	var programs []*Program
	layouts := []string{"2006-01-02 15:04:05", "2006-01-02 15:04:05.9", "2006-01-02 15:04:05.999", "2006-01-02 15:04:05.999999999",
		"2006-01-02 15:04:05.000", "2006-01-02 15:04:05.", "2006-01-02 15:04:05Z07:00"}
	for _, layout := range layouts {
		programs = append(programs, mustCompile(t, s, `timestamp(x, "`+layout+`")`))
	}
	const letters = "0123456789-:. T,Z+"
	good := 0
	for range 40_000 {
		text := []byte("2024-02-29 23:59:59.987654321123"[:19+random.IntN(14)])
		for range random.IntN(4) {
			text[random.IntN(len(text))] = letters[random.IntN(len(letters))]
		}
		e := testEnv(s)
		e.Row.Slots[0] = record.StringBytes(text)
		for i, layout := range layouts {
			e.Begin(e.Row)
			got := programs[i].Eval(e)
			want, err := time.ParseInLocation(layout, string(text), time.UTC)
			bad := err != nil || want.Year() < 1678 || want.Year() > 2261
			if bad != (e.Err() != nil) || !bad && got.Int() != want.UnixNano() {
				t.Fatalf("%q with %q: got %s and %v, the library %v and %v", text, layout, show(got), e.Err(), want, err)
			}
			if !bad {
				good++
			}
		}
	}
	if good < 1_000 {
		t.Errorf("only %d texts were times", good)
	}
}
