package runtime

import (
	"fmt"
	"math/rand/v2"
	"time"

	"kstream/expr"
	"kstream/operator"
	"kstream/record"
	"kstream/sink"
	"kstream/source"
	"kstream/state"
	"kstream/topology"
	"kstream/window"
)

// build is what is known of the tasks before the first of them is made: how many
// each chain has, and their inboxes.
type build struct {
	life      *life
	subtasks  map[*topology.Chain]int
	inboxes   map[*topology.Chain][]*inbox
	inputBase map[*topology.ExchangeEnd]int
	fileSets  map[*topology.Source]*fileSet
}

// run is U10: tables, operators and tasks are made, then all tasks start. The
// first epoch opens after it.
func (l *life) run() error {
	b := &build{life: l, subtasks: map[*topology.Chain]int{}, inboxes: map[*topology.Chain][]*inbox{},
		inputBase: map[*topology.ExchangeEnd]int{}, fileSets: map[*topology.Source]*fileSet{}}
	plan := l.job.plan
	for _, c := range plan.Chains {
		b.subtasks[c] = b.parallelism(c)
	}
	for _, c := range plan.Chains {
		b.makeInboxes(c)
	}
	var tasks []*task
	for _, c := range plan.Chains {
		for i := range b.subtasks[c] {
			if c.Source != nil {
				if err := b.sourceTask(c, i); err != nil {
					return err
				}
				continue
			}
			t, err := b.task(c, i)
			if err != nil {
				return err
			}
			tasks = append(tasks, t)
		}
	}
	if err := l.makeConsumers(); err != nil {
		return err
	}
	l.endedLeft.Store(int32(len(l.sources)))
	l.job.lifeMu.Lock()
	l.ready = true
	l.job.lifeMu.Unlock()
	for _, t := range tasks {
		l.start(t.name, t.run)
	}
	for _, s := range l.sources {
		l.start(s.name, s.run)
	}
	return nil
}

// parallelism of a chain: what the file says, else the job's; readers are
// limited to the partitions there are.
func (b *build) parallelism(c *topology.Chain) int {
	p := c.Parallelism
	if p <= 0 || b.life.job.rescaled.Load() > 0 && p == b.life.job.plan.Spec.Parallelism {
		p = b.life.job.parallelism()
	}
	if c.Source != nil {
		n := 0
		for _, s := range b.life.starts {
			if s.source == c.Source {
				n++
			}
		}
		return max(1, min(p, n))
	}
	return max(1, min(p, b.life.job.plan.MaxParallelism))
}

// makeInboxes gives every subtask one channel for each subtask that sends to it;
// a source task has one for each partition, and one for control.
func (b *build) makeInboxes(c *topology.Chain) {
	inputs := 0
	if c.Input != nil {
		for _, end := range c.Input.Ends {
			b.inputBase[end] = inputs
			inputs += b.subtasks[end.Chain]
		}
	}
	for i := range b.subtasks[c] {
		n := inputs
		if c.Source != nil {
			n = len(b.partitionsOf(c, i)) + 1
		}
		b.inboxes[c] = append(b.inboxes[c], newInbox(n))
	}
}

// partitionsOf are the partitions of a source that a subtask reads.
func (b *build) partitionsOf(c *topology.Chain, subtask int) []*partition {
	var parts []*partition
	n := 0
	for _, s := range b.life.starts {
		if s.source != c.Source {
			continue
		}
		if n%b.subtasks[c] == subtask {
			parts = append(parts, &partition{SourcePosition: s.pos})
		}
		n++
	}
	return parts
}

