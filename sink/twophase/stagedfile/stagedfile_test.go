package stagedfile

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"kstream/record"
	"kstream/sink/twophase"
	"kstream/sink/twophase/contract"
)

// memory is a directory in memory: what was not synced is lost in a crash. Its
// log is the order of operations that the durability of a commit rests on.
type memory struct {
	files  map[string]*memFile
	log    []string
	failOn string // the operation that fails, once
}

type memFile struct {
	dir    *memory
	name   string
	data   []byte
	synced int
}

func newMemory() *memory { return &memory{files: map[string]*memFile{}} }

var errInjected = errors.New("injected")

func (m *memory) op(text string) error {
	m.log = append(m.log, text)
	if m.failOn != "" && strings.HasPrefix(text, m.failOn) {
		m.failOn = ""
		return errInjected
	}
	return nil
}

func (m *memory) Create(name string) (File, error) {
	if m.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &memFile{dir: m, name: name}
	m.files[name] = f
	return f, m.op("create " + name)
}

func (m *memory) Read(name string) ([]byte, error) {
	f := m.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return f.data, nil
}

func (m *memory) Move(from, to string) error {
	f := m.files[from]
	switch {
	case f == nil:
		return fs.ErrNotExist
	case m.files[to] != nil:
		return fs.ErrExist
	}
	if err := m.op("move " + from + " " + to); err != nil {
		return err
	}
	delete(m.files, from)
	m.files[to] = f
	return nil
}

func (m *memory) Remove(name string) error {
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	if err := m.op("remove " + name); err != nil {
		return err
	}
	delete(m.files, name)
	return nil
}

func (m *memory) List() ([]string, error) { return slices.Sorted(maps.Keys(m.files)), nil }

func (f *memFile) Write(b []byte) (int, error) {
	f.data = append(f.data, b...)
	return len(b), f.dir.op("write " + f.name)
}

func (f *memFile) Sync() error {
	f.synced = len(f.data)
	return f.dir.op("sync " + f.name)
}

func (f *memFile) Close() error { return nil }

// system makes the directory a contract.System.
type system struct{ *memory }

func (s system) Open() contract.Sink { return New(s.memory, "out") }

func (s system) Visible() ([]string, error) {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if !strings.HasPrefix(name, ".") {
			text := strings.TrimSuffix(string(s.files[name].data), "\n")
			lines = append(lines, strings.Split(text, "\n")...)
		}
	}
	return lines, nil
}

func (s system) Crash() {
	for _, f := range s.files {
		f.data = f.data[:f.synced]
	}
}

func (s system) Forget() { clear(s.files) }

func TestKeepsTheContract(t *testing.T) {
	contract.Test(t, func(*testing.T) contract.System { return system{newMemory()} })
}

func prepared(t *testing.T, m *memory) (*Sink, twophase.Handle) {
	t.Helper()
	s := New(m, "out")
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

func TestOrderOfOperations(t *testing.T) {
	m := newMemory()
	s, h := prepared(t, m)
	if err := s.Commit(context.Background(), h); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"create .out.0.3-ab.8.staged",
		"write .out.0.3-ab.8.staged",
		"sync .out.0.3-ab.8.staged",
		"move .out.0.3-ab.8.staged out-0-8",
	}
	if !slices.Equal(m.log, want) {
		t.Errorf("operations:\n%s\nwant:\n%s", strings.Join(m.log, "\n"), strings.Join(want, "\n"))
	}
}

func TestAFailedSyncFailsPrepare(t *testing.T) {
	m := newMemory()
	m.failOn = "sync"
	s := New(m, "out")
	ctx := context.Background()
	if err := errors.Join(s.Begin(ctx, 1), s.Write(ctx, []record.Message{{Value: []byte("x")}})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prepare(ctx, 1); !errors.Is(err, errInjected) {
		t.Errorf("prepare: %v", err)
	}
}

func TestAFailedMoveIsTemporary(t *testing.T) {
	m := newMemory()
	s, h := prepared(t, m)
	m.failOn = "move"
	if err := s.Commit(context.Background(), h); !errors.Is(err, errInjected) || errors.Is(err, twophase.ErrLost) {
		t.Fatalf("commit: %v", err)
	}
	if err := s.Commit(context.Background(), h); err != nil {
		t.Fatalf("commit again: %v", err)
	}
	if got := m.files["out-0-8"]; got == nil || !bytes.Equal(got.data, []byte("x\ny\n")) {
		t.Errorf("file %+v", got)
	}
}

func TestAnotherFileUnderTheNameIsNotReplaced(t *testing.T) {
	m := newMemory()
	s, h := prepared(t, m)
	m.files["out-0-8"] = &memFile{dir: m, data: []byte("other")}
	if err := s.Commit(context.Background(), h); !errors.Is(err, fs.ErrExist) {
		t.Errorf("commit over another file: %v", err)
	}
	if got := string(m.files["out-0-8"].data); got != "other" {
		t.Errorf("the other file is now %q", got)
	}
}

func TestDamagedHandlesAreRefused(t *testing.T) {
	m := newMemory()
	s, h := prepared(t, m)
	for i := range h.Opaque {
		bad := h
		bad.Opaque = bytes.Clone(h.Opaque)
		bad.Opaque[i] ^= 0x41
		if err := s.Commit(context.Background(), bad); err == nil {
			if m.files["out-0-8"] == nil {
				// The target is a name chosen by the handle: a changed one is another
				// valid handle.
				m = newMemory()
				s, h = prepared(t, m)
				continue
			}
			t.Errorf("byte %d changed: %q commits", i, bad.Opaque)
		}
	}
	for n := range h.Opaque {
		if err := s.Commit(context.Background(), twophase.Handle{Opaque: h.Opaque[:n]}); err == nil {
			t.Errorf("cut to %d bytes: commits", n)
		}
	}
}

func FuzzHandle(f *testing.F) {
	f.Add(work{staged: ".a.0.1-b.2.staged", target: "a-0-2", length: 3}.encode())
	f.Add([]byte("1\n\n\n-1\n"))
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
