package topology

import "strings"

// The patterns of the editor schema. A value may always be a variable.
const (
	patternVariable  = `\$\{.+\}`
	patternDuration  = `(\d+(\.\d+)?(ns|us|ms|s|m|h|d|w))+|0`
	patternSize      = `\d+ ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)`
	patternRate      = `\d+/(s|m|h)`
	patternName      = `[a-z][a-z0-9_]{0,62}`
	patternField     = `[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*`
	patternTopic     = `[A-Za-z0-9._-]{1,249}`
	patternUID       = `[A-Za-z0-9_.:/-]{1,128}`
	patternJob       = `[a-z0-9][a-z0-9-]{0,62}`
	patternTypeName  = `[A-Za-z_][A-Za-z0-9_]*`
	expressionLength = 16 << 10
)

type jsonObject = map[string]any

// Schema is the JSON Schema of a pipeline file, for editors. x-expr marks text
// that holds an expression.
func Schema() []byte {
	b := &schemaBuilder{defs: jsonObject{}}
	root := b.object(pipelineFields)
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "urn:kstream:schema:pipeline:v1"
	root["title"] = "kstream pipeline v1"
	root["patternProperties"] = jsonObject{"^x-": jsonObject{}}
	root["oneOf"] = []any{
		jsonObject{"title": "short form", "required": []string{"source", "sink"}, "not": anyRequired("sources", "streams", "sinks")},
		jsonObject{"title": "long form", "required": []string{"sources", "sinks"}, "not": anyRequired("source", "steps", "sink")},
	}
	b.common()
	root["$defs"] = b.defs
	return marshal(root)
}

func anyRequired(names ...string) jsonObject {
	var out []any
	for _, n := range names {
		out = append(out, jsonObject{"required": []string{n}})
	}
	return jsonObject{"anyOf": out}
}

// schemaBuilder makes one definition for every object of the field table.
type schemaBuilder struct {
	defs jsonObject
}

func ref(name string) jsonObject { return jsonObject{"$ref": "#/$defs/" + name} }

// common adds the definitions of the forms.
func (b *schemaBuilder) common() {
	text := func(kind string) jsonObject {
		return jsonObject{"type": "string", "minLength": 1, "maxLength": expressionLength, "x-expr": kind}
	}
	constant := jsonObject{"type": "object", "properties": jsonObject{"const": jsonObject{}}, "required": []string{"const"}, "additionalProperties": false}
	scalar := func(kind string) []any {
		return []any{text(kind), jsonObject{"type": []string{"number", "boolean"}}, constant}
	}
	fields := func(of jsonObject) jsonObject {
		return jsonObject{"type": "object", "propertyNames": jsonObject{"pattern": "^(" + patternField + ")$"},
			"additionalProperties": of, "minProperties": 1, "not": jsonObject{"required": []string{"const"}}}
	}
	b.defs["expr"] = jsonObject{"anyOf": scalar("expr")}
	b.defs["aggregate"] = jsonObject{"anyOf": scalar("aggregate")}
	b.defs["value"] = jsonObject{"anyOf": []any{ref("expr"), jsonObject{"type": "array", "items": ref("value")}, fields(ref("value"))}}
	b.defs["fields"] = fields(ref("value"))
	b.defs["terms"] = fields(ref("aggregate"))
	b.defs["body"] = jsonObject{"anyOf": []any{ref("fields"), ref("expr")}}
	b.defs["keys"] = jsonObject{"anyOf": []any{ref("expr"), jsonObject{"type": "array", "items": text("expr"), "minItems": 1}, fields(ref("expr"))}}
	b.defs["type"] = jsonObject{"anyOf": []any{
		jsonObject{"type": "string", "minLength": 1},
		jsonObject{"type": "array", "items": ref("type"), "minItems": 1, "maxItems": 1},
		jsonObject{"type": "object", "additionalProperties": ref("type"), "minProperties": 1},
	}}
}

func (b *schemaBuilder) object(o *object) jsonObject {
	properties := jsonObject{}
	var required []string
	for i := range o.fields {
		f := &o.fields[i]
		if f.status != built {
			properties[f.name] = jsonObject{"not": jsonObject{}, "description": "not built yet"}
			continue
		}
		p := b.shape(f.shape)
		p["description"] = f.describe()
		if f.def != "" && !strings.HasPrefix(f.def, "{") {
			p["default"] = f.def
		}
		if f.example != "" {
			p["examples"] = []string{f.example}
		}
		properties[f.name] = p
		if f.required && o != sinkFields {
			required = append(required, f.name)
		}
	}
	out := jsonObject{"type": "object", "properties": properties, "additionalProperties": false}
	if o.doc != "" {
		out["description"] = o.doc
	}
	if len(required) > 0 {
		out["required"] = required
	}
	if o.oneOf == choiceOne {
		var each []any
		for _, name := range o.variants(true) {
			each = append(each, jsonObject{"required": []string{name}})
		}
		out["oneOf"] = each
	}
	return out
}

