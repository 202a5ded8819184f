package main

import (
	"math/bits"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// fetchPools keeps the memory of fetched batches, by powers of two.
type fetchPools struct {
	bytes   [32]sync.Pool // of *[]byte
	records [32]sync.Pool // of *[]kgo.Record
}

// expansion is what a batch grows by when it is decompressed, as a first guess.
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

func classOf(n int) int { return min(bits.Len(uint(max(n, 1)-1)), 31) }
