package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const accessLogDir = "../../pipelines/access-log"

// accessLog is the log of the example: ten thousand real lines.
func accessLog(t *testing.T) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join(accessLogDir, "access.log.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()
}

// request is a line taken apart by hand.
type request struct {
	ip, path      string
	at            time.Time
	status, bytes int64
}

func parseRequest(t *testing.T, line string) request {
	t.Helper()
	var r request
	var err error
	r.ip, _, _ = strings.Cut(line, " ")
	_, rest, _ := strings.Cut(line, "[")
	stamp, rest, _ := strings.Cut(rest, "] \"")
	if r.at, err = time.Parse("02/Jan/2006:15:04:05 -0700", stamp); err != nil {
		t.Fatal(err)
	}
	asked, rest, _ := strings.Cut(rest, "\" ")
	words := strings.Split(asked, " ")
	r.path, _, _ = strings.Cut(words[1], "?")
	numbers := strings.SplitN(rest, " ", 3)
	if r.status, err = strconv.ParseInt(numbers[0], 10, 64); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	if numbers[1] != "-" {
		if r.bytes, err = strconv.ParseInt(numbers[1], 10, 64); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
	}
	return r
}

// sums are what the pipeline says of a group of requests.
type sums struct {
	requests, bytes, errors int64
	clients                 map[string]bool
}

func (s *sums) add(r request) {
	s.requests++
	s.bytes += r.bytes
	if r.status >= 400 {
		s.errors++
	}
	if s.clients == nil {
		s.clients = map[string]bool{}
	}
	s.clients[r.ip] = true
}

func (s *sums) text(clients bool) string {
	share := math.Round(float64(s.errors)/float64(s.requests)*1e4) / 1e4
	text := fmt.Sprintf("%d requests %d bytes %v errors", s.requests, s.bytes, share)
	if clients {
		text += fmt.Sprintf(" %d clients", len(s.clients))
	}
	return text
}

// lines reads the files of a file sink.
func (u *user) lines(pattern string) []map[string]any {
	u.t.Helper()
	files, err := filepath.Glob(u.path(pattern))
	if err != nil || len(files) == 0 {
		u.t.Fatalf("%s: %d files, %v", pattern, len(files), err)
	}
	var all []map[string]any
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			u.t.Fatal(err)
		}
		all = append(all, objects(u.t, string(text))...)
	}
	return all
}

// rows gives the results of a window by their key; a key comes once.
func rows(t *testing.T, all []map[string]any, key func(map[string]any) string, clients bool) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, o := range all {
		text := fmt.Sprintf("%.0f requests %.0f bytes %v errors", o["requests"], o["bytes"], o["error_share"])
		if clients {
			text += fmt.Sprintf(" %.0f clients", o["clients"])
		}
		if _, twice := out[key(o)]; twice {
			t.Errorf("%s has two results", key(o))
		}
		out[key(o)] = text
	}
	return out
}

// TestAccessLog computes what the example says of its log with plain loops.
func TestAccessLog(t *testing.T) {
	u := newUser(t)
	examples, err := filepath.Abs(filepath.Dir(accessLogDir))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(examples, u.path("pipelines")); err != nil { // the user stands at the top of the repository
		t.Fatal(err)
	}
	text := accessLog(t)
	hours, paths, failures, days := map[string]*sums{}, map[string]*sums{}, map[string]int{}, map[string]map[string]*sums{}
	add := func(m map[string]*sums, key string, r request) {
		if m[key] == nil {
			m[key] = &sums{}
		}
		m[key].add(r)
	}
	n := 0
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); n++ {
		r := parseRequest(t, s.Text())
		hour := r.at.UTC().Truncate(time.Hour).Format(time.RFC3339)
		add(hours, hour, r)
		add(paths, hour+" "+r.path, r)
		day := hour[:len("2006-01-02")]
		if days[day] == nil {
			days[day] = map[string]*sums{}
		}
		add(days[day], r.ip, r)
		if r.status >= 500 {
			failures[fmt.Sprint(r.ip, r.path, r.status, r.bytes, r.at.UTC().Format(time.RFC3339))]++
		}
	}
	if n != 10_000 || len(hours) < 80 || len(failures) == 0 {
		t.Fatalf("the log has %d lines, %d hours, %d failures", n, len(hours), len(failures))
	}

	job := u.start(nil, "run", "pipelines/access-log/pipeline.yaml", "--embedded")
	job.exits(0)
	job.says("10000 records in")

	byHour := func(o map[string]any) string { return o["hour"].(string) }
	byPath := func(o map[string]any) string { return o["hour"].(string) + " " + o["path"].(string) }
	equal(t, "hours", rows(t, u.lines("out/hours-*.jsonl"), byHour, true), hours, true)
	checkBusiest(t, u.lines("out/busiest-*.jsonl"), days)
	equal(t, "paths", rows(t, u.lines("out/paths-*.jsonl"), byPath, false), paths, false)
	got := map[string]int{}
	for _, o := range u.lines("out/failures-*.jsonl") {
		got[fmt.Sprint(o["ip"], o["path"], o["status"], o["bytes"], o["at"])]++
	}
	if !maps.Equal(got, failures) {
		t.Errorf("failures: %v, want %v", got, failures)
	}
	left, err := filepath.Glob(u.path("out/.*"))
	left = slices.DeleteFunc(left, func(f string) bool { return strings.HasSuffix(f, ".committed") })
	if err != nil || len(left) > 0 {
		t.Errorf("files are left that no checkpoint shows: %v", left)
	}
}

// checkBusiest compares the lists of a day, in their order, with sorted clients.
func checkBusiest(t *testing.T, all []map[string]any, days map[string]map[string]*sums) {
	t.Helper()
	var want, got []string
	for _, day := range slices.Sorted(maps.Keys(days)) {
		clients := days[day]
		order := slices.SortedFunc(maps.Keys(clients), func(a, b string) int {
			return cmp.Or(cmp.Compare(clients[b].requests, clients[a].requests), cmp.Compare(a, b))
		})
		for i, ip := range order[:5] {
			want = append(want, fmt.Sprintf("%sT00:00:00Z %d %s %d %d", day, i+1, ip, clients[ip].requests, clients[ip].bytes))
		}
	}
	for _, o := range all {
		got = append(got, fmt.Sprintf("%s %.0f %s %.0f %.0f", o["day"], o["rank"], o["ip"], o["requests"], o["bytes"]))
	}
	if !slices.Equal(got, want) {
		t.Errorf("busiest clients:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func equal(t *testing.T, what string, got map[string]string, want map[string]*sums, clients bool) {
	t.Helper()
	wrong := 0
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if w := want[key].text(clients); got[key] != w {
			if wrong++; wrong <= 5 {
				t.Errorf("%s %s: %q, want %q", what, key, got[key], w)
			}
		}
	}
	if len(got) != len(want) || wrong > 0 {
		t.Errorf("%s: %d results, want %d; %d differ", what, len(got), len(want), wrong)
	}
}
