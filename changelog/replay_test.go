package changelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"kstream/record"
	"kstream/state"
)

// recorder is a store that writes down what it is given.
type recorder struct {
	metas   []state.Meta
	entries []state.Entry
	batches []int
	fail    error
	// ingested is how many of the batches were ingested.
	ingested int
}

func (r *recorder) Replay(m state.Meta, entries []state.Entry) error {
	m.Positions = append([]record.Offset(nil), m.Positions...)
	r.metas = append(r.metas, m)
	r.batches = append(r.batches, len(entries))
	for _, e := range entries {
		r.entries = append(r.entries, state.Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)})
	}
	return r.fail
}

func (r *recorder) Ingest(m state.Meta, entries []state.Entry) error {
	r.ingested++
	return r.Replay(m, entries)
}

func message(g record.KeyGroup, at record.Offset, key, value string) record.Message {
	address := state.AppendKey(nil, 3, g, 60_000, []byte(key))
	m := record.Message{Topic: "c", Partition: Partition(g), Offset: at, Key: AppendKey(nil, address)}
	if value != "" {
		m.Value = AppendValue(nil, []byte("\x00"+value))
	}
	return m
}

func TestReplayEndsAtTheEpochOfTheRecord(t *testing.T) {
	var store recorder
	goal := state.Meta{Epoch: 812, Owner: "7-aa", Generation: 1, Wall: noon}
	r := NewReplayer(&store, goal, []record.Offset{5, 0}, []record.Offset{9, 2})
	for _, m := range []record.Message{
		message(0, 4, "before the position", "x"),
		message(0, 5, "a", "1"), message(1, 0, "b", "2"), message(0, 7, "a", "3"), message(1, 1, "b", ""),
		message(0, 9, "behind the bound", "x"),
	} {
		if err := r.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(noon + 5); err != nil {
		t.Fatal(err)
	}
	if r.Records() != 4 || len(store.entries) != 4 || store.entries[3].Value != nil || string(store.entries[2].Value) != "\x003" {
		t.Fatalf("%d records: %q", r.Records(), store.entries)
	}
	m := store.metas[len(store.metas)-1]
	// The ends are reached though the last offsets are control records.
	if m.Restoring || m.Epoch != 812 || m.Owner != "7-aa" || m.Wall != noon+5 || fmt.Sprint(m.Positions) != "[9 2]" {
		t.Errorf("closed with %+v", m)
	}
}

func TestEveryBatchCarriesThePositions(t *testing.T) {
	var store recorder
	const n = 2*batchEntries + 10
	r := NewReplayer(&store, state.Meta{Epoch: 9, Wall: noon}, []record.Offset{0}, []record.Offset{n})
	for i := range record.Offset(n) {
		if err := r.Add(message(0, i, fmt.Sprint("key", i), "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(noon + 1); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(store.batches) != fmt.Sprint([]int{batchEntries, batchEntries, 10}) {
		t.Fatalf("batches %v", store.batches)
	}
	done := record.Offset(0)
	for i, m := range store.metas {
		done += record.Offset(store.batches[i])
		last := i == len(store.metas)-1
		if m.Positions[0] != done || m.Restoring == last || !last && m.Wall != noon {
			t.Errorf("batch %d: %+v", i, m)
		}
	}
	for i, e := range store.entries {
		if a, err := state.ParseKey(e.Key); err != nil || string(a.Key) != fmt.Sprint("key", i) {
			t.Fatalf("entry %d is %q", i, e.Key)
		}
	}
}

// TestNoBatchIsLargerThanItsLimit: 14 values of 290 kB fill the memory of a batch
// so far that the next does not fit, without reaching the limit.
func TestNoBatchIsLargerThanItsLimit(t *testing.T) {
	var store recorder
	r := NewReplayer(&store, state.Meta{}, []record.Offset{0}, []record.Offset{200})
	value := strings.Repeat("v", 290_000)
	for i := range record.Offset(100) {
		if err := r.Add(message(0, i, "k", value)); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.batches) < 6 {
		t.Errorf("29 MB are %d batches", len(store.batches))
	}
}

func TestLargeRecordsMakeBatches(t *testing.T) {
	var store recorder
	r := NewReplayer(&store, state.Meta{}, []record.Offset{0}, []record.Offset{100})
	value := strings.Repeat("v", 1<<20)
	for i := range record.Offset(20) {
		if err := r.Add(message(0, i, "k", value)); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.batches) < 4 {
		t.Errorf("20 MiB are %d batches", len(store.batches))
	}
	for _, e := range store.entries {
		if string(e.Value[1:]) != value {
			t.Fatal("a value is damaged")
		}
	}
}

func TestReplayRefuses(t *testing.T) {
	key := message(0, 0, "k", "v").Key
	newer := message(0, 0, "k", "v")
	newer.Key = append([]byte{format + 1}, newer.Key[1:]...)
	for _, c := range []struct {
		name string
		m    record.Message
		want string
	}{
		{"partition that is none", record.Message{Partition: 2, Key: key}, "2 partitions"},
		{"record behind the checkpoint", message(1, 7, "k", "v"), "behind the last checkpoint"},
		{"no key", record.Message{Value: []byte{1, 0, 0}}, "foreign writer"},
		{"short key", record.Message{Key: []byte{1, 2}}, "foreign writer"},
		{"key group of another partition", record.Message{Partition: 1, Key: key}, "another partition"},
		{"empty value", record.Message{Key: key, Value: []byte{}}, "foreign writer"},
		{"value without content", record.Message{Key: key, Value: []byte{1, 0}}, "foreign writer"},
		{"value that is cut", record.Message{Key: key, Value: []byte{1, 0x80}}, "foreign writer"},
		{"newer key", newer, "[state-incompatible]"},
		{"newer value", record.Message{Key: key, Value: []byte{format + 1, 0, 0}}, "[state-incompatible]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReplayer(&recorder{}, state.Meta{}, make([]record.Offset, 2), []record.Offset{10, 10})
			r.Committed = []record.Offset{7, 7}
			var refusal *Refusal
			if err := r.Add(c.m); !errors.As(err, &refusal) || refusal.Exit != 6 || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestSlowRestoreIsRefused(t *testing.T) {
	var store recorder
	r := NewReplayer(&store, state.Meta{}, []record.Offset{0}, []record.Offset{0})
	r.Deadline = noon
	var refusal *Refusal
	if err := r.Finish(noon + 1); !errors.As(err, &refusal) || len(store.metas) != 0 {
		t.Errorf("%v", err)
	}
	if err := r.Finish(noon); err != nil {
		t.Error(err)
	}
}

func TestErrorOfTheStoreIsReturned(t *testing.T) {
	want := errors.New("disk")
	r := NewReplayer(&recorder{fail: want}, state.Meta{}, []record.Offset{0}, []record.Offset{9})
	if err := errors.Join(r.Add(message(0, 0, "k", "v")), r.Finish(1)); !errors.Is(err, want) {
		t.Error(err)
	}
}

// TestChangelogIsTheState replays the deltas of many epochs, in pieces and with
// interruptions, into a new store, and finds the state of the last epoch.
func TestChangelogIsTheState(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const groups = 4
	source, _ := state.Open(state.Options{Backend: state.BackendMemory, Memory: 1 << 20})
	defer source.Close()
	table, err := source.Table(state.TableOptions{Store: 3, First: 0, Last: groups - 1, Memory: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	logs := make([][]record.Message, groups)
	want := map[string]string{}
	for epoch := uint64(1); epoch <= 30; epoch++ {
		for range 200 {
			k := rng.IntN(500)
			key, g := fmt.Sprint("key", k), record.KeyGroup(k%groups)
			if rng.IntN(3) == 0 {
				err = table.Delete(g, 0, []byte(key))
				delete(want, key)
			} else {
				want[key] = fmt.Sprint("v", rng.IntN(1e6))
				if k == 7 {
					want[key] = strings.Repeat(want[key], 200_000) // in chunks
				}
				err = table.Put(g, 0, []byte(key), []byte(want[key]))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		d := table.Freeze(epoch)
		err = d.Each(func(g record.KeyGroup, key, value []byte) error {
			p := Partition(g)
			m := record.Message{Partition: p, Offset: record.Offset(len(logs[p])), Key: AppendKey(nil, key)}
			if value != nil {
				m.Value = AppendValue(nil, value)
			}
			logs[p] = append(logs[p], m)
			return nil
		})
		if err = errors.Join(err, source.Apply(state.Meta{Epoch: epoch}, []*state.Delta{d})); err != nil {
			t.Fatal(err)
		}
		table.Applied(epoch)
	}
	checkRestored(t, restore(t, logs, rng, func() int { return 0 }), want)
	checkRestored(t, restore(t, logs, rng, func() int { return 60_000 }), want)
	for range 5 { // an interrupted restore may be large, and what is left of it small
		checkRestored(t, restore(t, logs, rng, func() int { return rng.IntN(2) * 20_000 }), want)
	}
}

// TestRunsAreBounded: what is sorted in memory takes no more than it may, small
// entries too, and what is left at the end is ingested as well.
func TestRunsAreBounded(t *testing.T) {
	var store recorder
	r := NewReplayer(&store, state.Meta{}, []record.Offset{0}, []record.Offset{1000})
	r.RunBytes = 20_000
	for i := range record.Offset(1000) {
		if err := r.Add(message(0, i, fmt.Sprint("key", i), "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Finish(1); err != nil {
		t.Fatal(err)
	}
	for _, n := range store.batches {
		if n > 20_000/entryBytes {
			t.Errorf("a run has %d entries", n)
		}
	}
	if last := store.metas[len(store.metas)-1]; store.ingested != len(store.batches) || len(store.entries) != 1000 || last.Restoring {
		t.Errorf("%d of %d runs are ingested, %d entries, %+v", store.ingested, len(store.batches), len(store.entries), last)
	}
}

// restore fills a store, stopping and going on from its positions on the way.
// run says how much memory each part takes.
func restore(t *testing.T, logs [][]record.Message, rng *rand.Rand, run func() int) *state.DB {
	db, err := state.Open(state.Options{Backend: state.BackendMemory, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ends := make([]record.Offset, len(logs))
	for i, l := range logs {
		ends[i] = record.Offset(len(l))
	}
	from := make([]record.Offset, len(logs))
	for round := range 5 {
		r := NewReplayer(db, state.Meta{Epoch: 30}, from, ends)
		r.RunBytes = run()
		for p, l := range logs {
			to := len(l)
			if round < 4 {
				to = int(from[p]) + rng.IntN(len(l)-int(from[p])+1)
			}
			for _, m := range l[from[p]:to] {
				if err := r.Add(m); err != nil {
					t.Fatal(err)
				}
			}
		}
		if round < 4 {
			err = r.flush() // then the process dies
		} else {
			err = r.Finish(1)
		}
		if err != nil {
			t.Fatal(err)
		}
		m, ok := db.Meta()
		if !ok || m.Restoring != (round < 4) {
			t.Fatalf("round %d: %+v", round, m)
		}
		from = m.Positions
	}
	return db
}

func checkRestored(t *testing.T, db *state.DB, want map[string]string) {
	t.Helper()
	table, err := db.Table(state.TableOptions{Store: 3, First: 0, Last: 31})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	err = table.Scan(0, func(_ record.KeyGroup, key, value []byte) error {
		found++
		if want[string(key)] != string(value) {
			return fmt.Errorf("%s is %.20q instead of %.20q", key, value, want[string(key)])
		}
		return nil
	})
	if err != nil || found != len(want) || found == 0 {
		t.Errorf("restored %d entries of %d: %v", found, len(want), err)
	}
}

func FuzzRecord(f *testing.F) {
	m := message(5, 0, "k", "v")
	f.Add(m.Key, m.Value)
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if address, err := ParseKey(key); err == nil {
			if again := AppendKey(nil, address); !bytes.Equal(again, key) {
				t.Fatalf("key %x is %x", key, again)
			}
		}
		stored, expires, err := ParseValue(value)
		if err != nil || expires != 0 {
			return
		}
		if again, _, err := ParseValue(AppendValue(nil, stored)); err != nil || !bytes.Equal(again, stored) {
			t.Fatalf("value %x: %v", value, err)
		}
	})
}

// BenchmarkRestore reads a changelog whose keys come in no order into an empty
// store: by batches, and sorted.
func BenchmarkRestore(b *testing.B) {
	const n = 1_000_000
	rng := rand.New(rand.NewPCG(1, 2))
	key, value := make([]byte, 16), bytes.Repeat([]byte("v"), 100)
	build := func(i int) record.Message {
		binary.BigEndian.PutUint64(key, rng.Uint64())
		binary.BigEndian.PutUint64(key[8:], uint64(i))
		address := state.AppendKey(nil, 3, 0, 0, key)
		return record.Message{Offset: record.Offset(i), Key: AppendKey(nil, address), Value: AppendValue(nil, append([]byte{0}, value...))}
	}
	messages := make([]record.Message, n)
	for i := range messages {
		messages[i] = build(i)
	}
	for _, run := range []int{0, 64 << 20, 8 << 20} {
		b.Run(fmt.Sprintf("run=%dMiB", run>>20), func(b *testing.B) {
			var cpu int64
			for b.Loop() {
				db, err := state.Open(state.Options{Dir: b.TempDir(), Memory: 512 << 20})
				if err != nil {
					b.Fatal(err)
				}
				began := cpuTime(b)
				r := NewReplayer(db, state.Meta{Epoch: 1}, []record.Offset{0}, []record.Offset{n})
				r.RunBytes = run
				for _, m := range messages {
					if err := r.Add(m); err != nil {
						b.Fatal(err)
					}
				}
				if err := errors.Join(r.Finish(1), db.Flush(), db.Close()); err != nil {
					b.Fatal(err)
				}
				cpu += cpuTime(b) - began
			}
			b.ReportMetric(float64(cpu)/float64(b.N)/n, "cpu-ns/record")
		})
	}
}

func cpuTime(b *testing.B) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
