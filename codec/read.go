package codec

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"unsafe"

	"kstream/record"
)

// What a scanner does with a value once its range and kind are known.

// wantText reads the text data[i:end], given with its quotes.
func (s *JSONScanner) wantText(w *JSONWant, f *field, i, end int, escaped bool) bool {
	var text []byte
	if escaped {
		text = record.JSONText(s.data[i:end], s.arena)
	} else {
		text = s.data[i+1 : end-1 : end-1]
	}
	switch w.Type.Kind {
	case record.TypeAny, record.TypeString:
		s.slots[w.Slot] = record.StringBytes(text)
		return true
	}
	v, why := readText(&w.Type, text, s.arena)
	if why != "" {
		s.refuse(f, i, end, why)
		return false
	}
	s.slots[w.Slot] = v
	return true
}

// wantNumber reads the number data[i:end].
func (s *JSONScanner) wantNumber(w *JSONWant, f *field, i, end int, n int64, class numberClass) bool {
	if class == numberInt && (w.Type.Kind == record.TypeInt || w.Type.Kind == record.TypeAny) {
		s.slots[w.Slot] = record.Int(n)
		return true
	}
	v, why := readNumber(&w.Type, s.data[i:end], n, class, s.decimals)
	if why != "" {
		s.refuse(f, i, end, why)
		return false
	}
	s.slots[w.Slot] = v
	return true
}

// wantNested reads the list or object data[i:end], which was checked.
func (s *JSONScanner) wantNested(w *JSONWant, f *field, i, end int) bool {
	r := reader{decimals: s.decimals, arena: s.arena, extra: f.object != nil && f.object.numbers}
	v, err := r.nested(&w.Type, s.data[i:end:end], f.path)
	if err != "" {
		s.fail(i, err)
		return false
	}
	s.slots[w.Slot] = v
	return true
}

// readText reads a text as a value of a type. why is empty or what is wrong.
func readText(t *record.Type, text []byte, a *record.Arena) (v record.Value, why string) {
	ok := false
	switch t.Kind {
	case record.TypeAny, record.TypeString:
		return record.StringBytes(text), ""
	case record.TypeUUID:
		v, ok = record.StringBytes(text), canonicalUUID(text)
	case record.TypeTimestamp:
		v, ok = readTimestamp(t.Unit, text)
	case record.TypeDecimal:
		return readDecimal(t, text)
	case record.TypeBytes:
		v, ok = readBase64(text, a)
	case record.TypeDate:
		n, good := record.ParseDate(text)
		v, ok = record.Date(n), good
	case record.TypeTime:
		n, good := record.ParseTimeOfDay(text)
		v, ok = record.TimeOfDay(n), good
	case record.TypeDuration:
		n, good := record.ParseDuration(text)
		v, ok = record.Duration(n), good
	}
	if !ok {
		return record.Null, "is not a " + t.String()
	}
	return v, ""
}

func readTimestamp(u record.TimeUnit, text []byte) (record.Value, bool) {
	if u == record.UnitSQL {
		ns, ok := record.ParseTimestampSQL(text)
		return record.TimestampNanos(ns), ok
	}
	ns, ok := record.ParseTimestampRFC3339(text)
	return record.TimestampNanos(ns), ok
}

func readBase64(text []byte, a *record.Arena) (record.Value, bool) {
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return record.Null, false // the library skips them
	}
	room := alloc(a, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(room, text)
	return record.Bytes(room[:n:n]), err == nil
}

func alloc(a *record.Arena, n int) []byte {
	if a == nil {
		return make([]byte, n)
	}
	return a.Alloc(n)
}

// canonicalUUID checks 8-4-4-4-12 hexadecimal digits in lower case.
func canonicalUUID(text []byte) bool {
	if len(text) != 36 {
		return false
	}
	for i, c := range text {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c-'0' > 9 && c-'a' > 5:
			return false
		}
	}
	return true
}

// readNumber reads a number as a value of a type. why is empty or what is wrong.
func readNumber(t *record.Type, raw []byte, n int64, class numberClass, decimals bool) (v record.Value, why string) {
	switch t.Kind {
	case record.TypeAny:
		return anyNumber(raw, n, class, decimals)
	case record.TypeInt, record.TypeInt32:
		n, why = wholeNumber(raw, n, class)
		if why == "" && t.Kind == record.TypeInt32 && n != int64(int32(n)) {
			why = "does not fit into an int32"
		}
		return record.Int(n), why
	case record.TypeFloat, record.TypeFloat32:
		bits := 64
		if t.Kind == record.TypeFloat32 {
			bits = 32
		}
		return readFloat(raw, bits)
	case record.TypeDecimal:
		return readDecimal(t, raw)
	case record.TypeTimestamp:
		return epochTime(t.Unit, raw, n, class)
	}
	return record.Null, "is not a " + t.String()
}

