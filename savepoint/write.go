package savepoint

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
)

// Directory is a new directory that is being filled. What was closed is durable;
// nothing is visible under the final name before Commit.
type Directory interface {
	// Create makes a file; its Close forces it to the disk.
	Create(name string) (io.WriteCloser, error)
	// Commit gives the directory its final name.
	Commit() error
	// Abandon removes it.
	Abandon() error
}

// Entries are the entries of a committed state.
type Entries interface {
	// Range calls fn with the entries of the key groups first to last, in order
	// of their keys, each once. Key and value are valid during the call.
	Range(first, last record.KeyGroup, fn func(key, value []byte) error) error
}

// Content is what is written besides the state.
type Content struct {
	Pipeline       string
	Version        string // of kstream
	Created        time.Time
	MaxParallelism int
	Checkpoint     *Checkpoint
	PipelineYAML   []byte // as written, literal secrets masked
	ResolvedYAML   []byte // resolved, secrets masked
}

// groupsPerPart is how many key groups share a file.
const groupsPerPart = 16

// Write fills dir and gives it its name. On an error nothing is left of it.
func Write(dir Directory, c *Content, entries Entries) (*Manifest, error) {
	m, err := write(dir, c, entries)
	if err == nil {
		err = dir.Commit()
	}
	if err != nil {
		_ = dir.Abandon()
		return nil, fmt.Errorf("write savepoint: %w", err)
	}
	return m, nil
}

func write(dir Directory, c *Content, entries Entries) (*Manifest, error) {
	m := &Manifest{
		Kind: "Savepoint", Format: Format, Pipeline: c.Pipeline, Checkpoint: c.Checkpoint.Epoch,
		Kstream: c.Version, Created: c.Created.UTC().Truncate(time.Millisecond), MaxParallelism: c.MaxParallelism,
	}
	z, err := codec.NewZstd(maxFrame)
	if err != nil {
		return nil, err
	}
	for first := 0; first < c.MaxParallelism; first += groupsPerPart {
		last := min(first+groupsPerPart, c.MaxParallelism) - 1
		file, err := writePart(dir, z, record.KeyGroup(first), record.KeyGroup(last), counted{entries, c.Checkpoint})
		if err != nil {
			return nil, err
		}
		m.Files = append(m.Files, file)
	}
	if err := m.texts(dir, c); err != nil {
		return nil, err
	}
	slices.SortFunc(m.Files, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range m.Files {
		m.Bytes += f.Bytes
		m.Entries += f.Entries
	}
	text, err := m.encode()
	if err != nil {
		return nil, err
	}
	_, err = writeFile(dir, ManifestName, func(w io.Writer) error { _, err := w.Write(text); return err })
	return m, err
}

// texts writes the other files; the checkpoint has the sizes of the stores.
func (m *Manifest) texts(dir Directory, c *Content) error {
	text, err := c.Checkpoint.encode()
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
	}{{CheckpointName, text}, {PipelineName, c.PipelineYAML}, {ResolvedName, c.ResolvedYAML}} {
		file, err := writeFile(dir, f.name, func(w io.Writer) error { _, err := w.Write(f.text); return err })
		if err != nil {
			return err
		}
		m.Files = append(m.Files, file)
	}
	return nil
}

// counted adds up the entries of each store.
type counted struct {
	entries Entries
	c       *Checkpoint
}

// Range implements Entries.
func (n counted) Range(first, last record.KeyGroup, fn func(key, value []byte) error) error {
	at := map[state.StoreID]*Store{}
	for i := range n.c.Stores {
		at[state.StoreID(n.c.Stores[i].ID)] = &n.c.Stores[i]
	}
	return n.entries.Range(first, last, func(key, value []byte) error {
		a, err := state.ParseKey(key)
		if err != nil {
			return err
		}
		s := at[a.Store]
		if s == nil {
			return fmt.Errorf("an entry of the store %d, which belongs to no step", a.Store)
		}
		s.Entries++
		s.Bytes += int64(len(key) + len(value))
		return fn(key, value)
	})
}

func writePart(dir Directory, z *codec.Zstd, first, last record.KeyGroup, entries Entries) (File, error) {
	var n int64
	f, err := writeFile(dir, partName(first, last), func(w io.Writer) error {
		p, err := newPartWriter(w, z)
		if err == nil {
			err = entries.Range(first, last, p.add)
		}
		if err == nil {
			err = p.flush()
		}
		n = p.entries
		return err
	})
	f.Entries, f.First, f.Last = n, int(first), int(last)
	return f, err
}

// writeFile writes one file and says what it has become.
func writeFile(dir Directory, name string, fill func(io.Writer) error) (File, error) {
	w, err := dir.Create(name)
	if err != nil {
		return File{}, fmt.Errorf("create %s: %w", name, err)
	}
	count := &counter{w: w}
	sum := sha256.New()
	err = fill(io.MultiWriter(count, sum))
	if e := w.Close(); err == nil {
		err = e
	}
	if err != nil {
		return File{}, fmt.Errorf("write %s: %w", name, err)
	}
	return File{Name: name, Bytes: count.n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
