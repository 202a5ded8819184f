package codec

import (
	"encoding/json"
	"testing"

	"kstream/record"
)

// flatBid is a bid of 258 bytes, the yardstick of all figures.
const flatBid = `{"auction":1107,"bidder":1003,"price":1500000,"channel":"channel-7","url":"https://www.nexmark.com/abc/de_/fgh/item.htm?query=1&channel_id=477102080","dateTime":"2026-01-01 18:59:52.500","extra":"etwyrnlalxyzfgijlmnopqurstvwxyzabcdefghijklmnopqrstuvwxyzetwy"}`

const wrappedBid = `{"event_type":2,"person":null,"auction":null,"bid":` + flatBid + `}`

const escapedBid = `{"auction":1107,"bidder":1003,"price":1500000,"channel":"channel-7","url":"https://www.nexmark.com/abc/de_/fgh/item.htm?query=1&channel_id=477102080","dateTime":"2026-01-01 18:59:52.500","extra":"etwyr\\laxyz\"ijlmnopqurst\/vwxyzabcdefghij\u00e9\nopqrs\"uvwxyz"}`

func flatWants(prefix ...string) []JSONWant {
	path := func(name string) []string { return append(append([]string(nil), prefix...), name) }
	return []JSONWant{
		{Path: path("auction"), Type: intType, Slot: 0},
		{Path: path("bidder"), Type: intType, Slot: 1},
		{Path: path("price"), Type: intType, Slot: 2},
		{Path: path("dateTime"), Type: stringType, Slot: 3},
		{Path: path("extra"), Type: stringType, Slot: 4},
	}
}

func BenchmarkReference(b *testing.B) {
	in := []byte(flatBid)
	b.ReportAllocs()
	for b.Loop() {
		if !json.Valid(in) {
			b.Fatal("invalid")
		}
	}
}

func BenchmarkScan(b *testing.B) {
	bid := record.Type{Kind: record.TypeObject, Fields: []record.Field{
		{Name: "auction", Type: intType}, {Name: "bidder", Type: intType}, {Name: "price", Type: intType},
		{Name: "channel", Type: stringType}, {Name: "url", Type: stringType},
		{Name: "dateTime", Type: sqlTime}, {Name: "extra", Type: stringType},
	}}
	for _, c := range []struct {
		name, in string
		wants    []JSONWant
		o        JSONOptions
	}{
		{"flat", flatBid, flatWants(), JSONOptions{}},
		{"flat3", flatBid, flatWants()[:3], JSONOptions{}},
		{"declared", flatBid, flatWants(), JSONOptions{Schema: &bid}},
		{"timestamp", flatBid, []JSONWant{{Path: []string{"dateTime"}, Type: sqlTime}}, JSONOptions{}},
		{"wrapped", wrappedBid, flatWants("bid"), JSONOptions{}},
		{"escapes", escapedBid, flatWants()[:4], JSONOptions{}},
		{"escapes_wanted", escapedBid, flatWants(), JSONOptions{}},
	} {
		b.Run(c.name, func(b *testing.B) {
			s := NewJSONScanner(c.wants, c.o)
			in, slots := []byte(c.in), make([]record.Value, 8)
			var a record.Arena
			b.ReportAllocs()
			for b.Loop() {
				a.Reset()
				if err := s.Scan(in, slots, &a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	s := NewJSONScanner(append(flatWants(), JSONWant{Slot: 5}), JSONOptions{})
	slots := make([]record.Value, 8)
	var a record.Arena
	if err := s.Scan([]byte(flatBid), slots, &a); err != nil {
		b.Fatal(err)
	}
	slots[6] = record.Decimal(1362000, 3)
	fields := []EncodeField{
		{"auction", 0, intType}, {"bidder", 1, intType}, {"price", 6, record.Any}, {"dateTime", 3, stringType}, {"extra", 4, stringType},
	}
	for _, c := range []struct {
		name   string
		fields []EncodeField
		rest   RestSpec
	}{
		{"fields", fields, RestSpec{Slot: -1}},
		{"rest", fields[2:3], RestSpec{Slot: 5, Skip: []string{"url"}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := NewJSONEncoder(c.fields, c.rest, JSONWriteOptions{})
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				var err error
				if out, err = e.Append(out[:0], slots, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkKey(b *testing.B) {
	pair := record.ObjectOf(&record.Object{Names: []string{"auction", "bidder"}, Values: []record.Value{record.Int(1107), record.Int(1003)}})
	for name, v := range map[string]record.Value{
		"int": record.Int(1107), "text": record.String("channel-7"), "pair": pair, "decimal": record.Decimal(1999, 2),
	} {
		b.Run(name, func(b *testing.B) {
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out, _ = AppendKey(out[:0], v)
				_ = record.KeyGroupOf(out, 32)
			}
		})
	}
}

func BenchmarkHash(b *testing.B) {
	key := []byte("0123456789abcdef")
	b.ReportAllocs()
	for b.Loop() {
		record.Murmur2(key)
	}
}

func BenchmarkTimestamp(b *testing.B) {
	sql, rfc := []byte("2026-01-01 18:59:52.500"), []byte("2026-01-01T18:59:52.5Z")
	b.Run("sql", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := readTimestamp(record.UnitSQL, sql); !ok {
				b.Fatal("refused")
			}
		}
	})
	b.Run("rfc3339", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, ok := readTimestamp(record.UnitDefault, rfc); !ok {
				b.Fatal("refused")
			}
		}
	})
}
