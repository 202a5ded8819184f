package kafka

import (
	"math/bits"
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

// run is a polled run of records of one partition.
type run struct {
	records []*kgo.Record
}

// Len is the number of records.
func (r *run) Len() int { return len(r.records) }

// At fills m without copying.
func (r *run) At(i int, m *record.Message) {
	from := r.records[i]
	m.Topic, m.Partition = from.Topic, from.Partition
	m.Offset, m.Epoch = record.Offset(from.Offset), from.LeaderEpoch
	m.Time = record.Timestamp(from.Timestamp.UnixMilli())
	m.Key, m.Value = from.Key, from.Value
	m.Headers = headersOf(from.Headers)
}

// Release recycles the records: they and the memory they were decompressed
// into go back to the client's pools.
func (r *run) Release() {
	for _, rec := range r.records {
		rec.Recycle()
	}
	r.records = nil
}

// headersOf reads the client's headers as ours: both are a string and a slice
// of bytes in this order, which a test holds.
func headersOf(h []kgo.RecordHeader) []record.Header {
	return unsafe.Slice((*record.Header)(unsafe.Pointer(unsafe.SliceData(h))), len(h))
}

// fetchPools keeps memory of fetched batches, by powers of two so that a small
// batch does not get a large buffer, which the client clears in full.
type fetchPools struct {
	bytes   [32]sync.Pool // of *[]byte
	records [32]sync.Pool // of *[]kgo.Record
}

func newFetchPools() *fetchPools { return &fetchPools{} }

// expansion is what a batch grows by when it is decompressed, as a first guess;
// the client grows what is too small and gives that back.
const expansion = 4

// GetDecompressBytes gives a buffer for a batch.
func (p *fetchPools) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	class := classOf(expansion * len(compressed))
	if b, ok := p.bytes[class].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, 1<<class)
}

// PutDecompressBytes takes it back.
func (p *fetchPools) PutDecompressBytes(b []byte) {
	if class := bits.Len(uint(cap(b))) - 1; class >= 0 && class < len(p.bytes) {
		p.bytes[class].Put(&b)
	}
}

// GetRecords gives room for n records.
func (p *fetchPools) GetRecords(n int) []kgo.Record {
	class := classOf(n)
	if r, ok := p.records[class].Get().(*[]kgo.Record); ok {
		return *r
	}
	return make([]kgo.Record, 1<<class)[:n]
}

// PutRecords takes it back.
func (p *fetchPools) PutRecords(r []kgo.Record) {
	if class := bits.Len(uint(cap(r))) - 1; class >= 0 && class < len(p.records) {
		p.records[class].Put(&r)
	}
}

// classOf is the power of two that holds n.
func classOf(n int) int { return min(bits.Len(uint(max(n, 1)-1)), 31) }
