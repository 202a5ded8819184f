package codec

import (
	"strings"
	"unicode/utf8"

	"kstream/record"
)

// JSONWant is one value a plan needs of each record.
type JSONWant struct {
	Path []string    // names of nested objects' members; empty is the whole value
	Type record.Type // how to read the value; any is by what it is
	Slot int
	Ref  int // number of its reference in RowText plus one, if somebody copies its text; else 0
}

// JSONOptions are the options of a JSON source.
type JSONOptions struct {
	// ExtraFields says what becomes of members that the schema does not
	// declare: ignore, keep, fail. Empty is ignore with a schema. Kept ones are
	// reached by a want and are part of a whole value.
	ExtraFields string
	// Numbers says how a number with a fraction is read where its type is any:
	// auto is float, decimal is decimal. Empty is auto.
	Numbers string
	// Schema is the declared type, nil is dynamic.
	Schema *record.Type
}

// NewJSONScanner compiles a scanner.
//
// Without a schema and without a want for the whole value, a record must be an
// object. A want below a value that is neither object nor null nor missing is a
// decode error, because the expression that reads it would be an error too.
func NewJSONScanner(wants []JSONWant, o JSONOptions) *JSONScanner {
	s := &JSONScanner{decimals: o.Numbers == "decimal"}
	for k := range s.unlearned {
		s.unlearned[k] = unlearnedField(k == numbersIndex(true))
	}
	b := planner{
		closed: o.Schema != nil && o.ExtraFields == "fail",
		keep:   o.Schema == nil || o.ExtraFields == "keep",
	}
	if o.Schema != nil {
		s.root = b.declare("", "", *o.Schema)
		s.root.accept &^= kindNull
	} else {
		s.root = b.declare("", "", record.Any)
	}
	whole := false
	for _, w := range wants {
		f := s.root
		for _, name := range w.Path {
			f.accept &= kindObject | kindNull
			f = b.child(f, name)
		}
		whole = whole || len(w.Path) == 0
		f.accept &= acceptOf(w.Type)
		f.wants = append(f.wants, w)
		s.wanted = append(s.wanted, w.Slot)
		if w.Ref > len(s.texts.Refs) {
			s.texts.Refs = append(s.texts.Refs, make([]record.TextRef, w.Ref-len(s.texts.Refs))...)
		}
	}
	if !whole && o.Schema == nil {
		s.root.accept = kindObject
	}
	return s
}

// kinds is a set of JSON's kinds of values.
type kinds uint8

const (
	kindNull kinds = 1 << iota
	kindBool
	kindNumber
	kindText
	kindList
	kindObject
	kindAll = kindNull | kindBool | kindNumber | kindText | kindList | kindObject
)

// acceptOf is the kinds of JSON values that can be of a type.
func acceptOf(t record.Type) kinds {
	k := kindAll
	switch t.Kind {
	case record.TypeNull:
		k = kindNull
	case record.TypeBool:
		k = kindBool
	case record.TypeInt, record.TypeInt32, record.TypeFloat, record.TypeFloat32:
		k = kindNumber
	case record.TypeDecimal:
		k = kindNumber | kindText
	case record.TypeTimestamp:
		k = kindNumber | kindText
		if t.Unit == record.UnitSQL {
			k = kindText
		}
	case record.TypeString, record.TypeBytes, record.TypeDate, record.TypeTime, record.TypeDuration, record.TypeUUID:
		k = kindText
	case record.TypeList:
		k = kindList
	case record.TypeMap, record.TypeObject:
		k = kindObject
	}
	if t.Required {
		return k &^ kindNull
	}
	return k | kindNull
}

// planner builds the fields and shapes of a scanner.
type planner struct {
	closed bool // members that are not declared are an error
	keep   bool // members that are not declared are values of type any
}

// declare is the field of a declared type with everything below it.
func (b planner) declare(name, path string, t record.Type) *field {
	f := &field{key: literalKey(name), path: path, accept: acceptOf(t), typ: t}
	f.head = headOf(f.key)
	switch t.Kind {
	case record.TypeAny:
		f.numbers = true
	case record.TypeList:
		f.elem = b.declare("", path+"[]", *t.Elem)
	case record.TypeMap:
		f.object = newShape(path, false)
		f.object.learns = false
		f.object.all = b.declare("", joinPath(path, "*"), *t.Elem)
	case record.TypeObject:
		f.object = newShape(path, b.keep)
		f.object.closed = b.closed
		for _, m := range t.Fields {
			child := b.declare(m.Name, joinPath(path, m.Name), m.Type)
			f.object.byName[m.Name] = child
			if m.Type.Required {
				f.object.required = append(f.object.required, child)
			}
		}
	}
	return f
}

// child is the member of f's object, made if it is not there.
func (b planner) child(f *field, name string) *field {
	if f.object == nil {
		f.object = newShape(f.path, f.numbers)
	}
	c := f.object.byName[name]
	if c != nil {
		return c
	}
	t, numbers := record.Any, f.object.numbers
	if f.object.all != nil {
		t, numbers = f.object.all.typ, f.object.all.numbers
	}
	c = b.declare(name, joinPath(f.path, name), t)
	c.numbers = numbers
	f.object.byName[name] = c
	return c
}

func newShape(path string, numbers bool) *shape {
	return &shape{path: path, byName: map[string]*field{}, numbers: numbers, learns: true}
}

// learn adds a member that was seen in a record.
func (n *shape) learn(name string) *field {
	f := &field{key: literalKey(name), path: joinPath(n.path, name), accept: kindAll, numbers: n.numbers}
	f.head = headOf(f.key)
	n.byName[name] = f
	return f
}

// unlearnedField is the plan of everything nothing is remembered of: of the
// members of its objects and of the elements of its lists, too.
func unlearnedField(numbers bool) *field {
	f := &field{path: "a member", accept: kindAll, numbers: numbers}
	f.elem = f
	f.object = &shape{numbers: numbers}
	return f
}

func numbersIndex(numbers bool) int {
	if numbers {
		return 1
	}
	return 0
}

// shapeOf is the plan for the object that stands at f.
func (s *JSONScanner) shapeOf(f *field) *shape {
	if f.object == nil {
		if s.learned >= learnedTotalMax {
			return s.unlearned[numbersIndex(f.numbers)].object
		}
		f.object = newShape(f.path, f.numbers)
	}
	return f.object
}

// elemOf is the plan for the elements of the list that stands at f.
func (s *JSONScanner) elemOf(f *field) *field {
	if f.elem == nil {
		if s.learned >= learnedTotalMax {
			return s.unlearned[numbersIndex(f.numbers)]
		}
		s.learned++
		f.elem = &field{path: f.path + "[]", accept: kindAll, numbers: f.numbers}
	}
	return f.elem
}

// literalKey is how a member's key usually stands in a record. It is empty, and
// never compared, for names that cannot stand there without an escape.
func literalKey(name string) string {
	plain := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }
	if name == "" || !utf8.ValidString(name) || strings.ContainsFunc(name, plain) {
		return ""
	}
	return `"` + name + `":`
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
