package codec

import "kstream/record"

// The errors of a scanner. The first one ends the scan; the functions return -1
// so that they can stand in a return.

func (s *JSONScanner) fail(at int, message string) int {
	s.err = &DecodeError{Message: message, Offset: at}
	return -1
}

func (s *JSONScanner) fault(at int, f fault) int {
	return s.fail(at, "invalid JSON: "+faultTexts[f])
}

// refuse is an error about the value data[i:end].
func (s *JSONScanner) refuse(f *field, i, end int, why string) int {
	return s.fail(i, refuseText(f.path, s.data[i:end], why))
}

// mismatch says that the kind of data[i:end] is not one the field can have.
func (s *JSONScanner) mismatch(f *field, i, end int) int {
	raw := s.data[i:end]
	switch {
	case f == s.root && f.accept&^kindNull == kindObject:
		return s.fail(i, "a JSON object is needed, found "+describe(raw))
	case f.typ.Kind != record.TypeAny || kindOf(raw[0]) == kindNull:
		return s.fail(i, mismatchText(f.path, &f.typ, raw))
	case f.accept&^kindNull == kindObject:
		return s.fail(i, fieldText(f.path)+" must be an object, found "+describe(raw))
	case len(f.wants) > 0:
		return s.fail(i, mismatchText(f.path, &f.wants[0].Type, raw))
	}
	return s.fail(i, fieldText(f.path)+" cannot be "+describe(raw))
}

// repeated says that the member whose value begins at i was there before.
func (s *JSONScanner) repeated(f *field, i int) int {
	return s.fail(i, fieldText(f.path)+" is repeated")
}

func refuseText(path string, raw []byte, why string) string {
	return fieldText(path) + ": " + quote(raw) + " " + why
}

func mismatchText(path string, t *record.Type, raw []byte) string {
	if kindOf(raw[0]) == kindNull {
		return fieldText(path) + " is required and cannot be null"
	}
	return fieldText(path) + " must be " + t.String() + ", found " + describe(raw)
}

func fieldText(path string) string {
	if path == "" {
		return "the value"
	}
	return "field " + quote([]byte(path))
}

// describe names the kind of a value and shows it.
func describe(raw []byte) string {
	names := map[kinds]string{
		kindBool: "", kindNumber: "the number ", kindText: "the text ",
		kindList: "a list: ", kindObject: "an object: ", kindNull: "",
	}
	return names[kindOf(raw[0])] + quote(raw)
}
