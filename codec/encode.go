package codec

import (
	"bytes"
	"unsafe"

	"kstream/record"
)

// EncodeField is one member of the object a JSONEncoder writes.
type EncodeField struct {
	Name string
	Slot int
	Type record.Type
}

// RestSpec names the object whose other members are copied. Slot -1 is none.
type RestSpec struct {
	Slot int
	Skip []string // members that are not copied
}

// JSONEncoder writes a row as a JSON object.
//
// Without a rest, the fields stand in their order. With a rest, its members are
// copied as they are and in their order; the value of one that a field names is
// replaced where it stands, and the remaining fields follow. So a pipeline that
// changes one field changes nothing else of the record, not even its order.
//
// An encoder belongs to one goroutine.
type JSONEncoder struct {
	fields  []encodeField
	rest    int
	names   map[string]int // of fields their index, of skipped members -1
	lengths uint64         // lengths of the names, as a set; 63 and more are one
	options JSONWriteOptions
	copies  bool

	records uint64 // written so far; the stamp of the one being written
	scratch []byte
}

type encodeField struct {
	key     []byte // `"name":`
	slot    int
	typ     record.Type
	name    string
	ref     int    // of its text plus one
	same    bool   // the member that was read has the same name
	written uint64 // the last record the field is in
}

// NewJSONEncoder prepares an encoder; the names of the fields are unique.
func NewJSONEncoder(fields []EncodeField, rest RestSpec, o JSONWriteOptions) *JSONEncoder {
	e := &JSONEncoder{rest: rest.Slot, names: map[string]int{}, options: o}
	for _, name := range rest.Skip {
		e.add(name, -1)
	}
	for i, f := range fields {
		e.add(f.Name, i)
		key := append(record.AppendJSONString(nil, f.Name), ':')
		e.fields = append(e.fields, encodeField{key: key, slot: f.Slot, typ: f.Type, name: f.Name})
	}
	return e
}

func (e *JSONEncoder) add(name string, index int) {
	e.names[name] = index
	e.lengths |= 1 << min(len(name), 63)
}

// Append writes the object. After an error dst holds nothing of use. Text is of
// the row; nil is allowed.
func (e *JSONEncoder) Append(dst []byte, slots []record.Value, text *record.RowText) ([]byte, error) {
	e.records++
	var err error
	dst = append(dst, '{')
	open := len(dst)
	if e.rest >= 0 {
		if dst, err = e.appendRest(dst, slots); err != nil {
			return dst, err
		}
	}
	copies := e.copies && text != nil
	for i := 0; i < len(e.fields); i++ {
		if copies {
			if dst, i = e.appendCopies(dst, i, text); i == len(e.fields) {
				break
			}
		}
		if e.fields[i].written == e.records {
			continue
		}
		if dst, err = e.appendField(dst, i, slots); err != nil {
			return dst, err
		}
	}
	// Every member ends with a comma; the last one is the brace.
	if len(dst) > open {
		dst[len(dst)-1] = '}'
		return dst, nil
	}
	return append(dst, '}'), nil
}

func (e *JSONEncoder) appendField(dst []byte, i int, slots []record.Value) ([]byte, error) {
	f := &e.fields[i]
	f.written = e.records
	dst, err := appendJSON(append(dst, f.key...), slots[f.slot], &f.typ, &e.options)
	if err != nil {
		return dst, inField(f.name, err)
	}
	return append(dst, ','), nil
}

// appendRest copies the members of the rest; null has none.
func (e *JSONEncoder) appendRest(dst []byte, slots []record.Value) ([]byte, error) {
	rest := slots[e.rest]
	switch {
	case rest.IsNull():
		return dst, nil
	case rest.Kind() == record.KindObject:
		return e.appendMembers(dst, rest.Object(), slots)
	case !rest.IsObject():
		return dst, &EncodeError{"an object is needed to copy the other fields from, found " + rest.TypeName()}
	}
	var err error
	lines := severalLines(rest.Raw())
	for c := record.NewJSONCursor(rest); c.Next(); {
		i, ours := e.lookup(c.Key)
		switch {
		case !ours && lines:
			dst = append(append(dst, c.Key...), ':')
			dst = append(appendOneLine(dst, c.Raw), ',')
		case !ours:
			dst = append(append(dst, c.Key...), ':')
			dst = append(append(dst, c.Raw...), ',')
		case i >= 0:
			if dst, err = e.appendField(dst, i, slots); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}

// lookup finds the field that a member's key as written means, -1 if it is to be
// skipped; ours is false for a member to copy.
func (e *JSONEncoder) lookup(key []byte) (i int, ours bool) {
	name := key[1 : len(key)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		e.scratch = record.AppendJSONUnescaped(e.scratch[:0], name)
		name = e.scratch
	}
	if e.lengths&(1<<min(len(name), 63)) == 0 {
		return 0, false
	}
	i, ours = e.names[unsafe.String(unsafe.SliceData(name), len(name))]
	return i, ours
}

// appendMembers is appendRest for an object that is not text.
func (e *JSONEncoder) appendMembers(dst []byte, o *record.Object, slots []record.Value) ([]byte, error) {
	for k, name := range o.Names {
		i, ours := e.names[name]
		var err error
		switch {
		case !ours:
			dst = append(record.AppendJSONString(dst, name), ':')
			if dst, err = appendJSON(dst, o.Values[k], &record.Any, &e.options); err != nil {
				return dst, inField(name, err)
			}
			dst = append(dst, ',')
		case i >= 0:
			if dst, err = e.appendField(dst, i, slots); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}
