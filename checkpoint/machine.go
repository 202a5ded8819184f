package checkpoint

import (
	"fmt"
	"time"
)

// EffectKind names what the shell has to do. The order of the constants is the
// order of start-up, of an epoch and of the failure path.
type EffectKind uint8

// The effects. The comment gives the step of the protocol.
const (
	EffectNone         EffectKind = iota
	EffectLock                    // U0: check the configuration, lock the state directory
	EffectInspect                 // U1: features, limits, topics; first start or not
	EffectReadClaim               // U2: the newest claim, without fencing; also the ownership check of the failure path
	EffectWatchOwner              // U2: is the claim's owner alive?
	EffectFence                   // U2: InitProducerId until success
	EffectWriteClaim              // U3: number + 1, in one small transaction
	EffectReadRecord              // U4: wait for LSO = HW, newest R, c
	EffectBound                   // U5: end of the changelog, compared with R
	EffectCheckStore              // U6: continue, wipe or refuse
	EffectReplay                  // U7: changelog into the local store
	EffectRecover                 // U8: participants
	EffectSeek                    // U9: consumers at R's positions
	EffectRun                     // U10: tasks start
	EffectBegin                   // E0: BeginTransaction, local
	EffectOpenGate                // E0: sinks may produce epoch n
	EffectBarrier                 // E2: barrier n into the source tasks
	EffectFlush                   // E8: Flush, then every promise
	EffectOffsets                 // E9: TxnOffsetCommit
	EffectRecord                  // E10: R(n), flushed and acknowledged
	EffectEnd                     // E11: EndTransaction(TryCommit)
	EffectApply                   // E14: D(n) into the local store, one batch
	EffectHandles                 // E15: commit the participants' handles
	EffectStopFetching            // stop: no further input; with Drain the final watermark
	EffectReleaseClaim            // stop: the claim once more, marked released
	EffectFlushStore              // stop: the local store to disk
	EffectCloseClients            // 7.5 step 2: drop producer, consumers, tasks
	EffectSleep                   // 7.5 step 6: restart delay, no transaction open
	EffectTimer                   // call back with EventTimer after Delay
	EffectExit                    // the end of the process
)

var effectNames = [...]string{
	"none", "lock", "inspect", "read-claim", "watch-owner", "fence", "write-claim", "read-record",
	"bound", "check-store", "replay", "recover", "seek", "run", "begin", "open-gate", "barrier",
	"flush", "commit-offsets", "produce-record", "end", "apply", "commit-handles", "stop-fetching",
	"release-claim", "flush-store", "close-clients", "sleep", "timer", "exit",
}

// String is the name used in transcripts.
func (k EffectKind) String() string { return effectNames[k] }

// Effect is one thing to do. Effects of one Step are performed in order, each
// finished before the next begins. The machine awaits the result of at most one
// of them (Machine.Awaiting), always the last that is not a timer.
type Effect struct {
	Kind  EffectKind
	Epoch Epoch         // of the epoch's effects and timers
	Delay time.Duration // EffectSleep, EffectTimer
	Drain bool          // EffectStopFetching
	Timer Timer         // EffectTimer
	Exit  int           // EffectExit
	Text  string        // EffectExit: why; EffectSleep: what happened
	Hint  string        // EffectExit: what to do
}

// Timer names a timer.
type Timer uint8

// The timers: TimerInterval asks for the next barrier, TimerDeadline ends an
// epoch that does not collect its acknowledgements.
const (
	TimerInterval Timer = iota
	TimerDeadline
)

// String is the name used in transcripts.
func (t Timer) String() string { return [...]string{"interval", "deadline"}[t] }

// Class is what a failure means (7.1).
type Class uint8

// The classes: restart covers every unknown outcome and everything that may be
// a fence, since the ownership check precedes each restart.
const (
	ClassRestart Class = iota
	ClassRefuse
	ClassFenced
	ClassBug
)

// String is the class's name in metrics and transcripts.
func (c Class) String() string { return [...]string{"restart", "refuse", "fenced", "bug"}[c] }

// Failure is the first error of an attempt.
type Failure struct {
	Class Class
	Exit  int    // of ClassRefuse
	Text  string // one sentence
	Hint  string
	// AtOnce restarts without the strategy's delay: the epoch is committed (I15).
	AtOnce bool
	// Asked restarts without delay because somebody asked for it; nothing failed.
	Asked bool
	// Complete says that the last epoch is committed, so that no life follows.
	Complete bool
	// Fenced says that the broker took the transactional id for somebody else's.
	Fenced bool
	// Same identifies failures of the same record for the same reason; "" never
	// counts as deterministic.
	Same string
}

