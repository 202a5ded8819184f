package state

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleFormat is pinned: a store is not raised to a newer format by merely
// starting a newer binary.
const pebbleFormat = pebble.FormatValueSeparation

// ingestLevel is the level whose settings an ingested table has. It must not be
// the lowest one: deletions in a table written for that are taken for done.
const ingestLevel = 0

// comparerName is stored in every table for ever.
const comparerName = "kstream.v1"

// pebbleOptions are the settings of the store. The caller gives the reference
// on the cache back.
func (db *DB) pebbleOptions() *pebble.Options {
	memory := max(db.opts.Memory, 1<<20)
	log := pebbleLogger{db: db}
	o := &pebble.Options{
		FS:                          db.fs,
		Cache:                       pebble.NewCache(memory / 4),
		Comparer:                    comparer(),
		DisableWAL:                  true,
		FormatMajorVersion:          pebbleFormat,
		L0CompactionThreshold:       4,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
		MaxOpenFiles:                512,
		MemTableSize:                uint64(min(64<<20, max(memory/16, 64<<10))),
		MemTableStopWritesThreshold: 4,
		Logger:                      log,
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) { _ = db.fail(classify(err)) },
			DataCorruption: func(i pebble.DataCorruptionInfo) {
				_ = db.fail(fmt.Errorf("%w: %s", ErrCorrupt, i.Path))
			},
		},
	}
	for i := range o.Levels {
		o.Levels[i] = pebble.LevelOptions{BlockSize: 8 << 10, FilterPolicy: bloom.FilterPolicy(10)}
	}
	if db.opts.Ballast > 0 && db.opts.Backend != BackendMemory {
		o.FS = db.withBallast()
	}
	return o
}

// comparer is byte order. The prefix of a key, which the bloom filters hold, is
// the whole key.
func comparer() *pebble.Comparer {
	c := *pebble.DefaultComparer
	c.Name = comparerName
	return &c
}

// withBallast is the file system with a file on it that is given up when the
// disk is full. Making the file is an attempt: on a disk that is nearly full it
// is left out.
func (db *DB) withBallast() FS {
	inner := db.fs
	path := inner.PathJoin(db.opts.Dir, ballastFile)
	if _, err := inner.Stat(path); err != nil {
		usage, err := inner.GetDiskUsage(db.opts.Dir)
		if err == nil && usage.AvailBytes > 4*uint64(db.opts.Ballast) {
			if err := writeZeros(inner, path, db.opts.Ballast); err != nil {
				_ = inner.Remove(path)
			}
		}
	}
	return vfs.OnDiskFull(inner, func() { _ = inner.Remove(path) })
}

func writeZeros(fsys FS, path string, n int64) error {
	f, err := fsys.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for ; n > 0 && err == nil; n -= int64(len(zeros)) {
		_, err = f.Write(zeros[:min(n, int64(len(zeros)))])
	}
	return errors.Join(err, f.Close())
}

// pebbleLogger passes on what matters. Pebble's own ends the process at a failed
// write; ours makes the store refuse everything after it, so that the instance
// stops in order.
type pebbleLogger struct{ db *DB }

func (l pebbleLogger) Infof(string, ...any) {}

func (l pebbleLogger) Errorf(format string, args ...any) {
	if log := l.db.opts.Logger; log != nil {
		log("local store: " + fmt.Sprintf(format, args...))
	}
}

// Fatalf must not return to a goroutine of Pebble that could not write its
// manifest: it would go on with structures that no longer agree, and so would the
// others, and panic. Such a goroutine stops here for ever, with Pebble's lock,
// which stops the others; from then on nothing of ours waits for Pebble. While the
// store is opened, and at a commit, it is the caller's goroutine; it gets an error.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	for _, a := range args {
		if cause, ok := a.(error); ok {
			err = classify(cause)
		}
	}
	manifest := format == "%s" && l.db.opened.Load()
	_ = l.db.fail(fmt.Errorf("local store failed: %w", err))
	if manifest {
		l.db.stop()
		select {}
	}
}

// isLockErrno reports whether a failed lock means that somebody else has it.
func isLockErrno(err error) bool {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno == syscall.EAGAIN || errno == syscall.EACCES
	}
	return err.Error() == "lock held by current process"
}
