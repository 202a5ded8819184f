package runtime

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// TestGroupRangesAreAPartition: every key group has one owner, the ranges are
// contiguous and differ by at most one group.
func TestGroupRangesAreAPartition(t *testing.T) {
	for groups := 1; groups <= 70; groups++ {
		for subtasks := 1; subtasks <= groups; subtasks++ {
			r := groupRanges{groups: groups, subtasks: subtasks}
			next, least, most := 0, groups, 0
			for i := range subtasks {
				first, last, ok := r.of(i)
				if !ok || int(first) != next {
					t.Fatalf("%d groups, %d subtasks: subtask %d has %d-%d, %d is next", groups, subtasks, i, first, last, next)
				}
				for g := first; g <= last; g++ {
					if r.owner(g) != i {
						t.Fatalf("%d groups, %d subtasks: group %d belongs to %d, routed to %d", groups, subtasks, g, i, r.owner(g))
					}
				}
				size := int(last-first) + 1
				least, most, next = min(least, size), max(most, size), int(last)+1
			}
			if next != groups || most-least > 1 {
				t.Fatalf("%d groups, %d subtasks: end at %d, sizes %d to %d", groups, subtasks, next, least, most)
			}
		}
	}
}

// TestBarrierOvertakesNothingAndIsNotStopped: messages of one input come in
// order, and a barrier is taken although the channel is full of data (A1, A4).
func TestBarrierOvertakesNothingAndIsNotStopped(t *testing.T) {
	b := newInbox(1)
	for i := range inputCapacity {
		if _, err := b.put(t.Context(), 0, message{kind: messageRows, epoch: 0, watermark: record.Timestamp(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.put(t.Context(), 0, message{kind: messageBarrier, epoch: 7}); err != nil {
		t.Fatal(err)
	}
	for i := range inputCapacity {
		if _, m, ok := b.take(); !ok || m.kind != messageRows || m.watermark != record.Timestamp(i) {
			t.Fatalf("message %d: %v %v", i, m, ok)
		}
	}
	if _, m, ok := b.take(); !ok || m.kind != messageBarrier || m.epoch != 7 {
		t.Fatalf("no barrier behind the rows: %v %v", m, ok)
	}
}

// TestFullChannelStopsTheSender: data waits for room, and a cancelled life ends
// the wait.
func TestFullChannelStopsTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newInbox(1)
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		sent, ended := 0, error(nil)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for ended == nil {
				if _, ended = b.put(ctx, 0, message{kind: messageRows}); ended == nil {
					sent++
				}
			}
		}()
		synctest.Wait()
		if sent != inputCapacity {
			t.Fatalf("%d messages fit, want %d", sent, inputCapacity)
		}
		b.take()
		synctest.Wait()
		if sent != inputCapacity+1 {
			t.Fatalf("%d messages after room was made", sent)
		}
		cancel(gone)
		<-done
		if !errors.Is(ended, gone) {
			t.Fatalf("the wait ended with %v", ended)
		}
	})
}

// TestBlockedInputIsNotRead: behind its barrier an input waits for the others (A6).
func TestBlockedInputIsNotRead(t *testing.T) {
	b := newInbox(2)
	put := func(from int, w record.Timestamp) {
		if _, err := b.put(t.Context(), from, message{kind: messageRows, watermark: w}); err != nil {
			t.Fatal(err)
		}
	}
	b.block(0)
	put(0, 1)
	put(1, 2)
	if from, m, ok := b.take(); !ok || from != 1 || m.watermark != 2 {
		t.Fatalf("took %d %v %v", from, m, ok)
	}
	if _, _, ok := b.take(); ok {
		t.Fatal("took from a blocked input")
	}
	b.unblock()
	if from, m, ok := b.take(); !ok || from != 0 || m.watermark != 1 {
		t.Fatalf("took %d %v %v", from, m, ok)
	}
}

// newTestSender is a sender of two columns to n receivers.
func newTestSender(t testing.TB, kind topology.ExchangeKind, n int) (*sender, []*inbox) {
	to := make([]*inbox, n)
	for i := range to {
		to[i] = newInbox(1)
	}
	end := &topology.ExchangeEnd{Exchange: &topology.Exchange{Kind: kind}, Columns: []int{2, 0}}
	return &sender{ctx: t.Context(), end: end, columns: end.Columns, to: to,
		ranges: groupRanges{groups: 8, subtasks: n}, pending: make([]*rows, n), pool: newRowsPool(16), blocked: &blockedTime{}}, to
}

