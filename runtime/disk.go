package runtime

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"kstream/sink/twophase/stagedfile"
)

// DiskFiles is the file system of the machine.
func DiskFiles() Files { return diskFiles{} }

type diskFiles struct{}

// Dir implements Files. Directories are 0700, files 0600: who else may read the
// results is for the operator to say, with a directory of that kind.
func (diskFiles) Dir(path string, make bool) (Directory, string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, "", err
	}
	root, err := os.OpenRoot(abs)
	if make && errors.Is(err, fs.ErrNotExist) {
		if err = makeDirectory(abs); err == nil {
			root, err = os.OpenRoot(abs)
		}
	}
	if err != nil {
		return nil, abs, err
	}
	self, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, abs, err
	}
	return &rootedDirectory{root: root, self: self}, abs, nil
}

// makeDirectory makes a directory that survives a crash.
func makeDirectory(abs string) error {
	if err := os.Mkdir(abs, 0o700); err != nil {
		return err
	}
	above, err := os.Open(filepath.Dir(abs))
	if err != nil {
		return err
	}
	return errors.Join(above.Sync(), above.Close())
}

// rootedDirectory is a directory, rooted: a symbolic link does not lead out of it.
type rootedDirectory struct {
	root *os.Root
	self *os.File // the directory as a file, to sync it
}

// Create implements stagedfile.FS.
func (d *rootedDirectory) Create(name string) (stagedfile.File, error) {
	return d.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

// Open implements stagedfile.FS.
func (d *rootedDirectory) Open(name string) (io.ReadCloser, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is not a regular file", name), err, f.Close())
	}
	return f, nil
}

// Move implements stagedfile.FS.
func (d *rootedDirectory) Move(from, to string) error {
	for _, name := range []string{from, to} { // the rename below is not rooted
		if name == "." || name == ".." || name != filepath.Base(name) {
			return &fs.PathError{Op: "move", Path: name, Err: fs.ErrInvalid}
		}
	}
	err := renameNoReplace(d.self, from, to)
	if !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return d.link(from, to)
}

// link is the move of systems that cannot rename without replacing. After a crash
// between the two steps both names lead to the file, and it is moved again.
func (d *rootedDirectory) link(from, to string) error {
	err := d.root.Link(from, to)
	if errors.Is(err, fs.ErrExist) {
		a, errA := d.root.Lstat(from)
		b, errB := d.root.Lstat(to)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			err = nil
		}
	}
	if err != nil {
		return err
	}
	return d.root.Remove(from)
}

// Remove implements stagedfile.FS.
func (d *rootedDirectory) Remove(name string) error { return d.root.Remove(name) }

// List implements stagedfile.FS.
func (d *rootedDirectory) List() ([]string, error) {
	entries, err := fs.ReadDir(d.root.FS(), ".")
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Sync implements stagedfile.FS.
func (d *rootedDirectory) Sync() error { return d.self.Sync() }

// Close implements Directory.
func (d *rootedDirectory) Close() error { return errors.Join(d.self.Close(), d.root.Close()) }