// Error is the sentence.
func (f *Failure) Error() string { return f.Text }

// EventKind names what happened.
type EventKind uint8

// The events.
const (
	EventStart     EventKind = iota
	EventDone                // the awaited effect finished; Of names it
	EventFailed              // the awaited effect or a task failed
	EventTimer               // a timer of EffectTimer
	EventPressure            // size or age asks for an early barrier
	EventCollected           // E7: all tasks acknowledged barrier Epoch
	EventStop                // finish, drain or now
	EventEnded               // every source has ended
)

// OwnerState is what a claim says about its owner, seen from here.
type OwnerState uint8

// The owners. OwnerOther needs the alive look before a fence.
const (
	OwnerNone  OwnerState = iota // no claim, released, or its process is certainly dead
	OwnerMine                    // the claim is this incarnation's
	OwnerSeen                    // as it was before our fence
	OwnerOther                   // somebody else's
)

// StopMode says how to stop.
type StopMode uint8

// The modes; StopFinish takes a last checkpoint, StopDrain sends the final
// watermark before it, StopNow takes none.
const (
	StopNone StopMode = iota
	StopFinish
	StopDrain
	StopNow
)

// Event is one thing that happened. Now is monotonic time since the process
// began.
type Event struct {
	Kind    EventKind
	Now     time.Duration
	Of      EffectKind // EventDone
	Epoch   Epoch      // EventDone of read-record: c; of the epoch's events: n
	Failure *Failure   // EventFailed
	Owner   OwnerState // EventDone of read-claim
	Text    string     // read-claim, watch-owner: "host A pid 4711"
	Alive   bool       // EventDone of watch-owner
	V2      bool       // EventDone of inspect: transaction.version >= 2
	Writes  int        // EventDone of write-claim, read-record, end: how often EndTxn was written
	Moved   bool       // EventTimer, EventCollected: the epoch has something to commit
	Timer   Timer
	Stop    StopMode
}

// Config is what of the pipeline's settings the machine needs.
type Config struct {
	Interval, MinPause, Timeout time.Duration
	// Heartbeat is the longest time without a committed epoch (4.4).
	Heartbeat time.Duration
	// FenceRetry is the pause between tries of the ownership check while the
	// cluster cannot be reached.
	FenceRetry time.Duration
}

// RestartPolicy decides whether and when a failed job starts again.
type RestartPolicy interface {
	// Failed returns the delay before the next start, or again = false.
	Failed(now time.Duration) (delay time.Duration, again bool)
	// Committed tells of a committed epoch.
	Committed(now time.Duration)
}

// sameLimit is how often the same record may fail the same way (7.4).
const sameLimit = 3

type stage uint8

// The stages of an epoch.
const (
	stageNone       stage = iota // start-up, failure path, end
	stageOpen                    // E0-E1
	stageAligning                // E2-E6
	stageCommitting              // E7-E12
	stageApplying                // E13-E15
)

// Machine is the protocol's state. It is owned by one goroutine.
type Machine struct {
	// configuration
	cfg      Config
	restarts RestartPolicy

	// of this process
	fences    []time.Duration // when we were fenced although the claim was ours
	same      string          // of the last failure
	sameCount int
	stop      StopMode
	exited    bool

	// of this incarnation
	awaiting EffectKind
	claimed  bool
	v2       bool
	failure  *Failure // the failure path is under way
	failedAt time.Duration

	// of the epochs
	stage       stage
	committed   Epoch
	running     Epoch
	last        bool // the running barrier is the last one
	pressed     bool // an early barrier was asked for while one was under way
	ended       bool // every source has ended
	fetching    bool
	committedAt time.Duration
	barrierAt   time.Duration
}

// New makes a machine that waits for EventStart.
func New(cfg Config, restarts RestartPolicy) *Machine {
	return &Machine{cfg: cfg, restarts: restarts}
}

// Awaiting is the effect whose EventDone or EventFailed decides what is next;
// EffectNone while an epoch is computed.
func (m *Machine) Awaiting() EffectKind { return m.awaiting }

// Committed is c, the last committed epoch of this life.
func (m *Machine) Committed() Epoch { return m.committed }

// Running is n, the epoch that is being computed.
func (m *Machine) Running() Epoch { return m.running }

