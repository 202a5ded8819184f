package runtime

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kstream/checkpoint"
	"kstream/operator"
	"kstream/record"
	"kstream/topology"
	"kstream/window"
)

// testJob is a job of two sources that read the same topic, in one group.
func testJob() *Job {
	spec := &topology.Spec{Name: "x"}
	spec.Checkpoint = topology.CheckpointSpec{Interval: time.Second, Timeout: time.Minute, TransactionTimeout: time.Minute}
	spec.State.Memory = 1 << 30
	spec.Checkpoint.MaxUncommitted = 1 << 28
	plan := &topology.Plan{Name: "x", Spec: spec, MaxParallelism: 4}
	for _, uid := range []string{"a", "b"} {
		plan.Sources = append(plan.Sources, &topology.Source{Spec: &topology.SourceSpec{UID: uid, Name: uid, Topics: []string{"t"}}})
	}
	j := New(Options{Plan: plan, Log: slog.New(slog.DiscardHandler), Reset: []string{"a"}, MaxRecords: 10,
		Jitter: func() float64 { return 0 }})
	j.ctx = context.Background()
	j.renew()
	return j
}

// TestGroupPositions: a request with the same partition twice leaves to the
// broker which one counts, and the next start compares.
func TestGroupPositions(t *testing.T) {
	l := testJob().life
	l.topics = map[string]record.TopicInfo{"t": {Name: "t", ID: record.TopicID{1}, Partitions: 2}}
	at := func(uid string, partition int32, offset record.Offset) checkpoint.SourcePosition {
		return checkpoint.SourcePosition{UID: uid, Topic: "t", TopicID: record.TopicID{1}, Partition: partition, Offset: offset}
	}
	got := l.groupPositions([]checkpoint.SourcePosition{
		at("a", 0, 7), at("a", 1, 3), at("b", 0, 5), at("b", 1, 9), {UID: "g", Topic: "generated", Offset: 4},
	})
	want := []checkpoint.SourcePosition{at("b", 0, 5), at("a", 1, 3)}
	if len(got) != 1 || !slices.Equal(got["kstream-x"], want) {
		t.Fatalf("got %v, want %v of kstream-x", got, want)
	}
}

// TestResetOnce: an epoch that was committed although nobody was told has what
// the reset source read anew; a second reset would count it twice.
func TestResetOnce(t *testing.T) {
	j := testJob()
	j.resetUntil(&checkpoint.Record{Epoch: 7})
	j.resetUntil(&checkpoint.Record{Epoch: 7}) // failed before anything was committed
	if !j.isReset("a") {
		t.Fatal("the reset is forgotten although nothing was committed")
	}
	j.resetUntil(&checkpoint.Record{Epoch: 8})
	if j.isReset("a") {
		t.Fatal("the source is reset again behind a committed epoch")
	}
}

// TestFailureWithFullEvents: who tells of a failure does not wait for the
// coordinator, which may wait for it.
func TestFailureWithFullEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := testJob()
		for len(j.events) < cap(j.events) {
			j.event(checkpoint.Event{Kind: checkpoint.EventTimer}, nil)
		}
		told := make(chan struct{})
		go func() {
			j.life.failed(&checkpoint.Failure{Text: "x"})
			close(told)
		}()
		synctest.Wait()
		select {
		case <-told:
		default:
			t.Error("the failing task waits for the coordinator")
		}
		close(j.over)
	})
}

