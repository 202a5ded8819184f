package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// nexmarkThousand is the SHA-256 of the first thousand lines, made by other
// programs from the same rules.
const nexmarkThousand = "5b1d6bed7c752f70d6685eadcad051a55d5f0d26270154428162a44d7d6cd0cb"

func TestNexmarkGenerate(t *testing.T) {
	u := newUser(t)
	c := u.do(0, "nexmark", "generate", "--count", "1000")
	sum := sha256.Sum256([]byte(c.stdout.String()))
	if got := hex.EncodeToString(sum[:]); got != nexmarkThousand || c.stderr.String() != "" {
		t.Errorf("SHA-256 of the thousand is %s", got)
	}
	tail := u.do(0, "nexmark", "generate", "--count", "1000", "--from", "990")
	if !strings.HasSuffix(c.stdout.String(), tail.stdout.String()) || strings.Count(tail.stdout.String(), "\n") != 10 {
		t.Errorf("from 990 it prints %s", tail.stdout.String())
	}
	b := u.do(0, "nexmark", "generate", "--count", "50", "--seed", "7", "--rate", "60/m", "--base-time", "2026-01-01T00:00:00Z",
		"--out-of-order", "10", "--escapes", "--person-proportion", "2", "--auction-proportion", "2", "--bid-proportion", "1", "--pace", "max")
	persons, latest := 0, ""
	for _, o := range objects(t, b.stdout.String()) {
		if p, ok := o["person"].(map[string]any); ok {
			persons++
			latest = max(latest, fmt.Sprint(p["dateTime"]))
		}
	}
	if persons != 20 || latest != "2026-01-01 00:00:46.000" {
		t.Errorf("%d persons, the last at %s", persons, latest)
	}
}

// TestNexmarkEnds is a stream without an end, and a user who has seen enough.
func TestNexmarkEnds(t *testing.T) {
	u := newUser(t)
	c := u.start(nil, "nexmark", "generate", "--pace", "event_time", "--rate", "500/s")
	u.until("some events are printed", func() error {
		if n := strings.Count(c.stdout.String(), "\n"); n < 20 {
			return fmt.Errorf("%d of 20", n)
		}
		return nil
	})
	c.stop()
	if !strings.HasSuffix(c.stdout.String(), "}\n") {
		t.Error("it ends within an event")
	}
	objects(t, c.stdout.String())
}

func TestNexmarkToTopic(t *testing.T) {
	u := newKafkaUser(t)
	c := u.do(0, "nexmark", "generate", "--count", "1000", "--topic", "nexmark", "--partitions", "3")
	c.says("1000 events", "topic nexmark", "3 partitions")
	var lines []string
	counts := map[int32]int{}
	for _, r := range u.cluster.read("nexmark") {
		lines = append(lines, string(r.Value))
		counts[r.Partition]++
		if r.Key != nil || len(r.Headers) > 0 || !strings.Contains(string(r.Value), r.Timestamp.UTC().Format("2006-01-02 15:04:05.000")) {
			t.Fatalf("key %q, headers %v, time %s of %s", r.Key, r.Headers, r.Timestamp.UTC().Format(time.RFC3339Nano), r.Value)
		}
	}
	printed := u.do(0, "nexmark", "generate", "--count", "1000").stdout.String()
	want := strings.Split(strings.TrimSuffix(printed, "\n"), "\n")
	slices.Sort(lines)
	slices.Sort(want)
	if !slices.Equal(lines, want) || counts[0] != 400 || counts[1] != 300 || counts[2] != 300 {
		t.Errorf("the topic does not hold the thousand in blocks of 100: %v", counts)
	}
	// A topic that is there keeps its partitions.
	u.do(0, "nexmark", "generate", "--count", "100", "--topic", "nexmark", "--partitions", "8").says("3 partitions")
}

func TestNexmarkRefuses(t *testing.T) {
	u := newKafkaUser(t)
	u.do(2, "nexmark", "generate", "--rate", "5", "--seed", "x").says(
		`--rate: "5" is not a rate`, "add a unit: 5/s", `--seed: "x" is not a whole number`)
	u.do(2, "nexmark", "generate", "--out-of-order", "953").says("--out-of-order: a group of 953 events cannot be mixed")
	u.do(2, "nexmark", "generate", "--partitions", "3").says("go with --topic")
	u.do(5, "nexmark", "generate", "--count", "1", "--topic", "absent").says(`no topic "absent"`, "--partitions 4 makes it")
	u.do(2, "nexmark", "generate", "more").says("more")
	u.do(0, "nexmark").prints("generate")
}

// TestNexmarkSource reads with one pipeline what the source gives another.
func TestNexmarkSource(t *testing.T) {
	const text = `version: 1
name: bids
source: {nexmark: {count: 20000, rate: 1000/s, seed: 42}, watermark: 4s}
steps:
  - filter: bid != nil
  - key_by: bid.channel
  - window: {tumbling: 10s}
  - aggregate: {channel: $key, start: $window.start, n: count(), top: max(bid.price), last: max(bid.dateTime)}
sink: {stdout: {}}
`
	u := newUser(t)
	u.file("source.yaml", text)
	u.file("stdin.yaml", text, "nexmark: {count: 20000, rate: 1000/s, seed: 42}, watermark: 4s",
		`stdin: {}, watermark: 4s, event_time: 'timestamp(bid?.dateTime ?? auction?.dateTime ?? person?.dateTime, "2006-01-02 15:04:05.999")'`)
	events := u.do(0, "nexmark", "generate", "--count", "20000", "--rate", "1000/s", "--seed", "42")
	direct := u.do(0, "run", "source.yaml", "--embedded")
	piped := u.start(strings.NewReader(events.stdout.String()), "run", "stdin.yaml", "--embedded")
	piped.exits(0)
	// The lines hold times as text, with all three digits.
	results := func(c *command) map[string]float64 {
		all := map[string]float64{}
		for _, o := range objects(t, c.stdout.String()) {
			last := strings.TrimRight(strings.TrimRight(o["last"].(string), "0"), ".")
			all[fmt.Sprint(o["channel"], o["start"], o["top"], last)] += o["n"].(float64)
		}
		return all
	}
	bids := 0.0
	for _, n := range results(direct) {
		bids += n
	}
	if a, b := results(direct), results(piped); !maps.Equal(a, b) || bids != 18400 {
		t.Errorf("%d results with %.0f bids of the source, %d of its lines", len(a), bids, len(b))
	}
}
