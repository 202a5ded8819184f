package stagedfile

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kstream/checkpoint"
	"kstream/codec"
	"kstream/record"
	"kstream/sink/twophase"
	"kstream/sink/twophase/contract"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files")

func options(compression string) Options {
	return Options{Pipeline: "job", Dir: "/data", Base: "out.txt", Compression: compression}
}

// system makes the directory a contract.System.
type system struct {
	*memory
	compression string
}

func (s system) Open() contract.Sink { return New(s.memory, options(s.compression)) }

func (s system) Visible() ([]string, error) {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if strings.HasPrefix(name, ".") {
			continue
		}
		r, err := codec.NewStreamReader(s.compression, bytes.NewReader(s.files[name].data))
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")...)
	}
	return lines, nil
}

func (s system) Crash() { s.crash() }

func (s system) Forget() {
	s.step(func(names map[string]*memFile) { clear(names) })
	_ = s.memory.Sync() // the memory has no reason to fail
}

func TestKeepsTheContract(t *testing.T) {
	for _, c := range []string{codec.StreamNone, codec.StreamGzip, codec.StreamZstd} {
		t.Run(c, func(t *testing.T) {
			contract.Test(t, func(*testing.T) contract.System { return system{newMemory(), c} })
		})
	}
}

func prepared(t *testing.T, m *memory) (*Sink, twophase.Handle) {
	t.Helper()
	s := New(m, options("none"))
	ctx := context.Background()
	err := errors.Join(
		s.Recover(ctx, twophase.Owner{Incarnation: 3, ID: "3-ab"}, nil),
		s.Begin(ctx, 8),
		s.Write(ctx, []record.Message{{Value: []byte("x")}, {Value: []byte("y")}}),
	)
	if err != nil {
		t.Fatal(err)
	}
	handles, err := s.Prepare(ctx, 8)
	if err != nil || len(handles) != 1 {
		t.Fatalf("%d handles, %v", len(handles), err)
	}
	return s, handles[0]
}

