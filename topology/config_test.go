package topology

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// TestReferenceIsCurrent holds docs/reference.md to the field table.
func TestReferenceIsCurrent(t *testing.T) {
	golden(t, "../docs/reference.md", Reference())
}

func TestSchemaIsCurrent(t *testing.T) {
	golden(t, "testdata/pipeline.schema.json", Schema())
}

// TestSchemaNamesEveryField: the editor schema is JSON, its references lead
// somewhere, and every field of the table is in it.
func TestSchemaNamesEveryField(t *testing.T) {
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	defs := root["$defs"].(map[string]any)
	var visit func(v any)
	visit = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if to, ok := v["$ref"].(string); ok && defs[strings.TrimPrefix(to, "#/$defs/")] == nil {
				t.Errorf("%s leads nowhere", to)
			}
			for _, m := range v {
				visit(m)
			}
		case []any:
			for _, m := range v {
				visit(m)
			}
		}
	}
	visit(root)
	for _, o := range allObjects() {
		def := defs[o.name]
		if o == pipelineFields {
			def = root
		}
		if def == nil {
			continue // nothing of it is built
		}
		properties := def.(map[string]any)["properties"].(map[string]any)
		for i := range o.fields {
			if properties[o.fields[i].name] == nil {
				t.Errorf("%s.%s is not in the schema", o.name, o.fields[i].name)
			}
		}
	}
}

// allObjects walks the field table.
func allObjects() []*object {
	var out []*object
	seen := map[*object]bool{}
	var visit func(o *object)
	var shapes func(s *shape)
	shapes = func(s *shape) {
		if s == nil {
			return
		}
		shapes(s.list)
		shapes(s.dict)
		if s.form == formSteps {
			visit(stepFields)
		}
		if s.object != nil {
			visit(s.object)
		}
	}
	visit = func(o *object) {
		if seen[o] {
			return
		}
		seen[o] = true
		out = append(out, o)
		for i := range o.fields {
			shapes(o.fields[i].shape)
		}
	}
	visit(pipelineFields)
	return out
}

// TestFieldTable: every built field has a shape and a sentence, every example
// is YAML that its own loader accepts or refuses for other reasons only, and
// names are unique.
func TestFieldTable(t *testing.T) {
	objects := allObjects()
	if len(objects) < 25 {
		t.Fatalf("the table has %d objects", len(objects))
	}
	names := map[string]bool{}
	for _, o := range objects {
		if names[o.name] {
			t.Errorf("two objects are named %s", o.name)
		}
		names[o.name] = true
		fields := map[string]bool{}
		for i := range o.fields {
			f := &o.fields[i]
			if fields[f.name] {
				t.Errorf("%s.%s is in the table twice", o.name, f.name)
			}
			fields[f.name] = true
			if f.status == built && (f.shape == nil || !strings.HasSuffix(f.doc, ".")) {
				t.Errorf("%s.%s needs a shape and a sentence", o.name, f.name)
			}
			if f.required && f.def != "" || f.def != "" && f.defDoc != "" {
				t.Errorf("%s.%s says two things about its default", o.name, f.name)
			}
			for _, v := range f.only {
				if w := o.field(v); w == nil || !w.variant {
					t.Errorf("%s.%s goes with %s, which is no variant", o.name, f.name, v)
				}
			}
		}
	}
}

func TestConfigText(t *testing.T) {
	file := "testdata/good/everything.yaml"
	env := Options{
		Env:      func(name string) (string, bool) { return map[string]string{"WHO": "me"}[name], name == "WHO" },
		ReadFile: testFiles,
	}
	spec, ds := Load(file, read(t, file), env)
	if len(ds) > 0 {
		t.Fatal(RenderText(ds, spec.Lines))
	}
	golden(t, "testdata/config.yaml", ConfigText(spec, AsWritten))
	golden(t, "testdata/config.defaults.yaml", ConfigText(spec, WithDefaults))
	golden(t, "testdata/config.json", ConfigJSON(spec, AsWritten))
}

// TestConfigTextMeansTheSame: what is printed is accepted again and yields the
// same Spec, and printing that gives the same text.
func TestConfigTextMeansTheSame(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("found %d files, err %v", len(files), err)
	}
	for _, file := range files {
		for _, d := range []Detail{AsWritten, WithDefaults} {
			spec, ds := Load(file, read(t, file), testOptions())
			if len(ds) > 0 {
				t.Fatal(RenderText(ds, spec.Lines))
			}
			text := ConfigText(spec, d)
			again, ds := Load(file, text, testOptions())
			if len(ds) > 0 {
				t.Errorf("%s: the printed configuration is refused:\n%s", file, RenderText(ds, again.Lines))
				continue
			}
			if again.Kafka.SASL != nil {
				again.Kafka.SASL.Password = spec.Kafka.SASL.Password // masked
			}
			if a, b := withoutPlaces(spec), withoutPlaces(again); a != b {
				t.Errorf("%s: another Spec: %s", file, firstDifference(a, b))
			}
			if second := ConfigText(again, d); string(second) != string(text) {
				t.Errorf("%s: printed differently the second time", file)
			}
		}
	}
}

func firstDifference(a, b string) string {
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-80)
	return a[from:min(len(a), i+80)] + "\n  and " + b[from:min(len(b), i+80)]
}

// withoutPlaces is a Spec as text, without what depends on the layout of the
// file.
func withoutPlaces(s *Spec) string {
	var b strings.Builder
	var write func(v reflect.Value)
	write = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() {
				b.WriteString("nil ")
				return
			}
			if e, ok := v.Interface().(*Expr); ok && e.Tree != nil {
				b.WriteString(e.Tree.Normal() + " ")
				return
			}
			write(v.Elem())
		case reflect.Struct:
			if v.Type() == reflect.TypeFor[Span]() {
				return
			}
			for i := range v.NumField() {
				f := v.Type().Field(i)
				switch f.Name {
				case "File", "Lines", "Quoted", "At", "Path", "Text":
					continue
				}
				if f.IsExported() {
					b.WriteString(f.Name + ":")
					write(v.Field(i))
				}
			}
		case reflect.Slice:
			for i := range v.Len() {
				write(v.Index(i))
			}
		default:
			b.WriteString(strings.ReplaceAll(jsonText(v.Interface()), "\n", " ") + " ")
		}
	}
	write(reflect.ValueOf(s))
	return b.String()
}

func jsonText(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(out)
}
