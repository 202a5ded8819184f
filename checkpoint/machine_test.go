package checkpoint

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// scripted is a restart policy with a fixed answer.
type scripted struct {
	delay  time.Duration
	left   int
	epochs int
}

func (s *scripted) Failed(time.Duration) (time.Duration, bool) {
	s.left--
	return s.delay, s.left >= 0
}

func (s *scripted) Committed(time.Duration) { s.epochs++ }

// machineStory drives one machine by the lines of a transcript.
type machineStory struct {
	m   *Machine
	now time.Duration
}

func newMachineStory(t *testing.T, d *datadriven.TestData) *machineStory {
	restarts := 100
	d.MaybeScanArgs(t, "restarts", &restarts)
	return &machineStory{m: New(Config{Interval: time.Second, Timeout: time.Minute, Heartbeat: time.Hour, FenceRetry: time.Second},
		&scripted{delay: 2 * time.Second, left: restarts})}
}

// event reads one command of a transcript.
func (s *machineStory) event(t *testing.T, d *datadriven.TestData) Event {
	var at string
	if d.MaybeScanArgs(t, "at", &at); at != "" {
		now, err := time.ParseDuration(at)
		if err != nil {
			t.Fatal(err)
		}
		s.now = now
	}
	e := Event{Now: s.now, V2: !d.HasArg("v1"), Writes: 1, Moved: d.HasArg("moved"), Alive: d.HasArg("alive"),
		Epoch: s.m.Running(), Of: s.m.Awaiting()}
	d.MaybeScanArgs(t, "writes", &e.Writes)
	var owner string
	d.MaybeScanArgs(t, "owner", &owner)
	e.Owner = map[string]OwnerState{"": OwnerNone, "mine": OwnerMine, "other": OwnerOther}[owner]
	if owner == "other" || e.Alive {
		e.Text = "host b pid 4711"
	}
	switch d.Cmd {
	case "start":
		e.Kind = EventStart
	case "done":
		e.Kind = EventDone
		if e.Of == EffectReadRecord {
			var c int
			d.MaybeScanArgs(t, "c", &c)
			e.Epoch = Epoch(c)
		}
	case "fail", "task-fail":
		e.Kind, e.Failure = EventFailed, s.failure(t, d)
		if d.Cmd == "task-fail" {
			e.Of = EffectNone
		}
	case "interval", "deadline":
		e.Kind, e.Timer = EventTimer, map[string]Timer{"interval": TimerInterval, "deadline": TimerDeadline}[d.Cmd]
		e.Text = "waiting for main/1[0]"
	case "pressure":
		e.Kind = EventPressure
	case "collected":
		e.Kind = EventCollected
	case "ended":
		e.Kind = EventEnded
	case "stop":
		e.Kind, e.Stop = EventStop, map[string]StopMode{"finish": StopFinish, "drain": StopDrain, "now": StopNow}[d.CmdArgs[0].Key]
	default:
		t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
	return e
}

func (s *machineStory) failure(t *testing.T, d *datadriven.TestData) *Failure {
	f := &Failure{Text: "it broke"}
	f.Fenced = d.HasArg("fenced")
	var class string
	d.MaybeScanArgs(t, "class", &class)
	f.Class = map[string]Class{"": ClassRestart, "restart": ClassRestart, "refuse": ClassRefuse, "fenced": ClassFenced, "bug": ClassBug}[class]
	d.MaybeScanArgs(t, "exit", &f.Exit)
	d.MaybeScanArgs(t, "same", &f.Same)
	return f
}

func (e Effect) transcript() string {
	switch e.Kind {
	case EffectExit:
		return strings.TrimRight(fmt.Sprintf("exit %d %s", e.Exit, e.Text), " ")
	case EffectSleep:
		return fmt.Sprintf("sleep %s (%s)", e.Delay, e.Text)
	case EffectTimer:
		return fmt.Sprintf("timer %s n=%d in %s", e.Timer, e.Epoch, e.Delay)
	case EffectStopFetching:
		if e.Drain {
			return "stop-fetching drain"
		}
		return "stop-fetching"
	}
	if e.Kind >= EffectBegin && e.Kind <= EffectHandles {
		return fmt.Sprintf("%s n=%d", e.Kind, e.Epoch)
	}
	return e.Kind.String()
}

// TestStories runs the transcripts: for each event what the machine wants done.
// `run N` lets N awaited effects succeed.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		var s *machineStory
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				s = newMachineStory(t, d)
				return ""
			}
			var out []string
			step := func(e Event) {
				for _, effect := range s.m.Step(e) {
					out = append(out, effect.transcript())
				}
			}
			switch d.Cmd {
			case "run":
				var n int
				fmt.Sscan(d.CmdArgs[0].Key, &n)
				done := *d
				done.Cmd, done.CmdArgs = "done", d.CmdArgs[1:]
				for range n {
					step(s.event(t, &done))
				}
			default:
				step(s.event(t, d))
			}
			return strings.Join(append(out, ""), "\n")
		})
	})
}

