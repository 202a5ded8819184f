package state

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"kstream/record"
)

// TestCrashDuringIngest restores a log by tables and batches in any order,
// crashes at any moment, and finds exactly what the positions say.
func TestCrashDuringIngest(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var log []Entry
	states := []map[addr]string{{}}
	for range 3000 {
		a := addr{record.KeyGroup(2 + rng.IntN(4)), int64(rng.IntN(3)), fmt.Sprint("k", rng.IntN(300))}
		e := Entry{Key: AppendKey(nil, worldStore, a.g, a.ns, []byte(a.key))}
		now := maps.Clone(states[len(states)-1])
		if rng.IntN(3) == 0 {
			delete(now, a)
		} else {
			now[a] = fmt.Sprint("v", rng.IntN(1e6))
			e.Value = append([]byte{valueWhole}, now[a]...)
		}
		log, states = append(log, e), append(states, now)
	}
	restarts, ingested := 0, 0
	for range 40 {
		var fsys FS = NewCrashFS()
		db := openStore(t, fsys)
		for at := 0; at < len(log); {
			to := min(len(log), at+1+rng.IntN(600))
			m := Meta{Epoch: 9, Positions: []record.Offset{record.Offset(to)}, Restoring: to < len(log)}
			write := db.Replay
			if rng.IntN(3) > 0 {
				write, ingested = db.Ingest, ingested+1
			}
			if err := write(m, cloneEntries(log[at:to])); err != nil {
				t.Fatal(err)
			}
			if at = to; rng.IntN(3) > 0 {
				continue
			}
			restarts++
			image := CrashClone(fsys, rng.IntN(101), rng)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			fsys, db = image, openStore(t, image)
			at = 0
			if m, ok := db.Meta(); ok {
				at = int(m.Positions[0])
			}
			checkStore(t, db, states[at])
		}
		checkStore(t, db, states[len(log)])
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if restarts < 40 || ingested < 100 {
		t.Errorf("only %d restarts and %d tables", restarts, ingested)
	}
}

// cloneEntries: Ingest and Replay may keep none of the bytes.
func cloneEntries(entries []Entry) []Entry {
	out := make([]Entry, len(entries))
	for i, e := range entries {
		out[i] = Entry{Key: bytes.Clone(e.Key), Value: bytes.Clone(e.Value)}
	}
	return out
}

func openStore(t *testing.T, fsys FS) *DB {
	t.Helper()
	db, err := Open(Options{FS: fsys, Dir: "dir", Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// TestIngestIsDurable: nothing of it is lost in a crash that loses all that was
// not synced, and a table that was not finished leaves nothing.
func TestIngestIsDurable(t *testing.T) {
	fsys := NewCrashFS()
	db := openStore(t, fsys)
	a := addr{3, 0, "k"}
	entry := Entry{Key: AppendKey(nil, worldStore, a.g, a.ns, []byte(a.key)), Value: []byte("\x00v")}
	if err := db.Ingest(Meta{Epoch: 4, Owner: "o", Restoring: true}, []Entry{entry}); err != nil {
		t.Fatal(err)
	}
	f, err := fsys.Create(fsys.PathJoin("dir", ingestFile), "")
	if err == nil {
		_, err = f.Write([]byte("half a table"))
	}
	if err != nil {
		t.Fatal(err)
	}
	image := CrashClone(fsys, 0, rand.New(rand.NewPCG(1, 2)))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openStore(t, image)
	defer db.Close()
	if m, ok := db.Meta(); !ok || m.Epoch != 4 || !m.Restoring {
		t.Errorf("%+v, %v", m, ok)
	}
	checkStore(t, db, map[addr]string{a: "v"})
	if _, err := image.Stat(image.PathJoin("dir", ingestFile)); err == nil {
		t.Error("the table that was not finished is still there")
	}
	if err := db.Ingest(Meta{}, []Entry{{Key: []byte("x")}}); err == nil {
		t.Error("a key that is none is accepted")
	}
}
