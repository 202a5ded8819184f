package topology

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The severities of a diagnostic. Warnings never make a file invalid.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// Limits of what is printed: a broken file can break every line, and a line
// can be a megabyte long.
const (
	diagnosticsPerFileMax = 50
	sourceColumnsMax      = 160
	quotedRunesMax        = 60
)

// setFile is the file name of diagnostics about --set values.
const setFile = "--set"

// Diagnostic is one thing wrong with a pipeline file.
type Diagnostic struct {
	Severity string
	Code     string
	File     string
	Line     int // from 1
	Col      int // from 1, in characters; 0 for a YAML syntax error
	EndCol   int // the column after the last character
	Path     string
	Message  string
	Hint     string

	// Source is the line to show; empty means line Line of the file.
	Source string
}

// collector gathers the diagnostics of one load.
type collector struct {
	list []Diagnostic
	seen map[string]bool
}

// add keeps one diagnostic, once: an aliased map is walked at every use and
// would otherwise repeat what is wrong with it.
func (c *collector) add(d Diagnostic) {
	d.Message, d.Hint = printable(d.Message), printable(d.Hint)
	id := fmt.Sprint(d.File, d.Line, d.Col, d.Code, d.Message)
	if c.seen[id] {
		return
	}
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	c.seen[id] = true
	c.list = append(c.list, d)
}

// printable keeps what a file says from moving the cursor of a terminal: keys
// are named in messages.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}

// crowded reports that hints are no longer worth their time: only the first
// fifty diagnostics are printed.
func (c *collector) crowded() bool { return len(c.list) > 10*diagnosticsPerFileMax }

// SortDiagnostics orders by file and position and drops what is over the limit
// per file. Diagnostics of one position keep their order.
func SortDiagnostics(ds []Diagnostic) []Diagnostic {
	sort.SliceStable(ds, func(i, j int) bool {
		a, b := &ds[i], &ds[j]
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	perFile := map[string]int{}
	return slices.DeleteFunc(ds, func(d Diagnostic) bool {
		perFile[d.File]++
		return perFile[d.File] > diagnosticsPerFileMax
	})
}

// HasErrors reports whether one of the diagnostics is an error.
func HasErrors(ds []Diagnostic) bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity != SeverityWarning })
}

// RenderText writes diagnostics as the command line prints them: position and
// message, the source line, carets and hint. The lines are those of the file.
func RenderText(ds []Diagnostic, lines []string) string {
	var b strings.Builder
	for i := range ds {
		ds[i].render(&b, lines)
	}
	return b.String()
}

func (d *Diagnostic) render(b *strings.Builder, lines []string) {
	b.WriteString(d.File + ":" + strconv.Itoa(d.Line))
	if d.Col > 0 {
		b.WriteString(":" + strconv.Itoa(d.Col))
	}
	severity := d.Severity
	if severity == "" {
		severity = SeverityError
	}
	fmt.Fprintf(b, ": %s[%s]: %s\n", severity, d.Code, d.Message)
	source := d.Source
	if source == "" && d.Line >= 1 && d.Line <= len(lines) {
		source = lines[d.Line-1]
	}
	text, col, end := excerpt(source, d.Col, d.EndCol)
	fmt.Fprintf(b, "%4d | %s\n", d.Line, text)
	if d.Col == 0 {
		if d.Hint != "" {
			b.WriteString("     | " + d.Hint + "\n")
		}
		return
	}
	b.WriteString("     | " + underline(text, col, end))
	if d.Hint != "" {
		b.WriteString(" " + d.Hint)
	}
	b.WriteByte('\n')
}

// excerpt makes a source line printable: unprintable characters become spaces
// or question marks, a long line is cut around the place.
func excerpt(line string, col, end int) (text string, newCol, newEnd int) {
	runes := []rune(line)
	for i, r := range runes {
		if r == '\t' {
			continue
		}
		if !unicode.IsPrint(r) {
			runes[i] = '?'
		}
	}
	if len(runes) <= sourceColumnsMax {
		return string(runes), col, end
	}
	from := min(max(0, col-1-sourceColumnsMax/2), len(runes)-sourceColumnsMax)
	cut := string(runes[from : from+sourceColumnsMax])
	if from > 0 {
		cut, from = "…"+cut, from-1
	}
	if from+sourceColumnsMax < len(runes) {
		cut += "…"
	}
	return cut, max(col-from, 1), max(min(end-from, sourceColumnsMax+2), 2)
}

// underline places the carets; tabs are kept so that they stand below the
// right characters.
func underline(text string, col, end int) string {
	runes := []rune(text)
	var b strings.Builder
	for i := range col - 1 {
		if i < len(runes) && runes[i] == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	b.WriteString(strings.Repeat("^", max(1, end-col)))
	return b.String()
}

// FileReport is the outcome of one file for Report.
type FileReport struct {
	Path        string
	Diagnostics []Diagnostic
}

type jsonDiagnostic struct {
	Severity  string `json:"severity"`
	Code      string `json:"code"`
	File      string `json:"file,omitempty"`
	Line      int    `json:"line"`
	Column    int    `json:"column,omitempty"`
	EndColumn int    `json:"end_column,omitempty"`
	Path      string `json:"path,omitempty"`
	Message   string `json:"message"`
	Hint      string `json:"hint,omitempty"`
	Help      string `json:"help"`
}

type jsonFile struct {
	Path        string           `json:"path"`
	OK          bool             `json:"ok"`
	Diagnostics []jsonDiagnostic `json:"diagnostics"`
}

type jsonReport struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	OK      bool   `json:"ok"`
	Summary struct {
		Files    int `json:"files"`
		Errors   int `json:"errors"`
		Warnings int `json:"warnings"`
	} `json:"summary"`
	Files []jsonFile `json:"files"`
}

// ReportJSON is the answer of `validate -o json`.
func ReportJSON(files []FileReport) []byte {
	r := jsonReport{Kind: "ValidateReport", Version: 1, OK: true, Files: []jsonFile{}}
	r.Summary.Files = len(files)
	for _, f := range files {
		out := jsonFile{Path: f.Path, OK: !HasErrors(f.Diagnostics), Diagnostics: []jsonDiagnostic{}}
		r.OK = r.OK && out.OK
		for _, d := range f.Diagnostics {
			if d.Severity == SeverityWarning {
				r.Summary.Warnings++
			} else {
				r.Summary.Errors++
			}
			out.Diagnostics = append(out.Diagnostics, d.json(f.Path))
		}
		r.Files = append(r.Files, out)
	}
	return marshal(r)
}

func (d *Diagnostic) json(file string) jsonDiagnostic {
	j := jsonDiagnostic{
		Severity: d.Severity, Code: d.Code, Line: d.Line, Column: d.Col,
		Path: d.Path, Message: d.Message, Hint: d.Hint, Help: "kstream explain " + d.Code,
	}
	if d.Col > 0 {
		j.EndColumn = max(d.EndCol, d.Col+1)
	}
	if d.File != file {
		j.File = d.File
	}
	return j
}

// marshal writes JSON without escaping < and >, which messages are full of.
func marshal(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("encode a report: %v", err))
	}
	return b.Bytes()
}

// quote writes a text of the file into a message: escaped, and cut, so that a
// hostile file cannot write into a terminal.
func quote(s string) string {
	if utf8.RuneCountInString(s) > quotedRunesMax {
		s = string([]rune(s)[:quotedRunesMax]) + "…"
	}
	return strconv.Quote(s)
}
