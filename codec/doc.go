// Package codec turns bytes into rows and rows into bytes.
//
// Reading: a JSONScanner is compiled from what a plan wants of a record and from
// the source's schema. It goes over a record once, checks all of it, and fills
// the wanted slots. Nothing is built for what nobody reads; lists and objects
// of no declared type stay text (record.KindJSON).
//
// Writing: AppendJSON writes one value, a JSONEncoder a whole record out of
// slots, copying the untouched members of the original as they are.
//
// Keys and state: AppendKey is the order-preserving encoding that addresses
// state and decides key groups, AppendRecordKey the text of a record key in
// Kafka, AppendValue the compact encoding of values held in state. The bytes of
// the first and the last are described at these functions and never change
// under the same format byte of the stores that hold them.
package codec

import "strconv"

// DecodeError says why a record could not be read. It is a problem of the
// record and not of the job: its code is decode-failed and the source's
// on_error decides.
type DecodeError struct {
	Message string // quotes at most 200 escaped bytes of the record
	Offset  int    // in the bytes read, from 0
}

// Error gives the message and the place.
func (e *DecodeError) Error() string {
	return e.Message + " (at byte " + strconv.Itoa(e.Offset) + ")"
}

// Code is the run-time error code of the language.
func (e *DecodeError) Code() string { return "decode-failed" }

// EncodeError says why a value could not be written; its code is encode-failed.
type EncodeError struct{ Message string }

// Error gives the message.
func (e *EncodeError) Error() string { return e.Message }

// Code is the run-time error code of the language.
func (e *EncodeError) Code() string { return "encode-failed" }

// quotedMax is how much of a value an error message may show.
const quotedMax = 200

// quote shows the start of a value in a message: printable ASCII as it is,
// everything else escaped, at most quotedMax bytes.
func quote(b []byte) string {
	const hex = "0123456789abcdef"
	out := make([]byte, 0, min(len(b)+8, quotedMax))
	for _, c := range b {
		if len(out) > quotedMax-8 {
			return string(append(out, "…"...))
		}
		switch {
		case c == '\n':
			out = append(out, '\\', 'n')
		case c < ' ' || c >= 0x7f:
			out = append(out, '\\', 'x', hex[c>>4], hex[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(out)
}
