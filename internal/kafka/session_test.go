package kafka

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kstream/record"
)

// eras are the two protocols, and the two ways a cluster has the older one.
var eras = []struct {
	name string
	tv2  bool
	opts []kfake.Opt
	down bool
}{
	{name: "tv2", tv2: true},
	{name: "tv1 by feature", down: true},
	{name: "tv1 by version", opts: []kfake.Opt{kfake.MaxVersions(kversion.V3_8_0())}},
}

func inEras(t *testing.T, test func(t *testing.T, f *fixture, tv func(*SessionConfig))) {
	for _, era := range eras {
		t.Run(era.name, func(t *testing.T) {
			f := newFixture(t, append(era.opts, kfake.SeedTopics(1, "out", "in"))...)
			if era.down {
				f.setTV1(t)
			}
			broker, err := f.Inspect(t.Context())
			must(t, err)
			if broker.TransactionV2 != era.tv2 {
				t.Fatalf("transaction version 2 is %v, want %v", broker.TransactionV2, era.tv2)
			}
			test(t, f, func(c *SessionConfig) { c.TV2 = broker.TransactionV2 })
		})
	}
}

func TestEpochs(t *testing.T) {
	inEras(t, func(t *testing.T, f *fixture, tv func(*SessionConfig)) {
		s := f.fenced(t, tv)
		for n := range 3 {
			must(t, s.Begin())
			s.Produce(message("out", 0, "k", fmt.Sprint("a", n)))
			must(t, s.Flush(t.Context()))
			must(t, s.CommitOffsets(t.Context(), "group", []record.Position{position("in", 0, record.Offset(10*n+10))}, fmt.Sprint("epoch=", n)))
			s.Produce(message("out", 0, "k", fmt.Sprint("r", n)))
			must(t, s.Flush(t.Context()))
			end, ok := s.EndOffset("out", 0)
			if want := record.Offset(3*n + 2); !ok || end != want {
				t.Fatalf("end offset of epoch %d is %d %v, want %d", n, end, ok, want)
			}
			if s.BytesProduced() != 6 || s.Buffered() != 0 {
				t.Fatalf("%d bytes produced, %d buffered", s.BytesProduced(), s.Buffered())
			}
			writes, err := s.End(t.Context())
			must(t, err)
			if writes != 1 {
				t.Fatalf("EndTxn was written %d times", writes)
			}
			offsets, err := f.GroupOffsets(t.Context(), "group")
			must(t, err)
			got := offsets[record.TopicPartition{Topic: "in"}]
			if got.Offset != record.Offset(10*n+10) || got.Metadata != fmt.Sprint("epoch=", n) {
				t.Fatalf("the group is at %v after epoch %d", got, n)
			}
		}
		wantStrings(t, f.read(t, "out"), "a0", "r0", "a1", "r1", "a2", "r2")
	})
}

// TestEndOffsetIsOfTheEpoch: what an epoch did not write has no end offset in
// it.
func TestEndOffsetIsOfTheEpoch(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(2, "out"))
	s := f.fenced(t, nil)
	commit(t, s, "out", "a")
	must(t, s.Begin())
	if end, ok := s.EndOffset("out", 0); ok || s.BytesProduced() != 0 {
		t.Fatalf("a new epoch has end offset %d and %d bytes", end, s.BytesProduced())
	}
	s.Produce(message("out", 1, "k", "b"))
	must(t, s.Flush(t.Context()))
	if _, ok := s.EndOffset("out", 0); ok {
		t.Error("a partition without records has an end offset")
	}
	if end, ok := s.EndOffset("out", 1); !ok || end != 1 {
		t.Errorf("end offset %d %v", end, ok)
	}
}

// TestNothingIsSeenBeforeEnd: output and offsets of an epoch that was not ended
// vanish with the fence of the next session.
func TestNothingIsSeenBeforeEnd(t *testing.T) {
	inEras(t, func(t *testing.T, f *fixture, tv func(*SessionConfig)) {
		s := f.fenced(t, tv)
		commit(t, s, "out", "committed")
		must(t, s.Begin())
		s.Produce(message("out", 0, "k", "lost"))
		must(t, s.Flush(t.Context()))
		must(t, s.CommitOffsets(t.Context(), "group", []record.Position{position("in", 0, 5)}, ""))
		s.Close()

		bounds, err := f.Bounds(t.Context(), "out")
		must(t, err)
		if bounds[0].Stable != 2 || bounds[0].End != 3 {
			t.Fatalf("bounds with an open transaction: %+v", bounds[0])
		}
		f.fenced(t, tv)
		wantStrings(t, f.read(t, "out"), "committed")
		if offsets, err := f.GroupOffsets(t.Context(), "group"); err != nil || len(offsets) != 0 {
			t.Fatalf("offsets of an aborted epoch: %v %v", offsets, err)
		}
	})
}

