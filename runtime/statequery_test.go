package runtime

import (
	"strings"
	"testing"

	"kstream/codec"
	"kstream/record"
)

// TestStateKeys reads keys as people write them: as text, or as JSON.
func TestStateKeys(t *testing.T) {
	typed := func(k record.TypeKind) record.Type { return record.TypeOf(k) }
	object := typed(record.TypeObject)
	object.Fields = []record.Field{{Name: "region", Type: typed(record.TypeString)}, {Name: "id", Type: typed(record.TypeInt)}}
	must := typed(record.TypeString)
	must.Required = true
	pair := record.ObjectOf(&record.Object{Names: []string{"region", "id"}, Values: []record.Value{record.String("eu"), record.Int(7)}})
	for _, c := range []struct {
		text string
		typ  record.Type
		want []record.Value // nil is refused
	}{
		{"/a", typed(record.TypeString), []record.Value{record.String("/a")}},
		{`"/a"`, must, []record.Value{record.String(`"/a"`), record.String("/a")}},
		{"null", typed(record.TypeString), []record.Value{record.Null, record.String("null")}},
		{"null", must, []record.Value{record.String("null")}},
		{"null", typed(record.TypeNull), []record.Value{record.Null}},
		{"42", typed(record.TypeInt), []record.Value{record.Int(42)}},
		{"many", typed(record.TypeInt), nil},
		{"true", typed(record.TypeBool), []record.Value{record.Bool(true)}},
		{"42", record.Any, []record.Value{record.String("42"), record.Int(42)}},
		{"2026-11-02T10:16:00Z", typed(record.TypeTimestamp), []record.Value{record.TimestampNanos(1793614560000000000)}},
		{"1.50", typed(record.TypeDecimal), []record.Value{record.Decimal(15, 1)}},
		{`{"id":7,"region":"eu"}`, object, []record.Value{pair}},
		{`{"region":"eu","id":7,"more":1}`, object, []record.Value{pair}},
		{`{"region":"eu"}`, object, nil},
		{`{"region":"eu","id":"x"}`, object, nil},
		{"eu", object, nil},
		{"", typed(record.TypeString), []record.Value{record.String("")}},
	} {
		got, err := stateKeys(c.text, c.typ)
		if (err != nil) != (c.want == nil) {
			t.Errorf("%s as %s: %v", c.text, c.typ, err)
			continue
		}
		if err != nil && !strings.Contains(err.Error(), "the key") {
			t.Errorf("%s as %s: %v", c.text, c.typ, err)
		}
		for _, v := range c.want {
			key, err := codec.AppendKey(nil, v)
			if err != nil {
				t.Fatal(err)
			}
			found := false
			for _, k := range got {
				found = found || string(k) == string(key)
			}
			if !found {
				t.Errorf("%s as %s gives %q, %s is not among them", c.text, c.typ, got, record.AppendJSON(nil, v))
			}
		}
		if len(got) > len(c.want) {
			t.Errorf("%s as %s gives %q, more than %d", c.text, c.typ, got, len(c.want))
		}
	}
}
