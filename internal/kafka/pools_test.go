package kafka

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestClassesHoldWhatTheyAreFor(t *testing.T) {
	for class := range 100 {
		size := sizeOf(class)
		if filled(size) != class || classOf(size) != class || classOf(size+1) != class+1 || filled(size-1) != class-1 {
			t.Fatalf("class %d of %d: %d %d %d %d", class, size, filled(size), classOf(size), classOf(size+1), filled(size-1))
		}
	}
	for _, n := range []int{0, 1, 7, 8, 9, 511, 513, 1 << 20, 3 << 19, 1<<30 + 1} {
		if size := sizeOf(classOf(n)); size < n || n > 64 && size > n+n/4 {
			t.Errorf("%d gets %d", n, size)
		}
	}
}

// TestSizeOfABatchIsKnown: snappy in one block and in many says its size, and
// what is no batch asks for no memory beyond the guess.
func TestSizeOfABatchIsKnown(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	text := make([]byte, 100_000)
	for i := range text {
		text[i] = byte('a' + random.IntN(4))
	}
	for _, n := range []int{0, 1, 100, 40_000, len(text)} {
		one := s2.EncodeSnappy(nil, text[:n])
		if got := decompressed(one, kgo.CodecSnappy); got != n {
			t.Errorf("one block of %d: %d", n, got)
		}
		many := append([]byte("\x82SNAPPY\x00"), 0, 0, 0, 1, 0, 0, 0, 1)
		for rest := text[:n]; len(rest) > 0; {
			part := rest[:min(len(rest), 32<<10)]
			block := s2.EncodeSnappy(nil, part)
			many = append(binary.BigEndian.AppendUint32(many, uint32(len(block))), block...)
			rest = rest[len(part):]
		}
		if got := decompressed(many, kgo.CodecSnappy); got != n {
			t.Errorf("blocks of %d: %d", n, got)
		}
		for range 2_000 {
			bad := append([]byte(nil), many...)
			for range 1 + random.IntN(3) {
				bad[random.IntN(len(bad))] = byte(random.IntN(256))
			}
			if got := decompressed(bad[:random.IntN(len(bad)+1)], kgo.CodecSnappy); got < 0 || got > 2*decompressedMax {
				t.Fatalf("a damaged batch asks for %d bytes", got)
			}
		}
	}
	if got := decompressed(make([]byte, 10), kgo.CodecLz4); got != 10*expansion {
		t.Errorf("lz4: %d", got)
	}
}
