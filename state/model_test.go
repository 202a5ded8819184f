package state

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kstream/record"
)

// addr is an address in the model.
type addr struct {
	g   record.KeyGroup
	ns  int64
	key string
}

// world is a map that does what a store and its table should do, beside them.
type world struct {
	t      testing.TB
	fs     FS
	memory int64
	db     *DB
	table  *Table

	now     map[addr]string            // what the running epoch sees
	history map[uint64]map[addr]string // by committed epoch
	log     map[uint64][]Entry         // the changelog, by epoch
	epoch   uint64                     // committed and applied
	frozen  []*Delta
	pending []map[addr]string // the state at each frozen delta
}

const worldStore = 7

func newWorld(t testing.TB, memory int64) *world {
	w := &world{
		t: t, fs: NewCrashFS(), memory: memory, now: map[addr]string{},
		history: map[uint64]map[addr]string{0: {}}, log: map[uint64][]Entry{},
	}
	w.open()
	return w
}

func (w *world) open() {
	db, err := Open(Options{FS: w.fs, Dir: "dir", Memory: 1 << 20})
	if err != nil {
		w.t.Fatalf("open: %v", err)
	}
	w.db = db
	w.table = openTable(w.t, db, w.memory)
}

func openTable(t testing.TB, db *DB, memory int64) *Table {
	t.Helper()
	table, err := db.Table(TableOptions{Store: worldStore, First: 2, Last: 5, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func (w *world) get(a addr) {
	w.t.Helper()
	v, ok, err := w.table.Get(a.g, a.ns, []byte(a.key))
	if err != nil {
		w.t.Fatal(err)
	}
	want, exists := w.now[a]
	if ok != exists || string(v) != want {
		w.t.Fatalf("get %v = %.40q, %v; want %.40q, %v", a, v, ok, want, exists)
	}
}

func (w *world) put(a addr, v string) {
	w.t.Helper()
	if err := w.table.Put(a.g, a.ns, []byte(a.key), []byte(v)); err != nil {
		w.t.Fatal(err)
	}
	w.now[a] = v
}

func (w *world) delete(a addr) {
	w.t.Helper()
	if err := w.table.Delete(a.g, a.ns, []byte(a.key)); err != nil {
		w.t.Fatal(err)
	}
	delete(w.now, a)
}

func (w *world) upsert(a addr, size int) {
	w.t.Helper()
	old, exists := w.now[a]
	v, fresh, err := w.table.Upsert(a.g, a.ns, []byte(a.key), size)
	if exists && len(old) != size {
		if err == nil {
			w.t.Fatalf("upsert of %d bytes over %d is accepted", size, len(old))
		}
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if fresh == exists || len(v) != size || exists && string(v) != old {
		w.t.Fatalf("upsert %v = %q, fresh %v; had %q, %v", a, v, fresh, old, exists)
	}
	if fresh && len(bytes.Trim(v, "\x00")) > 0 {
		w.t.Fatalf("fresh value is not zero: %q", v)
	}
	for i := range v {
		v[i] += byte(i) + 1
	}
	w.now[a] = string(v)
}

func (w *world) scan(ns int64) {
	w.t.Helper()
	got := map[addr]string{}
	err := w.table.Scan(ns, func(g record.KeyGroup, key, value []byte) error {
		a := addr{g, ns, string(key)}
		if _, twice := got[a]; twice {
			w.t.Fatalf("scan meets %v twice", a)
		}
		got[a] = string(value)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	want := map[addr]string{}
	for a, v := range w.now {
		if a.ns == ns {
			want[a] = v
		}
	}
	if !maps.Equal(got, want) {
		w.t.Fatalf("scan %d: %d entries, want %d", ns, len(got), len(want))
	}
}

func (w *world) namespaces() {
	w.t.Helper()
	got, err := w.table.Namespaces()
	if err != nil {
		w.t.Fatal(err)
	}
	seen := map[int64]bool{}
	for a := range w.now {
		seen[a.ns] = true
	}
	if want := slices.Sorted(maps.Keys(seen)); !slices.Equal(got, want) {
		w.t.Fatalf("namespaces %v, want %v", got, want)
	}
}

func (w *world) drop(ns int64) {
	w.t.Helper()
	if err := w.table.DropNamespace(ns); err != nil {
		w.t.Fatal(err)
	}
	maps.DeleteFunc(w.now, func(a addr, _ string) bool { return a.ns == ns })
}

// freeze ends the running epoch.
func (w *world) freeze() {
	n := w.epoch + uint64(len(w.frozen)) + 1
	d := w.table.Freeze(n)
	var entries []Entry
	err := d.Each(func(g record.KeyGroup, key, value []byte) error {
		a, err := ParseKey(key)
		if err != nil || a.Group != g || a.Store != worldStore {
			w.t.Fatalf("delta has the key %q of group %d: %v", key, g, err)
		}
		entries = append(entries, Entry{Key: bytes.Clone(key), Value: bytes.Clone(value)})
		return nil
	})
	if err != nil || len(entries) != d.Len() {
		w.t.Fatalf("delta of %d entries has %d: %v", d.Len(), len(entries), err)
	}
	w.log[n] = entries
	w.frozen = append(w.frozen, d)
	w.pending = append(w.pending, maps.Clone(w.now))
}

// apply commits the oldest frozen epoch.
func (w *world) apply() {
	w.t.Helper()
	if len(w.frozen) == 0 {
		return
	}
	n := w.epoch + 1
	w.history[n] = w.pending[0]
	if err := w.db.Apply(Meta{Epoch: n, Wall: record.Timestamp(n), Positions: []record.Offset{record.Offset(n)}}, w.frozen[:1]); err != nil {
		w.t.Fatal(err)
	}
	w.table.Applied(n)
	w.epoch = n
	w.frozen, w.pending = w.frozen[1:], w.pending[1:]
}

// crash throws the process away and starts again on what the disk has, which
// the changelog then brings to the last committed epoch.
func (w *world) crash(unsynced int, rng *rand.Rand) {
	w.t.Helper()
	image := CrashClone(w.fs, unsynced, rng)
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.fs = image
	w.reopen()
}

// restart ends the process in order, without a last epoch.
func (w *world) restart(flush bool) {
	w.t.Helper()
	if flush {
		if err := w.db.Flush(); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.reopen()
}

func (w *world) reopen() {
	w.t.Helper()
	w.open()
	m, _ := w.db.Meta()
	checkStore(w.t, w.db, w.history[m.Epoch])
	for n := m.Epoch + 1; n <= w.epoch; n++ {
		if err := w.db.Replay(Meta{Epoch: n, Restoring: n < w.epoch}, w.log[n]); err != nil {
			w.t.Fatal(err)
		}
	}
	w.frozen, w.pending = nil, nil
	w.now = maps.Clone(w.history[w.epoch])
	if err := w.table.Close(); err != nil {
		w.t.Fatal(err)
	}
	w.table = openTable(w.t, w.db, w.memory)
}

// checkStore compares all of a store with a state of the model, and finds chunks
// that belong to nothing.
func checkStore(t testing.TB, db *DB, want map[addr]string) {
	t.Helper()
	if err := compareStore(db, want); err != nil {
		t.Fatal(err)
	}
}

func compareStore(db *DB, want map[addr]string) error {
	found, chunks, wantChunks := 0, 0, 0
	err := db.Iterate(nil, func(key, stored []byte) error {
		value, ok, err := db.Value(key, stored)
		if err != nil {
			return err
		}
		if !ok {
			chunks++
			return nil
		}
		a, err := ParseKey(key)
		if err != nil {
			return err
		}
		found++
		wantChunks += chunkCount(len(value))
		if v, ok := want[addr{a.Group, a.Namespace, string(a.Key)}]; !ok || v != string(value) {
			return fmt.Errorf("store has %q = %.40q, want %.40q, %v", key, value, v, ok)
		}
		return nil
	})
	if err == nil && (found != len(want) || chunks != wantChunks) {
		err = fmt.Errorf("store has %d entries and %d chunks, want %d and %d", found, chunks, len(want), wantChunks)
	}
	return err
}

// invariants checks the insides of the table against each other.
func (w *world) invariants() {
	w.t.Helper()
	t := w.table
	var used, dirtyBytes int64
	live, indexed, dirty := 0, 0, 0
	for i := range t.slab.blocks {
		t.slab.each(int32(i), func(r ref, s slot) {
			used += int64(t.slab.size(r))
			if s.is(flagDead) {
				return
			}
			indexed++
			if got, _ := t.find(t.tag(s.group(), s.namespace(), s.key()), s.group(), s.namespace(), s.key()); got != r {
				w.t.Fatalf("slot %x is not found by its address", r)
			}
			if !s.is(flagTomb) {
				live++
			}
			if s.is(flagDirty) {
				dirty++
				dirtyBytes += int64(t.slab.size(r))
				if t.dirty[s.dirtyAt()] != r {
					w.t.Fatalf("slot %x is not at its place in the dirty list", r)
				}
			}
		})
	}
	linked := 0
	for _, i := range t.names.index {
		n := t.names.infos[i]
		count := 0
		for r := n.head; r != 0; r = t.slab.at(r).next() {
			count++
		}
		if count != int(n.live) {
			w.t.Fatalf("a namespace counts %d entries and links %d", n.live, count)
		}
		linked += count
	}
	if used != t.slab.used || live != t.live || linked != live || indexed != t.index.count ||
		dirty != len(t.dirty) || dirtyBytes != t.dirtyBytes {
		w.t.Fatalf("used %d/%d live %d/%d/%d indexed %d/%d dirty %d/%d %d/%d", used, t.slab.used, live, t.live, linked,
			indexed, t.index.count, dirty, len(t.dirty), dirtyBytes, t.dirtyBytes)
	}
}

// program is bytes that say what to do.
type program struct {
	data []byte
	rng  *rand.Rand
}

func (p *program) byte() byte {
	if len(p.data) == 0 {
		return 0
	}
	b := p.data[0]
	p.data = p.data[1:]
	return b
}

func (p *program) addr() addr {
	b := p.byte()
	k := p.byte()
	return addr{
		g:  record.KeyGroup(2 + k%4),
		ns: int64(b%8)*60_000 - 120_000,
		// Some keys are prefixes of others, and some are as long as a slot.
		key: strings.Repeat("k", int(b%3)) + string(rune('a'+k%32)) + strings.Repeat("z", int(k/32)*9),
	}
}

func (p *program) value() string {
	b := binary.LittleEndian.Uint16([]byte{p.byte(), p.byte()})
	size := int(b % 200)
	switch {
	case b%251 == 0:
		size = ChunkSize - 1 + int(b%3)
	case b%257 == 0:
		size = 3*ChunkSize + int(b%100)
	case b%19 == 0:
		size = int(b) // up to 64 KiB
	}
	return strings.Repeat(string([]byte{byte(b), byte(b >> 8), 'x'}), size/3+1)[:size]
}

// run does what the program says, and checks after each step.
func (p *program) run(w *world) {
	for len(p.data) > 0 {
		switch op := p.byte() % 64; {
		case op < 18:
			w.upsert(p.addr(), 8)
		case op < 30:
			w.get(p.addr())
		case op < 40:
			w.put(p.addr(), p.value())
		case op < 46:
			w.delete(p.addr())
		case op < 48:
			w.scan(p.addr().ns)
		case op < 50:
			w.namespaces()
		case op < 51:
			w.drop(p.addr().ns)
			w.dropPrefixed(p.addr())
			w.sweep(p.byte())
		case op < 55:
			if len(w.frozen) < 3 {
				w.freeze()
			}
		case op < 60:
			w.apply()
		case op < 61:
			w.crash(int(p.byte()%101), p.rng)
		case op < 62:
			w.restart(p.byte()%2 == 0)
		default:
			w.invariants()
		}
	}
	w.namespaces()
	for ns := range int64(8) {
		w.scan(ns*60_000 - 120_000)
	}
	w.invariants()
}

func TestTableEqualsMap(t *testing.T) {
	for _, memory := range []int64{0, 3000, 40_000} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("memory=%d/seed=%d", memory, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, uint64(memory)))
				data := make([]byte, 5_000)
				for i := range data {
					data[i] = byte(rng.Uint32())
				}
				w := newWorld(t, memory)
				(&program{data: data, rng: rng}).run(w)
				if err := w.db.Close(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func FuzzTable(f *testing.F) {
	f.Add(uint16(0), []byte("\x00\x01\x02\x32\x38\x3c\x00\x12\x01\x02"))
	f.Add(uint16(2000), bytes.Repeat([]byte{1, 2, 3, 50, 55, 40, 9, 9}, 40))
	f.Fuzz(func(t *testing.T, memory uint16, data []byte) {
		if len(data) > 4000 {
			return
		}
		w := newWorld(t, int64(memory))
		(&program{data: data, rng: rand.New(rand.NewPCG(1, 2))}).run(w)
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
