package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"kstream/record"
)

// These tests document where the fake broker is unlike a real one. One that
// fails says that the fake has changed and that what was built around the
// difference can be looked at again. The names are those of the test plan.

// TestFakeK7: its compaction lets records of an open transaction displace
// committed ones. So compaction is off.
func TestFakeK7CompactionCountsUncommitted(t *testing.T) {
	f := newFixture(t)
	must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "t", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}))
	commit(t, f.fenced(t, nil), "t", "committed")
	s := f.fenced(t, own("other", func(*SessionConfig) {}))
	leaveOpen(t, s, "t", "open")
	f.fake.Compact()
	s.Close()
	f.fenced(t, own("other", func(*SessionConfig) {}))
	if got := f.read(t, "t"); len(got) != 0 {
		t.Errorf("%v survived", got)
	}
}

// TestFakeK8: its compaction moves the log start, which on a real broker means
// that somebody deleted records.
func TestFakeK8CompactionMovesLogStart(t *testing.T) {
	f := newFixture(t)
	must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "t", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}))
	s := f.fenced(t, nil)
	commit(t, s, "t", "old")
	commit(t, s, "t", "new")
	f.fake.Compact()
	b, err := f.Bounds(t.Context(), "t")
	must(t, err)
	if b[0].Start == 0 {
		t.Error("the log start stayed")
	}
}

// TestNothingIsCompacted holds that the settings of StartFake keep the cleaner
// away, in hours that pass in a moment.
func TestNothingIsCompacted(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := virtual(t)
		must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "t", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}))
		s := f.fenced(t, nil)
		commit(t, s, "t", "old")
		commit(t, s, "t", "new")
		time.Sleep(1000 * time.Hour)
		wantStrings(t, f.read(t, "t"), "old", "new")
	})
}

// TestFakeK10: a null key on a compacted topic is INVALID_RECORD elsewhere.
func TestFakeK10NullKeyAccepted(t *testing.T) {
	f := newFixture(t)
	must(t, f.CreateTopic(t.Context(), record.NewTopic{Name: "t", Partitions: 1, Config: map[string]string{"cleanup.policy": "compact"}}))
	s := f.fenced(t, nil)
	must(t, s.Begin())
	s.Produce(&record.Message{Topic: "t", Time: 1, Value: []byte("v")})
	must(t, s.Flush(t.Context()))
	if _, err := s.End(t.Context()); err != nil {
		t.Errorf("%v", err)
	}
}

// TestFakeK12: the transaction timeout of the first session of an id stays.
func TestFakeK12TimeoutStays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := virtual(t, kfake.SeedTopics(1, "t"))
		f.fenced(t, func(c *SessionConfig) { c.TransactionTimeout = time.Hour / 5 }).Close()
		s := f.fenced(t, func(c *SessionConfig) { c.TransactionTimeout = 10 * time.Second })
		leaveOpen(t, s, "t", "a")
		time.Sleep(time.Minute)
		if _, err := s.End(t.Context()); err != nil {
			t.Errorf("the new timeout holds: %v", err)
		}
	})
}

// TestFakeK14: the answer to EndTxn comes after the markers. Elsewhere the
// stable offset may be behind for a while.
func TestFakeK14MarkersBeforeAnswer(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	s := f.fenced(t, nil)
	for range 20 {
		commit(t, s, "t", "a")
		b, err := f.Bounds(t.Context(), "t")
		must(t, err)
		if b[0].Stable != b[0].End {
			t.Fatalf("%+v", b[0])
		}
	}
}

// TestTimedOutTransaction: the broker aborts, and whatever EndTxn says then is
// not success.
func TestTimedOutTransaction(t *testing.T) {
	for _, tv1 := range []bool{false, true} {
		inBubble(t, func(t *testing.T) {
			f := virtual(t, kfake.SeedTopics(1, "t"))
			if tv1 {
				f.setTV1(t)
			}
			s := f.fenced(t, func(c *SessionConfig) { c.TransactionTimeout, c.TV2 = 10*time.Second, !tv1 })
			leaveOpen(t, s, "t", "a")
			time.Sleep(time.Minute)
			_, err := s.End(t.Context())
			if e := Classify("", "", err); e == nil || e.Class != restart && e.Class != fence {
				t.Errorf("tv1 %v: %v", tv1, err)
			}
			wantStrings(t, f.read(t, "t"))
		})
	}
}
