package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/state"
)

// prepare does one effect of start-up: section 10 of the protocol. There is no
// other way to begin, to restart or to recover.
func (l *life) prepare(ctx context.Context, k checkpoint.EffectKind) (done checkpoint.Event, err error) {
	l.fail.before(stepNames[k])
	began := l.job.clock()
	switch k {
	case checkpoint.EffectLock:
		err = l.lock()
	case checkpoint.EffectInspect:
		err = l.inspect(ctx)
		done.V2 = l.broker.TransactionV2
	case checkpoint.EffectReadClaim:
		done.Owner, done.Text, err = l.readClaim(ctx)
	case checkpoint.EffectWatchOwner:
		done.Text = ownerText(l.seen)
		done.Alive, err = l.watchOwner(ctx)
	case checkpoint.EffectFence:
		err = l.fence(ctx)
	case checkpoint.EffectWriteClaim:
		done.Writes, err = l.writeClaim(ctx, false)
	case checkpoint.EffectReadRecord:
		done.Epoch, done.Writes, err = l.readRecord(ctx)
		l.resumeCount()
	case checkpoint.EffectBound:
		err = l.bound(ctx)
	case checkpoint.EffectCheckStore:
		err = l.checkStore(ctx)
	case checkpoint.EffectReplay:
		if err = l.replay(ctx); err == nil && l.converts {
			err = l.convertState(ctx)
		}
	case checkpoint.EffectRecover: // U8: participants
		err = l.recoverSinks(ctx)
	case checkpoint.EffectSeek:
		err = l.seek(ctx)
	case checkpoint.EffectRun:
		err = l.run()
	}
	if err == nil {
		l.fail.after(stepNames[k])
		l.job.log.Debug("start-up", "step", k.String(), "took", l.job.clock().Sub(began).Round(time.Millisecond))
	}
	return done, err
}

// lock is U0: one process at a time uses a state directory.
func (l *life) lock() error {
	j := l.job
	o := j.storeOptions()
	if j.dirLock == nil && o.Backend == state.BackendDisk {
		lock, err := state.LockDir(j.fs, o.Dir, j.opts.PID)
		if err != nil {
			return storeFailure(err)
		}
		j.dirLock, j.directory = lock, lock.ID
	}
	o.OnFailure = func(err error) { l.failed(storeFailure(err)) }
	db, err := state.Open(o)
	if errors.Is(err, state.ErrCorrupt) {
		j.log.Warn("the local store is damaged; it is moved aside and restored from the changelog", "error", err)
		j.metrics.storeWipe("corrupt")
		if err = state.MoveAside(j.fs, o.Dir, j.now()); err == nil {
			db, err = state.Open(o)
		}
	}
	if err != nil {
		return storeFailure(err)
	}
	l.db = db
	return nil
}

// storeFailure says what an error of the local store means (7.4).
func storeFailure(err error) error {
	f := &checkpoint.Failure{Text: err.Error()}
	var locked *state.LockedError
	var unsafeDir *state.UnsafeDirError
	switch {
	case errors.As(err, &locked):
		f.Class, f.Exit = checkpoint.ClassRefuse, 6
		f.Hint = "stop the other process, or give this one its own state.dir"
	case errors.As(err, &unsafeDir):
		f.Class, f.Exit = checkpoint.ClassRefuse, 5
		f.Hint = "chmod 700 the directory"
	case errors.Is(err, state.ErrNewerFormat):
		f.Class, f.Exit = checkpoint.ClassRefuse, 6
		f.Hint = "upgrade kstream, or remove the directory: it is restored from the changelog"
	case errors.Is(err, state.ErrNoSpace), errors.Is(err, fs.ErrPermission):
		f.Class, f.Exit = checkpoint.ClassRefuse, 5
	}
	return f
}

func refuse(exit int, hint, format string, args ...any) error {
	return &checkpoint.Failure{Class: checkpoint.ClassRefuse, Exit: exit, Text: fmt.Sprintf(format, args...), Hint: hint}
}

// inspect is U1: what the broker can do, and whether the pipeline ever ran.
func (l *life) inspect(ctx context.Context) error {
	j := l.job
	if j.from != nil {
		if err := l.fits(j.from.Savepoint.Checkpoint.Record()); err != nil {
			return err
		}
	}
	client, err := j.opts.Connect(ctx)
	if err != nil {
		return err
	}
	l.client = client
	if l.broker, err = client.Topics.Inspect(ctx); err != nil {
		return err
	}
	limit, txn := l.broker.MaxTransactionTimeout, j.plan.Spec.Checkpoint.TransactionTimeout
	if limit > 0 && txn > limit {
		return refuse(5, "lower checkpoint.transaction_timeout, or raise transaction.max.timeout.ms",
			"checkpoint.transaction_timeout is %s, the broker allows %s", txn, limit)
	}
	if err := l.inspectTopics(ctx); err != nil {
		return err
	}
	j.log.Debug("connected", "cluster", l.broker.ClusterID, "version", l.broker.Version, "transaction.version.2", l.broker.TransactionV2)
	if _, ok := l.topics[j.checkpointTopic()]; ok {
		return nil
	}
	return l.firstStart(ctx)
}

