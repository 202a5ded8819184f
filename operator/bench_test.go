package operator

import (
	"fmt"
	"testing"
	"time"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// feed is rows with keys that were encoded before, as behind an exchange.
type feed struct {
	rig  *rig
	c    *Chain
	row  record.Row
	keys [][]byte
	gs   []record.KeyGroup
	sent int
}

func newFeed(tb testing.TB, keys int, nodes ...*topology.Node) *feed {
	tb.Helper()
	r := newRig(tb)
	r.onRow = func(*record.Row) error { return nil }
	r.memory = 1 << 30
	f := &feed{rig: r, c: r.build(8, nodes...)}
	f.row.Slots = f.c.Slots
	for i := range keys {
		b, err := codec.AppendKey(nil, num(int64(i)))
		if err != nil {
			tb.Fatal(err)
		}
		f.keys, f.gs = append(f.keys, b), append(f.gs, record.KeyGroupOf(b, groups))
	}
	return f
}

// next processes one row of the i-th key, scattered.
func (f *feed) next(tb testing.TB, i int, at record.Timestamp) {
	k := int(uint64(i) * 2_654_435_761 % uint64(len(f.keys)))
	f.rig.arena.Reset()
	f.row.KeyBytes, f.row.Group, f.row.Time = f.keys[k], f.gs[k], at
	f.row.Slots[0], f.row.Slots[1] = num(int64(i)), record.Bool(true)
	f.rig.env.Begin(&f.row)
	if err := f.c.Process(&f.row); err != nil {
		tb.Fatal(err)
	}
	f.sent++
}

func filterSetKey() *topology.Node {
	double := compute(record.TypeInt, func(e *expr.Env) record.Value { return num(e.Row.Slots[0].Int() * 2) })
	return then(&topology.Node{UID: "s/filter", Kind: topology.NodeFilter, Filter: slot(1, record.TypeBool)},
		then(&topology.Node{UID: "s/set", Kind: topology.NodeAssign, Assign: []topology.Assign{{Slot: 2, Program: double}}},
			then(&topology.Node{UID: "s/key_by", Kind: topology.NodeKey, Key: &topology.Key{
				Names: []string{"a", "b"}, Parts: []*expr.Program{slot(0, record.TypeInt), slot(2, record.TypeInt)},
			}}, exchangeNode(topology.ExchangeHash))))
}

func windowCount(size, slide int64) *topology.Node {
	return then(aggregateNode(4, "append", &topology.Window{Size: size, Slide: slide}, aggCall("count")), sinkNode())
}

func sessionCount(emit string) *topology.Node {
	return then(aggregateNode(4, emit, &topology.Window{Session: &topology.Session{Gap: 60_000}, AllowedLateness: 1_000}, aggCall("count")), sinkNode())
}

func berlin(tb testing.TB) *time.Location {
	tb.Helper()
	l, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestNoRowAllocates(t *testing.T) {
	for _, c := range []struct {
		name string
		node *topology.Node
	}{
		{"filter, set, composite key", filterSetKey()},
		{"tumbling count", windowCount(60_000, 60_000)},
		{"sliding count", windowCount(60_000, 10_000)},
		{"sum, min, avg, last in a window", then(aggregateNode(4, "append", &topology.Window{Size: 60_000, Slide: 60_000},
			aggCall("sum", slot(0, record.TypeInt)), aggCall("min", slot(0, record.TypeInt)),
			aggCall("avg", slot(0, record.TypeInt)), aggCall("last", slot(0, record.TypeInt))), sinkNode())},
		{"daily count in a time zone", then(aggregateNode(4, "append", &topology.Window{Size: 86_400_000, Slide: 86_400_000, Zone: berlin(t)}, aggCall("count")), sinkNode())},
		{"sessions", sessionCount("append")},
		{"sessions, corrected", sessionCount("update")},
		{"count window", then(aggregateNode(4, "append", &topology.Window{Count: true, Size: 10, Slide: 10}, aggCall("sum", slot(0, record.TypeInt))), sinkNode())},
		{"count window that slides", then(aggregateNode(4, "append", &topology.Window{Count: true, Size: 10, Slide: 5}, aggCall("count")), sinkNode())},
		{"running sum", then(aggregateNode(4, "update", nil, aggCall("sum", slot(0, record.TypeInt))), sinkNode())},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFeed(t, 100, c.node)
			i := 0
			for range 1_000 {
				i++
				f.next(t, i, record.Timestamp(i))
			}
			if n := testing.AllocsPerRun(2_000, func() { i++; f.next(t, i, record.Timestamp(i)) }); n != 0 {
				t.Errorf("%v allocations per row", n)
			}
		})
	}
}

func TestFiringDoesNotAllocatePerKey(t *testing.T) {
	const keys = 5_000
	f := newFeed(t, keys, windowCount(1_000, 1_000))
	at := record.Timestamp(0)
	round := func() {
		for i := range keys {
			f.next(t, i, at)
		}
		at += 1_000
		if err := f.c.Watermark(at - 1); err != nil {
			t.Fatal(err)
		}
	}
	f.c.Freeze(1)
	round()
	if n := testing.AllocsPerRun(3, round); n > keys/100 {
		t.Errorf("%v allocations for %d keys", n, keys)
	}
}

func BenchmarkChain(b *testing.B) {
	f := newFeed(b, 1_000, filterSetKey())
	b.ReportAllocs()
	for i := range b.N {
		f.next(b, i, 0)
	}
}

func BenchmarkPane(b *testing.B) {
	for _, keys := range []int{1_000, 100_000, 1_000_000} {
		for _, slide := range []int64{60_000, 10_000} {
			b.Run(fmt.Sprintf("keys=%d/slide=%d", keys, slide), func(b *testing.B) {
				f := newFeed(b, keys, windowCount(60_000, slide))
				for i := range keys {
					f.next(b, i, 0)
				}
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					f.next(b, i, 0)
				}
			})
		}
	}
}

// BenchmarkSession is a row that makes a session longer.
func BenchmarkSession(b *testing.B) {
	for _, keys := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			f := newFeed(b, keys, sessionCount("append"))
			for i := range keys {
				f.next(b, i, 0)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				f.next(b, i, record.Timestamp(i/keys))
			}
		})
	}
}

// BenchmarkSessionFire is a session from its first row to its result.
func BenchmarkSessionFire(b *testing.B) {
	const keys = 100_000
	f := newFeed(b, keys, sessionCount("append"))
	for n := range b.N {
		at := record.Timestamp(n) * 200_000
		for i := range keys {
			f.next(b, i, at)
		}
		if err := f.c.Watermark(at + 100_000); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*keys), "ns/key")
}

func BenchmarkFire(b *testing.B) {
	const keys = 100_000
	f := newFeed(b, keys, windowCount(1_000, 1_000))
	for n := range b.N {
		b.StopTimer()
		at := record.Timestamp(n) * 1_000
		for i := range keys {
			f.next(b, i, at)
		}
		b.StartTimer()
		if err := f.c.Watermark(at + 999); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*keys), "ns/key")
}

func BenchmarkDistinct(b *testing.B) {
	n := then(aggregateNode(4, "append", &topology.Window{Size: 1 << 40, Slide: 1 << 40},
		aggCall("count_distinct", slot(0, record.TypeInt))), sinkNode())
	f := newFeed(b, 10, n)
	b.ReportAllocs()
	for i := range b.N {
		f.next(b, i%100_000, 0)
	}
}
