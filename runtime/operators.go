package runtime

import (
	"time"

	"kstream/record"
	"kstream/topology"
)

// OperatorStatus is what one node of the plan has done since the last start.
type OperatorStatus struct {
	UID        string
	Kind       string
	Tasks      int
	In, Out    uint64
	InPerS     float64 // between the last two checkpoints
	OutPerS    float64
	StateBytes int64 // in memory
	Watermark  record.Timestamp
}

// operators are the figures of a task's nodes, for the coordinator.
func (t *taskCore) operators() []OperatorStatus {
	w := record.Timestamp(t.wm.Load())
	var all []OperatorStatus
	if s := t.chain.Source; s != nil {
		n := uint64(t.records.Load())
		all = append(all, OperatorStatus{UID: s.Spec.UID, Kind: "source", Tasks: 1, In: n, Out: n, Watermark: w})
	}
	for _, s := range t.op.Stats(nil) {
		if s.Kind == topology.NodeExchange || s.UID == "" {
			continue
		}
		o := OperatorStatus{UID: s.UID, Kind: s.Kind.String(), Tasks: 1, In: s.In, Out: s.Out, Watermark: w}
		if table := t.tables[s.UID]; table != nil {
			o.StateBytes = table.Bytes()
		}
		all = append(all, o)
	}
	return all
}

// publish adds up the figures of all tasks at a barrier.
func (j *Job) publish(l *life) {
	now := time.Now()
	at := map[string]int{}
	var sums []OperatorStatus
	for _, t := range l.tasks {
		f := l.collected[t]
		if f == nil {
			continue
		}
		for _, o := range f.operators {
			i, ok := at[o.UID]
			if !ok {
				at[o.UID] = len(sums)
				sums = append(sums, o)
				continue
			}
			s := &sums[i]
			s.In, s.Out, s.StateBytes, s.Tasks = s.In+o.In, s.Out+o.Out, s.StateBytes+o.StateBytes, s.Tasks+1
			s.Watermark = min(s.Watermark, o.Watermark)
		}
	}
	j.operatorsMu.Lock()
	defer j.operatorsMu.Unlock()
	if span := now.Sub(j.operatorsAt).Seconds(); !j.operatorsAt.IsZero() && span > 0 {
		for _, before := range j.operators {
			if i, ok := at[before.UID]; ok && sums[i].In >= before.In && sums[i].Out >= before.Out {
				sums[i].InPerS = float64(sums[i].In-before.In) / span
				sums[i].OutPerS = float64(sums[i].Out-before.Out) / span
			}
		}
	}
	j.operators, j.operatorsAt = sums, now
}

// Operators gives the figures of all nodes as of the last checkpoint.
func (j *Job) Operators() []OperatorStatus {
	j.operatorsMu.Lock()
	defer j.operatorsMu.Unlock()
	return append([]OperatorStatus(nil), j.operators...)
}
