package runtime

import (
	"strconv"
	"strings"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/source"
	"kstream/topology"
)

// retimed is the watermark of one subtask of a timestamps step: it follows the
// times of the rows that a sender takes, and is what the receivers get instead
// of the watermark of the chain.
type retimed struct {
	name  string // in the checkpoint
	marks *source.Watermarks
	every time.Duration
	rows  bool // since the last look at the clock
	idle  bool
	ended bool
	sent  record.Timestamp
	at    time.Time // when to look next
}

func newRetimed(spec *topology.Retimed, subtask int, now, restored record.Timestamp) *retimed {
	r := &retimed{
		name:  retimedName(spec.UID, subtask),
		marks: source.NewWatermarks(spec.Watermark, "event"),
		every: max(spec.Watermark.Every, time.Millisecond),
		sent:  restored,
	}
	r.marks.Add(now, restored, false)
	r.marks.Restore(restored)
	return r
}

// retimedName is what a checkpoint calls the watermark of a subtask. The names
// of chains have no #.
func retimedName(uid string, subtask int) string { return uid + "#" + strconv.Itoa(subtask) }

// restoredTimes is where a subtask of a timestamps step stood. Another number of
// subtasks begins with the lowest of them: what a subtask has seen says nothing
// of the rows another one gets.
func (l *life) restoredTimes(end *topology.ExchangeEnd, subtask, subtasks int) record.Timestamp {
	if l.restored == nil || l.job.startsEmpty(end.Exchange.To) {
		return record.MinTimestamp
	}
	own, low, n := record.MinTimestamp, record.MaxTimestamp, 0
	for _, w := range l.restored.Chains {
		if !strings.HasPrefix(w.Chain, end.Times.UID+"#") {
			continue
		}
		n++
		low = min(low, w.Watermark)
		if w.Chain == retimedName(end.Times.UID, subtask) {
			own = w.Watermark
		}
	}
	switch n {
	case 0:
		return record.MinTimestamp
	case subtasks:
		return own
	}
	return low
}

// observe takes note of a row that is about to be sent. The first one behind a
// pause ends idleness, for all receivers and before it comes.
func (s *sender) observe(t record.Timestamp) error {
	r := s.times
	r.rows = true
	r.marks.Observe(0, t)
	if !r.idle {
		return nil
	}
	r.idle = false
	return s.control(message{kind: messageWatermark, watermark: r.sent})
}

// retime looks at the clock for the watermarks of timestamps steps, each after
// its own interval or, at a barrier, all.
func (t *taskCore) retime(all bool) error {
	if !t.retimes {
		return nil
	}
	now := t.life.job.clock()
	for _, s := range t.senders {
		if s.times == nil || s.times.ended || !all && now.Before(s.times.at) {
			continue
		}
		s.times.at = now.Add(s.times.every)
		if err := s.retime(record.Timestamp(now.UnixMilli())); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) retime(now record.Timestamp) error {
	r := s.times
	if r.rows {
		r.rows = false
		r.marks.Active(0, now)
	}
	w, idle := r.marks.Current(now)
	switch {
	case idle && !r.idle:
		r.idle = true
		return s.control(message{kind: messageIdle})
	case !idle && w > r.sent:
		r.idle, r.sent = false, w
		return s.control(message{kind: messageWatermark, watermark: w})
	}
	return nil
}

// sendMark hands a mark of the chain's event time on. A sender with times of its
// own takes only the final watermark: nothing comes any more.
func (s *sender) sendMark(m message) error {
	if s.times == nil {
		return s.control(m)
	}
	if m.kind != messageWatermark || m.watermark != record.MaxTimestamp {
		return nil
	}
	s.times.ended, s.times.sent = true, record.MaxTimestamp
	return s.control(m)
}

// ownTimes is what a checkpoint keeps of the task's timestamps steps.
func (t *taskCore) ownTimes() []checkpoint.ChainWatermark {
	var all []checkpoint.ChainWatermark
	for _, s := range t.senders {
		if s.times != nil {
			all = append(all, checkpoint.ChainWatermark{Chain: s.times.name, Watermark: s.times.sent})
		}
	}
	return all
}

// timesTick is when a task with timestamps steps looks at the clock although
// nothing arrives; nil without such steps.
func (t *taskCore) timesTick() (tick <-chan time.Time, stop func()) {
	every := time.Duration(0)
	for _, s := range t.senders {
		if s.times != nil && (every == 0 || s.times.every < every) {
			every = s.times.every
		}
	}
	if every == 0 {
		return nil, func() {}
	}
	ticker := time.NewTicker(every)
	return ticker.C, ticker.Stop
}
