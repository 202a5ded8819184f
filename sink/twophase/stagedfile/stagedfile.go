// Package stagedfile is the file sink, a participant of two-phase commit: the
// records of an epoch become the lines of a file that is staged under a hidden
// name and appears under its final name at the commit.
//
//	write    append to .<base>.<pipeline>.<slot>.<subtask>.<owner id>.<epoch>.staged
//	prepare  end the compression, sync the file, sync the directory; the handle
//	         holds the directory, both names, the length and the hash
//	commit   move staged → <base>-<subtask>-<epoch>.<ending>, never over another
//	         file; leave a mark; sync the directory
//	recover  commit what is named, remove staged files of dead incarnations
//
// The mark is an empty hidden file, <staged name> with another ending. It says
// that the file has appeared, so that a reader may take a file away at once: a
// commit that is done again finds the mark. The mark of the last epoch stays.
package stagedfile

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"kstream/checkpoint"
	"kstream/codec"
	"kstream/record"
	"kstream/sink/twophase"
)

// FS is one directory. Nothing is durable before it is synced: what was written
// to a file by its Sync, that a name exists, is another or is gone by that of
// the directory. Steps may be lost in a crash from the end on, never in between.
type FS interface {
	// Create makes a new file; one that exists is fs.ErrExist.
	Create(name string) (File, error)
	// Open reads a file, fs.ErrNotExist if there is none.
	Open(name string) (io.ReadCloser, error)
	// Move renames a file in one step. It never replaces one: then it is
	// fs.ErrExist. A missing source is fs.ErrNotExist.
	Move(from, to string) error
	// Remove removes a file, fs.ErrNotExist if there is none.
	Remove(name string) error
	// List gives the names in the directory.
	List() ([]string, error)
	// Sync makes durable which names there are.
	Sync() error
}

// File is a file being written.
type File interface {
	Write(b []byte) (int, error)
	Sync() error
	Close() error
}

// ErrExists says that there is another file under the name of a result.
var ErrExists = errors.New("there is another file of that name")

// Options say which files a sink writes.
type Options struct {
	Pipeline    string
	Dir         string // goes into handles: where another process finds the directory
	Base        string // the name of the path, with its ending
	Compression string // none, gzip or zstd
	Subtask     int
}

// Sink writes one subtask's files. It is a twophase.Writer and a
// twophase.Participant.
type Sink struct {
	fs    FS
	o     Options
	owner twophase.Owner // set by Recover

	// of the epoch begun last, 0 is none
	epoch  checkpoint.Epoch
	file   File // nil until the epoch's first record
	staged string
	lines  []byte // not compressed yet
	stream io.WriteCloser
	out    counter
}

// New makes a sink of files in a directory.
func New(dir FS, o Options) *Sink { return &Sink{fs: dir, o: o} }

// Subtask makes the sink of a subtask, of the owner that has recovered s.
func (s *Sink) Subtask(n int) *Sink {
	o := s.o
	o.Subtask = n
	return &Sink{fs: s.fs, o: o, owner: s.owner}
}

// counter is a file that knows the length and the hash of what is in it.
type counter struct {
	file   File
	length int64
	sum    hash.Hash
}

// Write implements io.Writer.
func (c *counter) Write(b []byte) (int, error) {
	n, err := c.file.Write(b)
	c.sum.Write(b[:n])
	c.length += int64(n)
	return n, err
}

// Begin implements twophase.Writer.
func (s *Sink) Begin(_ context.Context, epoch checkpoint.Epoch) error {
	if s.file != nil {
		return fmt.Errorf("begin epoch %d: epoch %d was not prepared", epoch, s.epoch)
	}
	s.epoch = epoch
	return nil
}

// flushAt is how many bytes of lines are collected before they are written.
const flushAt = 64 << 10

// Write implements twophase.Writer: one line for each record, its value.
func (s *Sink) Write(_ context.Context, batch []record.Message) error {
	if s.epoch == 0 {
		return errors.New("write: no epoch was begun")
	}
	if len(batch) == 0 {
		return nil
	}
	if s.file == nil {
		if err := s.create(); err != nil {
			return err
		}
	}
	for i := range batch {
		s.lines = append(append(s.lines, batch[i].Value...), '\n')
	}
	if len(s.lines) < flushAt {
		return nil
	}
	return s.flush()
}

func (s *Sink) create() error {
	s.staged = stagedName(s.o, s.owner, s.epoch)
	f, err := s.fs.Create(s.staged)
	if err != nil {
		return fmt.Errorf("create %s: %w", s.staged, err)
	}
	s.file = f
	s.out = counter{file: f, sum: sha256.New()}
	s.lines = s.lines[:0]
	s.stream, err = codec.NewStreamWriter(s.o.Compression, &s.out)
	return err
}

