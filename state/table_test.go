package state

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kstream/record"
)

func TestUpsertAndGetDoNotAllocate(t *testing.T) {
	_, table := benchTable(t, 0)
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "key-%05d", i)
		count(t, table, keys[i])
	}
	i := 0
	got := testing.AllocsPerRun(2000, func() {
		k := keys[i%len(keys)]
		count(t, table, k)
		if _, ok, err := table.Get(record.KeyGroup(k[0]%32), 60_000, k); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if _, ok, err := table.Get(0, 120_000, k); ok || err != nil {
			t.Fatal(ok, err)
		}
		i++
	})
	if got != 0 {
		t.Errorf("an update and two reads allocate %v times", got)
	}
}

func TestEpochReusesItsMemory(t *testing.T) {
	db, table := benchTable(t, 0)
	epoch := uint64(0)
	run := func() {
		for i := range 2000 {
			count(t, table, fmt.Appendf(nil, "key-%05d", i))
		}
		epoch++
		if err := db.Apply(Meta{Epoch: epoch}, []*Delta{table.Freeze(epoch)}); err != nil {
			t.Fatal(err)
		}
		table.Applied(epoch)
	}
	run()
	run() // there are two lists of dirty entries
	before := table.Bytes()
	for range 20 {
		run()
	}
	if after := table.Bytes(); after != before {
		t.Errorf("the table takes %d bytes after 20 epochs of the same keys, %d after the first", after, before)
	}
}

func TestNeverBornIsNeverWritten(t *testing.T) {
	_, table := benchTable(t, 0)
	key := []byte("k")
	count(t, table, key)
	if err := table.Delete(record.KeyGroup(key[0]%32), 60_000, key); err != nil {
		t.Fatal(err)
	}
	if d := table.Freeze(1); d.Len() != 0 || table.Len() != 0 || table.DirtyBytes() != 0 {
		t.Errorf("the epoch has %d entries, the table %d", d.Len(), table.Len())
	}
	count(t, table, key)
	if d := table.Freeze(2); d.Len() != 1 {
		t.Fatalf("the epoch has %d entries", d.Len())
	}
	// Epoch 2 is not applied, but the key exists in it.
	if err := table.Delete(record.KeyGroup(key[0]%32), 60_000, key); err != nil {
		t.Fatal(err)
	}
	if d := table.Freeze(3); d.Len() != 1 {
		t.Errorf("the deletion is not in the epoch")
	}
}