// core makes what every task has, with its operators.
func (b *build) core(t *taskCore, c *topology.Chain, subtask int) error {
	l := b.life
	t.life, t.chain, t.subtask = l, c, subtask
	t.name = fmt.Sprintf("%s[%d]", c.Name, subtask)
	t.inbox = b.inboxes[c][subtask]
	t.applied = l.job.machine.Committed()
	t.out = output{ctx: l.ctx, producer: l.producer, gate: l.gate, held: &l.held, stall: &l.stall,
		epoch: l.job.machine.Committed() + 1, fail: l.fail}
	t.env = expr.Env{Arena: &t.arena, Now: l.job.nowNanos(), Pipeline: l.job.plan.Name,
		Rand: rand.New(rand.NewPCG(l.job.opts.Random(), l.job.opts.Random()))}
	t.wm.Store(int64(record.MinTimestamp))
	m := l.job.metrics
	op, err := operator.Build(c, operator.Env{
		Expr: &t.env, MaxParallelism: l.job.plan.MaxParallelism,
		Table:      func(uid string) (*state.Table, error) { return b.table(t, uid, c, subtask) },
		Exchange:   func(end *topology.ExchangeEnd) (func(*record.Row) error, error) { return b.sender(t, end) },
		Sink:       func(n *topology.Node) (func(*record.Row) error, error) { return b.writer(t, n) },
		DeadLetter: b.deadLetters(t),
		Log: func(level, uid, text string) {
			l.job.logStep(level, uid, text)
		},
		Count: operator.Counters{
			Skipped:     func(uid, code string) { m.skipped.WithLabelValues(uid, code).Inc() },
			Diverted:    func(uid, code string) { m.diverted.WithLabelValues(uid, code).Inc() },
			LateDropped: func(uid string) { m.late.WithLabelValues(uid).Inc() },
		},
	})
	if err != nil {
		return fmt.Errorf("build %s: %w", t.name, err)
	}
	t.op = op
	t.row.Slots = op.Slots
	l.tasks = append(l.tasks, t)
	return nil
}

// table opens the state of a node for the key groups of a subtask. The memory
// for hot tables, half of state.memory, is shared by all of them.
func (b *build) table(t *taskCore, uid string, c *topology.Chain, subtask int) (*state.Table, error) {
	id, ok := b.life.storeID(uid)
	if !ok {
		return nil, fmt.Errorf("bug: %s has no store id", uid)
	}
	first, last, ok := groupRanges{groups: b.life.job.plan.MaxParallelism, subtasks: b.subtasks[c]}.of(subtask)
	if !ok {
		return nil, fmt.Errorf("bug: subtask %d of %s owns no key group", subtask, c.Name)
	}
	share := b.life.job.plan.Spec.State.Memory / 2 / int64(len(b.life.job.plan.Stateful)*b.subtasks[c])
	table, err := b.life.db.Table(state.TableOptions{Store: id, First: first, Last: last, Memory: share})
	if t.tables == nil {
		t.tables = map[string]*state.Table{}
	}
	t.tables[uid] = table
	return table, err
}

func (b *build) sender(t *taskCore, end *topology.ExchangeEnd) (func(*record.Row) error, error) {
	to := b.inboxes[end.Exchange.To]
	s := &sender{
		ctx: b.life.ctx, end: end, columns: end.Columns, to: to, input: b.inputBase[end] + t.subtask,
		ranges:  groupRanges{groups: b.life.job.plan.MaxParallelism, subtasks: len(to)},
		subtask: t.subtask, by: end.By, env: &t.env, sendKey: end.Exchange.To.NeedsKey,
		original: end.Exchange.Original,
		pending:  make([]*rows, len(to)), pool: newRowsPool((inputCapacity + 2) * len(to)), blocked: &t.busy,
	}
	if end.Times != nil {
		n := b.subtasks[end.Chain]
		s.times = newRetimed(end.Times, t.subtask, b.life.job.now(), b.life.restoredTimes(end, t.subtask, n))
		t.retimes = true
	}
	t.senders = append(t.senders, s)
	return s.send, nil
}

// writer is where a chain's rows leave for a sink.
func (b *build) writer(t *taskCore, n *topology.Node) (func(*record.Row) error, error) {
	spec := n.Sink.Spec
	if spec.Blackhole {
		return func(*record.Row) error { return nil }, nil
	}
	enc, err := sink.NewEncoder(n, &t.env)
	if err != nil {
		return nil, err
	}
	if spec.Stdout != nil {
		return b.stdout(enc, spec.Stdout), nil
	}
	if spec.File != nil {
		return b.fileWriter(t, enc, spec)
	}
	return b.topicWriter(t, enc, spec), nil
}

