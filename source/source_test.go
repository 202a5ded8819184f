package source

import (
	"errors"
	"strings"
	"testing"
	"time"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

type rig struct {
	env     expr.Env
	arena   record.Arena
	row     record.Row
	skipped map[string]int
}

func newRig(slots int) *rig {
	r := &rig{skipped: map[string]int{}}
	r.env.Arena = &r.arena
	r.row.Slots = make([]record.Value, slots)
	return r
}

func (r *rig) options(time string) Options {
	return Options{Time: time, Expr: &r.env, Skipped: func(uid, code string) { r.skipped[uid+" "+code]++ }}
}

func slot(i int) *expr.Program {
	return &expr.Program{Eval: func(e *expr.Env) record.Value { return e.Row.Slots[i] }}
}

func plan(format string) *topology.Source {
	return &topology.Source{ValueSlot: -1, Spec: &topology.SourceSpec{
		Name: "in", UID: "source:in",
		Format:    topology.FormatSpec{Kind: format},
		KeyFormat: topology.FormatSpec{Kind: "auto"},
		OnError:   topology.OnErrorSpec{Kind: "fail"},
	}}
}

func message(value string) *record.Message {
	return &record.Message{Topic: "t", Partition: 2, Offset: 9, Time: 1_234, Key: []byte("k"), Value: []byte(value)}
}

func TestDecodeFillsSlotsKeyTimeAndOrigin(t *testing.T) {
	r := newRig(2)
	p := plan("json")
	p.Wants = []codec.JSONWant{
		{Path: []string{"n"}, Type: record.TypeOf(record.TypeInt), Slot: 0},
		{Path: []string{"at"}, Type: record.TypeOf(record.TypeTimestamp), Slot: 1},
	}
	p.NeedsKey, p.EventTime = true, slot(1)
	d := NewDecoder(p, r.options("event"))
	ok, err := d.Decode(message(`{"n":7,"at":"1969-12-31T23:59:59.9995Z"}`), &r.row)
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	if r.row.Slots[0].Int() != 7 || r.row.Key.Text() != "k" {
		t.Errorf("n %v, key %v", r.row.Slots[0].Int(), r.row.Key.Text())
	}
	if r.row.Time != -1 {
		t.Errorf("event time %d, want -1: floored", r.row.Time)
	}
	if o := r.row.Origin; o.Topic != "t" || o.Partition != 2 || o.Offset != 9 || o.Time != 1_234 || string(o.Key) != "k" {
		t.Errorf("origin %+v", o)
	}
}

func TestTimeOfARow(t *testing.T) {
	for _, c := range []struct {
		time string
		want record.Timestamp
	}{{"event", 1_234}, {"", 1_234}, {"ingestion", 5}, {"processing", 5}} {
		r := newRig(0)
		r.env.Now = 5_999_999
		if ok, err := NewDecoder(plan("bytes"), r.options(c.time)).Decode(message("x"), &r.row); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if r.row.Time != c.want {
			t.Errorf("%q: time %d, want %d", c.time, r.row.Time, c.want)
		}
	}
}

func TestBadRecords(t *testing.T) {
	for _, c := range []struct {
		name, format string
		value        []byte
		eventTime    *expr.Program
		key          string
		code, text   string
	}{
		{"json", "json", []byte(`{"n":`), nil, "k", "decode-failed", ""},
		{"tombstone", "json", nil, nil, "k", "decode-failed", "the record has no value"},
		{"text", "string", []byte("\xff"), nil, "k", "decode-failed", ""},
		{"null time", "bytes", []byte("x"), slot(0), "k", "eval-failed", "event_time is null"},
		{"key", "bytes", []byte("x"), nil, "{", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(1)
			p := plan(c.format)
			p.EventTime, p.NeedsKey = c.eventTime, true
			m := message("")
			m.Value, m.Key = c.value, []byte(c.key)
			ok, err := NewDecoder(p, r.options("event")).Decode(m, &r.row)
			var bad *record.Error
			if c.code == "" {
				if !ok || err != nil {
					t.Fatal(ok, err)
				}
				return
			}
			if ok || !errors.As(err, &bad) {
				t.Fatalf("ok %v, error %v", ok, err)
			}
			if bad.Code != c.code || bad.Node != "source:in" || bad.Topic != "t" || bad.Offset != 9 || !strings.Contains(bad.Message, c.text) {
				t.Errorf("error %+v", bad)
			}
			p.Spec.OnError.Kind = "skip"
			ok, err = NewDecoder(p, r.options("event")).Decode(m, &r.row)
			if ok || err != nil || r.skipped["source:in "+c.code] != 1 {
				t.Errorf("skip: ok %v, error %v, skipped %v", ok, err, r.skipped)
			}
		})
	}
}

