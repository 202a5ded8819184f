package codec

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// ErrTooLarge says that compressed data would become larger than allowed.
var ErrTooLarge = errors.New("the decompressed data is too large")

// Zstd compresses and decompresses whole blocks: checkpoint records, savepoint
// parts, files. It starts no goroutines and belongs to one.
type Zstd struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
	max int
}

// NewZstd makes a compressor that refuses to decompress more than sizeMax bytes,
// whatever the data says of itself.
func NewZstd(sizeMax int) (*Zstd, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, fmt.Errorf("prepare zstd compression: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(sizeMax)))
	if err != nil {
		return nil, fmt.Errorf("prepare zstd decompression: %w", err)
	}
	return &Zstd{enc: enc, dec: dec, max: sizeMax}, nil
}

// Compress appends the compressed form of b.
func (z *Zstd) Compress(dst, b []byte) []byte { return z.enc.EncodeAll(b, dst) }

// Decompress gives the data that b is the compressed form of.
func (z *Zstd) Decompress(b []byte) ([]byte, error) {
	out, err := z.dec.DecodeAll(b, nil)
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded) || errors.Is(err, zstd.ErrWindowSizeExceeded) || len(out) > z.max:
		return nil, ErrTooLarge
	case err != nil:
		return nil, fmt.Errorf("decompress: %w", err)
	}
	return out, nil
}
