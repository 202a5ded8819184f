package runtime

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// Options are what a job needs from its process.
type Options struct {
	Plan *topology.Plan
	// Connect makes the clients of one life.
	Connect func(ctx context.Context) (*Client, error)

	FS       state.FS
	Files    Files  // of file sources and sinks
	StateDir string // the directory of this pipeline and slot
	Log      *slog.Logger
	Stdin    io.Reader
	Stdout   io.Writer

	Host    string
	PID     int
	Version string
	Random  func() uint64
	Jitter  func() float64

	Accept      []string // what a person has agreed to: kafka-loss, new-state, dropped-state, rekeyed, renamed-job
	From        *From    // the savepoint to begin with
	FromNone    bool
	Reset       []string // uids that start anew
	Until       time.Duration
	MaxRecords  int64
	Drain       bool // with Until and MaxRecords: the final watermark first
	Parallelism int  // of chains that do not say; at least 1

	// Development says that the broker is in this process: nothing is said of how
	// it could lose data.
	Development bool
	// Events is told of everything worth a line; nil is allowed. It must not block.
	Events func(Event)
	// Failpoint is called at every step; tests only.
	Failpoint func(step string)
}

// Event is something worth telling: a start, a checkpoint, a stall, a restart.
type Event struct {
	Kind string // restored, running, checkpoint, restart, stopping, progress
	Text string
	Took time.Duration
}

// Result is how a job ended.
type Result struct {
	Exit int
	Text string
	Hint string
}

// Job runs a plan until it ends, is stopped, or fails for good.
type Job struct {
	// configuration
	opts Options
	plan *topology.Plan
	log  *slog.Logger
	fs   state.FS
	fail *failpoints

	// of the process
	ctx         context.Context
	began       time.Time
	machine     *checkpoint.Machine
	events      chan lifeEvent
	woken       chan struct{}
	dirLock     *state.DirLock
	directory   string
	mine        *checkpoint.Claim // the newest claim we committed
	restarting  bool              // start-up after the failure path proved that the claim is ours
	broker      record.Broker
	storedParts int
	fromNone    bool
	from        *From  // until its state is this job's
	switching   string // the owner of the last record that was to make it so
	reset       map[string]bool
	resetFrom   *checkpoint.Epoch          // c when --reset was first applied
	latest      map[string][]record.Offset // what "latest" was when this process looked first
	stdin       *stdinReader
	result      *Result
	asks        chan func() // done by the coordinator
	waiters     []*waiter
	// lastSavepoint is done after the last checkpoint of a stop.
	lastSavepoint func(l *life)
	rescaled      atomic.Int64 // 0: as the file and the options say
	status        status
	metrics       *metrics
	unconfirmed   unconfirmed
	finger        checkpoint.Fingerprint
	warned        bool

	waiting atomic.Pointer[waitingFor]

	// admitted is how much input may have been taken in under --max-records; a
	// source takes in no more than it was admitted to.
	admitted atomic.Int64
	limited  limited
	asked    atomic.Uint32   // the checkpoint.StopMode that was asked for
	stopping context.Context // ends when a stop is asked for
	askStop  context.CancelFunc
	over     chan struct{}  // closed when Run ends
	timers   [2]*time.Timer // by checkpoint.Timer: an epoch has one of each

	graceMu sync.Mutex
	grace   map[string]time.Time // errors that may pass, since when

	operatorsMu sync.Mutex
	operators   []OperatorStatus // as of the last barrier
	operatorsAt time.Time

	historyMu sync.Mutex
	history   []Committed
	failures  []Failed

	lifeMu sync.Mutex
	life   *life
}

// waitingFor is the step of start-up or of a commit that is under way.
type waitingFor struct {
	what, step string
	since      time.Time
}

// lifeEvent is an event and the life it belongs to; nil is any.
type lifeEvent struct {
	checkpoint.Event
	life *life
}

// status is what others read while the job runs.
type status struct {
	records atomic.Int64
	epoch   atomic.Uint64
	at      atomic.Int64 // wall time of the last commit, ms
	took    atomic.Int64 // duration of the last checkpoint, ns
	starts  atomic.Int64
	state   atomic.Pointer[string]
}