// TestFenceEndsTheOlderSession: whatever the older one does afterwards fails.
func TestFenceEndsTheOlderSession(t *testing.T) {
	inEras(t, func(t *testing.T, f *fixture, tv func(*SessionConfig)) {
		writing, ending, offsets := f.fenced(t, tv), f.fenced(t, own("b", tv)), f.fenced(t, own("c", tv))
		must(t, writing.Begin())
		leaveOpen(t, ending, "out", "x")
		leaveOpen(t, offsets, "out", "y")
		f.fenced(t, tv)
		f.fenced(t, own("b", tv))
		f.fenced(t, own("c", tv))

		writing.Produce(message("out", 0, "k", "zombie"))
		err := writing.Flush(t.Context())
		if e := Classify("", "", err); e == nil || e.Class != record.ClassFenced {
			t.Fatalf("produce after the fence: %v", err)
		}
		select {
		case <-writing.Failed():
		default:
			t.Fatal("a failed record does not close Failed")
		}
		if _, err := writing.End(t.Context()); err == nil {
			t.Fatal("an epoch with a failed record was ended")
		}
		// EndTxn may also say INVALID_TXN_STATE, which is no information (7.2).
		_, err = ending.End(t.Context())
		if e := Classify("", "", err); e == nil || e.Class != record.ClassFenced && e.Code != "INVALID_TXN_STATE" {
			t.Fatalf("EndTxn after the fence: %v", err)
		}
		err = offsets.CommitOffsets(t.Context(), "group", []record.Position{position("in", 0, 5)}, "")
		if e := Classify("", "", err); e == nil || e.Class != record.ClassFenced {
			t.Fatalf("TxnOffsetCommit after the fence: %v", err)
		}
		wantStrings(t, f.read(t, "out"))
	})
}

func own(id string, also func(*SessionConfig)) func(*SessionConfig) {
	return func(c *SessionConfig) {
		also(c)
		c.TransactionalID = "kstream-" + id + "-0"
	}
}

// TestFirstErrorFailsTheEpoch is G1: the client would commit what succeeded.
func TestFirstErrorFailsTheEpoch(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"), kfake.BrokerConfigs(map[string]string{"message.max.bytes": "1000"}))
	s := f.fenced(t, func(c *SessionConfig) { c.Compression = "none" })
	must(t, s.Begin())
	s.Produce(message("out", 0, "k", "small"))
	must(t, s.Flush(t.Context()))
	s.Produce(message("out", 0, "k", strings.Repeat("x", 2000)))
	e := wantError(t, s.Flush(t.Context()), restart, "MESSAGE_TOO_LARGE")
	if !e.SameRecord || e.Topic != "out" || e.Partition != 0 {
		t.Errorf("%+v does not say which record", e)
	}
	wantError(t, s.FirstError(), restart, "MESSAGE_TOO_LARGE")
	writes, err := s.End(t.Context())
	wantError(t, err, restart, "MESSAGE_TOO_LARGE")
	if writes != 0 {
		t.Errorf("EndTxn was written %d times", writes)
	}
	s.Close()
	f.fenced(t, nil)
	wantStrings(t, f.read(t, "out"))
}

// TestEndWithBufferedRecords is G2 and I4.
func TestEndWithBufferedRecords(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	s := f.fenced(t, func(c *SessionConfig) { c.Linger = time.Minute })
	must(t, s.Begin())
	s.Produce(message("out", 0, "k", "late"))
	writes, err := s.End(t.Context())
	wantError(t, err, bug, CodeBuffered)
	if writes != 0 {
		t.Errorf("EndTxn was written %d times", writes)
	}
}

