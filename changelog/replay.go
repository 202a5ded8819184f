package changelog

import (
	"errors"
	"slices"

	"kstream/record"
	"kstream/state"
)

// Store is what a Replayer writes to; *state.DB is one.
type Store interface {
	// Replay writes entries and the meta record in one batch.
	Replay(m state.Meta, entries []state.Entry) error
	// Ingest does the same for many entries, faster.
	Ingest(m state.Meta, entries []state.Entry) error
}

// A batch is written when it has so many bytes or entries.
const (
	batchBytes   = 4 << 20
	batchEntries = 20_000
)

// Replayer turns records of the changelog into batches for the local store. It
// is fed the committed records of every partition in order of their offsets;
// Finish closes the restore when every partition was read to its end.
//
// While it runs, the meta record names the epoch the restore will reach and has
// the flag Restoring: a restore that is interrupted goes on from the positions,
// and if Kafka loses that epoch in between, the lineage tells.
type Replayer struct {
	// Committed is per partition the end offset in the checkpoint record. A
	// visible record behind it was written by somebody else. nil is not checked.
	Committed []record.Offset
	// Deadline is Decision.Deadline.
	Deadline record.Timestamp
	// RunBytes is how much memory is taken to sort entries, which are then
	// ingested; 0 is none: they are written in batches, which is better for few.
	RunBytes int

	store   Store
	meta    state.Meta
	ends    []record.Offset
	entries []state.Entry
	arena   []byte
	bytes   int // of the entries, in this arena or one before
	records int64
}

// NewReplayer begins a restore: meta is that of the epoch to reach, with the
// Wall of the decision; from and ends are per partition.
func NewReplayer(store Store, meta state.Meta, from, ends []record.Offset) *Replayer {
	meta.Positions = slices.Clone(from)
	meta.Restoring = true
	return &Replayer{store: store, meta: meta, ends: slices.Clone(ends)}
}

// Records is how many were taken in.
func (r *Replayer) Records() int64 { return r.records }

// Add takes in one record, whose bytes may be reused after the call. Errors are
// a *Refusal or of the store.
func (r *Replayer) Add(m record.Message) error {
	p := int(m.Partition)
	if p < 0 || p >= len(r.ends) {
		return refuse(6, "", "", "record of partition %d of %s: the changelog has %d partitions", p, m.Topic, len(r.ends))
	}
	if m.Offset < r.meta.Positions[p] || m.Offset >= r.ends[p] {
		return nil
	}
	if r.Committed != nil && m.Offset >= r.Committed[p] {
		return r.foreign(m, "it lies behind the last checkpoint")
	}
	e, err := r.entry(m)
	if err != nil {
		if errors.Is(err, state.ErrNewerFormat) {
			return refuse(6, "state-incompatible", "upgrade kstream", "%s/%d offset %d: %s", m.Topic, p, m.Offset, err)
		}
		return r.foreign(m, err.Error())
	}
	r.entries = append(r.entries, e)
	r.records++
	r.meta.Positions[p] = m.Offset + 1
	if r.full() {
		return r.flush()
	}
	return nil
}

// entryBytes is about what an entry takes besides its bytes, while it is sorted.
const entryBytes = 80

// full reports whether what was collected is to be written.
func (r *Replayer) full() bool {
	if r.RunBytes > 0 {
		return r.bytes+entryBytes*len(r.entries) >= r.RunBytes
	}
	return len(r.entries) >= batchEntries || r.bytes >= batchBytes
}

// foreign is a record that no instance of this pipeline can have written.
func (r *Replayer) foreign(m record.Message, why string) error {
	return refuse(6, "", "nobody else may write to the topic; "+hintRestore,
		"foreign writer: %s/%d holds a record at offset %d that is not ours: %s", m.Topic, m.Partition, m.Offset, why)
}

// entry copies a record into the batch.
func (r *Replayer) entry(m record.Message) (state.Entry, error) {
	key, err := ParseKey(m.Key)
	if err != nil {
		return state.Entry{}, err
	}
	a, err := state.ParseKey(key)
	if err != nil {
		return state.Entry{}, err
	}
	if Partition(a.Group) != m.Partition {
		return state.Entry{}, errors.New("its key group belongs to another partition")
	}
	e := state.Entry{Key: r.copy(key)}
	if m.Value == nil {
		return e, nil
	}
	stored, _, err := ParseValue(m.Value)
	if err != nil {
		return state.Entry{}, err
	}
	e.Value = r.copy(stored)
	return e, nil
}

// copy keeps b until the batch is written. An arena that is too small is left to
// the entries that point into it.
func (r *Replayer) copy(b []byte) []byte {
	if cap(r.arena)-len(r.arena) < len(b) {
		r.arena = make([]byte, 0, max(batchBytes+64<<10, len(b)))
	}
	at := len(r.arena)
	r.bytes += len(b)
	r.arena = append(r.arena, b...)
	return r.arena[at:len(r.arena):len(r.arena)]
}

func (r *Replayer) flush() error {
	write := r.store.Replay
	if r.RunBytes > 0 && len(r.entries) > 0 {
		write = r.store.Ingest
	}
	if err := write(r.meta, r.entries); err != nil {
		return err
	}
	r.entries, r.arena, r.bytes = r.entries[:0], r.arena[:0], 0
	return nil
}

// Finish writes what is left and ends the restore: every partition was read to
// its end, the control records behind the last record included.
func (r *Replayer) Finish(now record.Timestamp) error {
	if r.Deadline > 0 && now > r.Deadline {
		return refuse(6, "", "raise delete.retention.ms of the changelog, or restore on a faster machine",
			"the restore took longer than half of delete.retention.ms: deleted keys could have come back to life")
	}
	for i, end := range r.ends {
		r.meta.Positions[i] = max(r.meta.Positions[i], end)
	}
	r.meta.Restoring, r.meta.Wall = false, now
	return r.flush()
}
