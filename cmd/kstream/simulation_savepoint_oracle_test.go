//go:build harness

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing/fstest"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/savepoint"
	"kstream/state"
)

// memoryDirectory is a savepoint in memory.
type memoryDirectory struct {
	files     fstest.MapFS
	committed bool
}

func (m *memoryDirectory) make(checkpoint.Epoch) (savepoint.Directory, error) {
	m.files = fstest.MapFS{}
	return m, nil
}

// Create implements savepoint.Directory.
func (m *memoryDirectory) Create(name string) (io.WriteCloser, error) {
	return &memoryFile{dir: m, name: name}, nil
}

// Commit implements savepoint.Directory.
func (m *memoryDirectory) Commit() error { m.committed = true; return nil }

// Abandon implements savepoint.Directory.
func (m *memoryDirectory) Abandon() error { m.files = nil; return nil }

type memoryFile struct {
	bytes.Buffer
	dir  *memoryDirectory
	name string
}

// Close implements io.Closer.
func (f *memoryFile) Close() error {
	f.dir.files[f.name] = &fstest.MapFile{Data: bytes.Clone(f.Bytes()), Mode: 0o600}
	return nil
}

// results are the values of a topic by record key, in their order.
type results map[string][]string

func (r results) size() int {
	n := 0
	for _, values := range r {
		n += len(values)
	}
	return n
}

// results reads a topic of a job; keep says which of its records count.
func (r *restorable) results(job, topic string, keep func(partition int32, offset int64) bool) (results, error) {
	all := results{}
	err := r.readTopic(context.Background(), job+"-"+topic, func(rec *kgo.Record) error {
		if !keep(rec.Partition, rec.Offset) {
			return nil
		}
		value := "tombstone"
		if rec.Value != nil {
			value = string(rec.Value)
		}
		all[string(rec.Key)] = append(all[string(rec.Key)], value)
		return nil
	})
	return all, err
}

func everything(int32, int64) bool { return true }

// judge compares all outputs with those of the uninterrupted job.
func (r *restorable) judge() error {
	forks := 0
	if r.forked() {
		forks = 2
	}
	var bad []string
	middle := map[int]bool{}
	for _, topic := range r.topics {
		want, err := r.results("ref", topic, everything)
		if err != nil {
			return err
		}
		got, err := r.results("live", topic, everything)
		if err != nil {
			return err
		}
		bad = append(bad, r.differ("live", topic, want, got)...)
		for i := range forks {
			ends := r.saves[i].ends
			before, err := r.results("live", topic, func(p int32, offset int64) bool { return offset < ends[fmt.Sprintf("%s/%d", topic, p)] })
			if err != nil {
				return err
			}
			name := fmt.Sprintf("fork-%d", i)
			after, err := r.results(name, topic, everything)
			if err != nil {
				return err
			}
			if before.size() > 0 && after.size() > 0 {
				middle[i] = true
			}
			for k, values := range after {
				before[k] = append(before[k], values...)
			}
			bad = append(bad, r.differ(name, topic, want, before)...)
		}
		if forks == 0 {
			r.middles(topic, got.size(), middle)
		}
	}
	r.tally.add(func() {
		r.tally.cases += 2
		r.tally.kinds[r.kind] += 2
		r.tally.middle += len(middle)
	})
	if len(bad) > 0 {
		return errors.New(strings.Join(bad[:min(len(bad), 10)], "\n"))
	}
	return nil
}

// middles notes which stops of a job that was stopped lie between two results.
func (r *restorable) middles(topic string, all int, middle map[int]bool) {
	for i, s := range r.saves[:2] {
		n := int64(0)
		for p, end := range s.ends {
			if strings.HasPrefix(p, topic+"/") {
				n += end
			}
		}
		if n > 0 && int(n) < all {
			middle[i] = true
		}
	}
}

// differ compares two histories of a topic. One that is a table may come to its
// rows in different ways: partitions meet in another order.
func (r *restorable) differ(job, topic string, want, got results) []string {
	r.tally.add(func() {
		r.tally.values += int64(want.size())
		r.tally.outputs[r.kind+" "+topic] += want.size()
	})
	var bad []string
	keys := map[string]bool{}
	for k := range want {
		keys[k] = true
	}
	for k := range got {
		keys[k] = true
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		w, g := want[k], got[k]
		if strings.HasPrefix(topic, "table-") {
			w, g = lastRow(w), lastRow(g)
		}
		if !slices.Equal(w, g) {
			bad = append(bad, fmt.Sprintf("%s %s %s has\n  %s\nwant\n  %s", job, topic, k, strings.Join(g, "\n  "), strings.Join(w, "\n  ")))
		}
	}
	return bad
}

// lastRow is what a table has in the end.
func lastRow(values []string) []string {
	if len(values) == 0 || values[len(values)-1] == "tombstone" {
		return nil
	}
	return values[len(values)-1:]
}

// equal demands the same entries in two savepoints, apart from their key groups.
func (r *restorable) equal(a, b *savepoint.Savepoint) error {
	before, err := entriesByStep(a)
	if err != nil {
		return err
	}
	after, err := entriesByStep(b)
	if err != nil {
		return err
	}
	r.tally.add(func() { r.tally.rounds += int64(len(before)) })
	for k, v := range before {
		if after[k] != v {
			return fmt.Errorf("the entry %q is %q, and after a restore %q", k, v, after[k])
		}
	}
	if len(after) != len(before) {
		return fmt.Errorf("%d entries, and after a restore %d", len(before), len(after))
	}
	return nil
}

// entriesByStep are the entries of a savepoint under an address without key group
// and store.
func entriesByStep(s *savepoint.Savepoint) (map[string]string, error) {
	steps := map[state.StoreID]string{}
	for _, st := range s.Checkpoint.Stores {
		steps[state.StoreID(st.ID)] = st.UID
	}
	all := map[string]string{}
	err := s.Entries(context.Background(), func(_ record.KeyGroup, key, value []byte) error {
		a, err := state.ParseKey(key)
		if err != nil {
			return err
		}
		plain, err := state.Rehash(nil, key, 0, 0)
		if err != nil {
			return err
		}
		all[steps[a.Store]+" "+string(plain)] = string(value)
		return nil
	})
	return all, err
}