func (s *Sink) flush() error {
	_, err := s.stream.Write(s.lines)
	s.lines = s.lines[:0]
	if err != nil {
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
	w := work{dir: s.o.Dir, staged: s.staged, target: targetName(s.o, epoch)}
	there, err := s.exists(w.target)
	if err != nil {
		return nil, err
	}
	if there {
		return nil, errors.Join(fmt.Errorf("%s: %w", w.target, ErrExists), s.Close(), s.remove(s.staged))
	}
	if err := s.flush(); err != nil {
		return nil, err
	}
	f := s.file
	s.file = nil
	if err = errors.Join(s.stream.Close(), f.Sync(), f.Close(), s.fs.Sync()); err != nil {
		return nil, fmt.Errorf("sync %s: %w", s.staged, err)
	}
	w.length = s.out.length
	s.out.sum.Sum(w.hash[:0])
	return []twophase.Handle{{Epoch: epoch, Owner: s.owner.ID, Opaque: w.encode()}}, nil
}

func (s *Sink) exists(name string) (bool, error) {
	f, err := s.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for %s: %w", name, err)
	}
	return true, f.Close()
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
	state := workAsPrepared
	if h.Owner != s.owner.ID || s.owner.ID == "" { // what this life has synced it need not read again
		if state, err = s.compare(w.staged, w); err != nil {
			return err
		}
	}
	if state == workAsPrepared {
		err := s.fs.Move(w.staged, w.target)
		switch {
		case err == nil:
			return s.mark(w)
		case errors.Is(err, fs.ErrExist):
			return fmt.Errorf("%s: %w", w.target, ErrExists)
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("move %s to %s: %w", w.staged, w.target, err)
		}
		state = workGone
	}
	if state == workOther {
		return fmt.Errorf("%s is not what was prepared: %w", w.staged, twophase.ErrLost)
	}
	return s.committedBefore(w)
}

func (s *Sink) committedBefore(w work) error {
	if marked, err := s.exists(w.mark()); marked || err != nil {
		return err
	}
	state, err := s.compare(w.target, w)
	switch {
	case err != nil:
		return err
	case state == workGone:
		return fmt.Errorf("neither %s nor %s exists: %w", w.staged, w.target, twophase.ErrLost)
	case state == workOther:
		return fmt.Errorf("%s is not what was prepared: %w", w.target, twophase.ErrLost)
	}
	return s.mark(w)
}

// mark says that the file has appeared, and makes both durable. The marks of
// epochs before go: no record names them any more once this epoch's has none of
// theirs, which the caller says with Forget.
func (s *Sink) mark(w work) error {
	f, err := s.fs.Create(w.mark())
	if err == nil {
		err = f.Close()
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, s.fs.Sync()); err != nil {
		return fmt.Errorf("mark %s: %w", w.target, err)
	}
	return nil
}

// Forget removes the mark of a handle that no record names any more.
func (s *Sink) Forget(h twophase.Handle) error {
	w, err := decodeWork(h.Opaque)
	if err != nil {
		return fmt.Errorf("forget epoch %d: %w", h.Epoch, err)
	}
	return s.remove(w.mark())
}

// What is found under a name of a handle.
const (
	workAsPrepared = iota
	workGone
	workOther
)

func (s *Sink) compare(name string, w work) (int, error) {
	f, err := s.fs.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return workGone, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	if n != w.length || [sha256.Size]byte(sum.Sum(nil)) != w.hash {
		return workOther, nil
	}
	return workAsPrepared, nil
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

// Recover implements twophase.Participant. What it removes is that of all
// subtasks of the sink: their number may have been another.
func (s *Sink) Recover(ctx context.Context, owner twophase.Owner, committed []twophase.Handle) error {
	s.owner = owner
	named := map[string]bool{}
	for _, h := range committed {
		if err := s.Commit(ctx, h); err != nil {
			return fmt.Errorf("recover: %w", err)
		}
		if w, err := decodeWork(h.Opaque); err == nil {
			named[w.staged], named[w.mark()] = true, true
		}
	}
	names, err := s.fs.List()
	if err != nil {
		return fmt.Errorf("recover: list staged files: %w", err)
	}
	for _, name := range names {
		if !named[name] && dead(name, s.o, owner) {
			if err := s.remove(name); err != nil {
				return fmt.Errorf("recover: %w", err)
			}
		}
	}
	return nil
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
