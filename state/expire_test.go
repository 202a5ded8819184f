package state

import (
	"maps"
	"strings"
	"testing"

	"kstream/record"
)

// isPart reports whether p stands in the same group and namespace as a, with a
// longer key that begins with that of a.
func isPart(p, a addr) bool {
	return p.g == a.g && p.ns == a.ns && len(p.key) > len(a.key) && strings.HasPrefix(p.key, a.key)
}

func (w *world) dropPrefixed(a addr) {
	w.t.Helper()
	if err := w.table.DropPrefixed(a.g, a.ns, []byte(a.key)); err != nil {
		w.t.Fatal(err)
	}
	maps.DeleteFunc(w.now, func(p addr, _ string) bool { return isPart(p, a) })
}

// sweep runs a whole round in steps. What it may find is what is on disk.
func (w *world) sweep(b byte) {
	w.t.Helper()
	limit, parts, which := 1+int(b%7), b%2 == 0, b%5
	ended := func(ns int64, key, value []byte) bool {
		return ns >= 0 && (len(value)+len(key))%5 == int(which)
	}
	for done := false; !done; {
		var err error
		if done, err = w.table.Sweep(limit, parts, ended); err != nil {
			w.t.Fatal(err)
		}
	}
	var dead []addr
	for a := range w.history[w.epoch] {
		if v, ok := w.now[a]; ok && ended(a.ns, []byte(a.key), []byte(v)) {
			dead = append(dead, a)
		}
	}
	for _, a := range dead {
		delete(w.now, a)
		if parts {
			maps.DeleteFunc(w.now, func(p addr, _ string) bool { return isPart(p, a) })
		}
	}
}

// TestSweepGoesOn: a call looks at no more entries than it may, the next one
// goes on behind them, and behind the last one it begins anew.
func TestSweepGoesOn(t *testing.T) {
	w := newWorld(t, 2000) // most entries are evicted
	const n = 100
	for i := range n {
		w.put(addr{3, 0, string([]byte{'k', byte(i)})}, strings.Repeat("v", 100))
	}
	w.freeze()
	w.apply()
	for round := range 2 {
		var seen []byte
		steps := 0
		for done := false; !done; steps++ {
			looked := 0
			var err error
			done, err = w.table.Sweep(30, false, func(_ int64, key, _ []byte) bool {
				looked++
				seen = append(seen, key[1])
				return key[1]%10 == 0
			})
			if err != nil || looked > 30 {
				t.Fatalf("looked at %d entries: %v", looked, err)
			}
		}
		want := n - round*n/10
		if len(seen) != want || steps != 4-round {
			t.Fatalf("round %d saw %d entries in %d steps, want %d", round, len(seen), steps, want)
		}
		for i := 1; i < len(seen); i++ {
			if seen[i] <= seen[i-1] {
				t.Fatalf("round %d is not in the order of keys: %d", round, seen)
			}
		}
		w.freeze()
		w.apply()
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSweepReadsMemory: an entry that was renewed since it reached the disk is
// judged by what it is now.
func TestSweepReadsMemory(t *testing.T) {
	w := newWorld(t, 0)
	a := addr{3, 0, "k"}
	w.put(a, "old")
	w.freeze()
	w.apply()
	w.put(a, "new")
	done, err := w.table.Sweep(10, false, func(_ int64, _, value []byte) bool { return string(value) == "old" })
	if !done || err != nil {
		t.Fatal(done, err)
	}
	w.get(a)
	if _, ok, _ := w.table.Get(record.KeyGroup(3), 0, []byte("k")); !ok {
		t.Error("the entry is gone")
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDropPrefixedEverywhere: entries are found whether they are dirty, frozen,
// applied, evicted or in two of these.
func TestDropPrefixedEverywhere(t *testing.T) {
	for _, memory := range []int64{0, 1} {
		w := newWorld(t, memory)
		at := func(key string) addr { return addr{3, 60_000, key} }
		step := func(keys ...string) {
			for _, k := range append(keys, "x"+keys[0]) {
				w.put(at(k), "value of "+k)
			}
		}
		step("a", "ab", "abc")
		w.freeze()
		w.apply()
		step("abd", "b")
		w.freeze()
		step("abe", "aa")
		w.put(at("abc"), "again")
		w.dropPrefixed(at("ab"))
		for _, k := range []string{"a", "ab", "abc", "abd", "b", "abe", "aa", "xa", "xabd", "xabe"} {
			w.get(at(k))
		}
		w.freeze()
		w.apply()
		w.apply()
		checkStore(t, w.db, w.now)
		w.invariants()
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
