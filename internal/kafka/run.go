package kafka

import (
	"bytes"
	"encoding/binary"
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

// fetchPools keeps memory of fetched batches by sizes, four for each power of
// two: the client clears what it gives back in full, so that a buffer that is
// larger than its batch costs time.
type fetchPools struct {
	bytes   [classes]sync.Pool // of *[]byte
	records [classes]sync.Pool // of *[]kgo.Record
}

func newFetchPools() *fetchPools { return &fetchPools{} }

// expansion is what a batch grows by when it is decompressed, as a first guess;
// the client grows what is too small and gives that back.
const expansion = 4

// decompressedMax bounds what a batch may say of its own size.
const decompressedMax = 64 << 20

// decompressed is the size of a batch after it is decompressed: snappy says it
// in front of each block, of everything else it is a guess.
func decompressed(compressed []byte, codec kgo.CompressionCodecType) int {
	guess := expansion * len(compressed)
	if codec != kgo.CodecSnappy {
		return guess
	}
	if !bytes.HasPrefix(compressed, framed) {
		if n, ok := binary.Uvarint(compressed); ok > 0 && n <= decompressedMax {
			return int(n)
		}
		return guess
	}
	sum := 0
	for b := compressed[min(framedHeader, len(compressed)):]; len(b) > 4; {
		length, block := int(binary.BigEndian.Uint32(b)), b[4:]
		n, ok := binary.Uvarint(block)
		if ok <= 0 || length < 0 || length > len(block) || n > decompressedMax || sum > decompressedMax {
			return guess
		}
		sum, b = sum+int(n), block[length:]
	}
	return sum
}

// framed is how snappy begins that is cut into blocks, as Java does: behind a
// header of 16 bytes each has its length in front.
var framed = []byte("\x82SNAPPY\x00")

const framedHeader = 16

// GetDecompressBytes gives a buffer for a batch.
func (p *fetchPools) GetDecompressBytes(compressed []byte, codec kgo.CompressionCodecType) []byte {
	class := classOf(decompressed(compressed, codec))
	if b, ok := p.bytes[class].Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, 0, sizeOf(class))
}

// PutDecompressBytes takes it back.
func (p *fetchPools) PutDecompressBytes(b []byte) {
	if class := filled(cap(b)); class >= 0 {
		p.bytes[class].Put(&b)
	}
}

// GetRecords gives room for n records.
func (p *fetchPools) GetRecords(n int) []kgo.Record {
	class := classOf(n)
	if r, ok := p.records[class].Get().(*[]kgo.Record); ok {
		return *r
	}
	return make([]kgo.Record, sizeOf(class))[:n]
}

// PutRecords takes it back.
func (p *fetchPools) PutRecords(r []kgo.Record) {
	if class := filled(cap(r)); class >= 0 {
		p.records[class].Put(&r)
	}
}

// classes is how many sizes there are, up to 2 GiB.
const classes = 4 * 32

// sizeOf is the size of a class: 8, 10, 12, 14, 16, 20 …
func sizeOf(class int) int { return (4 + class&3) << (class>>2 + 1) }

// filled is the largest class that a size fills, -1 if there is none.
func filled(n int) int {
	if n < sizeOf(0) {
		return -1
	}
	power := bits.Len(uint(n)) - 4
	return min(power<<2|n>>(power+1)&3, classes-1)
}

// classOf is the smallest class that holds n.
func classOf(n int) int {
	class := max(filled(n), 0)
	if sizeOf(class) < n && class < classes-1 {
		class++
	}
	return class
}
