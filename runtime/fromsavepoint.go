package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/operator"
	"kstream/record"
	"kstream/savepoint"
	"kstream/state"
)

// From is the savepoint a job begins with: section 16.3 of the protocol.
type From struct {
	Savepoint *savepoint.Savepoint
	Path      string // is kept as the origin
	Offsets   string // what offsets mean on another cluster: "" is not told, same, timestamp
	Replace   bool   // a history the job already has may be replaced
}

// The bounds of one transaction of a restore: a broker holds readers of the
// topic back while it is open.
const (
	restoreBytes  = 64 << 20
	restorePieces = 4 // of the transaction timeout
)

// restoreSavepoint is 16.3, steps 2 to 6: a new generation of the changelog is
// filled in transactions of bounded size, which nobody reads, because no record
// names it. The last transaction holds the record that does: it is the switch,
// atomic however large the state is.
func (l *life) restoreSavepoint(ctx context.Context, r *checkpoint.Record) (n checkpoint.Epoch, writes int, err error) {
	from := l.job.from
	saved := from.Savepoint.Checkpoint.Record()
	l.fail.before("restore-checked")
	if r != nil && !from.Replace {
		return 0, 0, refuse(6, "-y replaces it; `kstream savepoint` saves it first",
			"%s has a history of its own, up to checkpoint %d of %s", l.job.plan.Name, r.Epoch, timeText(r.Wall))
	}
	positions, err := l.savedPositions(ctx, saved)
	if err != nil {
		return 0, 0, err
	}
	l.fail.after("restore-checked")
	l.fail.before("restore-generation")
	c, err := l.nextGeneration(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	l.fail.after("restore-generation")
	entries := func(ctx context.Context, fn func(key, value []byte) error) error {
		return from.Savepoint.Entries(ctx, func(_ record.KeyGroup, key, value []byte) error { return fn(key, value) })
	}
	if writes, err = l.writeEntries(ctx, saved, entries, from.Savepoint.Manifest.Entries); err != nil || writes > 1 {
		return 0, writes, err
	}
	l.positions = positions
	if err := l.locateSources(ctx); err != nil {
		return 0, 0, err
	}
	l.restoredChains = saved.Chains
	l.fail.before("restore-switched")
	if n, writes, err = l.switchTo(ctx, c+1, fmt.Sprintf("%s (checkpoint %d of %s)", from.Path, saved.Epoch, saved.Pipeline)); err != nil {
		return 0, writes, err
	}
	l.fail.after("restore-switched")
	l.job.log.Info("restored the savepoint", "path", from.Path, "checkpoint", n, "changelog", l.changelog.Topic, "entries", from.Savepoint.Manifest.Entries)
	l.job.from = nil
	return n, writes, nil
}

// nextGeneration makes the changelog of the next generation that has never been
// used, and gives the epoch that comes before the job's next one.
func (l *life) nextGeneration(ctx context.Context, r *checkpoint.Record) (c checkpoint.Epoch, err error) {
	generation := 1
	if r != nil {
		generation, c = r.Changelog.Generation+1, r.Epoch
		l.restored = &checkpoint.Record{Lineage: r.Lineage}
		l.parts.open = r.Handles // they are decided, and are carried on
	}
	for {
		infos, err := l.client.Topics.Topics(ctx, []string{l.job.changelogTopic(generation)})
		if err != nil {
			return 0, err
		}
		if len(infos) == 0 {
			break
		}
		generation++
	}
	l.giveStoreIDs()
	return c, l.createChangelog(ctx, generation)
}

// switchTo commits the record that makes the new generation the state.
func (l *life) switchTo(ctx context.Context, n checkpoint.Epoch, origin string) (_ checkpoint.Epoch, writes int, err error) {
	ctx, cancel := l.commitLimit(ctx)
	defer cancel()
	if l.restored == nil {
		l.restored = &checkpoint.Record{}
	}
	l.restored.Origin = origin
	l.collected = map[*taskCore]*frozen{nil: {positions: l.startPositions()}}
	if err := l.producer.Begin(); err != nil {
		return 0, 0, err
	}
	if err := l.commitOffsets(ctx, n); err != nil {
		return 0, 0, err
	}
	if err := l.writeRecord(ctx, n); err != nil {
		return 0, 0, err
	}
	l.job.switching = l.owner.ID()
	if writes, err = l.producer.End(ctx); err != nil {
		return 0, writes, err
	}
	l.restored, l.positions, l.collected, l.restoredChains = l.epochRecord, l.epochRecord.Sources, nil, nil
	l.changelog.Ends = l.restored.Changelog.Ends
	return n, writes, nil
}

// switchedBefore follows a switch whose end was never answered, but whose record
// is there: what the job was to begin with is its state, and not to be begun
// with again.
func (l *life) switchedBefore(r *checkpoint.Record) {
	j := l.job
	if j.switching == "" || r.Owner.ID() != j.switching {
		return
	}
	l.anew = l.anew || j.fromNone
	j.from, j.fromNone = nil, false
}

// savedPositions are the positions of a savepoint as they hold on this cluster.
func (l *life) savedPositions(ctx context.Context, saved *checkpoint.Record) ([]checkpoint.SourcePosition, error) {
	from := l.job.from
	elsewhere := from.Savepoint.Checkpoint.ClusterID != l.broker.ClusterID
	if elsewhere && from.Offsets == "" && slices.ContainsFunc(saved.Sources, l.inKafka) {
		return nil, refuse(6, "say what its offsets mean here: --offsets same (the topics are copies with equal offsets), or --offsets timestamp",
			"the savepoint is of the cluster %s, this is %s", from.Savepoint.Checkpoint.ClusterID, l.broker.ClusterID)
	}
	positions := l.job.movedPositions(saved.Sources)
	if from.Offsets == "" {
		return positions, nil
	}
	at := map[string][]record.Offset{}
	for i := range positions {
		p := &positions[i]
		info, ok := l.topics[p.Topic]
		if !ok || !l.inKafka(*p) {
			continue
		}
		p.TopicID, p.LeaderEpoch = info.ID, -1
		if from.Offsets != "timestamp" {
			continue
		}
		id := fmt.Sprintf("%s %d", p.Topic, p.LastTime)
		if at[id] == nil {
			offsets, err := l.client.Log.OffsetsAt(ctx, p.Topic, p.LastTime)
			if err != nil {
				return nil, err
			}
			at[id] = offsets
		}
		if int(p.Partition) < len(at[id]) {
			p.Offset, p.Stop, p.Ended = at[id][p.Partition], -1, false
		}
	}
	return positions, nil
}

// inKafka says that a position is one of a topic; that of a file has an id too.
func (l *life) inKafka(p checkpoint.SourcePosition) bool {
	return p.TopicID != (record.TopicID{}) && !l.job.fileSource(p.UID)
}

// restorer writes entries into the new generation.
type restorer struct {
	*life
	ids         map[state.StoreID]state.StoreID
	conversions map[state.StoreID]*operator.Conversion
	total       int64
	key, value  []byte
	open        bool
	bytes       int64
	opened      record.Timestamp
	writes      int
	entries     int64
}

// entrySource calls fn with every entry of a committed state.
type entrySource func(ctx context.Context, fn func(key, value []byte) error) error

// writeEntries is step 5. from are the stores of the old state, changes what
// becomes of their steps. writes is above 1 if a transaction's end went out more
// than once under TV1 (I15): then this attempt must not go on.
func (l *life) writeEntries(ctx context.Context, from *checkpoint.Record, entries entrySource, total int64) (writes int, err error) {
	w := &restorer{life: l, ids: map[state.StoreID]state.StoreID{}, conversions: map[state.StoreID]*operator.Conversion{}, total: total}
	for _, s := range from.Stores {
		uid := l.job.movedTo(s.UID)
		id, ok := l.storeID(uid)
		if !ok || s.Retired || l.job.isReset(uid) {
			continue
		}
		w.ids[state.StoreID(s.ID)] = id
		if c := l.conversion(from, s.UID, uid); c != nil {
			w.conversions[state.StoreID(s.ID)] = c
		}
	}
	if err = entries(ctx, func(key, value []byte) error { return w.entry(ctx, key, value) }); err == nil {
		err = w.end(ctx)
	}
	if err != nil {
		return 0, err
	}
	return w.writes, nil
}

func (w *restorer) entry(ctx context.Context, key, value []byte) error {
	if w.entries++; w.entries&0xffff == 0 {
		w.job.progress("restoring", w.entries, w.total-w.entries)
	}
	a, err := state.ParseKey(key)
	if err != nil {
		return err
	}
	id, ok := w.ids[a.Store]
	if !ok {
		return nil // of a step that is gone or starts empty
	}
	if c := w.conversions[a.Store]; c != nil {
		var keep bool
		if key, value, keep, err = convert(c, key, value, a); err != nil || !keep {
			return err
		}
	}
	g, err := savepoint.Group(a.Key, w.job.plan.MaxParallelism)
	if err != nil {
		return err
	}
	address, err := state.Rehash(nil, key, id, g)
	if err != nil {
		return err
	}
	if !w.open {
		if err := w.producer.Begin(); err != nil {
			return err
		}
		w.open, w.bytes, w.opened = true, 0, w.job.now()
	}
	w.key = changelog.AppendKey(w.key[:0], address)
	w.value = changelog.AppendValue(w.value[:0], value)
	w.producer.Produce(&record.Message{Topic: w.changelog.Topic, Partition: changelog.Partition(g), Key: w.key, Value: w.value, Time: w.job.now()})
	w.bytes += int64(len(w.key) + len(w.value))
	limit := w.job.plan.Spec.Checkpoint.TransactionTimeout / restorePieces
	if w.bytes >= restoreBytes || int64(w.job.now()-w.opened) >= limit.Milliseconds() {
		return w.end(ctx)
	}
	return nil
}

// end commits what was written so far and keeps the end offsets.
func (w *restorer) end(ctx context.Context) error {
	if !w.open {
		return nil
	}
	ctx, cancel := w.commitLimit(ctx)
	defer cancel()
	if err := w.flush(ctx); err != nil {
		return err
	}
	ends := slices.Clone(w.changelog.Ends)
	for p := range ends {
		if end, ok := w.producer.EndOffset(w.changelog.Topic, int32(p)); ok {
			ends[p] = end
		}
	}
	w.fail.before("restore-batch")
	writes, err := w.producer.End(ctx)
	if err != nil {
		return err
	}
	w.fail.after("restore-batch")
	w.open, w.changelog.Ends = false, ends
	w.writes = max(w.writes, writes)
	if writes > 1 && !w.broker.TransactionV2 {
		return &checkpoint.Failure{AtOnce: true, Text: "the EndTxn of a restore was written more than once"}
	}
	return nil
}

func timeText(t record.Timestamp) string { return time.UnixMilli(int64(t)).UTC().Format(time.RFC3339) }