// TestRowsAreRoutedAndCopied: a row goes to the owner of its key group, only the
// asked for columns go with it, and nothing of the sender's memory is shared.
func TestRowsAreRoutedAndCopied(t *testing.T) {
	s, to := newTestSender(t, topology.ExchangeHash, 4)
	text := []byte("before")
	row := record.Row{Slots: []record.Value{record.StringBytes(text), record.Int(1), record.Int(2)}, Time: 5, Op: record.OpUpdate}
	for g := range 8 {
		row.Group, row.KeyBytes = record.KeyGroup(g), []byte{byte(g)}
		if err := s.send(&row); err != nil {
			t.Fatal(err)
		}
	}
	copy(text, "after!")
	if err := s.control(message{kind: messageBarrier, epoch: 3}); err != nil {
		t.Fatal(err)
	}
	for i, b := range to {
		_, m, ok := b.take()
		if !ok || m.kind != messageRows || len(m.rows.heads) != 2 {
			t.Fatalf("receiver %d got %v", i, m)
		}
		for j, h := range m.rows.heads {
			want := byte(2*i + j)
			v := m.rows.values[2*j : 2*j+2]
			if h.group != record.KeyGroup(want) || h.key[0] != want || h.time != 5 || h.op != record.OpUpdate ||
				v[0].Int() != 2 || v[1].Text() != "before" {
				t.Fatalf("receiver %d row %d: %+v %v", i, j, h, v)
			}
		}
		if _, m, ok = b.take(); !ok || m.kind != messageBarrier {
			t.Fatalf("receiver %d has no barrier behind its rows", i)
		}
	}
}

