package source

import (
	"fmt"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// Options are what a decoder or a generator needs beside the plan.
type Options struct {
	Time    string    // of the pipeline: event, ingestion, processing; empty is event
	Expr    *expr.Env // of the task; its Arena holds decoded text, its Now is the wall time
	Skipped func(uid, code string)
	// Failed takes the records of on_error: dead_letter and {output: …}. Row has
	// its origin, its time and, where it can be read, its key.
	Failed func(row *record.Row, e *record.Error) error
}

// Decoder makes rows of the records of one source. It belongs to one task.
type Decoder struct {
	stamper
	format string
	json   *codec.JSONScanner
	text   *record.RowText   // of json
	value  int               // slot of the whole value of the formats string and bytes, -1 for none
	key    *codec.KeyDecoder // nil if nobody reads $key
	origin record.Origin

	upsert bool
	slots  []int // of the columns
}

// NewDecoder makes the decoder of a topic or of stdin.
func NewDecoder(plan *topology.Source, o Options) *Decoder {
	spec := plan.Spec
	d := &Decoder{
		stamper: newStamper(plan, o),
		format:  spec.Format.Kind,
		value:   plan.ValueSlot,
	}
	if d.upsert = spec.Mode == "upsert"; d.value >= 0 {
		d.slots = append(d.slots, d.value)
	}
	for _, w := range plan.Wants {
		d.slots = append(d.slots, w.Slot)
	}
	if plan.NeedsKey {
		d.key = codec.NewKeyDecoder(spec.KeyFormat.Kind, spec.KeySchema)
	}
	if d.format == "json" {
		d.json = codec.NewJSONScanner(plan.Wants, codec.JSONOptions{
			ExtraFields: spec.Format.ExtraFields,
			Numbers:     spec.Format.Numbers,
			Schema:      spec.Schema,
		})
		d.text = d.json.Text()
	}
	return d
}

// Decode fills the slots, the key, the time and the origin of row from a record.
// What it fills in points into the record and the arena, and is valid until the
// next call. The evaluation of expressions over row has begun when it returns.
//
// Ok is false if the record was skipped by on_error; a *record.Error means that
// it fails the job.
func (d *Decoder) Decode(m *record.Message, row *record.Row) (ok bool, err error) {
	d.origin = record.Origin{
		Topic: m.Topic, Partition: m.Partition, Offset: m.Offset,
		Time: m.Time, Headers: m.Headers, Key: m.Key, Value: m.Value,
	}
	row.Key, row.KeyBytes, row.Group = record.Null, nil, 0
	row.Op, row.Bare, row.Window = record.OpInsert, false, record.Window{}
	row.Origin, row.Text = &d.origin, d.text
	row.Time = d.arrival(m.Time)
	d.env.Begin(row)
	if bad := d.decodeChange(m, row); bad != nil {
		d.looseKey(row, m.Key)
		return false, d.failed(row, bad)
	}
	if d.key != nil {
		k, bad := d.key.Decode(m.Key, d.env.Arena)
		if bad != nil {
			d.looseKey(row, m.Key)
			return false, d.failed(row, &record.Error{Code: codeDecode, Message: "key: " + bad.Error()})
		}
		row.Key = k
	}
	if row.Bare {
		return true, nil // there is no value to have an event time
	}
	if bad := d.stamp(row, m.Time); bad != nil {
		return false, d.failed(row, bad)
	}
	return true, nil
}

// decodeChange reads the value. In upsert mode a record without one deletes the
// row of its key, of which nothing else is known here.
func (d *Decoder) decodeChange(m *record.Message, row *record.Row) *record.Error {
	if !d.upsert {
		return d.decodeValue(m.Value, row)
	}
	if m.Key == nil {
		return &record.Error{Code: codeDecode, Message: "a record of an upsert source needs a key, it has none"}
	}
	if m.Value != nil {
		row.Op = record.OpUpdate
		return d.decodeValue(m.Value, row)
	}
	row.Op, row.Bare = record.OpDelete, true
	for _, slot := range d.slots {
		row.Slots[slot] = record.Null
	}
	return nil
}

// looseKey is the key of a record that cannot be read: decoded if it can be,
// else its bytes.
func (d *Decoder) looseKey(row *record.Row, key []byte) {
	if d.key == nil {
		return
	}
	row.Key = bytesOrNull(key)
	if k, bad := d.key.Decode(key, d.env.Arena); bad == nil {
		row.Key = k
	}
}

func (d *Decoder) decodeValue(value []byte, row *record.Row) *record.Error {
	switch d.format {
	case "json":
		if value == nil {
			return &record.Error{Code: codeDecode, Message: "the record has no value"}
		}
		if err := d.json.Scan(value, row.Slots, d.env.Arena); err != nil {
			return &record.Error{Code: codeDecode, Message: err.Error()}
		}
		return nil
	case "string":
		return d.decodeText(value, row)
	}
	if d.value >= 0 {
		row.Slots[d.value] = bytesOrNull(value)
	}
	return nil
}

// decodeText checks the text also when nobody reads it, so that a record is
// good or bad whatever the rest of the pipeline does.
func (d *Decoder) decodeText(value []byte, row *record.Row) *record.Error {
	v := record.Null
	if value != nil {
		var bad *codec.DecodeError
		if v, bad = codec.DecodeString(value); bad != nil {
			return &record.Error{Code: codeDecode, Message: bad.Error()}
		}
	}
	if d.value >= 0 {
		row.Slots[d.value] = v
	}
	return nil
}

func bytesOrNull(b []byte) record.Value {
	if b == nil {
		return record.Null
	}
	return record.Bytes(b)
}

// The codes of records that cannot be read.
const (
	codeDecode = "decode-failed"
	codeEval   = "eval-failed"
)

// stamper gives rows their time and deals with those that fail.
type stamper struct {
	env       *expr.Env
	uid       string
	byClock   bool
	eventTime *expr.Program
	onError   string
	skipped   func(uid, code string)
	diverted  func(row *record.Row, e *record.Error) error
}

func newStamper(plan *topology.Source, o Options) stamper {
	return stamper{
		env:       o.Expr,
		uid:       plan.Spec.UID,
		byClock:   o.Time != "" && o.Time != "event",
		eventTime: plan.EventTime,
		onError:   plan.Spec.OnError.Kind,
		skipped:   o.Skipped,
		diverted:  o.Failed,
	}
}

// stamp sets the time of a row: the event time floored to milliseconds, or the
// wall time of the batch.
func (s *stamper) stamp(row *record.Row, recordTime record.Timestamp) *record.Error {
	switch {
	case s.byClock || s.eventTime == nil:
		row.Time = s.arrival(recordTime)
		return nil
	}
	v := s.eventTime.Eval(s.env)
	if err := s.env.Err(); err != nil {
		return &record.Error{Code: err.Code, Message: "event_time: " + err.Message}
	}
	if v.Kind() != record.KindTimestamp {
		return &record.Error{Code: codeEval, Message: fmt.Sprintf("event_time is %s", v.TypeName())}
	}
	row.Time = v.Millis()
	return nil
}

// arrival is the time of a record as far as nothing of it needs to be read.
func (s *stamper) arrival(recordTime record.Timestamp) record.Timestamp {
	if s.byClock {
		return record.TimestampNanos(s.env.Now).Millis()
	}
	return recordTime
}

// failed applies on_error: nil if the job goes on.
func (s *stamper) failed(row *record.Row, e *record.Error) error {
	e.Node = s.uid
	e.At(row.Origin)
	s.env.Begin(row)
	switch s.onError {
	case "skip":
		if s.skipped != nil {
			s.skipped(e.Node, e.Code)
		}
		return nil
	case "dead_letter", "output":
		return s.diverted(row, e)
	}
	return e
}
