package codec

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"unsafe"

	"kstream/record"
)

// Limits of a scanner. The depth is the language's; the others bound what a
// scanner remembers of the records it has seen, not what it accepts.
const (
	depthMax        = 100
	learnedMax      = 64    // keys learned per object
	learnedTotalMax = 2_000 // keys learned per scanner
	comparedMax     = 16    // unlearned keys compared one by one, more are sorted
)

// JSONScanner reads JSON records. It goes over the text once, with a plan made
// from the wants and the schema, and checks everything: structure, escapes,
// UTF-8, repeated keys, depth, and the kind of every declared field.
//
// It is fast because records of one topic look alike. Each object of the plan
// has a shape: the fields seen there, and which one followed which. A key that
// is where it was last time costs one comparison with the text `"key":`.
//
// A scanner belongs to one goroutine: it learns while it reads.
type JSONScanner struct {
	// Configuration.
	root     *field
	wanted   []int // slots that are null unless the record says otherwise
	decimals bool  // numbers with a fraction are decimals where the type is any

	// Memory of earlier records.
	learned   int
	objects   uint64 // objects begun so far; the stamp of each
	unlearned [2]*field

	// The record being read.
	data    []byte
	slots   []record.Value
	arena   *record.Arena
	depth   int
	names   [][]byte // keys of the open objects that no shape knows
	scratch []byte   // decoded text of escaped keys
	keyAt   int      // where the key of the member being read begins, -1 if it does not stand as usual
	texts   record.RowText
	err     *DecodeError
}

// field is the plan for the values at one place of the record.
type field struct {
	key     string // `"name":` as it usually stands in a record
	head    keyHead
	path    string // for messages
	next    *field // the field that followed last time
	seen    uint64 // the object that had this field last
	accept  kinds
	typ     record.Type // declared; any if not
	numbers bool        // numbers must be readable as any
	wants   []JSONWant
	object  *shape // of an object that stands here
	elem    *field // of the elements of a list that stands here
}

// shape is the plan for the objects at one place of the record.
type shape struct {
	first    *field
	byName   map[string]*field
	required []*field
	all      *field // plan of every member of a map
	path     string
	numbers  bool // of members that are not declared
	closed   bool // members that are not declared are an error
	learns   bool
	learned  int
}

// Scan reads one record into the slots of the wants. Values share data and the
// arena. After an error the slots hold nothing of use.
func (s *JSONScanner) Scan(data []byte, slots []record.Value, a *record.Arena) *DecodeError {
	for _, slot := range s.wanted {
		slots[slot] = record.Value{}
	}
	clear(s.texts.Refs)
	s.data, s.slots, s.arena, s.texts.Data, s.keyAt = data, slots, a, data, -1
	s.depth, s.names, s.scratch, s.err = 0, s.names[:0], s.scratch[:0], nil
	i := lexSpace(data, 0)
	if i == len(data) {
		s.fail(i, "the record is empty")
		return s.err
	}
	if i = s.value(s.root, i); i < 0 {
		return s.err
	}
	if i = lexSpace(data, i); i < len(data) {
		s.fail(i, "invalid JSON: more text after the value")
		return s.err
	}
	return nil
}

// value reads the value at i and gives the place behind it, or -1 after an
// error. White space may come first.
func (s *JSONScanner) value(f *field, i int) int {
	if i < len(s.data) && s.data[i] <= ' ' {
		i = lexSpace(s.data, i)
	}
	if i >= len(s.data) {
		return s.fault(i, faultEnd)
	}
	switch c := s.data[i]; {
	case c == '"':
		return s.text(f, i)
	case c-'0' <= 9 || c == '-':
		return s.number(f, i)
	case c == '{' || c == '[':
		return s.nested(f, i)
	}
	return s.literal(f, i)
}

func (s *JSONScanner) text(f *field, i int) int {
	end, escaped, bad := lexString(s.data, i+1)
	if bad != faultNone {
		return s.fault(^end, bad)
	}
	if f.accept&kindText == 0 {
		return s.mismatch(f, i, end)
	}
	for w := range f.wants {
		if !s.wantText(&f.wants[w], f, i, end, escaped) {
			return -1
		}
		if f.wants[w].Ref > 0 {
			s.noteText(&f.wants[w], i, end)
		}
	}
	return end
}

