package codec

import (
	"unicode/utf8"

	"kstream/record"
)

// AppendRecordKey writes a record key for Kafka. isNull says that the record has
// no key, which is not the same as an empty one.
//
//	auto    text as UTF-8, bytes as they are, other scalars as string(x),
//	        lists and objects as JSON
//	string  the same; a list or an object is an error
//	json    JSON
//	bytes   bytes, and text as its UTF-8; everything else is an error
//
// Whether the source's key bytes can be passed on unchanged is the plan's
// decision; they do not come here then.
func AppendRecordKey(dst []byte, v record.Value, format string) (out []byte, isNull bool, err error) {
	if v.IsNull() {
		return dst, true, nil
	}
	nested := v.IsList() || v.IsObject()
	switch {
	case format == "json" || format == "auto" && nested:
		out, err = AppendJSON(dst, v, record.Any, JSONWriteOptions{})
		return out, false, err
	case nested:
		return dst, false, &EncodeError{"a record key of format " + format + " cannot be " + v.TypeName()}
	case format == "bytes" && v.Kind() != record.KindBytes && v.Kind() != record.KindString:
		return dst, false, &EncodeError{"a record key of format bytes cannot be " + v.TypeName()}
	}
	return record.AppendText(dst, v), false, nil
}

// DecodeString reads a value or key of the format string.
func DecodeString(b []byte) (record.Value, *DecodeError) {
	if at := invalidUTF8(b); at >= 0 {
		return record.Null, &DecodeError{Message: "not UTF-8: " + quote(b), Offset: at}
	}
	return record.StringBytes(b), nil
}

// invalidUTF8 is the place of the first byte that is not UTF-8, or -1.
func invalidUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	i := 0
	for {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
}

// KeyDecoder reads record keys. It belongs to one goroutine.
type KeyDecoder struct {
	format string
	typ    *record.Type
	json   *JSONScanner
	slot   [1]record.Value
}

// NewKeyDecoder prepares a decoder for a key format and, with a key schema, for
// its type.
//
//	auto    with a schema its type, from JSON or from text; without, a JSON list
//	        or object is read, other UTF-8 is text, the rest bytes
//	string  UTF-8; with a schema its type, from the text
//	json    JSON
//	bytes   as it is
func NewKeyDecoder(format string, t *record.Type) *KeyDecoder {
	want := record.Any
	if t != nil {
		want = *t
	}
	return &KeyDecoder{
		format: format, typ: t,
		json: NewJSONScanner([]JSONWant{{Type: want}}, JSONOptions{Schema: t}),
	}
}

// Decode reads one key; nil is null. The value shares b and the arena.
func (d *KeyDecoder) Decode(b []byte, a *record.Arena) (record.Value, *DecodeError) {
	switch {
	case b == nil:
		return d.null()
	case d.format == "bytes":
		return record.Bytes(b), nil
	case d.format == "json":
		return d.fromJSON(b, a)
	case d.format == "string":
		return d.fromText(b, a)
	case d.typ != nil && d.typ.Kind != record.TypeAny:
		return d.typed(b, a)
	}
	if nestedText(b) {
		if v, err := d.fromJSON(b, a); err == nil {
			return v, nil
		}
	}
	if utf8.Valid(b) {
		return record.StringBytes(b), nil
	}
	return record.Bytes(b), nil
}

func (d *KeyDecoder) null() (record.Value, *DecodeError) {
	if d.typ != nil && d.typ.Required {
		return record.Null, &DecodeError{Message: "the key is null where " + d.typ.String() + " is required"}
	}
	return record.Null, nil
}

// nestedText reports whether b may be a JSON list or object.
func nestedText(b []byte) bool {
	i := lexSpace(b, 0)
	return i < len(b) && (b[i] == '{' || b[i] == '[')
}

func (d *KeyDecoder) fromJSON(b []byte, a *record.Arena) (record.Value, *DecodeError) {
	err := d.json.Scan(b, d.slot[:], a)
	return d.slot[0], err
}

// typed reads a declared type in auto: a text is taken as it is, because a key
// "42" is more likely written by hand than as JSON. Everything else is the same
// in JSON and as text but for the quotes.
func (d *KeyDecoder) typed(b []byte, a *record.Arena) (record.Value, *DecodeError) {
	if d.typ.Kind != record.TypeString && d.typ.Kind != record.TypeBytes {
		if v, err := d.fromJSON(b, a); err == nil || acceptOf(*d.typ)&kindText == 0 || b0(b) == '"' {
			return v, err
		}
	}
	return d.fromText(b, a)
}

func b0(b []byte) byte {
	if len(b) == 0 {
		return 0
	}
	return b[0]
}

func (d *KeyDecoder) fromText(b []byte, a *record.Arena) (record.Value, *DecodeError) {
	v, err := DecodeString(b)
	if err != nil || d.typ == nil || d.typ.Kind == record.TypeString {
		if err != nil && d.typ != nil && d.typ.Kind == record.TypeBytes {
			return record.Bytes(b), nil
		}
		return v, err
	}
	if d.typ.Kind == record.TypeBytes {
		return record.Bytes(b), nil
	}
	if acceptOf(*d.typ)&kindText == 0 {
		return d.fromJSON(b, a)
	}
	v, why := readText(d.typ, b, a)
	if why != "" {
		return record.Null, &DecodeError{Message: "the key: " + quote(b) + " " + why}
	}
	return v, nil
}

// DecodeRecordKey reads one key; for many, keep a KeyDecoder.
func DecodeRecordKey(b []byte, format string, t *record.Type, a *record.Arena) (record.Value, *DecodeError) {
	return NewKeyDecoder(format, t).Decode(b, a)
}
