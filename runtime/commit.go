package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/state"
)

// perform does one effect of an epoch: this is section 4 of the protocol, step
// by step. The machine decides the order; every step that has a result returns
// only when it is known. Steps E1 (write), E3 (align), E4 (freeze), E5 (prepare)
// and E6 (changelog) are done by the tasks, which answer barrier n with their
// acknowledgements (E7).
//
//	record -> end -> answer -> next opened -> apply -> participants
func (l *life) perform(ctx context.Context, e checkpoint.Effect) (writes int, err error) {
	n := e.Epoch
	step := stepNames[e.Kind]
	l.fail.before(step)
	switch e.Kind {
	case checkpoint.EffectBegin: // E0: local, nothing is sent
		l.firstWriteAt = time.Time{}
		l.openSince.Store(0)
		err = l.producer.Begin()
		l.begun = err == nil

	case checkpoint.EffectOpenGate: // E0, E13: held output goes first, in order
		if l.epochRecord != nil {
			l.fail.before("opened-next")
		}
		l.gate.open(n)
		if l.epochRecord != nil {
			l.fail.after("opened-next")
		}

	case checkpoint.EffectBarrier: // E2: behind the batch in hand of every source task
		l.barrierTime = l.job.clock()
		l.collected = map[*taskCore]*frozen{}
		l.movedBefore = l.moved.Load()
		for _, s := range l.sources {
			if _, err = s.inbox.put(ctx, s.control, message{kind: messageBarrier, epoch: n}); err != nil {
				return 0, err
			}
		}

	case checkpoint.EffectFlush: // E8: empty before the end (I4), every promise counts (I3)
		if err = l.deleteRetired(); err == nil {
			err = l.flush(ctx)
		}

	case checkpoint.EffectOffsets: // E9: for lag tools; the record is the truth
		err = l.commitOffsets(ctx, n)

	case checkpoint.EffectRecord: // E10: last, through the same client, acknowledged (I2)
		err = l.writeRecord(ctx, n)

	case checkpoint.EffectEnd: // E11: the decision; E12: only success is success (I8)
		if mutant("B11") {
			_ = l.apply(n)
		}
		l.fail.before("end-sent")
		writes, err = l.producer.End(ctx)
		l.begun = false
		if mutant("B8") {
			err = nil
		}

	case checkpoint.EffectApply: // E14: the local store follows the decision (I11)
		if !mutant("B11") {
			err = l.apply(n)
		}

	case checkpoint.EffectHandles: // E15: participants; the decision comes true (I13)
		err = l.handlesDecided(ctx, l.epochRecord)
	}
	if err == nil {
		l.fail.after(step)
	}
	return writes, err
}

// flush waits for every record of the epoch; the first failed promise is its error.
func (l *life) flush(ctx context.Context) error {
	if mutant("B1") {
		return nil
	}
	if err := l.producer.Flush(ctx); err != nil {
		return err
	}
	return l.producer.FirstError()
}

// stepNames are the names of the steps as failpoints; EndTxn on the wire
// (end-sent) has its own.
var stepNames = [...]string{
	checkpoint.EffectLock: "locked", checkpoint.EffectInspect: "inspected", checkpoint.EffectReadClaim: "seen",
	checkpoint.EffectFence: "fenced", checkpoint.EffectWriteClaim: "claimed", checkpoint.EffectReadRecord: "record-read",
	checkpoint.EffectBound: "bounded", checkpoint.EffectCheckStore: "store-checked", checkpoint.EffectReplay: "restored",
	checkpoint.EffectRecover: "recovered", checkpoint.EffectSeek: "seeked", checkpoint.EffectRun: "running",
	checkpoint.EffectBegin: "begin", checkpoint.EffectOpenGate: "open", checkpoint.EffectBarrier: "barrier",
	checkpoint.EffectFlush: "flushed", checkpoint.EffectOffsets: "offsets", checkpoint.EffectRecord: "record",
	checkpoint.EffectEnd: "end-answered", checkpoint.EffectApply: "applied", checkpoint.EffectHandles: "handles",
	checkpoint.EffectExit: "",
}

// commitOffsets is E9: one request per consumer group, in the transaction.
func (l *life) commitOffsets(ctx context.Context, n checkpoint.Epoch) error {
	for group, sources := range l.groupPositions(l.epochPositions()) {
		var positions []record.Position
		for _, p := range sources {
			positions = append(positions, record.Position{
				TopicPartition: record.TopicPartition{Topic: p.Topic, Partition: p.Partition},
				TopicID:        p.TopicID, Offset: p.Offset, LeaderEpoch: p.LeaderEpoch,
			})
		}
		if err := l.producer.CommitOffsets(ctx, group, positions, checkpoint.FormatMark(n)); err != nil {
			return err
		}
	}
	return nil
}

