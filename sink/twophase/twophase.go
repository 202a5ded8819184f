// Package twophase is the contract of sinks outside of Kafka that take part in
// an epoch by two-phase commit. Kafka itself is not one of them: the commit of
// its transaction is the decision. The others prepare before the decision and
// commit after it, and what the checkpoint record does not name is rolled back
// (presumed abort).
//
//	Recover ─▶ Begin(n) ─▶ Write … ─▶ Prepare(n) ──── record n committed ────▶ Commit(handles of n)
//	                                    └▶ Begin(n+1) ─▶ Write … (while n is being decided)
//
// The life of a handle:
//
//	Prepare made it, the process died before record n    → the next Recover aborts the work
//	record n names it, the process died before Commit    → the next Recover commits it
//	Commit ran, its confirmation was lost                → Commit again, which succeeds
//	a frozen process wakes up and prepares               → no record of its own can commit; aborted
//
// Names of prepared work hold the pipeline, the slot, the owner id and the
// epoch. A participant never decides by age: only work of a lower incarnation
// number than its own is dead, because a higher one is its successor's.
package twophase

import (
	"context"
	"errors"
	"fmt"

	"kstream/checkpoint"
	"kstream/record"
)

// OpaqueMax is the largest opaque part of a handle in bytes.
const OpaqueMax = 4096

// ErrLost says that prepared work is gone on both sides: it is neither prepared
// nor visible. It is the one error of Commit that a retry cannot mend.
var ErrLost = errors.New("prepared work is lost")

// Owner is one incarnation of one slot of a pipeline. Incarnation numbers of a
// slot rise with every start, so a lower one is certainly dead.
type Owner struct {
	Slot        int
	Incarnation uint64
	ID          string // the incarnation and random bits, unique for ever
}

// Handle names one prepared piece of work. It travels in the checkpoint record
// until its commit is confirmed, and a new process on another host can commit
// it from the handle alone.
type Handle struct {
	Epoch  checkpoint.Epoch
	Owner  string // Owner.ID of who prepared it
	Opaque []byte // at most OpaqueMax bytes, read only by the participant
}

// Check refuses a handle that a checkpoint record must not take.
func (h Handle) Check() error {
	switch {
	case len(h.Opaque) > OpaqueMax:
		return fmt.Errorf("handle of epoch %d has %d bytes, the limit is %d", h.Epoch, len(h.Opaque), OpaqueMax)
	case h.Owner == "":
		return fmt.Errorf("handle of epoch %d has no owner", h.Epoch)
	}
	return nil
}

// Writer takes the records of an epoch. It is called by the sink's task alone,
// never at the same time as Prepare of the same sink.
type Writer interface {
	// Begin starts to collect work for the epoch, apart from that of the one
	// before. It is called after Recover, and then right after each Prepare,
	// before the epoch before is decided. Nothing becomes visible. An error
	// fails the epoch.
	Begin(ctx context.Context, epoch checkpoint.Epoch) error

	// Write takes records into the epoch that was begun last. They need not be
	// durable. The messages are valid during the call only. An error fails the
	// epoch.
	Write(ctx context.Context, batch []record.Message) error
}

// Participant ends epochs and recovers. No two calls for one participant run at
// the same time, but Commit of epoch n may run while the Writer takes records of
// later ones. Commits of one sink come in the order of their epochs.
type Participant interface {
	// Prepare makes all work of the epoch durable but invisible, so that Commit
	// cannot fail for a reason inside the work, and returns its handles; none if
	// the epoch wrote nothing. An error fails the epoch: the process starts anew
	// and Recover removes what is left.
	Prepare(ctx context.Context, epoch checkpoint.Epoch) ([]Handle, error)

	// Commit makes the work visible. It is idempotent: work that was committed
	// before is a success. Work that is unknown to both sides is ErrLost. Other
	// errors are temporary and Commit is called again until it succeeds.
	Commit(ctx context.Context, h Handle) error

	// Abort removes prepared work; work that does not exist is a success. It is
	// never called for a handle that a committed record names.
	Abort(ctx context.Context, h Handle) error

	// Recover commits the handles of the last committed record, then removes
	// prepared work of the owner's slot that has a lower incarnation number than
	// the owner and is not named by a handle. It is the first call of a life,
	// and is called again now and then to sweep. An error restarts the process.
	Recover(ctx context.Context, owner Owner, committed []Handle) error

	// Close releases resources and leaves prepared work alone.
	Close() error
}
