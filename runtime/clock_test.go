package runtime

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"kstream/codec"
	"kstream/expr"
	"kstream/operator"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
	"kstream/window"
)

// clockTask is a task with a window of ten seconds that the clock closes; results
// go to out, with the time at which they were given.
func clockTask(t *testing.T, j *Job, db *state.DB, out func(record.Window, time.Time)) *task {
	n := &topology.Node{
		UID: "s/aggregate", Kind: topology.NodeWindow, Window: &topology.Window{Size: 10_000, Slide: 10_000, Clock: true},
		Aggregate: &topology.Aggregate{Emit: "append", Calls: []expr.AggregateCall{{Func: "count"}}},
		Next:      []*topology.Node{{UID: "sink:out", Kind: topology.NodeSink, Sink: &topology.Sink{}}},
	}
	x := &task{marks: window.NewPartitions(1)}
	x.life, x.chain = j.life, &topology.Chain{Slots: 1, Roots: []*topology.Node{n}, Input: &topology.Exchange{}}
	x.inbox = newInbox(1)
	x.env.Arena = &x.arena
	x.out.gate = j.life.gate
	x.wm.Store(int64(record.MinTimestamp))
	op, err := operator.Build(x.chain, operator.Env{
		Expr: &x.env, MaxParallelism: 4,
		Table: func(string) (*state.Table, error) { return db.Table(state.TableOptions{Store: 1, Last: 3}) },
		Sink: func(*topology.Node) (func(*record.Row) error, error) {
			return func(row *record.Row) error { out(row.Window, time.Now()); return nil }, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	x.op, x.row.Slots = op, op.Slots
	return x
}

// TestTheClockClosesWindowsWhenNothingComes: a row arrives, then nothing; its
// window gives its result at its end. What fell due while the job was down is
// given as soon as the next life runs.
func TestTheClockClosesWindowsWhenNothingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := state.Open(state.Options{Backend: state.BackendMemory, Memory: 16 << 20})
		if err != nil {
			t.Fatal(err)
		}
		var ends []record.Window
		var at []time.Time
		out := func(w record.Window, when time.Time) { ends, at = append(ends, w), append(at, when) }
		begin := time.Now().Truncate(10 * time.Second).Add(10 * time.Second)
		end := func(w record.Window) time.Time { return time.UnixMilli(int64(w.End)) }

		j := testJob()
		x := clockTask(t, j, db, out)
		stop := runClockTask(t, j, x)
		time.Sleep(time.Until(begin.Add(3 * time.Second)))
		sendClockRow(t, x)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(ends) != 1 || !at[0].Equal(end(ends[0])) || !at[0].Equal(begin.Add(10*time.Second)) {
			t.Fatalf("results %v at %v, want one at %v", ends, at, begin.Add(10*time.Second))
		}
		sendClockRow(t, x)
		synctest.Wait()
		stop()

		// The job is down when the window ends.
		if err := db.Apply(state.Meta{Epoch: 1, Owner: "1-a", Positions: make([]record.Offset, 4)}, x.op.Freeze(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		j = testJob()
		y := clockTask(t, j, db, out)
		stop = runClockTask(t, j, y)
		synctest.Wait()
		if len(ends) != 2 || !at[1].Equal(time.Now()) || end(ends[1]).After(begin.Add(2*time.Minute)) {
			t.Fatalf("results %v at %v, want the overdue one at %v", ends, at, time.Now())
		}
		stop()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func sendClockRow(t *testing.T, x *task) {
	b := newRowsPool(0).get(0)
	key, err := codec.AppendKey(nil, record.String("k"))
	if err != nil {
		t.Fatal(err)
	}
	b.heads = append(b.heads, head{key: key, group: record.KeyGroupOf(key, 4), time: 5})
	if _, err := x.inbox.put(t.Context(), 0, message{kind: messageRows, rows: b}); err != nil {
		t.Fatal(err)
	}
}

// runClockTask runs the task until the function it returns is called.
func runClockTask(t *testing.T, j *Job, x *task) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	j.life.ctx = ctx
	ended := make(chan error, 1)
	go func() { ended <- x.run() }()
	return func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}
