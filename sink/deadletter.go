package sink

import (
	"strconv"
	"time"
	"unicode/utf8"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// messageMax is the longest text of a header that says what was wrong.
const messageMax = 1024

// deadLetterVersion is the version of the headers of a dead letter.
const deadLetterVersion = "1"

// DeadLetters makes dead letters of rows that failed: the record as it was read,
// with headers that say what was wrong with it (docs/formats.md). It belongs to
// one task.
type DeadLetters struct {
	spec     *topology.DeadLetterSpec
	pipeline string
	limit    int64
	env      *expr.Env
	values   map[*topology.Node]*codec.JSONEncoder
}

// NewDeadLetters makes the dead letters of a task; env is that of its chain.
func NewDeadLetters(spec *topology.Spec, env *expr.Env) *DeadLetters {
	return &DeadLetters{
		spec: spec.DeadLetter, pipeline: spec.Name, limit: spec.Producer.BatchSize, env: env,
		values: map[*topology.Node]*codec.JSONEncoder{},
	}
}

// Encode makes the dead letter of a row, for a topic with that many partitions.
// Node is nil for a record that its source could not read.
func (d *DeadLetters) Encode(node *topology.Node, row *record.Row, e *record.Error, partitions int32) *record.Message {
	m := &record.Message{Topic: d.spec.Topic, Epoch: -1, Time: row.Time}
	read := row.Origin != nil && e.Topic != ""
	if read {
		m.Time = row.Origin.Time
		m.Key, m.Value = row.Origin.Key, row.Origin.Value
		m.Headers = append(m.Headers, row.Origin.Headers...)
	}
	if m.Key == nil && m.Value == nil && node != nil && node.Dead != nil {
		m.Key, m.Value = d.shown(node, row)
	}
	d.addHeaders(m, e, read)
	if !d.spec.IncludeValue {
		m.Value = nil
	}
	d.fit(m)
	m.Partition = 0
	switch {
	case m.Key != nil:
		m.Partition = record.PartitionOf(m.Key, partitions)
	case read:
		m.Partition = row.Origin.Partition % partitions
	}
	return m
}

// shown is the key and the value of a row that is no record that was read. What
// cannot be written is left out: a dead letter never fails.
func (d *DeadLetters) shown(node *topology.Node, row *record.Row) (key, value []byte) {
	if k, null, err := codec.AppendRecordKey(nil, row.Key, "auto"); err == nil && !null {
		key = k
	}
	v := node.Dead
	o := codec.JSONWriteOptions{Timestamp: v.Format.Timestamp}
	var err error
	if v.Whole >= 0 {
		value, err = codec.AppendJSON(nil, row.Slots[v.Whole], record.Any, o)
	} else {
		enc := d.values[node]
		if enc == nil {
			enc = codec.NewJSONEncoder(v.Fields, v.Rest, o)
			d.values[node] = enc
		}
		value, err = enc.Append(nil, row.Slots, row.Text)
	}
	if err != nil {
		return key, nil
	}
	return key, value
}

// addHeaders says what was wrong, where, and where the record was read.
func (d *DeadLetters) addHeaders(m *record.Message, e *record.Error, read bool) {
	add := func(name, value string) {
		m.Headers = append(m.Headers, record.Header{Key: "kstream.error." + name, Value: []byte(value)})
	}
	add("pipeline", d.pipeline)
	add("node", e.Node)
	add("code", e.Code)
	add("message", cut(e.Message, messageMax))
	if read {
		add("topic", e.Topic)
		add("partition", strconv.Itoa(int(e.Partition)))
		add("offset", strconv.FormatInt(int64(e.Offset), 10))
	}
	add("time", time.Unix(0, d.env.Now).UTC().Format(time.RFC3339Nano))
	add("version", deadLetterVersion)
}

// fit leaves out what the topic cannot take: a record with its own headers and
// ours may be larger than a batch.
func (d *DeadLetters) fit(m *record.Message) {
	if d.size(m) <= d.limit {
		return
	}
	size := len(m.Value)
	m.Value = nil
	m.Headers = append(m.Headers, record.Header{Key: "kstream.error.value_omitted", Value: []byte(strconv.Itoa(size))})
	if d.size(m) > d.limit { // then its own headers are the large ones, or its key
		ours := m.Headers[:0:0]
		for _, h := range m.Headers {
			if len(h.Key) > 14 && h.Key[:14] == "kstream.error." {
				ours = append(ours, h)
			}
		}
		m.Headers = ours
	}
	if d.size(m) > d.limit {
		m.Key = nil
	}
}

// batchOverhead is what a batch adds to its records, with room to spare.
const batchOverhead = 512

func (d *DeadLetters) size(m *record.Message) int64 {
	n := batchOverhead + len(m.Key) + len(m.Value)
	for _, h := range m.Headers {
		n += len(h.Key) + len(h.Value) + 10
	}
	return int64(n)
}

// cut shortens a text to whole characters.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	most -= len("…")
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}
