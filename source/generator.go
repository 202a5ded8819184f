package source

import (
	"math/rand/v2"

	"kstream/record"
	"kstream/topology"
)

// Generator makes the records of a generate source. Record n depends on n and
// the seed alone, so that a replay from any n gives the same records. How many
// come per second is the business of who calls it.
type Generator struct {
	stamper
	plan   *topology.Source
	seed   uint64
	count  int64
	pcg    *rand.PCG
	rand   *rand.Rand
	origin record.Origin
}

// NewGenerator makes the generator of a source.
func NewGenerator(plan *topology.Source, o Options) *Generator {
	pcg := rand.NewPCG(0, 0)
	return &Generator{
		stamper: newStamper(plan, o),
		plan:    plan,
		seed:    uint64(plan.Spec.Generate.Seed),
		count:   plan.Spec.Generate.Count,
		pcg:     pcg,
		rand:    rand.New(pcg),
	}
}

// Ended reports whether there is no record n.
func (g *Generator) Ended(n int64) bool { return g.count >= 0 && n >= g.count }

// Generate fills row with record n, as Decode does. Its offset is n and its
// record time the wall time.
func (g *Generator) Generate(n int64, row *record.Row) (ok bool, err error) {
	now := record.TimestampNanos(g.env.Now).Millis()
	g.origin = record.Origin{Topic: g.plan.Spec.Name, Offset: record.Offset(n), Time: now}
	row.Key, row.KeyBytes, row.Group = record.Null, nil, 0
	row.Op, row.Window, row.Origin, row.Time = record.OpInsert, record.Window{}, &g.origin, now
	g.env.Begin(row)
	others := g.env.Rand
	g.pcg.Seed(g.seed, scramble(uint64(n)))
	g.env.Rand = g.rand
	bad := g.fill(row)
	g.env.Rand = others
	if bad == nil {
		bad = g.stamp(row, now)
	}
	if bad != nil {
		return false, g.failed(row, bad)
	}
	return true, nil
}

func (g *Generator) fill(row *record.Row) *record.Error {
	for i := range g.plan.Assign {
		a := &g.plan.Assign[i]
		row.Slots[a.Slot] = a.Program.Eval(g.env)
	}
	if g.plan.GenerateKey != nil {
		row.Key = g.plan.GenerateKey.Eval(g.env)
	}
	if err := g.env.Err(); err != nil {
		return &record.Error{Code: err.Code, Message: err.Message}
	}
	return nil
}

// scramble spreads consecutive numbers over all bits (the finalizer of
// splitmix64), because seeds that differ in few bits give similar numbers.
func scramble(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}
