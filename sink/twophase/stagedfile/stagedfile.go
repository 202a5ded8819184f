// Package stagedfile is the reference participant of two-phase commit: the
// records of an epoch become the lines of a text file that is staged under a
// hidden name and appears under its final name at the commit. It exists to pin
// the contract down and is small enough to be read in one go.
//
//	write    append to .<base>.<slot>.<owner id>.<epoch>.staged
//	prepare  sync the file; the handle holds both names, the length and the hash
//	commit   move staged → <base>-<slot>-<epoch>, never over another file
//	recover  commit what is named, remove staged files of dead incarnations
package stagedfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/sink/twophase"
)

// FS is one directory. Create, Move and Remove are durable when they return;
// what is written to a file is durable after its Sync.
type FS interface {
	// Create makes a new file; one that exists is fs.ErrExist.
	Create(name string) (File, error)
	// Read is the contents of a file, fs.ErrNotExist if there is none.
	Read(name string) ([]byte, error)
	// Move renames a file in one step. It never replaces one: then it is
	// fs.ErrExist. A missing source is fs.ErrNotExist.
	Move(from, to string) error
	// Remove removes a file, fs.ErrNotExist if there is none.
	Remove(name string) error
	// List gives the names in the directory.
	List() ([]string, error)
}

// File is a file being written.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

const (
	handleVersion = "1"
	stagedSuffix  = ".staged"
)

// Sink writes one subtask's files. It is a twophase.Writer and a
// twophase.Participant.
type Sink struct {
	fs    FS
	base  string
	owner twophase.Owner // set by Recover

	epoch  checkpoint.Epoch // begun last, 0 is none
	file   File             // nil until the epoch's first record
	staged string
	line   []byte
	sum    []byte // everything written to file
}

// New makes a sink of files whose names begin with base, which has no dot.
func New(dir FS, base string) *Sink { return &Sink{fs: dir, base: base} }

// Begin implements twophase.Writer.
func (s *Sink) Begin(_ context.Context, epoch checkpoint.Epoch) error {
	if s.file != nil {
		return fmt.Errorf("begin epoch %d: epoch %d was not prepared", epoch, s.epoch)
	}
	s.epoch, s.sum = epoch, s.sum[:0]
	return nil
}

// Write implements twophase.Writer: one line for each record, its value.
func (s *Sink) Write(_ context.Context, batch []record.Message) error {
	if s.epoch == 0 {
		return errors.New("write: no epoch was begun")
	}
	if len(batch) == 0 {
		return nil
	}
	if s.file == nil {
		s.staged = fmt.Sprintf(".%s.%d.%s.%d%s", s.base, s.owner.Slot, s.owner.ID, s.epoch, stagedSuffix)
		f, err := s.fs.Create(s.staged)
		if err != nil {
			return fmt.Errorf("create %s: %w", s.staged, err)
		}
		s.file = f
	}
	s.line = s.line[:0]
	for i := range batch {
		s.line = append(append(s.line, batch[i].Value...), '\n')
	}
	s.sum = append(s.sum, s.line...)
	if _, err := s.file.Write(s.line); err != nil {
		return fmt.Errorf("write %s: %w", s.staged, err)
	}
	return nil
}

// Prepare implements twophase.Participant.
func (s *Sink) Prepare(_ context.Context, epoch checkpoint.Epoch) ([]twophase.Handle, error) {
	if epoch != s.epoch {
		return nil, fmt.Errorf("prepare epoch %d: epoch %d was begun", epoch, s.epoch)
	}
	if s.file == nil {
		return nil, nil
	}
	if err := errors.Join(s.file.Sync(), s.file.Close()); err != nil {
		return nil, fmt.Errorf("sync %s: %w", s.staged, err)
	}
	s.file = nil
	w := work{
		staged: s.staged,
		target: fmt.Sprintf("%s-%d-%d", s.base, s.owner.Slot, epoch),
		length: len(s.sum),
		hash:   sha256.Sum256(s.sum),
	}
	return []twophase.Handle{{Epoch: epoch, Owner: s.owner.ID, Opaque: w.encode()}}, nil
}

