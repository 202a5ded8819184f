package state

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"kstream/record"
)

// TestReader reads what was applied before the snapshot, in order, with long
// values whole, and nothing of other stores and key groups.
func TestReader(t *testing.T) {
	db, err := Open(Options{Backend: BackendMemory, Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	long := bytes.Repeat([]byte("0123456789abcdef"), ChunkSize/8)
	write := func(epoch uint64, store StoreID, put func(*Table) error) {
		t.Helper()
		table, err := db.Table(TableOptions{Store: store, Last: 7})
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		if err := put(table); err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(Meta{Epoch: epoch, Owner: "1-a"}, []*Delta{table.Freeze(epoch)}); err != nil {
			t.Fatal(err)
		}
		table.Applied(epoch)
	}
	write(1, 3, func(x *Table) error {
		for g := range record.KeyGroup(3) {
			for _, ns := range []int64{-5, 0, 9} {
				for _, key := range []string{"a", "ab", "b"} {
					if err := x.Put(g, ns, []byte(key), fmt.Appendf(nil, "%d %d %s", g, ns, key)); err != nil {
						return err
					}
				}
			}
		}
		return x.Put(1, 9, []byte("long"), long)
	})
	write(2, 4, func(x *Table) error { return x.Put(1, 0, []byte("other"), []byte("x")) })
	snapshot, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer snapshot.Close()
	write(3, 3, func(x *Table) error { return x.Put(1, 0, []byte("later"), []byte("x")) })
	r, err := snapshot.Reader(3)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for ok := r.Seek(1, -5, []byte("ab")); ok; ok = r.Next() {
		got = append(got, fmt.Sprintf("%d %s", r.Address().Namespace, r.Address().Key))
		if _, _, err := r.Get(0, 0, []byte("a")); err != nil { // does not move it
			t.Fatal(err)
		}
	}
	want := []string{"-5 ab", "-5 b", "0 a", "0 ab", "0 b", "9 a", "9 ab", "9 b", "9 long"}
	if r.Err() != nil || !slices.Equal(got, want) {
		t.Errorf("entries %q, %v; want %q", got, r.Err(), want)
	}
	if v, ok, err := r.Get(1, 9, []byte("long")); err != nil || !ok || !bytes.Equal(v, long) {
		t.Errorf("the long value has %d bytes, %v, %v", len(v), ok, err)
	}
	if v, ok, err := r.Get(1, 0, []byte("later")); ok || err != nil {
		t.Errorf("what came later is %q, %v", v, err)
	}
	got = nil
	if err := r.Each(2, 0, []byte("a"), func(key, value []byte) error {
		got = append(got, string(key)+"="+string(value))
		return nil
	}); err != nil || !slices.Equal(got, []string{"a=2 0 a", "ab=2 0 ab"}) {
		t.Errorf("with a prefix: %q, %v", got, err)
	}
	if n := fill(t, r); n < len(long) {
		t.Errorf("%d bytes are counted, the long value has %d", n, len(long))
	}
}

// fill counts the bytes of key group 1.
func fill(t *testing.T, r *Reader) (bytes int) {
	t.Helper()
	for ok := r.Seek(1, -5, nil); ok; ok = r.Next() {
		n, err := r.Stored()
		if err != nil {
			t.Fatal(err)
		}
		bytes += n
	}
	return bytes
}

// TestScratch is a table like others, and is empty again when all is deleted.
func TestScratch(t *testing.T) {
	x := NewScratch()
	for round := range 3 {
		for i := range 1000 {
			if err := x.Put(record.KeyGroup(i%4), int64(i%3), fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", round)); err != nil {
				t.Fatal(err)
			}
		}
		if v, ok, err := x.Get(3, 1, []byte("k7")); err != nil || !ok || string(v) != fmt.Sprintf("v%d", round) {
			t.Fatalf("k7 is %q, %v, %v", v, ok, err)
		}
		if _, ok, err := x.Get(0, 7, []byte("k7")); ok || err != nil {
			t.Fatalf("what was never put is there: %v", err)
		}
		for i := range 1000 {
			if err := x.Delete(record.KeyGroup(i%4), int64(i%3), fmt.Appendf(nil, "k%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		if x.Len() != 0 || x.DirtyBytes() != 0 {
			t.Fatalf("%d entries are left, %d bytes", x.Len(), x.DirtyBytes())
		}
	}
}
