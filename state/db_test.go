package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"kstream/record"
)

func mustOpen(t *testing.T, o Options) *DB {
	t.Helper()
	db, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func TestMetaSurvivesAndBelongsToItsEntries(t *testing.T) {
	fsys := NewCrashFS()
	db := mustOpen(t, Options{FS: fsys, Dir: "dir"})
	if m, ok := db.Meta(); ok {
		t.Fatalf("a store that was never written to has %+v", m)
	}
	want := Meta{
		Epoch: 812, Owner: "7-00ff", Generation: 3, TopicID: record.TopicID{1, 2, 3}, Positions: []record.Offset{0, 1 << 40, 17},
		Wall: 1_700_000_000_000, Fingerprint: []byte{9, 8}, Restoring: true, DirectoryID: "abc",
	}
	if err := db.Apply(want, nil); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	db = mustOpen(t, Options{FS: fsys, Dir: "dir"})
	defer db.Close()
	got, ok := db.Meta()
	if !ok || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("read %+v, %v, wrote %+v", got, ok, want)
	}
}

func TestEpochsAreAppliedInOrder(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory})
	defer db.Close()
	if err := db.Apply(Meta{Epoch: 5}, nil); err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{4, 5} {
		if err := db.Apply(Meta{Epoch: n}, nil); err == nil {
			t.Errorf("epoch %d is applied after 5", n)
		}
	}
	// A restore may set any epoch.
	if err := db.Replay(Meta{Epoch: 4, Restoring: true}, nil); err != nil {
		t.Error(err)
	}
}

func TestReplayRefusesKeysThatAreNone(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory})
	defer db.Close()
	for _, key := range [][]byte{nil, []byte("short"), metaKey(), append(metaKey(), make([]byte, 20)...)} {
		if err := db.Replay(Meta{}, []Entry{{Key: key, Value: []byte{0}}}); err == nil {
			t.Errorf("the key %q is taken", key)
		}
	}
}