// topicWriter writes the records of a topic sink.
func (b *build) topicWriter(t *taskCore, enc *sink.Encoder, spec *topology.SinkSpec) func(*record.Row) error {
	fixed := b.life.topics[spec.Topic].Partitions
	named := map[string]int32{}
	partitions := func(topic string) (int32, error) {
		if spec.Holes == nil {
			return fixed, nil
		}
		return b.life.partitionsOf(spec, named, topic)
	}
	return func(row *record.Row) error {
		if row.Before != nil {
			old, err := enc.Replaced(row, partitions)
			if err == nil && old != nil {
				err = t.out.write(old)
			}
			if err != nil {
				return err
			}
		}
		m, err := enc.Encode(row)
		if err != nil {
			return err
		}
		n, err := partitions(m.Topic)
		if err != nil {
			return err
		}
		if o := row.Origin; o != nil && o.Partition >= n && spec.Partition.Kind == "source_partition" && spec.Holes == nil {
			if n, err = b.life.grown(spec.Topic, n); err != nil {
				return err
			}
			fixed = n
		}
		if err := enc.Partition(row, n); err != nil {
			return err
		}
		return t.out.write(m)
	}
}

func (b *build) stdout(enc *sink.Encoder, spec *topology.StdoutSpec) func(*record.Row) error {
	line := sink.NewLine(sink.LineOptions{Prefix: spec.Prefix, Pretty: spec.Pretty})
	var buf []byte
	l := b.life
	return func(row *record.Row) error {
		m, err := enc.Encode(row)
		if err != nil {
			return err
		}
		buf = line.Append(buf[:0], m)
		l.stdoutMu.Lock()
		defer l.stdoutMu.Unlock()
		_, err = l.job.opts.Stdout.Write(buf)
		return err
	}
}

// flusher is a buffered standard output.
type flusher interface{ Flush() error }

// flushStdout shows what stdout sinks wrote, when a task has nothing to do.
func (l *life) flushStdout() {
	if f, ok := l.job.opts.Stdout.(flusher); ok {
		l.stdoutMu.Lock()
		defer l.stdoutMu.Unlock()
		f.Flush()
	}
}

func (b *build) task(c *topology.Chain, subtask int) (*task, error) {
	t := &task{}
	if err := b.core(&t.taskCore, c, subtask); err != nil {
		return nil, err
	}
	t.before.Slots = t.op.Before
	t.marks = window.NewPartitions(len(t.inbox.inputs))
	w := b.life.restoredWatermark(c)
	t.op.RestoreWatermark(w)
	t.wm.Store(int64(w))
	return t, nil
}

// restoredWatermark is where a chain stood at the barrier of R(c): after a
// restart late records are judged as before (A9).
func (l *life) restoredWatermark(c *topology.Chain) record.Timestamp {
	if l.restored != nil {
		for _, w := range l.restored.Chains {
			if w.Chain == c.Name && !l.job.startsEmpty(c) {
				return w.Watermark
			}
		}
	}
	return record.MinTimestamp
}

// startsEmpty says that --reset takes all state of a chain away. Its event time
// begins anew with it: no window was ever closed, so nothing is late.
func (j *Job) startsEmpty(c *topology.Chain) bool {
	stateful, kept := 0, 0
	var walk func([]*topology.Node)
	walk = func(nodes []*topology.Node) {
		for _, n := range nodes {
			if n.State != nil {
				stateful++
				if !j.isReset(n.UID) {
					kept++
				}
			}
			for _, below := range n.Below() {
				walk(below)
			}
		}
	}
	walk(c.Roots)
	return stateful > 0 && kept == 0
}

