package operator

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// expiringNode is an aggregate whose state ends.
func expiringNode(ttl int64, calls ...expr.AggregateCall) *topology.Node {
	n := aggregateNode(modelSlots, "update", nil, calls...)
	n.State = &topology.State{TTL: topology.TTL{Length: ttl}}
	return n
}

func (r *rig) clock(ms int64) { r.env.Now = ms * 1e6 }

// sweepAll goes on with the rounds until one has ended.
func (j *job) sweepAll() {
	j.t.Helper()
	for _, c := range j.chains {
		if err := c.Sweep(1 << 30); err != nil {
			j.t.Fatal(err)
		}
	}
}

// TestExpiry: a group ends exactly when it was not written for so long, and
// what comes then begins anew.
func TestExpiry(t *testing.T) {
	j := &job{rig: newRig(t)}
	j.columns = []int{modelSlots, modelSlots + 1}
	j.node = func() *topology.Node {
		return expiringNode(100, aggCall("count"), aggCall("collect", slot(0, record.TypeInt)))
	}
	j.start(1, record.MinTimestamp)
	for _, s := range []struct {
		now  int64
		want string
	}{
		{1000, "insert a @5 1 [7]"},
		{1099, "update a @5 2 [7,7]"},
		{1198, "update a @5 3 [7,7,7]"}, // renewed by the record before
		{1298, "insert a @5 1 [7]"},
		{1300, "update a @5 2 [7,7]"},
		{1250, "update a @5 3 [7,7,7]"}, // a clock that was set back renews for less
		{1350, "insert a @5 1 [7]"},
	} {
		j.clock(s.now)
		j.row(modelRow{key: "a", at: 5, n: num(7)})
		j.wants(s.want)
	}
	j.restart(1)
	j.clock(1449)
	j.row(modelRow{key: "a", at: 5, n: num(7)})
	j.wants("update a @5 2 [7,7]") // after a restart, too
	j.restart(1)
	j.clock(1549)
	j.row(modelRow{key: "a", at: 5, n: num(7)})
	j.wants("insert a @5 1 [7]")
}

// TestExpiryIsAddedAndTaken: state that was written without a state_ttl stays
// until it is written again, and stays once there is none any more.
func TestExpiryIsAddedAndTaken(t *testing.T) {
	j := &job{rig: newRig(t)}
	j.columns = []int{modelSlots}
	ttl := int64(0)
	j.node = func() *topology.Node { return expiringNode(ttl, aggCall("count")) }
	row := func(now int64, want string) {
		t.Helper()
		j.clock(now)
		j.row(modelRow{key: "a", at: 5})
		j.wants(want)
	}
	j.start(1, record.MinTimestamp)
	row(1000, "insert a @5 1")
	ttl = 100
	j.restart(1)
	row(9000, "update a @5 2")
	row(9100, "insert a @5 1")
	ttl = 0
	j.restart(1)
	row(20_000, "update a @5 2")
}

// TestExpiryLeavesNothing: the sweep finds every group that ended, those that
// were evicted too, with all that belongs to it; the others stay.
func TestExpiryLeavesNothing(t *testing.T) {
	for _, memory := range []int64{1 << 20, 4000} {
		j := &job{rig: newRig(t)}
		j.memory = memory
		j.node = func() *topology.Node { return expiringNode(10_000, modelCalls()...) }
		j.start(2, record.MinTimestamp)
		r := rand.New(rand.NewPCG(3, 4))
		for i := range 600 {
			j.clock(int64(i) * 10)
			row := randomRow(r, 0)
			row.key = fmt.Sprint("k", i%100)
			j.row(row)
			if i%50 == 0 {
				j.restart(0)
			}
		}
		j.restart(0)
		j.taken()
		j.clock(15_500) // the last 50 keys were written at 5,500 and later
		j.sweepAll()
		for i := range 100 {
			j.row(modelRow{key: fmt.Sprint("k", i), at: 5})
			op := "update"
			if i <= 50 {
				op = "insert"
			}
			if got := j.taken()[0][:6]; got != op {
				t.Fatalf("k%d: %s, want %s", i, got, op)
			}
		}
		j.restart(0)
		j.clock(40_000)
		j.sweepAll()
		j.nothingLeft()
	}
}

