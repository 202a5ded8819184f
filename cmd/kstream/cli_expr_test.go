package main

import (
	"strings"
	"testing"
)

func TestExpr(t *testing.T) {
	u := newUser(t)
	u.do(0, "expr", "1_000 * 3").prints("3000\n").says("type: int")
	c := u.do(0, "expr", `amount > 100 and lower(city) == "paris"`, "--record", `{"amount": 120, "city": "Paris"}`, "--record", `{"amount": 7}`)
	if c.stdout.String() != "true\nfalse\n" {
		t.Errorf("printed %q", c.stdout.String())
	}
	c.says("type: bool")
	u.do(0, "expr", `date_trunc("hour", at)`, "--schema", "{at: timestamp!}", "--record", `{"at": "2026-11-02T10:16:35Z"}`).
		prints(`"2026-11-02T10:00:00Z"`).says("type: timestamp")
	u.do(0, "expr", `price * 2`, "--schema", "{price: decimal(2)}", "--record", `{"price": "1.25"}`).prints("2.50").says("type: decimal(2)")
	u.do(0, "expr", `format("{} {}", $key, $ts)`, "--record", "{}", "--key", "k", "--ts", "2026-11-02T10:16:35Z").prints("k 2026-11-02T10:16:35Z")
	u.do(0, "expr", `[$key, id]`, "--record", "{}").prints("[null,null]")
	u.do(0, "expr", `$value`, "--record", `{"b": 1.50,  "a": null}`).prints(`{"b": 1.50,  "a": null}`) // as it was read
	u.do(0, "expr", `map(tags, upper(#))`, "-q", "--schema", "schema.yaml", "--in", u.file("in.jsonl", `{"tags":["a","b"]}`+"\n\n"+`{"tags":[]}`),
		"--schema", u.file("schema.yaml", "id: string\ntags: [string]\n")).prints("[\"A\",\"B\"]\n[]\n")
}

func TestExprReadsStandardInput(t *testing.T) {
	u := newUser(t)
	c := u.start(strings.NewReader("one 1\ntwo 2\n\n"), "expr", "upper($value)", "--format", "string")
	c.exits(0)
	if got := c.stdout.String(); got != "\"ONE 1\"\n\"TWO 2\"\n\"\"\n" {
		t.Errorf("printed %q", got)
	}
	c = u.start(strings.NewReader(`{"n":1}`+"\n"+`{"n":2}`+"\n"), "expr", "n + 1", "--in", "-", "-o", "json")
	c.exits(0)
	got := objects(t, c.stdout.String())
	if len(got) != 2 || got[1]["kind"] != "ExprResult" || got[1]["record"] != 2.0 || got[1]["value"] != 3.0 || got[1]["type"] != "any" {
		t.Errorf("printed %v", got)
	}
}

// TestExprFails: a mistake in the expression is shown where it is, and a record
// that fails does not keep the others from being evaluated.
func TestExprFails(t *testing.T) {
	u := newUser(t)
	u.do(3, "expr", "upper(city\n + amout.x)", "--schema", "{amount: int, city: string}").
		says("expression:2:4: error[unknown-name]: there is no field \"amout\"\n   2 |  + amout.x)\n     |    ^^^^^ did you mean \"amount\"?")
	u.do(3, "expr", "amount >").says("expression:1:9: error[bad-expression]")
	u.do(3, "expr", "s + 1", "--schema", "{s: string}").says("error[type-mismatch]")
	u.do(3, "expr", "at", "--schema", "{id: string,\n at: timstamp}").
		says("--schema:2:6: error[unknown-type]: there is no type \"timstamp\"\n   2 |  at: timstamp}\n     |      ^^^^^^^^ did you mean \"timestamp\"?")
	u.do(3, "expr", "$window.start").says("write $window.start or $window.end behind a window")
	u.do(3, "expr", "a", "--format", "string").says("there is no field \"a\"")

	c := u.do(1, "expr", "10 / n", "--record", `{"n":0}`, "--record", `{"n":4}`, "--record", `{"n":`)
	c.prints("2.5").says("record 1: [eval-failed] division by zero", "record 3: [decode-failed] invalid JSON", "it failed for 2 of 3 records")
	u.do(1, "expr", "1 / 0").says("[eval-failed] division by zero")
	got := objects(t, u.do(1, "expr", "id", "--schema", "{id: string!}", "--record", "{}", "-o", "json").stdout.String())
	if bad, _ := got[0]["error"].(map[string]any); len(got) != 1 || bad["code"] != "decode-failed" || got[0]["value"] != nil {
		t.Errorf("printed %v", got)
	}

	u.do(2, "expr", "a", "--schema", "nowhere.yaml").says("neither a schema nor a file")
	u.do(2, "expr", "a", "--ts", "yesterday").says("--ts yesterday is not a time", "2026-11-02T10:16:35Z")
	u.do(2, "expr", "a", "--format", "avro").says("not one of json, string, bytes")
	u.do(2, "expr", "a", "--in", "x", "--record", "{}").says("exclude each other")
	u.do(2, "expr")
	u.do(5, "expr", "a", "--in", "nowhere.jsonl").says("no such file")
}
