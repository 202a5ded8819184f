// Package state keeps what operators remember: hot in memory, cold in one
// Pebble store per instance, and nothing of an undecided epoch on disk.
//
// An entry is addressed by store, key group, namespace and key. The namespace
// is the start of a window or the time of a timer in milliseconds, 0 where
// there is neither. The bytes of that address are the same in Pebble and in the
// changelog topic, so that one key group is one range of keys and one partition.
//
// A Table is the part of one store that one task owns. A record changes memory
// only. The life of a change is
//
//	Upsert, Put, Delete    the entry is dirty: it stays in memory and is evicted by nothing
//	Freeze(n)              at barrier n: the dirty entries are encoded once into a Delta,
//	                       the next epoch begins; the entries stay in memory
//	DB.Apply(meta, deltas) after the commit of epoch n: all deltas of all tasks and the
//	                       meta record in one batch
//	Applied(n)             the entries are clean, and clean entries may be evicted
//
// so that a read sees, in this order, what the running epoch changed, what the
// frozen one changed, and Pebble. Because everything that is not on disk yet is
// in memory, a read of the disk needs no coordination with Apply: the two never
// touch the same key.
//
// A miss must be cheap, since windows bring fresh keys all the time. Each
// namespace knows whether the disk may hold entries of it that memory does not;
// while it holds none, which is true for every window that began in this life,
// a miss is answered from memory. Otherwise Pebble's bloom filters answer most
// misses without reading a block.
//
// The write-ahead log of Pebble is off: the changelog topic is the log. A batch
// enters one memory table whole and memory tables reach the disk in order, so
// that after any crash the store is exactly one earlier epoch, and the replay of
// the changelog from the positions in the meta record repairs the rest.
package state
