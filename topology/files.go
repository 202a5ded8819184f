package topology

import (
	"fmt"
	"path"
	"strings"
)

// FileSinkSpec is a sink of files. Compression: none, gzip, zstd.
type FileSinkSpec struct {
	Path        string
	Compression string
}

var compressionShape = oneOf("none", "gzip", "zstd")

var fileSinkFields = &object{
	name: "sink.file",
	fields: []field{
		{name: "path", shape: scalarOf(kindText), required: true, doc: "Files are `<path without ending>-<subtask>-<checkpoint>.<ending>`. The directory is made if the one above it exists.", example: "path: out/hours.jsonl"},
		{name: "compression", shape: compressionShape, def: "none", doc: "Of the whole file; the name is as `path` says."},
		reserved("roll"),
	},
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
