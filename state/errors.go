package state

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What can be wrong with a local store. Errors of this package wrap one of them
// when it applies.
var (
	// ErrLocked: another process, or another DB of this one, uses the directory.
	ErrLocked = errors.New("state directory is in use")
	// ErrCorrupt: the store cannot be trusted; move it aside and restore.
	ErrCorrupt = errors.New("local store is corrupt")
	// ErrNewerFormat: the store was written by a newer version.
	ErrNewerFormat = errors.New("local store was written by a newer version")
	// ErrNoSpace: the file system is full.
	ErrNoSpace = errors.New("no space left for the state directory")
	// ErrClosed: the DB was closed.
	ErrClosed = errors.New("local store is closed")
)

// errStuck: a write of Pebble's own failed while the store was being closed.
var errStuck = errors.New("a background write failed")

// LockedError is ErrLocked with the process that holds the lock, 0 if unknown.
type LockedError struct {
	Dir string
	PID int
}

func (e *LockedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("state directory %s: in use by another process", e.Dir)
	}
	return fmt.Sprintf("state directory %s: in use by pid %d", e.Dir, e.PID)
}

// Is makes a LockedError an ErrLocked.
func (e *LockedError) Is(target error) bool { return target == ErrLocked }

// UnsafeDirError is a state directory that everybody may write to.
type UnsafeDirError struct {
	Dir  string
	Mode fs.FileMode
}

func (e *UnsafeDirError) Error() string {
	return fmt.Sprintf("state directory %s: everybody may write to it (mode %o)", e.Dir, e.Mode.Perm())
}

// classify wraps an error of Pebble or of the file system with the sentinel of
// this package that applies.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNoSpace), errors.Is(err, ErrNewerFormat):
		return err
	case vfs.IsNoSpaceError(err):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case pebble.IsCorruptionError(err):
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// classifyOpen adds what only opening tells: what neither the file system nor
// the lock refuses, and Pebble cannot read, is damage; a missing file of an
// existing store too. Pebble has no error value for a store of a newer version;
// a test holds its text.
func classifyOpen(err error) error {
	if known := classify(err); known != err {
		return known
	}
	if strings.Contains(err.Error(), "unknown format major version") {
		return fmt.Errorf("%w: %w", ErrNewerFormat, err)
	}
	var path *fs.PathError
	var errno syscall.Errno
	if (errors.As(err, &path) || errors.As(err, &errno)) && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}
