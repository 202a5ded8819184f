package source

import (
	"bytes"
	"errors"

	"kstream/record"
)

// LineMax is the longest line in bytes.
const LineMax = 16 << 20

// ErrLineTooLong is a line beyond LineMax.
var ErrLineTooLong = errors.New("line is too long")

// Lines splits a stream of bytes into lines and knows the position of each.
//
//	lines.Feed(chunk)
//	for { line, at, ok := lines.Next(); … }
//	at the end of the stream: line, at, ok := lines.Last()
type Lines struct {
	buf   []byte
	start int           // of the first line in buf that was not taken
	seen  int           // up to here there is no line feed behind start
	pos   record.Offset // of buf[start] in the stream
}

// NewLines makes a splitter for a stream that begins at a position.
func NewLines(pos record.Offset) *Lines { return &Lines{pos: pos} }

// Feed takes the next bytes of the stream; the lines given out before are
// invalid then. It fails with ErrLineTooLong when a line exceeds LineMax.
func (l *Lines) Feed(chunk []byte) error {
	if l.start > 0 {
		n := copy(l.buf, l.buf[l.start:])
		l.buf, l.seen, l.start = l.buf[:n], l.seen-l.start, 0
	}
	l.buf = append(l.buf, chunk...)
	if len(l.buf) > LineMax && bytes.IndexByte(l.buf[l.seen:], '\n') < 0 {
		return ErrLineTooLong
	}
	return nil
}

// Next gives the next whole line without its end (a line feed, or a carriage
// return and a line feed) and its position. Ok is false if more bytes are
// needed.
func (l *Lines) Next() (line []byte, at record.Offset, ok bool) {
	i := bytes.IndexByte(l.buf[l.seen:], '\n')
	if i < 0 {
		l.seen = len(l.buf)
		return nil, 0, false
	}
	end := l.seen + i
	line, at = l.take(end), l.pos
	l.pos += record.Offset(end + 1 - l.start)
	l.start, l.seen = end+1, end+1
	return line, at, true
}

// Last gives what is left at the end of the stream: a line that was not ended.
func (l *Lines) Last() (line []byte, at record.Offset, ok bool) {
	if l.start == len(l.buf) {
		return nil, 0, false
	}
	end := len(l.buf)
	line, at = l.take(end), l.pos
	l.pos += record.Offset(end - l.start)
	l.start, l.seen = end, end
	return line, at, true
}

// Position is that of the next line.
func (l *Lines) Position() record.Offset { return l.pos }

func (l *Lines) take(end int) []byte {
	line := l.buf[l.start:end:end]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[: n-1 : n-1]
	}
	return line
}
