package state

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"kstream/record"
)

// contents are the entries of a snapshot as text.
func contents(t *testing.T, s *Snapshot, first, last record.KeyGroup, stores ...StoreID) string {
	t.Helper()
	var b strings.Builder
	var before []byte
	err := s.Range(stores, first, last, func(key, value []byte) error {
		if before != nil && bytes.Compare(before, key) >= 0 {
			t.Errorf("the keys are not in order: %x, %x", before, key)
		}
		before = bytes.Clone(key)
		a, err := ParseKey(key)
		if err == nil {
			fmt.Fprintf(&b, "%d/%d/%d/%s", a.Store, a.Group, a.Namespace, a.Key)
			if a.Chunk >= 0 {
				fmt.Fprintf(&b, "#%d", a.Chunk)
			}
			fmt.Fprintf(&b, "=%.8q ", value)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func TestSnapshotStaysAsItIs(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory, Memory: 1 << 20})
	defer db.Close()
	table := openTable(t, db, 1<<20)
	mustPut(t, table, 2, 7, "b", "1")
	mustPut(t, table, 3, 0, "c", strings.Repeat("x", ChunkSize+1))
	mustPut(t, table, 5, 0, "d", "4")
	if err := db.Apply(Meta{Epoch: 1}, []*Delta{table.Freeze(1)}); err != nil {
		t.Fatal(err)
	}
	table.Applied(1)
	s, err := db.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mustPut(t, table, 2, 7, "b", "2")
	mustPut(t, table, 2, 0, "e", "5")
	if err := db.Apply(Meta{Epoch: 2}, []*Delta{table.Freeze(2)}); err != nil {
		t.Fatal(err)
	}
	if s.Meta.Epoch != 1 {
		t.Errorf("epoch %d", s.Meta.Epoch)
	}
	want := strings.ReplaceAll(`S/2/7/b="\x001" S/3/0/c="\x01\x00\x00\x00\x00\x00\b\x00" S/3/0/c#0="xxxxxxxx" S/3/0/c#1="x"`, "S", fmt.Sprint(worldStore))
	if got := contents(t, s, 2, 4, worldStore); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := contents(t, s, 0, 9, worldStore+1); got != "" {
		t.Errorf("other stores hold %s", got)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRehashMovesAnEntryWithItsPieces(t *testing.T) {
	whole := AppendKey(nil, 3, 17, -5, []byte("key"))
	for _, address := range [][]byte{whole, appendChunkKey(nil, whole, 12)} {
		moved, err := Rehash(nil, address, 9, 40)
		if err != nil {
			t.Fatal(err)
		}
		before, _ := ParseKey(address)
		after, err := ParseKey(moved)
		if err != nil || after.Store != 9 || after.Group != 40 || after.Namespace != -5 || string(after.Key) != "key" || after.Chunk != before.Chunk {
			t.Errorf("%+v became %+v, %v", before, after, err)
		}
		if back, _ := Rehash(nil, moved, 3, 17); !bytes.Equal(back, address) {
			t.Errorf("there and back: %x, was %x", back, address)
		}
	}
}

func TestNoSnapshotDuringARestore(t *testing.T) {
	db := mustOpen(t, Options{Backend: BackendMemory})
	defer db.Close()
	if err := db.Replay(Meta{Epoch: 4, Restoring: true}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Snapshot(); err == nil {
		t.Error("a snapshot of half a restore")
	}
}