// describe is the field's sentence with what it says about its default.
func (f *field) describe() string {
	switch {
	case f.defDoc != "":
		return f.doc + " Default: " + f.defDoc + "."
	case f.def != "" && f.def != "{}":
		return f.doc + " Default: `" + f.def + "`."
	}
	return f.doc
}

// shape gives a fresh map: the caller adds to it.
func (b *schemaBuilder) shape(s *shape) jsonObject {
	var any []any
	if s.scalar != 0 {
		any = append(any, scalarSchema(s)...)
	}
	if texts := builtWords(s); len(texts) > 0 {
		any = append(any, wordSchema(texts))
	}
	if s.form != formNone {
		any = append(any, b.form(s.form))
	}
	if s.list != nil {
		any = append(any, jsonObject{"type": "array", "items": b.shape(s.list), "minItems": 1})
	}
	if s.dict != nil {
		any = append(any, jsonObject{"type": "object", "additionalProperties": b.shape(s.dict), "minProperties": 1,
			"propertyNames": jsonObject{"pattern": "^" + patternName + "$"}})
	}
	if s.object != nil {
		name := s.object.name
		if _, ok := b.defs[name]; !ok {
			b.defs[name] = jsonObject{} // a step may hold itself
			b.defs[name] = b.object(s.object)
		}
		any = append(any, ref(name))
	}
	if len(any) == 1 {
		return any[0].(jsonObject)
	}
	return jsonObject{"anyOf": any}
}

func builtWords(s *shape) []string {
	var out []string
	for _, w := range s.words {
		if !w.reserved {
			out = append(out, w.text)
		}
	}
	return out
}

// wordSchema accepts true and false as YAML reads them.
func wordSchema(texts []string) jsonObject {
	var values []any
	for _, t := range texts {
		values = append(values, t)
		if t == "true" || t == "false" {
			values = append(values, t == "true")
		}
	}
	return jsonObject{"enum": values}
}

func scalarSchema(s *shape) []any {
	pattern := func(p string) []any {
		return []any{jsonObject{"type": "string", "pattern": "^(" + p + "|" + patternVariable + ")$"}}
	}
	variable := jsonObject{"type": "string", "pattern": "^" + patternVariable + "$"}
	switch s.scalar {
	case kindVersion:
		return []any{jsonObject{"const": 1}}
	case kindBool:
		return []any{jsonObject{"type": "boolean"}, variable}
	case kindInt, kindFloat:
		n := jsonObject{"type": "number", "minimum": s.min}
		if s.scalar == kindInt {
			n["type"] = "integer"
		}
		if s.max > 0 {
			n["maximum"] = s.max
		}
		return []any{n, variable}
	case kindDuration, kindMillis:
		return append(pattern(patternDuration), jsonObject{"const": 0})
	case kindSize:
		return pattern(patternSize)
	case kindRate:
		return pattern(patternRate)
	case kindName:
		return pattern(patternName)
	case kindJobName:
		return pattern(patternJob)
	case kindUID:
		return pattern(patternUID)
	case kindRef:
		return pattern(patternName + `(\.` + patternName + ")?")
	case kindField:
		return pattern(patternField)
	case kindTopic:
		return []any{jsonObject{"type": "string", "pattern": "^(" + patternTopic + "|.*" + patternVariable + ".*)$"}}
	case kindTemplate, kindTopicTemplate:
		return []any{jsonObject{"type": "string", "minLength": 1, "x-expr": "template"}}
	}
	return []any{jsonObject{"type": "string"}}
}

func (b *schemaBuilder) form(f form) jsonObject {
	texts := jsonObject{"type": []string{"string", "number", "boolean"}}
	switch f {
	case formSteps:
		return jsonObject{"type": "array", "items": b.shape(objectOf(stepFields)), "minItems": 1}
	case formExpr:
		return ref("expr")
	case formBody:
		return ref("body")
	case formFields:
		return ref("fields")
	case formTerms:
		return ref("terms")
	case formKeys:
		return ref("keys")
	case formOrder:
		one := jsonObject{"type": []string{"string", "number"}, "x-expr": "order"}
		return jsonObject{"anyOf": []any{one, jsonObject{"type": "array", "items": one, "minItems": 1}}}
	case formHeaders:
		return jsonObject{"type": "object", "additionalProperties": ref("expr")}
	case formRenames:
		field := jsonObject{"type": "string", "pattern": "^(" + patternField + ")$"}
		return jsonObject{"type": "object", "propertyNames": field, "additionalProperties": field, "minProperties": 1}
	case formSchema:
		return ref("type")
	case formSchemas:
		return jsonObject{"type": "object", "propertyNames": jsonObject{"pattern": "^" + patternTypeName + "$"}, "additionalProperties": ref("type")}
	case formOffsets:
		return jsonObject{"type": "object", "propertyNames": jsonObject{"pattern": `^\d+$`}, "additionalProperties": jsonObject{"type": "integer", "minimum": 0}}
	}
	return jsonObject{"type": "object", "additionalProperties": texts}
}
