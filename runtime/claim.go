package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kstream/checkpoint"
	"kstream/record"
)

// ownershipTimeout is how long the ownership check waits for the markers of a
// claim that is being committed.
const ownershipTimeout = 5 * time.Second

var errNoWait = errors.New("not waited")

// readClaim looks at the newest claim without fencing (U2, and the ownership
// check of the failure path).
func (l *life) readClaim(ctx context.Context) (checkpoint.OwnerState, string, error) {
	j := l.job
	if l.client == nil { // the failure path: everything of the failed life is closed
		client, err := j.opts.Connect(ctx)
		if err != nil {
			return 0, "", err
		}
		l.client = client
	}
	// Before the first fence an open transaction of a dead owner is normal, on the
	// failure path one of our own whose end was not answered: nothing but the fence
	// ends it. Who took over has ended it with theirs, so what is below it is
	// enough to know whose the claim is. Only the failure path waits for markers
	// that are on their way: a start reads the claim again under its fence.
	var ends []record.Offset
	err := errNoWait
	if j.mine != nil {
		ends, err = l.client.Log.WaitStable(ctx, j.checkpointTopic(), ownershipTimeout)
	}
	if err != nil && ctx.Err() == nil {
		ends, err = l.stableEnds(ctx)
	}
	if err != nil {
		return 0, "", l.claimsGone(err)
	}
	n, err := l.readCheckpoints(ctx, ends)
	if err != nil {
		return 0, "", err
	}
	l.seen = n.claim
	if err := l.calm(ctx, n.changes); err != nil {
		return 0, "", err
	}
	c := n.claim
	switch {
	case j.mine != nil && c != nil && c.ID() == j.mine.ID():
		return checkpoint.OwnerMine, ownerText(c), nil
	case j.mine == nil || j.restarting:
		if c == nil || c.Released || c.Directory != "" && c.Directory == j.directory {
			return checkpoint.OwnerNone, ownerText(c), nil
		}
	}
	if c != nil {
		j.metrics.fences.WithLabelValues(c.Host).Inc()
	}
	return checkpoint.OwnerOther, ownerText(c), nil
}

// claimsGone refuses once the checkpoint topic has been missing for a while under
// a job that ran: trying again does not bring it back. A broker that has just
// started may not know it yet.
func (l *life) claimsGone(err error) error {
	var k *record.KafkaError
	if l.job.mine == nil || !errors.As(err, &k) || !strings.HasPrefix(k.Code, "UNKNOWN_TOPIC") {
		return err
	}
	topic := l.job.checkpointTopic()
	if !l.job.persists(&record.KafkaError{Op: "Claim", Topic: topic, Code: k.Code, Grace: missingGrace}) {
		return err
	}
	return stateMissing("the checkpoint topic %s was deleted while the job ran", topic)
}

// missingGrace is how long a topic that was there may be unknown.
const missingGrace = 30 * time.Second

// The claim has changed hands more than handsLimit times within handsSpan: two
// processes fence each other, each restarted by its supervisor. A starter then
// waits, longer with every change, so that one of them gets to work (13).
const (
	handsLimit = 3
	handsSpan  = record.Timestamp(10 * 60 * 1000)
	handsWait  = 8 * time.Minute // at the most
)

// calm waits before the fence of a start when the claim changes hands too often.
func (l *life) calm(ctx context.Context, changes int) error {
	if l.job.mine != nil || changes <= handsLimit {
		return nil
	}
	wait := min(time.Minute<<(changes-handsLimit-1), handsWait)
	l.job.log.Warn("processes take this pipeline from each other; waiting before the next try",
		"changes", changes, "within", "10m", "wait", wait, "owner", ownerText(l.seen))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(l.job.stopping, cancel)()
	if err := l.job.sleep(ctx, wait); err != nil && l.job.stopping.Err() == nil {
		return err
	}
	return nil
}

func (l *life) stableEnds(ctx context.Context) ([]record.Offset, error) {
	bounds, err := l.client.Log.Bounds(ctx, l.job.checkpointTopic())
	if err != nil {
		return nil, err
	}
	ends := make([]record.Offset, len(bounds))
	for i, b := range bounds {
		ends[i] = b.Stable
	}
	return ends, nil
}

func ownerText(c *checkpoint.Claim) string {
	if c == nil {
		return "somebody without a claim"
	}
	return fmt.Sprintf("host %s pid %d (since %s)", c.Host, c.PID, time.UnixMilli(int64(c.Start)).UTC().Format(time.RFC3339))
}

// watchOwner looks for a sign of life of the claim's owner: a new record or
// claim within twice its interval. That the end moves is none: the broker ends
// the transaction of an owner that is dead. Without one it is dead, frozen or idle, and
// the fence makes all three harmless.
func (l *life) watchOwner(ctx context.Context) (alive bool, err error) {
	wait := max(3*time.Second, 2*l.seen.Interval+time.Second)
	l.job.log.Info("another process owns the pipeline; looking whether it is alive", "owner", ownerText(l.seen), "for", wait)
	before, err := l.stableEnds(ctx)
	if err != nil {
		return false, err
	}
	known, err := l.epochAt(ctx, before)
	if err != nil {
		return false, err
	}
	for end := l.job.clock().Add(wait); l.job.clock().Before(end); {
		if err := l.job.sleep(ctx, 100*time.Millisecond); err != nil {
			return false, err
		}
		now, err := l.stableEnds(ctx)
		if err != nil {
			return false, err
		}
		if len(now) == 0 || now[0] <= before[0] {
			continue
		}
		n, err := l.readCheckpoints(ctx, now)
		if err != nil {
			return false, err
		}
		if n.claim != nil && n.claim.ID() != l.seen.ID() {
			l.seen = n.claim // somebody else was faster
			return true, nil
		}
		r, err := checkpoint.DecodeRecord(0, n.parts)
		if err == nil && r.Owner.ID() == l.seen.ID() && r.Epoch != known && (n.claim == nil || !n.claim.Released) {
			return true, nil
		}
		before = now
	}
	return false, nil
}

