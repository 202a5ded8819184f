package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// schemaOf is a committed JSON Schema of this directory's testdata.
func schemaOf(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "schema", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// violations checks a value against the part of JSON Schema that the schemas
// use; a word it does not know is a violation too.
func violations(at string, schema map[string]any, v any) (found []string) {
	bad := func(format string, args ...any) { found = append(found, at+": "+fmt.Sprintf(format, args...)) }
	for _, word := range slices.Sorted(maps.Keys(schema)) {
		want := schema[word]
		switch word {
		case "$schema", "title", "properties", "additionalProperties":
		case "const":
			if v != want {
				bad("%v is not %v", v, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				bad("%v is none of %v", v, want)
			}
		case "type":
			if got := jsonType(v); got != want && (got != "integer" || want != "number") {
				bad("%v is not of type %v", v, want)
			}
		case "minimum":
			if f, ok := v.(float64); ok && f < want.(float64) {
				bad("%v is below %v", v, want)
			}
		case "format":
			if s, _ := v.(string); want == "date-time" {
				if _, err := time.Parse(time.RFC3339, s); err != nil {
					bad("%q is no time", s)
				}
			} else {
				bad("format %v is not checked", want)
			}
		case "pattern":
			if s, _ := v.(string); !regexp.MustCompile(want.(string)).MatchString(s) {
				bad("%q does not match %v", s, want)
			}
		case "items":
			list, _ := v.([]any)
			for i, item := range list {
				found = append(found, violations(fmt.Sprintf("%s[%d]", at, i), want.(map[string]any), item)...)
			}
		case "anyOf":
			if !slices.ContainsFunc(want.([]any), func(s any) bool { return len(violations(at, s.(map[string]any), v)) == 0 }) {
				bad("%v is none of the alternatives", v)
			}
		case "required":
			o, _ := v.(map[string]any)
			for _, name := range want.([]any) {
				if _, ok := o[name.(string)]; !ok {
					bad("%s is missing", name)
				}
			}
		default:
			bad("the schema has %q", word)
		}
	}
	return append(found, memberViolations(at, schema, v)...)
}

func memberViolations(at string, schema map[string]any, v any) (found []string) {
	properties, _ := schema["properties"].(map[string]any)
	o, _ := v.(map[string]any)
	for name, member := range o {
		if s, ok := properties[name].(map[string]any); ok {
			found = append(found, violations(at+"."+name, s, member)...)
		} else if schema["additionalProperties"] == false {
			found = append(found, at+": "+name+" is not in the schema")
		}
	}
	return found
}

func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

// answers demands that a command prints objects of its schema.
func (u *user) answers(schema string, code int, args ...string) {
	u.t.Helper()
	c := u.do(code, append(args, "-o", "json")...)
	d := json.NewDecoder(strings.NewReader(c.stdout.String()))
	n := 0
	for d.More() {
		var v any
		if err := d.Decode(&v); err != nil {
			u.t.Fatalf("kstream %s: %v", strings.Join(args, " "), err)
		}
		n++
		for _, text := range violations(schema, schemaOf(u.t, schema), v) {
			u.t.Error(text)
		}
	}
	if n == 0 {
		u.t.Errorf("kstream %s printed nothing", strings.Join(args, " "))
	}
}

// TestJSONOfRunningJob: what programs read of a job has the form of its schema.
func TestJSONOfRunningJob(t *testing.T) {
	u := newCounts(t)
	job := u.start(nil, "run", "p.yaml")
	u.both(nil, nil)
	u.answers("checkpoint-now", 0, "checkpoint", "now", "counts")
	u.answers("ps", 0, "ps")
	u.answers("status", 0, "status", "counts", "--operators")
	u.answers("checkpoint-ls", 0, "checkpoint", "ls", "counts")
	u.answers("savepoint-create", 0, "savepoint", "create", "counts", "--to", "first")
	u.answers("savepoint-ls", 0, "savepoint", "ls", ".")
	u.answers("savepoint-show", 0, "savepoint", "show", "first")
	u.answers("savepoint-verify", 0, "savepoint", "verify", "first")
	u.answers("state-ls", 0, "state", "ls", "counts")
	u.answers("state-row", 0, "state", "scan", "counts", "counts/aggregate")
	u.answers("state-row", 0, "state", "get", "counts", "windows/aggregate", "b")
	u.answers("done", 0, "restart", "counts")
	u.answers("done", 0, "rescale", "counts", "2", "--wait")
	u.answers("status", 0, "status", "counts")
	u.answers("stop", 0, "stop", "counts", "--savepoint=last", "--wait")
	job.exits(0)
	u.answers("ps", 0, "ps")
	u.answers("state-ls", 0, "state", "ls", "--savepoint", "last")
	u.answers("state-row", 0, "state", "export", "last", "windows/aggregate")
	u.answers("plan", 0, "plan", "p.yaml")
	u.file("p.yaml", countsYAML, countsStep, "      - aggregate: {k: $key, n: count(), most: max(n)}\n")
	u.answers("plan", exitState, "plan", "p.yaml", "--from", "last")
}

func TestJSONOfAuthoring(t *testing.T) {
	u := newUser(t)
	u.answers("version", 0, "version")
	u.answers("explain", 0, "explain")
	u.answers("explain", 0, "explain", "bad-duration", "step.window", "fn.lower")
	u.file("good.yaml", "version: 1\nname: x\nsource: {topic: a}\nsink: {topic: b}\n")
	u.file("bad.yaml", "version: 1\nname: x\nsource: {topic: a}\nsteps: [{fliter: a}]\nsink: {topic: b}\n")
	u.file("syntax.yaml", "version: [\n")
	u.answers("validate", exitInvalid, "validate", "good.yaml", "bad.yaml", "syntax.yaml")
	u.answers("expr", 1, "expr", "10 / n", "--record", `{"n":4}`, "--record", `{"n":0}`)
}

// TestSchemasRefuse: the check can fail.
func TestSchemasRefuse(t *testing.T) {
	for _, c := range []struct{ schema, value, want string }{
		{"version", `{"kind":"Version","version":1,"release":"1","commit":"c","language":[1]}`, ""},
		{"version", `{"kind":"Version","version":1,"release":"1","commit":"c"}`, "language is missing"},
		{"version", `{"kind":"Version","version":1,"release":1,"commit":"c","language":[1]}`, "not of type string"},
		{"version", `{"kind":"Version","version":2,"release":"1","commit":"c","language":[1.5]}`, "is not 1"},
		{"version", `{"kind":"Version","version":1,"release":"1","commit":"c","language":[-1]}`, "below 0"},
		{"version", `{"kind":"Version","version":1,"release":"1","commit":"c","language":[1],"more":1}`, "more is not in the schema"},
		{"plan", `{"kind":"Plan","version":1,"name":"x","checkpoint":1,"accepted":true,"changes":[{"uid":"u","mark":"?","text":"","verdict":"asked"}]}`, "none of"},
		{"status", `{"kind":"JobStatus","version":1,"checkpoint":{"last":{"id":1},"failed_1h":0}}`, "none of the alternatives"},
		{"savepoint-verify", `{"kind":"Savepoint","version":1,"created":"yesterday"}`, "no time"},
	} {
		var v any
		if err := json.Unmarshal([]byte(c.value), &v); err != nil {
			t.Fatal(err)
		}
		found := strings.Join(violations(c.schema, schemaOf(t, c.schema), v), "; ")
		if c.want == "" && found != "" || !strings.Contains(found, c.want) {
			t.Errorf("%s of %s: %q, want %q", c.schema, c.value, found, c.want)
		}
	}
}
