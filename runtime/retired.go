package runtime

import (
	"slices"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/record"
	"kstream/state"
)

// retired deletes the entries of steps that were reset or removed: nothing reads
// them, but they would stay in changelog and store, and every restore would read
// them. Each epoch deletes some, in its transaction.
type retired struct {
	from  []byte          // where the store under way goes on
	delta *state.Delta    // of the epoch under way, nil if there is none
	done  map[uint16]bool // stores in which nothing is left
}

// next is the store whose entries are deleted now.
func (r *retired) next(stores []checkpoint.StoreEntry) (checkpoint.StoreEntry, bool) {
	for _, s := range stores {
		if s.Retired && !r.done[s.ID] {
			return s, true
		}
	}
	return checkpoint.StoreEntry{}, false
}

// deleteRetired produces tombstones into the open transaction, which no task
// writes to any more. The record forgets a store with the last of them.
func (l *life) deleteRetired() error {
	r := &l.retired
	r.delta = nil
	s, ok := r.next(l.stores)
	if !ok {
		return nil
	}
	d, next, err := l.db.Deletions(state.StoreID(s.ID), r.from, sweepEntries)
	if err != nil {
		return storeFailure(err)
	}
	m := record.Message{Topic: l.changelog.Topic, Time: l.job.now()}
	err = d.Each(func(g record.KeyGroup, key, _ []byte) error {
		m.Key, m.Partition = changelog.AppendKey(m.Key[:0], key), changelog.Partition(g)
		l.producer.Produce(&m)
		return nil
	})
	if err != nil {
		return err
	}
	r.delta, r.from = d, next
	if next != nil {
		return nil
	}
	if r.done == nil {
		r.done = map[uint16]bool{}
	}
	r.done[s.ID] = true
	l.stores = forgetStore(l.stores, s.ID)
	if d.Len() > 0 {
		l.job.log.Info("the last state of a step that was reset or removed is deleted", "uid", s.UID)
	}
	return nil
}

// forgetStore takes a store out of the list, unless its number is the highest:
// numbers are never given twice, and the next one is found by that.
func forgetStore(stores []checkpoint.StoreEntry, id uint16) []checkpoint.StoreEntry {
	for _, s := range stores {
		if s.ID > id {
			return slices.DeleteFunc(slices.Clone(stores), func(s checkpoint.StoreEntry) bool { return s.ID == id })
		}
	}
	return stores
}
