package changelog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"kstream/record"
	"kstream/state"
)

// format is the first byte of keys and values. A key of another format is
// another key for compaction, so raising it takes a new generation.
const format = 1

var errRecord = errors.New("changelog record is malformed")

// Partition is where the entries of a key group are.
func Partition(g record.KeyGroup) int32 { return int32(g) }

// AppendKey appends the record key of an entry whose address is given.
func AppendKey(dst, address []byte) []byte {
	return append(append(dst, format), address...)
}

// ParseKey is the address in a record key; it shares b.
func ParseKey(b []byte) (address []byte, err error) {
	if len(b) == 0 {
		return nil, fmt.Errorf("%w: no key", errRecord)
	}
	if b[0] != format {
		return nil, formatError(b[0])
	}
	if _, err := state.ParseKey(b[1:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	}
	return b[1:], nil
}

// AppendValue appends the record value of an entry that is stored as given and
// never expires.
func AppendValue(dst, stored []byte) []byte {
	return append(append(dst, format, 0), stored...)
}

// ParseValue is what is stored, and when it expires, 0 for never; it shares b.
func ParseValue(b []byte) (stored []byte, expires record.Timestamp, err error) {
	if len(b) == 0 {
		return nil, 0, fmt.Errorf("%w: empty value", errRecord)
	}
	if b[0] != format {
		return nil, 0, formatError(b[0])
	}
	at, n := binary.Varint(b[1:])
	if n <= 0 {
		return nil, 0, fmt.Errorf("%w: time of expiry is cut", errRecord)
	}
	if stored = b[1+n:]; len(stored) == 0 {
		return nil, 0, fmt.Errorf("%w: nothing is stored", errRecord)
	}
	return stored, record.Timestamp(at), nil
}

func formatError(f byte) error {
	if f > format {
		return fmt.Errorf("changelog record has format %d: %w", f, state.ErrNewerFormat)
	}
	return fmt.Errorf("%w: format %d", errRecord, f)
}