// TestSweepIsPaced: rounds begin at most so often, and a call looks at a limited
// number of entries.
func TestSweepIsPaced(t *testing.T) {
	j := &job{rig: newRig(t)}
	j.node = func() *topology.Node { return expiringNode(80_000, aggCall("count")) }
	j.start(1, record.MinTimestamp)
	j.clock(0)
	for i := range 10 {
		j.row(modelRow{key: fmt.Sprint("k", i), at: 5})
	}
	j.restart(0)
	left := func(now int64, limit, want int) {
		t.Helper()
		j.clock(now)
		if err := j.chains[0].Sweep(limit); err != nil {
			t.Fatal(err)
		}
		j.restart(0)
		n := 0
		err := j.db.Iterate(nil, func([]byte, []byte) error { n++; return nil })
		if err != nil || n != want {
			t.Fatalf("%d entries at %d, want %d: %v", n, now, want, err)
		}
	}
	left(75_000, 100, 10) // a round in which nothing has ended
	left(84_000, 4, 10)   // the next one is not due before 85,000
	left(85_000, 4, 6)
	left(85_001, 4, 2)
	left(85_002, 4, 0)
}

// TestExpiryEqualsPlainLoops compares with a plain model under a random clock,
// with restarts, eviction and sweeps at any moment.
func TestExpiryEqualsPlainLoops(t *testing.T) {
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 5))
		ttl := 1 + r.Int64N(3000)
		j := &job{rig: newRig(t)}
		j.memory = []int64{1 << 20, 3000}[seed%2]
		j.node = func() *topology.Node { return expiringNode(ttl, modelCalls()...) }
		for i := range modelCalls() {
			j.columns = append(j.columns, modelSlots+i)
		}
		j.start(1+r.IntN(3), record.MinTimestamp)
		rows, newest, ends := map[string][]modelRow{}, map[string]record.Timestamp{}, map[string]int64{}
		now := int64(1_000_000)
		for range 200 {
			now += r.Int64N(ttl/2*(1+r.Int64N(3))/3 + 2)
			j.clock(now)
			row := randomRow(r, 0)
			k := row.key
			op := "update"
			if len(rows[k]) == 0 || ends[k] <= now {
				op, newest[k], rows[k] = "insert", row.at, nil
			}
			rows[k], newest[k], ends[k] = append(rows[k], row), max(newest[k], row.at), now+ttl
			j.row(row)
			want := fmt.Sprintf("%s %s @%d%s", op, k, newest[k], expected(rows[k]))
			sameLines(t, fmt.Sprintf("seed %d ttl %d: row %+v at %d", seed, ttl, row, now), j.taken(), []string{want})
			switch r.IntN(20) {
			case 0:
				j.restart(1 + r.IntN(4))
			case 1, 2:
				j.restart(0)
			case 3, 4, 5:
				for _, c := range j.chains {
					if err := c.Sweep(1 + r.IntN(40)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		j.restart(1)
		j.clock(now + ttl + 4000)
		j.sweepAll()
		j.nothingLeft()
	}
}

// TestExpiryAllocatesNothing: neither renewing nor beginning anew does.
func TestExpiryAllocatesNothing(t *testing.T) {
	j := &job{rig: newRig(t)}
	j.node = func() *topology.Node {
		return expiringNode(10, aggCall("count"), aggCall("sum", slot(0, record.TypeInt)))
	}
	j.onRow = func(*record.Row) error { return nil }
	j.start(1, record.MinTimestamp)
	c := j.chains[0]
	key, origin := keyOf(t, "a"), &record.Origin{}
	row := record.Row{Slots: c.Slots, KeyBytes: key, Group: record.KeyGroupOf(key, groups), Key: str("a"), Origin: origin}
	now := int64(1000)
	run := func() {
		j.arena.Reset()
		now += 7
		j.clock(now)
		c.Slots[0] = num(1)
		j.env.Begin(&row)
		if err := c.Process(&row); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, run); n != 0 {
		t.Errorf("%v allocations per row", n)
	}
}

func keyOf(t *testing.T, s string) []byte {
	t.Helper()
	b, err := codec.AppendKey(nil, str(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
