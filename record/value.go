package record

import (
	"math"
	"unsafe"
)

// Kind says what a Value holds at run time.
type Kind uint8

// The kinds. KindJSON is a list or an object kept as its JSON text until it is
// looked into; scalars are never kept that way.
const (
	KindNull Kind = iota
	KindBool
	KindInt
	KindFloat
	KindDecimal
	KindString
	KindBytes
	KindTimestamp
	KindDate
	KindTime
	KindDuration
	KindList
	KindObject
	KindJSON
)

var kindNames = [...]string{
	"null", "bool", "int", "float", "decimal", "string", "bytes",
	"timestamp", "date", "time", "duration", "list", "object", "object",
}

// String gives the name that the function type(x) of the language returns;
// for KindJSON use Value.TypeName, which looks at the text.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Value is one dynamically typed value in 24 bytes, without an interface: the
// hot path copies and compares values and must not allocate. The zero Value is
// null.
//
// Text, bytes, lists and objects are held by pointer and never changed after
// they were made.
type Value struct {
	ptr   unsafe.Pointer
	num   int64
	kind  Kind
	scale uint8
}

// Object is a map or an object: fields in order, names unique.
type Object struct {
	Names  []string
	Values []Value
}

// Null is the null value.
var Null = Value{}

// Bool makes a bool.
func Bool(b bool) Value {
	if b {
		return Value{kind: KindBool, num: 1}
	}
	return Value{kind: KindBool}
}

// Int makes a 64-bit integer.
func Int(i int64) Value { return Value{kind: KindInt, num: i} }

// Float makes a 64-bit float.
func Float(f float64) Value {
	return Value{kind: KindFloat, num: int64(math.Float64bits(f))}
}

// Decimal makes unscaled·10^-scale. At most 18 digits; the caller checks.
func Decimal(unscaled int64, scale uint8) Value {
	return Value{kind: KindDecimal, num: unscaled, scale: scale}
}

// String makes a text that shares s's bytes.
func String(s string) Value {
	return Value{kind: KindString, ptr: unsafe.Pointer(unsafe.StringData(s)), num: int64(len(s))}
}

// StringBytes makes a text over b without copying; b must not change while the
// Value is used.
func StringBytes(b []byte) Value {
	return Value{kind: KindString, ptr: unsafe.Pointer(unsafe.SliceData(b)), num: int64(len(b))}
}

// Bytes makes a bytes value over b without copying.
func Bytes(b []byte) Value {
	return Value{kind: KindBytes, ptr: unsafe.Pointer(unsafe.SliceData(b)), num: int64(len(b))}
}

// JSON makes a lazily read list or object over valid JSON text that begins with
// [ or { and has no surrounding white space.
func JSON(b []byte) Value {
	return Value{kind: KindJSON, ptr: unsafe.Pointer(unsafe.SliceData(b)), num: int64(len(b))}
}

// TimestampNanos makes a timestamp from nanoseconds since 1970, UTC.
func TimestampNanos(ns int64) Value { return Value{kind: KindTimestamp, num: ns} }

// Date makes a calendar day from days since 1970-01-01.
func Date(days int64) Value { return Value{kind: KindDate, num: days} }

// TimeOfDay makes a time of day from nanoseconds since midnight.
func TimeOfDay(ns int64) Value { return Value{kind: KindTime, num: ns} }

// Duration makes a duration from nanoseconds.
func Duration(ns int64) Value { return Value{kind: KindDuration, num: ns} }

// List makes a list that shares the slice.
func List(vs []Value) Value {
	return Value{kind: KindList, ptr: unsafe.Pointer(unsafe.SliceData(vs)), num: int64(len(vs))}
}

// ObjectOf makes an object that shares o.
func ObjectOf(o *Object) Value { return Value{kind: KindObject, ptr: unsafe.Pointer(o)} }

// Kind is the kind of the value.
func (v Value) Kind() Kind { return v.kind }

// IsNull reports whether the value is null.
func (v Value) IsNull() bool { return v.kind == KindNull }

// True reports whether the value is the bool true; null and everything else is not.
func (v Value) True() bool { return v.kind == KindBool && v.num != 0 }

