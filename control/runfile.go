package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// RunFile says where a job of this machine can be asked.
type RunFile struct {
	Head
	Name    string    `json:"name"`
	PID     int       `json:"pid"`
	URL     string    `json:"url"`
	File    string    `json:"file"` // the pipeline file
	Started time.Time `json:"started"`

	path string
}

// RunDir is the directory of a user's run files: below $XDG_RUNTIME_DIR, else in
// the system's directory for temporary files.
func RunDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "kstream")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("kstream-%d", os.Getuid()))
}

// WriteRunFile announces a job; remove takes the file away again. A directory
// that belongs to somebody else, or that others may write to, is refused: what
// stands in it would be believed.
func WriteRunFile(dir string, r RunFile) (remove func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of run files: %w", err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	r.Head = head("RunFile")
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode run file: %w", err)
	}
	path := filepath.Join(dir, fmt.Sprintf("%s-%d.json", r.Name, r.PID))
	temp := path + ".new"
	if err := os.WriteFile(temp, append(b, '\n'), 0o600); err != nil {
		return nil, fmt.Errorf("write run file: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return nil, fmt.Errorf("write run file: %w", err)
	}
	return func() { _ = os.Remove(path) }, nil
}

// private demands a directory of our own that nobody else may write to.
func private(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("look at the directory of run files: %w", err)
	}
	if !info.IsDir() || info.Mode().Perm()&0o022 != 0 || !ownedByUs(info) {
		return fmt.Errorf("%s is not a directory of this user alone: chmod 700, or set XDG_RUNTIME_DIR", dir)
	}
	return nil
}

// RunFiles reads the run files of a directory, in order of name and process.
// What cannot be read is left out.
func RunFiles(dir string) ([]RunFile, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = private(dir)
	}
	if err != nil {
		return nil, err
	}
	var files []RunFile
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		b, err := os.ReadFile(path)
		r := RunFile{path: path}
		if err == nil && json.Unmarshal(b, &r) == nil && r.Kind == "RunFile" && r.Version == 1 {
			files = append(files, r)
		}
	}
	slices.SortFunc(files, func(a, b RunFile) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return a.PID - b.PID
	})
	return files, nil
}

// Forget removes the run file of a process that is gone.
func (r *RunFile) Forget() { _ = os.Remove(r.path) }
