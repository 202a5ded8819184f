package sink

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

type rig struct {
	env   expr.Env
	arena record.Arena
	row   record.Row
	node  *topology.Node
}

// newRig makes a sink of format json with the fields n (slot 0) and name (slot 1).
func newRig() *rig {
	r := &rig{}
	r.env.Arena = &r.arena
	r.row = record.Row{
		Slots: []record.Value{record.Int(7), record.String("x"), record.Null},
		Key:   record.String("k"), Time: 1_000,
		Origin: &record.Origin{Topic: "in", Partition: 2, Key: []byte("raw key"), Value: []byte("raw value")},
	}
	r.node = &topology.Node{
		UID: "sink:out", Kind: topology.NodeSink,
		Sink: &topology.Sink{Spec: &topology.SinkSpec{
			Name: "out", Topic: "out", Mode: "append", MaxRecordSize: 1_000,
			KeyFormat: topology.FormatSpec{Kind: "auto"},
			Partition: topology.SinkPartition{Kind: "key_hash"},
		}},
		Encode: &topology.Encode{Topic: "out", Value: topology.ValueEncode{
			Format: topology.FormatSpec{Kind: "json"}, Whole: -1, Rest: codec.RestSpec{Slot: -1},
			Fields: []codec.EncodeField{
				{Name: "n", Slot: 0, Type: record.TypeOf(record.TypeInt)},
				{Name: "name", Slot: 1, Type: record.TypeOf(record.TypeString)},
			},
		}},
	}
	return r
}

