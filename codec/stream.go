package codec

import (
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// The compressions of streams, for files.
const (
	StreamNone = "none"
	StreamGzip = "gzip"
	StreamZstd = "zstd"
)

// streamWindow bounds what a zstd stream may ask a reader to remember.
const streamWindow = 128 << 20

// NewStreamWriter compresses what is written to it. Close ends the stream and
// leaves w open. It starts no goroutines.
func NewStreamWriter(compression string, w io.Writer) (io.WriteCloser, error) {
	switch compression {
	case StreamNone, "":
		return plainWriter{w}, nil
	case StreamGzip:
		return gzip.NewWriter(w), nil
	case StreamZstd:
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, fmt.Errorf("prepare zstd compression: %w", err)
		}
		return z, nil
	}
	return nil, fmt.Errorf("unknown compression %q", compression)
}

// NewStreamReader gives the bytes that were compressed; streams one behind the
// other are read as one. Close leaves r open. It starts no goroutines.
func NewStreamReader(compression string, r io.Reader) (io.ReadCloser, error) {
	switch compression {
	case StreamNone, "":
		return io.NopCloser(r), nil
	case StreamGzip:
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		return z, nil
	case StreamZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(streamWindow))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("unknown compression %q", compression)
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }
