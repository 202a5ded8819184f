package main

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	u := newUser(t)
	u.do(0, "explain", "unconsumed-output").prints("error[unconsumed-output]", "late: late", "wrong.yaml:", "nothing reads per_minute.late", "right:")
	u.do(0, "explain", "step.window.allowed_lateness").prints("step.window.allowed_lateness", "a duration", "default:  0")
	u.do(0, "explain", "fn.max_by").prints("max_by(value, by)", "Aggregate function", "max_by(id, price)")
	u.do(0, "explain", "filter").prints("step.filter", "filter(list, condition)")
	u.do(0, "explain", "description").prints("description is a word in several places", "kstream explain step.description", "kstream explain sink.description")
	u.do(0, "explain", "$ts", "extract").prints("event time", "extract(s, re[, group])")
	all := u.do(0, "explain").stdout.String()
	for _, word := range []string{"pipeline.version", "step.key_by", "fn.upper", "aggregate.max_by", "$window.start", "type-mismatch", "explain WORD"} {
		if !strings.Contains(all, word) {
			t.Errorf("the list does not have %s", word)
		}
	}
	u.do(2, "explain", "windw").says(`no page about "windw"`, "did you mean step.window?", "kstream explain lists all words")
	u.do(2, "explain", "-o", "yaml", "window").says("not one of text, json")
}

func TestExplainJSON(t *testing.T) {
	u := newUser(t)
	one := objects(t, u.do(0, "explain", "bad-size", "-o", "json").stdout.String())
	if len(one) != 1 || one[0]["kind"] != "ExplainPage" || one[0]["topic"] != "bad-size" || one[0]["type"] != "code" {
		t.Fatalf("%v", one)
	}
	// What a page shows as wrong and right is what the command says of it.
	u.file("wrong.yaml", one[0]["wrong"].(string))
	u.file("right.yaml", one[0]["right"].(string))
	u.do(3, "validate", "wrong.yaml").prints("error[bad-size]")
	u.do(0, "validate", "right.yaml")
	report := objects(t, strings.ReplaceAll(u.do(3, "validate", "wrong.yaml", "-o", "json").stdout.String(), "\n", "")+"\n")
	if text := u.do(3, "validate", "wrong.yaml", "-o", "json").stdout.String(); !strings.Contains(text, `"help": "kstream explain bad-size"`) || len(report) != 1 {
		t.Errorf("the report does not name the page: %s", text)
	}
	if all := objects(t, u.do(0, "explain", "-o", "json").stdout.String()); len(all) < 250 {
		t.Errorf("there are %d pages", len(all))
	}
}
