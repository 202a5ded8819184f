// Package contract tests that a participant keeps the contract of
// kstream/sink/twophase. A new kind of sink runs it against its own external
// system; each property is a subtest with a name that says it.
package contract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/sink/twophase"
)

// Sink is what is tested: both interfaces, by one value.
type Sink interface {
	twophase.Writer
	twophase.Participant
}

// System is an external system with no work in it.
type System interface {
	// Open makes the sink of a new process that talks to this system.
	Open() Sink
	// Visible is what a reader of the system sees, in any order.
	Visible() ([]string, error)
	// Crash is the end of every process without a call of Close: what was not
	// durable is gone.
	Crash()
	// Forget removes all prepared and all visible work behind the sink's back.
	Forget()
}

// Test runs the suite, with a new system for each property.
func Test(t *testing.T, newSystem func(t *testing.T) System) {
	for _, p := range []struct {
		name string
		run  func(*fixture)
	}{
		{"WorkIsInvisibleUntilCommit", invisibleUntilCommit},
		{"CommitIsIdempotent", commitIsIdempotent},
		{"AnEpochWithoutRecordsHasNoHandles", emptyEpoch},
		{"PreparedWorkSurvivesACrash", preparedSurvivesCrash},
		{"UnnamedWorkIsRemovedByRecover", unnamedIsRemoved},
		{"UnpreparedWorkIsRemovedByRecover", unpreparedIsRemoved},
		{"WorkOfASuccessorIsLeftAlone", successorIsLeftAlone},
		{"WorkOfAnotherSlotIsLeftAlone", otherSlotIsLeftAlone},
		{"TheSameEpochOfAnotherOwnerIsOtherWork", sameEpochOtherOwner},
		{"AbortIsIdempotent", abortIsIdempotent},
		{"LostWorkIsSaidToBeLost", lostIsLost},
		{"TheNextEpochIsKeptApart", nextEpochIsApart},
		{"CloseLeavesPreparedWorkAlone", closeLeavesWork},
		{"HandlesAreSmallAndOwned", handlesAreSmall},
		{"RecoverMayRunAgain", recoverAgain},
	} {
		t.Run(p.name, func(t *testing.T) { p.run(&fixture{T: t, sys: newSystem(t)}) })
	}
}

type fixture struct {
	*testing.T
	sys System
}

// owner is incarnation n of slot 0.
func owner(n uint64) twophase.Owner {
	return twophase.Owner{Incarnation: n, ID: fmt.Sprintf("%d-00000000000000%02x", n, n)}
}

// open starts a process that recovers as o.
func (f *fixture) open(o twophase.Owner, committed ...twophase.Handle) Sink {
	f.Helper()
	s := f.sys.Open()
	if err := s.Recover(context.Background(), o, committed); err != nil {
		f.Fatalf("recover as %s: %v", o.ID, err)
	}
	return s
}

// write begins an epoch and writes its lines.
func (f *fixture) write(s Sink, epoch checkpoint.Epoch, lines ...string) {
	f.Helper()
	f.must("begin", s.Begin(context.Background(), epoch))
	for _, line := range lines {
		f.must("write", s.Write(context.Background(), []record.Message{{Value: []byte(line)}}))
	}
}

func (f *fixture) prepare(s Sink, epoch checkpoint.Epoch) []twophase.Handle {
	f.Helper()
	handles, err := s.Prepare(context.Background(), epoch)
	f.must("prepare", err)
	return handles
}

func (f *fixture) commit(s Sink, handles []twophase.Handle) {
	f.Helper()
	for _, h := range handles {
		f.must("commit", s.Commit(context.Background(), h))
	}
}

func (f *fixture) must(what string, err error) {
	f.Helper()
	if err != nil {
		f.Fatalf("%s: %v", what, err)
	}
}

// sees fails unless exactly these lines are visible.
func (f *fixture) sees(want ...string) {
	f.Helper()
	got, err := f.sys.Visible()
	f.must("read what is visible", err)
	got = slices.Clone(got)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		f.Fatalf("visible: %q, want %q", got, want)
	}
}

func invisibleUntilCommit(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a", "b")
	f.sees()
	handles := f.prepare(s, 1)
	if len(handles) == 0 {
		f.Fatal("an epoch with records has no handle")
	}
	f.sees()
	f.commit(s, handles)
	f.sees("a", "b")
}