func (s *JSONScanner) number(f *field, i int) int {
	end, n, class := lexSmall(s.data, i)
	if class == numberBad {
		end, n, class = lexNumber(s.data, i)
	}
	if class == numberBad {
		return s.fault(end, faultNumber)
	}
	if f.accept&kindNumber == 0 {
		return s.mismatch(f, i, end)
	}
	for w := range f.wants {
		if !s.wantNumber(&f.wants[w], f, i, end, n, class) {
			return -1
		}
		if f.wants[w].Ref > 0 {
			s.noteNumber(&f.wants[w], i, end, n, class)
		}
	}
	if class != numberInt && f.numbers && len(f.wants) == 0 {
		if _, why := anyNumber(s.data[i:end], n, class, s.decimals); why != "" {
			return s.refuse(f, i, end, why)
		}
	}
	return end
}

func (s *JSONScanner) literal(f *field, i int) int {
	kind, end := kindBool, i+4
	switch {
	case lexLiteral(s.data, i, "null"):
		kind = kindNull
	case lexLiteral(s.data, i, "true"):
	case lexLiteral(s.data, i, "false"):
		end++
	default:
		return s.fault(i, faultCharacter)
	}
	if f.accept&kind == 0 {
		return s.mismatch(f, i, end)
	}
	if kind == kindBool {
		for _, w := range f.wants {
			s.slots[w.Slot] = record.Bool(s.data[i] == 't')
		}
	}
	return end
}

func (s *JSONScanner) nested(f *field, i int) int {
	if s.depth++; s.depth > depthMax {
		return s.fail(i, "nested deeper than 100 levels")
	}
	kind, end := kindObject, 0
	if s.data[i] == '[' {
		kind, end = kindList, s.list(f, i+1)
	} else {
		end = s.object(f, i+1)
	}
	if end < 0 {
		return -1
	}
	s.depth--
	if f.accept&kind == 0 {
		return s.mismatch(f, i, end)
	}
	for w := range f.wants {
		if !s.wantNested(&f.wants[w], f, i, end) {
			return -1
		}
	}
	return end
}

// list reads a list from behind its bracket.
func (s *JSONScanner) list(f *field, i int) int {
	elem := s.elemOf(f)
	if i = lexSpace(s.data, i); i < len(s.data) && s.data[i] == ']' {
		return i + 1
	}
	for done := false; !done; {
		if i = s.value(elem, i); i < 0 {
			return -1
		}
		if i, done = s.separator(i, ']'); i < 0 {
			return -1
		}
	}
	return i
}

// object reads an object from behind its brace. The shortest way through the
// loop is a member where it was last time, a text or a number, and a comma.
func (s *JSONScanner) object(f *field, i int) int {
	data, n := s.data, s.shapeOf(f)
	s.objects++
	stamp, base := s.objects, len(s.names)
	if i = lexSpace(data, i); i < len(data) && data[i] == '}' {
		return s.endObject(n, stamp, base, i+1)
	}
	member, last := n.first, (*field)(nil)
	for done := false; !done; {
		if member != nil && member.at(data, i) {
			s.keyAt = i
			i += len(member.key)
		} else {
			s.keyAt = -1
			if member, i = s.key(n, last, i, base); i < 0 {
				return -1
			}
		}
		if member.seen == stamp {
			return s.repeated(member, i)
		}
		member.seen = stamp
		switch {
		case i < len(data) && data[i] == '"':
			i = s.text(member, i)
		case i < len(data) && data[i]-'0' <= 9:
			i = s.number(member, i)
		default:
			s.keyAt = -1
			i = s.value(member, i)
		}
		switch {
		case i < 0:
			return -1
		case i+1 < len(data) && data[i] == ',' && data[i+1] == '"':
			i++
		default:
			if i, done = s.separator(i, '}'); i < 0 {
				return -1
			}
		}
		last, member = member, member.next
	}
	return s.endObject(n, stamp, base, i)
}

// keyHead is a key of at most 16 bytes as two words, to compare it without a
// call. The masks are zero behind the key; they are all zero for longer keys.
type keyHead struct{ low, high, lowMask, highMask uint64 }

func headOf(key string) (h keyHead) {
	if len(key) > 16 {
		return h
	}
	var text, mask [16]byte
	for i := range copy(text[:], key) {
		mask[i] = 0xff
	}
	h.low, h.high = binary.LittleEndian.Uint64(text[:]), binary.LittleEndian.Uint64(text[8:])
	h.lowMask, h.highMask = binary.LittleEndian.Uint64(mask[:]), binary.LittleEndian.Uint64(mask[8:])
	return h
}