// TestEndOfNothing is G3: offsets alone do not make the client end anything,
// and its nil would be taken for a commit.
func TestEndOfNothing(t *testing.T) {
	inEras(t, func(t *testing.T, f *fixture, tv func(*SessionConfig)) {
		s := f.fenced(t, tv)
		must(t, s.Begin())
		must(t, s.CommitOffsets(t.Context(), "group", []record.Position{position("in", 0, 5)}, ""))
		_, err := s.End(t.Context())
		wantError(t, err, bug, CodeNoTransaction)
	})
}

// TestProduceOutsideOfAnEpoch is G23.
func TestProduceOutsideOfAnEpoch(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	s := f.fenced(t, nil)
	commit(t, s, "out", "a")
	s.Produce(message("out", 0, "k", "outside"))
	<-s.Failed()
	wantError(t, s.FirstError(), bug, CodeNoTransaction)
	s = f.fenced(t, nil)
	must(t, s.Begin())
	wantError(t, s.Begin(), bug, CodeNoTransaction)
}

// TestLostEndAnswer: the broker commits and the answer is lost, so that the
// client asks again. The count of writes tells (G19), and the epoch is there
// once.
func TestLostEndAnswer(t *testing.T) {
	inEras(t, func(t *testing.T, f *fixture, tv func(*SessionConfig)) {
		s := f.fenced(t, tv)
		leaveOpen(t, s, "out", "a")
		lost := false
		f.fake.ControlKey(kmsg.EndTxn.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
			if lost {
				return nil, nil, false
			}
			lost = true
			return nil, fmt.Errorf("cut"), true // closes the connection
		})
		writes, err := s.End(t.Context())
		must(t, err)
		if writes != 2 {
			t.Errorf("EndTxn was written %d times", writes)
		}
		wantStrings(t, f.read(t, "out"), "a")
	})
}

// TestEndWaitsForPartitions: with a partition that the client has written and
// not published, EndTransaction would say nil and commit nothing.
func TestEndWaitsForPartitions(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out", "late"))
	s := f.fenced(t, nil)
	leaveOpen(t, s, "out", "a")
	s.cell("late", 0).end.Store(1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	writes, err := s.End(ctx)
	wantError(t, err, restart, CodeCancelled)
	if writes != 0 {
		t.Errorf("EndTxn was written %d times", writes)
	}
	s.Produce(message("late", 0, "k", "b"))
	must(t, s.Flush(t.Context()))
	if _, err = s.End(t.Context()); err != nil {
		t.Error(err)
	}
	wantStrings(t, f.read(t, "late"), "b")
}

// TestUnknownEnd: an outcome that nobody knows is a restart, bounded by
// RetryTimeout.
func TestUnknownEnd(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	for name, code := range map[string]*kerr.Error{
		"UNKNOWN_SERVER_ERROR": kerr.UnknownServerError, "NOT_COORDINATOR": kerr.NotCoordinator, "TRANSACTION_ABORTABLE": kerr.TransactionAbortable,
	} {
		s := f.fenced(t, func(c *SessionConfig) { c.RetryTimeout = 300 * time.Millisecond })
		leaveOpen(t, s, "out", "a")
		stop := answer(f.fake, kmsg.EndTxn, 100, func(_ kmsg.Request, r kmsg.Response) { r.(*kmsg.EndTxnResponse).ErrorCode = code.Code })
		writes, err := s.End(t.Context())
		wantError(t, err, restart, name)
		if writes == 0 {
			t.Errorf("%s: EndTxn was not written", name)
		}
		s.Close()
		stop()
	}
}

// TestCommitOffsetsChecksEveryPartition is G14.
func TestCommitOffsetsChecksEveryPartition(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(2, "out", "in"))
	positions := []record.Position{position("in", 0, 5), position("in", 1, 6)}
	respond := func(second ...*kerr.Error) (stop func()) {
		try := 0
		return answer(f.fake, kmsg.TxnOffsetCommit, len(second), func(req kmsg.Request, r kmsg.Response) {
			resp := r.(*kmsg.TxnOffsetCommitResponse)
			for i, p := range []int16{0, second[try].Code} {
				part := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				part.Partition, part.ErrorCode = int32(i), p
				if i == 0 {
					resp.Topics = append(resp.Topics, kmsg.NewTxnOffsetCommitResponseTopic())
				}
				resp.Topics[0].Partitions = append(resp.Topics[0].Partitions, part)
			}
			try++
		})
	}
	tests := []struct {
		code  *kerr.Error
		class record.ErrorClass
	}{
		{kerr.UnknownMemberID, refused}, {kerr.GroupAuthorizationFailed, refused}, {kerr.InvalidProducerEpoch, fence}, {kerr.TransactionAbortable, restart},
	}
	for _, tt := range tests {
		s := f.fenced(t, nil)
		leaveOpen(t, s, "out", "a")
		stop := respond(tt.code)
		wantError(t, s.CommitOffsets(t.Context(), "group", positions, ""), tt.class, tt.code.Message)
		stop()
	}
	// What passes is tried again.
	s := f.fenced(t, nil)
	leaveOpen(t, s, "out", "a")
	respond(kerr.ConcurrentTransactions, kerr.CoordinatorLoadInProgress, kerr.ConcurrentTransactions)
	must(t, s.CommitOffsets(t.Context(), "group", positions, ""))
	if _, err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	offsets, err := f.GroupOffsets(t.Context(), "group")
	if err != nil || len(offsets) != 2 {
		t.Fatalf("%v %v", offsets, err)
	}
}