func (b *build) sourceTask(c *topology.Chain, subtask int) error {
	t := &sourceTask{source: c.Source, parts: b.partitionsOf(c, subtask)}
	if err := b.core(&t.taskCore, c, subtask); err != nil {
		return err
	}
	t.control = len(t.parts)
	job := b.life.job
	spec := c.Source.Spec
	o := source.Options{Time: job.plan.Spec.Time, Expr: &t.env,
		Skipped: func(uid, code string) { job.metrics.skipped.WithLabelValues(uid, code).Inc() },
		Failed:  t.unreadable(b.deadLetters(&t.taskCore))}
	t.marks = source.NewWatermarks(spec.Watermark, job.plan.Spec.Time)
	t.wmEvery = spec.Watermark.Every
	t.limit = newRateLimit(spec.RateLimit/float64(b.subtasks[c]), job.clock())
	for i, p := range t.parts {
		t.marks.Add(job.now(), p.Watermark, p.Idle)
		if p.Ended {
			t.marks.End(i)
		}
	}
	switch {
	case spec.Generate != nil || spec.Nexmark != nil:
		f, err := b.makeFeed(t, o)
		if err != nil {
			return err
		}
		t.feed = f
	case spec.File != nil:
		t.decoder = source.NewDecoder(c.Source, o)
		f, err := b.fileFeed(t)
		if err != nil {
			return err
		}
		t.feed = f
	case spec.Stdin:
		t.decoder = source.NewDecoder(c.Source, o)
		job.stdin.start()
		t.feed = &stdinFeed{t: t, lines: job.stdin.splitter(t.parts[0].Offset), in: job.stdin}
	default:
		t.decoder = source.NewDecoder(c.Source, o)
	}
	b.life.sources = append(b.life.sources, t)
	return nil
}

// makeConsumers makes one consumer for each source: two sources may read the
// same topic at different positions.
func (l *life) makeConsumers() error {
	for _, s := range l.job.plan.Sources {
		if len(s.Spec.Topics) == 0 {
			continue
		}
		routes := map[record.TopicPartition]route{}
		var positions []record.Position
		for _, t := range l.sources {
			if t.source != s {
				continue
			}
			for i, p := range t.parts {
				if p.Ended {
					continue
				}
				tp := record.TopicPartition{Topic: p.Topic, Partition: p.Partition}
				routes[tp] = route{task: t, input: i, part: p}
				positions = append(positions, record.Position{TopicPartition: tp, TopicID: p.TopicID,
					Offset: p.Offset, LeaderEpoch: p.LeaderEpoch})
			}
		}
		if len(positions) == 0 {
			continue
		}
		c, err := l.client.Consumer(ConsumerOptions{Positions: positions, Isolation: s.Spec.Isolation})
		if err != nil {
			return err
		}
		l.consumers = append(l.consumers, c)
		f := &fetcher{life: l, consumer: c, routes: routes}
		l.start("source:"+s.Spec.Name, f.run)
		if s.Spec.PartitionDiscovery > 0 {
			d := newDiscovery(l, s, f)
			l.start("partitions of source:"+s.Spec.Name, d.run)
		}
	}
	return nil
}

// logStep writes the line of a log step.
func (j *Job) logStep(level, uid, text string) {
	levels := map[string]func(string, ...any){
		"debug": j.log.Debug, "info": j.log.Info, "warn": j.log.Warn, "error": j.log.Error,
	}
	levels[level](text, "step", uid)
}

// Status is a job as it is seen from outside.
type Status struct {
	Name         string
	State        string
	Uptime       time.Duration
	Restarts     int64
	Records      int64
	Lag          int64
	Watermark    record.Timestamp // MinTimestamp: none yet
	Epoch        uint64
	CommittedAt  record.Timestamp
	CommitTook   time.Duration
	Parallelism  int
	SourceStates []string
}

// Status reads the job's figures; it may be called from any goroutine.
func (j *Job) Status() Status {
	s := Status{
		Name: j.plan.Name, State: *j.status.state.Load(), Uptime: time.Since(j.began), Restarts: max(0, j.status.starts.Load()-1),
		Records: j.status.records.Load(), Epoch: j.status.epoch.Load(), CommittedAt: record.Timestamp(j.status.at.Load()),
		CommitTook: time.Duration(j.status.took.Load()), Parallelism: j.parallelism(), Watermark: record.MinTimestamp,
	}
	j.lifeMu.Lock()
	defer j.lifeMu.Unlock()
	if j.life == nil {
		return s
	}
	tasks := j.life.made()
	w := record.MaxTimestamp
	for _, t := range tasks {
		w = min(w, record.Timestamp(t.wm.Load()))
	}
	if len(tasks) > 0 {
		s.Watermark = w
	}
	s.Lag = int64(j.life.lag())
	return s
}
