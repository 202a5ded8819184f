package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kstream/record"
)

// fixture is a fake broker and a connection to it.
type fixture struct {
	fake *kfake.Cluster
	*Cluster
}

func newFixture(t testing.TB, opts ...kfake.Opt) *fixture {
	t.Helper()
	fake, err := StartFake(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return &fixture{fake, connect(t, Config{Brokers: fake.ListenAddrs()})}
}

func connect(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	c, err := Connect(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// inBubble runs a test in virtual time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// setTV1 turns transactions of version 2 off at the broker.
func (f *fixture) setTV1(t testing.TB) {
	t.Helper()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType, u.AllowDowngrade = "transaction.version", 1, 3, true
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(context.Background(), f.client)
	if err != nil {
		t.Fatal(err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatal(err)
	}
	for _, r := range resp.Results {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			t.Fatal(err)
		}
	}
}

func (f *fixture) session(t testing.TB, change func(*SessionConfig)) *Session {
	t.Helper()
	cfg := SessionConfig{TransactionalID: "kstream-test-0", TransactionTimeout: time.Minute, RetryTimeout: 10 * time.Second, TV2: true}
	if change != nil {
		change(&cfg)
	}
	s, err := NewSession(f.Cluster, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// fenced is a session that has fenced.
func (f *fixture) fenced(t testing.TB, change func(*SessionConfig)) *Session {
	t.Helper()
	s := f.session(t, change)
	if _, _, err := s.Fence(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func message(topic string, partition int32, key, value string) *record.Message {
	return &record.Message{Topic: topic, Partition: partition, Time: 1000, Key: []byte(key), Value: []byte(value)}
}

// commit writes the values to partition 0 in one transaction.
func commit(t testing.TB, s *Session, topic string, values ...string) {
	t.Helper()
	must(t, s.Begin())
	for _, v := range values {
		s.Produce(message(topic, 0, "k", v))
	}
	must(t, s.Flush(t.Context()))
	if _, err := s.End(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// leaveOpen writes the values in a transaction that nobody ends.
func leaveOpen(t testing.TB, s *Session, topic string, values ...string) {
	t.Helper()
	must(t, s.Begin())
	for _, v := range values {
		s.Produce(message(topic, 0, "k", v))
	}
	must(t, s.Flush(t.Context()))
}

// plain writes records outside of any transaction.
func (f *fixture) plain(t testing.TB, topic string, partition int32, values ...string) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(f.fake.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	must(t, err)
	defer client.Close()
	for i, v := range values {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v), Timestamp: time.UnixMilli(int64(1000 * (i + 1)))}
		must(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
}

func position(topic string, partition int32, offset record.Offset) record.Position {
	return record.Position{TopicPartition: record.TopicPartition{Topic: topic, Partition: partition}, Offset: offset, LeaderEpoch: -1}
}

// read returns everything below the high watermark of partition 0 that a
// read_committed reader sees.
func (f *fixture) read(t testing.TB, topic string) []string {
	t.Helper()
	b, err := f.Bounds(t.Context(), topic)
	must(t, err)
	var out []string
	must(t, f.ReadAll(t.Context(), []record.ReadRange{{Position: position(topic, 0, b[0].Start), To: b[0].End}},
		func(m record.Message) error { out = append(out, string(m.Value)); return nil }, nil))
	return out
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError checks class and code of an error.
func wantError(t testing.TB, err error, class record.ErrorClass, code string) *record.KafkaError {
	t.Helper()
	e, ok := errors.AsType[*record.KafkaError](err)
	if !ok {
		t.Fatalf("error %v is not classified", err)
	}
	if e.Class != class || e.Code != code {
		t.Fatalf("error is %v %s, want %v %s (%v)", e.Class, e.Code, class, code, e)
	}
	return e
}

func wantStrings(t testing.TB, got []string, want ...string) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

// answer makes the broker reply to the next n requests of a key with what fn
// makes of an empty response, without doing the work. stop ends that early.
func answer(f *kfake.Cluster, key kmsg.Key, n int, fn func(req kmsg.Request, resp kmsg.Response)) (stop func()) {
	var left atomic.Int64
	left.Store(int64(n))
	f.ControlKey(key.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if left.Add(-1) < 0 {
			f.DropControl()
			return nil, nil, false
		}
		f.KeepControl()
		resp := req.ResponseKind()
		fn(req, resp)
		return resp, nil, true
	})
	return func() { left.Store(0) }
}