func TestUpsertOfAnotherSizeIsAnError(t *testing.T) {
	_, table := benchTable(t, 0)
	if err := table.Put(1, 0, []byte("k"), []byte("abc")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table.Upsert(1, 0, []byte("k"), 4); err == nil {
		t.Error("a value of 3 bytes is taken for one of 4")
	}
	if v, ok, err := table.Get(1, 0, []byte("k")); string(v) != "abc" || !ok || err != nil {
		t.Errorf("the value is %q, %v, %v", v, ok, err)
	}
}

func TestKeyGroupsAreDifferentKeys(t *testing.T) {
	_, table := benchTable(t, 0)
	for g := range record.KeyGroup(4) {
		if err := table.Put(g, 0, []byte("k"), []byte{byte(g)}); err != nil {
			t.Fatal(err)
		}
	}
	for g := range record.KeyGroup(4) {
		if v, ok, err := table.Get(g, 0, []byte("k")); !ok || err != nil || v[0] != byte(g) {
			t.Errorf("group %d has %v, %v, %v", g, v, ok, err)
		}
	}
}

// coldTable is a table whose entries are all on disk and none in memory.
func coldTable(t *testing.T, fill func(table *Table)) (*DB, *Table) {
	db, err := Open(Options{Backend: BackendMemory, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	table := openTable(t, db, 0)
	fill(table)
	if err := db.Apply(Meta{Epoch: 1}, []*Delta{table.Freeze(1)}); err != nil {
		t.Fatal(err)
	}
	if err := table.Close(); err != nil {
		t.Fatal(err)
	}
	return db, openTable(t, db, 0)
}

func mustPut(t *testing.T, table *Table, g record.KeyGroup, ns int64, key, value string) {
	t.Helper()
	if err := table.Put(g, ns, []byte(key), []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func TestNamespacesAreExact(t *testing.T) {
	_, table := coldTable(t, func(table *Table) {
		for i := range 100 {
			for _, ns := range []int64{math.MinInt64, -5, 0, 7, math.MaxInt64} {
				mustPut(t, table, record.KeyGroup(2+i%4), ns, fmt.Sprint(i), "v")
			}
		}
	})
	check := func(want ...int64) {
		t.Helper()
		got, err := table.Namespaces()
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("namespaces %v, %v, want %v", got, err, want)
		}
	}
	check(math.MinInt64, -5, 0, 7, math.MaxInt64)
	mustPut(t, table, 2, 3, "x", "v")
	check(math.MinInt64, -5, 0, 3, 7, math.MaxInt64)
	if err := table.DropNamespace(0); err != nil {
		t.Fatal(err)
	}
	check(math.MinInt64, -5, 3, 7, math.MaxInt64)
	for i := range 99 {
		if err := table.Delete(record.KeyGroup(2+i%4), 7, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	check(math.MinInt64, -5, 3, 7, math.MaxInt64)
	if err := table.Delete(record.KeyGroup(2+99%4), 7, []byte("99")); err != nil {
		t.Fatal(err)
	}
	check(math.MinInt64, -5, 3, math.MaxInt64)
	mustPut(t, table, 2, 7, "again", "v")
	check(math.MinInt64, -5, 3, 7, math.MaxInt64)
}

func TestOtherTasksAndStoresAreNotSeen(t *testing.T) {
	db, table := coldTable(t, func(table *Table) { mustPut(t, table, 2, 9, "k", "v") })
	for _, o := range []TableOptions{
		{Store: worldStore, First: 3, Last: 5},
		{Store: worldStore - 1, First: 0, Last: 31},
		{Store: worldStore + 1, First: 0, Last: 31},
	} {
		other, err := db.Table(o)
		if err != nil {
			t.Fatal(err)
		}
		if ns, err := other.Namespaces(); len(ns) != 0 || err != nil {
			t.Errorf("%+v sees the namespaces %v, %v", o, ns, err)
		}
	}
	if ns, err := table.Namespaces(); len(ns) != 1 || err != nil {
		t.Errorf("the owner sees %v, %v", ns, err)
	}
}

func TestDropOfAWindowOnDiskIsOneTombstonePerKey(t *testing.T) {
	_, table := coldTable(t, func(table *Table) {
		for i := range 500 {
			mustPut(t, table, record.KeyGroup(2+i%4), 60_000, fmt.Sprint(i), "v")
		}
		mustPut(t, table, 2, 120_000, "stays", "v")
	})
	mustPut(t, table, 2, 60_000, "young", "v")
	if err := table.DropNamespace(60_000); err != nil {
		t.Fatal(err)
	}
	d := table.Freeze(2)
	tombs := 0
	err := d.Each(func(_ record.KeyGroup, key, value []byte) error {
		a, err := ParseKey(key)
		if err != nil {
			return err
		}
		if value != nil || a.Namespace != 60_000 {
			return fmt.Errorf("entry %+v = %q", a, value)
		}
		tombs++
		return nil
	})
	// "young" may be on disk, as far as the table knows.
	if err != nil || tombs != 501 {
		t.Errorf("%d tombstones, %v", tombs, err)
	}
}

func TestLongValuesAreCutAndPutTogether(t *testing.T) {
	for _, size := range []int{ChunkSize, ChunkSize + 1, 3*ChunkSize + 17} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			value := strings.Repeat("0123456789abcdef", size/16+1)[:size]
			db, table := coldTable(t, func(table *Table) { mustPut(t, table, 2, 1, "k", value) })
			longest, entries := 0, 0
			err := db.Iterate(nil, func(_, v []byte) error {
				longest, entries = max(longest, len(v)), entries+1
				return nil
			})
			if err != nil || longest > ChunkSize+1 || entries != 1+chunkCount(size) {
				t.Errorf("longest stored value %d bytes, %d entries, %v", longest, entries, err)
			}
			v, ok, err := table.Get(2, 1, []byte("k"))
			if err != nil || !ok || string(v) != value {
				t.Fatalf("%d bytes, %v, %v", len(v), ok, err)
			}
			mustPut(t, table, 2, 1, "k", "short")
			if err := db.Apply(Meta{Epoch: 2}, []*Delta{table.Freeze(2)}); err != nil {
				t.Fatal(err)
			}
			checkStore(t, db, map[addr]string{{2, 1, "k"}: "short"})
		})
	}
}

func TestMissingChunkIsCorruption(t *testing.T) {
	db, table := coldTable(t, func(table *Table) {
		mustPut(t, table, 2, 1, "k", strings.Repeat("x", 2*ChunkSize))
	})
	key := AppendKey(nil, worldStore, 2, 1, []byte("k"))
	if err := db.Replay(Meta{Epoch: 1}, []Entry{{Key: appendChunkKey(nil, key, 1)}}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := table.Get(2, 1, []byte("k")); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("get gives %v", err)
	}
	if _, _, err := table.Get(2, 1, []byte("other")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a store that reported damage answers %v", err)
	}
	if err := db.Apply(Meta{Epoch: 2}, nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a store that reported damage takes an epoch: %v", err)
	}
}

func TestMemoryIsObeyed(t *testing.T) {
	db, err := Open(Options{Backend: BackendMemory, Memory: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const memory = 4 << 20
	table := openTable(t, db, memory)
	rng := rand.New(rand.NewPCG(1, 1))
	for epoch := uint64(1); epoch <= 40; epoch++ {
		// The sizes of the values change over time, and so does the mix of blocks.
		size := 16 + int(epoch)*40
		for range 600 {
			key := fmt.Appendf(nil, "key-%d", rng.IntN(200_000))
			if err := table.Put(record.KeyGroup(2+key[4]%4), 0, key, bytes.Repeat([]byte("v"), size)); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Apply(Meta{Epoch: epoch}, []*Delta{table.Freeze(epoch)}); err != nil {
			t.Fatal(err)
		}
		table.Applied(epoch)
		if table.use() > memory {
			t.Fatalf("epoch %d: entries take %d bytes of %d", epoch, table.use(), memory)
		}
		if got, limit := table.Bytes(), int64(memory+memory/4+20*blockSize); got > limit {
			t.Fatalf("epoch %d: the table takes %d bytes of %d", epoch, got, limit)
		}
	}
	if table.Len() == 0 {
		t.Error("everything was evicted")
	}
}

func TestReadsDoNotFillTheMemory(t *testing.T) {
	const n = 50_000
	db, _ := coldTable(t, func(table *Table) {
		for i := range n {
			mustPut(t, table, 2, 0, fmt.Sprint("key-", i), strings.Repeat("v", 100))
		}
	})
	const memory = 1 << 20
	table := openTable(t, db, memory)
	for i := range n {
		if _, ok, err := table.Get(2, 0, fmt.Append(nil, "key-", i)); !ok || err != nil {
			t.Fatal(i, ok, err)
		}
	}
	if table.use() > memory+memory/8 {
		t.Errorf("reads took %d bytes of %d", table.use(), memory)
	}
}

func TestKeyOrder(t *testing.T) {
	var last []byte
	for _, s := range []StoreID{0, 1, 255, 256, MaxStoreID} {
		for _, g := range []record.KeyGroup{0, 1, 255, 256, 65535} {
			for _, ns := range []int64{math.MinInt64, -1 << 40, -1, 0, 1, 255, 256, math.MaxInt64} {
				for _, key := range []string{"", "\x00", "a", "a\x00", "ab", "b", "\xff\xff"} {
					k := AppendKey(nil, s, g, ns, []byte(key))
					if bytes.Compare(last, k) >= 0 {
						t.Fatalf("%x is not below %x", last, k)
					}
					a, err := ParseKey(k)
					if err != nil || a.Store != s || a.Group != g || a.Namespace != ns || string(a.Key) != key || a.Chunk != -1 {
						t.Fatalf("%x is parsed as %+v, %v", k, a, err)
					}
					c := appendChunkKey(nil, k, 3)
					if a, err := ParseKey(c); err != nil || a.Store != s || string(a.Key) != key || a.Chunk != 3 {
						t.Fatalf("chunk key %x is parsed as %+v, %v", c, a, err)
					}
					last = k
				}
			}
		}
	}
	if bytes.Compare(last, metaKey()) >= 0 {
		t.Error("the meta record is not above all entries")
	}
}

// TestNamespacesThatCameAndWentTakeNoMemory: windows do, and nobody asks for the
// namespaces while the job runs.
func TestNamespacesThatCameAndWentTakeNoMemory(t *testing.T) {
	n := newNames()
	for ns := range int64(100_000) {
		n.ensure(ns)
		if ns >= 3 {
			n.drop(ns - 3)
		}
	}
	if len(n.fresh) > 2*freshMax || cap(n.sorted) > 4*freshMax {
		t.Errorf("%d are remembered as new, %d in order", len(n.fresh), cap(n.sorted))
	}
	if got := n.settle(); len(got) != 3 || got[0] != 99_997 {
		t.Errorf("namespaces %v", got)
	}
}

// TestMemoryIsKept: state four times as large as the memory of its table stays
// within it, but for what an epoch has changed.
func TestMemoryIsKept(t *testing.T) {
	const n, perEpoch, memory = 40_000, 2_000, 720_000 // of 2.9 MB
	db, table := benchTable(t, memory)
	rng := rand.New(rand.NewPCG(7, 8))
	counts := make([]uint64, n)
	for epoch := uint64(1); epoch <= 60; epoch++ {
		for range perEpoch {
			i := rng.IntN(n)
			counts[i]++
			v, fresh, err := table.Upsert(record.KeyGroup(i%32), 60_000, binary.BigEndian.AppendUint64(nil, uint64(i)), 16)
			if err != nil || fresh != (counts[i] == 1) {
				t.Fatalf("key %d: fresh %v at its update %d: %v", i, fresh, counts[i], err)
			}
			got := binary.LittleEndian.Uint64(v) + 1
			binary.LittleEndian.PutUint64(v, got)
			if got != counts[i] {
				t.Fatalf("key %d was updated %d times and says %d", i, counts[i], got)
			}
		}
		if over := table.use() - memory - table.DirtyBytes(); over > memory/4 {
			t.Fatalf("epoch %d: %d bytes over %d", epoch, over, memory)
		}
		if err := db.Apply(Meta{Epoch: epoch}, []*Delta{table.Freeze(epoch)}); err != nil {
			t.Fatal(err)
		}
		table.Applied(epoch)
		if table.use() > memory {
			t.Fatalf("epoch %d: %d bytes are in use after it was applied, %d may be", epoch, table.use(), memory)
		}
	}
}
