package kafka

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kstream/record"
)

func (f *fixture) consumer(t testing.TB, cfg ConsumerConfig) *Consumer {
	t.Helper()
	c, err := NewConsumer(f.Cluster, cfg)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// pollUntil polls until the position of partition 0 has reached end, and
// returns the values.
func pollUntil(t testing.TB, c *Consumer, end record.Offset) (values []string, last record.FetchedPartition) {
	t.Helper()
	var m record.Message
	for last.Next.Offset < end {
		fetch, err := c.Poll(t.Context())
		must(t, err)
		for _, p := range fetch.Partitions {
			for i := range p.Records.Len() {
				p.Records.At(i, &m)
				values = append(values, string(m.Value))
			}
			p.Records.Release()
			last = p
		}
	}
	return values, last
}

// TestPositionsPassMarkers is G29: the last offset is that of a marker.
func TestPositionsPassMarkers(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	s := f.fenced(t, nil)
	commit(t, s, "t", "a", "b") // 0 1, marker 2
	leaveOpen(t, s, "t", "x")   // 3
	s.Close()
	f.fenced(t, nil) // aborts: marker 4
	b, err := f.Bounds(t.Context(), "t")
	must(t, err)
	if b[0] != (record.Bounds{Start: 0, Stable: 5, End: 5}) {
		t.Fatalf("bounds %+v", b[0])
	}
	info, err := f.Topics(t.Context(), []string{"t"})
	must(t, err)

	values, last := pollUntil(t, f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}}), 5)
	wantStrings(t, values, "a", "b")
	if last.Next.Offset != 5 || last.HighWatermark != 5 || last.LastStable != 5 || last.Next.LeaderEpoch < 0 || last.Next.TopicID != info["t"].ID {
		t.Errorf("%+v", last)
	}
	values, _ = pollUntil(t, f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 1)}, Isolation: "read_uncommitted"}), 5)
	wantStrings(t, values, "b", "x")
	if _, err := NewConsumer(f.Cluster, ConsumerConfig{Isolation: "serializable"}); err == nil {
		t.Error("an isolation that does not exist was accepted")
	}
}

// TestReadCommittedWaits: records of an open transaction are not read, and the
// position stays at the stable offset.
func TestReadCommittedWaits(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	f.plain(t, "t", 0, "before")
	s := f.fenced(t, nil)
	leaveOpen(t, s, "t", "open")
	f.plain(t, "t", 0, "behind")
	c := f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}})
	values, last := pollUntil(t, c, 1)
	wantStrings(t, values, "before")
	if last.LastStable != 1 || last.HighWatermark != 3 {
		t.Errorf("stable %d end %d", last.LastStable, last.HighWatermark)
	}
	_, err := s.End(t.Context())
	must(t, err)
	values, _ = pollUntil(t, c, 4)
	wantStrings(t, values, "open", "behind")
	if got := c.Positions(); len(got) != 1 || got[0].Offset != 4 {
		t.Errorf("positions %v", got)
	}
}

func TestOutOfRange(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(2, "t"))
	f.plain(t, "t", 1, "a", "b", "c", "d", "e")
	must(t, f.fake.DeleteRecords("t", 1, 3))
	tests := []struct {
		at   record.Offset
		want string
	}{
		{1, "offset 1 was deleted, the log starts at 3 (2 records lost)"},
		{9, "lost records: position 9 epoch -1, the log ends at 5"},
	}
	for _, tt := range tests {
		c := f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 1, tt.at)}})
		_, err := c.Poll(t.Context())
		e := wantError(t, err, refused, "OFFSET_OUT_OF_RANGE")
		if e.Exit != 6 || e.Partition != 1 || e.Offset != tt.at || e.Detail != tt.want {
			t.Errorf("%+v", e)
		}
		_, again := c.Poll(t.Context())
		if !errors.Is(again, e) {
			t.Errorf("the second poll says %v", again)
		}
	}
}

