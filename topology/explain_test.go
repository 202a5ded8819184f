package topology

import (
	"slices"
	"strings"
	"testing"
)

// TestCodePages: the wrong file of a page is refused with its code, the right
// one is not refused, and they differ little.
func TestCodePages(t *testing.T) {
	pages := map[string]Page{}
	for _, p := range codePages() {
		if _, twice := pages[p.Topic]; twice {
			t.Errorf("%s has two pages", p.Topic)
		}
		pages[p.Topic] = p
		if p.Text == "" || (p.Wrong == "") != (p.Right == "") {
			t.Errorf("%s: not a whole page", p.Topic)
		}
	}
	for _, code := range catalogue {
		p, ok := pages[code]
		if !ok {
			t.Errorf("%s has no page in codes.txt", code)
			continue
		}
		if p.Wrong == "" && code != "guarantee" && code != "version" {
			t.Errorf("%s has no examples", code)
			continue
		}
		checkCodePage(t, &p)
	}
}

// TestCodesOfRunningJobs: what the command line answers with has a page too.
func TestCodesOfRunningJobs(t *testing.T) {
	for _, code := range []string{"decode-failed", "eval-failed", "check-failed", "encode-failed", "too-large", "unknown-topic", "unreachable",
		"unauthorized", "state-incompatible", "state-missing", "kafka-loss", "guarantee", "version", "missing-ttl"} {
		if found, _ := Find(code); len(found) != 1 || found[0].Kind != "code" || len(found[0].Text) < 80 || found[0].Wrong != "" {
			t.Errorf("%s: %+v", code, found)
		}
	}
}

func checkCodePage(t *testing.T, p *Page) {
	t.Helper()
	if p.Wrong == "" {
		return
	}
	codes := func(text string) []string {
		_, _, found := Validate("example.yaml", []byte(text), Options{ReadFile: noFile})
		var out []string
		for _, d := range found {
			out = append(out, d.Code)
		}
		return out
	}
	if got := codes(p.Wrong); !slices.Contains(got, p.Topic) {
		t.Errorf("the wrong file of %s is answered with %v", p.Topic, got)
	}
	if got := codes(p.Right); len(got) > 0 {
		t.Errorf("the right file of %s is answered with %v", p.Topic, got)
	}
}

// TestPagesCoverTheLanguage: every field, once, and the words people use find
// their page.
func TestPagesCoverTheLanguage(t *testing.T) {
	topics := map[string]bool{}
	for _, p := range Pages() {
		if topics[p.Topic] {
			t.Errorf("%s has two pages", p.Topic)
		}
		topics[p.Topic] = true
		if p.Title == "" || strings.TrimSpace(p.Text) == "" {
			t.Errorf("%s is empty", p.Topic)
		}
	}
	for _, topic := range []string{"pipeline.version", "source.watermark", "step.window", "step.window.allowed_lateness", "sink.topic",
		"source.nexmark.seed", "fn.extract", "aggregate.max_by", "$ts", "bad-duration", "decode-failed", "step.sort"} {
		if want := topic != "step.sort"; topics[topic] != want {
			t.Errorf("%s has a page: %v", topic, !want)
		}
	}
}

func TestFind(t *testing.T) {
	for _, c := range []struct{ word, topics, near string }{
		{"bad-duration", "bad-duration", ""},
		{"step.window", "step.window", ""},
		{"allowed_lateness", "step.window.allowed_lateness", ""},
		{"extract", "fn.extract", ""},
		{"fn.max", "fn.max aggregate.max", ""},
		{"$window.start", "$window.start", ""},
		{"filter", "step.filter fn.filter", ""},
		{"name", "pipeline.name step.name", ""},
		{"fn.max_by", "aggregate.max_by", ""},
		{"UNREACHABLE", "unreachable", ""},
		{"windw", "", "step.window"},
		{"groupBy", "", "step.key_by"},
		{"unconsumed-outptu", "", "unconsumed-output"},
		{"zzzzzzzz", "", ""},
	} {
		found, near := Find(c.word)
		var topics []string
		for _, p := range found {
			topics = append(topics, p.Topic)
		}
		if strings.Join(topics, " ") != c.topics || strings.Join(near, " ") != c.near {
			t.Errorf("%s: found %v, near %v", c.word, topics, near)
		}
	}
}

func TestPageOfACode(t *testing.T) {
	found, _ := Find("bad-duration")
	golden(t, "testdata/page.txt", []byte(found[0].Whole()))
	found, _ = Find("step.window")
	golden(t, "testdata/page-window.txt", []byte(found[0].Whole()))
}
