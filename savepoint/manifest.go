package savepoint

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"kstream/record"
)

// Format is the version this release writes; it reads all up to it.
const Format = 1

// Names of the files.
const (
	ManifestName   = "manifest.json"
	CheckpointName = "checkpoint.json"
	PipelineName   = "pipeline.yaml"
	ResolvedName   = "resolved.yaml"
)

// The limits a manifest must keep.
const (
	maxManifest = 256 << 20
	maxText     = 64 << 20 // checkpoint.json and the pipeline files
	maxParts    = 1_000_000
	maxTotal    = 1 << 40 // bytes of all files together
)

// ErrNewerFormat says that a newer kstream wrote the savepoint.
var ErrNewerFormat = errors.New("written by a newer kstream")

// Manifest says what a savepoint consists of.
type Manifest struct {
	Kind           string    `json:"kind"` // Savepoint
	Format         int       `json:"format"`
	Pipeline       string    `json:"pipeline"`
	Checkpoint     uint64    `json:"checkpoint"` // the epoch
	Kstream        string    `json:"kstream"`    // version
	Created        time.Time `json:"created"`
	MaxParallelism int       `json:"max_parallelism"`
	Files          []File    `json:"files"` // all but the manifest, in order of their names
	Entries        int64     `json:"entries"`
	Bytes          int64     `json:"bytes"` // of all files
}

// File is one file of a savepoint. First and Last are the key groups of a part.
type File struct {
	Name    string `json:"name"`
	Bytes   int64  `json:"bytes"`
	SHA256  string `json:"sha256"`
	Entries int64  `json:"entries,omitempty"`
	First   int    `json:"first_group,omitempty"`
	Last    int    `json:"last_group,omitempty"`
}

// part reports whether the file holds state.
func (f *File) part() bool { return strings.HasPrefix(f.Name, "state/") }

// partName is the file of a range of key groups.
func partName(first, last record.KeyGroup) string {
	return fmt.Sprintf("state/kg-%04d-%04d.part", first, last)
}

// encode is the text of the manifest.
func (m *Manifest) encode() ([]byte, error) {
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(b, '\n'), nil
}

// decodeManifest reads and checks a manifest; it trusts nothing.
func decodeManifest(b []byte) (*Manifest, error) {
	var format struct {
		Kind   string `json:"kind"`
		Format int    `json:"format"`
	}
	if err := json.Unmarshal(b, &format); err != nil {
		return nil, fmt.Errorf("%s is no JSON: %w", ManifestName, err)
	}
	switch {
	case format.Kind != "Savepoint":
		return nil, fmt.Errorf("%s is of kind %.40q, a savepoint's is \"Savepoint\"", ManifestName, format.Kind)
	case format.Format > Format:
		return nil, fmt.Errorf("format %d, this kstream reads up to %d: %w", format.Format, Format, ErrNewerFormat)
	}
	m := &Manifest{}
	if err := strictJSON(b, m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestName, err)
	}
	return m, nil
}

// strictJSON decodes one value and nothing behind it.
func strictJSON(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the value")
	}
	return nil
}

func (m *Manifest) check() error {
	switch {
	case m.Format < 1:
		return fmt.Errorf("format %d does not exist", m.Format)
	case m.Pipeline == "" || m.Checkpoint == 0:
		return errors.New("the pipeline or the checkpoint is missing")
	case m.MaxParallelism < 1 || m.MaxParallelism > 1024:
		return fmt.Errorf("max_parallelism %d is outside of 1 to 1024", m.MaxParallelism)
	case len(m.Files) > maxParts:
		return fmt.Errorf("%d files are more than %d", len(m.Files), maxParts)
	}
	var bytes, entries int64
	for i := range m.Files {
		f := &m.Files[i]
		if err := f.check(); err != nil {
			return err
		}
		if i > 0 && m.Files[i-1].Name >= f.Name {
			return fmt.Errorf("the files are not in order at %.100q", f.Name)
		}
		bytes, entries = bytes+f.Bytes, entries+f.Entries
		if bytes > maxTotal {
			return fmt.Errorf("the files have more than %d bytes", int64(maxTotal))
		}
	}
	if bytes != m.Bytes || entries != m.Entries {
		return errors.New("the sums do not fit the files")
	}
	return m.checkParts()
}

func (f *File) check() error {
	text := f.Name == CheckpointName || f.Name == PipelineName || f.Name == ResolvedName
	sum, err := hex.DecodeString(f.SHA256)
	switch {
	case !text && (path.Clean(f.Name) != f.Name || path.Dir(f.Name) != "state" || f.Name != partName(record.KeyGroup(f.First), record.KeyGroup(f.Last))):
		return fmt.Errorf("%.100q is no file of a savepoint", f.Name)
	case text && (f.Bytes > maxText || f.Entries != 0):
		return fmt.Errorf("%s: %d bytes, %d entries", f.Name, f.Bytes, f.Entries)
	case f.Bytes < 0 || f.Bytes > maxTotal || f.Entries < 0:
		return fmt.Errorf("%s has an impossible size", f.Name)
	case err != nil || len(sum) != 32:
		return fmt.Errorf("%s has no SHA-256", f.Name)
	}
	return nil
}

// checkParts demands that the parts cover every key group once, in order.
func (m *Manifest) checkParts() error {
	next := 0
	for i := range m.Files {
		f := &m.Files[i]
		if !f.part() {
			continue
		}
		if f.First != next || f.Last < f.First {
			return fmt.Errorf("the parts do not cover key group %d once", next)
		}
		next = f.Last + 1
	}
	if next != m.MaxParallelism {
		return fmt.Errorf("the parts cover %d key groups of %d", next, m.MaxParallelism)
	}
	for _, name := range []string{CheckpointName, PipelineName, ResolvedName} {
		if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == name }) {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}