// anyNumber reads a number of undeclared type.
func anyNumber(raw []byte, n int64, class numberClass, decimals bool) (v record.Value, why string) {
	switch {
	case class == numberInt:
		return record.Int(n), ""
	case class == numberLarge:
		return record.Null, "does not fit into 64 bits"
	case decimals:
		t := record.TypeOf(record.TypeDecimal)
		return readDecimal(&t, raw)
	}
	return readFloat(raw, 64)
}

func readFloat(raw []byte, bits int) (v record.Value, why string) {
	f, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(raw), len(raw)), bits)
	if err != nil {
		return record.Null, "does not fit into a float of " + strconv.Itoa(bits) + " bits"
	}
	return record.Float(f), ""
}

// wholeNumber reads an int; a fraction of zeros and exponents are fine as long
// as the number is whole.
func wholeNumber(raw []byte, n int64, class numberClass) (int64, string) {
	switch class {
	case numberInt:
		return n, ""
	case numberLarge:
		return 0, "does not fit into 64 bits"
	}
	if point := bytes.IndexByte(raw, '.'); point > 0 && len(bytes.TrimRight(raw[point+1:], "0")) == 0 {
		if n, ok := record.ParseInt(raw[:point]); ok {
			return n, ""
		}
		return 0, "does not fit into 64 bits"
	}
	unscaled, scale, ok := record.ParseDecimal(raw)
	if !ok {
		return 0, "is not a whole number of 64 bits"
	}
	if unscaled%record.Pow10(int(scale)) != 0 {
		return 0, "is not a whole number"
	}
	return unscaled / record.Pow10(int(scale)), ""
}

// readDecimal reads a decimal exactly; one with a declared scale gets it.
func readDecimal(t *record.Type, text []byte) (v record.Value, why string) {
	unscaled, scale, ok := record.ParseDecimal(text)
	if !ok {
		return record.Null, "is not a decimal of at most 18 digits"
	}
	if t.Scale < 0 {
		return record.Decimal(unscaled, scale), ""
	}
	for ; scale > uint8(t.Scale); scale-- {
		if unscaled%10 != 0 {
			return record.Null, "has more than " + strconv.Itoa(int(t.Scale)) + " decimal places"
		}
		unscaled /= 10
	}
	unscaled, ok = shiftUp(unscaled, int(t.Scale)-int(scale))
	if !ok {
		return record.Null, "has more than 18 digits as a " + t.String()
	}
	return record.Decimal(unscaled, uint8(t.Scale)), ""
}

// shiftUp is unscaled·10^places if that has at most 18 digits.
func shiftUp(unscaled int64, places int) (int64, bool) {
	if unscaled == 0 || places == 0 {
		return unscaled, true
	}
	if places > record.MaxDecimalDigits {
		return 0, false
	}
	limit := record.Pow10(record.MaxDecimalDigits - places)
	if unscaled >= limit || unscaled <= -limit {
		return 0, false
	}
	return unscaled * record.Pow10(places), true
}

// unitNanos is the length of a unit of epoch time; the default is milliseconds.
func unitNanos(u record.TimeUnit) int64 {
	switch u {
	case record.UnitSeconds:
		return 1e9
	case record.UnitMicros:
		return 1e3
	case record.UnitNanos:
		return 1
	}
	return 1e6
}

// epochTime reads a timestamp from units since 1970. Fractions of a unit are
// read exactly and must be whole nanoseconds.
func epochTime(u record.TimeUnit, raw []byte, n int64, class numberClass) (v record.Value, why string) {
	unit, div := unitNanos(u), int64(1)
	switch class {
	case numberLarge:
		return record.Null, "is not a time of this age"
	case numberFraction:
		unscaled, scale, ok := record.ParseDecimal(raw)
		if !ok {
			return record.Null, "is not a timestamp"
		}
		n, div = unscaled, record.Pow10(int(scale))
		for div > 1 && n%10 == 0 {
			n, div = n/10, div/10
		}
	}
	if unit%div != 0 {
		return record.Null, "is finer than a nanosecond"
	}
	unit /= div
	if n > math.MaxInt64/unit || n < math.MinInt64/unit {
		return record.Null, "is a time that does not fit into 64 bits"
	}
	return record.TimestampNanos(n * unit), ""
}

