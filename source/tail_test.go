package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/record"
)

// memFiles is a file system in memory. A file keeps its number when its name
// changes.
type memFiles struct {
	files map[string]*memData
	last  uint64
}

type memData struct {
	id   uint64
	data []byte
}

func newMemFiles() *memFiles { return &memFiles{files: map[string]*memData{}} }

func (m *memFiles) write(p, text string) {
	f := m.files[p]
	if f == nil {
		m.last++
		f = &memData{id: m.last}
		m.files[p] = f
	}
	f.data = append(f.data, text...)
}

func (m *memFiles) rename(from, to string) {
	m.files[to] = m.files[from]
	delete(m.files, from)
}

func (m *memFiles) Glob(pattern string) (all []string, err error) {
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		if ok, err := path.Match(pattern, p); err != nil {
			return nil, err
		} else if ok {
			all = append(all, p)
		}
	}
	return all, nil
}

func (m *memFiles) Names(dir string) (names []string, err error) {
	for p := range m.files {
		if path.Dir(p) == path.Clean(dir) {
			names = append(names, path.Base(p))
		}
	}
	return names, nil
}

func (m *memFiles) Stat(p string) (FileInfo, error) {
	f := m.files[p]
	if f == nil {
		return FileInfo{}, fs.ErrNotExist
	}
	return FileInfo{Size: int64(len(f.data)), ID: f.id, Regular: true}, nil
}

func (m *memFiles) Open(p string) (SourceFile, error) {
	f := m.files[p]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &memReader{f: f}, nil
}

type memReader struct {
	f  *memData
	at int64
}

func (r *memReader) Read(b []byte) (int, error) {
	if r.at >= int64(len(r.f.data)) {
		return 0, io.EOF
	}
	n := copy(b, r.f.data[r.at:])
	r.at += int64(n)
	return n, nil
}

func (r *memReader) Seek(to int64, _ int) (int64, error) { r.at = to; return to, nil }

func (r *memReader) Stat() (FileInfo, error) {
	return FileInfo{Size: int64(len(r.f.data)), ID: r.f.id, Regular: true}, nil
}

func (r *memReader) Close() error { return nil }

// drain takes all lines that are there now.
func drain(t *testing.T, tail *Tail) (lines []string, found int) {
	t.Helper()
	for {
		for line, _, ok := tail.Next(); ok; line, _, ok = tail.Next() {
			lines = append(lines, string(line))
		}
		found, err := tail.Fill()
		if err != nil {
			t.Fatal(err)
		}
		if found == FillMore {
			continue
		}
		if line, _, ok := tail.Next(); ok { // the last one, when ended
			lines = append(lines, string(line))
		}
		return lines, found
	}
}

func open(t *testing.T, m *memFiles, o TailOptions, at record.Offset, was Identity) *Tail {
	t.Helper()
	tail, err := OpenTail(m, "dir/x.log", o, at, was)
	if err != nil {
		t.Fatal(err)
	}
	return tail
}