// New makes a job.
func New(o Options) *Job {
	j := &Job{
		opts: o, plan: o.Plan, log: o.Log, fs: o.FS, fail: newFailpoints(o.Failpoint),
		began: time.Now(), events: make(chan lifeEvent, 256), woken: make(chan struct{}, 1),
		fromNone: o.FromNone, from: o.From, reset: map[string]bool{}, latest: map[string][]record.Offset{}, stdin: newStdinReader(o.Stdin), grace: map[string]time.Time{},
	}
	j.stopping, j.askStop = context.WithCancel(context.Background())
	for _, uid := range o.Reset {
		j.reset[uid] = true
	}
	j.over = make(chan struct{})
	j.asks = make(chan func())
	j.setState("starting")
	j.finger = Fingerprint(o.Plan)
	j.unconfirmed = newUnconfirmed(o.Plan)
	j.metrics = newMetrics(j)
	c := o.Plan.Spec.Checkpoint
	j.machine = checkpoint.New(checkpoint.Config{
		Interval: c.Interval, MinPause: c.MinPause, Timeout: c.Timeout,
		Heartbeat: time.Hour, FenceRetry: time.Second,
	}, checkpoint.NewRestarts(restartStrategy(o.Plan.Spec.Restart), o.Jitter))
	return j
}

func restartStrategy(r topology.RestartSpec) checkpoint.RestartStrategy {
	return checkpoint.RestartStrategy{
		Kind: r.Kind, Initial: r.Initial, Max: r.Max, Multiplier: r.Multiplier, Jitter: r.Jitter,
		ResetAfter: r.ResetAfter, Attempts: r.Attempts, Delay: r.Delay, MaxFailures: r.MaxFailures, Per: r.Per,
	}
}

// Run runs the job to its end. Cancelling ctx ends it at once, as a kill would:
// Stop is the orderly way.
func (j *Job) Run(ctx context.Context) Result {
	j.ctx = ctx
	j.renew()
	defer func() {
		close(j.over)
		for _, w := range j.waiters {
			w.lost(ErrEnded)
		}
		j.stopTimers()
		j.life.close()
		if j.dirLock != nil {
			j.dirLock.Close()
		}
	}()
	var watching sync.WaitGroup
	stopWatch := make(chan struct{})
	watching.Add(1)
	go func() {
		defer watching.Done()
		j.watch(stopWatch)
	}()
	defer watching.Wait()
	defer close(stopWatch)
	j.step(checkpoint.Event{Kind: checkpoint.EventStart})
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for j.result == nil {
		select {
		case e := <-j.events:
			if e.life == nil || e.life == j.life {
				j.step(e.Event)
			}
		case a := <-j.life.acks:
			j.acknowledged(a)
		case <-j.woken:
		case fn := <-j.asks:
			fn()
		case <-tick.C:
			j.tick()
		case <-ctx.Done():
			return Result{Exit: 1, Text: context.Cause(ctx).Error()}
		}
	}
	return *j.result
}

// tickEvery is how often the coordinator looks at sizes and ages.
const tickEvery = 20 * time.Millisecond

// Stop asks for an orderly end; it returns at once.
func (j *Job) Stop(mode checkpoint.StopMode) {
	j.event(checkpoint.Event{Kind: checkpoint.EventStop, Stop: mode}, nil)
	j.asked.CompareAndSwap(uint32(checkpoint.StopNone), uint32(mode))
	j.askStop()
}

// event hands an event to the coordinator. It does not wait: who tells of a
// failure may be what the coordinator waits for.
func (j *Job) event(e checkpoint.Event, l *life) {
	select {
	case j.events <- lifeEvent{e, l}:
		return
	default:
	}
	go func() {
		select {
		case j.events <- lifeEvent{e, l}:
		case <-j.over:
		}
	}()
}

func (j *Job) wake() {
	select {
	case j.woken <- struct{}{}:
	default:
	}
}

