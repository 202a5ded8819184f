package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"kstream/codec"
	"kstream/record"
)

// sample has every field set, each to another value.
func sample() *Record {
	return &Record{
		Pipeline: "orders", Slot: 3, Epoch: 812, Wall: 1_700_000_000_123,
		Owner:   Owner{Number: 7, Random: 0x0123456789abcdef, Host: "host-a", PID: 4711, Start: 1_699_999_000_000, Version: "0.1.0"},
		Lineage: []Lineage{{Owner: "5-00000000000000aa", First: 1}, {Owner: "7-0123456789abcdef", First: 640}},
		Plan: Fingerprint{MaxParallelism: 32, Nodes: []NodePrint{
			{UID: "main/aggregate", Operator: "aggregate", Layout: 1, KeyType: "string", Text: "count()"},
			{UID: "per_minute/aggregate", Operator: "window", Layout: 2, KeyType: "int", Text: "tumbling 60000",
				Window: "1m", Key: "user", TTL: "1h", Before: "filter", Parts: []PartPrint{{Name: "n", Text: "count()", Size: 8, Beside: 1}}},
		}, Ends: []EndPrint{{UID: "source:orders", Text: "topic", Hash: "ab", Source: true}}},
		Sources: []SourcePosition{
			{UID: "orders", Topic: "orders", TopicID: record.TopicID{1, 2, 3}, Partition: 0, Offset: 1200, LeaderEpoch: 7, Watermark: 1_699_999_999_000, Stop: -1},
			{UID: "orders", Topic: "orders", TopicID: record.TopicID{1, 2, 3}, Partition: 1, Offset: 900, LeaderEpoch: -1, Watermark: record.MinTimestamp, Idle: true, Stop: 901, Ended: true, LastTime: 1_699_999_998_000},
		},
		Stores:    []StoreEntry{{UID: "main/aggregate", ID: 1}, {UID: "old/aggregate", ID: 65535, Retired: true}},
		Changelog: Changelog{Generation: 2, Topic: "kstream.orders.changelog.2", TopicID: record.TopicID{15: 9}, Ends: []record.Offset{0, 5, 1 << 40}},
		Handles:   []Handle{{Sink: "files", Epoch: 811, Owner: "7-0123456789abcdef", Data: []byte{0, 1, 2}}, {Sink: "files", Epoch: 812}},
		Chains:    []ChainWatermark{{Chain: "per_minute/1", Watermark: 1767225600000}},
		Origin:    "savepoint 20260101-640",
	}
}

// store is what a reader of the topic holds after the parts were written.
func store(t *testing.T, r *Record) map[string][]byte {
	t.Helper()
	parts, err := EncodeRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	newest := map[string][]byte{}
	for _, p := range parts {
		if len(p.Value) > maxPart {
			t.Fatalf("part %s has %d bytes", p.Key, len(p.Value))
		}
		newest[string(p.Key)] = p.Value
	}
	return newest
}

// big makes a record that does not compress below several parts.
func big(handles int) *Record {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := sample()
	for i := range handles {
		data := make([]byte, MaxHandleSize)
		for k := range data {
			data[k] = byte(rnd.Uint32())
		}
		r.Handles = append(r.Handles, Handle{Sink: "files", Epoch: Epoch(i), Data: data})
	}
	return r
}