// TestWireVersions is G11 and G12: what goes over the wire in each era.
func TestWireVersions(t *testing.T) {
	inEras(t, func(t *testing.T, f *fixture, tv func(*SessionConfig)) {
		s := f.fenced(t, tv)
		seen := make(chan kmsg.Request, 100)
		f.fake.Control(func(req kmsg.Request) (kmsg.Response, error, bool) {
			f.fake.KeepControl()
			switch req.(type) {
			case *kmsg.TxnOffsetCommitRequest, *kmsg.AddOffsetsToTxnRequest:
				seen <- req
			}
			return nil, nil, false
		})
		leaveOpen(t, s, "out", "a")
		must(t, s.CommitOffsets(t.Context(), "group", []record.Position{position("in", 0, 5)}, ""))
		added := false
		for len(seen) > 0 {
			switch req := (<-seen).(type) {
			case *kmsg.AddOffsetsToTxnRequest:
				added = true
			case *kmsg.TxnOffsetCommitRequest:
				if s.cfg.TV2 != (req.Version >= 5) || !s.cfg.TV2 != added {
					t.Errorf("version %d, AddOffsetsToTxn %v", req.Version, added)
				}
				if req.Version >= 6 && req.Topics[0].TopicID == [16]byte{} {
					t.Error("no topic id")
				}
				if req.Generation != -1 || req.MemberID != "" {
					t.Errorf("generation %d member %q", req.Generation, req.MemberID)
				}
			}
		}
	})
}

// TestProducerIDRotates is G32: nothing may hang on the producer id or epoch.
func TestProducerIDRotates(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out", "in"))
	s := f.fenced(t, nil)
	id, epoch, err := s.client.ProducerID(t.Context())
	must(t, err)
	commit(t, s, "out", "a")
	next, nextEpoch, err := s.client.ProducerID(t.Context())
	must(t, err)
	if id == next && epoch == nextEpoch {
		t.Fatal("an epoch kept the producer epoch: the broker is not TV2")
	}
	must(t, s.Begin())
	s.Produce(message("out", 0, "k", "b"))
	must(t, s.CommitOffsets(t.Context(), "group", []record.Position{position("in", 0, 5)}, ""))
	must(t, s.Flush(t.Context()))
	_, err = s.End(t.Context())
	must(t, err)
}

// TestFence covers what InitProducerId answers.
func TestFence(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"), kfake.BrokerConfigs(map[string]string{"transaction.max.timeout.ms": "30000"}))
	s := f.session(t, nil)
	_, _, err := s.Fence(t.Context())
	e := wantError(t, err, refused, "INVALID_TRANSACTION_TIMEOUT")
	if e.Exit != 5 || !strings.Contains(e.Detail, "1m0s") || !strings.Contains(e.Detail, "transaction.max.timeout.ms, which is 30s") {
		t.Errorf("%v", e)
	}
	// What passes is waited for.
	short := func(c *SessionConfig) { c.TransactionTimeout = 20 * time.Second }
	answer(f.fake, kmsg.InitProducerID, 2, func(_ kmsg.Request, r kmsg.Response) {
		r.(*kmsg.InitProducerIDResponse).ErrorCode = kerr.ConcurrentTransactions.Code
	})
	f.fenced(t, short)
	// The end of the context is not a fence.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = f.session(t, short).Fence(ctx)
	wantError(t, err, restart, CodeCancelled)
}

