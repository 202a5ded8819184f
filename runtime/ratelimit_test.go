package runtime

import (
	"testing"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/topology"
)

// TestRateLimit: whatever the pace of the asking, no second has more records
// than the rate and a tenth of it, and none are lost on the way.
func TestRateLimit(t *testing.T) {
	for _, c := range []struct {
		rate float64
		ask  int
		step time.Duration
	}{
		{1000, 1024, time.Millisecond}, {1000, 1, 50 * time.Microsecond}, {5, 1024, 7 * time.Millisecond}, {0.5, 10, 100 * time.Millisecond},
		{100_000, 1024, 3 * time.Millisecond},
	} {
		now := time.Unix(0, 0)
		r := newRateLimit(c.rate, now)
		const seconds = 20
		taken := 0
		for now.Before(time.Unix(seconds, 0)) {
			wait := r.hold(now)
			if wait == 0 {
				n := r.most(c.ask)
				if n < 1 || n > c.ask {
					t.Fatalf("%v: %d of %d", c, n, c.ask)
				}
				r.take(n)
				taken += n
			}
			now = now.Add(c.step)
		}
		if most, least := c.rate*(seconds+0.1)+1, c.rate*seconds*0.9-1; float64(taken) > most || float64(taken) < least && c.rate < 10_000 {
			t.Errorf("%v: %d records in %d s", c, taken, seconds)
		}
	}
	if r := newRateLimit(0, time.Now()); r != nil || r.hold(time.Now()) != 0 || r.most(7) != 7 {
		t.Error("no limit limits")
	}
	r := newRateLimit(0.5, time.Unix(0, 0))
	if wait := r.hold(time.Unix(0, 0)); wait != 2*time.Second {
		t.Errorf("the first record of one in two seconds comes after %s", wait)
	}
}

// TestGrow: a sender that waits for room goes on when inputs are added.
func TestGrow(t *testing.T) {
	b := newInbox(1)
	for range inputCapacity {
		if _, err := b.put(t.Context(), 0, message{kind: messageRows}); err != nil {
			t.Fatal(err)
		}
	}
	sent := make(chan error)
	go func() {
		_, err := b.put(t.Context(), 0, message{kind: messageRows})
		sent <- err
	}()
	if n := b.grow(); n != 1 {
		t.Fatalf("the new input is number %d", n)
	}
	if from, _, ok := b.take(); !ok || from != 0 {
		t.Fatal("nothing is there")
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := b.put(t.Context(), 1, message{kind: messageBarrier}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		_, _, ok := b.take()
		if !ok {
			break
		}
		n++
	}
	if n != inputCapacity+1 {
		t.Errorf("%d messages came", n)
	}
}

// TestWrittenOffsets: what a file says about offsets is held against the topic.
func TestWrittenOffsets(t *testing.T) {
	bounds := []record.Bounds{{Start: 3, End: 9}, {Start: 0, End: 5}}
	for _, c := range []struct {
		what    string
		offsets map[int32]record.Offset
		want    [2]record.Offset
		bad     string
	}{
		{"start of s", map[int32]record.Offset{0: 4}, [2]record.Offset{4, 0}, ""},
		{"start of s", map[int32]record.Offset{0: 9, 1: 0}, [2]record.Offset{9, 0}, ""},
		{"stop of s", map[int32]record.Offset{0: 4}, [2]record.Offset{4, 5}, ""},
		{"stop of s", map[int32]record.Offset{1: 50}, [2]record.Offset{9, 50}, ""},
		{"start of s", map[int32]record.Offset{0: 2}, [2]record.Offset{}, "start of s: in/0 has no offset 2"},
		{"start of s", map[int32]record.Offset{1: 6}, [2]record.Offset{}, "start of s: in/1 has no offset 6"},
		{"stop of s", map[int32]record.Offset{2: 0}, [2]record.Offset{}, "stop of s: in has no partition 2"},
	} {
		got, err := offsetsOf(topology.Position{Kind: "offsets", Offsets: c.offsets}, c.what, "in", bounds)
		if c.bad != "" {
			f, ok := err.(*checkpoint.Failure)
			if !ok || f.Exit != 5 || f.Text != c.bad || f.Hint == "" {
				t.Errorf("%s %v: %v", c.what, c.offsets, err)
			}
			continue
		}
		if err != nil || [2]record.Offset(got) != c.want {
			t.Errorf("%s %v: got %v, %v", c.what, c.offsets, got, err)
		}
	}
}