// TestDataLoss is G17: with a leader epoch the client finds where the log
// diverged, goes there in spite of NoResetOffset, and calls that information.
func TestDataLoss(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	f.plain(t, "t", 0, "a", "b", "c")
	info := f.fake.PartitionInfo("t", 0)
	f.fake.ControlKey(kmsg.OffsetForLeaderEpoch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		topic := kmsg.NewOffsetForLeaderEpochResponseTopic()
		topic.Topic = "t"
		p := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
		p.LeaderEpoch, p.EndOffset = info.Epoch, 1
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	pos := position("t", 0, 3)
	pos.LeaderEpoch = info.Epoch
	_, err := f.consumer(t, ConsumerConfig{Positions: []record.Position{pos}}).Poll(t.Context())
	e := wantError(t, err, refused, CodeDataLoss)
	if e.Exit != 6 || e.Topic != "t" || e.Partition != 0 || e.Offset != 3 || !strings.Contains(e.Detail, "lost records: position 3") {
		t.Errorf("%+v", e)
	}
}

// TestOtherTopic: a position of the topic that had this name before.
func TestOtherTopic(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	pos := position("t", 0, 0)
	pos.TopicID = f.fake.TopicInfo("t").TopicID
	must(t, f.fake.DeleteTopic("t"))
	must(t, f.fake.CreateTopic("t", 1, nil))
	f.plain(t, "t", 0, "a")
	_, err := f.consumer(t, ConsumerConfig{Positions: []record.Position{pos}}).Poll(t.Context())
	if e := wantError(t, err, refused, CodeRecreated); e.Exit != 6 || e.Partition != 0 {
		t.Errorf("%+v", e)
	}
}

// TestCorruptBatch: never skipped.
func TestCorruptBatch(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	f.plain(t, "t", 0, "a")
	batch := []byte("not a batch at all, but long enough to have a header that does not make any sense to a reader")
	batch[8], batch[9], batch[10], batch[11] = 0, 0, 0, byte(len(batch)-12) // length
	batch[16] = 2                                                           // magic
	id := f.fake.TopicInfo("t").TopicID
	f.fake.ControlKey(kmsg.Fetch.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.KeepControl()
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = "t", id
		p := kmsg.NewFetchResponseTopicPartition()
		p.HighWatermark, p.LastStableOffset, p.RecordBatches = 1, 1, batch
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
		return resp, nil, true
	})
	_, err := f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}}).Poll(t.Context())
	if e := wantError(t, err, refused, CodeCorrupt); e.Exit != 5 || e.Topic != "t" || e.Partition != 0 || e.Offset != 0 {
		t.Errorf("%+v", e)
	}
}

func TestPollEnds(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "t"))
	c := f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Poll(ctx)
	wantError(t, err, restart, CodeCancelled)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v is not the context's", err)
	}
	c.Close()
	_, err = c.Poll(t.Context())
	wantError(t, err, restart, CodeClosed)
}

// virtual is a fixture in a bubble of virtual time.
func virtual(t *testing.T, opts ...kfake.Opt) *fixture {
	t.Helper()
	network := &kfake.VirtualNetwork{}
	fake, err := StartFake(append(opts, kfake.ListenFn(network.Listen), kfake.Ports(9092))...)
	must(t, err)
	t.Cleanup(fake.Close)
	return &fixture{fake, connect(t, Config{Brokers: fake.ListenAddrs(), Dial: network.DialContext})}
}

// TestTopicVanishes: waited for, then an error, instead of silence for ever.
func TestTopicVanishes(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprint("recreated ", again), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := virtual(t, kfake.SeedTopics(1, "t"))
				commit(t, f.fenced(t, nil), "t", "a")
				c := f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}})
				pollUntil(t, c, 2)
				must(t, f.fake.DeleteTopic("t"))
				if again {
					must(t, f.fake.CreateTopic("t", 1, nil))
				}
				began := time.Now()
				_, err := c.Poll(t.Context())
				e := Classify(OpFetch, "", err)
				if e.Class != restart || e.Topic != "t" || !isUnknownTopic(err) {
					t.Errorf("%v", err)
				}
				if waited := time.Since(began); waited < unknownTopicGrace || waited > 2*unknownTopicGrace {
					t.Errorf("noticed after %v", waited)
				}
			})
		})
	}
}

