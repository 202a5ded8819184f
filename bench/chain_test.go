package main

import (
	"strings"
	"testing"

	"kstream/expr"
	"kstream/operator"
	"kstream/record"
	"kstream/sink"
	"kstream/source"
	"kstream/source/nexmark"
	"kstream/state"
	"kstream/topology"
)

// rig is one task's work on a record without Kafka: the decoder, the chain and
// the encoder of a pipeline.
type rig struct {
	decoder *source.Decoder
	chain   *operator.Chain
	env     expr.Env
	arena   record.Arena
	row     record.Row
	out     int64 // bytes written
	rows    int64
	written func(*record.Message)
}

func newRig(tb testing.TB, yaml string) *rig {
	tb.Helper()
	yaml = strings.NewReplacer("NAME", "bench", "INTERVAL", "1s", "IN", "in", "OUT", "out", "STATE", "s").Replace(yaml)
	spec, diags := topology.Load("bench.yaml", []byte(yaml), topology.Options{})
	for _, d := range diags {
		tb.Fatal(d)
	}
	plan, diags := topology.Compile(spec)
	for _, d := range diags {
		tb.Fatal(d)
	}
	chain := plan.Chains[0]
	r := &rig{}
	r.env.Arena = &r.arena
	r.decoder = source.NewDecoder(chain.Source, source.Options{Expr: &r.env})
	op, err := operator.Build(chain, operator.Env{
		Expr: &r.env, MaxParallelism: plan.MaxParallelism,
		Table: func(string) (*state.Table, error) { return nil, nil },
		Exchange: func(*topology.ExchangeEnd) (func(*record.Row) error, error) {
			return func(*record.Row) error { r.rows++; return nil }, nil
		},
		Sink: func(n *topology.Node) (func(*record.Row) error, error) {
			enc, err := sink.NewEncoder(n, &r.env)
			return func(row *record.Row) error {
				m, err := enc.Encode(row)
				if err != nil {
					return err
				}
				r.out += int64(len(m.Value))
				r.rows++
				if r.written != nil {
					r.written(m)
				}
				return enc.Partition(row, 4)
			}, err
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	r.chain, r.row.Slots = op, op.Slots
	return r
}

func (r *rig) take(tb testing.TB, m *record.Message) {
	r.arena.Reset()
	ok, err := r.decoder.Decode(m, &r.row)
	if err != nil || !ok {
		tb.Fatal(ok, err)
	}
	if err := r.chain.Process(&r.row); err != nil {
		tb.Fatal(err)
	}
}

// inputs are records of both workloads, of which a whole number of rounds of
// the generator's mix.
func inputs(tb testing.TB) (bids, events []record.Message) {
	random := newRandom()
	o := nexmark.Defaults()
	o.Escapes = true
	g, err := nexmark.New(o)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 5_000 {
		bids = append(bids, record.Message{Topic: "in", Offset: record.Offset(i), Value: bid(random, i)})
		value, at := g.Append(nil, int64(i))
		events = append(events, record.Message{Topic: "in", Offset: record.Offset(i), Value: value, Time: at})
	}
	return bids, events
}

// pipelines are the measured ones; of the stateful ones the part before the
// exchange.
func pipelines(tb testing.TB) []struct {
	name, yaml string
	in         []record.Message
} {
	bids, events := inputs(tb)
	return []struct {
		name, yaml string
		in         []record.Message
	}{
		{"map", mapYAML, bids},
		{"windowed_count", countYAML, bids},
		{"q0", nexmarkYAML(q0Steps), events},
		{"q1", nexmarkYAML(q1Steps), events},
		{"q2", nexmarkYAML(q2Steps), events},
		{"count_per_auction", nexmarkYAML(perAuctionSteps), events},
	}
}

func TestNoRecordAllocates(t *testing.T) {
	for _, p := range pipelines(t) {
		t.Run(p.name, func(t *testing.T) {
			r := newRig(t, p.yaml)
			i := 0
			next := func() { r.take(t, &p.in[i%len(p.in)]); i++ }
			for range p.in {
				next()
			}
			if n := testing.AllocsPerRun(len(p.in), next); n != 0 {
				t.Errorf("%v allocations per record", n)
			}
		})
	}
}

// BenchmarkChain is a record from its bytes to the bytes of the output.
func BenchmarkChain(b *testing.B) {
	for _, p := range pipelines(b) {
		b.Run(p.name, func(b *testing.B) {
			r := newRig(b, p.yaml)
			b.ReportAllocs()
			m := newMeter()
			for i := 0; b.Loop(); i++ {
				r.take(b, &p.in[i%len(p.in)])
				m.tick(i)
			}
			m.report(b)
			if r.rows == 0 {
				b.Fatal("nothing came out")
			}
		})
	}
}