// FuzzMachine feeds any sequence of events. Whatever comes, the order contract
// holds: nothing is produced or ended outside of a transaction, the local store
// follows the answer, and the fence comes before anything is read or claimed.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 5, 1, 1, 1, 1, 1, 1})
	f.Add([]byte{0, 1, 1, 2, 1, 1, 1, 6, 1, 1, 7, 2, 2, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := New(Config{Interval: time.Second, Timeout: time.Minute, Heartbeat: time.Hour, FenceRetry: time.Second},
			&scripted{delay: time.Second, left: 3})
		c := &contract{t: t}
		for i, b := range script {
			e := Event{Now: time.Duration(i) * time.Second, V2: b&16 == 0, Writes: 1 + int(b>>6), Moved: b&32 == 0,
				Epoch: m.Running(), Of: m.Awaiting(), Owner: OwnerState(b >> 6)}
			switch b & 7 {
			case 0:
				if i > 0 {
					continue
				}
				e.Kind = EventStart
			case 1, 4:
				if m.Awaiting() == EffectNone {
					continue
				}
				e.Kind = EventDone
				if e.Of == EffectReadRecord {
					e.Epoch = c.committed
				}
			case 2:
				e.Kind, e.Failure = EventFailed, &Failure{Text: "x", Class: Class(b >> 6), Exit: 5}
				if b&8 != 0 {
					e.Of = EffectNone
				}
			case 3:
				e.Kind, e.Timer = EventTimer, Timer(b>>3&1)
			case 5:
				e.Kind = EventCollected
			case 6:
				e.Kind, e.Stop = EventStop, StopMode(1+b>>6%3)
			case 7:
				e.Kind = EventPressure
			}
			if i == 0 && e.Kind != EventStart {
				e = Event{Kind: EventStart}
			}
			if e.Kind == EventDone {
				c.done(e)
			}
			for _, effect := range m.Step(e) {
				c.effect(effect)
			}
		}
	})
}

// contract checks the order of effects.
type contract struct {
	t         *testing.T
	fenced    bool
	begun     bool // a transaction is open at the client
	barrier   bool
	flushed   bool
	recorded  bool
	answered  Epoch
	committed Epoch
}

func (c *contract) done(e Event) {
	switch e.Of {
	case EffectFence:
		c.fenced = true
	case EffectFlush:
		c.flushed = true
	case EffectRecord:
		c.recorded = true
	case EffectEnd:
		c.begun, c.answered, c.committed = false, e.Epoch, e.Epoch
	}
}

func (c *contract) effect(e Effect) {
	need := func(ok bool, what string) {
		if !ok {
			c.t.Fatalf("%s without %s", e.transcript(), what)
		}
	}
	switch e.Kind {
	case EffectCloseClients:
		*c = contract{t: c.t, committed: c.committed}
	case EffectWriteClaim, EffectReadRecord:
		need(c.fenced, "a fence before (I9)")
	case EffectBegin:
		need(!c.begun, "the end of the one before")
		c.begun, c.flushed, c.recorded = true, false, false
	case EffectBarrier:
		need(c.begun && !c.barrier, "an open transaction, or with a barrier under way")
		c.barrier = true
	case EffectFlush:
		need(c.barrier, "its barrier")
	case EffectRecord:
		need(c.flushed, "a flush before (I4)")
	case EffectEnd:
		need(c.recorded, "its record (I2)")
	case EffectApply:
		need(c.answered == e.Epoch, "its answer (I11)")
		c.barrier = false
	}
}
