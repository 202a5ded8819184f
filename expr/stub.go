package expr

type Tree struct{ text string }

func Parse(text string) (*Tree, []Problem)                   { return &Tree{text}, nil }
func (t *Tree) Text() string                                 { return t.text }
func (t *Tree) Name() (string, bool)                         { return "", false }
func (t *Tree) Path() ([]string, bool)                       { return nil, false }
func (t *Tree) Normal() string                               { return t.text }
func Compile(t *Tree, s Scope, w Want) (*Program, []Problem) { return nil, nil }
func CompileAggregate(t *Tree, in, keys Scope, nextAcc func() int) (*AggregateField, []Problem) {
	return nil, nil
}
func IsAggregate(name string) bool { return false }

// Hole is one {expression} of a template.
type Hole struct {
	Text  string
	Start int // rune offset of Text in the template
}

func ParseTemplate(text string) (texts []string, holes []Hole, problems []Problem) {
	return []string{text}, nil, nil
}
