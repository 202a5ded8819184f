package operator

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"kstream/expr"
	"kstream/record"
	"kstream/window"
)

// sessions aggregates per key and session. A session is made of parts, each with
// the state of an accumulator: it begins with one, and two sessions that become
// one put their parts together, so that merging moves no state. The result of a
// session is the merge of its parts.
//
// A session [start, end) is over when the watermark has reached its end, one
// millisecond later than other windows: a record exactly one gap behind the last
// one still belongs to it, and records at the watermark may be missing no more.
// So that results are not behind the time of those who take them, these are told
// a watermark of one millisecond less (Chain.Passed).
//
// With emit update a result that a late row makes wrong is deleted at once: when
// its session grows, or becomes one with another.
//
// # Bytes (layout 1)
//
// Numbers are little-endian.
//
//	namespace 0          key = the encoded $key; value = the sessions of the key:
//	                     where its timer is (below) 8, then for each session, in
//	                     the order of their starts: start 8, end 8, time of the
//	                     newest record 8, 1 if a result was given 1, number of
//	                     parts 4, parts 4 each
//	namespace 1 + part   the accumulators of a part
//	namespace time-2^62  timers: key = the encoded $key, value 1 byte. Something
//	                     is due for the key at this time or later
//
// A key has one timer. It stays where it is while its sessions grow, and is moved
// when its time has come, so that most rows do not touch it.
type sessions struct {
	*accumulators
	merger   window.Merger
	gap      record.Timestamp
	gapBy    *expr.Program
	lateness record.Timestamp
	update   bool
	byClock  bool
	late     []step
	own      record.Row

	watermark record.Timestamp
	timers    []record.Timestamp // times that have some, ascending
	grain     record.Timestamp   // timers stand at multiples of it
	wake      record.Timestamp   // nothing is due before

	// of the key at hand
	list  []window.Session
	timer record.Timestamp
	parts []uint32 // backing of list
	buf   []byte

	keys keyList
	jobs []dueSession
}

// dueSession is a session to do something about.
type dueSession struct {
	due, start record.Timestamp
	key        int // in keys
}

const (
	sessionIndex = 0
	timerBase    = -1 << 62
	noTimer      = record.MaxTimestamp
	sessionBytes = 8 + 8 + 8 + 1 + 4
	// sessionTimers is about how many times have timers while no session is over.
	sessionTimers = 2048
)

var timerMark = []byte{1}

// errSession is state that no version wrote.
var errSession = errors.New("the sessions of a key are damaged")

func (c *Chain) newSessions(b *base) (*sessions, error) {
	spec := b.node.Window
	acc, err := c.newAccumulators(b, true)
	if err != nil {
		return nil, err
	}
	s := &sessions{
		accumulators: acc,
		merger:       window.Merger{Max: record.Timestamp(spec.Session.Max)},
		gap:          record.Timestamp(spec.Session.Gap),
		gapBy:        spec.Session.GapBy,
		lateness:     record.Timestamp(spec.AllowedLateness),
		update:       b.node.Aggregate.Emit == "update",
		byClock:      spec.Clock,
		own:          record.Row{Slots: c.Slots},
		watermark:    record.MinTimestamp,
		wake:         record.MaxTimestamp,
	}
	s.grain = max(1, (s.gap+s.lateness)/sessionTimers)
	if s.gapBy != nil {
		s.grain = max(s.grain, 100)
	}
	if s.byClock {
		c.clocked = append(c.clocked, s)
	} else {
		c.behind++
	}
	namespaces, err := acc.table.Namespaces()
	if err != nil {
		return nil, b.wrap("read state", err)
	}
	for _, ns := range namespaces {
		if ns < sessionIndex {
			s.timers = append(s.timers, record.Timestamp(ns-timerBase))
		}
	}
	if len(s.timers) > 0 {
		s.wake = s.timers[0]
	}
	return s, nil
}