// TestSlowFence: reported after a minute and then every half, given up after ten.
func TestSlowFence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		f := virtual(t, kfake.SeedTopics(1, "out"))
		leaveOpen(t, f.fenced(t, func(c *SessionConfig) { c.TransactionTimeout = 10 * time.Minute }), "out", "a")
		var log bytes.Buffer
		f.log = slog.New(slog.NewTextHandler(&log, nil))
		slow := func(_ kmsg.Request, r kmsg.Response) {
			r.(*kmsg.InitProducerIDResponse).ErrorCode = kerr.ConcurrentTransactions.Code
		}
		stop := answer(f.fake, kmsg.InitProducerID, 1<<40, slow)
		s := f.session(t, nil)
		time.AfterFunc(100*time.Second, stop)
		began := time.Now()
		_, _, err := s.Fence(t.Context())
		must(t, err)
		if waited := time.Since(began); waited < 100*time.Second || waited > 110*time.Second {
			t.Errorf("fenced after %v", waited)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 {
			t.Fatalf("%d lines: %v", len(lines), lines)
		}
		for _, want := range []string{"transactional_id=kstream-test-0", "waited=1m0s", "state=Ongoing", "partitions=1"} {
			if !strings.Contains(lines[0], want) {
				t.Errorf("%q lacks %s", lines[0], want)
			}
		}
		answer(f.fake, kmsg.InitProducerID, 1<<40, slow)
		began = time.Now()
		_, _, err = f.session(t, nil).Fence(t.Context())
		if e := Classify("", "", err); e == nil || e.Class != restart {
			t.Errorf("%v", err)
		}
		if waited := time.Since(began); waited < fenceTimeout || waited > fenceTimeout+time.Minute {
			t.Errorf("given up after %v", waited)
		}
	})
}

// TestManyProducers: several goroutines, one session.
func TestManyProducers(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(4, "out"))
	s := f.fenced(t, func(c *SessionConfig) { c.MaxBufferedRecords = 1000 })
	const each = 3000
	for epoch := range 2 {
		must(t, s.Begin())
		var all sync.WaitGroup
		for p := range int32(4) {
			all.Go(func() {
				m := message("out", p, "k", "")
				for i := range each {
					m.Value = strconv.AppendInt(m.Value[:0], int64(epoch*each+i), 10)
					s.Produce(m)
				}
			})
		}
		all.Wait()
		must(t, s.Flush(t.Context()))
		_, err := s.End(t.Context())
		must(t, err)
	}
	next := map[int32]int{}
	bounds, err := f.Bounds(t.Context(), "out")
	must(t, err)
	var ranges []record.ReadRange
	for p, b := range bounds {
		ranges = append(ranges, record.ReadRange{Position: position("out", int32(p), 0), To: b.End})
	}
	must(t, f.ReadAll(t.Context(), ranges, func(m record.Message) error {
		if want := strconv.Itoa(next[m.Partition]); string(m.Value) != want {
			return fmt.Errorf("partition %d has %s where %s should be", m.Partition, m.Value, want)
		}
		next[m.Partition]++
		return nil
	}, nil))
	for p := range int32(4) {
		if next[p] != 2*each {
			t.Errorf("partition %d has %d records", p, next[p])
		}
	}
}

