package state

import (
	"math"
	"slices"
)

// names knows the namespaces of a table: the list of live entries of each, and
// whether the disk may hold entries of it that are not in memory.
type names struct {
	index map[int64]int32 // place in infos
	infos []nameInfo
	free  []int32

	// sorted is the answer of Namespaces; fresh are those not in it yet, and
	// stale is set when it has some that are gone. doubtful are those that may
	// have lost their last entry on disk.
	sorted, merged []int64
	fresh          []int64
	stale          bool
	doubtful       []int64

	lastNS int64 // of the last lookup
	last   int32 // its place, -1 if none
}

// nameInfo is one namespace. It exists as long as it has a live entry in memory
// or may have one on disk.
type nameInfo struct {
	head, tail ref
	live       uint32
	disk       bool // entries may be on disk that are not in memory
	doubtful   bool // in the list
}

// freshMax bounds the namespaces that came since somebody asked for all, beyond
// as many as there are.
const freshMax = 1024

func newNames() names { return names{index: map[int64]int32{}, last: -1} }

// info is the namespace, or nil.
func (n *names) info(ns int64) *nameInfo {
	if n.last >= 0 && n.lastNS == ns {
		return &n.infos[n.last]
	}
	i, ok := n.index[ns]
	if !ok {
		return nil
	}
	n.lastNS, n.last = ns, i
	return &n.infos[i]
}

// ensure is the namespace, made if it does not exist.
func (n *names) ensure(ns int64) *nameInfo {
	if i := n.info(ns); i != nil {
		return i
	}
	var at int32
	if k := len(n.free); k > 0 {
		at = n.free[k-1]
		n.free = n.free[:k-1]
	} else {
		at = int32(len(n.infos))
		n.infos = append(n.infos, nameInfo{})
	}
	n.infos[at] = nameInfo{}
	n.index[ns] = at
	if n.fresh = append(n.fresh, ns); len(n.fresh) > freshMax+len(n.index) {
		n.settle() // windows come and go, and nobody asks
	}
	n.lastNS, n.last = ns, at
	return &n.infos[at]
}

// onDisk reports whether the disk may hold an entry of the namespace that is
// not in memory.
func (n *names) onDisk(ns int64) bool {
	i := n.info(ns)
	return i != nil && i.disk
}

// link adds a live entry at the end of its namespace's list.
func (n *names) link(sl *slab, r ref, s slot) {
	i := n.ensure(s.namespace())
	s.setNext(0)
	s.setPrev(i.tail)
	if i.tail != 0 {
		sl.at(i.tail).setNext(r)
	} else {
		i.head = r
	}
	i.tail = r
	i.live++
}

// unlink takes an entry out of its namespace's list. The namespace stays known
// until drop.
func (n *names) unlink(sl *slab, r ref, s slot) {
	i := n.info(s.namespace())
	next, prev := s.next(), s.prev()
	if prev != 0 {
		sl.at(prev).setNext(next)
	} else {
		i.head = next
	}
	if next != 0 {
		sl.at(next).setPrev(prev)
	} else {
		i.tail = prev
	}
	i.live--
}

// drop forgets a namespace that has nothing.
func (n *names) drop(ns int64) {
	i := n.info(ns)
	if i == nil || i.live > 0 || i.disk {
		return
	}
	n.free = append(n.free, n.index[ns])
	delete(n.index, ns)
	n.last = -1
	n.stale = true
}

// doubt notes that a key of the namespace was deleted: if none is left in
// memory, there may be none on disk either.
func (n *names) doubt(ns int64) {
	i := n.info(ns)
	if i == nil || i.live > 0 {
		return
	}
	if !i.disk {
		n.drop(ns)
	} else if !i.doubtful {
		i.doubtful = true
		n.doubtful = append(n.doubtful, ns)
	}
}

// settle brings sorted up to date.
func (n *names) settle() []int64 {
	if len(n.fresh) == 0 && !n.stale {
		return n.sorted
	}
	slices.Sort(n.fresh)
	out, old, fresh := n.merged[:0], n.sorted, n.fresh
	for len(old) > 0 || len(fresh) > 0 {
		ns := int64(math.MaxInt64)
		if len(old) > 0 {
			ns = old[0]
		}
		if len(fresh) > 0 {
			ns = min(ns, fresh[0])
		}
		for len(old) > 0 && old[0] == ns {
			old = old[1:]
		}
		for len(fresh) > 0 && fresh[0] == ns {
			fresh = fresh[1:]
		}
		if _, ok := n.index[ns]; ok {
			out = append(out, ns)
		}
	}
	n.merged, n.sorted = n.sorted, out
	n.fresh, n.stale = n.fresh[:0], false
	return out
}

// Namespaces are the namespaces that have an entry, ascending. The slice is
// valid until the next call that changes the table.
func (t *Table) Namespaces() ([]int64, error) {
	for len(t.names.doubtful) > 0 {
		k := len(t.names.doubtful) - 1
		ns := t.names.doubtful[k]
		if i := t.names.info(ns); i != nil && i.doubtful {
			found := i.live > 0
			if !found {
				err := t.scanDisk(ns, func(address, []byte) error { found = true; return errStop })
				if err != nil {
					return nil, err
				}
			}
			i = t.names.info(ns)
			i.doubtful = false
			if !found {
				i.disk = false
				t.names.drop(ns)
			}
		}
		t.names.doubtful = t.names.doubtful[:k]
	}
	return t.names.settle(), nil
}