// inspectTopics looks at every topic the pipeline names; missing outputs are
// made where the file says so.
func (l *life) inspectTopics(ctx context.Context) error {
	j := l.job
	names := []string{j.checkpointTopic()}
	for _, s := range j.plan.Sources {
		names = append(names, s.Spec.Topics...)
	}
	outputs := j.plan.Outputs()
	for _, o := range outputs {
		names = append(names, o.Topic)
	}
	var err error
	if l.topics, err = l.client.Topics.Topics(ctx, names); err != nil {
		return err
	}
	_, ran := l.topics[j.checkpointTopic()]
	for _, s := range j.plan.Sources {
		for _, t := range s.Spec.Topics {
			// If the pipeline ran before, its record says what a missing topic means.
			if _, ok := l.topics[t]; !ok && !ran {
				return missingInput(s, t)
			}
		}
	}
	for _, o := range outputs {
		if _, ok := l.topics[o.Topic]; ok {
			continue
		}
		if o.Create == nil {
			return refuse(5, "create it, or let the job do it: create: {partitions: 4} at "+o.Owner,
				"the topic %s of %s does not exist", o.Topic, o.Owner)
		}
		if l.topics[o.Topic], err = l.createTopic(ctx, o.Topic, o.Create); err != nil {
			return err
		}
	}
	l.warn()
	return l.checkPartitions()
}

// warn says at the first start of the process what the guarantee rests on and
// does not find here (P1, P2, P4).
func (l *life) warn() {
	j := l.job
	if j.warned {
		return
	}
	j.warned = true
	for _, s := range j.plan.Sources {
		if s.Spec.Stdin {
			j.log.Warn("standard input cannot be read again: lines taken in and not committed are lost in a crash", "source", s.Spec.UID)
		}
	}
	outputs := false
	for name, t := range l.topics {
		if j.opts.Development {
			break // one broker in memory: everybody knows
		}
		if v := t.Config["min.insync.replicas"]; v == "1" {
			j.log.Warn("min.insync.replicas is 1: Kafka may lose what it has acknowledged", "topic", name)
		}
		if t.Config["unclean.leader.election.enable"] == "true" {
			j.log.Warn("unclean.leader.election.enable is true: Kafka may lose what it has acknowledged", "topic", name)
		}
	}
	for _, s := range j.plan.Sinks {
		outputs = outputs || s.Spec.TopicText != ""
	}
	if outputs {
		j.log.Info("results are exactly once for readers with isolation.level=read_committed")
	}
}

// checkPartitions refuses source_partition where a record would have no
// partition to go to.
func (l *life) checkPartitions() error {
	for _, s := range l.job.plan.Sinks {
		if s.Spec.Partition.Kind != "source_partition" || s.Spec.Topic == "" {
			continue
		}
		out := l.topics[s.Spec.Topic].Partitions
		for _, src := range l.job.plan.Sources {
			for _, t := range src.Spec.Topics {
				if in := l.topics[t].Partitions; in > out {
					return refuse(5, "give the output as many partitions as the input",
						"%s has %d partitions, %s has %d: `partition: source_partition` needs at least as many", t, in, s.Spec.Topic, out)
				}
			}
		}
	}
	return nil
}

// firstStart is the only place that makes the checkpoint topic: there must be no
// other trace of an earlier run (I17).
func (l *life) firstStart(ctx context.Context) error {
	j := l.job
	trace := ""
	if !j.anew() {
		var err error
		if trace, err = l.trace(ctx); err != nil {
			return err
		}
	}
	if trace != "" {
		return stateMissing("the checkpoint topic %s does not exist, but %s", j.checkpointTopic(), trace)
	}
	l.first = true
	config := map[string]string{
		"cleanup.policy": "compact", "retention.ms": "-1", "retention.bytes": "-1",
		"delete.retention.ms": "86400000", "segment.ms": "3600000", "segment.bytes": "16777216",
		"message.timestamp.type": "CreateTime", "unclean.leader.election.enable": "false", "compression.type": "producer",
	}
	return l.createInternal(ctx, j.checkpointTopic(), 1, config)
}

