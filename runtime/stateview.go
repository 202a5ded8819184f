package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kstream/checkpoint"
	"kstream/operator"
	"kstream/record"
	"kstream/savepoint"
	"kstream/state"
	"kstream/topology"
)

// StateView is the state of a pipeline as of one committed checkpoint: of the
// local store of a running job, of a savepoint, or of the changelog. It is valid
// during the call it is given to, and used by one goroutine.
type StateView struct {
	// Epoch is the checkpoint, 0 before the first one.
	Epoch uint64

	plan     *topology.Plan
	record   *checkpoint.Record
	stores   []checkpoint.StoreEntry
	snapshot *state.Snapshot
	groups   int
	now      record.Timestamp
	ctx      context.Context
}

// StoredState is what a step has stored.
type StoredState struct {
	UID      string
	Operator string
	KeyType  string
	Window   string // "" is none
	TTL      time.Duration
	// Keys counts keys, of windows each key of each window (or of each pane of
	// one), Entries everything that is stored. Estimated says that they were
	// extrapolated from a part of the key groups.
	Keys, Entries, Bytes int64
	Estimated            bool
}

// countLimit is how many entries of a step are counted; of more, the number is
// extrapolated from the key groups that were counted, which are alike.
const countLimit = 1_000_000

// View calls fn with the state of the running job at its last committed
// checkpoint. It reads the store by a snapshot, never the memory of a task, and
// the job goes on meanwhile.
func (j *Job) View(ctx context.Context, fn func(*StateView) error) error {
	type answer struct {
		view *StateView
		life *life
		err  error
	}
	done := make(chan answer, 1)
	err := j.ask(ctx, func() {
		l := j.life
		j.lifeMu.Lock()
		ready := l.ready && l.db != nil
		j.lifeMu.Unlock()
		if !ready {
			done <- answer{err: refuse(5, "ask again when it runs", "the job is starting, its state is not there yet")}
			return
		}
		snapshot, err := l.db.Snapshot()
		if err != nil {
			done <- answer{err: storeFailure(err)}
			return
		}
		l.running.Add(1) // the store is not closed before the snapshot is
		v := &StateView{Epoch: snapshot.Meta.Epoch, plan: j.plan, record: l.restored, stores: l.stores, snapshot: snapshot, groups: j.plan.MaxParallelism, now: j.now()}
		done <- answer{view: v, life: l}
	})
	if err != nil {
		return err
	}
	a := <-done // the coordinator has taken the request, so it answers
	if a.err != nil {
		return a.err
	}
	defer a.life.running.Done()
	defer a.view.snapshot.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(a.life.ctx, func() {
		cancel(refuse(5, "ask again", "the job ended or started again meanwhile"))
	})()
	a.view.ctx = ctx
	return fn(a.view)
}

// ViewOffline calls fn with the state of the newest checkpoint, read from the
// broker alone into the store in o.Dir. o.Make is not used.
func ViewOffline(ctx context.Context, o *Offline, fn func(*StateView) error) error {
	return o.replay(ctx, func(*checkpoint.Record) error { return nil }, func(db *state.DB, r *checkpoint.Record) error {
		return viewOf(ctx, db, o.Plan, r, fn)
	})
}

