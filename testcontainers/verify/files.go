package verify

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// File is one file of results: what a reader of the directory sees.
type File struct {
	Name           string
	Subtask, Epoch int
	Values         []Value
}

var fileName = regexp.MustCompile(`^copy-([0-9]+)-([0-9]+)\.jsonl\.gz$`)

// readFiles reads every file of a directory that a reader would: those with a dot
// in front are not for it. They come in the order of epochs.
func readFiles(dir string) ([]File, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nothing was written yet
	}
	var all []File
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		f := File{Name: e.Name(), Subtask: -1}
		if m := fileName.FindStringSubmatch(e.Name()); m != nil {
			f.Subtask, _ = strconv.Atoi(m[1]) // digits
			f.Epoch, _ = strconv.Atoi(m[2])
		}
		if f.Values, err = readLines(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("read file %s: %w", e.Name(), err)
		}
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b File) int {
		if a.Epoch != b.Epoch {
			return a.Epoch - b.Epoch
		}
		return a.Subtask - b.Subtask
	})
	return all, err
}

func readLines(path string) (values []Value, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var v Value
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(values)+1, err)
		}
		values = append(values, v)
	}
	return values, lines.Err()
}

// LeftBehind names the files of unfinished work in a directory.
func LeftBehind(dir string) (left []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".staged") {
			left = append(left, e.Name())
		}
	}
	return left, err
}

// checkFiles demands that all files together hold every record of the input once,
// those of a partition in their order.
func checkFiles(v *verdict, in Log, files []File) {
	where := map[int64]place{}
	for p, recs := range in {
		for i, r := range recs {
			where[r.Value.N] = place{p, i}
		}
	}
	next := make([]int, len(in))
	for _, f := range files {
		if f.Subtask < 0 {
			v.bad("files: %s is no name of a result", f.Name)
		}
		if len(f.Values) == 0 {
			v.bad("files: %s is empty", f.Name)
		}
		v.compared.Files++
		for i, got := range f.Values {
			at, ok := where[got.N]
			switch {
			case !ok:
				v.bad("files: %s line %d holds %+v, which is not in the input", f.Name, i+1, got)
			case at.index < next[at.partition]:
				v.bad("files: %s line %d holds %s a second time, or behind a later one", f.Name, i+1, got.ID)
			case at.index > next[at.partition]:
				v.bad("files: %s line %d holds %s, but %s of partition %d is not before it", f.Name, i+1, got.ID,
					in[at.partition][next[at.partition]].Value.ID, at.partition)
				next[at.partition] = at.index + 1
			case got != in[at.partition][at.index].Value:
				v.bad("files: %s line %d holds %+v, want %+v", f.Name, i+1, got, in[at.partition][at.index].Value)
				fallthrough
			default:
				next[at.partition]++
			}
		}
	}
	for p, n := range next {
		if n < len(in[p]) {
			v.bad("files: partition %d ends after %d of %d records, %s is lost", p, n, len(in[p]), in[p][n].Value.ID)
		}
	}
}
