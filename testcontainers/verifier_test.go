package testcontainers

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
	"kstream/testcontainers/verify"
)

// bare is a hand-made engine for one epoch: it writes what the chaos pipeline
// must write, in one transaction with the positions. The verifier is tried on
// its outputs, and on what a broken engine would leave.
type bare struct {
	t     *testing.T
	cl    *kgo.Client
	adm   *kadm.Client
	spec  verify.Job
	in    verify.Log
	write []*kgo.Record
}

func newBare(t *testing.T, b *broker.Broker) *bare {
	t.Helper()
	j := newTopics(t, b)
	if err := j.in.write(t.Context(), 60); err != nil {
		t.Fatal(err)
	}
	if err := j.in.close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, topic := range []string{"checkpoints", "changelog"} {
		if _, err := j.adm.CreateTopic(t.Context(), 1, 1, nil, "kstream."+j.spec.Name+"."+topic); err != nil {
			t.Fatal(err)
		}
	}
	h, err := verify.Read(t.Context(), j.spec)
	if err != nil {
		t.Fatal(err)
	}
	if h.In.Len() != 61*inPartitions {
		t.Fatalf("the input has %d records, want %d", h.In.Len(), 61*inPartitions)
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs...), kgo.TransactionalID("kstream-"+j.spec.Name+"-0"),
		kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return &bare{t: t, cl: cl, adm: j.adm, spec: j.spec, in: h.In}
}

func (e *bare) emit(topic string, partition int, key string, value any) {
	b, err := json.Marshal(value)
	if err != nil {
		e.t.Fatal(err)
	}
	e.write = append(e.write, &kgo.Record{Topic: topic, Partition: int32(partition), Key: []byte(key), Value: b})
}

// failed makes a dead letter of the record emitted last.
func (e *bare) failed(partition int, offset int64) {
	r := e.write[len(e.write)-1]
	for _, h := range [][2]string{{"node", e.spec.DeadNode}, {"code", "eval-failed"}, {"topic", e.spec.In},
		{"partition", fmt.Sprint(partition)}, {"offset", fmt.Sprint(offset)}} {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "kstream.error." + h[0], Value: []byte(h[1])})
	}
}

// compute fills write, record after record in the order of a single reader.
func (e *bare) compute() {
	n, total, panes := map[string]int64{}, map[string]int64{}, map[string]map[int64]verify.Value{}
	sessions := map[string]verify.Value{}
	for i := range e.in[0] {
		for p := range e.in {
			v := e.in[p][i].Value
			e.emit(e.spec.Copy, p, v.K, row{ID: v.ID, K: v.K, N: v.N, TS: int64(v.TS)})
			if v.N%verify.DeadEvery == 0 {
				e.emit(e.spec.Dead, len(v.K)%2, v.K, row{ID: v.ID, K: v.K, N: v.N, TS: int64(v.TS)})
				e.failed(p, e.in[p][i].Offset)
			}
			n[v.K]++
			total[v.K] += v.N
			e.emit(e.spec.Counts, len(v.K)%3, v.K, map[string]any{"k": v.K, "n": n[v.K], "total": total[v.K]})
			e.row(v.K, n[v.K], total[v.K])
			e.session(sessions, v)
			start := int64(v.TS) / windowSize * windowSize
			if panes[v.K] == nil {
				panes[v.K] = map[int64]verify.Value{}
			}
			w := panes[v.K][start]
			w.N, w.Total = w.N+1, w.Total+v.N
			panes[v.K][start] = w
		}
	}
	for k, s := range sessions {
		if k != "last" {
			e.ended(k, s)
		}
	}
	for k, windows := range panes {
		for start := int64(inBase); start < inBase+60*inStep; start += windowSize {
			if w, ok := windows[start]; ok {
				e.emit(e.spec.Windows, 0, k, map[string]any{"k": k, "start": start, "n": w.N, "total": w.Total})
			}
		}
	}
}

// row writes a row of the table, or its end.
func (e *bare) row(k string, n, total int64) {
	e.emit(e.spec.Table, len(k)%3, k, map[string]any{"k": k, "n": n, "total": total})
	if n%verify.GoneEvery == 0 {
		e.write[len(e.write)-1].Value = nil
	}
}

// session adds a record to the session of its key and writes the one that ended.
// Partitions are read in turn, so times do not go back.
func (e *bare) session(open map[string]verify.Value, v verify.Value) {
	s, ok := open[v.K]
	if ok && v.TS > s.End {
		e.ended(v.K, s)
		ok = false
	}
	if !ok {
		s = verify.Value{Start: v.TS}
	}
	s.N, s.Total, s.End = s.N+1, s.Total+v.N, v.TS+sessionGap
	open[v.K] = s
}

