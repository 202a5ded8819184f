package expr

import "kstream/record"

// What a place needs: checked before start where the type is known, and for
// every value where it is any.

// checkWant reports an expression whose type does not fit its place.
func (c *compiler) checkWant(o *operand, w Want) {
	cl := o.class()
	if o.bad || cl.open() {
		return
	}
	if w.Type == WantKey {
		if what := keyFault(o.typ); what != "" {
			c.mismatchSpan(o.node, keyHint(what), "%s cannot be a key", what)
		}
		return
	}
	needs, ok := needs(w.Type, cl)
	if ok {
		return
	}
	hint := ""
	switch w.Type {
	case WantTimestamp:
		hint = timestampHint(cl, c.tree.source(o.node))
	case WantDuration:
		hint = `a duration is written duration("10m")`
	}
	c.mismatchSpan(o.node, hint, "%s needs %s, %s", c.place, needs, c.is(o))
}

func needs(w WantKind, cl class) (string, bool) {
	switch w {
	case WantBool:
		return "true or false", cl == boolClass
	case WantTimestamp:
		return "a timestamp", cl == timestampClass
	case WantList:
		return "a list", cl == listClass
	case WantInt:
		return "a whole number", cl == intClass
	case WantText:
		return "text", cl == textClass
	case WantDuration:
		return "a duration", cl == durationClass
	case WantBytes:
		return "text or bytes", cl == textClass || cl == bytesClass
	}
	return "", true
}

func timestampHint(cl class, source string) string {
	switch cl {
	case intClass:
		return "of milliseconds since 1970: from_millis(" + source + ")"
	case textClass:
		return "of RFC 3339 text: timestamp(" + source + ")"
	}
	return ""
}

func keyHint(what string) string {
	if what == "a float" {
		return "write int(x), decimal(x) or string(x)"
	}
	return ""
}

// keyFault names the part of a type that cannot be in a key.
func keyFault(t record.Type) string {
	switch t.Kind {
	case record.TypeFloat, record.TypeFloat32:
		return "a float"
	case record.TypeList:
		return "a list"
	case record.TypeMap:
		return "a map"
	case record.TypeObject:
		for _, f := range t.Fields {
			if what := keyFault(f.Type); what != "" {
				return what
			}
		}
	}
	return ""
}

// enforce checks the values of an expression of type any.
func (c *compiler) enforce(o *operand, w Want) *operand {
	if w.Type == WantAny || w.Type == WantBool || o.class() != anyClass {
		return o
	}
	out, eval, place := *o, o.eval, c.place
	out.cond = nil
	out.eval = func(e *Env) record.Value {
		v := eval(e)
		cl := classOfValue(v)
		if cl == nullClass {
			return v
		}
		if w.Type == WantKey {
			if cl == floatClass || cl == listClass {
				return e.fail("a %s cannot be a key", v.TypeName())
			}
			return v
		}
		if what, ok := needs(w.Type, cl); !ok {
			return e.fail("%s needs %s, found %s", place, what, v.TypeName())
		}
		return v
	}
	return &out
}

func classOfValue(v record.Value) class {
	if v.Kind() == record.KindJSON {
		if v.IsList() {
			return listClass
		}
		return mapClass
	}
	return [...]class{
		record.KindNull: nullClass, record.KindBool: boolClass, record.KindInt: intClass, record.KindFloat: floatClass,
		record.KindDecimal: decimalClass, record.KindString: textClass, record.KindBytes: bytesClass,
		record.KindTimestamp: timestampClass, record.KindDate: dateClass, record.KindTime: timeClass,
		record.KindDuration: durationClass, record.KindList: listClass, record.KindObject: mapClass,
	}[v.Kind()]
}
