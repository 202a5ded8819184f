package nexmark

import (
	"fmt"
	"math"

	"kstream/record"
)

// Options say which stream is made.
type Options struct {
	Seed uint64
	Rate float64 // events per second of event time

	BaseTime   record.Timestamp // event time of event 0
	OutOfOrder int64            // size of the groups within which the order is mixed; 1 is in order
	Escapes    bool             // texts with backslashes

	// How many of PersonProportion + AuctionProportion + BidProportion events
	// in a row are of each kind.
	PersonProportion, AuctionProportion, BidProportion int64
}

// Defaults are the options of the published benchmark.
func Defaults() Options {
	return Options{Seed: 1, Rate: 100_000, BaseTime: 1_700_000_000_000, OutOfOrder: 1,
		PersonProportion: 1, AuctionProportion: 3, BidProportion: 46}
}

// Stride is the step by which the events of a group are mixed. A group must not
// have it as a factor: some events would come twice and others never.
const Stride = 953

// Block is how many positions in a row one reader takes, or one partition.
const Block = 100

// Partition is which of several readers or partitions a position belongs to.
func Partition(position int64, of int32) int32 { return int32(position / Block % int64(of)) }

const (
	firstID        = 1000
	firstCategory  = 10
	activePeople   = 1000 // that someone is chosen from
	activeAuctions = 100
	unborn         = 10 // ids that are named before they appear
	hotBlock       = 100
)

// Generator makes events. It is for one goroutine at a time; Reader gives
// another one.
type Generator struct {
	o              Options
	total          int64 // of the proportions
	millis, events int64 // events take millis: the rate as a fraction
	eventKey       uint64
	pool           []byte
	channels       []piece
	pieces         []byte
	clock          clock
}

// piece is where the channel and the url of a bid stand in pieces.
type piece struct{ begin, end int32 }

// New makes a generator. It fails if the options describe no stream.
func New(o Options) (*Generator, error) {
	perHour := math.Round(o.Rate * 3600)
	switch {
	case !(perHour >= 1 && perHour <= 1e15):
		return nil, fmt.Errorf("nexmark: rate %v is not between one event per hour and 2.7e11 per second", o.Rate)
	case o.OutOfOrder < 1 || o.OutOfOrder%Stride == 0:
		return nil, fmt.Errorf("nexmark: out_of_order %d is not a size of groups: at least 1, and no multiple of %d", o.OutOfOrder, Stride)
	case o.PersonProportion < 1 || o.AuctionProportion < 1 || o.BidProportion < 0:
		return nil, fmt.Errorf("nexmark: proportions %d, %d, %d: there must be persons and auctions for the rest to name", o.PersonProportion, o.AuctionProportion, o.BidProportion)
	}
	g := &Generator{
		o:        o,
		total:    o.PersonProportion + o.AuctionProportion + o.BidProportion,
		eventKey: mix(o.Seed + gamma),
		millis:   3_600_000,
		events:   int64(perHour),
	}
	d := divisor(g.millis, g.events)
	g.millis, g.events = g.millis/d, g.events/d
	g.makeChannels(mix(o.Seed + doubleGamma))
	g.pool = makePool(mix(o.Seed+tripleGamma), o.Escapes)
	g.clock.minute = math.MinInt64
	return g, nil
}

// The keys of the three kinds of streams are mix(seed + i·γ), modulo 2^64.
const (
	doubleGamma = gamma * 2 & math.MaxUint64
	tripleGamma = gamma * 3 & math.MaxUint64
)

func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// Reader is another generator of the same events, for another goroutine.
func (g *Generator) Reader() *Generator {
	r := *g
	return &r
}

// Event is the number of the event at a position of the stream.
func (g *Generator) Event(position int64) int64 {
	if g.o.OutOfOrder == 1 {
		return position
	}
	size := g.o.OutOfOrder
	return position/size*size + position%size*Stride%size
}

// Time is the event time of an event.
func (g *Generator) Time(event int64) record.Timestamp {
	return g.o.BaseTime + record.Timestamp(event*g.millis/g.events)
}

// lastPerson counts the persons up to an event, from 0.
func (g *Generator) lastPerson(n int64) int64 {
	p := g.o.PersonProportion
	return n/g.total*p + min(n%g.total, p-1)
}

// lastAuction counts the auctions up to an event, from 0; -1 before the first.
func (g *Generator) lastAuction(n int64) int64 {
	p, a := g.o.PersonProportion, g.o.AuctionProportion
	switch o := n % g.total; {
	case o < p:
		return n/g.total*a - 1
	case o < p+a:
		return n/g.total*a + o - p
	}
	return n/g.total*a + a - 1
}

// someone is one of the last thousand persons, or of ten not yet born.
func (g *Generator) someone(s *stream, n int64) int64 {
	born := g.lastPerson(n) + 1
	active := min(born, activePeople)
	return born - active + s.below(active+unborn)
}

// someAuction is one of the last hundred, or of ten not yet opened.
func (g *Generator) someAuction(s *stream, n int64) int64 {
	last := g.lastAuction(n)
	least := max(last-activeAuctions, 0)
	return least + s.below(last-least+1+unborn)
}

// Append adds the event at a position, a JSON object without a line feed, and
// gives its time.
func (g *Generator) Append(dst []byte, position int64) ([]byte, record.Timestamp) {
	n := g.Event(position)
	s := stream(mix(g.eventKey + uint64(n)))
	at := g.Time(n)
	switch o := n % g.total; {
	case o < g.o.PersonProportion:
		return g.person(dst, &s, n, at), at
	case o < g.o.PersonProportion+g.o.AuctionProportion:
		return g.auction(dst, &s, n, at), at
	}
	return g.bid(dst, &s, n, at), at
}