// groupPositions are the positions of Kafka sources by consumer group. A group
// has one position of a partition: of two sources that read the same topic, that
// of the one that is behind.
func (l *life) groupPositions(sources []checkpoint.SourcePosition) map[string][]checkpoint.SourcePosition {
	type place struct {
		group, topic string
		partition    int32
	}
	groups := map[string][]checkpoint.SourcePosition{}
	at := map[place]int{}
	for _, p := range sources {
		if l.job.fileSource(p.UID) || p.TopicID == (record.TopicID{}) && l.topics[p.Topic].Partitions == 0 {
			continue // not a Kafka source
		}
		g := l.job.group(p.UID)
		k := place{g, p.Topic, p.Partition}
		same, twice := at[k]
		switch {
		case !twice:
			at[k] = len(groups[g])
			groups[g] = append(groups[g], p)
		case p.Offset < groups[g][same].Offset:
			groups[g][same] = p
		}
	}
	return groups
}

// epochPositions are the positions that the source tasks reported at barrier n.
func (l *life) epochPositions() []checkpoint.SourcePosition {
	var all []checkpoint.SourcePosition
	for _, f := range l.collected {
		all = append(all, f.positions...)
	}
	slices.SortFunc(all, func(a, b checkpoint.SourcePosition) int {
		if c := strings.Compare(a.UID, b.UID); c != 0 {
			return c
		}
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	return all
}

// epochWatermarks are the watermarks at barrier n of the chains behind exchanges;
// those of sources are kept per partition.
func (l *life) epochWatermarks() []checkpoint.ChainWatermark {
	var all []checkpoint.ChainWatermark
	for t, f := range l.collected {
		if f != nil {
			all = append(all, f.times...)
		}
		if t != nil && t.chain.Input != nil && t.subtask == 0 {
			all = append(all, checkpoint.ChainWatermark{Chain: t.chain.Name, Watermark: f.watermark})
		}
	}
	slices.SortFunc(all, func(a, b checkpoint.ChainWatermark) int { return strings.Compare(a.Chain, b.Chain) })
	return all
}

// writeRecord is E10. The end offsets are those of acknowledged records, which
// is why everything else was flushed before.
func (l *life) writeRecord(ctx context.Context, n checkpoint.Epoch) error {
	r := &checkpoint.Record{
		Pipeline: l.job.plan.Name, Epoch: n, Wall: l.job.now(), Owner: l.owner,
		Plan: l.job.fingerprint(), Sources: l.epochPositions(), Stores: l.stores,
		Changelog: l.changelog, Chains: l.epochWatermarks(), Handles: l.epochHandles(),
	}
	if l.restoredChains != nil {
		r.Chains = l.restoredChains
	}
	var lineage []checkpoint.Lineage
	if l.restored != nil {
		lineage = l.restored.Lineage
		r.Origin = l.restored.Origin
	}
	r.Lineage = checkpoint.ExtendLineage(lineage, l.owner.ID(), n)
	r.Changelog.Ends = slices.Clone(l.changelog.Ends)
	for p := range r.Changelog.Ends {
		if end, ok := l.producer.EndOffset(r.Changelog.Topic, int32(p)); ok {
			r.Changelog.Ends[p] = end
		}
	}
	parts, err := l.records.Encode(r)
	if err != nil {
		return &checkpoint.Failure{Class: checkpoint.ClassRefuse, Exit: 6, Text: err.Error()}
	}
	l.epochBytes = l.producer.BytesProduced()
	topic := l.job.checkpointTopic()
	for _, p := range append(parts, checkpoint.Surplus(r.Slot, len(parts), l.job.storedParts)...) {
		l.producer.Produce(&record.Message{Topic: topic, Key: p.Key, Value: p.Value, Time: l.job.now()})
	}
	if err := l.flush(ctx); err != nil {
		return err
	}
	if left := l.producer.Buffered(); left > 0 && !mutant("B1") {
		return &checkpoint.Failure{Class: checkpoint.ClassBug, Text: fmt.Sprintf("%d records are unacknowledged before EndTxn", left)}
	}
	l.job.storedParts = len(parts)
	l.epochRecord = r
	l.countEpoch(n)
	return nil
}

// apply is E14: D(n), positions, epoch and owner in one batch.
func (l *life) apply(n checkpoint.Epoch) error {
	r := l.epochRecord
	var deltas []*state.Delta
	for _, f := range l.collected {
		deltas = append(deltas, f.deltas...)
	}
	if l.retired.delta != nil {
		deltas = append(deltas, l.retired.delta)
	}
	err := l.db.Apply(state.Meta{
		Epoch: uint64(n), Owner: l.owner.ID(), Generation: r.Changelog.Generation,
		TopicID: r.Changelog.TopicID, Positions: r.Changelog.Ends, Wall: r.Wall, DirectoryID: l.job.directory,
	}, deltas)
	if err != nil {
		return storeFailure(err)
	}
	l.restored = r
	l.fail.remember(r)
	l.changelog.Ends = r.Changelog.Ends
	l.positions = r.Sources
	l.applied.Store(uint64(n))
	l.job.countCommitted(n)
	l.job.committed(n, r, l)
	return l.db.FlushIfOlder(r.Wall - record.Timestamp(storeFlushAge.Milliseconds()))
}

// storeFlushAge bounds what a restart after a kill replays, together with
// state.FlushBytes.
const storeFlushAge = time.Minute