func TestSessionRights(t *testing.T) {
	acl := func(kind kmsg.ACLResourceType, name string, op kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{Resource: kind, Name: name, Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: op, Allow: true}
	}
	f := newFixtureSASL(t,
		acl(kmsg.ACLResourceTypeTopic, "out", kmsg.ACLOperationDescribe),
		acl(kmsg.ACLResourceTypeTransactionalId, "kstream-mine-0", kmsg.ACLOperationWrite),
		acl(kmsg.ACLResourceTypeTransactionalId, "kstream-mine-0", kmsg.ACLOperationDescribe))
	_, _, err := f.session(t, nil).Fence(t.Context())
	e := wantError(t, err, refused, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
	if !strings.Contains(e.Detail, "kstream-test-0 Write") {
		t.Error(e)
	}
	s := f.fenced(t, func(c *SessionConfig) { c.TransactionalID = "kstream-mine-0" })
	must(t, s.Begin())
	s.Produce(message("out", 0, "k", "v"))
	wantError(t, s.Flush(t.Context()), refused, "TOPIC_AUTHORIZATION_FAILED")
}

// newFixtureSASL is a broker with rights, used by a user who has only these.
func newFixtureSASL(t *testing.T, acls ...kfake.ACL) *fixture {
	t.Helper()
	fake, err := StartFake(kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "out"),
		kfake.Superuser("PLAIN", "admin", "secret"), kfake.User("SCRAM-SHA-256", "u", "secret", acls...))
	must(t, err)
	t.Cleanup(fake.Close)
	return &fixture{fake, connect(t, Config{Brokers: fake.ListenAddrs(), SASL: SASL{"scram_sha_256", "u", "secret"}})}
}

func TestHeadersAndTombstones(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	s := f.fenced(t, nil)
	must(t, s.Begin())
	m := message("out", 0, "k", "v")
	m.Headers = []record.Header{{Key: "h1", Value: []byte("one")}, {Key: "h2"}}
	s.Produce(m)
	m.Headers[0].Key, m.Value = "changed", []byte("changed") // the session has its copy
	s.Produce(&record.Message{Topic: "out", Time: 77, Key: []byte("dead")})
	s.Produce(&record.Message{Topic: "out", Time: 78, Key: []byte{}, Value: []byte{}})
	must(t, s.Flush(t.Context()))
	_, err := s.End(t.Context())
	must(t, err)
	var got []string
	must(t, f.ReadAll(t.Context(), []record.ReadRange{{Position: position("out", 0, 0), To: 3}}, func(m record.Message) error {
		line := fmt.Sprintf("%d %q %q %v %v", m.Time, m.Key, m.Value, m.Key == nil, m.Value == nil)
		for _, h := range m.Headers {
			line += fmt.Sprintf(" %s=%s", h.Key, h.Value)
		}
		got = append(got, line)
		return nil
	}, nil))
	want := []string{`1000 "k" "v" false false h1=one h2=`, `77 "dead" "" false true`, `78 "" "" false false`}
	wantStrings(t, got, want...)
}

func TestCompressions(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	var want []string
	for _, name := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		s := f.fenced(t, func(c *SessionConfig) { c.Compression = name })
		value := name + strings.Repeat("x", 500)
		commit(t, s, "out", value)
		s.Close()
		want = append(want, value)
	}
	wantStrings(t, f.read(t, "out"), want...)
	if _, err := NewSession(f.Cluster, SessionConfig{Compression: "zip"}); err == nil {
		t.Error("a compression that does not exist was accepted")
	}
}

// TestCloseUnblocksProduce: a producer that waits for room comes back.
func TestCloseUnblocksProduce(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	s := f.fenced(t, func(c *SessionConfig) { c.MaxBufferedRecords = 2 })
	must(t, s.Begin())
	release := make(chan struct{})
	arrived := make(chan struct{}, 1)
	f.fake.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.fake.SleepControl(func() {
			select {
			case arrived <- struct{}{}:
			default:
			}
			<-release
		})
		return nil, nil, false
	})
	defer close(release)
	done := make(chan struct{})
	go func() {
		for range 10 {
			s.Produce(message("out", 0, "k", "v"))
		}
		close(done)
	}()
	<-arrived
	s.Close()
	<-done
	wantError(t, s.FirstError(), restart, CodeClosed)
}

// TestRecreatedTopic is G21: the client refuses to commit what was written to a
// topic that is gone.
func TestRecreatedTopic(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	s := f.fenced(t, nil)
	leaveOpen(t, s, "out", "a")
	must(t, f.fake.DeleteTopic("out"))
	must(t, f.fake.CreateTopic("out", 1, nil))
	s.client.ForceMetadataRefresh()
	s.Produce(message("out", 0, "k", "b"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := s.Flush(ctx)
	if err == nil {
		_, err = s.End(ctx)
	}
	if err == nil {
		t.Fatal("the epoch was committed although its topic was recreated")
	}
	if e := Classify("", "", err); e.Class != record.ClassRestart {
		t.Errorf("%v", e)
	}
}

var _ kgo.HookBrokerWrite = endTxnCounter{}