// Commit implements twophase.Participant.
func (s *Sink) Commit(_ context.Context, h twophase.Handle) error {
	w, err := decodeWork(h.Opaque)
	if err != nil {
		return fmt.Errorf("commit epoch %d: %w", h.Epoch, err)
	}
	// A crash between the move and its confirmation leaves only the target, so
	// the target is looked at when the staged file is gone, never before: with
	// both there, the target is somebody else's.
	data, err := s.fs.Read(w.staged)
	if errors.Is(err, fs.ErrNotExist) {
		return s.committedBefore(w)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", w.staged, err)
	}
	if !w.matches(data) {
		return fmt.Errorf("%s is not what was prepared: %w", w.staged, twophase.ErrLost)
	}
	if err := s.fs.Move(w.staged, w.target); err != nil {
		return fmt.Errorf("move %s to %s: %w", w.staged, w.target, err)
	}
	return nil
}

func (s *Sink) committedBefore(w work) error {
	data, err := s.fs.Read(w.target)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("neither %s nor %s exists: %w", w.staged, w.target, twophase.ErrLost)
	case err != nil:
		return fmt.Errorf("read %s: %w", w.target, err)
	case !w.matches(data):
		return fmt.Errorf("%s is not what was prepared: %w", w.target, twophase.ErrLost)
	}
	return nil
}

// Abort implements twophase.Participant.
func (s *Sink) Abort(_ context.Context, h twophase.Handle) error {
	w, err := decodeWork(h.Opaque)
	if err != nil {
		return fmt.Errorf("abort epoch %d: %w", h.Epoch, err)
	}
	return s.remove(w.staged)
}

func (s *Sink) remove(name string) error {
	if err := s.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// Recover implements twophase.Participant.
func (s *Sink) Recover(ctx context.Context, owner twophase.Owner, committed []twophase.Handle) error {
	s.owner = owner
	named := map[string]bool{}
	for _, h := range committed {
		if err := s.Commit(ctx, h); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if w, err := decodeWork(h.Opaque); err == nil {
			named[w.staged] = true
		}
	}
	names, err := s.fs.List()
	if err != nil {
		return fmt.Errorf("recover: list staged files: %w", err)
	}
	for _, name := range names {
		if s.dead(name) && !named[name] {
			if err := s.remove(name); err != nil {
				return fmt.Errorf("recover: %w", err)
			}
		}
	}
	return nil
}

// dead reports whether name is a staged file of this slot and of an incarnation
// before the owner's. A name it does not understand is left alone.
func (s *Sink) dead(name string) bool {
	prefix := fmt.Sprintf(".%s.%d.", s.base, s.owner.Slot)
	if !strings.HasPrefix(name, prefix) || !strings.HasSuffix(name, stagedSuffix) {
		return false
	}
	number, _, ok := strings.Cut(strings.TrimPrefix(name, prefix), "-")
	if !ok {
		return false
	}
	incarnation, err := strconv.ParseUint(number, 10, 64)
	return err == nil && incarnation < s.owner.Incarnation
}

// Close implements twophase.Participant.
func (s *Sink) Close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// work is what a handle says: one staged file and what it becomes.
type work struct {
	staged, target string
	length         int
	hash           [sha256.Size]byte
}

func (w work) matches(data []byte) bool {
	return len(data) == w.length && sha256.Sum256(data) == w.hash
}

func (w work) encode() []byte {
	return fmt.Appendf(nil, "%s\n%s\n%s\n%d\n%x", handleVersion, w.staged, w.target, w.length, w.hash)
}

func decodeWork(b []byte) (work, error) {
	parts := bytes.Split(b, []byte{'\n'})
	if len(parts) != 5 || string(parts[0]) != handleVersion {
		return work{}, errors.New("handle: unknown version or form")
	}
	w := work{staged: string(parts[1]), target: string(parts[2])}
	length, err := strconv.Atoi(string(parts[3]))
	if err != nil || length < 0 {
		return work{}, fmt.Errorf("handle: length %q", parts[3])
	}
	w.length = length
	if n, err := hex.Decode(w.hash[:], parts[4][:min(len(parts[4]), 2*sha256.Size)]); err != nil || n != sha256.Size {
		return work{}, fmt.Errorf("handle: hash %q", parts[4])
	}
	return w, nil
}