func (s *sessions) process(row *record.Row) error {
	s.stats.In++
	t := row.Time
	if s.byClock {
		t = max(millis(s.expr.Now), s.watermark+1)
	}
	gap, bad := s.gapOf()
	if bad != nil {
		return s.failed(row, bad)
	}
	if err := s.load(row.Group, row.KeyBytes); err != nil {
		return s.wrap("read state", err)
	}
	cur, lo, hi := s.merger.Merge(s.list, t, gap)
	if lo == hi && cur.End+s.lateness <= s.watermark {
		return tooLate(s.base, s.late, row)
	}
	s.partsOf(&cur, lo, hi)
	same := hi == lo+1 && s.list[lo].Start == cur.Start && s.list[lo].End == cur.End
	// A result that others take back is deleted as a whole.
	replaces := s.update && (!same || s.node.Aggregate.Retract)
	if replaces {
		if err := s.retract(record.OpDelete, lo, hi, row); err != nil {
			return err
		}
	}
	main, _, err := s.accumulators.update(row, partNamespace(cur.Parts[0]))
	if err != nil {
		return err
	}
	if main == nil { // skipped: what was deleted is right again
		if replaces {
			return s.retract(record.OpInsert, lo, hi, row)
		}
		return nil
	}
	op := record.OpInsert
	if same && s.list[lo].Shown && !replaces {
		op = record.OpUpdate
	}
	if cur.Shown = s.update && cur.End <= s.watermark; cur.Shown {
		if err := s.show(&cur, op, row.Group, row.KeyBytes, row); err != nil {
			return err
		}
	}
	s.list = slices.Replace(s.list, lo, hi, cur)
	return s.save(row.Group, row.KeyBytes)
}

// gapOf is the gap behind the row at hand.
func (s *sessions) gapOf() (record.Timestamp, *RecordError) {
	if s.gapBy == nil {
		return s.gap, nil
	}
	v := s.gapBy.Eval(s.expr)
	if err := s.expr.Err(); err != nil {
		return 0, &RecordError{Code: err.Code, Message: err.Message}
	}
	if v.IsNull() {
		return 0, &RecordError{Code: codeEval, Message: "gap_by is null"}
	}
	gap := millis(v.Int())
	if gap < 1 {
		return 0, &RecordError{Code: codeEval, Message: "gap_by is " + string(record.AppendText(nil, v)) + ", a gap is at least 1ms"}
	}
	return gap, nil
}

// partsOf gives a session the parts of those it replaces, or a new one.
func (s *sessions) partsOf(cur *window.Session, lo, hi int) {
	from := len(s.parts)
	for _, old := range s.list[lo:hi] {
		s.parts = append(s.parts, old.Parts...)
	}
	if lo == hi {
		s.parts = append(s.parts, s.freePart(from))
	}
	cur.Parts = s.parts[from:]
}

// freePart is the smallest part that no session of the key has; the first n of
// parts are theirs.
func (s *sessions) freePart(n int) uint32 {
	for part := uint32(0); ; part++ {
		if !slices.Contains(s.parts[:n], part) {
			return part
		}
	}
}

func partNamespace(part uint32) int64 { return 1 + int64(part) }

// retract passes on again, with an op, what was shown of sessions.
func (s *sessions) retract(op record.Op, lo, hi int, row *record.Row) error {
	for i := lo; i < hi; i++ {
		if old := &s.list[i]; old.Shown {
			if err := s.show(old, op, row.Group, row.KeyBytes, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// show passes on the result of a session. Row is the one that is being
// processed, nil when time fires.
func (s *sessions) show(cur *window.Session, op record.Op, g record.KeyGroup, key []byte, row *record.Row) error {
	for _, part := range cur.Parts {
		ns := partNamespace(part)
		main, ok, err := s.table.Get(g, ns, key)
		if err == nil && !ok {
			err = errMissing
		}
		if err == nil {
			err = s.merge(main, g, ns, key)
			s.at.earlier = append(s.at.earlier, ns)
		}
		if err != nil {
			s.forget()
			if row != nil {
				return s.stateError(row, err)
			}
			return s.mergeFailed(&s.own, err)
		}
	}
	s.own.Op, s.own.Group = op, g
	s.own.Window = record.Window{Start: cur.Start, End: cur.End}
	s.own.Time = cur.End - 1
	if _, err := s.decodeKey(&s.own, key); err != nil {
		return err
	}
	return s.pass(&s.own, row)
}

// load reads the sessions of a key.
func (s *sessions) load(g record.KeyGroup, key []byte) error {
	s.list, s.parts, s.timer = s.list[:0], s.parts[:0], noTimer
	b, ok, err := s.table.Get(g, sessionIndex, key)
	if err != nil || !ok {
		return err
	}
	if len(b) < 8 {
		return errSession
	}
	s.timer = readTime(b)
	for b = b[8:]; len(b) > 0; {
		if len(b) < sessionBytes {
			return errSession
		}
		n := int(binary.LittleEndian.Uint32(b[25:]))
		if n == 0 || len(b) < sessionBytes+4*n {
			return errSession
		}
		from := len(s.parts)
		for i := range n {
			s.parts = append(s.parts, binary.LittleEndian.Uint32(b[sessionBytes+4*i:]))
		}
		s.list = append(s.list, window.Session{
			Start: readTime(b), End: readTime(b[8:]), Last: readTime(b[16:]), Shown: b[24] != 0,
			Parts: s.parts[from:len(s.parts):len(s.parts)],
		})
		b = b[sessionBytes+4*n:]
	}
	return nil
}

func readTime(b []byte) record.Timestamp { return record.Timestamp(binary.LittleEndian.Uint64(b)) }

// save writes the sessions of a key, and moves its timer if it must come sooner.
func (s *sessions) save(g record.KeyGroup, key []byte) error {
	next := record.MaxTimestamp
	for i := range s.list {
		next = min(next, s.dueOf(&s.list[i]))
	}
	s.wake = min(s.wake, next)
	if at := s.timerAt(next); at < s.timer {
		if err := s.moveTimer(g, key, at); err != nil {
			return err
		}
	}
	return s.write(g, key)
}

func (s *sessions) write(g record.KeyGroup, key []byte) error {
	if len(s.list) == 0 {
		if err := s.table.Delete(g, sessionIndex, key); err != nil {
			return s.wrap("update state", err)
		}
		return nil
	}
	b := binary.LittleEndian.AppendUint64(s.buf[:0], uint64(s.timer))
	for i := range s.list {
		x := &s.list[i]
		b = binary.LittleEndian.AppendUint64(b, uint64(x.Start))
		b = binary.LittleEndian.AppendUint64(b, uint64(x.End))
		b = binary.LittleEndian.AppendUint64(b, uint64(x.Last))
		shown := byte(0)
		if x.Shown {
			shown = 1
		}
		b = binary.LittleEndian.AppendUint32(append(b, shown), uint32(len(x.Parts)))
		for _, p := range x.Parts {
			b = binary.LittleEndian.AppendUint32(b, p)
		}
	}
	s.buf = b
	if err := s.table.Put(g, sessionIndex, key, b); err != nil {
		return s.wrap("update state", err)
	}
	return nil
}

// dueOf is the watermark at which something is to be done about a session: with
// emit append when it closes, with update also when it is over.
func (s *sessions) dueOf(x *window.Session) record.Timestamp {
	if s.update && !x.Shown {
		return x.End
	}
	return x.End + s.lateness
}

// timerAt is where the timer of something due stands.
func (s *sessions) timerAt(due record.Timestamp) record.Timestamp {
	if due == record.MaxTimestamp {
		return noTimer
	}
	rest := due % s.grain
	if rest < 0 {
		rest += s.grain
	}
	return due - rest
}

// moveTimer moves the timer of a key; noTimer is none.
func (s *sessions) moveTimer(g record.KeyGroup, key []byte, to record.Timestamp) error {
	if s.timer != noTimer {
		if err := s.table.Delete(g, timerBase+int64(s.timer), key); err != nil {
			return s.wrap("update state", err)
		}
	}
	s.timer = to
	if to == noTimer {
		return nil
	}
	if i, found := slices.BinarySearch(s.timers, to); !found {
		s.timers = slices.Insert(s.timers, i, to)
	}
	if err := s.table.Put(g, timerBase+int64(to), key, timerMark); err != nil {
		return s.wrap("update state", err)
	}
	return nil
}

func (s *sessions) advance(watermark record.Timestamp) error {
	if !s.byClock || watermark == record.MaxTimestamp {
		if err := s.reach(watermark); err != nil {
			return err
		}
	}
	for _, n := range s.late {
		if err := n.advance(watermark); err != nil {
			return err
		}
	}
	if s.byClock {
		return s.base.advance(watermark)
	}
	return s.base.advance(passed(watermark, 1))
}

// passed is the watermark that those behind n sessions are told.
func passed(watermark, n record.Timestamp) record.Timestamp { return window.Minus(watermark, n) }

// Passed is the watermark that the exchanges of the chain are told when the
// chain's own is w.
func (c *Chain) Passed(w record.Timestamp) record.Timestamp { return passed(w, c.behind) }

func (s *sessions) restore(watermark record.Timestamp) {
	if !s.byClock {
		s.watermark = watermark
	}
	for _, n := range s.late {
		n.restore(watermark)
	}
	if !s.byClock {
		watermark = passed(watermark, 1)
	}
	s.base.restore(watermark)
}

// tick takes the clock for the watermark.
func (s *sessions) tick(now record.Timestamp) error { return s.reach(max(s.watermark, now-1)) }

// due is when the clock has something to do; the watermark is one behind it.
func (s *sessions) due() record.Timestamp {
	if s.wake == record.MaxTimestamp {
		return s.wake
	}
	return s.wake + 1
}

// reach does what is due at a watermark, in the order in which it is due.
func (s *sessions) reach(watermark record.Timestamp) error {
	s.watermark = watermark
	if s.wake > watermark {
		return nil
	}
	s.wake = record.MaxTimestamp
	for len(s.timers) > 0 && s.timers[0] <= watermark {
		at := s.timers[0]
		if err := s.fire(at); err != nil {
			return err
		}
		if s.wake < record.MaxTimestamp { // the rest at this time is due later
			return nil
		}
		i, _ := slices.BinarySearch(s.timers, at)
		s.timers = slices.Delete(s.timers, i, i+1)
	}
	if len(s.timers) > 0 {
		s.wake = s.timers[0]
	}
	return nil
}

// fire does what the timers at a time are for, and moves those whose keys have
// nothing due before the next ones.
func (s *sessions) fire(at record.Timestamp) error {
	if err := s.listTimers(at); err != nil {
		return err
	}
	k := &s.keys
	s.jobs = s.jobs[:0]
	for n := range k.ends {
		if err := s.plan(n, at); err != nil {
			return err
		}
	}
	slices.SortFunc(s.jobs, func(a, b dueSession) int {
		return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.key, b.key), cmp.Compare(a.start, b.start))
	})
	for _, job := range s.jobs {
		s.expr.Arena.Reset()
		g, key := k.at(job.key)
		if err := s.do(g, key, job.start); err != nil {
			return err
		}
	}
	for n := range k.ends {
		if err := s.settle(n, at); err != nil {
			return err
		}
	}
	return nil
}

// at is the n-th key.
func (k *keyList) at(n int) (record.KeyGroup, []byte) {
	from := 0
	if n > 0 {
		from = k.ends[n-1]
	}
	return k.groups[n], k.bytes[from:k.ends[n]]
}

func (s *sessions) listTimers(at record.Timestamp) error {
	k := &s.keys
	k.bytes, k.ends, k.groups = k.bytes[:0], k.ends[:0], k.groups[:0]
	err := s.table.Scan(timerBase+int64(at), func(g record.KeyGroup, key, _ []byte) error {
		k.bytes = append(k.bytes, key...)
		k.ends, k.groups = append(k.ends, len(k.bytes)), append(k.groups, g)
		return nil
	})
	if err != nil {
		return s.wrap("list the timers of sessions", err)
	}
	return nil
}

// plan notes what is due for the n-th key before the timers behind at.
func (s *sessions) plan(n int, at record.Timestamp) error {
	g, key := s.keys.at(n)
	if err := s.load(g, key); err != nil {
		return s.wrap("read state", err)
	}
	for i := range s.list {
		x := &s.list[i]
		if due := s.dueOf(x); due <= s.watermark && due < at+s.grain {
			s.jobs = append(s.jobs, dueSession{due: due, start: x.Start, key: n})
		}
	}
	return nil
}

// do shows the session of a key, forgets it, or both.
func (s *sessions) do(g record.KeyGroup, key []byte, start record.Timestamp) error {
	if err := s.load(g, key); err != nil {
		return s.wrap("read state", err)
	}
	i := slices.IndexFunc(s.list, func(x window.Session) bool { return x.Start == start })
	x := &s.list[i]
	if !x.Shown {
		x.Shown = true
		if err := s.show(x, record.OpInsert, g, key, nil); err != nil {
			return err
		}
	}
	if x.End+s.lateness <= s.watermark {
		for _, part := range x.Parts {
			if err := s.drop(g, partNamespace(part), key); err != nil {
				return s.wrap("drop a closed session", err)
			}
		}
		s.list = slices.Delete(s.list, i, i+1)
	}
	return s.write(g, key)
}

// settle puts the timer of the n-th key where its next one belongs.
func (s *sessions) settle(n int, at record.Timestamp) error {
	g, key := s.keys.at(n)
	if err := s.load(g, key); err != nil {
		return s.wrap("read state", err)
	}
	next := record.MaxTimestamp
	for i := range s.list {
		next = min(next, s.dueOf(&s.list[i]))
	}
	if len(s.list) == 0 {
		s.timer = at // which the entry that is gone had
	}
	to := s.timerAt(next)
	if to == at {
		s.wake = min(s.wake, next)
		return nil
	}
	if err := s.moveTimer(g, key, to); err != nil {
		return err
	}
	return s.write(g, key)
}
