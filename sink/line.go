package sink

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"kstream/record"
)

// Line is the text form of records for a terminal.
type Line struct {
	prefix string
	pretty bool
	out    bytes.Buffer
}

// LineOptions are the options of the stdout sink.
type LineOptions struct {
	Prefix string
	Pretty bool // JSON over several lines
}

// NewLine makes a line writer.
func NewLine(o LineOptions) *Line { return &Line{prefix: o.Prefix, pretty: o.Pretty} }

// Append writes a record as one line: the prefix and the value. A record without
// a value, which deletes its key, is the key and the word deleted. Bytes that
// are not text, and control characters, are written as \xNN.
func (l *Line) Append(dst []byte, m *record.Message) []byte {
	dst = append(dst, l.prefix...)
	switch {
	case m.Value == nil:
		dst = append(appendReadable(dst, m.Key), " deleted"...)
	case l.pretty && l.indent(m.Value):
		dst = append(dst, l.out.Bytes()...)
	default:
		dst = appendReadable(dst, m.Value)
	}
	return append(dst, '\n')
}

func (l *Line) indent(value []byte) bool {
	l.out.Reset()
	return json.Indent(&l.out, value, "", "  ") == nil
}

// appendReadable writes text as it is, without the control characters that
// would change the terminal, and other bytes in hexadecimal.
func appendReadable(dst, b []byte) []byte {
	const hex = "0123456789abcdef"
	text := utf8.Valid(b)
	for _, c := range b {
		if (c < ' ' && c != '\t' || c == 0x7f) || !text && c >= 0x80 {
			dst = append(dst, '\\', 'x', hex[c>>4], hex[c&15])
			continue
		}
		dst = append(dst, c)
	}
	return dst
}
