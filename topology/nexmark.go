package topology

import (
	"fmt"

	"kstream/record"
)

// nexmarkFields are the options of the generator in source/nexmark.
var nexmarkFields = &object{
	name: "source.nexmark",
	doc: "The events of the Nexmark benchmark, an online auction. The value is `{event_type, person, auction, bid}`: event_type is 0, 1 or 2, " +
		"the object it names is not null. `$record_ts` is the event's dateTime.",
	fields: []field{
		{name: "count", shape: number(kindInt, 0, 0), defDoc: "endless", doc: "Number of events."},
		{name: "rate", shape: scalarOf(kindRate), def: "100000/s", doc: "Events per second of event time. It also says how long auctions live.", example: "rate: 1000/s"},
		{name: "seed", shape: number(kindInt, -1<<53, 0), def: "1", doc: "The same seed gives the same events."},
		{name: "base_time", shape: scalarOf(kindTimestamp), def: "2023-11-14T22:13:20Z", doc: "Event time of the first event."},
		{name: "out_of_order", shape: number(kindInt, 1, 1_000_000), def: "1", doc: "Events come in groups of this size, mixed within a group; 1 is in order."},
		{name: "escapes", shape: scalarOf(kindBool), def: "false", doc: "Texts with backslashes."},
		{name: "pace", shape: oneOf("max", "event_time"), def: "max", doc: "As fast as possible, or as fast as event time passes."},
		{name: "person_proportion", shape: number(kindInt, 1, 1000), def: "1", doc: "Persons among the events; the three proportions are relative."},
		{name: "auction_proportion", shape: number(kindInt, 1, 1000), def: "3", doc: "Auctions among the events."},
		{name: "bid_proportion", shape: number(kindInt, 0, 1000), def: "46", doc: "Bids among the events."},
	},
}

// NexmarkSpec is a source of Nexmark events. Rate is events per second of event
// time; Count < 0 is endless; EventTimePace holds events back until their time
// has passed since the start.
type NexmarkSpec struct {
	Seed, Count                                        int64
	Rate                                               float64
	BaseTime                                           record.Timestamp
	OutOfOrder                                         int64
	Escapes, EventTimePace                             bool
	PersonProportion, AuctionProportion, BidProportion int64
}

// decodeNexmark makes the source read what the generator writes: lines of JSON
// with a schema that everybody knows.
func decodeNexmark(v *value, s *SourceSpec) {
	s.Nexmark = &NexmarkSpec{
		Seed: v.num("seed"), Count: int64(v.limit("count")), Rate: v.floatOf("rate"),
		BaseTime: record.Timestamp(v.num("base_time")), OutOfOrder: v.num("out_of_order"),
		Escapes: v.flag("escapes"), EventTimePace: v.str("pace") == "event_time",
		PersonProportion: v.num("person_proportion"), AuctionProportion: v.num("auction_proportion"), BidProportion: v.num("bid_proportion"),
	}
	s.Format = FormatSpec{Kind: "json", Timestamp: "rfc3339", Numbers: "auto"}
	s.Schema = nexmarkSchema()
}

func nexmarkSchema() *record.Type {
	number, text := required(record.TypeInt), record.TypeOf(record.TypeString)
	when := required(record.TypeTimestamp)
	when.Unit = record.UnitSQL
	object := func(fields ...record.Field) record.Type {
		return record.Type{Kind: record.TypeObject, Fields: fields}
	}
	as := func(t record.Type, names ...string) []record.Field {
		var out []record.Field
		for _, n := range names {
			out = append(out, record.Field{Name: n, Type: t})
		}
		return out
	}
	join := func(groups ...[]record.Field) []record.Field {
		var out []record.Field
		for _, g := range groups {
			out = append(out, g...)
		}
		return out
	}
	person := object(join(as(number, "id"), as(text, "name", "emailAddress", "creditCard", "city", "state"), as(when, "dateTime"), as(text, "extra"))...)
	auction := object(join(as(number, "id"), as(text, "itemName", "description"), as(number, "initialBid", "reserve"),
		as(when, "dateTime", "expires"), as(number, "seller", "category"), as(text, "extra"))...)
	bid := object(join(as(number, "auction", "bidder", "price"), as(text, "channel", "url"), as(when, "dateTime"), as(text, "extra"))...)
	all := object(join(as(number, "event_type"), as(person, "person"), as(auction, "auction"), as(bid, "bid"))...)
	return &all
}

// nexmarkStride is the step by which the generator mixes a group.
const nexmarkStride = 953

func (l *loader) nexmarkRules(s *SourceSpec, v *value) {
	if s.Nexmark == nil || s.Nexmark.OutOfOrder%nexmarkStride != 0 {
		return
	}
	at := v.get("nexmark").get("out_of_order")
	l.fail(at.at, "bad-value", at.path, fmt.Sprintf("a group of %d events cannot be mixed", s.Nexmark.OutOfOrder),
		fmt.Sprintf("any size but a multiple of %d", nexmarkStride))
}