// at reports whether the field's key stands at i. The field has one.
func (f *field) at(data []byte, i int) bool {
	if f.head.lowMask == 0 || i+16 > len(data) {
		return lexLiteral(data, i, f.key)
	}
	low, high := word(data, i), word(data, i+8)
	return (low^f.head.low)&f.head.lowMask|(high^f.head.high)&f.head.highMask == 0
}

// separator reads a comma, or the closing bracket: then done is true.
func (s *JSONScanner) separator(i int, closing byte) (next int, done bool) {
	i = lexSpace(s.data, i)
	switch {
	case i == len(s.data):
		return s.fault(i, faultEnd), false
	case s.data[i] == closing:
		return i + 1, true
	case s.data[i] == ',':
		return lexSpace(s.data, i+1), false
	}
	return s.fault(i, faultCharacter), false
}

// endObject checks what can only be known at the end of an object.
func (s *JSONScanner) endObject(n *shape, stamp uint64, base, end int) int {
	for _, r := range n.required {
		if r.seen != stamp {
			return s.fail(end-1, "field "+r.path+" is missing")
		}
	}
	if len(s.names) > base {
		names := s.names[base:]
		if len(names) > comparedMax {
			slices.SortFunc(names, bytes.Compare)
			for k := 1; k < len(names); k++ {
				if bytes.Equal(names[k-1], names[k]) {
					return s.fail(end-1, `key "`+quote(names[k])+`" is repeated`)
				}
			}
		}
		s.names = s.names[:base]
	}
	return end
}

// key reads a key that is not where the shape expects it, with its colon. last
// is the field before it, nil at the start of the object.
func (s *JSONScanner) key(n *shape, last *field, i, base int) (*field, int) {
	if i >= len(s.data) {
		return nil, s.fault(i, faultEnd)
	}
	if s.data[i] != '"' {
		return nil, s.fail(i, "invalid JSON: a key is needed")
	}
	if f := skipOne(n, last); f != nil && f.at(s.data, i) {
		return f, i + len(f.key)
	}
	start := i
	end, escaped, bad := lexString(s.data, i+1)
	if bad != faultNone {
		return nil, s.fault(^end, bad)
	}
	i = lexSpace(s.data, end)
	if i == len(s.data) {
		return nil, s.fault(i, faultEnd)
	}
	if s.data[i] != ':' {
		return nil, s.fault(i, faultCharacter)
	}
	name := s.data[start+1 : end-1]
	if escaped {
		from := len(s.scratch)
		s.scratch = record.AppendJSONUnescaped(s.scratch, name)
		name = s.scratch[from:]
	}
	f := s.member(n, name, start, base, escaped)
	if f == nil {
		return nil, -1
	}
	if f.key != "" {
		predict(n, last, f)
	}
	return f, i + 1
}

// skipOne is the field that comes after the expected one: the one to try if the
// expected field is optional and absent. The prediction stays then, so that both
// ways are cheap.
func skipOne(n *shape, last *field) *field {
	expected := n.first
	if last != nil {
		expected = last.next
	}
	if expected == nil {
		return nil
	}
	return expected.next
}

// predict remembers that f followed last.
func predict(n *shape, last, f *field) {
	if last == nil {
		n.first = f
	} else if last.key != "" {
		last.next = f
	}
}

// member finds or learns the plan of a key. Keys with an escape are never
// learned: the text of a learned key is compared with records as it is, and a
// decoded one may hold quotes.
func (s *JSONScanner) member(n *shape, name []byte, at, base int, escaped bool) *field {
	if f := n.byName[unsafe.String(unsafe.SliceData(name), len(name))]; f != nil {
		return f
	}
	if n.closed {
		s.fail(at, `field "`+quote(name)+`" is not in the schema`)
		return nil
	}
	learn := n.learns && !escaped && n.learned < learnedMax && s.learned < learnedTotalMax
	if !learn || len(s.names) > base {
		if !s.remember(name, at, base) {
			return nil
		}
	}
	if learn {
		s.learned++
		n.learned++
		return n.learn(strings.Clone(string(name)))
	}
	f := n.all
	if f == nil {
		f = s.unlearned[numbersIndex(n.numbers)]
	}
	f.seen = 0
	return f
}

// remember keeps the name of a member that no shape knows, to find repetitions.
func (s *JSONScanner) remember(name []byte, at, base int) bool {
	if len(s.names)-base < comparedMax {
		for _, other := range s.names[base:] {
			if bytes.Equal(other, name) {
				s.fail(at, `key "`+quote(name)+`" is repeated`)
				return false
			}
		}
	}
	s.names = append(s.names, name)
	return true
}