func (e *bare) ended(k string, s verify.Value) {
	e.emit(e.spec.Sessions, len(k)%2, k, map[string]any{"k": k, "start": int64(s.Start), "end": int64(s.End), "n": s.N, "total": s.Total})
}

// positions commits the group's offsets with the mark of an epoch.
func (e *bare) positions(epoch int) {
	e.t.Helper()
	offsets := kadm.Offsets{}
	for p, recs := range e.in {
		offsets.Add(kadm.Offset{Topic: e.spec.In, Partition: int32(p), At: recs[len(recs)-1].Offset + 1,
			LeaderEpoch: -1, Metadata: fmt.Sprintf("kstream/1 epoch=%d", epoch)})
	}
	if err := e.adm.CommitAllOffsets(e.t.Context(), "kstream-"+e.spec.Name, offsets); err != nil {
		e.t.Fatal(err)
	}
}

// transact produces what was computed.
func (e *bare) transact() {
	e.t.Helper()
	if err := e.cl.BeginTransaction(); err != nil {
		e.t.Fatal(err)
	}
	if err := e.cl.ProduceSync(e.t.Context(), e.write...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
	e.write = nil
}

func (e *bare) end(how kgo.TransactionEndTry) {
	e.t.Helper()
	if err := e.cl.EndTransaction(e.t.Context(), how); err != nil {
		e.t.Fatal(err)
	}
}

func (e *bare) verify() (verify.Verdict, string) {
	e.t.Helper()
	d, err := verify.Run(e.t.Context(), e.spec)
	if err != nil {
		e.t.Fatal(err)
	}
	return d, strings.Join(d.Problems, "\n")
}

// TestVerifierOnRealLogs tries the verifier on every broker: it accepts a right
// run and names what is wrong in the others.
func TestVerifierOnRealLogs(t *testing.T) {
	for _, c := range []struct {
		name, want string
		play       func(e *bare)
	}{
		{"right", "", func(e *bare) { e.transact(); e.end(kgo.TryCommit); e.positions(1) }},
		{"outputs taken back", "lost", func(e *bare) { e.transact(); e.end(kgo.TryAbort); e.positions(1) }},
		{"outputs twice", "too many", func(e *bare) {
			twice := append(e.write, e.write...)
			e.write = twice
			e.transact()
			e.end(kgo.TryCommit)
			e.positions(1)
		}},
		{"transaction left open", "nothing open", func(e *bare) {
			late := e.write[:1]
			e.transact()
			e.end(kgo.TryCommit)
			e.positions(1)
			e.write = []*kgo.Record{{Topic: late[0].Topic, Partition: late[0].Partition, Key: late[0].Key, Value: late[0].Value}}
			e.transact()
		}},
		{"no positions", "has no offset", func(e *bare) { e.transact(); e.end(kgo.TryCommit) }},
		{"nothing at all", "lost", func(e *bare) { e.positions(1) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, all(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
				e := newBare(t, b)
				e.compute()
				c.play(e)
				d, text := e.verify()
				if c.want == "" && text != "" || !strings.Contains(text, c.want) {
					t.Errorf("the verifier says %q, want %q", text, c.want)
				}
				if c.name == "right" && (d.Epoch != 1 || d.Compared.Windows == 0) {
					t.Errorf("the verdict is %+v", d)
				}
				if c.name == "outputs taken back" && d.Compared.Aborted == 0 {
					t.Errorf("records were taken back and the verdict has none: %+v", d.Compared)
				}
			})
		})
	}
}

// TestFixtureKeepsItsData holds the brokers to their capabilities: what was
// committed is there after a restart, and a frozen broker answers when it wakes.
func TestFixtureKeepsItsData(t *testing.T) {
	each(t, all(), broker.Capabilities{Restart: true, Pause: true}, func(t *testing.T, shared *broker.Broker) {
		b := own(t, shared)
		e := newBare(t, b)
		e.compute()
		e.transact()
		e.end(kgo.TryCommit)
		e.positions(7)
		if err := b.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := b.Pause(); err != nil {
			t.Fatal(err)
		}
		if err := b.Resume(); err != nil {
			t.Fatal(err)
		}
		if d, text := e.verify(); text != "" || d.Epoch != 7 {
			t.Errorf("after the restart the verifier says %q, epoch %d", text, d.Epoch)
		}
	})
}
