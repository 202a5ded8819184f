package topology

import (
	"fmt"
	"strings"

	"kstream/expr"
)

// Reference is docs/reference.md: every field, from the field table.
func Reference() []byte {
	r := &reference{done: map[*object]bool{}}
	r.b.WriteString(referenceHead)
	r.object(pipelineFields)
	for len(r.queue) > 0 {
		o := r.queue[0]
		r.queue = r.queue[1:]
		r.object(o)
	}
	r.functions()
	r.notBuilt()
	return []byte(r.b.String())
}

const referenceHead = "# Reference of pipeline files\n\n" +
	"Made from the field table and the table of functions by `make golden`; do not edit. Durations are written `500ms 30s 5m 1h30m 7d`, sizes `64KiB 10MB 2GiB`, " +
	"rates `1000/s 60/m 5/h`, timestamps RFC 3339 with a zone. `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `${file:path}` " +
	"are replaced in values, not in expressions. Keys that begin with `x-` are ignored at the top of the file; they are a place for YAML anchors.\n"

type reference struct {
	b       strings.Builder
	queue   []*object
	done    map[*object]bool
	unbuilt []string
}

func (r *reference) object(o *object) {
	if r.done[o] || len(o.fields) == 0 {
		return
	}
	r.done[o] = true
	fmt.Fprintf(&r.b, "\n## %s\n", o.name)
	if o.doc != "" {
		r.b.WriteString("\n" + o.doc + "\n")
	}
	var rows []string
	for i := range o.fields {
		f := &o.fields[i]
		if f.status != built {
			if f.status == notBuilt {
				r.unbuilt = append(r.unbuilt, "`"+o.name+"."+f.name+"`")
			}
			continue
		}
		rows = append(rows, r.row(o, f))
		r.enqueue(f.shape)
	}
	if len(rows) == 0 {
		return
	}
	r.b.WriteString("\n| field | value | default | meaning |\n| --- | --- | --- | --- |\n")
	r.b.WriteString(strings.Join(rows, ""))
}

func (r *reference) row(o *object, f *field) string {
	name := "`" + f.name + "`"
	if f.variant && o.oneOf == choiceOne {
		name = "**" + name + "**"
	}
	def := f.defDoc
	switch {
	case f.required:
		def = "required"
	case f.def != "" && f.def != "{}":
		def = "`" + f.def + "`"
	case def == "":
		def = "–"
	}
	doc := f.doc
	if len(f.only) > 0 {
		doc += " Only with `" + strings.Join(f.only, "`, `") + "`."
	}
	if f.example != "" {
		doc += " `" + f.example + "`"
	}
	cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
	return fmt.Sprintf("| %s | %s | %s | %s |\n", name, cell(r.kind(f.shape)), cell(def), cell(doc))
}

// kind says what may be written.
func (r *reference) kind(s *shape) string {
	var parts []string
	if s.scalar != 0 {
		parts = append(parts, kindNouns[s.scalar])
	}
	if texts := builtWords(s); len(texts) > 0 {
		parts = append(parts, "`"+strings.Join(texts, "` `")+"`")
	}
	if s.form != formNone {
		parts = append(parts, formNouns[s.form])
	}
	if s.list != nil {
		parts = append(parts, "a list of these")
	}
	if s.dict != nil {
		parts = append(parts, "a map of names to "+r.kind(s.dict))
	}
	if o := s.object; o != nil {
		text := "a map"
		if len(o.fields) > 0 {
			text = "[" + o.name + "](#" + anchor(o.name) + ")"
		}
		if anyBuilt(o) || len(o.fields) == 0 {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, " or ")
}

func anyBuilt(o *object) bool {
	for i := range o.fields {
		if o.fields[i].status == built {
			return true
		}
	}
	return false
}

// anchor is the id a heading gets: dots and spaces go.
func anchor(name string) string { return strings.NewReplacer(".", "", " ", "-").Replace(name) }

func (r *reference) enqueue(s *shape) {
	if s.list != nil {
		r.enqueue(s.list)
	}
	if s.dict != nil {
		r.enqueue(s.dict)
	}
	if s.form == formSteps {
		r.queue = append(r.queue, stepFields)
	}
	if s.object != nil && anyBuilt(s.object) {
		r.queue = append(r.queue, s.object)
	}
}

// functions are those of expressions, and the names with a sigil.
func (r *reference) functions() {
	r.b.WriteString("\n## Functions\n\nA null argument gives null, except where the text says something else. The examples of functions are true.\n")
	group := ""
	for _, d := range expr.Docs() {
		if !d.Built {
			r.unbuilt = append(r.unbuilt, "`"+d.Name+"()`")
			continue
		}
		if d.Group != group {
			group = d.Group
			fmt.Fprintf(&r.b, "\n### Functions: %s\n\n| written | meaning | example |\n| --- | --- | --- |\n", group)
		}
		cell := func(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
		fmt.Fprintf(&r.b, "| `%s` | %s | `%s` |\n", cell(d.Signature), cell(d.Text), cell(d.Example))
	}
}

func (r *reference) notBuilt() {
	r.b.WriteString("\n## Not built yet\n\nThese words of the language are answered with `[reserved]`: " + strings.Join(r.unbuilt, ", ") + ".\n")
}