// Step takes one event and returns what to do next.
func (m *Machine) Step(e Event) []Effect {
	if m.exited {
		return nil
	}
	switch e.Kind {
	case EventStart:
		return m.await(EffectLock)
	case EventDone:
		return m.done(e)
	case EventFailed:
		return m.failed(e)
	case EventTimer:
		return m.timer(e)
	case EventPressure:
		return m.pressure(e)
	case EventCollected:
		return m.collected(e)
	case EventStop:
		return m.stopped(e)
	case EventEnded:
		m.ended = true
		if m.stage == stageOpen {
			return m.lastBarrier(e.Now)
		}
	}
	return nil
}

// await returns one effect and remembers that its result decides what is next.
func (m *Machine) await(k EffectKind) []Effect {
	m.awaiting = k
	return []Effect{{Kind: k, Epoch: m.running}}
}

func (m *Machine) done(e Event) []Effect {
	if e.Of != m.awaiting {
		return m.exit(Effect{Exit: 1, Text: fmt.Sprintf("bug: %s is done, but %s is awaited", e.Of, m.awaiting)})
	}
	m.awaiting = EffectNone
	switch {
	case m.failure != nil:
		return m.failing(e)
	case m.stage == stageNone && !m.last:
		return m.starting(e)
	}
	return m.committing(e)
}

// starting walks U0 to U10.
func (m *Machine) starting(e Event) []Effect {
	if m.stop != StopNone && e.Of != EffectWriteClaim {
		// Nothing runs yet and no transaction is open: there is nothing to commit.
		return m.finish()
	}
	switch e.Of {
	case EffectInspect:
		m.v2 = e.V2
	case EffectReadClaim:
		if e.Owner == OwnerOther {
			return m.await(EffectWatchOwner)
		}
		return m.await(EffectFence)
	case EffectWatchOwner:
		if e.Alive {
			return m.exit(Effect{Exit: 6, Text: e.Text + " runs this pipeline",
				Hint: "stop it first, or give this pipeline another name"})
		}
		return m.await(EffectFence)
	case EffectWriteClaim:
		m.claimed = true
		if !m.v2 && e.Writes > 1 {
			return m.fail(e.Now, &Failure{AtOnce: true, Text: "the claim's EndTxn was written more than once"})
		}
		if m.stop != StopNone {
			return m.finish()
		}
	case EffectReadRecord:
		m.committed = e.Epoch
		m.running = e.Epoch + 1
		if !m.v2 && e.Writes > 1 {
			return m.fail(e.Now, &Failure{AtOnce: true, Text: "the EndTxn of the first checkpoint was written more than once"})
		}
	case EffectRun:
		m.fetching = true
		m.committedAt = e.Now
		m.barrierAt = e.Now
		return append(m.open(), m.waitInterval(e.Now))
	}
	return m.await(e.Of + 1)
}

// open is E0: the transaction begins and the sinks' gate opens. A barrier that
// was asked for meanwhile follows at once.
func (m *Machine) open() []Effect {
	m.stage = stageOpen
	m.pressed = false
	return []Effect{
		{Kind: EffectBegin, Epoch: m.running},
		{Kind: EffectOpenGate, Epoch: m.running},
	}
}

// waitInterval asks for the timer of the next barrier: one interval after the
// barrier before, and min_pause after its end.
func (m *Machine) waitInterval(now time.Duration) Effect {
	due := max(m.barrierAt+m.cfg.Interval, now+m.cfg.MinPause)
	return Effect{Kind: EffectTimer, Timer: TimerInterval, Epoch: m.running, Delay: max(0, due-now)}
}

func (m *Machine) timer(e Event) []Effect {
	if e.Epoch != m.running || m.failure != nil {
		return nil
	}
	switch e.Timer {
	case TimerInterval:
		if m.stage != stageOpen {
			return nil
		}
		if !e.Moved && e.Now-m.committedAt < m.cfg.Heartbeat {
			m.barrierAt = e.Now
			return []Effect{m.waitInterval(e.Now)}
		}
		return m.barrier(e.Now)
	case TimerDeadline:
		if m.stage == stageAligning {
			return m.fail(e.Now, &Failure{Text: fmt.Sprintf(
				"checkpoint %d did not complete within %s: %s", m.running, m.cfg.Timeout, e.Text)})
		}
	}
	return nil
}

func (m *Machine) pressure(e Event) []Effect {
	if m.stage == stageOpen && m.failure == nil {
		return m.barrier(e.Now)
	}
	m.pressed = true
	return nil
}

