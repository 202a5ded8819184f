package savepoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"kstream/codec"
	"kstream/record"
	"kstream/state"
)

// Savepoint is a savepoint whose every file has been verified.
type Savepoint struct {
	Manifest   *Manifest
	Checkpoint *Checkpoint
	Pipeline   []byte
	Resolved   []byte

	fsys fs.FS
}

// DamagedError names what is wrong with a savepoint.
type DamagedError struct {
	File string
	Err  error
}

func (e *DamagedError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *DamagedError) Unwrap() error { return e.Err }

func damaged(file string, err error) error { return &DamagedError{File: file, Err: err} }

// Open verifies a savepoint: manifest, names, sizes, hashes and the entries of
// all parts. fsys is the directory; it must not lead out of itself. A savepoint
// that does not verify is a *DamagedError, which may wrap ErrNewerFormat.
func Open(ctx context.Context, fsys fs.FS) (*Savepoint, error) {
	b, err := readText(fsys, ManifestName, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(ManifestName, fmt.Errorf("missing, so this is no complete savepoint: %w", fs.ErrNotExist))
	}
	if err != nil {
		return nil, damaged(ManifestName, err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, damaged(ManifestName, err)
	}
	s := &Savepoint{Manifest: m, fsys: fsys}
	if err := s.checkNames(); err != nil {
		return nil, err
	}
	for i := range m.Files {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := s.verify(ctx, &m.Files[i]); err != nil {
			return nil, err
		}
	}
	return s, s.load()
}

// Describe reads the manifest and the checkpoint only, without the state.
func Describe(fsys fs.FS) (*Savepoint, error) {
	b, err := readText(fsys, ManifestName, maxManifest)
	if err != nil {
		return nil, damaged(ManifestName, err)
	}
	m, err := decodeManifest(b)
	if err != nil {
		return nil, damaged(ManifestName, err)
	}
	s := &Savepoint{Manifest: m, fsys: fsys}
	return s, s.load()
}

// checkNames refuses what the manifest does not know, and everything that is no
// plain file.
func (s *Savepoint) checkNames() error {
	known := map[string]bool{ManifestName: true}
	for _, f := range s.Manifest.Files {
		known[f.Name] = true
	}
	err := fs.WalkDir(s.fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return damaged(name, err)
		case d.IsDir():
			if name != "." && name != "state" {
				return damaged(name, errors.New("a directory that does not belong to a savepoint"))
			}
		case !d.Type().IsRegular():
			return damaged(name, fmt.Errorf("not a plain file (%s)", d.Type()))
		case !known[name]:
			return damaged(name, errors.New("the manifest does not name this file"))
		}
		return nil
	})
	return err
}

// open opens a plain file.
func open(fsys fs.FS, name string) (fs.File, int64, error) {
	info, err := fs.Lstat(fsys, name)
	if err != nil {
		return nil, 0, missing(err)
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("not a plain file (%s)", info.Mode().Type())
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, 0, missing(err)
	}
	return f, info.Size(), nil
}

