package runtime

import (
	"context"
	"time"

	"kstream/record"
	"kstream/source"
	"kstream/source/nexmark"
	"kstream/topology"
)

// maker makes the records of a source that reads nothing. Record n depends on n
// alone.
type maker interface {
	// Ended reports whether there is no record n.
	Ended(n int64) bool
	// Generate fills row with record n; ok is false if it is skipped.
	Generate(n int64, row *record.Row) (ok bool, err error)
}

// makeFeed gives a source that makes its records its feed.
func (b *build) makeFeed(t *sourceTask, o source.Options) (feed, error) {
	job := b.life.job
	f := &generateFeed{t: t, began: job.clock(), first: int64(t.parts[0].Offset)}
	spec := t.source.Spec
	if spec.Generate != nil {
		f.made, f.rate = source.NewGenerator(t.source, o), spec.Generate.Rate
		return f, nil
	}
	events, err := NewNexmark(spec.Nexmark)
	if err != nil {
		return nil, err
	}
	if spec.Nexmark.EventTimePace {
		f.rate = spec.Nexmark.Rate
	}
	f.made = &nexmarkMaker{events: events, decoder: source.NewDecoder(t.source, o), count: spec.Nexmark.Count, name: spec.Name}
	return f, nil
}

// NewNexmark makes the generator of a source.
func NewNexmark(s *topology.NexmarkSpec) (*nexmark.Generator, error) {
	return nexmark.New(nexmark.Options{Seed: uint64(s.Seed), Rate: s.Rate, BaseTime: s.BaseTime,
		OutOfOrder: s.OutOfOrder, Escapes: s.Escapes,
		PersonProportion: s.PersonProportion, AuctionProportion: s.AuctionProportion, BidProportion: s.BidProportion})
}

// nexmarkMaker reads what the generator writes, as if it came from a topic: one
// way of reading events serves both.
type nexmarkMaker struct {
	events  *nexmark.Generator
	decoder *source.Decoder
	count   int64
	name    string
	line    []byte
	message record.Message
}

func (m *nexmarkMaker) Ended(n int64) bool { return m.count >= 0 && n >= m.count }

func (m *nexmarkMaker) Generate(n int64, row *record.Row) (bool, error) {
	var at record.Timestamp
	m.line, at = m.events.Append(m.line[:0], n)
	m.message = record.Message{Topic: m.name, Offset: record.Offset(n), Epoch: -1, Time: at, Value: m.line}
	return m.decoder.Decode(&m.message, row)
}

// generateFeed makes the records of a source that reads nothing, at its rate.
type generateFeed struct {
	t     *sourceTask
	made  maker
	rate  float64
	began time.Time
	first int64
}

// generateMax is how many records are made between two looks at the inbox.
const generateMax = 512

func (g *generateFeed) ready() <-chan struct{} { return nil }

func (g *generateFeed) next(context.Context) (time.Duration, bool, error) {
	t, p := g.t, g.t.parts[0]
	n := int64(p.Offset)
	due := n + generateMax
	if g.rate > 0 {
		due = min(due, g.first+int64(t.life.job.clock().Sub(g.began).Seconds()*g.rate))
	}
	count := 0
	admitted := true
	for ; n < due && !g.made.Ended(n); n++ {
		if admitted = t.life.job.admit(1) == 1; !admitted {
			break
		}
		count++
		t.arena.Reset()
		ok, err := g.made.Generate(n, &t.row)
		if err != nil {
			return 0, false, err
		}
		p.Offset = record.Offset(n + 1)
		if !ok {
			continue
		}
		t.marks.Observe(0, t.row.Time)
		if err := t.op.Process(&t.row); err != nil {
			return 0, false, err
		}
	}
	if count > 0 {
		t.taken(count)
		t.marks.Active(0, t.life.job.now())
	}
	switch {
	case g.made.Ended(n):
		return 0, true, nil
	case !admitted:
		return forever, false, nil // the stop is on its way
	}
	if n < due || g.rate == 0 {
		return 0, false, nil
	}
	return max(time.Millisecond, time.Duration(float64(time.Second)/g.rate)), false, nil
}