func stateMissing(format string, args ...any) error {
	return refuse(6, "restore what was lost, or begin anew with `kstream run FILE --from none`",
		"[state-missing] "+format, args...)
}

// trace names what an earlier run left behind, "" if there is nothing.
func (l *life) trace(ctx context.Context) (string, error) {
	j := l.job
	if m, ok := l.db.Meta(); ok && m.Epoch > 0 {
		return fmt.Sprintf("the local store holds epoch %d", m.Epoch), nil
	}
	for _, s := range j.plan.Sources {
		if len(s.Spec.Topics) == 0 {
			continue
		}
		offsets, err := l.client.Topics.GroupOffsets(ctx, s.Spec.Group)
		if err != nil {
			return "", err
		}
		for tp, o := range offsets {
			if _, ours, _ := checkpoint.ParseMark(o.Metadata); ours && slices.Contains(s.Spec.Topics, tp.Topic) {
				return fmt.Sprintf("the group %s has offsets of this pipeline", s.Spec.Group), nil
			}
		}
	}
	topic := j.changelogTopic(1)
	infos, err := l.client.Topics.Topics(ctx, []string{topic})
	if err != nil || len(infos) == 0 {
		return "", err
	}
	// What an attempt left that never committed is no trace: only records that
	// a read_committed reader sees are.
	visible, err := l.countVisible(ctx, topic)
	if err != nil || visible == 0 {
		return "", err
	}
	return fmt.Sprintf("%s holds %d records", topic, visible), nil
}

func (l *life) countVisible(ctx context.Context, topic string) (int, error) {
	ends, err := l.client.Log.WaitStable(ctx, topic, l.stableTimeout())
	if err != nil {
		return 0, err
	}
	n := 0
	err = l.client.Log.ReadAll(ctx, rangesOf(topic, nil, ends), func(record.Message) error { n++; return nil }, nil)
	return n, err
}

// rangesOf are the ranges from some positions, or the log's beginning, to ends.
func rangesOf(topic string, from, ends []record.Offset) []record.ReadRange {
	var ranges []record.ReadRange
	for p, end := range ends {
		r := record.ReadRange{To: end}
		r.Topic, r.Partition, r.LeaderEpoch = topic, int32(p), -1
		if from != nil {
			r.Offset = from[p]
		}
		if r.Offset < end {
			ranges = append(ranges, r)
		}
	}
	return ranges
}

// stableTimeout is how long an open transaction of ours may hold a start up.
func (l *life) stableTimeout() time.Duration {
	return max(time.Minute, l.job.plan.Spec.Checkpoint.TransactionTimeout+15*time.Second)
}

func (l *life) createInternal(ctx context.Context, name string, partitions int, config map[string]string) error {
	t := l.job.plan.Spec.InternalTopics
	for k, v := range t.Config {
		config[k] = v
	}
	l.job.log.Info("creating internal topic", "topic", name, "partitions", partitions)
	return l.client.Topics.CreateTopic(ctx, record.NewTopic{
		Name: name, Partitions: int32(partitions), Replication: t.Replication, Config: config, Existing: true,
	})
}

// newest is the newest claim and the parts of the newest record.
type newest struct {
	claim   *checkpoint.Claim
	changes int // how often another process has claimed within handsSpan
	parts   map[string][]byte
}

// readCheckpoints reads the checkpoint topic up to the given end.
func (l *life) readCheckpoints(ctx context.Context, ends []record.Offset) (newest, error) {
	return readCheckpoints(ctx, l.client.Log, l.job.checkpointTopic(), ends, l.job.now())
}

func readCheckpoints(ctx context.Context, log Log, topic string, ends []record.Offset, now record.Timestamp) (newest, error) {
	n := newest{parts: map[string][]byte{}}
	err := log.ReadAll(ctx, rangesOf(topic, nil, ends), func(m record.Message) error {
		key := string(m.Key)
		switch {
		case key == checkpoint.ClaimKey(0):
			c, err := checkpoint.DecodeClaim(m.Value)
			if err != nil {
				return refuse(6, "", "the claim at offset %d of %s cannot be read: %v", m.Offset, topic, err)
			}
			if n.claim != nil && n.claim.Directory != c.Directory && now-c.Start < handsSpan {
				n.changes++
			}
			n.claim = &c
		case strings.HasPrefix(key, "r/0/"):
			if m.Value == nil {
				delete(n.parts, key)
			} else {
				n.parts[key] = slices.Clone(m.Value)
			}
		}
		return nil
	}, nil)
	return n, err
}