// barrier is E2.
func (m *Machine) barrier(now time.Duration) []Effect {
	m.stage = stageAligning
	m.barrierAt = now
	return []Effect{
		{Kind: EffectBarrier, Epoch: m.running},
		{Kind: EffectTimer, Timer: TimerDeadline, Epoch: m.running, Delay: m.cfg.Timeout},
	}
}

// lastBarrier stops the input and sends the barrier of the last epoch.
func (m *Machine) lastBarrier(now time.Duration) []Effect {
	m.last = true
	var effects []Effect
	if m.fetching {
		m.fetching = false
		effects = append(effects, Effect{Kind: EffectStopFetching, Drain: m.stop == StopDrain})
	}
	return append(effects, m.barrier(now)...)
}

func (m *Machine) collected(e Event) []Effect {
	if m.stage != stageAligning || e.Epoch != m.running || m.failure != nil {
		return nil
	}
	m.stage = stageCommitting
	if m.last && !e.Moved {
		// Nothing to commit: the broker has no transaction open.
		return m.finish()
	}
	return m.await(EffectFlush)
}

// committing walks E8 to E15 and the end of a stop.
func (m *Machine) committing(e Event) []Effect {
	switch e.Of {
	case EffectFlush:
		return m.await(EffectOffsets)
	case EffectOffsets:
		return m.await(EffectRecord)
	case EffectRecord:
		return m.await(EffectEnd)
	case EffectEnd:
		return m.answered(e)
	case EffectApply:
		m.restarts.Committed(e.Now)
		// Of the epoch that is decided: the next one is open already.
		return []Effect{m.awaitOne(EffectHandles, m.committed)}
	case EffectHandles:
		return m.epochDone(e)
	case EffectReleaseClaim:
		return m.await(EffectFlushStore)
	case EffectFlushStore:
		return m.await(EffectCloseClients)
	case EffectCloseClients:
		return m.exit(Effect{})
	}
	return m.exit(Effect{Exit: 1, Text: "bug: no step after " + e.Of.String()})
}

// answered is E12: the epoch is committed. The next one opens before the state
// is applied, so that output is held as briefly as possible (E13 before E14).
func (m *Machine) answered(e Event) []Effect {
	applied := m.running
	m.committed = m.running
	m.committedAt = e.Now
	if !m.v2 && e.Writes > 1 {
		// I15: a late copy of EndTxn could commit a half-written T(n+1). The
		// epoch is committed; a new life begins without delay.
		return m.fail(e.Now, &Failure{AtOnce: true, Complete: m.last,
			Text: fmt.Sprintf("EndTxn of checkpoint %d was written %d times", applied, e.Writes)})
	}
	if m.last {
		m.stage = stageApplying
		return []Effect{m.awaitOne(EffectApply, applied)}
	}
	m.running++
	effects := m.open()
	m.stage = stageApplying
	return append(effects, m.awaitOne(EffectApply, applied))
}

func (m *Machine) awaitOne(k EffectKind, n Epoch) Effect {
	m.awaiting = k
	return Effect{Kind: k, Epoch: n}
}

// epochDone follows E15: wait for the next barrier, or send it at once.
func (m *Machine) epochDone(e Event) []Effect {
	if m.last {
		return m.finish()
	}
	m.stage = stageOpen
	switch {
	case m.stop != StopNone || m.ended:
		return m.lastBarrier(e.Now)
	case m.pressed:
		m.pressed = false
		return m.barrier(e.Now)
	}
	return []Effect{m.waitInterval(e.Now)}
}

// finish is the end of an orderly stop: nothing is open any more.
func (m *Machine) finish() []Effect {
	m.last = true
	m.stage = stageNone
	if m.claimed {
		return m.await(EffectReleaseClaim)
	}
	return m.await(EffectCloseClients)
}

func (m *Machine) stopped(e Event) []Effect {
	if m.stop != StopNone {
		return nil
	}
	m.stop = e.Stop
	if m.failure != nil {
		return nil // the failure path ends in exit instead of sleep
	}
	if e.Stop == StopNow && m.stage != stageNone {
		return m.fail(e.Now, &Failure{Class: ClassRefuse, Exit: 0})
	}
	if m.stage == stageOpen {
		return m.lastBarrier(e.Now)
	}
	return nil // start-up ends at its next step, an epoch under way is finished first
}

func (m *Machine) exit(e Effect) []Effect {
	m.exited = true
	e.Kind = EffectExit
	return []Effect{e}
}
