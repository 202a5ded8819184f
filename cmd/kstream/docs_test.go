package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents are the texts that show users what to type.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../pipelines/*/README.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(found), err)
		}
		all = append(all, found...)
	}
	return all
}

var (
	inline     = regexp.MustCompile("`kstream ([a-z][^`\\n]*)`")
	longFlag   = regexp.MustCompile(`^--([a-z-]+)`)
	quotedText = regexp.MustCompile(`'[^']*'`)
)

// shownCommands are the command lines of a document: in fences, indented by four,
// or between backticks.
func shownCommands(text string) (lines []string) {
	fenced := false
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		for _, m := range inline.FindAllStringSubmatch(line, -1) {
			lines = append(lines, m[1])
		}
		if !fenced && !strings.HasPrefix(line, "    ") {
			continue
		}
		line, _, _ = strings.Cut(line, " #")
		_, line, _ = strings.Cut(" "+line, " kstream ")
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// TestDocumentedCommands: what a document shows to be typed is a command that
// exists, with flags that it has.
func TestDocumentedCommands(t *testing.T) {
	root := rootCommand()
	n := 0
	for _, path := range documents(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range shownCommands(string(text)) {
			n++
			words := strings.Fields(quotedText.ReplaceAllString(line, "x"))
			c, _, err := root.Find(words)
			if err != nil || c == root && !strings.HasPrefix(line, "-") && words[0] != "COMMAND" {
				t.Errorf("%s shows kstream %s: there is no such command", path, line)
				continue
			}
			for _, w := range words {
				f := longFlag.FindStringSubmatch(w)
				if f != nil && f[1] != "help" && c.Flags().Lookup(f[1]) == nil && c.InheritedFlags().Lookup(f[1]) == nil {
					t.Errorf("%s shows kstream %s: %s has no flag --%s", path, line, c.CommandPath(), f[1])
				}
			}
		}
	}
	if n < 30 {
		t.Errorf("only %d commands were found", n)
	}
}
