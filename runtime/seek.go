package runtime

import (
	"context"
	"fmt"
	"strings"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// replay is U7: the changelog from the stored positions to the bound goes into
// the local store, in batches that carry the positions.
func (l *life) replay(ctx context.Context) error {
	j := l.job
	d := l.decision
	if len(d.From) == 0 {
		d.From = make([]record.Offset, len(l.changelog.Ends))
	}
	ends := make([]record.Offset, len(l.log.Bounds))
	for i, b := range l.log.Bounds {
		ends[i] = b.End
	}
	meta := state.Meta{
		Generation: l.changelog.Generation, TopicID: l.changelog.TopicID, Wall: d.Wall, DirectoryID: j.directory,
	}
	if l.restored != nil {
		meta.Epoch, meta.Owner = uint64(l.restored.Epoch), l.restored.Owner.ID()
	}
	r := changelog.NewReplayer(l.db, meta, d.From, ends)
	r.Committed, r.Deadline = l.changelog.Ends, d.Deadline
	r.RunBytes = l.restoreRun(d.From, ends)
	began := j.clock()
	err := l.client.Log.ReadAll(ctx, rangesOf(l.changelog.Topic, d.From, ends), r.Add, func(read, left int64) {
		j.progress("restoring", read, left)
	})
	if err != nil {
		return err
	}
	if err := r.Finish(j.now()); err != nil {
		return storeFailure(err)
	}
	took := j.clock().Sub(began)
	j.metrics.restored(r.Records(), took)
	if r.Records() > 0 {
		j.log.Info("state restored", "records", r.Records(), "took", took.String())
	}
	l.applied.Store(meta.Epoch)
	return nil
}

// A restore of so many records sorts them and writes tables; that many bytes of
// memory at the most, and no more than a part of state.memory, are taken for it.
const (
	ingestFrom = 50_000
	runMax     = 64 << 20
	runMin     = 1 << 20
	runPart    = 8
)

// restoreRun is the memory to sort what a restore reads, 0 if that is little.
func (l *life) restoreRun(from, ends []record.Offset) int {
	var records record.Offset
	for i, end := range ends {
		records += end - from[i]
	}
	if records < ingestFrom {
		return 0
	}
	return int(min(runMax, max(runMin, l.job.plan.Spec.State.Memory/runPart)))
}

// seek is U9: where every partition of every source goes on.
func (l *life) seek(ctx context.Context) error {
	return l.locateSources(ctx)
}

// locateSources finds the position of every source partition: R's where it has
// one, else where the source says it starts.
func (l *life) locateSources(ctx context.Context) error {
	l.starts = nil
	for _, s := range l.job.plan.Sources {
		if s.Spec.File != nil {
			if err := l.locateFiles(s); err != nil {
				return err
			}
			continue
		}
		if len(s.Spec.Topics) == 0 {
			l.starts = append(l.starts, sourceStart{source: s, pos: l.inProcess(s)})
			continue
		}
		for _, topic := range s.Spec.Topics {
			if err := l.locateTopic(ctx, s, topic); err != nil {
				return err
			}
		}
	}
	return nil
}

// inProcess is the position of a source inside the process: the number of the
// next record, or the byte position of standard input.
func (l *life) inProcess(s *topology.Source) checkpoint.SourcePosition {
	for _, p := range l.positions { // one that was moved had another name
		if p.UID == s.Spec.UID && p.TopicID == (record.TopicID{}) && !l.job.isReset(p.UID) {
			p.Topic = s.Spec.Name
			return p
		}
	}
	return checkpoint.SourcePosition{UID: s.Spec.UID, Topic: s.Spec.Name, LeaderEpoch: -1,
		Watermark: record.MinTimestamp, Stop: -1}
}

// known is R's position of a partition, unless the source was reset.
func (l *life) known(s *topology.SourceSpec, topic string, p int32) (checkpoint.SourcePosition, bool) {
	if l.job.isReset(s.UID) {
		return checkpoint.SourcePosition{}, false
	}
	for _, pos := range l.positions {
		if pos.UID == s.UID && pos.Topic == topic && pos.Partition == p {
			return pos, true
		}
	}
	return checkpoint.SourcePosition{}, false
}

func (l *life) locateTopic(ctx context.Context, s *topology.Source, topic string) error {
	info := l.topics[topic]
	bounds, err := l.client.Log.Bounds(ctx, topic)
	if err != nil {
		return err
	}
	_, knownTopic := l.known(s.Spec, topic, 0)
	var begin, stop []record.Offset
	for p := range info.Partitions {
		pos, ok := l.known(s.Spec, topic, p)
		if ok {
			if err := l.checkPosition(s.Spec, info, pos, bounds[p]); err != nil {
				return err
			}
			l.starts = append(l.starts, sourceStart{source: s, pos: pos})
			continue
		}
		if begin == nil {
			if begin, err = l.resolveOnce(ctx, "start of "+s.Spec.UID, s.Spec.Start, s.Spec.Group, info, bounds); err != nil {
				return err
			}
			if stop, err = l.resolveOnce(ctx, "stop of "+s.Spec.UID, s.Spec.Stop, "", info, bounds); err != nil {
				return err
			}
		}
		pos = checkpoint.SourcePosition{UID: s.Spec.UID, Topic: topic, TopicID: info.ID, Partition: p,
			Offset: begin[p], LeaderEpoch: -1, Watermark: record.MinTimestamp, Stop: stop[p]}
		if knownTopic {
			// A partition that was added holds records from before it was noticed.
			pos.Offset = bounds[p].Start
			l.job.warnPartition(record.TopicPartition{Topic: topic, Partition: p}, pos.Offset)
		}
		pos.Ended = pos.Stop >= 0 && pos.Offset >= pos.Stop
		l.starts = append(l.starts, sourceStart{source: s, pos: pos})
	}
	return l.checkMissing(s.Spec, topic, info.Partitions)
}

// checkMissing refuses if R knows a partition that is gone.
func (l *life) checkMissing(s *topology.SourceSpec, topic string, partitions int32) error {
	for _, pos := range l.positions {
		if pos.UID == s.UID && pos.Topic == topic && pos.Partition >= partitions && !l.job.isReset(s.UID) {
			return refuse(6, "to start the source anew: --reset "+s.UID, "%s/%d does not exist any more", topic, pos.Partition)
		}
	}
	return nil
}

// checkPosition refuses a position that means nothing any more (12): silent loss
// is the worst outcome.
func (l *life) checkPosition(s *topology.SourceSpec, info record.TopicInfo, pos checkpoint.SourcePosition, b record.Bounds) error {
	hint := fmt.Sprintf("to start the source at its `start` again: --reset %s", s.UID)
	tp := record.TopicPartition{Topic: pos.Topic, Partition: pos.Partition}
	switch {
	case pos.Ended && pos.TopicID == info.ID:
		return nil // nothing of it is read any more
	case pos.TopicID != info.ID:
		return refuse(6, hint, "%s was deleted and made again: id %x -> %x", pos.Topic, pos.TopicID[:4], info.ID[:4])
	case pos.Offset < b.Start:
		return refuse(6, hint, "%s: offset %d was deleted, the log starts at %d (%d records lost)", tp, pos.Offset, b.Start, b.Start-pos.Offset)
	case pos.Offset > b.End:
		return refuse(6, hint, "%s lost records: position %d epoch %d, log now ends at %d", tp, pos.Offset, pos.LeaderEpoch, b.End)
	}
	return nil
}

// resolveOnce is resolve, except that "latest" is what it was when this process
// looked first: if no epoch was committed since, a restart must not jump over
// what the life before had read.
func (l *life) resolveOnce(ctx context.Context, what string, p topology.Position, group string, info record.TopicInfo, bounds []record.Bounds) ([]record.Offset, error) {
	id := fmt.Sprintf("%s, %s %x", what, info.Name, info.ID)
	if first := l.job.latest[id]; p.Kind == "latest" && len(first) == len(bounds) {
		return first, nil
	}
	out, err := l.resolve(ctx, what, p, group, info.Name, bounds)
	if err == nil && p.Kind == "latest" {
		l.job.latest[id] = out
	}
	return out, err
}

// resolve turns a start or stop into offsets, one for each partition; -1 is no
// stop.
func (l *life) resolve(ctx context.Context, what string, p topology.Position, group, topic string, bounds []record.Bounds) ([]record.Offset, error) {
	out := make([]record.Offset, len(bounds))
	for i, b := range bounds {
		switch p.Kind {
		case "latest":
			out[i] = b.End
		case "never", "":
			out[i] = -1
		default:
			out[i] = b.Start
		}
	}
	switch p.Kind {
	case "offsets":
		return offsetsOf(p, what, topic, bounds)
	case "timestamp":
		return l.client.Log.OffsetsAt(ctx, topic, p.Time)
	case "group":
		offsets, err := l.client.Topics.GroupOffsets(ctx, group)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if o, ok := offsets[record.TopicPartition{Topic: topic, Partition: int32(i)}]; ok {
				out[i] = o.Offset
			}
		}
	}
	return out, nil
}

// offsetsOf are written offsets. A partition that is not named begins at its
// beginning, and stops at the end that it has now.
func offsetsOf(p topology.Position, what, topic string, bounds []record.Bounds) ([]record.Offset, error) {
	out := make([]record.Offset, len(bounds))
	stop := strings.HasPrefix(what, "stop")
	for i, b := range bounds {
		o, named := p.Offsets[int32(i)]
		switch {
		case named && !stop && (o < b.Start || o > b.End):
			return nil, refuse(5, fmt.Sprintf("write an offset from %d to %d", b.Start, b.End),
				"%s: %s/%d has no offset %d", what, topic, i, o)
		case named:
			out[i] = o
		case stop:
			out[i] = b.End
		default:
			out[i] = b.Start
		}
	}
	for number := range p.Offsets {
		if int(number) >= len(bounds) {
			return nil, refuse(5, fmt.Sprintf("its partitions are 0 to %d", len(bounds)-1), "%s: %s has no partition %d", what, topic, number)
		}
	}
	return out, nil
}

// startPositions are the positions for a record that begins anew.
func (l *life) startPositions() []checkpoint.SourcePosition {
	var all []checkpoint.SourcePosition
	for _, s := range l.starts {
		all = append(all, s.pos)
	}
	return all
}
