package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const filesYAML = `version: 1
name: files
checkpoint: {interval: 50ms}
parallelism: 2
source:
  file: {path: in/*.log}
  format: string
steps:
  - map: {line: $value, file: $topic, number: $partition, at: $offset}
sink:
  file: {path: out/lines.jsonl}
`

// lines are those of all results together, sorted.
func (u *user) results() (lines []string) {
	u.t.Helper()
	paths, err := filepath.Glob(u.path("out/*.jsonl"))
	if err != nil {
		u.t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			u.t.Fatal(err)
		}
		lines = append(lines, strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")...)
	}
	slices.Sort(lines)
	return lines
}

// appends adds text to a file of the user.
func (u *user) appends(name, text string) {
	u.t.Helper()
	if err := os.MkdirAll(filepath.Dir(u.path(name)), 0o700); err != nil {
		u.t.Fatal(err)
	}
	f, err := os.OpenFile(u.path(name), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		u.t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		u.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) noStaged() {
	u.t.Helper()
	left, err := filepath.Glob(u.path("out/.*.staged"))
	if err != nil || len(left) > 0 {
		u.t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestFilesToFiles(t *testing.T) {
	u := newKafkaUser(t)
	u.appends("in/a.log", "one\r\ntwo\n")
	u.appends("in/b.log", "three")
	u.appends("in/other.txt", "no\n")
	u.file("files.yaml", filesYAML)
	u.do(0, "run", "files.yaml")
	want := []string{
		`{"line":"one","file":"in/a.log","number":0,"at":0}`, `{"line":"three","file":"in/b.log","number":1,"at":0}`,
		`{"line":"two","file":"in/a.log","number":0,"at":5}`,
	}
	slices.Sort(want)
	if got := u.results(); !slices.Equal(got, want) {
		t.Errorf("results %q, want %q", got, want)
	}
	u.noStaged()
	// The job has come to its end: another start has nothing to do, whatever came.
	u.appends("in/a.log", "more\n")
	u.appends("in/c.log", "new\n")
	c := u.do(0, "run", "files.yaml")
	if got := u.results(); !slices.Equal(got, want) {
		t.Errorf("results after another start %q", got)
	}
	if !strings.Contains(c.stderr.String(), "came after the first start") {
		t.Error("nothing is said about the new file")
	}
	// A reader that has taken the files away does not disturb a start.
	if err := os.RemoveAll(u.path("out")); err != nil {
		t.Fatal(err)
	}
	u.do(6, "run", "files.yaml")
}

// TestFollowedFilesSurviveKills: lines are appended and the file is rotated while
// the process is killed again and again; every line comes out once.
func TestFollowedFilesSurviveKills(t *testing.T) {
	u := newKafkaUser(t)
	u.file("files.yaml", filesYAML, "in/*.log", "in/x.log, follow: true", "map: {line: $value, file: $topic, number: $partition, at: $offset}", "map: {line: $value}")
	u.appends("in/x.log", "")
	var want []string
	written := func(n int) {
		for range n {
			line := fmt.Sprintf("line %d", len(want))
			u.appends("in/x.log", line+"\n")
			want = append(want, fmt.Sprintf(`{"line":%q}`, line))
		}
	}
	seen := func(c *command) {
		u.until("the lines come out", func() error {
			if c.ended() {
				t.Fatal("it has ended")
			}
			if got := len(u.results()); got < len(want) {
				return fmt.Errorf("%d of %d lines", got, len(want))
			}
			return nil
		})
	}
	for life := range 4 {
		c := u.start(nil, "run", "files.yaml")
		written(20)
		seen(c)
		written(5)
		if life%2 == 0 {
			if err := os.Rename(u.path("in/x.log"), u.path(fmt.Sprintf("in/x.log-%08d", 20260101+life))); err != nil {
				t.Fatal(err)
			}
		}
		written(5)
		if err := c.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-c.done
		written(5)
	}
	c := u.start(nil, "run", "files.yaml")
	seen(c)
	if err := c.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.exits(0)
	got := u.results()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	u.noStaged()
}

func TestFilesThatAreRefused(t *testing.T) {
	u := newKafkaUser(t)
	u.file("files.yaml", filesYAML, "in/*.log", "in/*.log, follow: true")
	c := u.do(5, "run", "files.yaml")
	if !strings.Contains(c.stderr.String(), "no file matches in/*.log of source source") {
		t.Error("no file: another reason is given")
	}
	u.appends("in/a.log", strings.Repeat("a line\n", 100))
	u.do(0, "run", "files.yaml", "--max-records", "100")
	if err := os.WriteFile(u.path("in/a.log"), []byte("a line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = u.do(6, "run", "files.yaml")
	if !strings.Contains(c.stderr.String(), "in/a.log has become shorter") {
		t.Error("a shorter file: another reason is given")
	}
	u.do(0, "run", "files.yaml", "--reset", "source:source", "--max-records", "1")
	if got := len(u.results()); got != 101 {
		t.Errorf("%d results", got)
	}
	// Results of another run are in the way.
	u.file("other.yaml", filesYAML, "name: files", "name: other")
	if b, err := os.ReadDir(u.path("out")); err != nil || len(b) == 0 {
		t.Fatal(b, err)
	}
	u.appends("out/lines-0-1.jsonl", "")
	c = u.do(5, "run", "other.yaml")
	if !strings.Contains(c.stderr.String(), "there is another file of that name") {
		t.Error("a name that is taken: another reason is given")
	}
	u.noStaged()
	u.file("nowhere.yaml", filesYAML, "name: files", "name: nowhere", "out/lines", "none/at/all/lines")
	u.do(5, "run", "nowhere.yaml")
}
