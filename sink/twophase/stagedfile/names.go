package stagedfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"kstream/checkpoint"
	"kstream/sink/twophase"
)

const (
	handleVersion = "1"
	stagedSuffix  = ".staged"
	markSuffix    = ".committed"
)

// hiddenPrefix is what the hidden names of a slot of a sink begin with. Names of
// pipelines have no dot, so the rest can be read from the end.
func hiddenPrefix(o Options, slot int) string {
	return fmt.Sprintf(".%s.%s.%d.", o.Base, o.Pipeline, slot)
}

func stagedName(o Options, owner twophase.Owner, epoch checkpoint.Epoch) string {
	return fmt.Sprintf("%s%d.%s.%d%s", hiddenPrefix(o, owner.Slot), o.Subtask, owner.ID, epoch, stagedSuffix)
}

// targetName is the name under which a file appears.
func targetName(o Options, epoch checkpoint.Epoch) string {
	stem, ending := splitEnding(o.Base)
	return fmt.Sprintf("%s-%d-%d%s", stem, o.Subtask, epoch, ending)
}

// splitEnding cuts a name before its ending, .jsonl or .jsonl.gz.
func splitEnding(base string) (stem, ending string) {
	ending = path.Ext(base)
	stem = strings.TrimSuffix(base, ending)
	switch ending {
	case ".gz", ".zst", ".zstd":
		inner := path.Ext(stem)
		stem, ending = strings.TrimSuffix(stem, inner), inner+ending
	}
	if stem == "" { // a hidden name has no ending
		return base, ""
	}
	return stem, ending
}

// dead reports whether name is a hidden file of this sink and slot, of whatever
// subtask, and of an incarnation before the owner's. A name it does not
// understand is left alone.
func dead(name string, o Options, owner twophase.Owner) bool {
	rest, ours := strings.CutPrefix(name, hiddenPrefix(o, owner.Slot))
	body, staged := strings.CutSuffix(rest, stagedSuffix)
	if !staged {
		body, staged = strings.CutSuffix(rest, markSuffix)
	}
	parts := strings.Split(body, ".")
	if !ours || !staged || len(parts) != 3 {
		return false
	}
	number, _, ok := strings.Cut(parts[1], "-")
	if !ok {
		return false
	}
	incarnation, err := strconv.ParseUint(number, 10, 64)
	return err == nil && incarnation < owner.Incarnation
}

// work is what a handle says: one staged file and what it becomes.
type work struct {
	dir            string
	staged, target string // names in dir
	length         int64
	hash           [sha256.Size]byte
}

// mark is the name of the mark that the work was committed.
func (w work) mark() string { return strings.TrimSuffix(w.staged, stagedSuffix) + markSuffix }

func (w work) encode() []byte {
	return fmt.Appendf(nil, "%s\n%q\n%q\n%q\n%d\n%x", handleVersion, w.dir, w.staged, w.target, w.length, w.hash)
}

// DirOf is the directory of a handle's files.
func DirOf(opaque []byte) (string, error) {
	w, err := decodeWork(opaque)
	return w.dir, err
}

func decodeWork(b []byte) (work, error) {
	parts := bytes.Split(b, []byte{'\n'})
	if len(parts) != 6 || string(parts[0]) != handleVersion {
		return work{}, errors.New("handle: unknown version or form")
	}
	var w work
	for i, text := range []*string{&w.dir, &w.staged, &w.target} {
		var err error
		if *text, err = strconv.Unquote(string(parts[1+i])); err != nil {
			return work{}, fmt.Errorf("handle: name %q", parts[1+i])
		}
	}
	if !isName(w.staged) || !isName(w.target) || !strings.HasPrefix(w.staged, ".") || !strings.HasSuffix(w.staged, stagedSuffix) {
		return work{}, fmt.Errorf("handle: names %q and %q", w.staged, w.target)
	}
	var err error
	if w.length, err = strconv.ParseInt(string(parts[4]), 10, 64); err != nil || w.length < 0 {
		return work{}, fmt.Errorf("handle: length %q", parts[4])
	}
	if n, err := hex.Decode(w.hash[:], parts[5][:min(len(parts[5]), 2*sha256.Size)]); err != nil || n != sha256.Size || len(parts[5]) != 2*sha256.Size {
		return work{}, fmt.Errorf("handle: hash %q", parts[5])
	}
	return w, nil
}

// isName says that a name stays in its directory.
func isName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, "/\\\x00")
}