func commitIsIdempotent(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	handles := f.prepare(s, 1)
	f.commit(s, handles)
	f.commit(s, handles)
	f.sees("a")
	f.sys.Crash()
	s = f.open(owner(2), handles...)
	f.commit(s, handles)
	f.sees("a")
}

func emptyEpoch(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1)
	if handles := f.prepare(s, 1); len(handles) != 0 {
		f.Fatalf("%d handles", len(handles))
	}
	f.write(s, 2, "a")
	f.commit(s, f.prepare(s, 2))
	f.sees("a")
}

func preparedSurvivesCrash(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	handles := f.prepare(s, 1)
	f.sys.Crash()
	f.open(owner(2), handles...)
	f.sees("a")
}

func unnamedIsRemoved(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	f.commit(s, f.prepare(s, 1))
	f.write(s, 2, "b")
	handles := f.prepare(s, 2)
	f.sys.Crash()
	s = f.open(owner(2))
	f.sees("a")
	if err := s.Commit(context.Background(), handles[0]); !errors.Is(err, twophase.ErrLost) {
		f.Fatalf("removed work commits with %v, want lost", err)
	}
}

func unpreparedIsRemoved(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	f.sys.Crash()
	s = f.open(owner(2))
	f.sees()
	f.write(s, 1, "b")
	f.commit(s, f.prepare(s, 1))
	f.sees("b")
}

func successorIsLeftAlone(f *fixture) {
	old := f.open(owner(1))
	heir := f.open(owner(2))
	f.write(heir, 5, "heir")
	handles := f.prepare(heir, 5)
	f.must("recover", old.Recover(context.Background(), owner(1), nil))
	f.commit(heir, handles)
	f.sees("heir")
}

func otherSlotIsLeftAlone(f *fixture) {
	first := f.open(owner(1))
	f.write(first, 1, "slot 0")
	handles := f.prepare(first, 1)
	other := owner(9)
	other.Slot = 1
	f.open(other)
	f.commit(first, handles)
	f.sees("slot 0")
}

func sameEpochOtherOwner(f *fixture) {
	zombie := f.open(owner(1))
	f.write(zombie, 3, "zombie")
	heir := f.open(owner(2))
	f.write(heir, 3, "heir")
	handles := f.prepare(heir, 3)
	f.commit(heir, handles)
	f.sees("heir")
}

func abortIsIdempotent(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	handles := f.prepare(s, 1)
	for range 2 {
		for _, h := range handles {
			f.must("abort", s.Abort(context.Background(), h))
		}
	}
	f.sees()
}

func lostIsLost(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	handles := f.prepare(s, 1)
	f.sys.Forget()
	if err := s.Commit(context.Background(), handles[0]); !errors.Is(err, twophase.ErrLost) {
		f.Fatalf("commit of lost work: %v", err)
	}
	if err := f.sys.Open().Recover(context.Background(), owner(2), handles); err == nil {
		f.Fatal("recover of lost work succeeds")
	}
}

func nextEpochIsApart(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "one")
	first := f.prepare(s, 1)
	f.write(s, 2, "two")
	f.commit(s, first)
	f.sees("one")
	second := f.prepare(s, 2)
	f.sees("one")
	f.sys.Crash()
	f.open(owner(2), first...)
	f.sees("one")
	if err := f.open(owner(3)).Commit(context.Background(), second[0]); !errors.Is(err, twophase.ErrLost) {
		f.Fatalf("epoch 2 was not removed: %v", err)
	}
}

func closeLeavesWork(f *fixture) {
	s := f.open(owner(1))
	f.write(s, 1, "a")
	handles := f.prepare(s, 1)
	f.must("close", s.Close())
	f.open(owner(2), handles...)
	f.sees("a")
}

func handlesAreSmall(f *fixture) {
	s := f.open(owner(7))
	f.write(s, 12, "a")
	for _, h := range f.prepare(s, 12) {
		f.must("check", h.Check())
		if h.Epoch != 12 || h.Owner != owner(7).ID {
			f.Fatalf("handle of epoch %d, owner %q", h.Epoch, h.Owner)
		}
	}
}

func recoverAgain(f *fixture) {
	s := f.open(owner(2))
	f.write(s, 1, "a")
	handles := f.prepare(s, 1)
	f.commit(s, handles)
	f.write(s, 2, "b")
	f.must("sweep", s.Recover(context.Background(), owner(2), handles))
	f.commit(s, f.prepare(s, 2))
	f.sees("a", "b")
}
