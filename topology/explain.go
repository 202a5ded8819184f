package topology

import (
	_ "embed" // the pages of the error codes
	"fmt"
	"slices"
	"strings"

	"kstream/expr"
)

// Page is one page of `kstream explain`: a field of the language, a function, a
// name or an error code.
type Page struct {
	Topic string // what to ask for: step.window, fn.max_by, $ts, bad-duration
	Kind  string // field, function, aggregate, name, code
	Title string // one line
	Text  string // the rest
	Built bool
	// Wrong and Right are pipeline files: the first is refused with this code,
	// the second mends it. Not every code can be had from a file alone.
	Wrong, Right string
}

// Pages are all pages, in the order of the language.
func Pages() []Page {
	b := &pages{done: map[*object]bool{}}
	b.object(pipelineFields)
	for len(b.queue) > 0 {
		o := b.queue[0]
		b.queue = b.queue[1:]
		b.object(o)
	}
	for _, d := range expr.Docs() {
		b.list = append(b.list, functionPage(d))
	}
	return append(b.list, codePages()...)
}

// Find gives the pages a word stands for: those of this topic, or of topics that
// end in it. If there is none, near are topics that may have been meant.
//
// Kafka's way of writing, UNREACHABLE, is how messages of its errors name a code.
func Find(word string) (found []Page, near []string) {
	if word == strings.ToUpper(word) {
		word = strings.ReplaceAll(strings.ToLower(word), "_", "-")
	}
	all := Pages()
	var topics, lasts []string
	for _, p := range all {
		last := lastPart(p.Topic)
		if p.Topic == word && p.Kind != "function" {
			return []Page{p}, nil
		}
		if p.Topic == word || last == word || p.Kind == "aggregate" && "fn."+last == word {
			found = append(found, p)
		}
		topics, lasts = append(topics, p.Topic), append(lasts, last)
	}
	if len(found) > 0 {
		return found, nil
	}
	meant := alias(word)
	if s := suggest(word, topics); s != "" {
		return nil, []string{s}
	}
	if s := suggest(lastPart(word), lasts); s != "" && len(meant) == 0 {
		meant = []string{s}
	}
	for i, last := range lasts {
		if slices.Contains(meant, last) {
			near = append(near, topics[i])
		}
	}
	return nil, near
}

// lastPart is the word by which a page may be asked for alone.
func lastPart(topic string) string {
	if strings.HasPrefix(topic, "$") {
		return topic
	}
	return topic[strings.LastIndexByte(topic, '.')+1:]
}

// pages walks the field table as the reference does.
type pages struct {
	list  []Page
	queue []*object
	done  map[*object]bool
}

func (b *pages) object(o *object) {
	if b.done[o] {
		return
	}
	b.done[o] = true
	at := slices.IndexFunc(b.list, func(p Page) bool { return p.Topic == o.name })
	text := o.summary()
	if at >= 0 {
		b.list[at].Text += "\n" + text
	} else if text != "" {
		b.list = append(b.list, Page{Topic: o.name, Kind: "field", Title: o.name, Text: text, Built: true})
	}
	for i := range o.fields {
		f := &o.fields[i]
		if f.status == later {
			continue
		}
		b.list = append(b.list, fieldPage(o, f))
		b.follow(f.shape)
	}
}

func (b *pages) follow(s *shape) {
	if s == nil {
		return
	}
	b.follow(s.list)
	b.follow(s.dict)
	if s.form == formSteps {
		b.queue = append(b.queue, stepFields)
	}
	if s.object != nil && anyBuilt(s.object) {
		b.queue = append(b.queue, s.object)
	}
}

// summary lists the fields of an object.
func (o *object) summary() string {
	var b strings.Builder
	if o.doc != "" {
		b.WriteString(o.doc + "\n")
	}
	width := 0
	for i := range o.fields {
		if f := &o.fields[i]; f.status == built {
			width = max(width, len(f.name))
		}
	}
	if width == 0 {
		return b.String()
	}
	b.WriteString("\nfields:\n")
	for i := range o.fields {
		if f := &o.fields[i]; f.status == built {
			fmt.Fprintf(&b, "  %-*s  %s\n", width, f.name, f.doc)
		}
	}
	return b.String()
}

