package runtime

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kstream/sink/twophase/contract"
	"kstream/sink/twophase/stagedfile"
)

// diskSystem is a directory of the machine as a contract.System. The machine does
// not crash in a test: a crash is the end of the process.
type diskSystem struct {
	t   *testing.T
	dir string
	two bool // the move in two steps
}

func (s diskSystem) Open() contract.Sink {
	d := openDisk(s.t, s.dir)
	if s.two {
		return stagedfile.New(twoSteps{d.(*rootedDirectory)}, stagedfile.Options{Pipeline: "job", Dir: s.dir, Base: "out.txt"})
	}
	return stagedfile.New(d, stagedfile.Options{Pipeline: "job", Dir: s.dir, Base: "out.txt"})
}

// twoSteps is a directory of a system that cannot rename without replacing.
type twoSteps struct{ *rootedDirectory }

func (d twoSteps) Move(from, to string) error { return d.link(from, to) }

func openDisk(t *testing.T, path string) Directory {
	t.Helper()
	d, _, err := DiskFiles().Dir(path, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func (s diskSystem) Visible() (lines []string, err error) {
	entries, err := os.ReadDir(s.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		b, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		if err != nil {
			return nil, err
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	return lines, err
}

func (diskSystem) Crash() {}

func (s diskSystem) Forget() {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(s.dir, e.Name())); err != nil {
			s.t.Fatal(err)
		}
	}
}

func TestFilesOnDiskKeepTheContract(t *testing.T) {
	for name, two := range map[string]bool{"rename": false, "link": true} {
		t.Run(name, func(t *testing.T) {
			contract.Test(t, func(t *testing.T) contract.System { return diskSystem{t, filepath.Join(t.TempDir(), "made"), two} })
		})
	}
}

func TestMoveReplacesNothing(t *testing.T) {
	for _, two := range []bool{false, true} {
		dir := t.TempDir()
		d := openDisk(t, dir).(*rootedDirectory)
		move := d.Move
		if two {
			move = d.link
		}
		for _, name := range []string{"a", "b"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := move("a", "b"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("over another file: %v", err)
		}
		if err := move("none", "c"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of nothing: %v", err)
		}
		if err := move("a", "../c"); err == nil {
			t.Error("out of the directory")
		}
		if b, err := os.ReadFile(filepath.Join(dir, "b")); string(b) != "b" || err != nil {
			t.Errorf("b is %q, %v", b, err)
		}
	}
}

// TestAMoveThatWasInterrupted: a crash between the two steps leaves both names.
func TestAMoveThatWasInterrupted(t *testing.T) {
	dir := t.TempDir()
	d := openDisk(t, dir).(*rootedDirectory)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(dir, "a"), filepath.Join(dir, "b")); err != nil {
		t.Fatal(err)
	}
	if err := d.link("a", "b"); err != nil {
		t.Error(err)
	}
	if names, err := d.List(); len(names) != 1 || err != nil {
		t.Errorf("%v, %v", names, err)
	}
}

// TestNothingOutsideIsReached: links do not lead out of a directory, and what is
// no file is not read.
func TestNothingOutsideIsReached(t *testing.T) {
	outside, dir := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Symlink(secret, filepath.Join(dir, "link")), os.Symlink(filepath.Join(outside, "new"), filepath.Join(dir, "dangling")),
		os.Mkdir(filepath.Join(dir, "sub"), 0o700)); err != nil {
		t.Fatal(err)
	}
	d := openDisk(t, dir)
	for _, name := range []string{"link", "../" + filepath.Base(outside) + "/secret", "sub", secret} {
		if f, err := d.Open(name); err == nil {
			t.Errorf("%s is read", name)
			f.Close()
		}
	}
	for _, name := range []string{"dangling", "link", "../new", filepath.Join(outside, "new")} {
		if _, err := d.Create(name); err == nil {
			t.Errorf("%s is written", name)
		}
	}
	if entries, err := os.ReadDir(outside); len(entries) != 1 || err != nil {
		t.Errorf("outside: %v, %v", entries, err)
	}
}

func TestDirectories(t *testing.T) {
	above := t.TempDir()
	if _, _, err := DiskFiles().Dir(filepath.Join(above, "a"), false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory that is not to be made: %v", err)
	}
	if _, _, err := DiskFiles().Dir(filepath.Join(above, "a/b"), true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a directory in none: %v", err)
	}
	if err := os.Symlink(above, filepath.Join(above, "link")); err != nil {
		t.Fatal(err)
	}
	d := openDisk(t, filepath.Join(above, "link", "new")) // the operator's path may lead anywhere
	f, err := d.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(f, "y")
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]fs.FileMode{"new": 0o700, "new/x": 0o600} {
		info, err := os.Stat(filepath.Join(above, path))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s has %v, %v", path, info.Mode(), err)
		}
	}
}
