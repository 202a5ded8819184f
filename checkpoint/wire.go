package checkpoint

import (
	"encoding/binary"
	"fmt"
	"math"

	"kstream/record"
)

// The stored things of this package are messages: sequences of fields, each a
// tag (unsigned varint), a length (unsigned varint) and that many bytes. A list
// is its tag repeated. What is zero or empty is not written, and a tag that a
// reader does not know is skipped, so a field can be added without a new format
// version; a field that changes its meaning needs one.
//
//	text, bytes   as they are
//	whole number  zigzag varint, alone in the field
//	counter       unsigned varint, alone in the field
//	yes           one byte 1
//	numbers       zigzag varints, one behind the other
//	message       its fields

// NewerFormatError says that a later release wrote what was read.
type NewerFormatError struct {
	What    string // checkpoint record, claim, offset mark
	Version int
	Known   int
}

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("the %s has format %d, this release reads up to %d: it was written by a newer kstream", e.What, e.Version, e.Known)
}

// CorruptError says that stored bytes are not what this package writes.
// Transactions make half-written records invisible, so the cause is a foreign
// writer or a broken broker, and nothing is guessed from what is left.
type CorruptError struct {
	What   string
	Reason string
}

func (e *CorruptError) Error() string { return "the " + e.What + " is damaged: " + e.Reason }

func appendField(dst []byte, tag uint64, content []byte) []byte {
	dst = binary.AppendUvarint(dst, tag)
	dst = binary.AppendUvarint(dst, uint64(len(content)))
	return append(dst, content...)
}

func appendText[T record.Text](dst []byte, tag uint64, text T) []byte {
	if len(text) == 0 {
		return dst
	}
	return appendField(dst, tag, []byte(text))
}

func appendInt(dst []byte, tag uint64, n int64) []byte {
	if n == 0 {
		return dst
	}
	var tmp [binary.MaxVarintLen64]byte
	return appendField(dst, tag, binary.AppendVarint(tmp[:0], n))
}

func appendUint(dst []byte, tag uint64, n uint64) []byte {
	if n == 0 {
		return dst
	}
	var tmp [binary.MaxVarintLen64]byte
	return appendField(dst, tag, binary.AppendUvarint(tmp[:0], n))
}

func appendYes(dst []byte, tag uint64, yes bool) []byte {
	if !yes {
		return dst
	}
	return appendField(dst, tag, []byte{1})
}

func appendOffsets(dst []byte, tag uint64, offsets []record.Offset) []byte {
	if len(offsets) == 0 {
		return dst
	}
	content := make([]byte, 0, 4*len(offsets))
	for _, o := range offsets {
		content = binary.AppendVarint(content, int64(o))
	}
	return appendField(dst, tag, content)
}

func appendTopicID(dst []byte, tag uint64, id record.TopicID) []byte {
	if id == (record.TopicID{}) {
		return dst
	}
	return appendField(dst, tag, id[:])
}

// fieldReader walks the fields of one message. The first error stays, ends the
// walk and turns every read into a zero, so callers check it once at the end.
//
//	for r.next() {
//		switch r.tag {
//		case 1: h.Sink = r.text()
//		…
//	}
//	return r.err
type fieldReader struct {
	what string // for messages
	rest []byte
	err  error

	tag     uint64
	content []byte // of the current field; shares the input
}

func (r *fieldReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = &CorruptError{What: r.what, Reason: fmt.Sprintf(format, args...)}
	}
}

// next moves to the next field. A length is compared with what is there before
// it is used for anything.
func (r *fieldReader) next() bool {
	if r.err != nil || len(r.rest) == 0 {
		return false
	}
	tag, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail("a field has no readable tag")
		return false
	}
	r.rest = r.rest[n:]
	length, n := binary.Uvarint(r.rest)
	if n <= 0 || length > uint64(len(r.rest)-n) {
		r.fail("field %d is longer than what is left", tag)
		return false
	}
	r.tag, r.content = tag, r.rest[n:n+int(length)]
	r.rest = r.rest[n+int(length):]
	return true
}

func (r *fieldReader) text() string { return string(r.content) }

// bytes copies: what is decoded outlives the message it came from.
func (r *fieldReader) bytes() []byte { return append([]byte(nil), r.content...) }

func (r *fieldReader) int64() int64 {
	v, n := binary.Varint(r.content)
	if n <= 0 || n != len(r.content) {
		r.fail("field %d is no number", r.tag)
		return 0
	}
	return v
}

// intIn reads a number that must lie in [low, high].
func (r *fieldReader) intIn(low, high int64) int64 {
	v := r.int64()
	if v < low || v > high {
		r.fail("field %d is %d, not in %d to %d", r.tag, v, low, high)
		return 0
	}
	return v
}

func (r *fieldReader) count() int { return int(r.intIn(0, math.MaxInt32)) }

func (r *fieldReader) int32() int32 { return int32(r.intIn(math.MinInt32, math.MaxInt32)) }

func (r *fieldReader) uint64() uint64 {
	v, n := binary.Uvarint(r.content)
	if n <= 0 || n != len(r.content) {
		r.fail("field %d is no counter", r.tag)
		return 0
	}
	return v
}

func (r *fieldReader) yes() bool {
	if len(r.content) != 1 || r.content[0] != 1 {
		r.fail("field %d is no yes", r.tag)
		return false
	}
	return true
}

func (r *fieldReader) topicID() (id record.TopicID) {
	if copy(id[:], r.content) != len(id) || len(r.content) != len(id) {
		r.fail("field %d is no topic id", r.tag)
	}
	return id
}

// offsets reads at most limit numbers.
func (r *fieldReader) offsets(limit int) []record.Offset {
	var list []record.Offset
	for rest := r.content; len(rest) > 0; {
		v, n := binary.Varint(rest)
		if n <= 0 || len(list) == limit {
			r.fail("field %d is no list of at most %d numbers", r.tag, limit)
			return nil
		}
		list, rest = append(list, record.Offset(v)), rest[n:]
	}
	return list
}

// message opens the current field as a message; its error must be handed back
// with done.
func (r *fieldReader) message() *fieldReader {
	return &fieldReader{what: r.what, rest: r.content, err: r.err}
}

func (r *fieldReader) done(inner *fieldReader) {
	if r.err == nil {
		r.err = inner.err
	}
}

// room refuses an element beyond limit. An empty message takes two bytes and
// many times that in memory, so the size of the input alone is no bound.
func (r *fieldReader) room(length, limit int) bool {
	if length >= limit {
		r.fail("field %d appears more than %d times", r.tag, limit)
	}
	return r.err == nil
}
