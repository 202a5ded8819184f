package topology

import (
	"strings"

	"kstream/expr"
)

// Sample is one expression over single records, as `kstream expr` evaluates it:
// a source to decode them with, and what is computed of each.
type Sample struct {
	Source  *Source
	Slots   int // size of the register file
	Assign  []Assign
	Program *expr.Program
	// Reads says that the expression reads something of a record.
	Reads bool
}

// readScope notices that a name was asked for.
type readScope struct {
	expr.Scope
	read bool
}

func (s *readScope) Field(path []string) expr.Binding {
	s.read = true
	return s.Scope.Field(path)
}

func (s *readScope) Meta(name string) expr.Binding {
	s.read = true
	return s.Scope.Meta(name)
}

// sampleHead stands in front of the schema of a sample; the schema is indented
// below it, so that it cannot say anything else.
const (
	sampleHead   = "version: 1\nname: expr\nsink: {topic: out}\nsource:\n  stdin: {}\n  format: "
	schemaIndent = 4
)

// CompileSample checks an expression over records of a format (json, string,
// bytes) and a schema, which is written as in a pipeline file or empty.
func CompileSample(text, format, schema string, o Options) (*Sample, []Diagnostic) {
	spec, found := loadSample(format, schema, o)
	if HasErrors(found) {
		return nil, found
	}
	tree, problems := expr.Parse(text)
	if len(problems) > 0 {
		return nil, sampleDiagnostics(text, problems)
	}
	c := &compiler{spec: spec, plan: &Plan{Spec: spec, Name: spec.Name}, taps: map[string]*cursor{}, nodes: map[string]*Node{}}
	s := spec.Sources[0]
	c.source(s)
	at := c.taps[s.Name]
	names := &readScope{Scope: at.layout}
	p, problems := expr.Compile(tree, names, expr.Want{})
	if len(problems) > 0 {
		return nil, sampleDiagnostics(text, problems)
	}
	sample := &Sample{Source: c.plan.Sources[0], Slots: at.chain.Slots, Program: p, Reads: names.read}
	if at.pre != nil {
		sample.Assign = at.pre.Assign
	}
	return sample, nil
}

// loadSample makes a pipeline of the format and the schema. What is wrong is
// told as of a file --schema.
func loadSample(format, schema string, o Options) (*Spec, []Diagnostic) {
	file := sampleHead + format + "\n"
	if strings.TrimSpace(schema) != "" {
		file += "  schema:\n"
		for line := range strings.Lines(schema) {
			file += strings.Repeat(" ", schemaIndent) + line
		}
	}
	head := strings.Count(sampleHead, "\n") + 2
	spec, found := Load("--schema", []byte(file), o)
	for i := range found {
		d := &found[i]
		if d.Line > head && d.Line <= len(spec.Lines) {
			d.Source = strings.TrimPrefix(spec.Lines[d.Line-1], strings.Repeat(" ", schemaIndent))
			d.Line -= head
			if d.Col > 0 {
				d.Col, d.EndCol = d.Col-schemaIndent, d.EndCol-schemaIndent
			}
		}
	}
	return spec, found
}

// sampleDiagnostics are the problems of an expression that stands in no file.
func sampleDiagnostics(text string, problems []expr.Problem) []Diagnostic {
	runes := []rune(text)
	c := &collector{}
	for _, p := range problems {
		line, begin := 1, 0
		for i := range min(p.Start, len(runes)) {
			if runes[i] == '\n' {
				line, begin = line+1, i+1
			}
		}
		source, _, _ := strings.Cut(string(runes[begin:]), "\n")
		end := min(p.End-begin, len([]rune(source)))
		c.add(Diagnostic{Severity: SeverityError, Code: p.Code, File: "expression", Line: line,
			Col: p.Start - begin + 1, EndCol: end + 1, Message: p.Message, Hint: p.Hint, Source: source})
	}
	return SortDiagnostics(c.list)
}