func fieldPage(o *object, f *field) Page {
	p := Page{Topic: o.name + "." + f.name, Kind: "field", Title: o.name + "." + f.name, Built: f.status == built}
	if !p.Built {
		p.Text = "A word of the language that this release does not have yet; it is answered with [reserved].\n"
		return p
	}
	var b strings.Builder
	b.WriteString(f.doc + "\n\n")
	if what := strings.TrimSuffix(f.shape.nouns(), ", see "+p.Topic); what != "" {
		b.WriteString("value:    " + what + "\n")
	}
	switch {
	case f.required:
		b.WriteString("default:  none, it must be written\n")
	case f.def != "" && f.def != "{}":
		b.WriteString("default:  " + f.def + "\n")
	case f.defDoc != "":
		b.WriteString("default:  " + strings.ReplaceAll(f.defDoc, "`", "") + "\n")
	}
	if len(f.only) > 0 {
		b.WriteString("beside:   " + strings.Join(f.only, ", ") + "\n")
	}
	if f.example != "" {
		b.WriteString("example:  " + f.example + "\n")
	}
	p.Text = b.String()
	return p
}

// nouns says what may be written, as plain text.
func (s *shape) nouns() string {
	var parts []string
	if s.scalar != 0 {
		parts = append(parts, kindNouns[s.scalar])
	}
	if texts := builtWords(s); len(texts) > 0 {
		parts = append(parts, strings.Join(texts, ", "))
	}
	if s.form != formNone {
		parts = append(parts, formNouns[s.form])
	}
	switch {
	case s.list != nil:
		parts = append(parts, "a list of these")
	case s.dict != nil:
		parts = append(parts, "a map of names to "+s.dict.nouns())
	case s.object != nil && anyBuilt(s.object):
		parts = append(parts, "a map, see "+s.object.name)
	case s.object != nil && len(s.object.fields) == 0:
		parts = append(parts, "an empty map")
	}
	return strings.Join(parts, " or ")
}

func functionPage(d expr.Doc) Page {
	p := Page{Topic: "fn." + d.Name, Kind: "function", Title: d.Signature, Built: d.Built}
	what := "Function, " + d.Group + ". "
	switch d.Group {
	case "names":
		p.Topic, p.Kind, what = d.Name, "name", ""
	case "aggregate":
		p.Topic, p.Kind, what = "aggregate."+d.Name, "aggregate", "Aggregate function, in a field of aggregate. "
	}
	p.Text = what + d.Text + "\n"
	if d.Example != "" {
		p.Text += "\nexample:  " + d.Example + "\n"
	}
	if !d.Built {
		p.Text += "\nThis release does not have it yet; it is answered with [reserved].\n"
	}
	return p
}

//go:embed codes.txt
var codeText string

// codePages reads the pages of the error codes.
func codePages() []Page {
	var out []Page
	for _, section := range strings.Split("\n"+codeText, "\n## ")[1:] {
		code, rest, _ := strings.Cut(section, "\n")
		says, examples, _ := strings.Cut(rest, "-- wrong\n")
		p := Page{Topic: code, Kind: "code", Title: "error[" + code + "]", Text: strings.TrimSpace(says) + "\n", Built: true}
		if wrong, right, ok := strings.Cut(examples, "-- right\n"); ok {
			p.Wrong, p.Right = wrong, strings.TrimRight(right, "\n")+"\n"
		}
		out = append(out, p)
	}
	return out
}

// Whole is a page as it is printed: what is refused is shown with the message.
func (p *Page) Whole() string {
	text := p.Title + "\n\n" + p.Text
	if p.Wrong == "" {
		return text
	}
	o := Options{ReadFile: noFile}
	spec, _, found := Validate("wrong.yaml", []byte(p.Wrong), o)
	return text + "\nwrong.yaml:\n" + indented(p.Wrong) + "\nkstream validate wrong.yaml:\n" + indented(RenderText(found, spec.Lines)) +
		"\nright:\n" + indented(p.Right)
}

func noFile(string) ([]byte, error) { return nil, fmt.Errorf("no such file or directory") }

func indented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
