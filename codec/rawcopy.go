package codec

import "kstream/record"

// Copies of text. A value that is written as it was read need not be printed:
// its text is copied from the record. The planner says for which fields source
// and sink write alike (CopyAlike); the scanner says of each value whether its
// text is the one that would be printed, but for the escapes of a string, which
// stay as they are.

// CopyAlike reports whether the text of a value that was read as one type may be
// written as another.
func CopyAlike(read, written record.Type, o JSONWriteOptions) bool {
	if read.Kind != written.Kind {
		return read.Kind == record.TypeString && written.Kind == record.TypeAny
	}
	switch read.Kind {
	case record.TypeAny, record.TypeString, record.TypeUUID, record.TypeInt, record.TypeInt32:
		return true
	case record.TypeTimestamp:
		if read.Unit == record.UnitDefault {
			return written.Unit == record.UnitDefault && (o.Timestamp == "" || o.Timestamp == "rfc3339")
		}
		return read.Unit == record.UnitSQL && written.Unit == record.UnitSQL
	}
	return false
}

// noteText keeps the place of a text that was read for a want.
func (s *JSONScanner) noteText(w *JSONWant, i, end int) {
	switch w.Type.Kind {
	case record.TypeAny, record.TypeString, record.TypeUUID:
	case record.TypeTimestamp:
		if !printedTime(w.Type.Unit, s.data[i+1:end-1]) {
			return
		}
	default:
		return
	}
	s.texts.Refs[w.Ref-1] = record.TextRef{Key: int32(s.keyAt), Begin: int32(i), End: int32(end)}
}

// noteNumber keeps the place of a number that was read for a want.
func (s *JSONScanner) noteNumber(w *JSONWant, i, end int, n int64, class numberClass) {
	if class != numberInt || n == 0 && s.data[i] == '-' || w.Type.Kind == record.TypeTimestamp {
		return
	}
	s.texts.Refs[w.Ref-1] = record.TextRef{Key: int32(s.keyAt), Begin: int32(i), End: int32(end)}
}

// printedTime reports whether a timestamp stands as it is printed: in UTC, and
// without zeros at the end of the fraction.
func printedTime(u record.TimeUnit, text []byte) bool {
	if u == record.UnitDefault {
		n := len(text) - 1
		if n < 0 || text[n] != 'Z' || text[10] != 'T' {
			return false
		}
		text = text[:n]
	}
	const seconds = 19
	return len(text) == seconds || text[len(text)-1] != '0'
}

// Text is where the wanted values of the last record stand in it. It changes
// with the next one.
func (s *JSONScanner) Text() *record.RowText { return &s.texts }

// CopyText makes the encoder copy the text of fields: refs has for each field
// the number of its reference in a RowText plus one, zero where it has none.
// Same says of which fields the name is that of the member that was read.
func (e *JSONEncoder) CopyText(refs []int, same []bool) {
	for i := range e.fields {
		e.fields[i].ref, e.fields[i].same = refs[i], same[i]
	}
	e.copies = true
}

// appendCopies writes the fields from the i-th on as long as their text can be
// copied, and gives the first that is not written. Members that stand side by
// side in the record are one copy, with their keys and commas.
func (e *JSONEncoder) appendCopies(dst []byte, i int, text *record.RowText) ([]byte, int) {
	for i < len(e.fields) {
		f := &e.fields[i]
		if f.ref == 0 {
			break
		}
		r := text.Refs[f.ref-1]
		if r.End == 0 {
			break
		}
		i++
		if !f.same || r.Key < 0 {
			dst = append(append(dst, f.key...), text.Data[r.Begin:r.End]...)
			dst = append(dst, ',')
			continue
		}
		end := r.End
		for ; i < len(e.fields) && e.fields[i].ref != 0 && e.fields[i].same; i++ {
			next := text.Refs[e.fields[i].ref-1]
			if next.End == 0 || next.Key != end+1 {
				break
			}
			end = next.End
		}
		dst = append(append(dst, text.Data[r.Key:end]...), ',')
	}
	return dst, i
}
