package operator

import (
	"encoding/binary"

	"kstream/record"
	"kstream/state"
)

// expiry is the state_ttl of one operator: what was not written for so long is
// taken to be absent when it is touched, and a sweep deletes what nobody touches.
//
// The entry that stands for a group, the main one, holds the moment of its end:
// processing time in milliseconds, 8 bytes at a place the operator chooses, 0 for
// never. Whatever else belongs to the group has keys that begin with the key of
// the main entry; it goes with it, and has no end of its own.
//
// The place is there without a state_ttl, too, so that one can be added to a
// pipeline that has state, or be taken away; it holds for what is written from
// then on.
type expiry struct {
	base  *base
	table *state.Table
	at    int  // of the end in a main entry
	parts bool // there are entries beside the main ones
	// isMain tells a main entry from one beside it, by its key; nil if all are.
	isMain func(key []byte) bool
	length int64 // milliseconds, 0 is no end

	// The sweep: whether a round is under way, and when the last one began.
	sweeping bool
	began    int64
}

// A round of the sweep begins at the earliest when a part of the time to live
// has passed since the last one, so that what is dead stays at most so much
// longer, and an idle job does not walk over its state all the time.
const (
	sweepPart  = 8
	sweepLeast = 1000 // milliseconds between two rounds
)

// expirySize is what the end of a group takes in the main entry.
const expirySize = 8

// expire makes the operator's state end as its node says.
func (c *Chain) expire(b *base, table *state.Table, at int, parts bool, isMain func(key []byte) bool) *expiry {
	e := &expiry{base: b, table: table, at: at, parts: parts, isMain: isMain}
	if s := b.node.State; s != nil {
		e.length = s.TTL.Length
	}
	if e.on() {
		c.expiring = append(c.expiring, e)
	}
	return e
}

func (e *expiry) on() bool { return e.length > 0 }

// now is processing time in milliseconds, read once per batch.
func (e *expiry) now() int64 { return e.base.expr.Now / 1e6 }

// ended reports whether the group of a main entry is to be taken for absent.
func (e *expiry) ended(main []byte) bool {
	end := int64(binary.LittleEndian.Uint64(main[e.at:]))
	return end != 0 && end <= e.now()
}

// renew says that the group was written now.
func (e *expiry) renew(main []byte) {
	end := int64(0)
	if e.on() {
		end = e.now() + e.length
	}
	binary.LittleEndian.PutUint64(main[e.at:], uint64(end))
}

// dropEnded deletes the group of a key if it has ended.
func (e *expiry) dropEnded(g record.KeyGroup, ns int64, key []byte) error {
	if !e.on() {
		return nil
	}
	main, ok, err := e.table.Get(g, ns, key)
	if err != nil || !ok || !e.ended(main) {
		return err
	}
	if err := e.table.Delete(g, ns, key); err != nil || !e.parts {
		return err
	}
	return e.table.DropPrefixed(g, ns, key)
}

// sweep goes on with a round, or begins one when it is time.
func (e *expiry) sweep(limit int) error {
	now := e.now()
	if !e.sweeping {
		wait := max(e.length/sweepPart, sweepLeast)
		// A clock that was set back must not hold the sweep for long.
		if since := now - e.began; since >= 0 && since < wait {
			return nil
		}
		e.sweeping, e.began = true, now
	}
	done, err := e.table.Sweep(limit, e.parts, func(_ int64, key, value []byte) bool {
		if e.isMain != nil && !e.isMain(key) {
			return false
		}
		return len(value) >= e.at+expirySize && e.ended(value)
	})
	e.sweeping = !done
	if err != nil {
		return e.base.wrap("sweep expired state", err)
	}
	return nil
}

// Sweep deletes state that has expired: each operator looks at no more than
// limit of its entries and goes on from there the next time. The deletions belong
// to the running epoch; env.Expr.Now was set.
func (c *Chain) Sweep(limit int) error {
	for _, e := range c.expiring {
		if err := e.sweep(limit); err != nil {
			return err
		}
	}
	return nil
}