// Int is the integer of KindInt, the unscaled number of KindDecimal, the
// nanoseconds of KindTimestamp, KindTime and KindDuration, the days of
// KindDate, 0 or 1 of KindBool.
func (v Value) Int() int64 { return v.num }

// Float is the number of KindFloat.
func (v Value) Float() float64 { return math.Float64frombits(uint64(v.num)) }

// Scale is the number of decimal places of KindDecimal.
func (v Value) Scale() uint8 { return v.scale }

// Text is the text of KindString, or the raw text of KindJSON and KindBytes as
// a string that shares the bytes.
func (v Value) Text() string { return unsafe.String((*byte)(v.ptr), int(v.num)) }

// Raw is the bytes of KindString, KindBytes and KindJSON, shared: do not change.
func (v Value) Raw() []byte { return unsafe.Slice((*byte)(v.ptr), int(v.num)) }

// Elems is the elements of KindList, shared: do not change.
func (v Value) Elems() []Value { return unsafe.Slice((*Value)(v.ptr), int(v.num)) }

// Object is the fields of KindObject, shared: do not change.
func (v Value) Object() *Object { return (*Object)(v.ptr) }

// Millis is a timestamp as whole milliseconds, floored.
func (v Value) Millis() Timestamp {
	ms := v.num / 1e6
	if v.num%1e6 < 0 {
		ms--
	}
	return Timestamp(ms)
}

// Get returns the field's value; ok is false if there is none.
func (o *Object) Get(name string) (v Value, ok bool) {
	for i, n := range o.Names {
		if n == name {
			return o.Values[i], true
		}
	}
	return Null, false
}

// Set gives a field a value, appending it if there is none of that name. Only
// who makes the object may call it, before it becomes a Value.
func (o *Object) Set(name string, v Value) {
	for i, n := range o.Names {
		if n == name {
			o.Values[i] = v
			return
		}
	}
	o.Names = append(o.Names, name)
	o.Values = append(o.Values, v)
}

// Arena is a bump allocator for bytes that live as long as one record's chain
// call, or one batch. Slices given out stay valid until Reset.
type Arena struct {
	buf []byte
}

// Alloc returns n bytes with unspecified contents.
func (a *Arena) Alloc(n int) []byte {
	if cap(a.buf)-len(a.buf) < n {
		size := max(4096, 2*cap(a.buf), n)
		a.buf = make([]byte, 0, size)
	}
	l := len(a.buf)
	a.buf = a.buf[:l+n]
	return a.buf[l : l+n : l+n]
}

// Copy returns a copy of b in the arena.
func (a *Arena) Copy(b []byte) []byte {
	out := a.Alloc(len(b))
	copy(out, b)
	return out
}

// Reset makes the arena empty; everything it gave out is invalid.
func (a *Arena) Reset() { a.buf = a.buf[:0] }

// Clone copies the bytes a value points to into the arena. Lists and objects
// are copied deeply onto the heap when they hold text.
func (v Value) Clone(a *Arena) Value {
	switch v.kind {
	case KindString, KindBytes, KindJSON:
		v.ptr = unsafe.Pointer(unsafe.SliceData(a.Copy(v.Raw())))
	case KindList:
		elems := v.Elems()
		out := make([]Value, len(elems))
		for i, e := range elems {
			out[i] = e.CloneHeap()
		}
		return List(out)
	case KindObject:
		return v.CloneHeap()
	}
	return v
}

// CloneHeap copies a value so that it shares nothing with its source.
func (v Value) CloneHeap() Value {
	switch v.kind {
	case KindString, KindBytes, KindJSON:
		b := append([]byte(nil), v.Raw()...)
		v.ptr = unsafe.Pointer(unsafe.SliceData(b))
	case KindList:
		elems := v.Elems()
		out := make([]Value, len(elems))
		for i, e := range elems {
			out[i] = e.CloneHeap()
		}
		return List(out)
	case KindObject:
		o := v.Object()
		out := &Object{Names: append([]string(nil), o.Names...), Values: make([]Value, len(o.Values))}
		for i, e := range o.Values {
			out.Names[i] = string(append([]byte(nil), o.Names[i]...))
			out.Values[i] = e.CloneHeap()
		}
		return ObjectOf(out)
	}
	return v
}