func TestWholeValueOfTextAndBytes(t *testing.T) {
	for format, kind := range map[string]record.Kind{"string": record.KindString, "bytes": record.KindBytes} {
		r := newRig(1)
		p := plan(format)
		p.ValueSlot = 0
		d := NewDecoder(p, r.options("event"))
		if ok, err := d.Decode(message("abc"), &r.row); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if v := r.row.Slots[0]; v.Kind() != kind || string(v.Raw()) != "abc" {
			t.Errorf("%s: %s %q", format, v.Kind(), v.Raw())
		}
		m := message("")
		m.Value = nil
		if ok, err := d.Decode(m, &r.row); !ok || err != nil || !r.row.Slots[0].IsNull() {
			t.Errorf("%s: tombstone: %v %v %s", format, ok, err, r.row.Slots[0].Kind())
		}
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	r := newRig(1)
	p := plan("json")
	p.Wants = []codec.JSONWant{{Path: []string{"n"}, Type: record.TypeOf(record.TypeInt), Slot: 0}}
	p.NeedsKey = true
	d := NewDecoder(p, r.options("event"))
	m := message(`{"n":7,"text":"abc"}`)
	n := testing.AllocsPerRun(1_000, func() {
		r.arena.Reset()
		if ok, err := d.Decode(m, &r.row); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per record", n)
	}
}

func generator(r *rig, seed, count int64) *Generator {
	p := plan("json")
	p.Spec.Generate = &topology.GenerateSpec{Seed: seed, Count: count}
	p.Assign = []topology.Assign{
		{Slot: 0, Program: &expr.Program{Eval: func(e *expr.Env) record.Value { return record.Int(int64(e.Row.Origin.Offset)) }}},
		{Slot: 1, Program: &expr.Program{Eval: func(e *expr.Env) record.Value { return record.Float(e.Rand.Float64()) }}},
	}
	p.GenerateKey = slot(0)
	p.EventTime = &expr.Program{Eval: func(e *expr.Env) record.Value {
		return record.TimestampNanos(int64(e.Row.Origin.Offset) * 1_500_000)
	}}
	return NewGenerator(p, r.options("event"))
}

func TestGeneratedRecordsDependOnSeedAndNumberAlone(t *testing.T) {
	r := newRig(2)
	g := generator(r, 1, -1)
	var first []float64
	for n := range int64(100) {
		if ok, err := g.Generate(n, &r.row); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if r.row.Slots[0].Int() != n || r.row.Key.Int() != n || r.row.Time != record.Timestamp(n*3/2) {
			t.Fatalf("record %d: %d, key %d, time %d", n, r.row.Slots[0].Int(), r.row.Key.Int(), r.row.Time)
		}
		first = append(first, r.row.Slots[1].Float())
	}
	again, other := generator(newRig(0), 1, -1), generator(newRig(0), 2, -1)
	again.env, other.env = &r.env, &r.env
	same := 0
	for _, n := range []int64{99, 3, 50} {
		if _, err := again.Generate(n, &r.row); err != nil || r.row.Slots[1].Float() != first[n] {
			t.Errorf("record %d again: %v, want %v (%v)", n, r.row.Slots[1].Float(), first[n], err)
		}
		if _, err := other.Generate(n, &r.row); err != nil || r.row.Slots[1].Float() == first[n] {
			same++
		}
	}
	if same == 3 {
		t.Error("another seed gives the same records")
	}
	if r.env.Rand != nil {
		t.Error("the generator's random numbers are left behind")
	}
}

func TestGeneratorEnds(t *testing.T) {
	r := newRig(2)
	if g := generator(r, 1, 3); g.Ended(2) || !g.Ended(3) {
		t.Error("a count of 3 is not 3 records")
	}
	if generator(r, 1, -1).Ended(1 << 60) {
		t.Error("an endless generator ends")
	}
}

func TestGenerateDoesNotAllocate(t *testing.T) {
	r := newRig(2)
	g := generator(r, 1, -1)
	n := int64(0)
	allocs := testing.AllocsPerRun(1_000, func() {
		n++
		if ok, err := g.Generate(n, &r.row); !ok || err != nil {
			t.Fatal(ok, err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per record", allocs)
	}
}

// at is a wall time in seconds.
func at(s int64) record.Timestamp { return record.Timestamp(s * 1_000) }

func TestWatermarksWaitForTheSlowestActivePartition(t *testing.T) {
	w := NewWatermarks(topology.WatermarkSpec{Kind: "bounded", Bound: 5 * time.Millisecond, Idle: time.Minute}, "event")
	a, b := w.Add(at(0), record.MinTimestamp, false), w.Add(at(0), record.MinTimestamp, false)
	w.Observe(a, 100)
	w.Active(a, at(1))
	if m, idle := w.Current(at(1)); m != record.MinTimestamp || idle {
		t.Errorf("one of two partitions: %d, idle %v", m, idle)
	}
	w.Observe(b, 50)
	w.Active(b, at(2))
	if m, _ := w.Current(at(2)); m != 44 || w.Holder() != b {
		t.Errorf("watermark %d, want 44; holder %d", m, w.Holder())
	}
	if m, idle := w.Current(at(61)); m != 44 || idle {
		t.Errorf("a idle: watermark %d, want 44, idle %v", m, idle)
	}
	if m, idle := w.Current(at(62)); m != 44 || !idle {
		t.Errorf("both idle: watermark %d, idle %v", m, idle)
	}
	w.Observe(a, 200)
	w.Active(a, at(63))
	if m, idle := w.Current(at(63)); m != 194 || idle {
		t.Errorf("a again: watermark %d, want 194, idle %v", m, idle)
	}
	if m, idle := w.Partition(b); m != 44 || !idle {
		t.Errorf("b in the checkpoint: %d, idle %v", m, idle)
	}
	w.End(a)
	w.End(b)
	if m, _ := w.Current(at(64)); m != record.MaxTimestamp {
		t.Errorf("ended: %d", m)
	}
}

func TestRestoredPartitionsGoOnWhereTheyWere(t *testing.T) {
	w := NewWatermarks(topology.WatermarkSpec{Kind: "bounded", Idle: time.Minute}, "event")
	w.Restore(70)
	w.Add(at(0), 80, false)
	w.Add(at(0), 60, true)
	if m, idle := w.Current(at(0)); m != 80 || idle {
		t.Errorf("watermark %d, want 80: the other partition is idle; idle %v", m, idle)
	}
}

func TestWatermarksByKindAndTime(t *testing.T) {
	none := NewWatermarks(topology.WatermarkSpec{Kind: "none"}, "event")
	i := none.Add(at(0), record.MinTimestamp, false)
	none.Observe(i, 100)
	none.Active(i, at(0))
	if m, idle := none.Current(at(0)); m != record.MinTimestamp || !idle {
		t.Errorf("none: %d, idle %v", m, idle)
	}
	clock := NewWatermarks(topology.WatermarkSpec{Kind: "bounded", Bound: time.Hour}, "processing")
	clock.Add(at(0), record.MinTimestamp, false)
	if m, idle := clock.Current(500); m != 499 || idle {
		t.Errorf("processing: %d, idle %v", m, idle)
	}
	if m, _ := clock.Current(400); m != 499 {
		t.Errorf("the clock went back and took the watermark along: %d", m)
	}
	arrival := NewWatermarks(topology.WatermarkSpec{Kind: "bounded", Bound: time.Hour}, "ingestion")
	i = arrival.Add(at(0), record.MinTimestamp, false)
	arrival.Observe(i, 100)
	arrival.Active(i, at(0))
	if m, _ := arrival.Current(at(0)); m != 99 {
		t.Errorf("ingestion: %d, want 99", m)
	}
}

func TestUpsertRecordsWithoutAValueAreDeletes(t *testing.T) {
	r := newRig(1)
	p := plan("json")
	p.Spec.Mode, p.NeedsKey, p.EventTime = "upsert", true, slot(0)
	p.Wants = []codec.JSONWant{{Path: []string{"at"}, Type: record.TypeOf(record.TypeTimestamp), Slot: 0}}
	d := NewDecoder(p, r.options("event"))
	if ok, err := d.Decode(message(`{"at":"1970-01-01T00:00:01Z"}`), &r.row); !ok || err != nil || r.row.Op != record.OpUpdate || r.row.Bare {
		t.Fatalf("%v %v %+v", ok, err, r.row)
	}
	gone := message("")
	gone.Value = nil
	if ok, err := d.Decode(gone, &r.row); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if r.row.Op != record.OpDelete || !r.row.Bare || r.row.Time != 1_234 || r.row.Key.Text() != "k" || !r.row.Slots[0].IsNull() {
		t.Errorf("%+v", r.row)
	}
	gone.Key = nil
	if _, err := d.Decode(gone, &r.row); err == nil || !strings.Contains(err.Error(), "needs a key") {
		t.Errorf("without a key: %v", err)
	}
	if ok, err := d.Decode(message(`{}`+" "), &r.row); ok || err == nil { // no event time
		t.Error(ok, err)
	}
}
