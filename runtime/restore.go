package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// readRecord is U4: the newest record under the fence says what c is. writes is
// how often EndTxn was written for the record of --from none (I15).
func (l *life) readRecord(ctx context.Context) (c checkpoint.Epoch, writes int, err error) {
	r, err := l.newestRecord(ctx)
	if err != nil {
		return 0, 0, err
	}
	l.job.resetUntil(r)
	if r != nil {
		r.Sources = l.job.movedPositions(r.Sources)
		l.switchedBefore(r)
	}
	if err := l.checkInputs(r); err != nil {
		return 0, 0, err
	}
	switch {
	case l.job.fromNone:
		return l.beginAnew(ctx, r)
	case l.job.from != nil:
		return l.restoreSavepoint(ctx, r)
	}
	if r == nil {
		return 0, 0, l.firstRecord(ctx)
	}
	l.restored = r
	l.changelog = r.Changelog
	l.stores = slices.Clone(r.Stores)
	l.positions = r.Sources
	if err := l.compatible(r); err != nil {
		return 0, 0, err
	}
	l.warnDrained(r)
	return r.Epoch, 0, l.compareGroups(ctx, r)
}

// newestRecord is R(c), nil if there is none.
func (l *life) newestRecord(ctx context.Context) (*checkpoint.Record, error) {
	j := l.job
	ends, err := l.client.Log.WaitStable(ctx, j.checkpointTopic(), l.stableTimeout())
	if err != nil {
		return nil, err
	}
	n, err := l.readCheckpoints(ctx, ends)
	if err != nil {
		return nil, err
	}
	if n.claim == nil || n.claim.ID() != l.owner.ID() {
		return nil, &checkpoint.Failure{Class: checkpoint.ClassFenced, Exit: 6, Text: "fenced: " + ownerText(n.claim) + " took over"}
	}
	j.storedParts = checkpoint.StoredParts(0, n.parts)
	r, err := checkpoint.DecodeRecord(0, n.parts)
	switch {
	case errors.Is(err, checkpoint.ErrNoRecord):
		r = nil
	case err != nil && !j.fromNone:
		return nil, refuse(6, "restore the topic, or begin anew with --from none", "the checkpoint record cannot be read: %v", err)
	}
	return l.fail.recall(r), nil
}

// resetUntil ends --reset once an epoch of this process is found committed, also
// one whose end was never answered: what is read anew is in it, and reading it
// again would count it twice.
func (j *Job) resetUntil(r *checkpoint.Record) {
	var c checkpoint.Epoch
	if r != nil {
		c = r.Epoch
	}
	switch {
	case j.resetFrom == nil:
		j.resetFrom = &c
	case c > *j.resetFrom:
		clear(j.reset)
	}
}

// checkInputs refuses a missing input: if R knows it, its data is lost,
// otherwise its name is wrong.
func (l *life) checkInputs(r *checkpoint.Record) error {
	for _, s := range l.job.plan.Sources {
		for _, t := range s.Spec.Topics {
			if _, ok := l.topics[t]; ok {
				continue
			}
			if r == nil || l.job.anew() || l.job.isReset(s.Spec.UID) {
				return missingInput(s, t)
			}
			for _, p := range r.Sources {
				if p.UID == s.Spec.UID && p.Topic == t {
					return refuse(6, "to start the source anew, once there is a topic: --reset "+s.Spec.UID,
						"the topic %s of source %s was deleted; checkpoint %d has read it to offset %d", t, s.Spec.Name, r.Epoch, p.Offset)
				}
			}
			return missingInput(s, t)
		}
	}
	return nil
}

func missingInput(s *topology.Source, topic string) error {
	return refuse(5, "create it, or mend the name", "the topic %s of source %s does not exist", topic, s.Spec.Name)
}

// warnDrained tells of windows whose event time has ended although their input
// has not: everything that comes is late.
func (l *life) warnDrained(r *checkpoint.Record) {
	ended := map[string]bool{}
	for _, p := range r.Sources {
		if before, seen := ended[p.UID]; !seen || before {
			ended[p.UID] = p.Ended
		}
	}
	for _, w := range r.Chains {
		for _, c := range l.job.plan.Chains {
			if c.Name == w.Chain && w.Watermark == record.MaxTimestamp && hasWindow(c.Roots) && !allEnded(c, ended) && !l.job.startsEmpty(c) {
				l.job.log.Warn("the job was drained: all its windows have ended, and what comes now is late for them; --from none begins anew", "chain", c.Name)
			}
		}
	}
}

