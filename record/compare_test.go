package record

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"unicode/utf8"
)

func object(pairs ...any) Value {
	o := &Object{}
	for i := 0; i < len(pairs); i += 2 {
		o.Names = append(o.Names, pairs[i].(string))
		o.Values = append(o.Values, pairs[i+1].(Value))
	}
	return ObjectOf(o)
}

func TestEqual(t *testing.T) {
	list := List([]Value{Int(1), String("a"), Null})
	for _, c := range []struct {
		a, b Value
		want bool
	}{
		{Null, Null, true}, {Null, Int(0), false}, {Bool(true), Bool(true), true}, {Bool(true), Int(1), false},
		{Int(3), Float(3), true}, {Int(3), Decimal(300, 2), true}, {Decimal(10, 1), Decimal(100, 2), true},
		{Decimal(1, 1), Float(0.1), true}, {Decimal(5, 0), Decimal(5, 200), false}, {Decimal(0, 0), Decimal(0, 200), true},
		{Int(1<<53 + 1), Float(1 << 53), false}, {Int(math.MaxInt64), Float(1 << 63), false},
		{Float(math.NaN()), Float(math.NaN()), false}, {Float(math.NaN()), Int(1), false},
		{String("a"), String("a"), true}, {String("a"), Bytes([]byte("a")), false}, {String(""), Null, false},
		{Date(1), Date(1), true}, {Date(1), TimestampNanos(1), false}, {Duration(1), Int(1), false},
		{list, List([]Value{Float(1), String("a"), Null}), true}, {list, List([]Value{Int(1), String("a")}), false},
		{list, JSON([]byte(`[1, "\u0061", null]`)), true}, {list, JSON([]byte(`[1,"b",null]`)), false}, {list, object(), false},
		{JSON([]byte(`[1]`)), JSON([]byte(`[1]`)), true}, {JSON([]byte(`[1]`)), JSON([]byte(`{}`)), false},
		{object("a", Int(1), "b", list), object("b", list, "a", Int(1)), true},
		{object("a", Int(1)), object("b", Int(1)), false}, {object("a", Int(1)), object(), false},
		{object("a", Null), JSON([]byte(`{"a": null}`)), true},
	} {
		if got := Equal(c.a, c.b); got != c.want {
			t.Errorf("Equal(%s, %s) = %v", AppendJSON(nil, c.a), AppendJSON(nil, c.b), got)
		}
		if got := Equal(c.b, c.a); got != c.want {
			t.Errorf("Equal(%s, %s) = %v", AppendJSON(nil, c.b), AppendJSON(nil, c.a), got)
		}
	}
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		a, b Value
		c    int
		ok   bool
	}{
		{Int(1), Int(2), -1, true}, {Int(2), Float(1.5), 1, true}, {Int(1), Decimal(99, 2), 1, true},
		{Decimal(-1, 1), Decimal(-11, 2), 1, true}, {Decimal(3, 0), Decimal(-3, 5), 1, true},
		{Decimal(1, 255), Int(1), -1, true}, {Decimal(999_999_999_999_999_999, 0), Decimal(1, 18), 1, true},
		{Int(1<<53 + 1), Float(1 << 53), 1, true}, {Float(1 << 53), Int(1<<53 + 1), -1, true},
		{Int(math.MaxInt64), Float(1 << 63), -1, true}, {Float(math.Inf(-1)), Int(math.MinInt64), -1, true},
		{String("a"), String("b"), -1, true}, {String("\uffff"), String("\U00010000"), -1, true},
		{TimestampNanos(5), TimestampNanos(4), 1, true}, {Date(5), TimestampNanos(4), 0, false},
		{Null, Null, 0, false}, {Null, Int(1), 0, false}, {Float(math.NaN()), Float(1), 0, false},
		{Bool(false), Bool(true), 0, false}, {String("1"), Int(1), 0, false},
	} {
		got, ok := Compare(c.a, c.b)
		if got != c.c || ok != c.ok {
			t.Errorf("Compare(%s, %s) = %d, %v, want %d, %v", AppendText(nil, c.a), AppendText(nil, c.b), got, ok, c.c, c.ok)
		}
		if back, _ := Compare(c.b, c.a); back != -got {
			t.Errorf("Compare(%s, %s) is not antisymmetric", AppendText(nil, c.b), AppendText(nil, c.a))
		}
	}
}

func rat(n int64, scale uint8) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return new(big.Rat).SetFrac(big.NewInt(n), p)
}

func TestCompareDecimalsAgainstRationals(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	number := func() (int64, uint8) {
		n := rnd.Int64N(pow10[rnd.IntN(19)])
		if rnd.IntN(2) == 0 {
			n = -n
		}
		return n, uint8(rnd.IntN(30))
	}
	for range 20_000 {
		a, as := number()
		b, bs := number()
		got, _ := Compare(Decimal(a, as), Decimal(b, bs))
		if want := rat(a, as).Cmp(rat(b, bs)); got != want {
			t.Fatalf("Compare(%de-%d, %de-%d) = %d, want %d", a, as, b, bs, got, want)
		}
		want, _ := rat(a, as).Float64()
		if f := DecimalFloat(a, as); f != want {
			t.Fatalf("DecimalFloat(%d, %d) = %v, want %v", a, as, f, want)
		}
	}
}

func TestAppendText(t *testing.T) {
	for want, v := range map[string]Value{
		"": Null, "true": Bool(true), "-5": Int(-5), "0.5": Float(0.5), "1.50": Decimal(150, 2), "x\"y": String("x\"y"),
		"2026-01-31T10:15:00Z": TimestampNanos(1_769_854_500e9), "2026-01-31": Date(20_484), "10:15:00": TimeOfDay(36_900e9),
		"1h30m":        Duration(5400e9),
		`[1,"a\n",{}]`: List([]Value{Int(1), String("a\n"), object()}),
		`{"a":1.50,"b":"YQ==","c":null,"d":"1s"}`: object("a", Decimal(150, 2), "b", Bytes([]byte("a")), "c", Null, "d", Duration(1e9)),
		`[null,"2026-01-31"]`:                     List([]Value{Float(math.Inf(1)), Date(20_484)}),
		`[ 1 ]`:                                   JSON([]byte(`[ 1 ]`)),
	} {
		if got := string(AppendText(nil, v)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func FuzzAppendJSONString(f *testing.F) {
	f.Add("a\"\\\n\x00\u2028é\xff")
	f.Fuzz(func(t *testing.T, s string) {
		var back string
		if err := json.Unmarshal(AppendJSONString(nil, s), &back); err != nil {
			t.Fatal(err)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

func TestCompareAllocatesNothing(t *testing.T) {
	a, b, f := Decimal(12345, 2), Decimal(999, 4), Float(1.5)
	if n := testing.AllocsPerRun(100, func() { Compare(a, b); Compare(a, f); Equal(String("x"), String("y")) }); n != 0 {
		t.Errorf("allocates %v times", n)
	}
}