func TestWipeLeavesAnEmptyStore(t *testing.T) {
	fsys := NewCrashFS()
	db := mustOpen(t, Options{FS: fsys, Dir: "dir", Memory: 1 << 20})
	table := openTable(t, db, 0)
	mustPut(t, table, 2, 0, "k", "v")
	if err := db.Apply(Meta{Epoch: 1}, []*Delta{table.Freeze(1)}); err != nil {
		t.Fatal(err)
	}
	if err := db.Wipe(); err == nil {
		t.Error("wiped under an open table")
	}
	if err := errors.Join(table.Close(), db.Flush(), db.Wipe()); err != nil {
		t.Fatal(err)
	}
	if _, ok := db.Meta(); ok {
		t.Error("the meta record is left")
	}
	checkStore(t, db, nil)
	if err := db.Apply(Meta{Epoch: 1}, nil); err != nil {
		t.Errorf("the wiped store takes nothing: %v", err)
	}
	for _, unsynced := range []int{0, 50, 100} {
		image := mustOpen(t, Options{FS: CrashClone(fsys, unsynced, rand.New(rand.NewPCG(1, 1))), Dir: "dir"})
		checkStore(t, image, nil)
		if err := image.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestMoveAsideKeepsTheNewest(t *testing.T) {
	fsys := NewMemFS()
	for now := range record.Timestamp(3) {
		db := mustOpen(t, Options{FS: fsys, Dir: "dir"})
		if err := errors.Join(db.Close(), MoveAside(fsys, "dir", now+100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := MoveAside(fsys, "dir", 500); err != nil { // there is none
		t.Fatal(err)
	}
	names, err := fsys.List("dir")
	if err != nil || fmt.Sprint(names) != "[corrupt-102]" {
		t.Errorf("the directory has %v, %v", names, err)
	}
}

func TestStoreInUse(t *testing.T) {
	fsys := NewMemFS()
	db := mustOpen(t, Options{FS: fsys, Dir: "dir"})
	defer db.Close()
	if _, err := Open(Options{FS: fsys, Dir: "dir"}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second store opens: %v", err)
	}
}

func TestLockDirNamesTheOwner(t *testing.T) {
	for name, fsys := range map[string]FS{"memory": NewMemFS(), "disk": DiskFS()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			lock, err := LockDir(fsys, dir, 4711)
			if err != nil {
				t.Fatal(err)
			}
			var locked *LockedError
			if _, err := LockDir(fsys, dir, 4712); !errors.As(err, &locked) || locked.PID != 4711 || !errors.Is(err, ErrLocked) {
				t.Errorf("the second lock gives %v", err)
			}
			id := lock.ID
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
			if lock, err = LockDir(fsys, dir, 4712); err != nil {
				t.Fatal(err)
			}
			if lock.ID != id || len(id) != 32 {
				t.Errorf("the identity was %q and is %q", id, lock.ID)
			}
			if err := lock.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// modeFS says of every file that it has a mode.
type modeFS struct {
	FS
	mode fs.FileMode
}

type modeInfo struct {
	vfs.FileInfo
	mode fs.FileMode
}

func (i modeInfo) Mode() fs.FileMode { return i.mode }

func (f modeFS) Stat(name string) (vfs.FileInfo, error) {
	i, err := f.FS.Stat(name)
	return modeInfo{i, f.mode}, err
}

func TestLockDirRefusesWhatEverybodyMayWrite(t *testing.T) {
	var unsafeDir *UnsafeDirError
	if _, err := LockDir(modeFS{NewMemFS(), fs.ModeDir | 0o777}, "dir", 1); !errors.As(err, &unsafeDir) {
		t.Errorf("mode 777: %v", err)
	}
	if _, err := LockDir(modeFS{NewMemFS(), fs.ModeDir | 0o755}, "dir", 1); err != nil {
		t.Errorf("mode 755: %v", err)
	}
}

func TestNewerStoreIsRefused(t *testing.T) {
	t.Run("meta record", func(t *testing.T) {
		fsys := NewMemFS()
		db := mustOpen(t, Options{FS: fsys, Dir: "dir"})
		b := appendMeta(nil, &Meta{Epoch: 1})
		b[0] = metaFormat + 1
		b = appendSum(b[:len(b)-4])
		if err := errors.Join(db.p.Set(metaKey(), b, pebble.NoSync), db.Flush(), db.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Options{FS: fsys, Dir: "dir"}); !errors.Is(err, ErrNewerFormat) || errors.Is(err, ErrCorrupt) {
			t.Errorf("open: %v", err)
		}
	})
	t.Run("pebble", func(t *testing.T) {
		fsys := NewMemFS()
		if err := mustOpen(t, Options{FS: fsys, Dir: "dir"}).Close(); err != nil {
			t.Fatal(err)
		}
		dir := fsys.PathJoin("dir", storeDir)
		names, err := fsys.List(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range names {
			if strings.HasPrefix(n, "marker.format-version.") {
				if err := fsys.Rename(fsys.PathJoin(dir, n), fsys.PathJoin(dir, "marker.format-version.000099.999")); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := Open(Options{FS: fsys, Dir: "dir"}); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("open: %v", err)
		}
	})
}

func TestMissingFileIsCorruption(t *testing.T) {
	fsys := NewMemFS()
	db := mustOpen(t, Options{FS: fsys, Dir: "dir"})
	if err := errors.Join(db.Apply(Meta{Epoch: 1}, nil), db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	dir := fsys.PathJoin("dir", storeDir)
	names, _ := fsys.List(dir)
	removed := 0
	for _, n := range names {
		if strings.HasSuffix(n, ".sst") {
			removed++
			if err := fsys.Remove(fsys.PathJoin(dir, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if removed == 0 {
		t.Fatal("there is no table to remove")
	}
	if _, err := Open(Options{FS: fsys, Dir: "dir"}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("open: %v", err)
	}
}

func TestFlushIsAskedForByBytesAndByAge(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory, Memory: 4 << 30})
	defer db.Close()
	table := openTable(t, db, 0)
	apply := func(n uint64, size int) {
		t.Helper()
		for i := range 8 {
			mustPut(t, table, 2, 0, fmt.Sprint(i), strings.Repeat("v", size/8))
		}
		if err := db.Apply(Meta{Epoch: n, Wall: record.Timestamp(n * 1000)}, []*Delta{table.Freeze(n)}); err != nil {
			t.Fatal(err)
		}
		table.Applied(n)
	}
	apply(1, 1<<20)
	if n := db.UnflushedBytes(); n < 1<<20 {
		t.Errorf("%d bytes are not flushed", n)
	}
	if err := db.FlushIfOlder(1000); err != nil {
		t.Fatal(err)
	}
	if db.flush.done != nil {
		t.Error("flushed though nothing is old enough")
	}
	if err := db.FlushIfOlder(1001); err != nil {
		t.Fatal(err)
	}
	<-db.flush.done
	if n := db.UnflushedBytes(); n != 0 {
		t.Errorf("%d bytes are not flushed after a flush", n)
	}
	apply(2, FlushBytes-1<<20)
	if db.flush.waiting == 0 {
		t.Error("flushed below the limit")
	}
	apply(3, 1<<20)
	if db.flush.waiting != 0 {
		t.Error("not flushed at the limit")
	}
}

// diskFull lets writes fail from the n-th on, as a full disk does.
type diskFull struct {
	left atomic.Int64
}

func (d *diskFull) String() string { return "disk full" }

func (d *diskFull) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpCreate, errorfs.OpFilePreallocate, errorfs.OpFileSync, errorfs.OpFileSyncData:
		if d.left.Add(-1) < 0 {
			return &fs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
	}
	return nil
}

func TestDiskFullStopsInOrder(t *testing.T) {
	const points = 100
	stopped := 0
	for n := range int64(points) {
		base := NewCrashFS()
		full := &diskFull{}
		full.left.Store(1 << 40)
		told := make(chan error, 10)
		db := mustOpen(t, Options{
			FS: errorfs.Wrap(base, full), Dir: "dir", Memory: 1 << 20,
			OnFailure: func(err error) { told <- err },
		})
		table := openTable(t, db, 0)
		history := []map[addr]string{{}}
		full.left.Store(n)
		var failure error
		for e := uint64(1); failure == nil && e <= 30; e++ {
			mustPut(t, table, 2, 0, fmt.Sprint("key-", e), strings.Repeat("v", 2000))
			now := map[addr]string{{2, 0, fmt.Sprint("key-", e)}: strings.Repeat("v", 2000)}
			for a, v := range history[e-1] {
				now[a] = v
			}
			history = append(history, now)
			failure = db.Apply(Meta{Epoch: e}, []*Delta{table.Freeze(e)})
			table.Applied(e)
			if failure == nil {
				failure = db.Flush()
			}
		}
		if failure != nil {
			stopped++
			if !errors.Is(failure, ErrNoSpace) {
				t.Fatalf("point %d: %v", n, failure)
			}
			if err := db.Apply(Meta{Epoch: 100}, nil); !errors.Is(err, ErrNoSpace) {
				t.Fatalf("point %d: an epoch is taken after the failure: %v", n, err)
			}
		}
		_ = db.Close() // may report the same failure
		if failure != nil {
			if err := <-told; !errors.Is(err, ErrNoSpace) {
				t.Fatalf("point %d: told of %v", n, err)
			}
		}
		if len(told) > 0 {
			t.Fatalf("point %d: told too often, of %v", n, <-told)
		}
		image := mustOpen(t, Options{FS: CrashClone(base, 100, rand.New(rand.NewPCG(1, 1))), Dir: "dir"})
		m, _ := image.Meta()
		checkStore(t, image, history[m.Epoch])
		if err := image.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if stopped < points/2 {
		t.Errorf("the disk was full at %d points only", stopped)
	}
}

func TestBallastIsGivenUpFirst(t *testing.T) {
	full := &diskFull{}
	full.left.Store(1 << 40)
	inner := errorfs.Wrap(roomFS{NewMemFS()}, full)
	db := mustOpen(t, Options{FS: inner, Dir: "dir", Ballast: 3 << 20})
	path := inner.PathJoin("dir", ballastFile)
	if i, err := inner.Stat(path); err != nil || i.Size() != 3<<20 {
		t.Fatalf("ballast: %v", err)
	}
	full.left.Store(0)
	_ = db.Apply(Meta{Epoch: 1}, nil)
	_ = db.Flush()
	if _, err := inner.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the ballast is still there: %v", err)
	}
	_ = db.Close()
}

// roomFS is a file system in memory that says how much room it has.
type roomFS struct{ FS }

func (roomFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41}, nil
}

func TestClosedStoreRefuses(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory})
	if err := errors.Join(db.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"apply": db.Apply(Meta{Epoch: 1}, nil), "flush": db.Flush(), "wipe": db.Wipe(),
		"iterate": db.Iterate(nil, func(_, _ []byte) error { return io.EOF }),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s on a closed store: %v", name, err)
		}
	}
	if _, err := db.Table(TableOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("table of a closed store: %v", err)
	}
}

func FuzzMeta(f *testing.F) {
	f.Add(appendMeta(nil, &Meta{Epoch: 1, Owner: "x", Positions: []record.Offset{1, 2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = appendSum(b) // the checksum would stop everything
		m, err := parseMeta(b)
		if err != nil {
			return
		}
		again, err := parseMeta(appendMeta(nil, &m))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(m) {
			t.Fatalf("%+v is read back as %+v, %v", m, again, err)
		}
	})
}

// TestApplyBesideTheTask lets epochs be applied while the owner of the table
// goes on with the next one, as the coordinator and a task do.
func TestApplyBesideTheTask(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory, Memory: 1 << 20})
	defer db.Close()
	table := openTable(t, db, 30_000)
	want := map[string]uint64{}
	rng := rand.New(rand.NewPCG(8, 8))
	work := func() {
		for range 3000 {
			key := fmt.Append(nil, "key-", rng.IntN(2000))
			v, _, err := table.Upsert(2, 0, key, 8)
			if err != nil {
				t.Fatal(err)
			}
			if got := binary.LittleEndian.Uint64(v); got != want[string(key)] {
				t.Fatalf("%s is %d, want %d", key, got, want[string(key)])
			}
			want[string(key)]++
			binary.LittleEndian.PutUint64(v, want[string(key)])
		}
	}
	for epoch := uint64(1); epoch <= 20; epoch++ {
		work()
		d := table.Freeze(epoch)
		applied := make(chan error)
		go func() { applied <- db.Apply(Meta{Epoch: epoch}, []*Delta{d}) }()
		work()
		if err := <-applied; err != nil {
			t.Fatal(err)
		}
		table.Applied(epoch)
	}
}
