package codec

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"testing"

	"kstream/record"
)

//go:embed testdata/variants.jsonl
var variants []byte

//go:embed testdata/invalid.jsonl
var invalid []byte

// lines cuts a file of test records; each is a copy without room behind it, so
// that reading past the end is found.
func lines(file []byte) [][]byte {
	var out [][]byte
	for _, l := range bytes.Split(bytes.TrimSuffix(file, []byte("\n")), []byte("\n")) {
		out = append(out, append(make([]byte, 0, len(l)), l...))
	}
	return out
}

var (
	intType    = record.TypeOf(record.TypeInt)
	stringType = record.TypeOf(record.TypeString)
	sqlTime    = record.Type{Kind: record.TypeTimestamp, Unit: record.UnitSQL}
)

// bidWants is what a plan that uses the whole bid wants of a wrapped event.
func bidWants() []JSONWant {
	return []JSONWant{
		{Path: []string{"event_type"}, Type: intType, Slot: 0},
		{Path: []string{"bid", "auction"}, Type: intType, Slot: 1},
		{Path: []string{"bid", "bidder"}, Type: intType, Slot: 2},
		{Path: []string{"bid", "price"}, Type: intType, Slot: 3},
		{Path: []string{"bid", "channel"}, Type: stringType, Slot: 4},
		{Path: []string{"bid", "url"}, Type: stringType, Slot: 5},
		{Path: []string{"bid", "dateTime"}, Type: sqlTime, Slot: 6},
		{Path: []string{"bid", "extra"}, Type: stringType, Slot: 7},
		{Path: []string{"person", "id"}, Type: intType, Slot: 8},
	}
}

func showAll(slots []record.Value) string {
	var b strings.Builder
	for _, v := range slots {
		switch v.Kind() {
		case record.KindNull:
			b.WriteString("null; ")
		case record.KindFloat:
			fmt.Fprintf(&b, "float %v; ", v.Float())
		case record.KindDecimal:
			fmt.Fprintf(&b, "decimal %s; ", record.AppendDecimal(nil, v.Int(), v.Scale()))
		case record.KindString, record.KindJSON:
			fmt.Fprintf(&b, "%s %s; ", v.Kind(), v.Text())
		case record.KindBytes:
			fmt.Fprintf(&b, "bytes %x; ", v.Raw())
		case record.KindList:
			fmt.Fprintf(&b, "[%s]; ", strings.TrimSuffix(showAll(v.Elems()), "; "))
		case record.KindObject:
			fmt.Fprintf(&b, "{%s: %s}; ", strings.Join(v.Object().Names, ","), strings.TrimSuffix(showAll(v.Object().Values), "; "))
		default:
			fmt.Fprintf(&b, "%s %d; ", v.Kind(), v.Int())
		}
	}
	return b.String()
}

func TestVariantsAreOneEvent(t *testing.T) {
	const want = `int 2; int 1107; int 1003; int 1500000; string channel-7; ` +
		`string https://www.nexmark.com/abc/de_/fgh/item.htm?query=1&channel_id=477102080; ` +
		`timestamp 1767293992500000000; string cc\cé "x" 😀; null; `
	all := NewJSONScanner(bidWants(), JSONOptions{})
	var a record.Arena
	for round := range 3 {
		for i, l := range lines(variants) {
			for name, s := range map[string]*JSONScanner{"learned": all, "fresh": NewJSONScanner(bidWants(), JSONOptions{})} {
				slots := make([]record.Value, 9)
				if err := s.Scan(l, slots, &a); err != nil {
					t.Fatalf("round %d, variant %d, %s: %v", round, i+1, name, err)
				}
				if got := showAll(slots); got != want {
					t.Fatalf("round %d, variant %d, %s:\n got %s\nwant %s", round, i+1, name, got, want)
				}
			}
		}
	}
}

func TestInvalidRecordsAreRefused(t *testing.T) {
	all := NewJSONScanner(bidWants(), JSONOptions{})
	var a record.Arena
	slots := make([]record.Value, 9)
	for round := range 3 {
		for i, l := range lines(invalid) {
			for _, v := range lines(variants)[:round] {
				if err := all.Scan(v, slots, &a); err != nil {
					t.Fatal(err)
				}
			}
			err := all.Scan(l, slots, &a)
			if err == nil {
				t.Fatalf("round %d: invalid record %d was accepted", round, i+1)
			}
			if err.Offset < 0 || err.Offset > len(l) || len(err.Message) > 300 || err.Code() != "decode-failed" {
				t.Errorf("invalid record %d: %v", i+1, err)
			}
			fresh := NewJSONScanner(bidWants(), JSONOptions{}).Scan(l, slots, &a)
			if fresh == nil {
				t.Fatalf("invalid record %d was accepted by a fresh scanner", i+1)
			}
		}
	}
}
