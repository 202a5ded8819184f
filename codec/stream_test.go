package codec

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

func TestStreamsComeBack(t *testing.T) {
	text := strings.Repeat("a line of text\n", 10_000)
	for _, c := range []string{StreamNone, StreamGzip, StreamZstd} {
		var file bytes.Buffer
		for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} { // two streams in a row
			w, err := NewStreamWriter(c, &file)
			if err != nil {
				t.Fatal(c, err)
			}
			if _, err := io.WriteString(w, half); err != nil {
				t.Fatal(c, err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(c, err)
			}
		}
		if c != StreamNone && file.Len() > len(text)/10 {
			t.Errorf("%s: %d bytes of %d", c, file.Len(), len(text))
		}
		r, err := NewStreamReader(c, bytes.NewReader(file.Bytes()))
		if err != nil {
			t.Fatal(c, err)
		}
		got, err := io.ReadAll(r)
		if err != nil || string(got) != text {
			t.Errorf("%s: %d bytes come back, %v", c, len(got), err)
		}
		cut, err := NewStreamReader(c, bytes.NewReader(file.Bytes()[:file.Len()-3]))
		if err == nil {
			_, err = io.ReadAll(cut)
		}
		if (err == nil) != (c == StreamNone) {
			t.Errorf("%s: a stream that was cut reads with %v", c, err)
		}
	}
	if _, err := NewStreamWriter("lzma", io.Discard); err == nil {
		t.Error("an unknown compression is accepted for writing")
	}
	if _, err := NewStreamReader("lzma", strings.NewReader("")); err == nil {
		t.Error("an unknown compression is accepted for reading")
	}
}
