package runtime

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync/atomic"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/sink"
	"kstream/sink/twophase"
	"kstream/sink/twophase/stagedfile"
	"kstream/topology"
)

// participants are the sinks of a life that take part by two-phase commit (15).
// All but the writers belongs to the coordinator.
type participants struct {
	sinks map[string]*stagedfile.Sink // by uid
	dirs  map[string]Directory        // by absolute path
	files []*fileOutput               // the writers of all tasks

	open  []checkpoint.Handle // decided and not confirmed yet, in the order of epochs
	shown []checkpoint.Handle // confirmed, perhaps still named by the newest record
	next  time.Time           // when the open ones are tried again
	tries int
	swept time.Time
}

const (
	// epochsOpen is how many epochs may wait for their files to appear; then the
	// job waits with them.
	epochsOpen = 64
	confirmMax = 30 * time.Second // between two tries
	sweepEvery = time.Hour
)

// fileOutput is where one task writes the lines of one sink.
type fileOutput struct {
	uid   string
	sink  *stagedfile.Sink
	batch [1]record.Message
}

// unconfirmed counts the handles of each sink that are decided and not confirmed;
// it is read for the metric.
type unconfirmed map[string]*atomic.Int64

func newUnconfirmed(p *topology.Plan) unconfirmed {
	u := unconfirmed{}
	for _, s := range p.Sinks {
		if s.Spec.File != nil {
			u[s.Spec.UID] = new(atomic.Int64)
		}
	}
	return u
}

func (u unconfirmed) count(open []checkpoint.Handle) {
	n := map[string]int64{}
	for _, h := range open {
		n[h.Sink]++
	}
	for uid, g := range u {
		g.Store(n[uid])
	}
}

// recoverSinks is U8: what the record names appears, what it does not name and
// a dead incarnation of this slot has left is removed.
func (l *life) recoverSinks(ctx context.Context) error {
	p := &l.parts
	p.sinks, p.swept = map[string]*stagedfile.Sink{}, l.job.clock()
	p.open = nil
	if l.restored != nil {
		p.open = slices.Clone(l.restored.Handles)
	}
	l.job.unconfirmed.count(p.open)
	for _, s := range l.job.plan.Sinks {
		if s.Spec.File == nil {
			continue
		}
		dir, abs, err := l.directory(path.Dir(s.Spec.File.Path), true)
		switch {
		case err != nil && l.job.status.starts.Load() > 0: // it was there before, and may come back
			return fmt.Errorf("file sink %s: %w", s.Spec.Name, err)
		case err != nil:
			return refuse(5, "the directory above it must exist, and kstream may write to it", "file sink %s: %v", s.Spec.Name, err)
		}
		w := stagedfile.New(dir, stagedfile.Options{Pipeline: l.job.plan.Name, Dir: abs, Base: path.Base(s.Spec.File.Path), Compression: s.Spec.File.Compression})
		p.sinks[s.Spec.UID] = w
		if err := l.recovered(w.Recover(ctx, l.participant(), l.handlesIn(abs))); err != nil {
			return err
		}
	}
	for _, h := range p.open { // of sinks that are gone, or write elsewhere now
		w, err := l.sinkOf(h)
		if err == nil {
			err = w.Commit(ctx, handleOf(h))
		}
		if err := l.recovered(err); err != nil {
			return err
		}
	}
	p.shown, p.open = p.open, nil
	l.job.unconfirmed.count(nil)
	return nil
}

// recovered says what an error of U8 means. Work that is lost is told, never
// passed over, unless the job begins anew.
func (l *life) recovered(err error) error {
	switch {
	case errors.Is(err, twophase.ErrLost) && l.anew:
		l.job.log.Warn("results of before are lost", "error", err)
		return nil
	case err != nil:
		return participantFailure(err)
	}
	return nil
}

func participantFailure(err error) error {
	switch {
	case errors.Is(err, twophase.ErrLost):
		return refuse(6, "bring the file back, or begin anew with `kstream run FILE --from none`", "results of a committed checkpoint are lost: %v", err)
	case errors.Is(err, stagedfile.ErrExists):
		return refuse(5, "results of another run or another job are there: move them away, or write to another path", "file sink: %v", err)
	}
	return err
}

func (l *life) participant() twophase.Owner {
	return twophase.Owner{Incarnation: l.owner.Number, ID: l.owner.ID()}
}

func handleOf(h checkpoint.Handle) twophase.Handle {
	return twophase.Handle{Epoch: h.Epoch, Owner: h.Owner, Opaque: h.Data}
}