func TestRecordRoundTrip(t *testing.T) {
	for _, want := range []*Record{
		{},
		{Slot: 1, Epoch: 1<<64 - 1},
		sample(),
		big(300),
	} {
		got, err := DecodeRecord(want.Slot, store(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
}

// TestSampleIsComplete keeps the sample and the encoding in step with Record: a
// field that is added and forgotten in one of them fails here or above.
func TestSampleIsComplete(t *testing.T) {
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		case reflect.Slice:
			if v.Type().Elem().Kind() == reflect.Struct && v.Len() > 0 {
				// The fields of all elements together must be set.
				for i := range v.Type().Elem().NumField() {
					set := false
					for k := range v.Len() {
						set = set || !v.Index(k).Field(i).IsZero()
					}
					if !set {
						t.Errorf("%s[].%s is not set in the sample", path, v.Type().Elem().Field(i).Name)
					}
				}
			}
		}
		if v.IsZero() {
			t.Errorf("%s is not set in the sample", path)
		}
	}
	walk("Record", reflect.ValueOf(*sample()))
}

// TestRecordMessage holds the bytes of the fields. What compression makes of
// them may change with the library; these may not.
func TestRecordMessage(t *testing.T) {
	datadriven.RunTest(t, "testdata/message", func(t *testing.T, d *datadriven.TestData) string {
		switch d.Cmd {
		case "record":
			message, _, err := appendRecord(nil, sample())
			if err != nil {
				t.Fatal(err)
			}
			return dump(t, "", message)
		case "claim":
			return fmt.Sprintf("%02x\n", claimVersion) + dump(t, "", EncodeClaim(sampleClaim())[1:])
		}
		return "unknown command " + d.Cmd
	})
}

// dump writes one line per field: tag, length, bytes; and the fields of those
// that are messages below them.
func dump(t *testing.T, indent string, message []byte) string {
	t.Helper()
	var b strings.Builder
	r := fieldReader{what: "dump", rest: message}
	for r.next() {
		fmt.Fprintf(&b, "%s%d %d: %x %q\n", indent, r.tag, len(r.content), r.content, r.content)
	}
	if r.err != nil {
		t.Fatal(r.err)
	}
	return b.String()
}

var rewriteStored = flag.Bool("rewrite-stored", false, "write testdata/record-1.hex anew; only for a new format version")

// TestStoredRecord reads a record as an earlier build wrote it.
func TestStoredRecord(t *testing.T) {
	const file = "testdata/record-1.hex"
	if *rewriteStored {
		text := hex.EncodeToString(store(t, sample())[RecordKey(3, 0)]) + "\n"
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	part, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeRecord(3, map[string][]byte{RecordKey(3, 0): part})
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Sources[1].LastTime, want.Plan.Ends = 0, nil // came later
	n := &want.Plan.Nodes[1]
	n.Window, n.Key, n.TTL, n.Before, n.Parts = "", "", "", "", nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestRecordParts(t *testing.T) {
	newest := store(t, big(400))
	n := StoredParts(3, newest)
	if n != 4 {
		t.Fatalf("%d parts for 1.6 MiB of handles", n)
	}
	for i := range n {
		value := newest[RecordKey(3, i)]
		if i < n-1 && len(value) != maxPart {
			t.Errorf("part %d has %d bytes", i, len(value))
		}
		if e := binary.BigEndian.Uint64(value[1:]); e != 812 {
			t.Errorf("part %d is of epoch %d", i, e)
		}
	}
	small := store(t, sample())
	var keys []string
	for _, p := range Surplus(3, len(small), n) {
		if p.Value != nil {
			t.Errorf("%s is no tombstone", p.Key)
		}
		keys = append(keys, string(p.Key))
	}
	if got := strings.Join(keys, " "); got != "r/3/1 r/3/2 r/3/3" {
		t.Errorf("tombstones for %s", got)
	}
	if len(Surplus(3, 0, 1)) != 0 {
		t.Error("a tombstone for part 0")
	}
}

// TestRecordDamage: one finding each.
func TestRecordDamage(t *testing.T) {
	edit := func(part int, change func([]byte) []byte) func(map[string][]byte) {
		return func(m map[string][]byte) {
			key := RecordKey(3, part)
			m[key] = change(bytes.Clone(m[key]))
		}
	}
	for _, c := range []struct {
		name   string
		change func(map[string][]byte)
		want   string
	}{
		{"part 0 missing", func(m map[string][]byte) { delete(m, RecordKey(3, 0)) }, "part 2 is there and part 0 is not"},
		{"last part missing", func(m map[string][]byte) { delete(m, RecordKey(3, 2)) }, "part 2 is missing"},
		{"tombstone in the middle", func(m map[string][]byte) { m[RecordKey(3, 1)] = nil }, "part 1 is missing"},
		{"another epoch", edit(1, func(b []byte) []byte { b[8]++; return b }), "part 1 is of epoch 813, part 0 of epoch 812"},
		{"parts exchanged", func(m map[string][]byte) {
			m[RecordKey(3, 1)], m[RecordKey(3, 2)] = m[RecordKey(3, 2)], m[RecordKey(3, 1)]
		}, "part 1 says it is part 2"},
		{"a flipped bit", edit(2, func(b []byte) []byte { b[100] ^= 4; return b }), "the checksum is wrong"},
		{"epoch changed everywhere", func(m map[string][]byte) {
			for i := range 3 {
				edit(i, func(b []byte) []byte { b[8]++; return b })(m)
			}
		}, "the checksum is wrong"},
		{"no parts", edit(0, func(b []byte) []byte { b[11], b[12] = 0, 0; return b }), "it has 0 parts"},
		{"more parts than are possible", edit(0, func(b []byte) []byte { b[11] = 255; return b }), "it has 65283 parts"},
		{"fewer parts", edit(0, func(b []byte) []byte { b[12] = 2; return b }), "the checksum is wrong"},
		{"a part cut short", edit(0, func(b []byte) []byte { return b[:16] }), "part 0 is missing or has no header (16 bytes)"},
		{"version 0", edit(0, func(b []byte) []byte { b[0] = 0; return b }), "has no header"},
	} {
		t.Run(c.name, func(t *testing.T) {
			newest := store(t, big(300))
			c.change(newest)
			_, err := DecodeRecord(3, newest)
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestRecordOfAnotherSlot: parts under the wrong keys are not believed.
func TestRecordOfAnotherSlot(t *testing.T) {
	moved := map[string][]byte{RecordKey(0, 0): store(t, sample())[RecordKey(3, 0)]}
	_, err := DecodeRecord(0, moved)
	if err == nil || !strings.Contains(err.Error(), "the parts of slot 0 epoch 812 hold slot 3 epoch 812") {
		t.Errorf("got %v", err)
	}
}

func TestNoRecord(t *testing.T) {
	newest := store(t, sample())
	newest[ClaimKey(0)] = EncodeClaim(sampleClaim())
	if _, err := DecodeRecord(0, newest); !errors.Is(err, ErrNoRecord) {
		t.Errorf("got %v", err)
	}
	if _, err := DecodeRecord(3, map[string][]byte{RecordKey(3, 0): nil}); !errors.Is(err, ErrNoRecord) {
		t.Errorf("a tombstone gives %v", err)
	}
}

func TestNewerRecord(t *testing.T) {
	for part := range 3 {
		newest := store(t, big(300))
		newest[RecordKey(3, part)][0] = 2
		_, err := DecodeRecord(3, newest)
		var newer *NewerFormatError
		if !errors.As(err, &newer) || newer.Version != 2 || newer.Known != 1 {
			t.Errorf("part %d: got %v", part, err)
		}
	}
}

// TestUnknownFields: a later release may add fields everywhere.
func TestUnknownFields(t *testing.T) {
	extra := appendField(nil, 99, []byte("later"))
	message, _, err := appendRecord(bytes.Clone(extra), sample())
	if err != nil {
		t.Fatal(err)
	}
	// Once more with the field inside of a source.
	message = appendField(append(message, extra...), recordSources, append(appendSource(bytes.Clone(extra), sample().Sources[0]), extra...))
	got, err := readRecord(message)
	if err != nil {
		t.Fatal(err)
	}
	want := sample()
	want.Sources = append(want.Sources, want.Sources[0])
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestRecordTooLarge(t *testing.T) {
	_, err := EncodeRecord(big(2100))
	var large *TooLargeError
	if !errors.As(err, &large) {
		t.Fatalf("got %v", err)
	}
	sum := 0
	for _, f := range large.Fields {
		sum += f.Size
	}
	if sum != large.Size || large.Size <= MaxRecordSize {
		t.Errorf("%d bytes, the fields sum up to %d", large.Size, sum)
	}
	for _, want := range []string{"epoch 812 needs 86", "more than 8388608", "handles 86", "(2102 entries)", "sources 130 (2 entries)"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
}

func TestRecordLimits(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Record)
	}{
		{"1001 lineage, at most 1000", func(r *Record) { r.Lineage = make([]Lineage, MaxLineage+1) }},
		{"65537 nodes", func(r *Record) { r.Plan.Nodes = make([]NodePrint, maxNodes+1) }},
		{"100001 sources", func(r *Record) { r.Sources = make([]SourcePosition, maxSources+1) }},
		{"65537 stores", func(r *Record) { r.Stores = make([]StoreEntry, maxStores+1) }},
		{"65537 changelog partitions", func(r *Record) { r.Changelog.Ends = make([]record.Offset, maxEnds+1) }},
		{"100001 handles", func(r *Record) { r.Handles = make([]Handle, maxHandles+1) }},
		{"65537 chains", func(r *Record) { r.Chains = make([]ChainWatermark, maxChains+1) }},
		{`sink "s" has 4097 bytes`, func(r *Record) { r.Handles = []Handle{{Sink: "s", Data: make([]byte, 4097)}} }},
		{"slot -1", func(r *Record) { r.Slot = -1 }},
	} {
		r := sample()
		c.change(r)
		if _, err := EncodeRecord(r); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// TestReadLimits: what is small on the wire and large in memory is refused.
func TestReadLimits(t *testing.T) {
	for _, c := range []struct {
		want    string
		message []byte
	}{
		{"field 6 appears more than 1000 times", bytes.Repeat(appendField(nil, recordLineage, nil), 1001)},
		{"field 8 appears more than 100000 times", bytes.Repeat(appendField(nil, recordSources, nil), 100_001)},
		{"field 11 appears more than 100000 times", bytes.Repeat(appendField(nil, recordHandles, nil), 100_001)},
		{"at most 65536 numbers", appendField(nil, recordChangelog, appendField(nil, 4, make([]byte, maxEnds+1)))},
		{"a handle has 4097 bytes", appendField(nil, recordHandles, appendField(nil, 4, make([]byte, 4097)))},
		{"field 2 is -1", appendInt(nil, recordSlot, -1)},
		{"field 2 is 65536", appendField(nil, recordStores, appendInt(nil, 2, 1<<16))},
		{"field 3 is no topic id", appendField(nil, recordChangelog, appendText(nil, 3, "short"))},
		{"field 8 is no yes", appendField(nil, recordSources, appendField(nil, sourceIdle, []byte{2}))},
		{"field 4 is no number", appendField(nil, recordWall, []byte{1, 1})},
		{"field 3 is no counter", appendField(nil, recordEpoch, bytes.Repeat([]byte{255}, 11))},
		{"field 1 is longer than what is left", []byte{1, 200, 1, 'x'}},
		{"field 1 is longer than what is left", append([]byte{1}, binary.AppendUvarint(nil, 1<<63)...)},
		{"no readable tag", []byte{255}},
	} {
		if _, err := readRecord(c.message); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// TestBomb: 64 MiB that compress to a few KiB are not unpacked.
func TestBomb(t *testing.T) {
	z, err := codec.NewZstd(MaxRecordSize)
	if err != nil {
		t.Fatal(err)
	}
	part := split(&Record{Epoch: 1}, z.Compress(nil, appendField(nil, 99, make([]byte, 64<<20))))
	newest := map[string][]byte{RecordKey(0, 0): part[0].Value}
	if _, err = DecodeRecord(0, newest); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("got %v", err)
	}
}

func TestLineage(t *testing.T) {
	var l []Lineage
	for i := range 1200 {
		owner := Owner{Number: uint64(i)}.ID()
		l = ExtendLineage(l, owner, Epoch(10*i+1))
		same := ExtendLineage(l, owner, Epoch(10*i+2))
		if len(same) != len(l) || same[len(same)-1].First != Epoch(10*i+1) {
			t.Fatalf("the second epoch of %s changed the lineage", owner)
		}
	}
	if len(l) != MaxLineage || l[0].Owner != "200-0000000000000000" {
		t.Fatalf("%d entries from %s", len(l), l[0].Owner)
	}
	for _, c := range []struct {
		owner uint64
		epoch Epoch
		want  bool
	}{
		{1199, 11991, true}, {1199, 1 << 40, true}, {1198, 11990, true}, {1198, 11991, false},
		{1199, 11990, false}, {200, 2001, true}, {200, 2000, false}, {199, 2000, false},
	} {
		if got := InLineage(l, Owner{Number: c.owner}.ID(), c.epoch); got != c.want {
			t.Errorf("owner %d epoch %d: %v", c.owner, c.epoch, got)
		}
	}
	if InLineage(l, "200-0000000000000001", 2001) {
		t.Error("an owner with another random part is in the lineage")
	}
}

func FuzzRecordMessage(f *testing.F) {
	message, _, err := appendRecord(nil, sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add([]byte{6, 2, 1, 200})
	f.Fuzz(func(t *testing.T, message []byte) {
		rec, err := readRecord(message)
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || rec != nil {
				t.Fatalf("%v with %v", rec, err)
			}
			return
		}
		again, _, err := appendRecord(nil, rec)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		same, err := readRecord(again)
		if err != nil || !reflect.DeepEqual(same, rec) {
			t.Fatalf("%v: %+v is read again as %+v", err, rec, same)
		}
	})
}

func FuzzRecordParts(f *testing.F) {
	parts, err := EncodeRecord(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(parts[0].Value, []byte(nil))
	f.Add(parts[0].Value, parts[0].Value)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4}, []byte{1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		rec, err := DecodeRecord(3, map[string][]byte{RecordKey(3, 0): first, RecordKey(3, 1): second})
		var corrupt *CorruptError
		var newer *NewerFormatError
		switch {
		case err == nil:
			if got, err := DecodeRecord(3, store(t, rec)); err != nil || !reflect.DeepEqual(got, rec) {
				t.Fatalf("%v: %+v is read again as %+v", err, rec, got)
			}
		case errors.As(err, &corrupt), errors.As(err, &newer), errors.Is(err, ErrNoRecord):
		default:
			t.Fatalf("an error without a type: %v", err)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	r := sample()
	for i := range 128 {
		s := r.Sources[0]
		s.Partition = int32(i)
		r.Sources = append(r.Sources, s)
	}
	r.Changelog.Ends = make([]record.Offset, 32)
	parts, err := EncodeRecord(r)
	if err != nil {
		b.Fatal(err)
	}
	newest := map[string][]byte{RecordKey(3, 0): parts[0].Value}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodeRecord(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeRecord(3, newest); err != nil {
				b.Fatal(err)
			}
		}
	})
}