// epochAt is the epoch of the newest record below the ends, 0 if there is none.
func (l *life) epochAt(ctx context.Context, ends []record.Offset) (checkpoint.Epoch, error) {
	n, err := l.readCheckpoints(ctx, ends)
	if err != nil {
		return 0, err
	}
	if r, err := checkpoint.DecodeRecord(0, n.parts); err == nil {
		return r.Epoch, nil
	}
	return 0, nil
}

// fence is U2: the new producer ends the life of every older one, and of the
// transaction it left.
func (l *life) fence(ctx context.Context) error {
	j := l.job
	spec := j.plan.Spec
	producer, err := l.client.Producer(ProducerOptions{
		TransactionalID:    checkpoint.TransactionalID(j.plan.Name, 0),
		TransactionTimeout: spec.Checkpoint.TransactionTimeout, RetryTimeout: spec.Checkpoint.Timeout,
		Compression: spec.Producer.Compression, Linger: spec.Producer.Linger, BatchSize: spec.Producer.BatchSize,
		TV2: l.broker.TransactionV2, EndWritten: func() { l.fail.after("end-sent") },
	})
	if err != nil {
		return err
	}
	if l.producer != nil {
		l.producer.Close()
	}
	l.producer = producer
	if l.db != nil { // a start; on the failure path the store is closed
		j.metrics.starts.Inc()
	}
	_, _, err = producer.Fence(ctx)
	return err
}

// writeClaim is U3: under the fence the newest claim is read again, and ours
// follows it with the next number, in a transaction of its own.
func (l *life) writeClaim(ctx context.Context, released bool) (writes int, err error) {
	j := l.job
	if !released {
		ends, err := l.client.Log.WaitStable(ctx, j.checkpointTopic(), l.stableTimeout())
		if err != nil {
			return 0, err
		}
		n, err := l.readCheckpoints(ctx, ends)
		if err != nil {
			return 0, err
		}
		number := uint64(1)
		if n.claim != nil {
			number = n.claim.Number + 1
		}
		l.owner = checkpoint.Owner{Number: number, Random: j.opts.Random(), Host: j.opts.Host, PID: j.opts.PID,
			Start: j.now(), Version: j.opts.Version}
	}
	claim := checkpoint.Claim{Owner: l.owner, Directory: j.directory,
		Interval: j.plan.Spec.Checkpoint.Interval, Released: released}
	writes, err = l.transact(ctx, []record.Message{{Topic: j.checkpointTopic(), Time: j.now(),
		Key: []byte(checkpoint.ClaimKey(0)), Value: checkpoint.EncodeClaim(claim)}})
	if err == nil {
		j.mine, j.restarting = &claim, false
	}
	return writes, err
}

// commitLimit is how long a transaction beside the epochs may take: the deadline
// of an epoch that begins now.
func (l *life) commitLimit(ctx context.Context) (context.Context, context.CancelFunc) {
	spec := l.job.plan.Spec.Checkpoint
	return context.WithTimeoutCause(ctx, min(spec.Timeout, spec.TransactionTimeout*7/8), errDeadline)
}

// transact writes messages in one small transaction and checks everything that
// an epoch checks (7.2).
func (l *life) transact(ctx context.Context, messages []record.Message) (writes int, err error) {
	ctx, cancel := l.commitLimit(ctx)
	defer cancel()
	if err := l.producer.Begin(); err != nil {
		return 0, err
	}
	for i := range messages {
		l.producer.Produce(&messages[i])
	}
	if err := l.producer.Flush(ctx); err != nil {
		return 0, err
	}
	if err := l.producer.FirstError(); err != nil {
		return 0, err
	}
	return l.producer.End(ctx)
}

// releaseClaim marks the claim released. The gate is closed and the epoch under
// way has nothing in it, so its transaction serves.
func (l *life) releaseClaim(ctx context.Context) error {
	j := l.job
	claim := *j.mine
	claim.Released = true
	message := record.Message{Topic: j.checkpointTopic(), Time: j.now(),
		Key: []byte(checkpoint.ClaimKey(0)), Value: checkpoint.EncodeClaim(claim)}
	if !l.begun {
		_, err := l.transact(ctx, []record.Message{message})
		return err
	}
	ctx, cancel := l.commitLimit(ctx)
	defer cancel()
	l.producer.Produce(&message)
	if err := l.producer.Flush(ctx); err != nil {
		return err
	}
	err := errors.Join(l.producer.FirstError())
	if err == nil {
		_, err = l.producer.End(ctx)
	}
	return err
}