// TestOrderOfOperations holds the order that durability rests on: a sync that is
// missing is a difference.
func TestOrderOfOperations(t *testing.T) {
	ctx := context.Background()
	m := newMemory()
	note := func(text string) { m.log = append(m.log, "# "+text) }
	note("epoch 8: write and prepare")
	s, h := prepared(t, m)
	note("commit")
	must(t, s.Commit(ctx, h))
	note("commit again")
	must(t, s.Commit(ctx, h))
	note("epoch 9: prepare, and the process dies")
	must(t, errors.Join(s.Begin(ctx, 9), s.Write(ctx, []record.Message{{Value: []byte("z")}})))
	_, err := s.Prepare(ctx, 9)
	must(t, err)
	note("recover with the record of epoch 8")
	heir := New(m, options("none"))
	must(t, heir.Recover(ctx, twophase.Owner{Incarnation: 4, ID: "4-cd"}, []twophase.Handle{h}))
	note("a record that does not name it any more is committed")
	must(t, heir.Forget(h))
	got := strings.Join(m.log, "\n") + "\n"
	path := filepath.Join("testdata", "operations.txt")
	if *rewrite {
		must(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("operations:\n%s\nwant:\n%s", got, want)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestAFailedOperationFailsPrepare(t *testing.T) {
	for _, what := range []string{"create", "write", "sync .out", "sync directory"} {
		m := newMemory()
		m.failOn = what
		s := New(m, options("none"))
		ctx := context.Background()
		err := errors.Join(s.Begin(ctx, 1), s.Write(ctx, []record.Message{{Value: []byte("x")}}))
		if err == nil {
			_, err = s.Prepare(ctx, 1)
		}
		if !errors.Is(err, errInjected) {
			t.Errorf("%s fails: %v", what, err)
		}
	}
}

func TestAFailedCommitIsTemporary(t *testing.T) {
	for _, what := range []string{"move", "create", "sync directory"} {
		m := newMemory()
		s, h := prepared(t, m)
		m.failOn = what
		if err := s.Commit(context.Background(), h); !errors.Is(err, errInjected) || errors.Is(err, twophase.ErrLost) {
			t.Fatalf("commit: %v", err)
		}
		if err := s.Commit(context.Background(), h); err != nil {
			t.Fatalf("commit again: %v", err)
		}
		if got := m.files["out-0-8.txt"]; got == nil || string(got.data) != "x\ny\n" {
			t.Errorf("%s failed: file %+v", what, got)
		}
	}
}

func TestAnotherFileUnderTheNameIsNotReplaced(t *testing.T) {
	m := newMemory()
	s, h := prepared(t, m)
	m.files["out-0-8.txt"] = &memFile{dir: m, data: []byte("other")}
	if err := s.Commit(context.Background(), h); !errors.Is(err, ErrExists) || errors.Is(err, twophase.ErrLost) {
		t.Errorf("commit over another file: %v", err)
	}
	if got := string(m.files["out-0-8.txt"].data); got != "other" {
		t.Errorf("the other file is now %q", got)
	}
	ctx := context.Background()
	m.files["out-0-9.txt"] = &memFile{dir: m, data: []byte("other")}
	must(t, errors.Join(s.Begin(ctx, 9), s.Write(ctx, []record.Message{{Value: []byte("z")}})))
	if _, err := s.Prepare(ctx, 9); !errors.Is(err, ErrExists) {
		t.Errorf("prepare for a name that is taken: %v", err)
	}
}

// TestAReaderMayTakeAFileAway: what has appeared counts as committed, also when
// it is gone.
func TestAReaderMayTakeAFileAway(t *testing.T) {
	ctx := context.Background()
	m := newMemory()
	s, h := prepared(t, m)
	must(t, s.Commit(ctx, h))
	must(t, m.Remove("out-0-8.txt"))
	must(t, m.Sync())
	for n := uint64(4); n < 7; n++ {
		m.crash()
		must(t, New(m, options("none")).Recover(ctx, twophase.Owner{Incarnation: n, ID: fmt.Sprintf("%d-ef", n)}, []twophase.Handle{h}))
	}
	if m.files["out-0-8.txt"] != nil {
		t.Error("the file has appeared again")
	}
}

// TestDamageIsLost: a staged file that is not what was prepared never appears.
func TestDamageIsLost(t *testing.T) {
	ctx := context.Background()
	m := newMemory()
	_, h := prepared(t, m)
	for name, f := range m.files {
		if strings.HasSuffix(name, stagedSuffix) {
			f.data[0] ^= 1
		}
	}
	err := New(m, options("none")).Recover(ctx, twophase.Owner{Incarnation: 4, ID: "4-cd"}, []twophase.Handle{h})
	if !errors.Is(err, twophase.ErrLost) || m.files["out-0-8.txt"] != nil {
		t.Errorf("recover: %v, files %v", err, slices.Sorted(maps.Keys(m.files)))
	}
}

func TestNames(t *testing.T) {
	for base, want := range map[string]string{
		"hours.jsonl": "hours-2-7.jsonl", "hours.jsonl.gz": "hours-2-7.jsonl.gz", "hours.zst": "hours-2-7.zst",
		"hours": "hours-2-7", "a.b.c": "a.b-2-7.c", ".hidden": ".hidden-2-7", "x.y.zstd": "x-2-7.y.zstd",
	} {
		if got := targetName(Options{Base: base, Subtask: 2}, 7); got != want {
			t.Errorf("%s becomes %s, want %s", base, got, want)
		}
	}
	o, owner := Options{Base: "a.b", Pipeline: "p", Subtask: 3}, twophase.Owner{Slot: 1, Incarnation: 9, ID: "9-ff"}
	name := stagedName(o, owner, 12)
	for _, c := range []struct {
		name string
		o    Options
		n    uint64
		slot int
		want bool
	}{
		{name, o, 10, 1, true}, {name, o, 9, 1, false}, {name, o, 8, 1, false}, {name, o, 10, 2, false},
		{name, Options{Base: "a.b", Pipeline: "q"}, 10, 1, false}, {name, Options{Base: "a", Pipeline: "b"}, 10, 1, false},
		{strings.Replace(name, stagedSuffix, markSuffix, 1), o, 10, 1, true}, {name + ".bak", o, 10, 1, false},
		{".a.b.p.1.note.staged", o, 10, 1, false}, {"a-3-12.b", o, 10, 1, false},
	} {
		if got := dead(c.name, c.o, twophase.Owner{Slot: c.slot, Incarnation: c.n}); got != c.want {
			t.Errorf("dead(%s) for %+v, incarnation %d, slot %d: %v", c.name, c.o, c.n, c.slot, got)
		}
	}
}

func TestDamagedHandlesAreRefused(t *testing.T) {
	m := newMemory()
	_, h := prepared(t, m)
	good, err := decodeWork(h.Opaque)
	must(t, err)
	for i := range h.Opaque {
		b := bytes.Clone(h.Opaque)
		b[i] ^= 0x41
		if w, err := decodeWork(b); err == nil && w == good {
			t.Errorf("byte %d changed: %q reads as before", i, b)
		}
	}
	for n := range h.Opaque {
		if err := New(m, options("none")).Commit(context.Background(), twophase.Handle{Opaque: h.Opaque[:n]}); err == nil {
			t.Errorf("cut to %d bytes: commits", n)
		}
	}
	for _, w := range []work{{staged: ".a.staged", target: "../a"}, {staged: "../.a.staged", target: "a"}, {staged: ".a.staged", target: ".."},
		{staged: ".a.staged", target: "/a"}, {staged: "a", target: "b"}, {staged: ".a.staged", target: "x\x00"}} {
		if _, err := decodeWork(w.encode()); err == nil {
			t.Errorf("%+v is accepted", w)
		}
	}
}

// TestAnyCrash plays lives that end anywhere, with every kind of crash, against
// the decisions of a coordinator: each decided line is visible exactly once.
func TestAnyCrash(t *testing.T) {
	for seed := range uint64(300) {
		m := newMemory()
		m.rng = rand.New(rand.NewPCG(seed, 1))
		l := &lives{t: t, m: m, rng: rand.New(rand.NewPCG(seed, 2))}
		for range 12 {
			l.live()
		}
		l.m.failOn = ""
		l.start()
		got, err := system{m, "none"}.Visible()
		must(t, err)
		slices.Sort(got)
		slices.Sort(l.want)
		if !slices.Equal(got, l.want) {
			t.Fatalf("seed %d: visible %v, decided %v", seed, got, l.want)
		}
		for name := range m.files {
			if strings.HasSuffix(name, stagedSuffix) {
				t.Fatalf("seed %d: %s is left", seed, name)
			}
		}
	}
}

type lives struct {
	t    *testing.T
	m    *memory
	rng  *rand.Rand
	n    uint64
	c    checkpoint.Epoch
	held []twophase.Handle // of R(c)
	line int
	want []string
}

func (l *lives) start() *Sink {
	l.n++
	s := New(l.m, options("none"))
	must(l.t, s.Recover(context.Background(), twophase.Owner{Incarnation: l.n, ID: fmt.Sprintf("%d-aa", l.n)}, l.held))
	return s
}

// live runs epochs until it ends somewhere in one.
func (l *lives) live() {
	ctx := context.Background()
	s := l.start()
	for {
		epoch := l.c + 1
		must(l.t, s.Begin(ctx, epoch))
		var lines []string
		for range l.rng.IntN(3) {
			l.line++
			lines = append(lines, fmt.Sprint("line ", l.line))
			must(l.t, s.Write(ctx, []record.Message{{Value: []byte(lines[len(lines)-1])}}))
		}
		end := l.rng.IntN(16)
		if end == 0 {
			break
		}
		handles, err := s.Prepare(ctx, epoch)
		must(l.t, err)
		if end == 1 {
			break
		}
		l.c, l.held = epoch, handles
		l.want = append(l.want, lines...)
		if end == 2 {
			break
		}
		for _, h := range handles {
			if end == 3 {
				l.m.failOn = []string{"move", "create", "sync"}[l.rng.IntN(3)]
			}
			if err := s.Commit(ctx, h); end != 3 {
				must(l.t, err)
			}
		}
		if end == 3 {
			break
		}
	}
	l.m.failOn = ""
	if l.rng.IntN(2) == 0 {
		l.m.crash()
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	m := newMemory()
	s := New(m, options("none"))
	ctx := context.Background()
	must(t, s.Begin(ctx, 1))
	batch := []record.Message{{Value: bytes.Repeat([]byte("x"), 20)}}
	must(t, s.Write(ctx, batch))
	s.lines = make([]byte, 0, flushAt) // as after the first flush
	if n := testing.AllocsPerRun(1000, func() { must(t, s.Write(ctx, batch)) }); n > 0 {
		t.Errorf("%v allocations per record", n)
	}
}

func FuzzHandle(f *testing.F) {
	f.Add(work{dir: "/d", staged: ".a.p.0.1.1-b.2.staged", target: "a-0-2", length: 3}.encode())
	f.Add([]byte("1\n\"\"\n\"\"\n\"\"\n-1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		w, err := decodeWork(b)
		if err != nil {
			return
		}
		again, err := decodeWork(w.encode())
		if err != nil || again != w {
			t.Fatalf("%q: %+v, again %+v, %v", b, w, again, err)
		}
	})
}
