package runtime

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"kstream/record"
)

// kept is a producer that keeps the values it is given.
type kept struct {
	Output
	values []string
}

func (k *kept) Produce(m *record.Message) {
	k.values = append(k.values, string(m.Value))
}

func newTestOutput(ctx context.Context, k *kept) (*output, *gate) {
	g := newGate()
	return &output{ctx: ctx, producer: k, gate: g, held: &atomic.Int64{}, stall: &blockedTime{}, epoch: 1}, g
}

func write(t *testing.T, o *output, values ...string) {
	t.Helper()
	var buf []byte // one buffer for all, as an encoder has
	for _, v := range values {
		buf = append(buf[:0], v...)
		if err := o.write(&record.Message{Value: buf}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOutputIsHeldWhileTheGateIsClosed: nothing of epoch n+1 is produced before
// the answer for n (I5), and then everything in order.
func TestOutputIsHeldWhileTheGateIsClosed(t *testing.T) {
	k := &kept{}
	o, g := newTestOutput(t.Context(), k)
	g.open(1)
	write(t, o, "a", "b")
	if err := o.close(); err != nil { // barrier 1 has passed
		t.Fatal(err)
	}
	write(t, o, "c", "d")
	if got := strings.Join(k.values, ""); got != "ab" {
		t.Fatalf("produced %q before the answer", got)
	}
	g.open(2)
	write(t, o, "e")
	if got := strings.Join(k.values, ""); got != "abcde" {
		t.Fatalf("produced %q", got)
	}
	if o.held.Load() != 0 {
		t.Errorf("%d bytes are still counted as held", o.held.Load())
	}
}

// TestHeldOutputIsInItsEpoch: a task that is idle when the gate opens produces
// what it holds before its next barrier.
func TestHeldOutputIsInItsEpoch(t *testing.T) {
	k := &kept{}
	o, g := newTestOutput(t.Context(), k)
	write(t, o, "a")
	g.open(1)
	select {
	case <-o.waiting():
	default:
		t.Fatal("the opening of the gate is not noticed")
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(k.values, ""); got != "a" {
		t.Fatalf("produced %q at the barrier", got)
	}
	if o.waiting() != nil {
		t.Error("waits without held output")
	}
}

// TestFullHoldStopsTheTask: a task whose hold is full waits for the gate, and
// the time counts as stall.
func TestFullHoldStopsTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kept{}
		o, g := newTestOutput(t.Context(), k)
		big := strings.Repeat("x", holdLimit)
		write(t, o, big)
		done := make(chan struct{})
		go func() {
			defer close(done)
			write(t, o, "z")
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("wrote although the hold is full")
		default:
		}
		g.open(1)
		<-done
		var lengths []int
		for _, v := range k.values {
			lengths = append(lengths, len(v))
		}
		if fmt.Sprint(lengths) != fmt.Sprintf("[%d 1]", holdLimit) {
			t.Errorf("produced records of %v bytes", lengths)
		}
	})
}