func hasWindow(nodes []*topology.Node) bool {
	return slices.ContainsFunc(nodes, func(n *topology.Node) bool {
		return n.Window != nil || n.TopN != nil && n.TopN.Window || slices.ContainsFunc(n.Below(), hasWindow)
	})
}

// allEnded says that every source that leads to a chain has come to its end.
func allEnded(c *topology.Chain, ended map[string]bool) bool {
	if c.Source != nil {
		return ended[c.Source.Spec.UID]
	}
	return !slices.ContainsFunc(c.Input.Ends, func(e *topology.ExchangeEnd) bool { return !allEnded(e.Chain, ended) })
}

// firstRecord begins with c = 0: the changelog is made, unless there are traces
// of an earlier run.
func (l *life) firstRecord(ctx context.Context) error {
	if !l.first {
		trace, err := l.trace(ctx)
		if err != nil {
			return err
		}
		if trace != "" {
			return stateMissing("the checkpoint topic %s holds no checkpoint, but %s", l.job.checkpointTopic(), trace)
		}
	}
	l.giveStoreIDs()
	return l.createChangelog(ctx, 1)
}

// beginAnew is --from none: a new generation of the changelog with nothing in
// it, and one record that makes it the state.
func (l *life) beginAnew(ctx context.Context, r *checkpoint.Record) (n checkpoint.Epoch, writes int, err error) {
	c, err := l.nextGeneration(ctx, r)
	if err != nil {
		return 0, 0, err
	}
	if err := l.db.Wipe(); err != nil {
		return 0, 0, storeFailure(err)
	}
	l.positions = nil
	if err := l.locateSources(ctx); err != nil {
		return 0, 0, err
	}
	if n, writes, err = l.switchTo(ctx, c+1, ""); err != nil {
		return 0, writes, err
	}
	l.job.log.Info("began anew", "checkpoint", n, "changelog", l.changelog.Topic)
	l.job.fromNone, l.anew = false, true
	return n, writes, nil
}

func (l *life) createChangelog(ctx context.Context, generation int) error {
	j := l.job
	topic := j.changelogTopic(generation)
	config := map[string]string{
		"cleanup.policy": "compact", "retention.ms": "-1", "retention.bytes": "-1",
		"delete.retention.ms": "86400000", "segment.ms": "21600000", "segment.bytes": "134217728",
		"message.timestamp.type": "CreateTime", "unclean.leader.election.enable": "false", "compression.type": "producer",
	}
	infos, err := l.client.Topics.Topics(ctx, []string{topic})
	if err != nil {
		return err
	}
	if len(infos) == 0 { // else it is that of a start that committed nothing
		if err := l.createInternal(ctx, topic, j.plan.MaxParallelism, config); err != nil {
			return err
		}
		if infos, err = l.client.Topics.Topics(ctx, []string{topic}); err != nil {
			return err
		}
	}
	info := infos[topic]
	if int(info.Partitions) != j.plan.MaxParallelism {
		return refuse(6, "delete the topic if nothing needs it", "%s has %d partitions, max_parallelism is %d", topic, info.Partitions, j.plan.MaxParallelism)
	}
	l.changelog = checkpoint.Changelog{Generation: generation, Topic: topic, TopicID: info.ID,
		Ends: make([]record.Offset, j.plan.MaxParallelism)}
	return nil
}

// giveStoreIDs gives every stateful uid that has none the next free number.
// Numbers are never used again within a generation.
func (l *life) giveStoreIDs() {
	var next uint16 = 1
	known := map[string]bool{}
	for _, s := range l.stores {
		next = max(next, s.ID+1)
		if !s.Retired {
			known[s.UID] = true
		}
	}
	for _, n := range l.job.plan.Stateful {
		if !known[n.UID] {
			l.stores = append(l.stores, checkpoint.StoreEntry{UID: n.UID, ID: next})
			next++
		}
	}
}

