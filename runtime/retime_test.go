package runtime

import (
	"context"
	"testing"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/topology"
)

// marks are the marks that wait in an inbox, in their order; -1 is idle.
func marksIn(b *inbox) (all []record.Timestamp) {
	for {
		_, m, ok := b.take()
		switch {
		case !ok:
			return all
		case m.kind == messageIdle:
			all = append(all, -1)
		case m.kind == messageWatermark:
			all = append(all, m.watermark)
		}
	}
}

func wantMarks(t *testing.T, b *inbox, want ...record.Timestamp) {
	t.Helper()
	got := marksIn(b)
	if len(got) != len(want) {
		t.Fatalf("marks %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("marks %v, want %v", got, want)
		}
	}
}

func retimedSender(restored record.Timestamp) (*sender, *inbox) {
	to := newInbox(1)
	spec := &topology.Retimed{UID: "s/timestamps", Watermark: topology.WatermarkSpec{Kind: "bounded", Bound: 10 * time.Millisecond, Idle: time.Second}}
	return &sender{ctx: context.Background(), to: []*inbox{to}, pending: make([]*rows, 1), times: newRetimed(spec, 0, 0, restored)}, to
}

// TestRetimedFollowsItsRows: receivers get the watermark of the rows, not that
// of the chain, and the final one.
func TestRetimedFollowsItsRows(t *testing.T) {
	s, to := retimedSender(record.MinTimestamp)
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(s.retime(1))
	wantMarks(t, to) // nothing was seen
	do(s.observe(100))
	do(s.observe(50))
	do(s.sendMark(message{kind: messageWatermark, watermark: 5000}))
	do(s.sendMark(message{kind: messageIdle}))
	wantMarks(t, to)
	do(s.retime(2))
	do(s.retime(3))
	wantMarks(t, to, 89)
	do(s.retime(1002)) // a second without rows
	do(s.retime(1003))
	wantMarks(t, to, -1)
	do(s.observe(120))
	wantMarks(t, to, 89) // before the row comes: idleness is over
	do(s.retime(1004))
	wantMarks(t, to, 109)
	do(s.sendMark(message{kind: messageWatermark, watermark: record.MaxTimestamp}))
	wantMarks(t, to, record.MaxTimestamp)
	if !s.times.ended {
		t.Fatal("the end was not noted")
	}
}

// TestRetimedGoesOnWhereItWas: a restart does not begin anew, however many
// subtasks there are then.
func TestRetimedGoesOnWhereItWas(t *testing.T) {
	l := &life{job: &Job{}, restored: &checkpoint.Record{Chains: []checkpoint.ChainWatermark{
		{Chain: "s/1", Watermark: 7}, {Chain: "s/timestamps#0", Watermark: 40}, {Chain: "s/timestamps#1", Watermark: 30}, {Chain: "s/timestamps2#0", Watermark: 1},
	}}}
	end := &topology.ExchangeEnd{Exchange: &topology.Exchange{To: &topology.Chain{}}, Times: &topology.Retimed{UID: "s/timestamps"}}
	for _, c := range []struct {
		subtask, subtasks int
		want              record.Timestamp
	}{{0, 2, 40}, {1, 2, 30}, {0, 1, 30}, {2, 3, 30}} {
		if got := l.restoredTimes(end, c.subtask, c.subtasks); got != c.want {
			t.Errorf("subtask %d of %d: %d, want %d", c.subtask, c.subtasks, got, c.want)
		}
	}
	s, to := retimedSender(40)
	if err := s.observe(45); err != nil { // a watermark of 34: behind what was said
		t.Fatal(err)
	}
	if err := s.retime(1); err != nil {
		t.Fatal(err)
	}
	wantMarks(t, to)
	if got := (&taskCore{senders: []*sender{s}}).ownTimes(); len(got) != 1 || got[0] != (checkpoint.ChainWatermark{Chain: "s/timestamps#0", Watermark: 40}) {
		t.Errorf("kept %v", got)
	}
}