func (r *rig) encoder(t testing.TB) *Encoder {
	t.Helper()
	e, err := NewEncoder(r.node, &r.env)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func (r *rig) encode(t testing.TB) (string, error) {
	t.Helper()
	r.env.Begin(&r.row)
	m, err := r.encoder(t).Encode(&r.row)
	if err != nil {
		return "", err
	}
	return show(m), nil
}

func show(m *record.Message) string {
	part := func(b []byte) string {
		if b == nil {
			return "null"
		}
		return fmt.Sprintf("%q", b)
	}
	out := fmt.Sprintf("%s %s=%s @%d", m.Topic, part(m.Key), part(m.Value), m.Time)
	for _, h := range m.Headers {
		out += fmt.Sprintf(" %s:%s", h.Key, part(h.Value))
	}
	return out
}

func slot(i int) *expr.Program {
	return &expr.Program{Eval: func(e *expr.Env) record.Value { return e.Row.Slots[i] }}
}

func constant(v record.Value) *expr.Program {
	return &expr.Program{Eval: func(*expr.Env) record.Value { return v }}
}

func TestRecordsOfRows(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*rig)
		want   string
	}{
		{"fields", func(*rig) {}, `out "k"="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"null key", func(r *rig) { r.row.Key = record.Null }, `out null="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"raw key", func(r *rig) { r.node.Encode.KeyRaw = true }, `out "raw key"="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"raw key of a record without one", func(r *rig) { r.node.Encode.KeyRaw = true; r.row.Origin.Key = nil },
			`out null="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"key expression", func(r *rig) { r.node.Encode.Key = &topology.Key{Program: slot(0)} }, `out "7"="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"composite key", func(r *rig) {
			r.node.Encode.Key = &topology.Key{Names: []string{"a", "b"}, Parts: []*expr.Program{slot(0), slot(1)}}
		}, `out "{\"a\":7,\"b\":\"x\"}"="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"text", func(r *rig) { r.node.Encode.Value.Format.Kind, r.node.Encode.Value.Whole = "string", 0 }, `out "k"="7" @1000`},
		{"null text", func(r *rig) { r.node.Encode.Value.Format.Kind, r.node.Encode.Value.Whole = "string", 2 }, `out "k"=null @1000`},
		{"bytes", func(r *rig) { r.node.Encode.Value.Format.Kind, r.node.Encode.Value.Whole = "bytes", 1 }, `out "k"="x" @1000`},
		{"whole json", func(r *rig) { r.node.Encode.Value.Whole = 1 }, `out "k"="\"x\"" @1000`},
		{"raw", func(r *rig) { r.node.Encode.Value.Raw = true }, `out "k"="raw value" @1000`},
		{"headers", func(r *rig) {
			r.node.Encode.Headers = []topology.HeaderEncode{
				{Name: "a", Program: slot(1)}, {Name: "none", Program: slot(2)}, {Name: "empty", Program: constant(record.String(""))},
				{Name: "b", Program: constant(record.Bytes([]byte("yz")))},
			}
		}, `out "k"="{\"n\":7,\"name\":\"x\"}" @1000 a:"x" empty:"" b:"yz"`},
		{"timestamp", func(r *rig) { r.node.Encode.Timestamp = constant(record.TimestampNanos(5_999_999)) },
			`out "k"="{\"n\":7,\"name\":\"x\"}" @5`},
		{"upsert", func(r *rig) { r.node.Sink.Spec.Mode = "upsert" }, `out "k"="{\"n\":7,\"name\":\"x\"}" @1000`},
		{"delete", func(r *rig) { r.node.Sink.Spec.Mode, r.row.Op = "upsert", record.OpDelete }, `out "k"=null @1000`},
	} {
		r := newRig()
		c.change(r)
		if got, err := r.encode(t); err != nil || got != c.want {
			t.Errorf("%s: %s, %v\nwant %s", c.name, got, err, c.want)
		}
	}
}

func TestRowsThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name       string
		change     func(*rig)
		code, text string
	}{
		{"too large", func(r *rig) { r.node.Sink.Spec.MaxRecordSize = 18 }, "too-large", "19 bytes, max_record_size is 18"},
		{"upsert without a key", func(r *rig) { r.node.Sink.Spec.Mode, r.row.Key = "upsert", record.Null }, "encode-failed", "need a key"},
		{"null in a required field", func(r *rig) {
			r.node.Encode.Value.Fields[1].Slot = 2
			r.node.Encode.Value.Fields[1].Type.Required = true
		}, "encode-failed", "name"},
		{"not a number", func(r *rig) { r.node.Encode.Value.Fields[0].Type = record.Any; r.row.Slots[0] = record.Float(nan()) }, "encode-failed", "value"},
		{"header", func(r *rig) { r.node.Encode.Headers = []topology.HeaderEncode{{Name: "a", Program: slot(0)}} }, "encode-failed", "header a: text or bytes are needed, found int"},
		{"timestamp", func(r *rig) { r.node.Encode.Timestamp = slot(2) }, "encode-failed", "timestamp: a timestamp is needed, found null"},
		{"list as text", func(r *rig) {
			r.node.Encode.Value.Format.Kind, r.node.Encode.Value.Whole = "string", 0
			r.row.Slots[0] = record.List(nil)
		}, "encode-failed", "found list"},
		{"int as bytes", func(r *rig) { r.node.Encode.Value.Format.Kind, r.node.Encode.Value.Whole = "bytes", 0 }, "encode-failed", "found int"},
		{"object as text key", func(r *rig) {
			r.node.Sink.Spec.KeyFormat.Kind = "string"
			r.row.Key = record.JSON([]byte("{}"))
		}, "encode-failed", "key"},
	} {
		r := newRig()
		c.change(r)
		got, err := r.encode(t)
		var bad *record.Error
		if !errors.As(err, &bad) {
			t.Errorf("%s: %s, %v", c.name, got, err)
			continue
		}
		if bad.Code != c.code || !strings.Contains(bad.Message, c.text) {
			t.Errorf("%s: %s: %q, want %s with %q", c.name, bad.Code, bad.Message, c.code, c.text)
		}
	}
}

func nan() float64 {
	zero := 0.0
	return zero / zero
}

func (r *rig) partitions(t *testing.T, e *Encoder, n int32, times int) (out []int32) {
	t.Helper()
	for range times {
		r.env.Begin(&r.row)
		m, err := e.Encode(&r.row)
		if err == nil {
			err = e.Partition(&r.row, n)
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m.Partition)
	}
	return out
}

func TestPartitionsByKind(t *testing.T) {
	r := newRig()
	hash := record.PartitionOf([]byte("k"), 7)
	if got := r.partitions(t, r.encoder(t), 7, 2); got[0] != hash || got[1] != hash {
		t.Errorf("key_hash: %v, want %d", got, hash)
	}
	r.node.Sink.Spec.Partition.Kind = "round_robin"
	if got := fmt.Sprint(r.partitions(t, r.encoder(t), 3, 4)); got != "[1 2 0 1]" {
		t.Errorf("round_robin: %s", got)
	}
	r.node.Sink.Spec.Partition.Kind = "source_partition"
	if got := r.partitions(t, r.encoder(t), 3, 1); got[0] != 2 {
		t.Errorf("source_partition: %v, want 2", got)
	}
	if err := r.encoder(t).Partition(&r.row, 2); err == nil {
		t.Error("source_partition: partition 2 of 2")
	}
	r.node.Sink.Spec.Partition.Kind = "by"
	r.node.Encode.By = slot(0)
	if got, want := r.partitions(t, r.encoder(t), 7, 1)[0], record.PartitionOf([]byte("7"), 7); got != want {
		t.Errorf("by: %d, want %d", got, want)
	}
}

func TestRecordsWithoutAKeyFillOnePartitionAfterAnother(t *testing.T) {
	r := newRig()
	r.row.Key = record.Null
	got := r.partitions(t, r.encoder(t), 3, 4*stickyRun)
	for i, p := range got {
		if want := int32(i / stickyRun % 3); p != want {
			t.Fatalf("record %d goes to %d, want %d", i, p, want)
		}
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	r := newRig()
	r.node.Encode.Key = &topology.Key{Names: []string{"a", "b"}, Parts: []*expr.Program{slot(0), slot(1)}}
	r.node.Encode.Headers = []topology.HeaderEncode{{Name: "h", Program: slot(1)}}
	e := r.encoder(t)
	encode := func() {
		r.env.Begin(&r.row)
		_, err := e.Encode(&r.row)
		if err == nil {
			err = e.Partition(&r.row, 7)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	encode()
	if n := testing.AllocsPerRun(1_000, encode); n != 0 {
		t.Errorf("%v allocations per record", n)
	}
}

func BenchmarkEncode(b *testing.B) {
	r := newRig()
	e := r.encoder(b)
	b.ReportAllocs()
	for range b.N {
		r.env.Begin(&r.row)
		if _, err := e.Encode(&r.row); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLines(t *testing.T) {
	value := func(s string) *record.Message { return &record.Message{Key: []byte("k"), Value: []byte(s)} }
	for _, c := range []struct {
		name string
		o    LineOptions
		m    *record.Message
		want string
	}{
		{"plain", LineOptions{}, value(`{"a":1}`), "{\"a\":1}\n"},
		{"prefix", LineOptions{Prefix: "> "}, value("x"), "> x\n"},
		{"pretty", LineOptions{Pretty: true}, value(`{"a":1}`), "{\n  \"a\": 1\n}\n"},
		{"pretty text", LineOptions{Pretty: true}, value("not json"), "not json\n"},
		{"tombstone", LineOptions{}, &record.Message{Key: []byte("k")}, "k deleted\n"},
		{"control characters", LineOptions{}, value("a\x1b[2Jb\n"), `a\x1b[2Jb\x0a` + "\n"},
		{"unicode", LineOptions{}, value("größe"), "größe\n"},
		{"bytes", LineOptions{}, value("\xff\x00a"), `\xff\x00a` + "\n"},
	} {
		if got := string(NewLine(c.o).Append(nil, c.m)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
