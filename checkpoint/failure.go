package checkpoint

import (
	"fmt"
	"time"
)

// failed takes the first failure of an attempt; later ones are its echoes.
func (m *Machine) failed(e Event) []Effect {
	if m.failure != nil {
		return m.failingAgain(e)
	}
	m.awaiting = EffectNone
	if e.Of == EffectReleaseClaim {
		// A courtesy to the next start; everything else is committed. Whose the
		// slot is still has to be known.
		f := *e.Failure
		f.Complete = true
		return m.fail(e.Now, &f)
	}
	return m.fail(e.Now, e.Failure)
}

// fail enters the failure path (7.5), the only one: whatever the epoch had done
// is dropped, and start-up finds out what Kafka has.
func (m *Machine) fail(now time.Duration, f *Failure) []Effect {
	if f.Class == ClassBug {
		return m.exit(Effect{Exit: 1, Text: "bug: " + f.Text})
	}
	m.failure = f
	m.failedAt = now
	m.count(f)
	m.stage = stageNone
	m.last = false
	m.pressed = false
	m.fetching = false
	m.ended = false // what was taken in is read again
	return m.await(EffectCloseClients)
}

// count finds deterministic failures: the same record, the same error, three
// times. Epochs that other partitions commit in between prove nothing.
func (m *Machine) count(f *Failure) {
	if f.Same == "" || f.Same != m.same {
		m.same, m.sameCount = f.Same, 0
	}
	if f.Same != "" {
		m.sameCount++
	}
	if m.sameCount >= sameLimit {
		f.Class, f.Exit = ClassRefuse, 1
		f.Text = fmt.Sprintf("%s (%d times: it will not go away by itself)", f.Text, m.sameCount)
	}
}

// failing walks the failure path: close, whose claim is it, fence, wait, start.
func (m *Machine) failing(e Event) []Effect {
	switch e.Of {
	case EffectCloseClients:
		if m.failure.Class == ClassFenced {
			return m.exit(Effect{Exit: 6, Text: m.failure.Text, Hint: m.failure.Hint})
		}
		if !m.claimed {
			return m.decide(e.Now)
		}
		return m.await(EffectReadClaim)
	case EffectReadClaim:
		if e.Owner != OwnerMine {
			return m.exit(Effect{Exit: 6, Text: "fenced: " + e.Text + " took over",
				Hint: "only one process at a time runs a pipeline; do not restart this one"})
		}
		m.foreign(e.Now)
		return m.await(EffectFence)
	case EffectFence:
		return m.decide(e.Now)
	case EffectSleep:
		if m.stop != StopNone {
			return m.decide(e.Now)
		}
		m.failure = nil
		m.claimed = false
		return m.await(EffectLock)
	}
	return m.exit(Effect{Exit: 1, Text: "bug: no failure step after " + e.Of.String()})
}

// The broker says "fenced" and nobody has claimed: a time-out looks like that, and
// so does a program that uses our transactional id for something else (13). More
// than foreignLimit times within foreignSpan it is the latter.
const (
	foreignLimit = 3
	foreignSpan  = 10 * time.Minute
)

// foreign counts fences that no claim explains, and refuses when they do not end.
func (m *Machine) foreign(now time.Duration) {
	if !m.failure.Fenced {
		return
	}
	recent := m.fences[:0]
	for _, at := range m.fences {
		if now-at < foreignSpan {
			recent = append(recent, at)
		}
	}
	m.fences = append(recent, now)
	if len(m.fences) > foreignLimit {
		m.failure.Class, m.failure.Exit = ClassRefuse, 5
		m.failure.Text = fmt.Sprintf("somebody else uses the transactional id of this pipeline: fenced %d times within %s and nobody has claimed it (%s)",
			len(m.fences), foreignSpan, m.failure.Text)
		m.failure.Hint = "find the program with kafka-transactions.sh, or give this pipeline another name"
	}
}

// decide follows the fence: everything of ours is settled at the broker.
func (m *Machine) decide(now time.Duration) []Effect {
	f := m.failure
	if f.Class == ClassRefuse {
		return m.exit(Effect{Exit: f.Exit, Text: f.Text, Hint: f.Hint})
	}
	switch {
	case f.Complete, f.AtOnce && m.stop == StopFinish, m.stop == StopNow:
		return m.exit(Effect{}) // what was to be committed is
	case m.stop != StopNone:
		return m.exit(Effect{Exit: 1, Text: "the last checkpoint could not be committed: " + f.Text, Hint: f.Hint})
	}
	var delay time.Duration
	if !f.AtOnce && !f.Asked {
		var again bool
		if delay, again = m.restarts.Failed(now); !again {
			return m.exit(Effect{Exit: 1, Text: f.Text, Hint: orElse(f.Hint, "the restart strategy gives up here")})
		}
	}
	m.awaiting = EffectSleep
	return []Effect{{Kind: EffectSleep, Delay: delay, Text: f.Text}}
}

func orElse(hint, other string) string {
	if hint != "" {
		return hint
	}
	return other
}

// failingAgain is a failure inside the failure path: the cluster cannot be
// reached, or the fence did not get through. The same step is tried again; a
// refusal ends the process, since the fence cannot be had, and so does a stop
// after a while: the broker ends the transaction when its time is over.
func (m *Machine) failingAgain(e Event) []Effect {
	if e.Of == EffectNone {
		return nil // an echo of the first failure from a task
	}
	if e.Failure.Class == ClassRefuse || m.stop == StopNow {
		return m.exit(Effect{Exit: e.Failure.Exit, Text: e.Failure.Text, Hint: e.Failure.Hint})
	}
	late := e.Now-m.failedAt >= m.cfg.Timeout
	if late && m.failure.Complete {
		return m.exit(Effect{})
	}
	if late && m.stop != StopNone {
		return m.exit(Effect{Exit: 1, Text: fmt.Sprintf("the last checkpoint could not be committed: %s; nor could its transaction be ended: %s",
			m.failure.Text, e.Failure.Text), Hint: "the broker ends it after checkpoint.transaction_timeout"})
	}
	m.awaiting = EffectCloseClients
	return []Effect{
		{Kind: EffectSleep, Delay: m.cfg.FenceRetry, Text: e.Failure.Text},
		{Kind: EffectCloseClients},
	}
}
