package stagedfile

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// memory is a directory in memory that can crash: of what was written to a file
// only the synced part is sure to be left, of the names those at the last sync of
// the directory and some of the steps since, in their order. Its log is the order
// of operations that the durability of a commit rests on.
type memory struct {
	files   map[string]*memFile
	durable map[string]*memFile // at the last sync of the directory
	steps   []func(map[string]*memFile)
	log     []string
	failOn  string // the operation that fails, once
	rng     *rand.Rand
}

type memFile struct {
	dir    *memory
	name   string
	data   []byte
	synced int
}

func newMemory() *memory {
	return &memory{files: map[string]*memFile{}, durable: map[string]*memFile{}, rng: rand.New(rand.NewPCG(1, 2))}
}

var errInjected = errors.New("injected")

func (m *memory) op(text string) error {
	m.log = append(m.log, text)
	if m.failOn != "" && strings.HasPrefix(text, m.failOn) {
		m.failOn = ""
		return errInjected
	}
	return nil
}

// step changes the names now, and perhaps on the disk.
func (m *memory) step(change func(map[string]*memFile)) {
	change(m.files)
	m.steps = append(m.steps, change)
}

func (m *memory) Create(name string) (File, error) {
	if m.files[name] != nil {
		return nil, fs.ErrExist
	}
	f := &memFile{dir: m, name: name}
	m.step(func(names map[string]*memFile) { names[name] = f })
	return f, m.op("create " + name)
}

func (m *memory) Open(name string) (io.ReadCloser, error) {
	f := m.files[name]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(f.data)), nil
}

func (m *memory) Move(from, to string) error {
	switch {
	case m.files[from] == nil:
		return fs.ErrNotExist
	case m.files[to] != nil:
		return fs.ErrExist
	}
	if err := m.op("move " + from + " " + to); err != nil {
		return err
	}
	m.step(func(names map[string]*memFile) {
		names[to] = names[from]
		delete(names, from)
	})
	return nil
}

func (m *memory) Remove(name string) error {
	if m.files[name] == nil {
		return fs.ErrNotExist
	}
	if err := m.op("remove " + name); err != nil {
		return err
	}
	m.step(func(names map[string]*memFile) { delete(names, name) })
	return nil
}

func (m *memory) List() ([]string, error) { return slices.Sorted(maps.Keys(m.files)), nil }

func (m *memory) Sync() error {
	if err := m.op("sync directory"); err != nil {
		return err
	}
	m.durable, m.steps = maps.Clone(m.files), nil
	return nil
}

// crash is the end of the machine.
func (m *memory) crash() {
	for _, change := range m.steps[:m.rng.IntN(len(m.steps)+1)] {
		change(m.durable)
	}
	m.steps = nil
	m.files = maps.Clone(m.durable)
	for _, f := range m.files {
		f.data = f.data[:f.synced+m.rng.IntN(len(f.data)-f.synced+1)]
	}
}

func (f *memFile) Write(b []byte) (int, error) {
	f.data = append(f.data, b...)
	return len(b), f.dir.op("write " + f.name)
}

func (f *memFile) Sync() error {
	f.synced = len(f.data)
	return f.dir.op("sync " + f.name)
}

func (f *memFile) Close() error { return nil }
