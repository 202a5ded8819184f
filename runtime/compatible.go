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
	"kstream/state"
	"kstream/topology"
)

// Fingerprint is what a checkpoint keeps of a plan.
func Fingerprint(p *topology.Plan) checkpoint.Fingerprint {
	f := checkpoint.Fingerprint{MaxParallelism: p.MaxParallelism}
	for _, n := range p.Stateful {
		s := n.State
		print := checkpoint.NodePrint{UID: n.UID, Operator: s.Op, Layout: s.Layout, KeyType: s.KeyType.String(), Text: s.Finger, Key: s.Key, Before: s.Before}
		if s.TTL.Length > 0 {
			print.TTL = (time.Duration(s.TTL.Length) * time.Millisecond).String()
		}
		if n.Aggregate != nil {
			print.Text, print.Window = s.Rest, s.Window
			sizes := operator.PartLayouts(n)
			for i, part := range s.Parts {
				print.Parts = append(print.Parts, checkpoint.PartPrint{Name: part.Name, Text: part.Text, Size: sizes[i].Size, Beside: sizes[i].Beside})
			}
		}
		f.Nodes = append(f.Nodes, print)
	}
	for _, e := range p.Ends {
		f.Ends = append(f.Ends, checkpoint.EndPrint(e))
	}
	return f
}

// Intent is what the start says about changes of the pipeline.
func (j *Job) intent(restored bool) checkpoint.Intent {
	return checkpoint.Intent{Reset: j.reset, Moved: j.plan.Spec.Moved, Accept: j.opts.Accept, Restored: restored}
}

// compatible compares the plan with the state of R. What would lose state is
// refused by name, unless somebody has agreed to it.
func (l *life) compatible(r *checkpoint.Record) error {
	changes := checkpoint.Compare(r.Plan, l.job.fingerprint(), l.job.intent(false))
	if err := l.refuseChanges("the pipeline does not fit its state", nil, changes); err != nil {
		return err
	}
	l.follow(changes)
	l.giveStoreIDs()
	l.converts = slices.ContainsFunc(changes, func(c checkpoint.Change) bool { return c.Convert })
	return nil
}

// fits compares a savepoint with the plan.
func (l *life) fits(saved *checkpoint.Record) error {
	j := l.job
	var first []string
	if saved.Pipeline != j.plan.Name && !j.accepts(checkpoint.AcceptRenamedJob) {
		first = append(first, fmt.Sprintf("the savepoint is of the job %s, this is %s: needs --accept %s", saved.Pipeline, j.plan.Name, checkpoint.AcceptRenamedJob))
	}
	return l.refuseChanges("the savepoint does not fit the pipeline", first, checkpoint.Compare(saved.Plan, j.fingerprint(), j.intent(true)))
}

// refuseChanges is an error that names every change that is not accepted.
func (l *life) refuseChanges(what string, lines []string, changes []checkpoint.Change) error {
	hint := ""
	for _, c := range changes {
		switch c.Verdict {
		case checkpoint.Asked:
			lines = append(lines, fmt.Sprintf("%s: %s%s: needs --accept %s", c.UID, c.Text, l.job.where(c.UID), c.Needs))
		case checkpoint.Refused:
			lines = append(lines, fmt.Sprintf("%s: %s%s", c.UID, c.Text, l.job.where(c.UID)))
		default:
			if c.Warning {
				l.job.log.Warn(c.Text, "uid", c.UID)
			}
			continue
		}
		if c.Hint != "" && hint == "" {
			hint = c.Hint
		}
	}
	if len(lines) == 0 {
		return nil
	}
	if hint == "" {
		hint = "`kstream plan` shows what a change means; --accept agrees to it"
	}
	return refuse(6, hint, "[state-incompatible] %s:\n  %s", what, strings.Join(lines, "\n  "))
}

// follow does to the stores what was accepted: what starts empty or is gone loses
// its store, what was moved keeps it under its new name.
func (l *life) follow(changes []checkpoint.Change) {
	for _, c := range changes {
		switch {
		case c.Empty && c.Old != "":
			l.retire(c.Old)
		case c.Mark == checkpoint.MarkGone:
			l.retire(c.UID)
		case c.Old != "":
			for i := range l.stores {
				if l.stores[i].UID == c.Old && !l.stores[i].Retired {
					l.stores[i].UID = c.UID
				}
			}
		}
	}
}

func (j *Job) movedTo(uid string) string {
	if to, ok := j.plan.Spec.Moved[uid]; ok {
		return to
	}
	return uid
}

// movedPositions are positions under the names that sources have now: a source
// that was renamed goes on where it was.
func (j *Job) movedPositions(positions []checkpoint.SourcePosition) []checkpoint.SourcePosition {
	positions = slices.Clone(positions)
	for i := range positions {
		positions[i].UID = j.movedTo(positions[i].UID)
	}
	return positions
}

// conversion is how the entries of a step have to be written anew, nil if they
// can stay as they are.
func (l *life) conversion(from *checkpoint.Record, oldUID, newUID string) *operator.Conversion {
	old, now := partsOf(from.Plan, oldUID), partsOf(l.job.fingerprint(), newUID)
	if slices.Equal(old, now) {
		return nil
	}
	return operator.NewConversion(old, now)
}

func partsOf(f checkpoint.Fingerprint, uid string) (parts []operator.ConvertedPart) {
	for _, n := range f.Nodes {
		if n.UID != uid {
			continue
		}
		for _, p := range n.Parts {
			parts = append(parts, operator.ConvertedPart{Text: p.Text, PartLayout: operator.PartLayout{Size: p.Size, Beside: p.Beside}})
		}
	}
	return parts
}

var errLongMain = errors.New("convert state: a main entry in pieces")

// convert writes one entry anew. A stored value begins with a byte that says
// whether it is whole; what is long enough to be in pieces is no main entry.
func convert(c *operator.Conversion, key, value []byte, a state.Address) (_, _ []byte, keep bool, err error) {
	anew, main, keep, err := c.Key(a.Key)
	if err != nil || !keep {
		return nil, nil, false, err
	}
	if main {
		if a.Chunk >= 0 || len(value) == 0 || value[0] != 0 {
			return nil, nil, false, errLongMain
		}
		body, err := c.Main(value[1:])
		return key, append([]byte{0}, body...), true, err
	}
	b := a
	b.Key = anew
	return b.Append(nil), value, true, nil
}

// convertState writes all state anew for other accumulators, into a new
// generation of the changelog, and begins again from it: a restore whose
// savepoint is the local store (16.3).
func (l *life) convertState(ctx context.Context) error {
	r := l.restored
	l.job.log.Info("the state is written anew for the changed accumulators")
	snapshot, err := l.db.Snapshot()
	if err != nil {
		return storeFailure(err)
	}
	defer snapshot.Close()
	positions := l.positions
	c, err := l.nextGeneration(ctx, r)
	if err != nil {
		return err
	}
	entries := func(ctx context.Context, fn func(key, value []byte) error) error {
		return entriesOf(ctx, snapshot, r).Range(0, record.KeyGroup(l.job.plan.MaxParallelism-1), fn)
	}
	if _, err := l.writeEntries(ctx, r, entries, 0); err != nil {
		return err
	}
	l.positions, l.restoredChains = positions, r.Chains
	if err := l.locateSources(ctx); err != nil {
		return err
	}
	if _, _, err := l.switchTo(ctx, c+1, r.Origin); err != nil {
		return err
	}
	return &checkpoint.Failure{Asked: true, Text: "the state was written anew"}
}