func (l *life) storeID(uid string) (state.StoreID, bool) {
	for _, s := range l.stores {
		if s.UID == uid && !s.Retired {
			return state.StoreID(s.ID), true
		}
	}
	return 0, false
}

// retire takes a uid's store away; the uid gets a fresh, empty one.
func (l *life) retire(uid string) {
	for i := range l.stores {
		if l.stores[i].UID == uid && !l.stores[i].Retired {
			l.stores[i].Retired = true
			l.job.log.Warn("state given up", "uid", uid)
		}
	}
}

// compareGroups finds group offsets that somebody changed: the record is the
// truth, and a person who reset the group expects otherwise.
func (l *life) compareGroups(ctx context.Context, r *checkpoint.Record) error {
	for group, positions := range l.groupPositions(r.Sources) {
		offsets, err := l.client.Topics.GroupOffsets(ctx, group)
		if err != nil {
			return err
		}
		for _, p := range positions {
			tp := record.TopicPartition{Topic: p.Topic, Partition: p.Partition}
			o, ok := offsets[tp]
			if _, known := l.topics[p.Topic]; !ok || !known || l.job.isReset(p.UID) {
				continue // expired, or of no interest any more
			}
			epoch, ours, _ := checkpoint.ParseMark(o.Metadata)
			if !ours || epoch != r.Epoch || o.Offset != p.Offset {
				return refuse(6, fmt.Sprintf("to start the source anew: --reset %s; to begin anew: --from none", p.UID),
					"the group %s says %s is at offset %d, checkpoint %d says %d: somebody changed the group, the checkpoint counts",
					group, tp, o.Offset, r.Epoch, p.Offset)
			}
		}
	}
	return nil
}

// bound is U5: the end of the changelog under the fence, compared with R.
func (l *life) bound(ctx context.Context) error {
	topic := l.changelog.Topic
	infos, err := l.client.Topics.Topics(ctx, []string{topic})
	if err != nil {
		return err
	}
	info, ok := infos[topic]
	found := changelog.Log{Exists: ok, TopicID: info.ID, Partitions: int(info.Partitions), Config: info.Config}
	if ok {
		if _, err := l.client.Log.WaitStable(ctx, topic, l.stableTimeout()); err != nil {
			return err
		}
		if found.Bounds, err = l.client.Log.Bounds(ctx, topic); err != nil {
			return err
		}
	}
	l.log = found
	return nil
}

// checkStore is U6: which local store may be continued (11.3), and does Kafka
// hold what R says (11.4).
func (l *life) checkStore(context.Context) error {
	j := l.job
	in := changelog.Findings{
		Name: l.changelog.Topic, Log: l.log, AcceptKafkaLoss: j.accepts("kafka-loss"), Now: j.now(),
	}
	if l.restored != nil {
		in.Record = l.restored.Epoch != 0
		in.Epoch, in.Lineage = uint64(l.restored.Epoch), l.inLineage
	}
	in.Changelog = changelog.Expected{Generation: l.changelog.Generation, TopicID: l.changelog.TopicID, Ends: l.changelog.Ends}
	if m, ok := l.db.Meta(); ok {
		in.Store = &m
	}
	decision, err := changelog.Decide(in)
	if err != nil {
		return changelogFailure(err)
	}
	for _, w := range decision.Warnings {
		j.log.Warn(w)
	}
	if decision.Wipe {
		j.log.Info("restoring all state from the changelog", "reason", decision.Reason)
		j.metrics.storeWipe(decision.Metric)
		if err := l.db.Wipe(); err != nil {
			return storeFailure(err)
		}
	}
	l.decision = decision
	// What Kafka lost and a person gave up is not expected again.
	l.changelog.Ends = slices.Clone(l.changelog.Ends)
	for i, b := range l.log.Bounds {
		l.changelog.Ends[i] = min(l.changelog.Ends[i], b.End)
	}
	return nil
}

func (l *life) inLineage(owner string, epoch uint64) bool {
	return checkpoint.InLineage(l.restored.Lineage, owner, checkpoint.Epoch(epoch))
}

func changelogFailure(err error) error {
	var r *changelog.Refusal
	if errors.As(err, &r) {
		return &checkpoint.Failure{Class: checkpoint.ClassRefuse, Exit: r.Exit, Text: r.Error(), Hint: r.Hint}
	}
	return err
}
