package expr

import "kstream/record"

// class is what a type means to the checker: int32 and int are one, an object
// and a map are one.
type class uint8

const (
	anyClass class = iota
	nullClass
	boolClass
	intClass
	floatClass
	decimalClass
	textClass
	bytesClass
	timestampClass
	dateClass
	timeClass
	durationClass
	listClass
	mapClass
)

func classOf(t record.Type) class {
	return [...]class{
		record.TypeAny: anyClass, record.TypeNull: nullClass, record.TypeBool: boolClass,
		record.TypeInt: intClass, record.TypeInt32: intClass,
		record.TypeFloat: floatClass, record.TypeFloat32: floatClass, record.TypeDecimal: decimalClass,
		record.TypeString: textClass, record.TypeUUID: textClass, record.TypeBytes: bytesClass,
		record.TypeTimestamp: timestampClass, record.TypeDate: dateClass, record.TypeTime: timeClass,
		record.TypeDuration: durationClass, record.TypeList: listClass,
		record.TypeMap: mapClass, record.TypeObject: mapClass,
	}[t.Kind]
}

func (c class) number() bool { return c == intClass || c == floatClass || c == decimalClass }

// open says that the type is found out at run time only.
func (c class) open() bool { return c == anyClass || c == nullClass }

var (
	boolType      = record.TypeOf(record.TypeBool)
	intType       = record.TypeOf(record.TypeInt)
	floatType     = record.TypeOf(record.TypeFloat)
	decimalType   = record.TypeOf(record.TypeDecimal)
	textType      = record.TypeOf(record.TypeString)
	bytesType     = record.TypeOf(record.TypeBytes)
	timestampType = record.TypeOf(record.TypeTimestamp)
	durationType  = record.TypeOf(record.TypeDuration)
	dateType      = record.TypeOf(record.TypeDate)
)

func decimalOf(scale int) record.Type {
	if scale > record.MaxDecimalDigits {
		scale = -1
	}
	return record.Type{Kind: record.TypeDecimal, Scale: int8(scale)}
}

// nullable is t without the promise that it is never null.
func nullable(t record.Type) record.Type {
	t.Required = false
	return t
}

// typeOfValue is the type of a constant.
func typeOfValue(v record.Value) record.Type {
	switch v.Kind() {
	case record.KindNull:
		return record.TypeOf(record.TypeNull)
	case record.KindBool:
		return boolType
	case record.KindInt:
		return intType
	case record.KindFloat:
		return floatType
	case record.KindDecimal:
		return decimalOf(int(v.Scale()))
	case record.KindString:
		return textType
	case record.KindBytes:
		return bytesType
	case record.KindTimestamp:
		return timestampType
	case record.KindDate:
		return dateType
	case record.KindTime:
		return record.TypeOf(record.TypeTime)
	case record.KindDuration:
		return durationType
	case record.KindList:
		elem := record.Any
		for i, e := range v.Elems() {
			if i == 0 {
				elem = typeOfValue(e)
			} else {
				elem = unify(elem, typeOfValue(e))
			}
		}
		return record.ListOf(elem)
	case record.KindObject:
		t := record.Type{Kind: record.TypeObject}
		for i, name := range v.Object().Names {
			t.Fields = append(t.Fields, record.Field{Name: name, Type: typeOfValue(v.Object().Values[i])})
		}
		return t
	}
	return record.Any
}

// unify is the type of a value that is either an a or a b.
func unify(a, b record.Type) record.Type {
	required := a.Required && b.Required
	t := unified(a, b)
	t.Required = required
	return t
}

func unified(a, b record.Type) record.Type {
	ca, cb := classOf(a), classOf(b)
	switch {
	case ca == nullClass:
		return b
	case cb == nullClass:
		return a
	case ca == floatClass && cb == intClass:
		return floatType
	case ca == intClass && cb == floatClass:
		return floatType
	case ca == decimalClass && cb == intClass, ca == intClass && cb == decimalClass:
		return decimalType
	case ca != cb:
		return record.Any
	case sameType(a, b):
		return a
	}
	switch ca {
	case intClass:
		return intType
	case floatClass:
		return floatType
	case decimalClass:
		return decimalType
	case textClass:
		return textType
	case timestampClass:
		return timestampType
	case listClass:
		return record.ListOf(unify(*a.Elem, *b.Elem))
	case mapClass:
		elem := unify(elemOf(a), elemOf(b))
		return record.Type{Kind: record.TypeMap, Elem: &elem}
	}
	return record.Any
}

func sameType(a, b record.Type) bool {
	if a.Kind != b.Kind || a.Scale != b.Scale || a.Unit != b.Unit || len(a.Fields) != len(b.Fields) {
		return false
	}
	if (a.Elem == nil) != (b.Elem == nil) || a.Elem != nil && !sameType(*a.Elem, *b.Elem) {
		return false
	}
	for i := range a.Fields {
		if a.Fields[i].Name != b.Fields[i].Name || !sameType(a.Fields[i].Type, b.Fields[i].Type) {
			return false
		}
	}
	return true
}

// elemOf is the type of the elements of a list or of the values of a map or an
// object.
func elemOf(t record.Type) record.Type {
	switch {
	case t.Elem != nil:
		return *t.Elem
	case t.Kind == record.TypeObject && len(t.Fields) > 0:
		elem := t.Fields[0].Type
		for _, f := range t.Fields[1:] {
			elem = unify(elem, f.Type)
		}
		return elem
	}
	return record.Any
}
