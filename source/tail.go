package source

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"kstream/codec"
	"kstream/record"
)

// FileSystem is what a file source needs of one.
type FileSystem interface {
	// Glob gives the paths that a pattern matches, sorted.
	Glob(pattern string) ([]string, error)
	// Names gives the names in a directory.
	Names(dir string) ([]string, error)
	// Open opens a file, fs.ErrNotExist if there is none.
	Open(path string) (SourceFile, error)
	// Stat looks at a path, fs.ErrNotExist if there is nothing.
	Stat(path string) (FileInfo, error)
}

// SourceFile is a file being read. It stays the same file when its name changes.
type SourceFile interface {
	io.ReadSeekCloser
	Stat() (FileInfo, error)
}

// FileInfo is what is known of a file. ID stays when the name changes, and is not
// that of another file beside it; 0 if the system has none.
type FileInfo struct {
	Size    int64
	ID      uint64
	Regular bool
}

// identityMax is how many of the first bytes of a file tell it from others.
const identityMax = 1 << 10

// Identity tells files apart: a hash of the first bytes, as many as were read but
// at most 1 KiB, and the number the file system has for the file. The number
// decides only between files that begin alike: a copy has another one.
type Identity record.TopicID

func identityOf(head []byte, at record.Offset, id uint64) (i Identity) {
	sum := sha256.Sum256(head[:min(len(head), int(min(at, identityMax)))])
	copy(i[:8], sum[:8])
	binary.BigEndian.PutUint64(i[8:], id)
	return i
}

func (i Identity) sameBytes(o Identity) bool { return bytes.Equal(i[:8], o[:8]) }

func (i Identity) number() uint64 { return binary.BigEndian.Uint64(i[8:]) }

// FileChangedError says that a file is not what was read before. Silent loss is
// the worst outcome, so nothing is read of it.
type FileChangedError struct {
	Path string
	Why  string
}

func (e *FileChangedError) Error() string { return e.Path + " " + e.Why }

// TailOptions say how files are read.
type TailOptions struct {
	Compression string
	Follow      bool
}

// Tail reads the lines of one file from a position on and, if it follows, those of
// the files that take its name one after the other.
//
//	for {
//		line, at, ok := tail.Next()
//		if !ok { more, err := tail.Fill(); … }
//	}
type Tail struct {
	fs   FileSystem
	o    TailOptions
	path string

	file   SourceFile
	id     uint64
	stream io.ReadCloser
	head   []byte // the first bytes, for the identity
	lines  *Lines
	read   record.Offset // bytes of the stream that were read
	ended  bool
	buf    []byte
}

// fillBytes is how much of a file is read at a time.
const fillBytes = 64 << 10

// OpenTail goes on at a position in the file of an identity; it is found under a
// name that rotation gave it, if the path is followed. An offset of 0 without an
// identity is the file that is there. Errors: *FileChangedError, and those of the
// file system.
func OpenTail(fsys FileSystem, p string, o TailOptions, at record.Offset, was Identity) (*Tail, error) {
	t := &Tail{fs: fsys, o: o, path: p, buf: make([]byte, fillBytes)}
	candidates := []string{p}
	if o.Follow && was != (Identity{}) {
		rotated, err := t.rotated()
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, rotated...)
	}
	var found []string
	var why error = &FileChangedError{p, "is gone"}
	for _, c := range candidates {
		same, numbered, err := t.look(c, at, was)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil && c == p:
			why = err
			var changed *FileChangedError
			if !errors.As(err, &changed) {
				return nil, err
			}
		case err == nil && same && numbered:
			return t, t.openAt(c, at)
		case err == nil && same:
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0:
		return nil, why
	case len(found) > 1 && at > 0:
		return nil, &FileChangedError{p, fmt.Sprintf("was rotated, and which file has its beginning is not clear: %v", found)}
	}
	return t, t.openAt(found[0], at)
}

// look says whether the file at a path is that of an identity, and whether the
// file system has the same number for it.
func (t *Tail) look(p string, at record.Offset, was Identity) (same, numbered bool, err error) {
	info, err := t.fs.Stat(p)
	if err != nil {
		return false, false, err
	}
	if !info.Regular {
		return false, false, &FileChangedError{p, "is not a regular file"}
	}
	if was == (Identity{}) {
		return true, true, nil
	}
	head, err := t.beginning(p, int(min(at, identityMax)))
	if err != nil {
		return false, false, err
	}
	switch {
	case len(head) < int(min(at, identityMax)), t.plain() && info.Size < int64(at):
		return false, false, &FileChangedError{p, fmt.Sprintf("has become shorter: it was read up to byte %d", at)}
	case !identityOf(head, at, 0).sameBytes(was):
		return false, false, &FileChangedError{p, fmt.Sprintf("is another file: its first %d bytes are not those that were read", len(head))}
	}
	return true, info.ID == was.number(), nil
}

func (t *Tail) plain() bool { return t.o.Compression == codec.StreamNone || t.o.Compression == "" }