// reader builds the value of a declared list, map or object out of checked
// JSON. Such values are rare on the hot path, and may allocate.
type reader struct {
	decimals bool
	extra    bool // members that are not declared are kept
	arena    *record.Arena
}

// lazy reports whether a value of the type may stay JSON text.
func lazy(t *record.Type) bool {
	switch t.Kind {
	case record.TypeAny:
		return true
	case record.TypeList, record.TypeMap:
		return t.Elem.Kind == record.TypeAny && !t.Elem.Required
	}
	return false
}

func (r *reader) json(raw []byte) record.Value {
	if r.decimals {
		return record.JSONDecimals(raw)
	}
	return record.JSON(raw)
}

// nested reads a list or an object; a mistake is told with its place.
func (r *reader) nested(t *record.Type, raw []byte, path string) (v record.Value, mistake string) {
	switch {
	case acceptOf(*t)&kindOf(raw[0]) == 0:
		return record.Null, mismatchText(path, t, raw)
	case lazy(t):
		return r.json(raw), ""
	case t.Kind == record.TypeObject:
		return r.object(t, raw, path)
	}
	var elems []record.Value
	var names []string
	below := path + "[]"
	if t.Kind == record.TypeMap {
		below = joinPath(path, "*")
	}
	for c := record.NewJSONCursor(record.JSON(raw)); c.Next(); {
		e, mistake := r.value(t.Elem, c.Raw, below)
		if mistake != "" {
			return record.Null, mistake
		}
		elems = append(elems, e)
		if c.Key != nil {
			names = append(names, r.name(c.Key))
		}
	}
	if t.Kind == record.TypeMap {
		return record.ObjectOf(&record.Object{Names: names, Values: elems}), ""
	}
	return record.List(elems), ""
}

func (r *reader) name(key []byte) string {
	b := record.JSONText(key, r.arena)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// object reads the declared members in the order of the declaration, null if
// they are missing, and then the others if they are kept.
func (r *reader) object(t *record.Type, raw []byte, path string) (v record.Value, mistake string) {
	o := &record.Object{Names: make([]string, len(t.Fields)), Values: make([]record.Value, len(t.Fields))}
	for i := range t.Fields {
		o.Names[i] = t.Fields[i].Name
	}
	found := make([]bool, len(t.Fields))
	for c := record.NewJSONCursor(record.JSON(raw)); c.Next(); {
		i := fieldIndex(t, c.Key)
		if i < 0 {
			if r.extra {
				o.Names = append(o.Names, r.name(c.Key))
				e, _ := r.value(&record.Any, c.Raw, path)
				o.Values = append(o.Values, e)
			}
			continue
		}
		found[i] = true
		o.Values[i], mistake = r.value(&t.Fields[i].Type, c.Raw, joinPath(path, t.Fields[i].Name))
		if mistake != "" {
			return record.Null, mistake
		}
	}
	for i := range t.Fields {
		if t.Fields[i].Type.Required && !found[i] {
			return record.Null, "field " + joinPath(path, t.Fields[i].Name) + " is missing"
		}
	}
	return record.ObjectOf(o), ""
}

func fieldIndex(t *record.Type, key []byte) int {
	for i := range t.Fields {
		if record.JSONKeyIs(key, t.Fields[i].Name) {
			return i
		}
	}
	return -1
}

// value reads any value of a declared type.
func (r *reader) value(t *record.Type, raw []byte, path string) (v record.Value, mistake string) {
	kind := kindOf(raw[0])
	if acceptOf(*t)&kind == 0 {
		return record.Null, mismatchText(path, t, raw)
	}
	why := ""
	switch kind {
	case kindBool:
		return record.Bool(raw[0] == 't'), ""
	case kindText:
		v, why = readText(t, record.JSONText(raw, r.arena), r.arena)
	case kindNumber:
		_, n, class := lexNumber(raw, 0)
		v, why = readNumber(t, raw, n, class, r.decimals)
	case kindList, kindObject:
		return r.nested(t, raw, path)
	}
	if why != "" {
		return record.Null, refuseText(path, raw, why)
	}
	return v, ""
}

// kindOf tells the kind of a valid JSON value by its first byte.
func kindOf(c byte) kinds {
	switch c {
	case '{':
		return kindObject
	case '[':
		return kindList
	case '"':
		return kindText
	case 't', 'f':
		return kindBool
	case 'n':
		return kindNull
	}
	return kindNumber
}