// TestOriginalsAreCarried: the record a row was read from is copied with it where
// a dead letter may need it, in steady state without an allocation.
func TestOriginalsAreCarried(t *testing.T) {
	s, to := newTestSender(t, topology.ExchangeForward, 1)
	s.original = true
	origins := []*record.Origin{
		{Topic: "in", Key: []byte("k"), Value: []byte("v"), Headers: []record.Header{{Key: "a", Value: []byte("1")}, {Key: "b"}}},
		nil,
		{Topic: "in", Value: []byte{}, Headers: []record.Header{{Key: "c", Value: []byte("2")}}},
	}
	row := record.Row{Slots: make([]record.Value, 3)}
	for _, o := range origins {
		row.Origin = o
		if err := s.send(&row); err != nil {
			t.Fatal(err)
		}
	}
	copy(origins[0].Value, "x")
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	_, m, _ := to[0].take()
	var got []string
	for i := range m.rows.heads {
		var o record.Origin
		m.rows.restore(i, &o)
		got = append(got, fmt.Sprintf("%q %q %v %q", o.Key, o.Value, o.Value == nil, o.Headers))
	}
	want := `["k" "v" false [{"a" "1"} {"b" ""}] "" "" true [] "" "" false [{"c" "2"}]]`
	if fmt.Sprint(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	row.Origin = origins[0]
	pass := exchangeRow(t, s, to, &row)
	for range 20 {
		pass()
	}
	if n := testing.AllocsPerRun(100, pass); n > 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

// TestLargeOriginalsAreSentEarly: a batch does not gather hundreds of large
// records.
func TestLargeOriginalsAreSentEarly(t *testing.T) {
	s, to := newTestSender(t, topology.ExchangeForward, 1)
	s.original = true
	row := record.Row{Slots: make([]record.Value, 3), Origin: &record.Origin{Topic: "in", Value: make([]byte, keptMax/4)}}
	for range 5 {
		if err := s.send(&row); err != nil {
			t.Fatal(err)
		}
	}
	if _, m, ok := to[0].take(); !ok || len(m.rows.heads) != 4 {
		t.Errorf("got %v", m)
	}
}

// TestKindsOfExchange: who gets a row when no key says it.
func TestKindsOfExchange(t *testing.T) {
	for kind, want := range map[topology.ExchangeKind]string{
		topology.ExchangeForward: "[0 6 0]", topology.ExchangeRebalance: "[2 2 2]", topology.ExchangeBroadcast: "[6 6 6]",
	} {
		s, to := newTestSender(t, kind, 3)
		s.subtask = 1
		row := record.Row{Slots: make([]record.Value, 3)}
		for range 6 {
			if err := s.send(&row); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.flush(); err != nil {
			t.Fatal(err)
		}
		got := make([]int, 3)
		for i, b := range to {
			if _, m, ok := b.take(); ok {
				got[i] = len(m.rows.heads)
			}
		}
		if fmt.Sprint(got) != want {
			t.Errorf("%s: receivers got %v, want %s", kind, got, want)
		}
	}
}

// TestExchangeAllocatesNothing: a row through an exchange, once the pool is warm.
func TestExchangeAllocatesNothing(t *testing.T) {
	s, to := newTestSender(t, topology.ExchangeHash, 2)
	pass := exchangeBatch(t, s, to)
	pass()
	pass()
	if n := testing.AllocsPerRun(100, pass); n > 0 {
		t.Errorf("%v allocations for a batch", n)
	}
}

func exchangeBatch(t testing.TB, s *sender, to []*inbox) func() {
	key := []byte("auction-1007")
	row := record.Row{Slots: []record.Value{record.String("https://example.com/item"), record.Null, record.Int(7)}, KeyBytes: key}
	return exchangeRow(t, s, to, &row)
}

// exchangeRow sends a row so often that batches are full, and takes them.
func exchangeRow(t testing.TB, s *sender, to []*inbox, row *record.Row) func() {
	return func() {
		for i := range 2 * rowsMax {
			row.Group = record.KeyGroup(i % 8)
			if err := s.send(row); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range to {
			for {
				_, m, ok := b.take()
				if !ok {
					break
				}
				m.rows.release()
			}
		}
	}
}

// BenchmarkExchange is one row through one hop: scatter, channel, gather.
func BenchmarkExchange(b *testing.B) {
	s, to := newTestSender(b, topology.ExchangeHash, 2)
	pass := exchangeBatch(b, s, to)
	b.ReportAllocs()
	for b.Loop() {
		pass()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2*rowsMax), "ns/row")
}

// TestKeyThatIsNone: a key that has no encoding is the record's error, not the
// task's, which would be restarted for ever.
func TestKeyThatIsNone(t *testing.T) {
	s, _ := newTestSender(t, topology.ExchangeForward, 1)
	s.sendKey = true
	row := record.Row{Slots: make([]record.Value, 3), Key: record.Float(1.5)}
	var bad *record.Error
	if err := s.send(&row); !errors.As(err, &bad) || bad.Code != "eval-failed" {
		t.Errorf("got %v", err)
	}
}

// TestPartitionKeepsKey: rows that are partitioned by an expression have their
// $key behind it, also those whose key nothing has encoded yet.
func TestPartitionKeepsKey(t *testing.T) {
	s, to := newTestSender(t, topology.ExchangeHash, 2)
	env := &expr.Env{}
	s.env = env
	s.by = &expr.Program{Eval: func(e *expr.Env) record.Value { return e.Row.Slots[0] }}
	s.sendKey = true
	row := record.Row{Slots: []record.Value{record.Int(3), record.Null, record.Null}, Key: record.String("k")}
	env.Begin(&row)
	for range 2 { // the second has an encoded key
		if err := s.send(&row); err != nil {
			t.Fatal(err)
		}
		row.KeyBytes, _ = codec.AppendKey(nil, row.Key)
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	by, err := codec.AppendKey(nil, row.Slots[0])
	if err != nil {
		t.Fatal(err)
	}
	_, m, ok := to[s.ranges.owner(record.KeyGroupOf(by, 8))].take()
	if !ok || len(m.rows.heads) != 2 {
		t.Fatalf("the owner of the expression got %v", m)
	}
	for i, h := range m.rows.heads {
		if string(h.key) != string(row.KeyBytes) {
			t.Errorf("row %d: key %q, want %q", i, h.key, row.KeyBytes)
		}
	}
}
