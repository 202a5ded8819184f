package runtime

import (
	"fmt"
	"strings"

	"kstream/checkpoint"
)

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
