package topology

import "slices"

// The field table says everything that is known about the words of a pipeline
// file: the loader, did-you-mean, the editor schema, `kstream config` and the
// reference are all made from it, so that they cannot disagree. fieldtable.go
// holds the table; this file holds what it is made of.

// kind is how the text of one scalar is read.
type kind uint8

const (
	kindText kind = iota + 1
	kindBool
	kindInt
	kindFloat
	kindDuration
	kindMillis // a duration in whole milliseconds
	kindSize
	kindRate
	kindTimestamp
	kindName
	kindJobName
	kindUID
	kindRef
	kindField
	kindTopic
	kindAddress // host:port
	kindBrokers // several of them with commas
	kindFile    // a path that must be readable
	kindType    // a type expression
	kindExpr
	kindTemplate
	kindTopicTemplate // a topic name that may have holes
	kindVersion
)

// form is a value with a shape of its own, checked by its own function.
type form uint8

const (
	formNone    form = iota
	formSteps        // a list of steps
	formFields       // a map of field names to values
	formTerms        // a map of field names to aggregate expressions
	formBody         // formFields or one expression
	formKeys         // one expression, a list of fields or a map
	formOrder        // expressions with asc or desc behind them, or one
	formHeaders      // a map of header names to expressions
	formExpr         // one expression or {const: …}
	formRenames      // a map of field names to field names
	formSchema       // a named schema, or a map of fields to types
	formSchemas      // a map of names to schemas
	formOffsets      // a map of partitions to offsets
	formTexts        // a map of texts to texts
)

// shape is what may be written at one place.
type shape struct {
	scalar   kind    // how a scalar is read; 0 if only words are possible
	words    []word  // what a scalar may be besides
	min, max float64 // of numbers, sizes and durations; max 0 is none
	list     *shape  // of each item of a list; nil: no list here
	object   *object // a map with these fields; nil: no such map here
	dict     *shape  // of each value of a map with free names
	form     form    // anything else
}

// exprPlace says whether a quoted name could have been meant as text.
type exprPlace uint8

const (
	placeCode  exprPlace = iota // conditions, times, keys: names only
	placeValue                  // values of fields: a quoted name is ambiguous
)

// word is one word a scalar may be.
type word struct {
	text     string
	reserved bool // known, not built
}

// object is a map with fixed fields.
type object struct {
	name   string // of the section in the reference
	doc    string
	fields []field
	// oneOf is how the fields marked variant are counted.
	oneOf choice
}

// choice says how many of the variants of an object must be written.
type choice uint8

const (
	choiceNone choice = iota
	choiceOne
)

// status is whether a field can be used.
type status uint8

const (
	built    status = iota
	notBuilt        // a word of the language that this release does not have
	later           // kept free for a later version of the language
)

// field is one key of an object.
type field struct {
	name     string
	shape    *shape
	def      string // as YAML text, filled in when the field is not written
	defDoc   string // what stands for a default that depends on something else
	doc      string
	example  string
	status   status
	required bool
	variant  bool     // exactly one field with this mark
	secret   bool     // never shown
	only     []string // the variants it goes with; empty: all
}

// field finds a field by name.
func (o *object) field(name string) *field {
	for i := range o.fields {
		if o.fields[i].name == name {
			return &o.fields[i]
		}
	}
	return nil
}

// names lists what can be written; with reserved words, so that a slip in one
// of them is told from an unknown word.
func (o *object) names() []string {
	out := make([]string, 0, len(o.fields))
	for i := range o.fields {
		if o.fields[i].status != later {
			out = append(out, o.fields[i].name)
		}
	}
	return out
}

// variants lists the fields of which exactly one is written.
func (o *object) variants(onlyBuilt bool) []string {
	var out []string
	for i := range o.fields {
		f := &o.fields[i]
		if f.variant && f.status != later && (!onlyBuilt || f.status == built) {
			out = append(out, f.name)
		}
	}
	return out
}

// goesWith reports whether a field may stand beside a variant. What stands
// beside one that is not built is not looked at.
func (o *object) goesWith(f *field, variant string) bool {
	v := o.field(variant)
	return len(f.only) == 0 || v == nil || v.status != built || slices.Contains(f.only, variant)
}

// wordTexts lists the words of a shape.
func (s *shape) wordTexts() []string {
	out := make([]string, len(s.words))
	for i, w := range s.words {
		out[i] = w.text
	}
	return out
}

func (s *shape) word(text string) (word, bool) {
	for _, w := range s.words {
		if w.text == text {
			return w, true
		}
	}
	return word{}, false
}

// Helpers that keep the table readable.

func scalarOf(k kind) *shape { return &shape{scalar: k} }

func oneOf(texts ...string) *shape { return &shape{words: words(texts...)} }

func words(texts ...string) []word {
	out := make([]word, len(texts))
	for i, t := range texts {
		out[i].text = t
		if t[0] == '-' { // known, not built
			out[i] = word{text: t[1:], reserved: true}
		}
	}
	return out
}

func number(k kind, least, most float64) *shape { return &shape{scalar: k, min: least, max: most} }

func objectOf(o *object) *shape { return &shape{object: o} }

func listOf(s *shape) *shape { return &shape{list: s} }

func mapOf(s *shape) *shape { return &shape{dict: s} }

func formOf(f form) *shape { return &shape{form: f} }

func reserved(name string) field { return field{name: name, status: notBuilt} }

func reservedVariant(name string) field { return field{name: name, status: notBuilt, variant: true} }
