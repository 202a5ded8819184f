package sink

import (
	"strings"
	"testing"

	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

func (r *rig) holes(slots ...int) {
	h := &topology.TopicHoles{Text: []string{"out-"}, Internal: "kstream.job."}
	for _, i := range slots {
		h.Text = append(h.Text, "")
		h.Programs = append(h.Programs, &expr.Program{Eval: func(e *expr.Env) record.Value { return e.Row.Slots[i] }})
	}
	r.node.Encode.Holes, r.node.Encode.Topic = h, ""
}

// TestTopicOfARecord: what a record may name, and what is its mistake.
func TestTopicOfARecord(t *testing.T) {
	for _, c := range []struct {
		text string
		v    record.Value
		want string
	}{
		{"out-", record.String("eu"), "out-eu"},
		{"out-", record.Int(7), "out-7"},
		{"", record.String("A.b_c-1"), "A.b_c-1"},
		{"out-", record.String(""), "out-"},
		{"out-", record.Null, "encode-failed topic: a hole is null"},
		{"out-", record.String("a/b"), `encode-failed topic: "out-a/b" is not a topic name: letters, digits and . _ -, at most 249`},
		{"", record.String(""), `encode-failed topic: "" is not a topic name: letters, digits and . _ -, at most 249`},
		{"", record.String(".."), `encode-failed topic: ".." is not a topic name: letters, digits and . _ -, at most 249`},
		{"", record.String("ä"), `encode-failed topic: "ä" is not a topic name: letters, digits and . _ -, at most 249`},
		{"", record.String("kstream.job.changelog"), `encode-failed topic: "kstream.job.changelog" is a topic of the job itself`},
		{"", record.String("kstream.job2"), "kstream.job2"},
		{"", record.String(strings.Repeat("a", 249)), strings.Repeat("a", 249)},
		{"", record.String(strings.Repeat("a", 250)), `encode-failed topic: "` + strings.Repeat("a", 200) + `…" is not a topic name: letters, digits and . _ -, at most 249`},
	} {
		r := newRig()
		r.holes(2)
		r.node.Encode.Holes.Text[0] = c.text
		r.row.Slots[2] = c.v
		r.env.Begin(&r.row)
		m, err := r.encoder(t).Encode(&r.row)
		got := ""
		if err != nil {
			bad := err.(*record.Error)
			got = bad.Code + " " + bad.Message
		} else {
			got = m.Topic
		}
		if got != c.want {
			t.Errorf("%s+%s: got %s, want %s", c.text, c.v.TypeName(), got, c.want)
		}
	}
}

// TestTopicNamesAreMadeOnce: a name that was made before costs no allocation.
func TestTopicNamesAreMadeOnce(t *testing.T) {
	r := newRig()
	r.holes(0)
	e := r.encoder(t)
	i := int64(0)
	pass := func() {
		i = (i + 1) % 10
		r.row.Slots[0] = record.Int(i)
		r.arena.Reset()
		r.env.Begin(&r.row)
		if _, err := e.Encode(&r.row); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		pass()
	}
	if n := testing.AllocsPerRun(100, pass); n > 0 {
		t.Errorf("%v allocations per record", n)
	}
	e.topics = nil
	for n := range int64(topicsMax + 5) {
		r.row.Slots[0] = record.Int(n)
		r.env.Begin(&r.row)
		if _, err := e.Encode(&r.row); err != nil {
			t.Fatal(err)
		}
	}
	if len(e.topics) > topicsMax {
		t.Errorf("%d names are remembered", len(e.topics))
	}
}