// TestMissingRights: waited for 30 s, and forgotten when they come.
func TestMissingRights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := virtual(t, kfake.SeedTopics(1, "t"))
		produce := func(v string) {
			s := f.fenced(t, nil)
			commit(t, s, "t", v)
			s.Close()
		}
		stop := denyFetch(f.fake, f.fake.TopicInfo("t").TopicID)
		c := f.consumer(t, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}})
		time.AfterFunc(20*time.Second, stop)
		time.AfterFunc(21*time.Second, func() { produce("a") })
		values, _ := pollUntil(t, c, 2)
		wantStrings(t, values, "a")

		denyFetch(f.fake, f.fake.TopicInfo("t").TopicID)
		began := time.Now()
		_, err := c.Poll(t.Context())
		if e := wantError(t, err, refused, "TOPIC_AUTHORIZATION_FAILED"); e.Exit != 5 || !strings.Contains(e.Detail, "needs Topic t Read") {
			t.Errorf("%v", e)
		}
		if waited := time.Since(began); waited < rightsGrace || waited > 2*rightsGrace {
			t.Errorf("refused after %v", waited)
		}
	})
}

func denyFetch(f *kfake.Cluster, id [16]byte) (stop func()) {
	return answer(f, kmsg.Fetch, 1<<40, func(_ kmsg.Request, r kmsg.Response) {
		resp := r.(*kmsg.FetchResponse)
		topic := kmsg.NewFetchResponseTopic()
		topic.Topic, topic.TopicID = "t", id
		p := kmsg.NewFetchResponseTopicPartition()
		p.ErrorCode = kerr.TopicAuthorizationFailed.Code
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
	})
}

func TestReadAll(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(3, "t"))
	f.plain(t, "t", 1, "p1", "p2", "p3")
	s := f.fenced(t, nil)
	commit(t, s, "t", "a", "b")                                                                                                                   // 0 1, marker 2
	ranges := []record.ReadRange{{Position: position("t", 0, 1), To: 3}, {Position: position("t", 1, 0), To: 2}, {Position: position("t", 2, 0)}} // the last is empty
	got := map[int32][]string{}
	var reads, lefts []int64
	must(t, f.ReadAll(t.Context(), ranges, func(m record.Message) error {
		got[m.Partition] = append(got[m.Partition], string(m.Value))
		return nil
	}, func(read, left int64) { reads, lefts = append(reads, read), append(lefts, left) }))
	wantStrings(t, got[0], "b")
	wantStrings(t, got[1], "p1", "p2")
	if reads[len(reads)-1] != 3 || lefts[len(lefts)-1] != 0 {
		t.Errorf("progress %v %v", reads, lefts)
	}
	stopped := errors.New("stopped")
	if err := f.ReadAll(t.Context(), ranges, func(record.Message) error { return stopped }, nil); !errors.Is(err, stopped) {
		t.Errorf("%v", err)
	}
	must(t, f.fake.DeleteRecords("t", 1, 2))
	err := f.ReadAll(t.Context(), ranges, func(record.Message) error { return nil }, nil)
	wantError(t, err, refused, "OFFSET_OUT_OF_RANGE")
	// An end that never comes ends with the context.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = f.ReadAll(ctx, []record.ReadRange{{Position: position("t", 2, 0), To: 1}}, func(record.Message) error { return nil }, nil)
	wantError(t, err, restart, CodeCancelled)
}

// TestHeaderLayout holds the cast of headersOf.
func TestHeaderLayout(t *testing.T) {
	var ours record.Header
	var theirs kgo.RecordHeader
	if unsafe.Sizeof(ours) != unsafe.Sizeof(theirs) || unsafe.Offsetof(ours.Key) != unsafe.Offsetof(theirs.Key) ||
		unsafe.Offsetof(ours.Value) != unsafe.Offsetof(theirs.Value) {
		t.Fatal("the headers of the client are laid out otherwise")
	}
	if headersOf(nil) != nil {
		t.Error("no headers are some")
	}
}
