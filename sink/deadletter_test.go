package sink

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/record"
	"kstream/topology"
)

func letterSpec() *topology.Spec {
	return &topology.Spec{Name: "job", Producer: topology.ProducerSpec{BatchSize: 2_000},
		DeadLetter: &topology.DeadLetterSpec{Topic: "dlq", IncludeValue: true}}
}

// shown is a dead letter as a test compares it.
func shown(m *record.Message) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s/%d @%d", m.Topic, m.Partition, m.Time)
	for _, part := range [][]byte{m.Key, m.Value} {
		switch {
		case part == nil:
			b.WriteString(" nil")
		case len(part) > 40:
			fmt.Fprintf(&b, " %d bytes", len(part))
		default:
			fmt.Fprintf(&b, " %q", part)
		}
	}
	for _, h := range m.Headers {
		fmt.Fprintf(&b, " %s=", strings.TrimPrefix(h.Key, "kstream.error."))
		switch {
		case h.Value == nil:
			b.WriteString("nil")
		case len(h.Value) > 40:
			fmt.Fprintf(&b, "%d bytes", len(h.Value))
		default:
			b.Write(h.Value)
		}
	}
	return b.String()
}

func TestDeadLetter(t *testing.T) {
	const ours = " pipeline=job node=s/x code=c message=m topic=in partition=5 offset=9 time=1970-01-01T00:00:00.000000001Z version=1"
	big := bytes.Repeat([]byte("x"), 3_000)
	for _, c := range []struct {
		name string
		do   func(*topology.Spec, *record.Origin, *record.Error)
		want string
	}{
		{"as it was read", nil, `dlq/0 @77 "k" "v" trace=t trace=nil` + ours},
		{"no key", func(_ *topology.Spec, o *record.Origin, _ *record.Error) { o.Key = nil }, `dlq/1 @77 nil "v" trace=t trace=nil` + ours},
		{"tombstone", func(_ *topology.Spec, o *record.Origin, _ *record.Error) { o.Value = nil }, `dlq/0 @77 "k" nil trace=t trace=nil` + ours},
		{"empty", func(_ *topology.Spec, o *record.Origin, _ *record.Error) { o.Key, o.Value = []byte{}, []byte{} },
			fmt.Sprintf(`dlq/%d @77 "" "" trace=t trace=nil`, record.PartitionOf([]byte{}, 4)) + ours},
		{"without the value", func(s *topology.Spec, _ *record.Origin, _ *record.Error) { s.DeadLetter.IncludeValue = false },
			`dlq/0 @77 "k" nil trace=t trace=nil` + ours},
		{"a large value", func(_ *topology.Spec, o *record.Origin, _ *record.Error) { o.Value = big },
			`dlq/0 @77 "k" nil trace=t trace=nil` + ours + " value_omitted=3000"},
		{"a large header", func(_ *topology.Spec, o *record.Origin, _ *record.Error) { o.Headers[0].Value = big },
			`dlq/0 @77 "k" nil` + ours + " value_omitted=1"},
		{"a large key", func(_ *topology.Spec, o *record.Origin, _ *record.Error) { o.Key = big },
			`dlq/1 @77 nil nil` + ours + " value_omitted=1"},
		{"a long message", func(_ *topology.Spec, _ *record.Origin, e *record.Error) { e.Message = strings.Repeat("ä", 700) },
			`dlq/0 @77 "k" "v" trace=t trace=nil` + strings.Replace(ours, "message=m", "message=1023 bytes", 1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, s := newRig(), letterSpec()
			r.env.Now = 1
			o := &record.Origin{Topic: "in", Partition: 5, Offset: 9, Time: 77, Key: []byte("k"), Value: []byte("v"),
				Headers: []record.Header{{Key: "trace", Value: []byte("t")}, {Key: "trace"}}}
			e := &record.Error{Node: "s/x", Code: "c", Message: "m"}
			if c.do != nil {
				c.do(s, o, e)
			}
			r.row.Origin = o
			got := NewDeadLetters(s, &r.env).Encode(nil, &r.row, e.At(o), 4)
			if shown(got) != c.want {
				t.Errorf("got  %s\nwant %s", shown(got), c.want)
			}
		})
	}
}

// TestDeadLetterOfARow: what was not read is shown as JSON.
func TestDeadLetterOfARow(t *testing.T) {
	r := newRig()
	n := r.node
	n.Dead = &n.Encode.Value
	e := &record.Error{Node: "s/x", Code: "c", Message: "m"}
	const ours = " pipeline=job node=s/x code=c message=m"
	const end = " time=1970-01-01T00:00:00Z version=1"
	d := NewDeadLetters(letterSpec(), &r.env)
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"a result", func() { r.row.Origin = nil }, `dlq/0 @1000 "k" "{\"n\":7,\"name\":\"x\"}"` + ours + end},
		{"a result behind an exchange", func() { r.row.Origin = &record.Origin{} }, `dlq/0 @1000 "k" "{\"n\":7,\"name\":\"x\"}"` + ours + end},
		{"a generated record", func() { r.row.Origin = &record.Origin{Topic: "gen", Offset: 3, Time: 1_001}; e.At(r.row.Origin) },
			`dlq/0 @1001 "k" "{\"n\":7,\"name\":\"x\"}"` + ours + " topic=gen partition=0 offset=3" + end},
		{"one value", func() {
			n.Dead = &topology.ValueEncode{Whole: 1, Rest: codec.RestSpec{Slot: -1}}
		}, `dlq/0 @1001 "k" "\"x\""` + ours + " topic=gen partition=0 offset=3" + end},
		{"what JSON cannot hold", func() { r.row.Key, r.row.Slots[1] = record.Null, record.Float(nan()) },
			`dlq/0 @1001 nil nil` + ours + " topic=gen partition=0 offset=3" + end},
	} {
		c.do()
		if got := shown(d.Encode(n, &r.row, e, 4)); got != c.want {
			t.Errorf("%s: got  %s\nwant %s", c.name, got, c.want)
		}
	}
}