func compress(t *testing.T, compression, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := codec.NewStreamWriter(compression, &b)
	if err == nil {
		_, err = io.WriteString(w, text)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFilesAreReadToTheirEnd: line ends of both kinds, a last line without one,
// empty lines, an empty file; and a restart at every line goes on behind it.
func TestFilesAreReadToTheirEnd(t *testing.T) {
	for _, compression := range []string{"none", "gzip", "zstd"} {
		for text, want := range map[string][]string{
			"": nil, "a\nb\n": {"a", "b"}, "a\r\n\r\nb": {"a", "", "b"}, "\n": {""},
			strings.Repeat("0123456789\n", 20_000): slices.Repeat([]string{"0123456789"}, 20_000),
		} {
			m := newMemFiles()
			m.write("dir/x.log", compress(t, compression, text))
			o := TailOptions{Compression: compression}
			tail := open(t, m, o, 0, Identity{})
			if got, found := drain(t, tail); !slices.Equal(got, want) || found != FillEnded {
				t.Fatalf("%s %.20q: %d lines, want %d, found %d", compression, text, len(got), len(want), found)
			}
			if at, _ := tail.Position(); at != record.Offset(len(text)) {
				t.Errorf("%s %.20q: the position is %d, want %d", compression, text, at, len(text))
			}
			tail = open(t, m, o, 0, Identity{})
			if _, err := tail.Fill(); err != nil {
				t.Fatal(err)
			}
			for i := 0; i < min(len(want), 60); i++ {
				if _, _, ok := tail.Next(); !ok {
					break
				}
				at, was := tail.Position()
				if got, _ := drain(t, open(t, m, o, at, was)); !slices.Equal(got, want[i+1:]) {
					t.Fatalf("%s %.20q: a restart behind line %d at %d reads %d lines, want %d", compression, text, i, at, len(got), len(want)-i-1)
				}
			}
		}
	}
}

func TestChangedFilesAreRefused(t *testing.T) {
	text := strings.Repeat("a line that is long enough\n", 100)
	for name, c := range map[string]struct {
		change func(m *memFiles)
		want   string
	}{
		"gone":            {func(m *memFiles) { delete(m.files, "dir/x.log") }, "is gone"},
		"shorter":         {func(m *memFiles) { m.files["dir/x.log"].data = m.files["dir/x.log"].data[:1500] }, "has become shorter"},
		"much shorter":    {func(m *memFiles) { m.files["dir/x.log"].data = nil }, "has become shorter"},
		"another":         {func(m *memFiles) { m.files["dir/x.log"].data[3] ^= 1 }, "is another file"},
		"another, longer": {func(m *memFiles) { delete(m.files, "dir/x.log"); m.write("dir/x.log", strings.Repeat("b\n", 5000)) }, "is another file"},
		"rotated":         {func(m *memFiles) { m.rename("dir/x.log", "dir/x.log.1"); m.write("dir/x.log", "new\n") }, "has become shorter"},
	} {
		m := newMemFiles()
		m.write("dir/x.log", text)
		tail := open(t, m, TailOptions{}, 0, Identity{})
		drain(t, tail)
		at, was := tail.Position()
		c.change(m)
		_, err := OpenTail(m, "dir/x.log", TailOptions{}, at, was)
		var changed *FileChangedError
		if !errors.As(err, &changed) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	m := newMemFiles()
	m.write("dir/x.log", text)
	tail := open(t, m, TailOptions{Follow: true}, 0, Identity{})
	drain(t, tail)
	m.files["dir/x.log"].data = m.files["dir/x.log"].data[:10]
	if _, err := tail.Rotated(); err == nil {
		t.Error("a file that is followed and was cut is not noticed")
	}
}

func TestALineThatIsTooLong(t *testing.T) {
	m := newMemFiles()
	m.write("dir/x.log", "short\n"+strings.Repeat("x", LineMax+1))
	tail := open(t, m, TailOptions{}, 0, Identity{})
	for {
		for _, _, ok := tail.Next(); ok; _, _, ok = tail.Next() {
		}
		if found, err := tail.Fill(); err != nil {
			if !errors.Is(err, ErrLineTooLong) || !strings.Contains(err.Error(), "dir/x.log at byte 6") {
				t.Error(err)
			}
			return
		} else if found == FillEnded {
			t.Fatal("it is read")
		}
	}
}

func TestOrderOfRotatedNames(t *testing.T) {
	got := orderRotated("x.log", []string{"x.log.1", "x.log.10", "x.log", "x.log.2", "y.log.1", "x.log-20260102", "x.log-20260101", "x.log.gz",
		"x.log.1.gz", "x.log.bak", "x.log2", "x.log-20260101T10:00"})
	want := []string{"x.log-20260101", "x.log-20260101T10:00", "x.log-20260102", "x.log.10", "x.log.2", "x.log.1"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// logger writes numbered lines into a file and rotates it.
type logger struct {
	m       *memFiles
	dates   bool
	lines   []string
	rotated int
	header  string
}

func (w *logger) append(rng *rand.Rand) {
	for range 1 + rng.IntN(3) {
		line := fmt.Sprintf("line %d %s", len(w.lines), strings.Repeat("x", rng.IntN(400)))
		w.m.write("dir/x.log", line+"\n")
		w.lines = append(w.lines, line)
	}
}

func (w *logger) rotate() {
	if f := w.m.files["dir/x.log"]; f == nil || len(f.data) == 0 {
		return // nobody rotates an empty file
	}
	w.rotated++
	if w.dates {
		w.m.rename("dir/x.log", fmt.Sprintf("dir/x.log-%08d", 20260000+w.rotated))
	} else {
		for i := w.rotated - 1; i > 0; i-- {
			w.m.rename(fmt.Sprint("dir/x.log.", i), fmt.Sprint("dir/x.log.", i+1))
		}
		w.m.rename("dir/x.log", "dir/x.log.1")
	}
	w.m.write("dir/x.log", w.header)
	if w.header != "" {
		w.lines = append(w.lines, strings.TrimSuffix(w.header, "\n"))
	}
}

// TestAnyRotation plays random sequences of appending, rotating, reading, taking a
// checkpoint and starting again from it: each line is read once, in order.
func TestAnyRotation(t *testing.T) {
	o := TailOptions{Follow: true}
	for seed := range uint64(400) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := &logger{m: newMemFiles(), dates: seed%2 == 0}
		if seed%3 == 0 { // files that begin alike
			w.header = strings.Repeat("# the same in every file\n", 50)[:1+25*rng.IntN(50)]
			w.header = w.header[:strings.LastIndexByte(w.header, '\n')+1]
			w.header = w.header[strings.LastIndexByte(strings.TrimSuffix(w.header, "\n"), '\n')+1:]
		}
		w.m.write("dir/x.log", "")
		tail := open(t, w.m, o, 0, Identity{})
		var got, committed []string
		at, was := tail.Position()
		for range 60 {
			switch rng.IntN(8) {
			case 0, 1:
				w.append(rng)
			case 2:
				w.rotate()
			case 3, 4:
				got = step(t, tail, got, rng.IntN(5))
			case 5:
				at, was = tail.Position()
				committed = slices.Clone(got)
			case 6:
				tail = open(t, w.m, o, at, was)
				got = slices.Clone(committed)
			}
		}
		for len(got) < len(w.lines) {
			before, _ := tail.Position()
			n := len(got)
			got = step(t, tail, got, 1000)
			if after, _ := tail.Position(); len(got) == n && before == after && before != 0 {
				break
			}
		}
		if !slices.Equal(got, w.lines) {
			i := 0
			for i < min(len(got), len(w.lines)) && got[i] == w.lines[i] {
				i++
			}
			t.Fatalf("seed %d: %d lines read, %d written, the first %d are the same", seed, len(got), len(w.lines), i)
		}
	}
}

// step reads up to so many lines, and goes on to the next file at the end of one.
func step(t *testing.T, tail *Tail, got []string, most int) []string {
	t.Helper()
	for range most {
		line, _, ok := tail.Next()
		if ok {
			got = append(got, string(line))
			continue
		}
		found, err := tail.Fill()
		if err != nil {
			t.Fatal(err)
		}
		if found != FillWait {
			continue
		}
		rotated, err := tail.Rotated()
		if err != nil {
			t.Fatal(err)
		}
		if !rotated {
			return got
		}
		tail.Finish()
		if line, _, ok := tail.Next(); ok {
			got = append(got, string(line))
		}
		if err := tail.Succeed(); err != nil {
			t.Fatal(err)
		}
	}
	return got
}