// ViewSavepoint calls fn with the state of a savepoint, which is read into a
// store in dir. uids are the steps that will be looked at; none is all.
func ViewSavepoint(ctx context.Context, s *savepoint.Savepoint, plan *topology.Plan, fs state.FS, dir string, uids []string, fn func(*StateView) error) error {
	r := s.Checkpoint.Record()
	wanted := map[state.StoreID]bool{}
	for _, st := range r.Stores {
		wanted[state.StoreID(st.ID)] = len(uids) == 0 || slices.Contains(uids, st.UID)
	}
	db, err := state.Open(state.Options{FS: fs, Dir: dir, Memory: 256 << 20})
	if err != nil {
		return storeFailure(err)
	}
	defer db.Close()
	meta := state.Meta{Epoch: uint64(r.Epoch), Owner: "savepoint", Wall: r.Wall}
	var batch []state.Entry
	bytes := 0
	flush := func() error {
		err := db.Replay(meta, batch)
		batch, bytes = batch[:0], 0
		return err
	}
	err = s.Entries(ctx, func(_ record.KeyGroup, key, value []byte) error {
		if a, err := state.ParseKey(key); err != nil || !wanted[a.Store] {
			return err
		}
		batch = append(batch, state.Entry{Key: slices.Clone(key), Value: slices.Clone(value)})
		if bytes += len(key) + len(value); bytes >= viewBatch {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return err
	}
	return viewOf(ctx, db, plan, r, fn)
}

// viewBatch is how much of a savepoint is written to the store at once.
const viewBatch = 4 << 20

// viewOf looks at a store that holds the state of a record. What has expired is
// told by the clock: nothing has touched it since.
func viewOf(ctx context.Context, db *state.DB, plan *topology.Plan, r *checkpoint.Record, fn func(*StateView) error) error {
	snapshot, err := db.Snapshot()
	if err != nil {
		return storeFailure(err)
	}
	defer snapshot.Close()
	return fn(&StateView{Epoch: uint64(r.Epoch), plan: plan, record: r, stores: r.Stores, snapshot: snapshot, groups: r.Plan.MaxParallelism,
		now: record.Timestamp(time.Now().UnixMilli()), ctx: ctx})
}

// uids are those of the stores, in order.
func (v *StateView) uids() []string {
	var all []string
	for _, s := range v.stores {
		if !s.Retired {
			all = append(all, s.UID)
		}
	}
	slices.Sort(all)
	return all
}

// store finds the store of a step.
func (v *StateView) store(uid string) (state.StoreID, error) {
	for _, s := range v.stores {
		if s.UID == uid && !s.Retired {
			return state.StoreID(s.ID), nil
		}
	}
	all := v.uids()
	hint := "steps with state: " + strings.Join(all, ", ")
	switch near := topology.Nearest(uid, all); {
	case len(all) == 0:
		hint = "no step of the pipeline has state"
	case near != "":
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return 0, refuse(7, hint, "no step with state has the id %.200q", uid)
}

// inspector makes one, and refuses a plan that the state is not of.
func (v *StateView) inspector(uid string) (*operator.Inspector, error) {
	if why := v.misfit(uid); why != "" {
		return nil, refuse(6, "use the pipeline file that the checkpoint was made with; `kstream plan` says what has changed",
			"the state of %s was stored by another version of the pipeline: %s", uid, why)
	}
	o := operator.InspectOptions{Watermark: record.MinTimestamp, Now: v.now}
	if v.record != nil {
		for _, w := range v.record.Chains {
			if w.Chain == operator.ChainOf(v.plan, uid) {
				o.Watermark = w.Watermark
			}
		}
	}
	return operator.NewInspector(v.plan, uid, o)
}

// misfit says why the state of a step cannot be read with the plan.
func (v *StateView) misfit(uid string) string {
	now := Fingerprint(v.plan)
	if !slices.ContainsFunc(now.Nodes, func(n checkpoint.NodePrint) bool { return n.UID == uid }) {
		return "the file has no such step"
	}
	if v.record == nil {
		return ""
	}
	old := v.record.Plan
	if !slices.ContainsFunc(old.Nodes, func(n checkpoint.NodePrint) bool { return n.UID == uid }) {
		return "" // of the running job, which has made no checkpoint of it yet
	}
	now.MaxParallelism = old.MaxParallelism
	for _, c := range checkpoint.Compare(old, now, checkpoint.Intent{Restored: true}) {
		if c.UID == uid && (c.Verdict == checkpoint.Refused || c.Convert) {
			return c.Text
		}
	}
	return ""
}

// List says what each step has stored, in order of uids.
func (v *StateView) List() ([]StoredState, error) {
	list := []StoredState{}
	prints := Fingerprint(v.plan).Nodes
	if v.record != nil {
		prints = append(prints, v.record.Plan.Nodes...)
	}
	for _, uid := range v.uids() {
		s := StoredState{UID: uid}
		for _, n := range prints {
			if n.UID == uid {
				s.Operator, s.KeyType, s.Window = n.Operator, n.KeyType, n.Window
				break
			}
		}
		for _, n := range v.plan.Stateful {
			if n.UID == uid {
				s.TTL = time.Duration(n.State.TTL.Length) * time.Millisecond
			}
		}
		if err := v.count(&s); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, nil
}

// count counts what is stored, whole key groups at a time.
func (v *StateView) count(s *StoredState) error {
	id, err := v.store(s.UID)
	if err != nil {
		return err
	}
	main := func(int64, []byte) bool { return true } // of a step that the file does not have
	if x, err := v.inspector(s.UID); err == nil {
		main = x.Main
	}
	r, err := v.snapshot.Reader(id)
	if err != nil {
		return err
	}
	defer r.Close()
	counted := 0
	for counted < v.groups && (s.Entries < countLimit || counted == 0) {
		if err := v.countGroup(r, record.KeyGroup(counted), main, s); err != nil {
			return err
		}
		counted++
	}
	if s.Estimated = counted < v.groups; s.Estimated {
		for _, n := range []*int64{&s.Keys, &s.Entries, &s.Bytes} {
			*n = int64(float64(*n) / float64(counted) * float64(v.groups))
		}
	}
	return nil
}

func (v *StateView) countGroup(r *state.Reader, g record.KeyGroup, main func(int64, []byte) bool, s *StoredState) error {
	for ok := r.Seek(g, -1<<63, nil); ok; ok = r.Next() {
		n, err := r.Stored()
		if err != nil {
			return err
		}
		s.Entries++
		s.Bytes += int64(n)
		if a := r.Address(); main(a.Namespace, a.Key) {
			s.Keys++
		}
		if s.Entries&0xfff == 0 && v.ctx.Err() != nil {
			return context.Cause(v.ctx)
		}
	}
	return r.Err()
}

// readable gives errors of damaged state the exit code of such.
func readable(err error) error {
	if errors.Is(err, operator.ErrStateDamaged) || errors.Is(err, state.ErrCorrupt) {
		return refuse(6, "", "%v", err)
	}
	return err
}
