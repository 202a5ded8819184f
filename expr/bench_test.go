package expr

import (
	"testing"

	"kstream/record"
)

const benchScope = `auction: int = 1007
bidder: int = 2001
price: int = 8524
channel: string = Apple
url: string = https://www.nexmark.com/vqm/item.htm?query=1&channel_id=8
fee: decimal(3) = 12.345
ratio: float = 0.25
ts: timestamp = 2026-01-31T10:15:00.5Z
x: any = 5`

// The expressions of the budget: comparison, arithmetic, a conjunction, a text,
// a folded text, a nested condition.
var benchExpressions = []struct{ name, text string }{
	{"E1", "auction == 1007"},
	{"E2", "price * 2 + 5"},
	{"E3", "auction > 1000 and price < 10000 or bidder == 0"},
	{"E4", `channel == "Apple"`},
	{"E5", `lower(channel) == "apple"`},
	{"E6", `lower(channel) == "apple" ? 0 : lower(channel) == "google" ? 1 : lower(channel) == "facebook" ? 2 : price > 5000 ? 3 : 4`},
}

func BenchmarkEval(b *testing.B) {
	s := parseScope(b, benchScope)
	for _, x := range benchExpressions {
		b.Run(x.name, func(b *testing.B) {
			p, e := mustCompile(b, s, x.text), testEnv(s)
			if p.Cond != nil {
				for b.Loop() {
					p.Cond(e)
				}
				return
			}
			for b.Loop() {
				p.Eval(e)
			}
		})
	}
}

// BenchmarkDecimal is a price times a number, printed.
func BenchmarkDecimal(b *testing.B) {
	s := parseScope(b, benchScope)
	p, e := mustCompile(b, s, "fee * price"), testEnv(s)
	dst := make([]byte, 0, 64)
	for b.Loop() {
		v := p.Eval(e)
		dst = record.AppendDecimal(dst[:0], v.Int(), v.Scale())
	}
}

func BenchmarkText(b *testing.B) {
	s := parseScope(b, benchScope)
	for name, text := range map[string]string{
		"split": `split(url, "/")[3]`, "extract": "extract(url, `channel_id=([0-9]+)`)", "upper": "upper(channel)", "format": `format_time(ts, "2006-01-02")`,
	} {
		b.Run(name, func(b *testing.B) {
			p, e := mustCompile(b, s, text), testEnv(s)
			for b.Loop() {
				e.Arena.Reset()
				p.Eval(e)
			}
		})
	}
}

// TestScalarsAllocateNothing holds that an evaluation allocates nothing, texts
// included, once the arena has its size.
func TestScalarsAllocateNothing(t *testing.T) {
	s := parseScope(t, benchScope+"\no: any = {\"a\":{\"b\":[1,2,\"x\"]}}\nn: int\nraw: string = 42")
	texts := []string{
		"price / 3", "price % 7", "-price", "price ** 2", "fee * price", "fee / 3", "fee + 0.001", "ratio * price", "x + 1", "x > 1.5",
		"ts + duration(\"10m\")", "ts - $ts", `channel + "!"`, "upper(channel)", `replace(url, "w", "v")`, "trim(channel)", `split(url, "/")[3]`,
		`url contains "item"`, `url startsWith "https"`, `channel in ["Apple", "Google"]`, "price in [1, 2, 8524]", "n ?? 3",
		`{"Apple": 1, "Google": 2}[channel]`, "o.a.b", "string(price)", "int(raw)", "float(raw)", "decimal(raw)", "round(fee, 1)", "round(ratio, 1)",
		"least(price, auction)", "max(price, auction)", "date_trunc(\"hour\", ts)", "date_trunc(\"day\", ts)", "date_part(\"hour\", ts)",
		"date(ts)", "format_time(ts, \"2006-01-02\")", "millis(ts)", "len(channel)", "channel[1:3]", "md5(url)", "xxhash(url)", "crc32(url)",
		"murmur2(url)", "toBase64(url)", "hex(channel)", `lpad(raw, 5, "0")`, "let y = price * 2; y + y", "0 < price * 2 < 100000",
		"if price > 5 { fee } else { 1 }", "try(price / 2, 0)", "$key == \"k1\"", "$headers[\"trace\"]", "now()", "random()", "random(1, 6)",
		`format("{}-{:.2}", price, fee)`, "coalesce(n, nil, price)", "nullif(price, 1)", "type(o)", "mask(url, 4)", "price == fee", "fee < ratio",
		"uuid()", `timestamp("2026-01-31T10:15:00Z") < ts`, "has(o, \"a\")", "channel matches \"^A.*e$\"",
	}
	for _, x := range benchExpressions {
		texts = append(texts, x.text)
	}
	for _, text := range texts {
		p, e := mustCompile(t, s, text), testEnv(s)
		run := func() {
			e.Arena.Reset()
			e.Begin(e.Row)
			p.Eval(e)
		}
		run()
		if e.Err() != nil {
			t.Errorf("%s: %v", text, e.Err())
		}
		if n := testing.AllocsPerRun(50, run); n != 0 && !raceDetector {
			t.Errorf("%s allocates %v times", text, n)
		}
	}
}