// renew begins a life.
func (j *Job) renew() {
	l := newLife(j)
	l.broker = j.broker
	j.lifeMu.Lock()
	j.life = l
	j.lifeMu.Unlock()
}

// admit says how many of n records a source may take in: under --max-records
// the job takes in so many and no more.
func (j *Job) admit(n int) int {
	limit := j.opts.MaxRecords
	if limit == 0 {
		return n
	}
	for {
		before := j.admitted.Load()
		most := max(0, min(int64(n), limit-before))
		if j.admitted.CompareAndSwap(before, before+most) {
			return int(most)
		}
	}
}

// taken counts records for --max-records.
func (j *Job) taken(n int64) {
	j.status.records.Add(n)
	now := j.limited.taken.Add(n)
	if limit := j.opts.MaxRecords; limit > 0 && now >= limit && now-n < limit {
		go j.Stop(j.stopMode())
	}
}

func (j *Job) stopMode() checkpoint.StopMode {
	if j.opts.Drain {
		return checkpoint.StopDrain
	}
	return checkpoint.StopFinish
}

func (j *Job) setState(s string) { j.status.state.Store(&s) }

func (j *Job) clock() time.Time { return time.Now() }

func (j *Job) nowNanos() int64 { return time.Now().UnixNano() }

func (j *Job) now() record.Timestamp { return record.Timestamp(time.Now().UnixMilli()) }

func (j *Job) sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (j *Job) tell(kind, text string, took time.Duration) {
	if j.opts.Events != nil {
		j.opts.Events(Event{Kind: kind, Text: text, Took: took})
	}
}

// progress tells how far a long step of start-up is.
func (j *Job) progress(what string, read, left int64) {
	j.setState(what)
	if left > 0 {
		j.tell("progress", fmt.Sprintf("%s: %d of %d records", what, read, read+left), 0)
	}
}

func (j *Job) checkpointTopic() string {
	return checkpoint.CheckpointTopic(j.plan.Spec.InternalTopics.Prefix, j.plan.Name)
}

func (j *Job) changelogTopic(generation int) string {
	return checkpoint.ChangelogTopic(j.plan.Spec.InternalTopics.Prefix, j.plan.Name, generation)
}

// group is the consumer group a source's positions are shown in.
func (j *Job) group(uid string) string {
	for _, s := range j.plan.Sources {
		if s.Spec.UID == uid && s.Spec.Group != "" {
			return s.Spec.Group
		}
	}
	return checkpoint.GroupID(j.plan.Name)
}

func (j *Job) isReset(uid string) bool { return j.reset[uid] }

// anew says that the history the job may have is not continued.
func (j *Job) anew() bool { return j.fromNone || j.from != nil }

// accepts says whether a person has agreed to what.
func (j *Job) accepts(what string) bool { return slices.Contains(j.opts.Accept, what) }

func (j *Job) storeOptions() state.Options {
	s := j.plan.Spec.State
	return state.Options{
		FS: j.fs, Dir: j.opts.StateDir, Memory: s.Memory, Backend: s.Backend, Ballast: ballast,
		Logger: func(msg string, args ...any) { j.log.Debug(msg, args...) },
	}
}

// ballast is given up when the disk is full, so that the last flush fits.
const ballast = 64 << 20

func (j *Job) fingerprint() checkpoint.Fingerprint { return j.finger }

// where is the place of a node in the file, for messages.
func (j *Job) where(uid string) string {
	for _, n := range j.plan.Stateful {
		if n.UID == uid {
			return " (" + filepath.Base(j.plan.Spec.File) + ":" + itoa(n.At.Line) + ")"
		}
	}
	return ""
}

// slowest says which tasks have not acknowledged the barrier.
func (j *Job) slowest() string {
	var names []string
	for _, t := range j.life.tasks {
		if j.life.collected[t] == nil {
			names = append(names, t.name)
		}
	}
	if len(names) == 0 {
		return "waiting for Kafka"
	}
	if len(names) > 3 {
		names = append(names[:3], "…")
	}
	return "waiting for " + strings.Join(names, ", ")
}