// handlesIn are the open handles whose files are in a directory, of whatever sink:
// one that was renamed finds what it staged under its old name.
func (l *life) handlesIn(dir string) (all []twophase.Handle) {
	for _, h := range l.parts.open {
		if d, err := stagedfile.DirOf(h.Data); err == nil && d == dir {
			all = append(all, handleOf(h))
		}
	}
	return all
}

// sinkOf is a participant for a handle. It needs nothing but the handle.
func (l *life) sinkOf(h checkpoint.Handle) (*stagedfile.Sink, error) {
	abs, err := stagedfile.DirOf(h.Data)
	if err != nil {
		return nil, refuse(6, "", "checkpoint %d holds a handle of %s that cannot be read: %v", h.Epoch, h.Sink, err)
	}
	dir, _, err := l.directory(abs, false)
	if err != nil {
		return nil, fmt.Errorf("results of checkpoint %d are in %s: %w", h.Epoch, abs, err)
	}
	return stagedfile.New(dir, stagedfile.Options{Dir: abs}), nil
}

func (l *life) directory(name string, make bool) (Directory, string, error) {
	dir, abs, err := l.job.opts.Files.Dir(name, make)
	if err != nil {
		return nil, abs, err
	}
	if open := l.parts.dirs[abs]; open != nil {
		return open, abs, dir.Close()
	}
	l.parts.dirs[abs] = dir
	return dir, abs, nil
}

// confirm is E15: the handles of the epoch and older ones are committed, those of
// a sink in the order of epochs. What fails is tried again later and travels on in
// the records meanwhile (I13); only lost work ends the job.
func (l *life) confirm(ctx context.Context) error {
	p := &l.parts
	waiting := map[string]bool{}
	var left []checkpoint.Handle
	var last error
	for _, h := range p.open {
		if waiting[h.Sink] {
			left = append(left, h)
			continue
		}
		l.fail.before("shown")
		w, err := l.sinkFor(h)
		if err == nil {
			err = w.Commit(ctx, handleOf(h))
		}
		switch {
		case err == nil:
			l.fail.after("shown")
			p.shown = append(p.shown, h)
		case errors.Is(err, twophase.ErrLost):
			return participantFailure(err)
		default:
			waiting[h.Sink], last = true, err
			left = append(left, h)
		}
	}
	p.open = left
	l.job.unconfirmed.count(left)
	p.later(l.job.clock(), last)
	if last != nil {
		l.job.log.Warn("committed results cannot be shown yet; trying again", "handles", len(left), "error", last)
	}
	return nil
}

// later sets when the next try is.
func (p *participants) later(now time.Time, err error) {
	if err == nil {
		p.tries = 0
		return
	}
	p.next = now.Add(min(100*time.Millisecond<<min(p.tries, 10), confirmMax))
	p.tries++
}

// sinkFor is the participant that commits a handle of this life's records.
func (l *life) sinkFor(h checkpoint.Handle) (*stagedfile.Sink, error) {
	if w := l.parts.sinks[h.Sink]; w != nil && h.Owner == l.owner.ID() {
		return w, nil
	}
	return l.sinkOf(h)
}

// handlesDecided follows E12 of an epoch: all its record names is to be shown.
func (l *life) handlesDecided(ctx context.Context, r *checkpoint.Record) error {
	p := &l.parts
	p.forget(l, r)
	p.open = r.Handles
	if err := l.confirm(ctx); err != nil {
		return err
	}
	for l.epochsOpen() >= epochsOpen && l.job.stopping.Err() == nil {
		if err := l.job.sleep(ctx, p.next.Sub(l.job.clock())); err != nil {
			return err
		}
		if err := l.confirm(ctx); err != nil {
			return err
		}
	}
	return l.sweep(ctx, r)
}

func (l *life) epochsOpen() int {
	epochs := map[checkpoint.Epoch]bool{}
	for _, h := range l.parts.open {
		epochs[h.Epoch] = true
	}
	return len(epochs)
}

// forget removes the marks of what was shown and is not named any more.
func (p *participants) forget(l *life, r *checkpoint.Record) {
	var named []checkpoint.Handle
	for _, h := range p.shown {
		if slices.ContainsFunc(r.Handles, func(o checkpoint.Handle) bool { return string(o.Data) == string(h.Data) }) {
			named = append(named, h)
			continue
		}
		w, err := l.sinkFor(h)
		if err == nil {
			err = w.Forget(handleOf(h))
		}
		if err != nil {
			l.job.log.Debug("a mark stays until the next start", "error", err)
		}
	}
	p.shown = named
}

