package state

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"kstream/record"
)

// imageCount is how many crash images a test looks at.
func imageCount(t testing.TB) int {
	n := 300
	if s := os.Getenv("KSTREAM_IMAGES"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// crashImages lets epochs of all sizes go by, smaller and larger than a memory
// table, and asks of what a crash would leave whether it is exactly one of them.
// It returns the first that is not, how many images were compared, and how many
// different epochs they held.
func crashImages(t testing.TB, images int, seed uint64) (compared, epochs int, bad error) {
	rng := rand.New(rand.NewPCG(seed, 1))
	fsys := NewCrashFS()
	db, err := Open(Options{FS: fsys, Dir: "dir", Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tables := []*Table{openTable(t, db, 100_000)}
	other, err := db.Table(TableOptions{Store: worldStore + 1, First: 2, Last: 5})
	if err != nil {
		t.Fatal(err)
	}
	tables = append(tables, other)
	history := []map[addr]string{{}}
	seen := map[uint64]bool{}
	for n := uint64(1); compared < images; n++ {
		now := maps.Clone(history[n-1])
		changes := []int{1, 20, 1500}[rng.IntN(3)]
		for range changes {
			changeBoth(t, tables, now, rng)
		}
		history = append(history, now)
		deltas := []*Delta{tables[0].Freeze(n), tables[1].Freeze(n)}
		if err := db.Apply(Meta{Epoch: n, Wall: record.Timestamp(n)}, deltas); err != nil {
			t.Fatal(err)
		}
		tables[0].Applied(n)
		tables[1].Applied(n)
		switch rng.IntN(4) {
		case 0:
			err = db.Flush()
		case 1:
			err = db.FlushIfOlder(record.Timestamp(n + 1))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, unsynced := range []int{0, rng.IntN(100), 100} {
			image := CrashClone(fsys, unsynced, rng)
			epoch, err := checkImage(image, history)
			if err != nil {
				return compared, len(seen), fmt.Errorf("after epoch %d, %d%% of the unsynced data kept: %w", n, unsynced, err)
			}
			compared++
			seen[epoch] = true
		}
	}
	return compared, len(seen), nil
}

// changeBoth makes the same change in two stores, which have different key
// groups of the batch: half an epoch would hold it in one of them only.
func changeBoth(t testing.TB, tables []*Table, now map[addr]string, rng *rand.Rand) {
	a := addr{record.KeyGroup(2 + rng.IntN(4)), int64(rng.IntN(3)), "key" + strconv.Itoa(rng.IntN(1500))}
	value := strings.Repeat(strconv.Itoa(rng.IntN(1e6)), 1+rng.IntN(16))
	gone := rng.IntN(4) == 0
	for _, table := range tables {
		var err error
		if gone {
			err = table.Delete(a.g, a.ns, []byte(a.key))
		} else {
			err = table.Put(a.g, a.ns, []byte(a.key), []byte(value))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if gone {
		delete(now, a)
	} else {
		now[a] = value
	}
}

// checkImage opens an image and compares it with the epoch it says it is.
func checkImage(image FS, history []map[addr]string) (epoch uint64, err error) {
	db, err := Open(Options{FS: image, Dir: "dir", Memory: 1 << 20})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	m, _ := db.Meta()
	if m.Epoch >= uint64(len(history)) {
		return 0, fmt.Errorf("the image says it is epoch %d", m.Epoch)
	}
	for _, store := range []StoreID{worldStore, worldStore + 1} {
		found := 0
		prefix := AppendKey(nil, store, 0, 0, nil)[:2]
		err := db.Iterate(prefix, func(key, stored []byte) error {
			a, err := ParseKey(key)
			if err != nil {
				return err
			}
			found++
			if v, ok := history[m.Epoch][addr{a.Group, a.Namespace, string(a.Key)}]; !ok || v != string(stored[1:]) {
				return fmt.Errorf("epoch %d of store %d has another value at %q", m.Epoch, store, key)
			}
			return nil
		})
		if err == nil && found != len(history[m.Epoch]) {
			err = fmt.Errorf("epoch %d of store %d has %d entries instead of %d", m.Epoch, store, found, len(history[m.Epoch]))
		}
		if err != nil {
			return 0, err
		}
	}
	return m.Epoch, nil
}

func TestCrashLeavesExactlyOneEpoch(t *testing.T) {
	compared, epochs, bad := crashImages(t, imageCount(t), 1)
	if bad != nil {
		t.Fatal(bad)
	}
	if compared < imageCount(t) || epochs < 10 {
		t.Fatalf("compared only %d images of %d epochs", compared, epochs)
	}
	t.Logf("compared %d images, which held %d different epochs", compared, epochs)
}

func TestFlippedByteIsFoundOrHarmless(t *testing.T) {
	fsys := NewCrashFS()
	db, err := Open(Options{FS: fsys, Dir: "dir", Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	table := openTable(t, db, 0)
	want := map[addr]string{}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3000 {
		changeBoth(t, []*Table{table}, want, rng)
	}
	if err := db.Apply(Meta{Epoch: 1, Owner: "7-abc"}, []*Delta{table.Freeze(1)}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Flush(), db.Close()); err != nil {
		t.Fatal(err)
	}
	files, err := fsys.List(fsys.PathJoin("dir", storeDir))
	if err != nil {
		t.Fatal(err)
	}
	found, harmless := 0, 0
	for i := range imageCount(t) {
		image := CrashClone(fsys, 0, rng)
		name := files[i%len(files)]
		if !flip(t, image, image.PathJoin("dir", storeDir, name), rng) {
			continue
		}
		switch err := readAll(image, want); {
		case err == nil:
			harmless++
		case errors.Is(err, ErrCorrupt), errors.Is(err, ErrNewerFormat):
			found++
		default:
			t.Fatalf("flip in %s: %v", name, err)
		}
	}
	if found < 20 || harmless < 5 {
		t.Fatalf("found %d flips, %d were harmless", found, harmless)
	}
	t.Logf("found %d flips, %d were harmless", found, harmless)
}

// flip changes one byte of a file; false if the image has no such file, or an
// empty one.
func flip(t *testing.T, fsys FS, path string, rng *rand.Rand) bool {
	f, err := fsys.OpenReadWrite(path, "")
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return false
	}
	at := rng.Int64N(info.Size())
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << rng.IntN(8)
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	return true
}

// readAll reads a whole store, through a table as well, and compares.
func readAll(fsys FS, want map[addr]string) error {
	db, err := Open(Options{FS: fsys, Dir: "dir", Memory: 1 << 20})
	if err != nil {
		return err
	}
	defer db.Close()
	if _, ok := db.Meta(); !ok {
		return nil // an empty store is filled anew
	}
	table, err := db.Table(TableOptions{Store: worldStore, First: 2, Last: 5})
	if err != nil {
		return err
	}
	for a, v := range want {
		got, ok, err := table.Get(a.g, a.ns, []byte(a.key))
		if err != nil {
			return err
		}
		if !ok || string(got) != v {
			return fmt.Errorf("read %q instead of %q at %v", got, v, a)
		}
	}
	return compareStore(db, want)
}
