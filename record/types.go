package record

import (
	"strconv"
	"strings"
)

// TypeKind is the static type of a field or an expression.
type TypeKind uint8

// The types of the language (section 4.6). TypeNull is the type of the literal
// nil; TypeAny is checked at run time.
const (
	TypeAny TypeKind = iota
	TypeNull
	TypeBool
	TypeInt
	TypeInt32
	TypeFloat
	TypeFloat32
	TypeDecimal
	TypeString
	TypeBytes
	TypeTimestamp
	TypeDate
	TypeTime
	TypeDuration
	TypeUUID
	TypeList
	TypeMap
	TypeObject
)

// TimeUnit is how a timestamp is written as text or number.
type TimeUnit uint8

// The units: UnitDefault reads RFC 3339 or epoch milliseconds and writes as the
// format says.
const (
	UnitDefault TimeUnit = iota
	UnitSeconds
	UnitMillis
	UnitMicros
	UnitNanos
	UnitSQL
)

// Type is a static type. The zero Type is any.
type Type struct {
	Kind     TypeKind
	Required bool     // "!": never null
	Scale    int8     // decimal(S): S; -1 for decimal without a scale
	Unit     TimeUnit // timestamp(unit)
	Elem     *Type    // of TypeList and TypeMap
	Fields   []Field  // of TypeObject, in order
}

// Field is a named member of an object type.
type Field struct {
	Name string
	Type Type
}

// Any is the dynamic type.
var Any = Type{}

// TypeOf is a shorthand for a scalar type.
func TypeOf(k TypeKind) Type {
	t := Type{Kind: k}
	if k == TypeDecimal {
		t.Scale = -1
	}
	return t
}

// ListOf is the type of lists of elem.
func ListOf(elem Type) Type { return Type{Kind: TypeList, Elem: &elem} }

// Field finds a member of an object type.
func (t Type) Field(name string) (Type, bool) {
	for i := range t.Fields {
		if t.Fields[i].Name == name {
			return t.Fields[i].Type, true
		}
	}
	return Any, false
}

var typeNames = [...]string{
	"any", "null", "bool", "int", "int32", "float", "float32", "decimal",
	"string", "bytes", "timestamp", "date", "time", "duration", "uuid",
}

var unitNames = [...]string{"", "s", "ms", "us", "ns", "sql"}

// String writes the type as the language does, without the suffix "!" at the top.
func (t Type) String() string {
	switch t.Kind {
	case TypeList:
		return "[" + t.Elem.withMark() + "]"
	case TypeMap:
		return "map<" + t.Elem.withMark() + ">"
	case TypeObject:
		var b strings.Builder
		b.WriteByte('{')
		for i, f := range t.Fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.Name + ": " + f.Type.withMark())
		}
		b.WriteByte('}')
		return b.String()
	case TypeDecimal:
		if t.Scale >= 0 {
			return "decimal(" + strconv.Itoa(int(t.Scale)) + ")"
		}
	case TypeTimestamp:
		if t.Unit != UnitDefault {
			return "timestamp(" + unitNames[t.Unit] + ")"
		}
	}
	return typeNames[t.Kind]
}

func (t Type) withMark() string {
	if t.Required {
		return t.String() + "!"
	}
	return t.String()
}

// Numeric reports whether arithmetic applies.
func (t Type) Numeric() bool {
	switch t.Kind {
	case TypeInt, TypeInt32, TypeFloat, TypeFloat32, TypeDecimal:
		return true
	}
	return false
}
