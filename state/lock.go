package state

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
)

// DirLock is a locked state directory.
type DirLock struct {
	// ID is the identity of the directory: random, made once, kept in a file.
	// Host names and paths prove nothing where processes run in containers.
	ID string

	lock io.Closer
}

// LockDir makes the directory if it is missing, locks it for this process and
// notes pid for the message another process gets. The operating system drops the
// lock when the process ends, however it ends. Errors: *LockedError,
// *UnsafeDirError.
func LockDir(fsys FS, dir string, pid int) (*DirLock, error) {
	if err := makeDir(fsys, dir); err != nil {
		return nil, err
	}
	info, err := fsys.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("look at state directory %s: %w", dir, err)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return nil, &UnsafeDirError{Dir: dir, Mode: info.Mode()}
	}
	lock, err := fsys.Lock(fsys.PathJoin(dir, lockFile))
	if err != nil {
		return nil, lockError(fsys, dir, err)
	}
	l := &DirLock{lock: lock}
	if err := l.claim(fsys, dir, pid); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, nil
}

// lockError tells a lock held by another from a file system that cannot lock.
func lockError(fsys FS, dir string, err error) error {
	if !isLocked(err) {
		return fmt.Errorf("lock state directory %s: %w", dir, err)
	}
	locked := &LockedError{Dir: dir}
	if b, err := readFile(fsys, fsys.PathJoin(dir, pidFile)); err == nil {
		locked.PID, _ = strconv.Atoi(strings.TrimSpace(string(b)))
	}
	return locked
}

// claim writes the pid and reads or makes the identity.
func (l *DirLock) claim(fsys FS, dir string, pid int) error {
	if err := writeFile(fsys, fsys.PathJoin(dir, pidFile), []byte(strconv.Itoa(pid)+"\n")); err != nil {
		return fmt.Errorf("write pid to state directory %s: %w", dir, classify(err))
	}
	path := fsys.PathJoin(dir, idFile)
	b, err := readFile(fsys, path)
	if id := strings.TrimSpace(string(b)); err == nil && id != "" {
		l.ID = id
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read identity of state directory %s: %w", dir, err)
	}
	var random [16]byte
	rand.Read(random[:]) // cannot fail
	l.ID = hex.EncodeToString(random[:])
	if err := writeFile(fsys, path, []byte(l.ID+"\n")); err != nil {
		return fmt.Errorf("write identity of state directory %s: %w", dir, classify(err))
	}
	return syncDir(fsys, dir)
}

// Close gives the directory back.
func (l *DirLock) Close() error { return l.lock.Close() }