// TestAdmittedAgain: what a failed life took in and did not commit is left to the
// next one, which reads it again.
func TestAdmittedAgain(t *testing.T) {
	j := testJob()
	if n := j.admit(8); n != 8 {
		t.Fatalf("admitted %d of 8", n)
	}
	source := &taskCore{chain: &topology.Chain{Source: &topology.Source{}}}
	j.taken(3)
	j.life.collected = map[*taskCore]*frozen{source: {taken: 3}, {chain: &topology.Chain{}}: {taken: 99}, nil: {}}
	j.life.countEpoch(5)
	j.taken(2) // of epoch 6
	for _, c := range []struct {
		what     string
		restored *checkpoint.Record
		want     int
	}{
		{"epoch 5 did not commit", nil, 10},
		{"an older epoch is the newest", &checkpoint.Record{Epoch: 4}, 10},
		{"epoch 5 has committed, although nobody was told", &checkpoint.Record{Epoch: 5}, 7},
	} {
		if err := j.closeLife(); err != nil {
			t.Fatal(err)
		}
		j.renew()
		j.life.restored = c.restored
		j.life.resumeCount()
		if n := j.admit(100); n != c.want {
			t.Errorf("%s: the new life is admitted to %d records, %d are left of 10", c.what, n, c.want)
		}
	}
}

// TestOutage: a cluster that cannot be reached is a wrong address at the first
// start, and an outage afterwards.
func TestOutage(t *testing.T) {
	j := testJob()
	gone := &record.KafkaError{Class: record.ClassRefuse, Exit: 5, Code: "UNREACHABLE", Op: "Connect"}
	if f := j.failure(gone); f.Class != checkpoint.ClassRefuse || f.Exit != 5 {
		t.Errorf("at the first start: %s, exit %d", f.Class, f.Exit)
	}
	j.mine = &checkpoint.Claim{}
	if f := j.failure(gone); f.Class != checkpoint.ClassRestart {
		t.Errorf("of a job that ran: %s", f.Class)
	}
}

// TestDeadline: 7/8 of the transaction timeout count from the first write.
func TestDeadline(t *testing.T) {
	l := testJob().life
	l.barrierTime = time.Now()
	l.firstWriteAt = l.barrierTime.Add(-40 * time.Second)
	if got, want := l.deadline(), l.firstWriteAt.Add(52500*time.Millisecond); !got.Equal(want) {
		t.Errorf("deadline %s after the barrier, want %s", got.Sub(l.barrierTime), want.Sub(l.barrierTime))
	}
}

// TestLineAcrossLives: a restart between the two halves of a line does not make
// two lines of it.
func TestLineAcrossLives(t *testing.T) {
	r := newStdinReader(nil)
	first := r.splitter(0)
	if err := first.Feed([]byte("one\ntw")); err != nil {
		t.Fatal(err)
	}
	if line, _, _ := first.Next(); string(line) != "one" {
		t.Fatalf("got %q", line)
	}
	next := r.splitter(4)
	if err := next.Feed([]byte("o\n")); err != nil {
		t.Fatal(err)
	}
	if line, at, _ := next.Next(); string(line) != "two" || at != 4 {
		t.Fatalf("got %q at %d", line, at)
	}
}

// TestInboxStaysSmall: under back-pressure a queue is never empty.
func TestInboxStaysSmall(t *testing.T) {
	b := newInbox(1)
	ctx := context.Background()
	put := func() {
		if _, err := b.put(ctx, 0, message{kind: messageRows}); err != nil {
			t.Fatal(err)
		}
	}
	put()
	for range 10_000 {
		put()
		if _, _, ok := b.take(); !ok {
			t.Fatal("nothing to take")
		}
	}
	if n := cap(b.inputs[0].queue); n > 64 {
		t.Errorf("room for %d messages, 2 were there at most", n)
	}
}

