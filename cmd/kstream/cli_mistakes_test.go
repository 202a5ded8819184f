package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUsageHint says after wrong usage how the command is called.
func TestUsageHint(t *testing.T) {
	u := newUser(t)
	for _, c := range []struct{ args, says string }{
		{"run", "usage: kstream run FILE [flags]; kstream run -h says more"},
		{"stop x --nonsense", "usage: kstream stop NAME [flags]"},
		{"savepoint show", "usage: kstream savepoint show PATH [flags]"},
		{"frobnicate", "kstream help shows the commands"},
		{"help frobnicate", `there is no command "frobnicate"`},
		{"status x --api localhost:1", "--api localhost:1 is no URL"},
		{"status x --api nowhere", "write http://HOST:PORT or unix:PATH"},
	} {
		u.do(exitUsage, strings.Fields(c.args)...).says(c.says)
	}
	u.do(exitEnvironment, "run", "none.yaml").says("open none.yaml", "name a pipeline file")
	u.do(0, "help", "checkpoint", "ls").prints("kstream checkpoint ls NAME")
}

// TestHelpIsText has nothing in the help that is not for a person's eyes, and
// restore does not offer what it refuses.
func TestHelpIsText(t *testing.T) {
	u := newUser(t)
	for _, c := range rootCommand().Commands() {
		out := u.do(0, c.Name(), "--help").stdout.String()
		if i := strings.IndexFunc(out, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }); i >= 0 {
			t.Errorf("the help of %s has the byte %q at %d", c.Name(), out[i], i)
		}
	}
	u.do(0, "stop", "--help").prints("--savepoint=PATH")
	u.do(0, "run", "--help").prints("rekeyed")
	if out := u.do(0, "restore", "--help").stdout.String(); strings.Contains(out, "none: begin anew") {
		t.Errorf("restore offers --from none:\n%s", out)
	}
}

// TestNoSavepointThere is 7 wherever the path leads to no savepoint, and nothing
// that is none is removed.
func TestNoSavepointThere(t *testing.T) {
	u := newUser(t)
	u.file("p.yaml", copyYAML)
	dir := u.path("plain")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	u.file(filepath.Join("plain", "x"), "mine")
	for _, args := range []string{"savepoint show plain", "savepoint verify plain", "savepoint rm plain -y", "plan p.yaml --from plain"} {
		u.do(exitMissing, strings.Fields(args)...).says("there is no savepoint at plain", "manifest.json", "kstream savepoint ls DIR")
	}
	if _, err := os.Stat(filepath.Join(dir, "x")); err != nil {
		t.Errorf("the directory is not as it was: %v", err)
	}
	u.do(exitMissing, "savepoint", "ls", "none").says("there is no directory none")
	u.do(0, "savepoint", "ls").prints("PATH")
}

// TestJSONOfAnEarlyEnd has a JobResult also where the job never began.
func TestJSONOfAnEarlyEnd(t *testing.T) {
	u := newUser(t)
	u.file("p.yaml", copyYAML)
	c := u.do(exitMissing, "run", "p.yaml", "--embedded", "--from", "none/there", "-o", "json")
	var r struct {
		Kind       string
		Version    int
		Exit       int
		Text, Hint string
	}
	lines := strings.Split(strings.TrimSpace(c.stderr.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil || r.Kind != "JobResult" || r.Version != 1 || r.Exit != exitMissing {
		t.Errorf("%+v, %v of %q", r, err, lines)
	}
}
