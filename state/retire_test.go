package state

import (
	"strings"
	"testing"
)

// TestDeletionsOfAStore: in steps, with the pieces of long values, and nothing
// of the stores beside it.
func TestDeletionsOfAStore(t *testing.T) {
	db, err := Open(Options{Backend: BackendMemory, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	epoch := uint64(0)
	apply := func(d *Delta) {
		t.Helper()
		epoch++
		if err := db.Apply(Meta{Epoch: epoch}, []*Delta{d}); err != nil {
			t.Fatal(err)
		}
	}
	for _, store := range []StoreID{4, 5, 6} {
		table, err := db.Table(TableOptions{Store: store, First: 0, Last: 3})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 50 {
			value := "v"
			if i == 7 {
				value = strings.Repeat("long", ChunkSize) // four pieces
			}
			if err := table.Put(2, int64(i%3), []byte{byte(i)}, []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		apply(table.Freeze(epoch + 1))
	}
	var from []byte
	steps, total := 0, 0
	for done := false; !done; steps++ {
		d, next, err := db.Deletions(5, from, 20)
		if err != nil || d.Len() > 20 {
			t.Fatal(d.Len(), err)
		}
		total += d.Len()
		apply(d)
		from, done = next, next == nil
	}
	if total != 54 || steps != 3 {
		t.Errorf("%d deletions in %d steps", total, steps)
	}
	left := map[StoreID]int{}
	err = db.Iterate(nil, func(key, _ []byte) error {
		a, err := ParseKey(key)
		left[a.Store]++
		return err
	})
	if err != nil || left[4] != 54 || left[5] != 0 || left[6] != 54 {
		t.Errorf("left are %v: %v", left, err)
	}
	if d, next, err := db.Deletions(5, nil, 20); d.Len() != 0 || next != nil || err != nil {
		t.Error(d.Len(), next, err)
	}
}
