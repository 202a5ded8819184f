package state

import (
	"encoding/binary"
	"errors"
)

// A stored value begins with one byte that says what follows.
const (
	valueWhole   = 0 // the value
	valueChunked = 1 // its length in bytes, 8 bytes big endian; the value is in chunks
)

// ChunkSize is the most a stored piece of a value holds. A longer value is cut,
// because a record of the changelog must stay below the limit of the topic.
const ChunkSize = 512 << 10

var errValue = errors.New("stored value is malformed")

// chunkCount is how many pieces a value of n bytes has, 0 if it is not cut.
func chunkCount(n int) int {
	if n <= ChunkSize {
		return 0
	}
	return (n + ChunkSize - 1) / ChunkSize
}

func appendChunkedValue(dst []byte, length int) []byte {
	dst = append(dst, valueChunked)
	return binary.BigEndian.AppendUint64(dst, uint64(length))
}

// parseValue reads the first byte: whole is the value, or length is that of a
// value in chunks.
func parseValue(b []byte) (whole []byte, length int, err error) {
	switch {
	case len(b) > 0 && b[0] == valueWhole:
		return b[1:], 0, nil
	case len(b) == 9 && b[0] == valueChunked:
		n := binary.BigEndian.Uint64(b[1:])
		if n <= ChunkSize || n > maxValue {
			return nil, 0, errValue
		}
		return nil, int(n), nil
	}
	return nil, 0, errValue
}
