package runtime

import (
	"context"
	"time"

	"kstream/checkpoint"
	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// sender is where one task puts rows into one exchange: a batch under way for
// each receiver, and the channels to them.
type sender struct {
	ctx      context.Context
	end      *topology.ExchangeEnd
	columns  []int
	to       []*inbox // by subtask of the receiver
	input    int      // our channel number at the receivers
	ranges   groupRanges
	subtask  int
	by       *expr.Program
	env      *expr.Env
	original bool // rows carry the record they were read from
	sendKey  bool // the receiver reads $key, and routing does not encode it

	times   *retimed // of a timestamps step, nil otherwise
	pending []*rows
	pool    *rowsPool
	turn    int
	buf     []byte
	blocked *blockedTime

	bufBefore []byte
}

// send copies the row into the batch of its receiver, and sends the batch when
// it is full. The row's bytes are copied: nothing of the sender's memory is
// shared with the receiver.
func (s *sender) send(row *record.Row) error {
	if s.times != nil {
		if err := s.observe(row.Time); err != nil {
			return err
		}
	}
	key, group := row.KeyBytes, row.Group
	switch {
	case s.by != nil:
		v := s.by.Eval(s.env)
		if bad := s.env.Err(); bad != nil {
			return &record.Error{Code: bad.Code, Message: "partition: " + bad.Message}
		}
		var err error
		if s.buf, err = codec.AppendKey(s.buf[:0], v); err != nil {
			return &record.Error{Code: "eval-failed", Message: "partition: " + err.Error()}
		}
		to := s.ranges.owner(record.KeyGroupOf(s.buf, s.ranges.groups))
		if key == nil && s.sendKey {
			if s.buf, err = codec.AppendKey(s.buf[:0], row.Key); err != nil {
				return &record.Error{Code: "eval-failed", Message: "key: " + err.Error()}
			}
			key, group = s.buf, record.KeyGroupOf(s.buf, s.ranges.groups)
		}
		return s.put(to, row, key, group)
	case s.end.Exchange.Kind == topology.ExchangeHash:
		return s.put(s.ranges.owner(group), row, key, group)
	}
	if key == nil && s.sendKey {
		var err error
		if s.buf, err = codec.AppendKey(s.buf[:0], row.Key); err != nil {
			return &record.Error{Code: "eval-failed", Message: "key: " + err.Error()}
		}
		key, group = s.buf, record.KeyGroupOf(s.buf, s.ranges.groups)
	}
	switch s.end.Exchange.Kind {
	case topology.ExchangeBroadcast:
		for i := range s.to {
			if err := s.put(i, row, key, group); err != nil {
				return err
			}
		}
		return nil
	case topology.ExchangeRebalance:
		s.turn = (s.turn + 1) % len(s.to)
		return s.put(s.turn, row, key, group)
	}
	return s.put(s.subtask%len(s.to), row, key, group)
}

func (s *sender) put(to int, row *record.Row, key []byte, group record.KeyGroup) error {
	b := s.pending[to]
	if b == nil {
		b = s.pool.get(len(s.columns))
		s.pending[to] = b
	}
	if row.Before != nil {
		if err := s.putBefore(b, row.Before); err != nil {
			return err
		}
	}
	s.copyRow(b, row, key, group)
	if len(b.heads) >= rowsMax || b.kept >= keptMax {
		return s.flushTo(to)
	}
	return nil
}

// putBefore puts the row as it was in front of an update, into the same batch.
func (s *sender) putBefore(b *rows, before *record.Row) error {
	key, group := before.KeyBytes, before.Group
	if key == nil && s.sendKey {
		var err error
		if s.bufBefore, err = codec.AppendKey(s.bufBefore[:0], before.Key); err != nil {
			return err
		}
		key, group = s.bufBefore, record.KeyGroupOf(s.bufBefore, s.ranges.groups)
	}
	s.copyRow(b, before, key, group)
	b.heads[len(b.heads)-1].before = true
	return nil
}

func (s *sender) copyRow(b *rows, row *record.Row, key []byte, group record.KeyGroup) {
	b.heads = append(b.heads, head{})
	h := &b.heads[len(b.heads)-1]
	h.group, h.op, h.bare, h.time, h.window = group, row.Op, row.Bare, row.Time, row.Window
	if key != nil {
		h.key = b.arena.Copy(key)
	}
	if o := row.Origin; o != nil {
		h.topic, h.part, h.offset, h.read = o.Topic, o.Partition, o.Offset, o.Time
	}
	if s.original {
		b.keep(row.Origin)
	}
	for _, slot := range s.columns {
		b.values = append(b.values, row.Slots[slot].Clone(&b.arena))
	}
}

func (s *sender) flushTo(to int) error {
	b := s.pending[to]
	if b == nil {
		return nil
	}
	s.pending[to] = nil
	began := time.Now()
	waited, err := s.to[to].put(s.ctx, s.input, message{kind: messageRows, rows: b})
	if waited {
		s.blocked.add(time.Since(began))
	}
	return err
}

// flush sends every batch under way.
func (s *sender) flush() error {
	for to := range s.pending {
		if err := s.flushTo(to); err != nil {
			return err
		}
	}
	return nil
}

// control sends a watermark, an idle mark or a barrier behind all rows, to every
// receiver, also to those that got no rows (A2).
func (s *sender) control(m message) error {
	if err := s.flush(); err != nil {
		return err
	}
	for _, to := range s.to {
		if _, err := to.put(s.ctx, s.input, m); err != nil {
			return err
		}
	}
	return nil
}

// groupRanges says which subtask owns a key group: contiguous ranges, as even
// as possible.
type groupRanges struct {
	groups, subtasks int
}

// owner is the subtask of a group.
func (r groupRanges) owner(g record.KeyGroup) int {
	return int(g) * r.subtasks / r.groups
}

// of is the range of a subtask, both ends included; ok is false if it owns none.
func (r groupRanges) of(subtask int) (first, last record.KeyGroup, ok bool) {
	low := (subtask*r.groups + r.subtasks - 1) / r.subtasks
	high := ((subtask+1)*r.groups - 1) / r.subtasks
	return record.KeyGroup(low), record.KeyGroup(high), low <= high
}

// ack is what a task tells the coordinator of a barrier.
type ack struct {
	task   *taskCore
	epoch  checkpoint.Epoch
	frozen *frozen
}
