package kafka

import (
	"fmt"
	"net"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

func portOf(t testing.TB, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	must(t, err)
	n, err := strconv.Atoi(port)
	must(t, err)
	return n
}

// TestSlabAllocatesNothing: filling records and their promises, the pool warm.
func TestSlabAllocatesNothing(t *testing.T) {
	p := newSlabPool()
	m := message("topic", 3, "key", strings.Repeat("v", 250))
	m.Headers = []record.Header{{Key: "h", Value: []byte("x")}}
	fill := func() {
		for range 4 * slabRecords {
			r := p.take(m)
			p.done(r.Context.(*slab))
		}
	}
	fill()
	if n := testing.AllocsPerRun(20, fill); n > 0 {
		t.Errorf("%v allocations for %d records", n, 4*slabRecords)
	}
}

// TestSlabsComeBack: only after the last promise, and not at all if they are
// larger than usual.
func TestSlabsComeBack(t *testing.T) {
	p := newSlabPool()
	m := message("t", 0, "k", "v")
	var records []*kgo.Record
	for range slabRecords {
		records = append(records, p.take(m))
	}
	first := records[0].Context.(*slab)
	other := p.take(m).Context.(*slab)
	if other == first {
		t.Fatal("a full slab was filled further")
	}
	for _, r := range records[1:] {
		p.done(r.Context.(*slab))
	}
	if len(p.free) != 0 {
		t.Fatal("a slab came back before its last promise")
	}
	p.done(first)
	if len(p.free) != 1 || <-p.free != first {
		t.Fatal("a slab did not come back")
	}
	m.Value = make([]byte, 2*slabBytes)
	big := p.take(m)
	if len(big.Value) != 2*slabBytes {
		t.Fatalf("a large value has %d bytes", len(big.Value))
	}
	m.Value = []byte("small")
	p.take(m)
	free := len(p.free)
	p.done(big.Context.(*slab))
	if len(p.free) != free {
		t.Error("a large slab came back")
	}
}

// TestPromiseAllocatesNothing: counting an acknowledged record.
func TestPromiseAllocatesNothing(t *testing.T) {
	s := &Session{slabs: newSlabPool(), cells: map[record.TopicPartition]*ackedEnd{}}
	m := message("t", 1, "k", "v")
	offset := int64(0)
	work := func() {
		for range 2 * slabRecords {
			r := s.slabs.take(m)
			r.Offset = offset
			offset++
			s.onPromise(r, nil)
		}
	}
	work()
	if n := testing.AllocsPerRun(20, work); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if end, ok := s.EndOffset("t", 1); !ok || int64(end) != offset {
		t.Errorf("end offset %d %v, want %d", end, ok, offset)
	}
}

// TestAtAllocatesNothing: looking into fetched records.
func TestAtAllocatesNothing(t *testing.T) {
	r := &run{}
	for i := range 100 {
		r.records = append(r.records, &kgo.Record{Topic: "t", Offset: int64(i), Value: []byte("v"), Headers: []kgo.RecordHeader{{Key: "h"}}})
	}
	var records record.Records = r
	var m record.Message
	n := testing.AllocsPerRun(20, func() {
		for i := range records.Len() {
			records.At(i, &m)
		}
	})
	if n > 0 || m.Offset != 99 || m.Headers[0].Key != "h" {
		t.Errorf("%v allocations, last %+v", n, m)
	}
}

// BenchmarkProduce is one transaction per 100,000 records to a broker that
// throws them away; the broker runs in the same process and is part of the
// figure.
func BenchmarkProduce(b *testing.B) {
	for _, size := range []int{100, 258, 1024} {
		b.Run(fmt.Sprint(size, "B"), func(b *testing.B) {
			f := newFixture(b, kfake.SeedTopics(4, "t"), kfake.BlackholeProduce())
			s := f.fenced(b, nil)
			m := message("t", 0, "key-1234", strings.Repeat("v", size))
			b.SetBytes(int64(size))
			b.ReportAllocs()
			must(b, s.Begin())
			b.ResetTimer()
			for i := range b.N {
				m.Partition = int32(i>>9) & 3
				s.Produce(m)
			}
			must(b, s.Flush(b.Context()))
			b.StopTimer()
			_, err := s.End(b.Context())
			must(b, err)
		})
	}
}

// BenchmarkConsume reads canned batches from a broker in the same process.
func BenchmarkConsume(b *testing.B) {
	for _, codec := range []struct {
		name string
		kgo.CompressionCodec
	}{{"none", kgo.NoCompression()}, {"snappy", kgo.SnappyCompression()}} {
		b.Run(codec.name, func(b *testing.B) {
			f := newFixture(b, kfake.SeedTopics(1, "t"), kfake.SyntheticFetch(kfake.SyntheticBatch{RecordBytes: 258, RandomFrac: 0.5, Compression: codec.CompressionCodec}))
			c := f.consumer(b, ConsumerConfig{Positions: []record.Position{position("t", 0, 0)}})
			b.SetBytes(258)
			b.ReportAllocs()
			b.ResetTimer()
			var m record.Message
			for n := 0; n < b.N; {
				fetch, err := c.Poll(b.Context())
				must(b, err)
				for _, p := range fetch.Partitions {
					for i := range p.Records.Len() {
						p.Records.At(i, &m)
					}
					n += p.Records.Len()
					p.Records.Release()
				}
			}
			runtime.KeepAlive(m)
		})
	}
}
