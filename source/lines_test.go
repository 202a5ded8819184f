package source

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"kstream/record"
)

// collect feeds a text in pieces and gives the lines with their positions.
func collect(t *testing.T, text string, piece int) []string {
	t.Helper()
	l := NewLines(10)
	var out []string
	for len(text) > 0 {
		n := min(piece, len(text))
		if err := l.Feed([]byte(text[:n])); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
		for line, at, ok := l.Next(); ok; line, at, ok = l.Next() {
			out = append(out, fmt.Sprintf("%d %q", at, line))
		}
	}
	if line, at, ok := l.Last(); ok {
		out = append(out, fmt.Sprintf("%d %q", at, line))
	}
	if line, _, ok := l.Last(); ok {
		t.Errorf("the last line %q comes twice", line)
	}
	out = append(out, fmt.Sprint("end ", l.Position()))
	return out
}

func TestLinesAndTheirPositions(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "end 10",
		"a\nbc\n":           `10 "a",12 "bc",end 15`,
		"a\r\n\nlast":       `10 "a",13 "",14 "last",end 18`,
		"\r\n\r":            `10 "",12 "",end 13`,
		"no end":            `10 "no end",end 16`,
		"lone \r inside\nx": `10 "lone \r inside",24 "x",end 25`,
	} {
		for piece := 1; piece <= len(text)+1; piece++ {
			if got := strings.Join(collect(t, text, piece), ","); got != want {
				t.Errorf("%q in pieces of %d: %s, want %s", text, piece, got, want)
			}
		}
	}
}

func TestALineHasALimit(t *testing.T) {
	l := NewLines(0)
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	var err error
	fed := 0
	for ; err == nil && fed < 2*LineMax; fed += len(chunk) {
		err = l.Feed(chunk)
		l.Next()
	}
	if !errors.Is(err, ErrLineTooLong) || fed < LineMax {
		t.Errorf("after %d bytes: %v", fed, err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, size uint8) {
		l := NewLines(0)
		piece := int(size) + 1
		var rebuilt []byte
		check := func(line []byte, at record.Offset, ok bool) bool {
			if ok {
				for record.Offset(len(rebuilt)) < at {
					rebuilt = append(rebuilt, data[len(rebuilt)])
				}
				rebuilt = append(rebuilt, line...)
			}
			return ok
		}
		for rest := data; len(rest) > 0; {
			n := min(piece, len(rest))
			if err := l.Feed(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			for check(l.Next()) {
			}
		}
		check(l.Last())
		if !bytes.HasPrefix(data, rebuilt) || l.Position() != record.Offset(len(data)) {
			t.Fatalf("%q: rebuilt %q, position %d", data, rebuilt, l.Position())
		}
		if tail := data[len(rebuilt):]; strings.Trim(string(tail), "\r\n") != "" {
			t.Fatalf("%q: lost %q", data, tail)
		}
	})
}
