package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"testing"

	"kstream/record"
)

// TestPipelinesAreRight computes what the pipelines write anew, with the
// standard library: a wrong result has no speed.
func TestPipelinesAreRight(t *testing.T) {
	type bidEvent struct {
		EventType int `json:"event_type"`
		Bid       *struct {
			Auction, Bidder, Price int64
			DateTime, Extra        string
		}
	}
	text := func(v any) string {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			t.Fatal(err)
		}
		return string(bytes.TrimSpace(b.Bytes()))
	}
	want := map[string]func(e *bidEvent) string{
		"q0": func(e *bidEvent) string {
			b := e.Bid
			return fmt.Sprintf(`{"auction":%d,"bidder":%d,"price":%d,"dateTime":%q,"extra":%s}`, b.Auction, b.Bidder, b.Price, b.DateTime, text(b.Extra))
		},
		"q1": func(e *bidEvent) string {
			b := e.Bid
			price := new(big.Rat).Mul(big.NewRat(b.Price, 1), big.NewRat(908, 1000))
			return fmt.Sprintf(`{"auction":%d,"bidder":%d,"price":%s,"dateTime":%q,"extra":%s}`, b.Auction, b.Bidder, price.FloatString(3), b.DateTime, text(b.Extra))
		},
		"q2": func(e *bidEvent) string {
			if e.Bid.Auction%123 != 0 {
				return ""
			}
			return fmt.Sprintf(`{"auction":%d,"price":%d}`, e.Bid.Auction, e.Bid.Price)
		},
	}
	for _, p := range pipelines(t) {
		compute := want[p.name]
		if compute == nil {
			continue
		}
		r := newRig(t, p.yaml)
		var got string
		r.written = func(m *record.Message) { got = string(m.Value) }
		some := false
		for i := range p.in {
			var e bidEvent
			if err := json.Unmarshal(p.in[i].Value, &e); err != nil {
				t.Fatal(err)
			}
			expected := ""
			if e.EventType == 2 {
				expected = compute(&e)
			}
			got = ""
			r.take(t, &p.in[i])
			if got != expected {
				t.Fatalf("%s of %s:\ngot  %s\nwant %s", p.name, p.in[i].Value, got, expected)
			}
			some = some || got != ""
		}
		if !some {
			t.Errorf("%s wrote nothing", p.name)
		}
	}
}
