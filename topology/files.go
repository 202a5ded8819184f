package topology

import (
	"fmt"
	"path"
	"strings"
)

// FileSourceSpec is a source of files. Path is a pattern; Compression: none, gzip,
// zstd.
type FileSourceSpec struct {
	Path        string
	Follow      bool
	Compression string
}

// FileSinkSpec is a sink of files. Compression: none, gzip, zstd.
type FileSinkSpec struct {
	Path        string
	Compression string
}

var compressionShape = oneOf("none", "gzip", "zstd")

var fileSourceFields = &object{
	name: "source.file",
	fields: []field{
		{name: "path", shape: scalarOf(kindText), required: true, doc: "A file, or a pattern with `*`, `?` and `[a-z]` for several. Each file is a partition; its lines are the records.", example: "path: data/*.jsonl"},
		{name: "follow", shape: scalarOf(kindBool), def: "false", doc: "Go on with what is appended, with new files, and with the successor of a file that was rotated (`x.log.1`, `x.log-20260101`). Without it the source is bounded, and its files are those of the first start."},
		{name: "compression", shape: compressionShape, def: "none", doc: "Of the files; positions are those of the uncompressed bytes."},
	},
}

var fileSinkFields = &object{
	name: "sink.file",
	fields: []field{
		{name: "path", shape: scalarOf(kindText), required: true, doc: "Files are `<path without ending>-<subtask>-<checkpoint>.<ending>`. The directory is made if the one above it exists.", example: "path: out/hours.jsonl"},
		{name: "compression", shape: compressionShape, def: "none", doc: "Of the whole file; the name is as `path` says."},
		reserved("roll"),
	},
}

func decodeFileSource(c *value) *FileSourceSpec {
	return &FileSourceSpec{Path: c.str("path"), Follow: c.flag("follow"), Compression: c.str("compression")}
}

// fileSourceRules checks the patterns of file sources.
func (l *loader) fileSourceRules() {
	for _, s := range l.spec.Sources {
		if s.File == nil {
			continue
		}
		v := l.nodeValue("sources", "source", s.Name).get("file")
		at := v.get("path")
		if l.filePath(at, s.File.Path) {
			if _, err := path.Match(s.File.Path, ""); err != nil {
				l.fail(at.at, "bad-value", at.path, quote(s.File.Path)+" is not a pattern", "[ begins a set of characters: [a-z]; \\[ is the character")
			}
		}
		if s.File.Follow && s.File.Compression != "none" {
			l.fail(v.get("compression").keyAt, "conflicting-fields", v.path+"/compression", "a compressed file cannot be followed",
				"it has no end that is known while it grows; read it when it is complete, without follow")
		}
	}
}

func decodeFileSink(c *value) *FileSinkSpec {
	return &FileSinkSpec{Path: c.str("path"), Compression: c.str("compression")}
}

// fileSinkRules checks the paths of file sinks.
func (l *loader) fileSinkRules() {
	seen := map[string]string{}
	for _, s := range l.spec.Sinks {
		if s.File == nil {
			continue
		}
		at := l.nodeValue("sinks", "sink", s.Name).get("file").get("path")
		p := s.File.Path
		if !l.filePath(at, p) {
			continue
		}
		switch base := path.Base(path.Clean("/" + p)); {
		case strings.HasSuffix(p, "/"), base == "/", strings.HasSuffix(p, "/.."), p == "..":
			l.fail(at.at, "bad-value", at.path, quote(p)+" is a directory", "say how the files begin: "+strings.TrimSuffix(p, "/")+"/results.jsonl")
			continue
		case strings.ContainsAny(p, "*?[{"):
			l.fail(at.at, "bad-value", at.path, quote(p)+" is not the path of a file", "a file sink writes to one path, without * ? [ {")
			continue
		case len(base) > fileNameMax:
			l.fail(at.at, "bad-value", at.path, fmt.Sprintf("the name of the file has %d characters", len(base)), fmt.Sprintf("at most %d", fileNameMax))
			continue
		}
		clean := path.Clean(p)
		if other, twice := seen[clean]; twice {
			l.fail(at.at, "duplicate-name", at.path, "sink "+other+" writes to "+quote(clean)+" too", "every sink needs names of its own")
		}
		seen[clean] = s.Name
	}
}

// fileNameMax leaves room for what is put around the name; file systems take 255
// bytes.
const fileNameMax = 100

// filePath refuses what no file is called.
func (l *loader) filePath(at *value, p string) bool {
	switch {
	case p == "":
		l.fail(at.at, "bad-value", at.path, `"" is not a file name`, "")
	case strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f }):
		l.fail(at.at, "bad-value", at.path, "the path has a control character", "")
	default:
		return true
	}
	return false
}
