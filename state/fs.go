package state

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sort"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"kstream/record"
)

// FS is the file system a store lives on.
type FS = vfs.FS

// DiskFS is the file system of the machine.
func DiskFS() FS { return vfs.Default }

// NewMemFS is a file system in memory.
func NewMemFS() FS { return vfs.NewMem() }

// NewCrashFS is a file system in memory that can be asked what a crash would
// leave of it, see CrashClone. It is meant for simulations.
func NewCrashFS() FS { return vfs.NewCrashableMem() }

// CrashClone is a possible state of a NewCrashFS after a crash at this moment:
// all that was synced, and of the rest each block with the given probability.
func CrashClone(fsys FS, unsyncedPercent int, rng *rand.Rand) FS {
	mem := fsys.(*vfs.MemFS)
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsyncedPercent, RNG: rng})
}

// What lies in a state directory. The store has a directory of its own, so that
// it can be moved aside or removed while the lock is held.
const (
	storeDir      = "store"
	wipedDir      = "wiped"
	corruptPrefix = "corrupt-"
	lockFile      = "lock"
	pidFile       = "pid"
	idFile        = "id"
	ballastFile   = "ballast"
	ingestFile    = "ingest" // a table that is being written, of no use after a crash
)

// MoveAside takes a store that cannot be trusted out of the way and keeps it as
// corrupt-<now> for a look; older ones are removed. The store must be closed.
func MoveAside(fsys FS, dir string, now record.Timestamp) error {
	from := fsys.PathJoin(dir, storeDir)
	if _, err := fsys.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	names, err := fsys.List(dir)
	if err != nil {
		return fmt.Errorf("list state directory %s: %w", dir, err)
	}
	sort.Strings(names)
	for _, n := range names {
		if strings.HasPrefix(n, corruptPrefix) {
			if err := fsys.RemoveAll(fsys.PathJoin(dir, n)); err != nil {
				return fmt.Errorf("remove %s: %w", n, err)
			}
		}
	}
	to := fmt.Sprintf("%s%d", corruptPrefix, now)
	if err := fsys.Rename(from, fsys.PathJoin(dir, to)); err != nil {
		return fmt.Errorf("move the corrupt store aside: %w", err)
	}
	return syncDir(fsys, dir)
}

// removeStore removes a store so that a crash leaves either all or nothing of
// it under its name.
func removeStore(fsys FS, dir string) error {
	from, to := fsys.PathJoin(dir, storeDir), fsys.PathJoin(dir, wipedDir)
	if err := fsys.RemoveAll(to); err != nil {
		return fmt.Errorf("remove %s: %w", to, err)
	}
	switch err := fsys.Rename(from, to); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("rename %s: %w", from, err)
	}
	if err := syncDir(fsys, dir); err != nil {
		return err
	}
	if err := fsys.RemoveAll(to); err != nil {
		return fmt.Errorf("remove %s: %w", to, err)
	}
	return nil
}

// makeDir makes a directory and those above it, and has their entries survive a
// crash. The rights may not reach to those far above; losing them costs a
// restore, no data.
func makeDir(fsys FS, dir string) error {
	if err := fsys.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make state directory %s: %w", dir, classify(err))
	}
	for range 3 { // <state.dir>/<name>/<slot>
		up := fsys.PathDir(dir)
		if up == dir || syncDir(fsys, up) != nil {
			return nil
		}
		dir = up
	}
	return nil
}

func syncDir(fsys FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open state directory %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync state directory %s: %w", dir, err)
	}
	return nil
}

// readFile is the whole of a small file.
func readFile(fsys FS, path string) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b := make([]byte, min(info.Size(), 4096))
	n, err := f.ReadAt(b, 0)
	if n == len(b) {
		return b, nil
	}
	return nil, err
}

// writeFile replaces a small file and makes it durable.
func writeFile(fsys FS, path string, data []byte) error {
	f, err := fsys.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
