package codec

import (
	"math"

	"kstream/record"
)

// Fit makes a value one of a declared type, as a sink with a schema needs it:
// integers widen to floats and decimals, decimals are rounded half away from
// zero to the declared places, int32 and float32 are checked for their range,
// and null is an error where the type is required. Nothing else is converted:
// the expression that makes the value says how.
func Fit(v record.Value, t record.Type) (record.Value, error) { return fit(v, &t) }

func fit(v record.Value, t *record.Type) (record.Value, error) {
	kind, ok := v.Kind(), false
	if kind == record.KindNull {
		if t.Required {
			return v, &EncodeError{"null where a value of type " + t.String() + " is required"}
		}
		return v, nil
	}
	switch t.Kind {
	case record.TypeAny:
		ok = true
	case record.TypeBool:
		ok = kind == record.KindBool
	case record.TypeInt:
		ok = kind == record.KindInt
	case record.TypeInt32:
		ok = kind == record.KindInt && v.Int() == int64(int32(v.Int()))
	case record.TypeFloat, record.TypeFloat32:
		return fitFloat(v, t)
	case record.TypeDecimal:
		return fitDecimal(v, t)
	case record.TypeString:
		ok = kind == record.KindString
	case record.TypeUUID:
		ok = kind == record.KindString && canonicalUUID(v.Raw())
	case record.TypeBytes:
		ok = kind == record.KindBytes
	case record.TypeTimestamp:
		ok = kind == record.KindTimestamp
	case record.TypeDate:
		ok = kind == record.KindDate
	case record.TypeTime:
		ok = kind == record.KindTime
	case record.TypeDuration:
		ok = kind == record.KindDuration
	case record.TypeList:
		return fitList(v, t)
	case record.TypeMap:
		return fitMap(v, t)
	case record.TypeObject:
		return fitObject(v, t)
	}
	if !ok {
		return record.Null, misfit(v, t)
	}
	return v, nil
}

// misfit says that a value is not one of a type. Only scalars are shown: the
// text of others is not at hand.
func misfit(v record.Value, t *record.Type) error {
	shown := v.TypeName()
	switch v.Kind() {
	case record.KindList, record.KindObject:
	default:
		shown += " " + quote(record.AppendText(nil, v))
	}
	return &EncodeError{shown + " does not fit into " + t.String()}
}

func fitFloat(v record.Value, t *record.Type) (record.Value, error) {
	var f float64
	switch v.Kind() {
	case record.KindFloat:
		f = v.Float()
	case record.KindInt:
		f = float64(v.Int())
	default:
		return record.Null, misfit(v, t)
	}
	if t.Kind == record.TypeFloat32 {
		if math.IsInf(float64(float32(f)), 0) && !math.IsInf(f, 0) {
			return record.Null, misfit(v, t)
		}
		f = float64(float32(f))
	}
	return record.Float(f), nil
}

func fitDecimal(v record.Value, t *record.Type) (record.Value, error) {
	unscaled, scale := v.Int(), v.Scale()
	switch v.Kind() {
	case record.KindDecimal:
	case record.KindInt:
		if scale = 0; !fewDigits(unscaled) {
			return record.Null, misfit(v, t)
		}
	default:
		return record.Null, misfit(v, t)
	}
	if t.Scale < 0 || uint8(t.Scale) == scale {
		return record.Decimal(unscaled, scale), nil
	}
	if down := int(scale) - int(t.Scale); down > 0 {
		return record.Decimal(roundOff(unscaled, down), uint8(t.Scale)), nil
	}
	unscaled, ok := shiftUp(unscaled, int(t.Scale)-int(scale))
	if !ok {
		return record.Null, misfit(v, t)
	}
	return record.Decimal(unscaled, uint8(t.Scale)), nil
}

func fewDigits(n int64) bool {
	limit := record.Pow10(record.MaxDecimalDigits)
	return n < limit && n > -limit
}

// roundOff takes places digits off n, rounding half away from zero.
func roundOff(n int64, places int) int64 {
	if places > record.MaxDecimalDigits {
		return 0
	}
	unit := record.Pow10(places)
	quotient, rest := n/unit, n%unit
	switch {
	case rest >= unit-unit/2:
		quotient++
	case -rest >= unit-unit/2:
		quotient--
	}
	return quotient
}

func fitList(v record.Value, t *record.Type) (record.Value, error) {
	if !v.IsList() {
		return record.Null, misfit(v, t)
	}
	if lazy(t) {
		return v, nil
	}
	in := record.JSONElems(v, nil)
	out := make([]record.Value, len(in))
	for i, e := range in {
		var err error
		if out[i], err = fit(e, t.Elem); err != nil {
			return record.Null, err
		}
	}
	return record.List(out), nil
}

func fitMap(v record.Value, t *record.Type) (record.Value, error) {
	if !v.IsObject() {
		return record.Null, misfit(v, t)
	}
	if lazy(t) {
		return v, nil
	}
	in := record.JSONFields(v, nil)
	out := &record.Object{Names: in.Names, Values: make([]record.Value, len(in.Values))}
	for i, e := range in.Values {
		var err error
		if out.Values[i], err = fit(e, t.Elem); err != nil {
			return record.Null, inField(in.Names[i], err)
		}
	}
	return record.ObjectOf(out), nil
}

// fitObject puts the members in the order of the declaration; missing ones are
// null, and one that is not declared is an error, because leaving it out would
// lose data without a word.
func fitObject(v record.Value, t *record.Type) (record.Value, error) {
	if !v.IsObject() {
		return record.Null, misfit(v, t)
	}
	in := record.JSONFields(v, nil)
	for _, name := range in.Names {
		if _, ok := t.Field(name); !ok {
			return record.Null, &EncodeError{`field "` + quote([]byte(name)) + `" is not in the schema`}
		}
	}
	out := &record.Object{Names: make([]string, len(t.Fields)), Values: make([]record.Value, len(t.Fields))}
	for i := range t.Fields {
		f := &t.Fields[i]
		out.Names[i] = f.Name
		e, _ := in.Get(f.Name)
		var err error
		if out.Values[i], err = fit(e, &f.Type); err != nil {
			return record.Null, inField(f.Name, err)
		}
	}
	return record.ObjectOf(out), nil
}

// inField says in which member a value did not fit.
func inField(name string, err error) error {
	if e, ok := err.(*EncodeError); ok {
		return &EncodeError{"field " + quote([]byte(name)) + ": " + e.Message}
	}
	return err
}