// sweep removes now and then what a process left that was overtaken and woke up
// later.
func (l *life) sweep(ctx context.Context, r *checkpoint.Record) error {
	p := &l.parts
	if l.job.clock().Sub(p.swept) < sweepEvery || len(p.open) > 0 {
		return nil
	}
	p.swept = l.job.clock()
	p.open = r.Handles // named, so that they are left alone
	defer func() { p.open = nil }()
	for uid, w := range p.sinks {
		if err := w.Recover(ctx, l.participant(), l.handlesOf(uid)); err != nil {
			return participantFailure(err)
		}
	}
	return nil
}

func (l *life) handlesOf(uid string) (all []twophase.Handle) {
	for _, h := range l.parts.open {
		if h.Sink == uid {
			all = append(all, handleOf(h))
		}
	}
	return all
}

// retryHandles tries what is open again, between the epochs.
func (l *life) retryHandles() {
	p := &l.parts
	if len(p.open) == 0 || l.job.clock().Before(p.next) {
		return
	}
	if err := l.confirm(l.ctx); err != nil {
		l.failed(err)
	}
}

// confirmAll is the end of an orderly stop: what is decided is shown, or the exit
// code says that it is not.
func (l *life) confirmAll(ctx context.Context) error {
	p := &l.parts
	end := l.job.clock().Add(l.job.plan.Spec.Checkpoint.Timeout)
	for len(p.open) > 0 {
		if err := l.confirm(ctx); err != nil {
			return err
		}
		if len(p.open) > 0 && p.next.After(end) {
			return refuse(5, "make the directory writable; the next start shows them",
				"%d results of committed checkpoints could not be shown", len(p.open))
		}
		if len(p.open) > 0 {
			if err := l.job.sleep(ctx, p.next.Sub(l.job.clock())); err != nil {
				return err
			}
		}
	}
	return nil
}

// epochHandles are what the record of an epoch names: what its tasks prepared,
// and what is not confirmed of the epochs before.
func (l *life) epochHandles() []checkpoint.Handle {
	all := slices.Clone(l.parts.open)
	if mutant("B15") {
		all = nil
	}
	for _, f := range l.collected {
		all = append(all, f.handles...)
	}
	slices.SortStableFunc(all, func(a, b checkpoint.Handle) int {
		if a.Epoch != b.Epoch {
			return int(int64(a.Epoch) - int64(b.Epoch))
		}
		return slices.Compare(a.Data, b.Data)
	})
	return all
}

// settled is a record without the handles that have been confirmed since it was
// written.
func (l *life) settled(r *checkpoint.Record) *checkpoint.Record {
	now := *r
	now.Handles = slices.Clone(l.parts.open)
	return &now
}

// fileWriter is where a chain's rows leave for a file sink. The nodes of a task
// that write to one sink share its file.
func (b *build) fileWriter(t *taskCore, enc *sink.Encoder, spec *topology.SinkSpec) (func(*record.Row) error, error) {
	out, err := b.fileOutput(t, spec.UID)
	if err != nil {
		return nil, err
	}
	return func(row *record.Row) error {
		m, err := enc.Encode(row)
		if err == nil {
			err = sink.CheckLine(m)
		}
		if err != nil {
			return err
		}
		out.batch[0] = *m
		return out.sink.Write(b.life.ctx, out.batch[:])
	}, nil
}

func (b *build) fileOutput(t *taskCore, uid string) (*fileOutput, error) {
	for _, f := range t.files {
		if f.uid == uid {
			return f, nil
		}
	}
	p := &b.life.parts
	n := 0 // subtasks count over all tasks that write to the sink
	for _, f := range p.files {
		if f.uid == uid {
			n++
		}
	}
	f := &fileOutput{uid: uid, sink: p.sinks[uid].Subtask(n)}
	t.files, p.files = append(t.files, f), append(p.files, f)
	return f, f.sink.Begin(b.life.ctx, t.out.epoch)
}

// prepare is E5 for the file sinks of a task: all of the epoch is durable.
func (t *taskCore) prepare(n checkpoint.Epoch) (handles []checkpoint.Handle, err error) {
	for _, f := range t.files {
		prepared, err := f.sink.Prepare(t.life.ctx, n)
		if err != nil {
			return nil, participantFailure(fmt.Errorf("%s: %w", f.uid, err))
		}
		for _, h := range prepared {
			handles = append(handles, checkpoint.Handle{Sink: f.uid, Epoch: h.Epoch, Owner: h.Owner, Data: h.Opaque})
		}
		if err := f.sink.Begin(t.life.ctx, n+1); err != nil {
			return nil, err
		}
	}
	return handles, nil
}

// close gives the files back and leaves what is staged alone.
func (p *participants) close() {
	for _, f := range p.files {
		f.sink.Close()
	}
	for _, d := range p.dirs {
		d.Close()
	}
}