// missing leaves the name out of an error: the caller has it.
func missing(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

func readText(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, _, err := open(fsys, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("larger than %d bytes", limit)
	}
	return b, err
}

// verify compares one file with the manifest, and reads the entries of a part.
func (s *Savepoint) verify(ctx context.Context, f *File) error {
	file, size, err := open(s.fsys, f.Name)
	if err != nil {
		return damaged(f.Name, err)
	}
	defer file.Close()
	if size != f.Bytes {
		return damaged(f.Name, fmt.Errorf("has %d bytes, the manifest says %d", size, f.Bytes))
	}
	sum := sha256.New()
	r := io.TeeReader(io.LimitReader(file, f.Bytes+1), sum)
	if f.part() {
		err = s.readPart(ctx, f, r, func(record.KeyGroup, []byte, []byte) error { return nil })
	}
	// The entries may not be all there is of the file.
	n, e := io.Copy(io.Discard, r)
	if err == nil && (e != nil || n > 0) {
		err = errors.Join(e, fmt.Errorf("%d bytes follow the entries", n))
		if !f.part() {
			err = e
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return damaged(f.Name, fmt.Errorf("SHA-256 is %s, the manifest says %s", got, f.SHA256))
	}
	if err != nil {
		return damaged(f.Name, err)
	}
	return nil
}

// readPart reads the entries of a part and checks their order and key groups.
func (s *Savepoint) readPart(ctx context.Context, f *File, r io.Reader, fn func(g record.KeyGroup, key, value []byte) error) error {
	z, err := codec.NewZstd(maxFrame)
	if err != nil {
		return err
	}
	var last []byte
	var n int64
	err = readPart(r, z, func(key, value []byte) error {
		a, err := state.ParseKey(key)
		switch {
		case err != nil:
			return err
		case int(a.Group) < f.First || int(a.Group) > f.Last:
			return fmt.Errorf("an entry of key group %d in the part of %d to %d", a.Group, f.First, f.Last)
		case len(value) == 0:
			return errors.New("an entry without a value")
		case last != nil && bytes.Compare(last, key) >= 0:
			return errors.New("the entries are not in order")
		}
		last = append(last[:0], key...)
		if n++; n&0xfff == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return fn(a.Group, key, value)
	})
	if err == nil && n != f.Entries {
		err = fmt.Errorf("%d entries, the manifest says %d", n, f.Entries)
	}
	return err
}

// load reads the texts.
func (s *Savepoint) load() error {
	for _, f := range []struct {
		name string
		into *[]byte
	}{{PipelineName, &s.Pipeline}, {ResolvedName, &s.Resolved}} {
		b, err := readText(s.fsys, f.name, maxText)
		if err != nil {
			return damaged(f.name, err)
		}
		*f.into = b
	}
	b, err := readText(s.fsys, CheckpointName, maxText)
	if err == nil {
		s.Checkpoint, err = decodeCheckpoint(b)
	}
	if err == nil {
		err = s.fits()
	}
	if err != nil {
		return damaged(CheckpointName, err)
	}
	return nil
}

// fits compares checkpoint and manifest.
func (s *Savepoint) fits() error {
	c, m := s.Checkpoint, s.Manifest
	if c.Epoch != m.Checkpoint || c.Pipeline != m.Pipeline || c.MaxParallelism != m.MaxParallelism {
		return fmt.Errorf("it is of checkpoint %d of %s with %d key groups, the manifest of %d of %s with %d",
			c.Epoch, strings.ToValidUTF8(c.Pipeline, "?"), c.MaxParallelism, m.Checkpoint, m.Pipeline, m.MaxParallelism)
	}
	return nil
}

// Entries calls fn with every entry, part by part. Key and value are valid
// during the call.
func (s *Savepoint) Entries(ctx context.Context, fn func(g record.KeyGroup, key, value []byte) error) error {
	for i := range s.Manifest.Files {
		f := &s.Manifest.Files[i]
		if !f.part() {
			continue
		}
		if err := s.entries(ctx, f, fn); err != nil {
			return fmt.Errorf("read %s: %w", f.Name, err)
		}
	}
	return nil
}

func (s *Savepoint) entries(ctx context.Context, f *File, fn func(g record.KeyGroup, key, value []byte) error) error {
	file, _, err := open(s.fsys, f.Name)
	if err != nil {
		return err
	}
	defer file.Close()
	return s.readPart(ctx, f, file, fn)
}

// Group is the key group an entry belongs to when there are max of them. The key
// bytes of every entry begin with the encoded key of its row.
func Group(key []byte, max int) (record.KeyGroup, error) {
	_, rest, err := codec.DecodeKey(key)
	if err != nil {
		return 0, fmt.Errorf("key of an entry: %w", err)
	}
	return record.KeyGroupOf(key[:len(key)-len(rest)], max), nil
}