// TestIdleness: an input that was idle is waited for again when it says so, at
// all receivers and before the barrier; rows reach only some of them.
func TestIdleness(t *testing.T) {
	j := testJob()
	out := newInbox(1)
	up := &task{marks: window.NewPartitions(2), idle: true}
	up.life, up.op, up.chain = j.life, &operator.Chain{}, &topology.Chain{Input: &topology.Exchange{}}
	up.senders = []*sender{{ctx: j.ctx, to: []*inbox{out}, pending: make([]*rows, 1)}}
	up.wm.Store(100)
	up.marks.SetIdle(0, true)
	up.marks.SetIdle(1, true)
	pool := newRowsPool(1)
	if err := up.handle(0, message{kind: messageRows, rows: pool.get(0)}); err != nil {
		t.Fatal(err)
	}
	if !up.marks.Idle(0) {
		t.Error("rows end the idleness of an input, at one receiver of several")
	}
	if err := up.handle(0, message{kind: messageWatermark, watermark: 40}); err != nil {
		t.Fatal(err)
	}
	if up.idle || up.marks.Idle(0) {
		t.Error("a watermark does not end idleness")
	}
	if _, m, ok := out.take(); !ok || m.kind != messageWatermark || m.watermark != 100 {
		t.Errorf("the next task hears %v, want the watermark again", m)
	}
}

// TestCheckpointTopicGone: the ownership check does not go on for ever when there
// is nothing left to check.
func TestCheckpointTopicGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := testJob()
		j.mine = &checkpoint.Claim{}
		gone := &record.KafkaError{Op: "ListOffsets", Code: "UNKNOWN_TOPIC_OR_PARTITION"}
		if f := j.failure(j.life.claimsGone(gone)); f.Class != checkpoint.ClassRestart {
			t.Errorf("at once: %s", f.Class)
		}
		time.Sleep(missingGrace)
		if f := j.failure(j.life.claimsGone(gone)); f.Class != checkpoint.ClassRefuse || f.Exit != 6 || f.Hint == "" {
			t.Errorf("after a while: %s, exit %d, hint %q", f.Class, f.Exit, f.Hint)
		}
	})
}

// TestAskedBeforeItRuns: figures and status may be asked for at any time, and a
// stop may come before the start.
func TestAskedBeforeItRuns(t *testing.T) {
	j := New(testJob().opts)
	w := httptest.NewRecorder()
	j.MetricsHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Errorf("metrics: %d", w.Code)
	}
	if s := j.Status(); s.State != "starting" {
		t.Errorf("status %q", s.State)
	}
	j.Stop(checkpoint.StopFinish)
}

// TestCalm: a start waits when the claim changes hands too often, longer each
// time; a stop ends the wait, and a life that has claimed does not wait (13).
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopping, stop := context.WithCancel(t.Context())
		j := &Job{log: slog.New(slog.DiscardHandler), stopping: stopping}
		l := &life{job: j}
		for changes, want := range map[int]time.Duration{0: 0, 3: 0, 4: time.Minute, 5: 2 * time.Minute, 9: 8 * time.Minute} {
			began := time.Now()
			if err := l.calm(t.Context(), changes); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != want {
				t.Errorf("%d changes: waited %s, want %s", changes, took, want)
			}
		}
		began := time.Now()
		time.AfterFunc(time.Second, stop)
		if err := l.calm(t.Context(), 9); err != nil || time.Since(began) != time.Second {
			t.Errorf("a stop ended the wait after %s: %v", time.Since(began), err)
		}
		j.mine, j.stopping = &checkpoint.Claim{}, t.Context()
		began = time.Now()
		if err := l.calm(t.Context(), 9); err != nil || time.Since(began) != 0 {
			t.Errorf("the owner waited %s: %v", time.Since(began), err)
		}
	})
}

// TestSwitchIsNotDoneTwice: the record of a restore whose end was never answered
// is found; the restore is not refused because of it, nor done again.
func TestSwitchIsNotDoneTwice(t *testing.T) {
	j := testJob()
	ours, other := checkpoint.Owner{Number: 2}, checkpoint.Owner{Number: 1}
	j.from, j.fromNone, j.switching = &From{}, true, ours.ID()
	j.life.switchedBefore(&checkpoint.Record{Owner: other})
	if j.from == nil || !j.fromNone {
		t.Fatal("the switch did not happen, and is forgotten")
	}
	j.life.switchedBefore(&checkpoint.Record{Owner: ours})
	if j.from != nil || j.fromNone || !j.life.anew {
		t.Fatal("the switch has happened, and is to be done again")
	}
}
