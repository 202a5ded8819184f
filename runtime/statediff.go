package runtime

import (
	"context"
	"slices"

	"kstream/record"
)

// StateChange is a difference between two states; the parts are JSON, Old or New
// is empty where there is no row.
type StateChange struct {
	UID, Key, Window string
	Old, New         string
}

// DiffState calls fn with the differences of two states: of one step, or of all if
// uid is empty. It keeps the rows of a key group of the first in memory, of a
// whole step if the numbers of key groups differ.
func DiffState(a, b *StateView, uid string, fn func(*StateChange) error) error {
	uids := append(a.uids(), b.uids()...)
	slices.Sort(uids)
	uids = slices.Compact(uids)
	if uid != "" {
		if !slices.Contains(uids, uid) {
			_, err := a.store(uid)
			return err
		}
		uids = []string{uid}
	}
	for _, uid := range uids {
		if err := diffStep(a, b, uid, fn); err != nil {
			return err
		}
	}
	return nil
}

func diffStep(a, b *StateView, uid string, fn func(*StateChange) error) error {
	var err error
	sides := [2]func(g record.KeyGroup, fn func(*StateLine) error) error{}
	for i, v := range [2]*StateView{a, b} {
		if sides[i], err = v.side(uid); err != nil {
			return err
		}
	}
	if a.groups == b.groups {
		for g := range a.groups {
			at := []record.KeyGroup{record.KeyGroup(g)}
			if err := diffGroups(uid, sides, at, at, fn); err != nil {
				return err
			}
		}
		return nil
	}
	return diffGroups(uid, sides, allGroups(a.groups), allGroups(b.groups), fn)
}

func allGroups(n int) (all []record.KeyGroup) {
	for g := range n {
		all = append(all, record.KeyGroup(g))
	}
	return all
}

// side reads the rows of a step by key groups; there are none where the state has
// no such step.
func (v *StateView) side(uid string) (func(record.KeyGroup, func(*StateLine) error) error, error) {
	if !slices.Contains(v.uids(), uid) {
		return func(record.KeyGroup, func(*StateLine) error) error { return nil }, nil
	}
	x, err := v.inspector(uid)
	if err != nil {
		return nil, err
	}
	return func(g record.KeyGroup, fn func(*StateLine) error) error {
		if v.ctx.Err() != nil {
			return context.Cause(v.ctx)
		}
		return v.group(x, uid, g, fn)
	}, nil
}

type rowOf struct{ key, window string }

func diffGroups(uid string, sides [2]func(record.KeyGroup, func(*StateLine) error) error, as, bs []record.KeyGroup, fn func(*StateChange) error) error {
	old := map[rowOf]string{}
	var order []rowOf
	for _, g := range as {
		err := sides[0](g, func(l *StateLine) error {
			at := rowOf{l.Key, l.Window}
			old[at] = l.Value
			order = append(order, at)
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, g := range bs {
		err := sides[1](g, func(l *StateLine) error {
			at := rowOf{l.Key, l.Window}
			was, known := old[at]
			delete(old, at)
			if known && was == l.Value {
				return nil
			}
			return fn(&StateChange{UID: uid, Key: l.Key, Window: l.Window, Old: was, New: l.Value})
		})
		if err != nil {
			return err
		}
	}
	for _, at := range order {
		if was, left := old[at]; left {
			if err := fn(&StateChange{UID: uid, Key: at.key, Window: at.window, Old: was}); err != nil {
				return err
			}
		}
	}
	return nil
}
