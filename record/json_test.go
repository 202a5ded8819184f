package record

import (
	"fmt"
	"testing"
)

func TestJSONField(t *testing.T) {
	v := JSON([]byte(`{ "a" : 1, "b\u0062\/" :"x\ty\ud83d\ude00\u00e9" , "c":[1, 2.5 ,"]\\",{}], "d":{"e":null}, "f":-0, "g":3.0, "h":true,"i":9223372036854775808,"j":"plain"}`))
	var a Arena
	for name, want := range map[string]string{
		"a": "int 1", "bb/": "string x\ty😀é", "c": `list [1, 2.5 ,"]\\",{}]`, "d": `object {"e":null}`,
		"f": "int 0", "g": "float 3", "h": "bool 1", "i": "float 9.223372036854776e+18", "j": "string plain",
	} {
		got, ok := JSONField(v, name, &a)
		if s := show(got); !ok || s != want {
			t.Errorf("%s = %s %v, want %s", name, s, ok, want)
		}
	}
	if _, ok := JSONField(v, "b", &a); ok {
		t.Error("found a member that is not there")
	}
	if _, ok := JSONField(Int(1), "b", &a); ok {
		t.Error("found a member of an int")
	}
}

func show(v Value) string {
	switch v.Kind() {
	case KindFloat:
		return fmt.Sprintf("float %v", v.Float())
	case KindString, KindJSON:
		return v.TypeName() + " " + v.Text()
	case KindNull:
		return "null"
	case KindDecimal:
		return fmt.Sprintf("decimal %d/%d", v.Int(), v.Scale())
	}
	return fmt.Sprintf("%s %d", v.TypeName(), v.Int())
}

func TestJSONElemsAndFields(t *testing.T) {
	v := JSON([]byte(`[ {"a":[ ], "b\n":{}} ,"x", null]`))
	elems := JSONElems(v, nil)
	if len(elems) != 3 || show(elems[1]) != "string x" || !elems[2].IsNull() {
		t.Fatalf("elements: %v", elems)
	}
	o := JSONFields(elems[0], nil)
	if len(o.Names) != 2 || o.Names[1] != "b\n" || o.Values[0].TypeName() != "list" || o.Values[1].TypeName() != "object" {
		t.Fatalf("fields: %v", o)
	}
	if JSONElems(elems[0], nil) != nil || JSONFields(v, nil) != nil {
		t.Error("a list is no object and an object no list")
	}
}

func TestJSONDecimals(t *testing.T) {
	v := JSONDecimals([]byte(`{"x":[1,1.50]}`))
	x, _ := JSONField(v, "x", nil)
	elems := JSONElems(x, nil)
	if show(elems[0]) != "int 1" || show(elems[1]) != "decimal 150/2" {
		t.Errorf("got %s, %s", show(elems[0]), show(elems[1]))
	}
}

func TestJSONNavigationAllocatesNothing(t *testing.T) {
	v := JSON([]byte(`{"skipped":{"a":[1,2,"x"]},"name":"bid","price":12345,"rate":1.5,"text":"a\nb"}`))
	var a Arena
	if n := testing.AllocsPerRun(100, func() {
		a.Reset()
		for _, name := range []string{"name", "price", "rate", "text"} {
			if _, ok := JSONField(v, name, &a); !ok {
				t.Fatal(name)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