// beginning reads the first bytes of a file, fewer if it is shorter.
func (t *Tail) beginning(p string, n int) ([]byte, error) {
	f, err := t.fs.Open(p)
	if err != nil || n == 0 {
		if f != nil {
			f.Close()
		}
		return nil, err
	}
	defer f.Close()
	s, err := codec.NewStreamReader(t.o.Compression, f)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer s.Close()
	head := make([]byte, n)
	got, err := io.ReadFull(s, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return head[:got], err
}

// openAt opens a file and goes to a position in it.
func (t *Tail) openAt(p string, at record.Offset) error {
	head, err := t.beginning(p, int(min(at, identityMax)))
	if err != nil {
		return fmt.Errorf("read %s: %w", p, err)
	}
	f, err := t.fs.Open(p)
	if err != nil {
		return fmt.Errorf("open %s: %w", p, err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("look at %s: %w", p, err), f.Close())
	}
	t.file, t.id, t.head, t.read, t.ended = f, info.ID, head, at, false
	t.lines = NewLines(at)
	t.stream = nil
	if t.plain() {
		_, err = f.Seek(int64(at), io.SeekStart)
	} else if err = t.decompress(); err == nil && at > 0 {
		var n int64
		n, err = io.CopyN(io.Discard, t.stream, int64(at))
		if errors.Is(err, io.EOF) {
			err = &FileChangedError{p, fmt.Sprintf("has become shorter: it was read up to byte %d and ends at %d", at, n)}
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("go to byte %d of %s: %w", at, p, err), f.Close())
	}
	return nil
}

// decompress begins the stream of a file that is not empty.
func (t *Tail) decompress() error {
	s, err := codec.NewStreamReader(t.o.Compression, t.file)
	if errors.Is(err, io.EOF) { // an empty file holds no stream
		s, err = io.NopCloser(bytes.NewReader(nil)), nil
	}
	t.stream = s
	return err
}

// Next gives the next whole line without its end, and its position.
func (t *Tail) Next() (line []byte, at record.Offset, ok bool) {
	if line, at, ok = t.lines.Next(); !ok && t.ended {
		line, at, ok = t.lines.Last()
	}
	return line, at, ok
}

// Position is that of the next line, and the file it is in.
func (t *Tail) Position() (record.Offset, Identity) {
	at := t.lines.Position()
	return at, identityOf(t.head, at, t.id)
}

// What Fill found.
const (
	FillMore  = iota // there is more, Next may have lines
	FillWait         // nothing now; the file may grow, or another take its name
	FillEnded        // the end; Next gives the last line if it was not ended
)

// Fill reads on. The lines given out before are invalid then.
func (t *Tail) Fill() (int, error) {
	if t.ended {
		return FillEnded, nil
	}
	from := io.Reader(t.file)
	if t.stream != nil {
		from = t.stream
	}
	n, err := from.Read(t.buf)
	t.read += record.Offset(n)
	if len(t.head) < identityMax {
		t.head = append(t.head, t.buf[:min(n, identityMax-len(t.head))]...)
	}
	if feedErr := t.lines.Feed(t.buf[:n]); feedErr != nil {
		return 0, fmt.Errorf("%s at byte %d: %w", t.path, t.lines.Position(), feedErr)
	}
	switch {
	case err == nil, n > 0 && errors.Is(err, io.EOF):
		return FillMore, nil
	case !errors.Is(err, io.EOF):
		return 0, fmt.Errorf("read %s: %w", t.path, err)
	case t.o.Follow:
		return FillWait, nil
	}
	t.ended = true
	return FillEnded, nil
}

// Rotated says whether another file has the name now, so that this one ends once
// nobody writes to it any more. It is asked when Fill has to wait.
func (t *Tail) Rotated() (bool, error) {
	info, err := t.fs.Stat(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // between its two steps, or nothing was written since
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", t.path, err)
	}
	if info.ID != t.id {
		return info.Regular, nil
	}
	if info.Size < int64(t.read) {
		return false, &FileChangedError{t.path, fmt.Sprintf("has become shorter: it was read up to byte %d and has %d", t.read, info.Size)}
	}
	return false, nil
}

// Finish ends a file that was rotated and read to its end: Next gives its last
// line if that was not ended. Then Succeed goes on.
func (t *Tail) Finish() { t.ended = true }

// Succeed goes on with the file that came after: the path, or one that was
// rotated away meanwhile itself.
func (t *Tail) Succeed() error {
	rotated, err := t.rotated()
	if err != nil {
		return err
	}
	next := t.path
	for i, p := range rotated {
		info, err := t.fs.Stat(p)
		if err != nil || info.ID != t.id {
			continue // removed since, or another
		}
		if i+1 < len(rotated) {
			next = rotated[i+1]
		}
	}
	old := t.file
	if err := t.openAt(next, 0); err != nil {
		t.file = old
		return err
	}
	return old.Close()
}

// rotated gives the paths that rotation has given to earlier files of this path,
// oldest first.
func (t *Tail) rotated() ([]string, error) {
	dir, base := path.Split(t.path)
	if dir == "" {
		dir = "."
	}
	names, err := t.fs.Names(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var all []string
	for _, n := range orderRotated(base, names) {
		all = append(all, path.Join(dir, n))
	}
	return all, nil
}

// Close gives the file back.
func (t *Tail) Close() error {
	if t.file == nil {
		return nil
	}
	return t.file.Close()
}
