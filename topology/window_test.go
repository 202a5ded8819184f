package topology

import (
	"strings"
	"testing"
	"time"
)

// windowPlan is the windowed node of a pipeline with a window, and one more line.
func windowPlan(t *testing.T, window, emit string) *Node {
	t.Helper()
	text := `version: 1
name: x
source: {topic: in, schema: {k: string!, pause: duration}}
steps:
  - key_by: k
  - window: ` + window + `
  - aggregate: {n: count()}
` + emit + `
sink: {blackhole: {}}
`
	_, plan, found := Validate("x.yaml", []byte(text), Options{})
	for _, d := range found {
		t.Fatalf("%s: %d:%d: %s", window, d.Line, d.Col, d.Message)
	}
	return plan.Stateful[0]
}

// TestWindowFingerprints: state made with one window is not read with another,
// and what only decides when results are given may change.
func TestWindowFingerprints(t *testing.T) {
	different := []string{
		"{tumbling: 1d}", "{tumbling: 2d}", "{tumbling: {size: 1d, offset: 1h}}", "{tumbling: 1d, timezone: Europe/Berlin}",
		"{tumbling: 1d, timezone: Asia/Tokyo}", "{tumbling: 1d, time: processing}", "{sliding: {size: 1d, slide: 1h}}",
		"{session: 1d}", "{session: 2d}", "{session: {gap: 1d, max: 3d}}", "{session: {gap_by: pause}}", "{session: {gap_by: pause, max: 3d}}",
		"{session: {gap_by: 'pause + pause'}}", "{session: 1d, time: processing}", "{count: 10}", "{count: 86400000}", "{count: {size: 10, slide: 5}}",
	}
	seen := map[string]string{}
	for _, w := range different {
		f := windowPlan(t, w, "").State.Finger
		if other, twice := seen[f]; twice {
			t.Errorf("%s and %s have one fingerprint, %s", other, w, f)
		}
		seen[f] = w
	}
	for _, same := range [][2]string{
		{"{session: 1d}", "{session: {gap: 24h}, allowed_lateness: 1m}"},
		{"{tumbling: 1d}", "{tumbling: 24h, allowed_lateness: 1m}"},
		{"{count: 10}", "{count: {size: 10, slide: 10}}"},
	} {
		if a, b := windowPlan(t, same[0], "").State.Finger, windowPlan(t, same[1], "    emit: update").State.Finger; a != b {
			t.Errorf("%s: %s\n%s: %s", same[0], a, same[1], b)
		}
	}
}

// TestWindowTexts: what the plan and the graph say of a window.
func TestWindowTexts(t *testing.T) {
	for window, want := range map[string]string{
		"{session: {gap: 30m, max: 8h}, allowed_lateness: 1m}": "window session gap 30m max 8h, lateness 1m, aggregate",
		"{session: {gap_by: pause}}":                           "window session gap_by pause, lateness 0, aggregate",
		"{count: {size: 10, slide: 5}}":                        "window count 10/5, aggregate",
		"{tumbling: 1h, timezone: Asia/Kolkata}":               "window 1h/1h +0 Asia/Kolkata, lateness 0, aggregate",
		"{tumbling: 10s, time: processing}":                    "window 10s/10s +0, by the clock, aggregate",
	} {
		if got := windowPlan(t, window, "").summary(); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", window, got, want)
		}
	}
}

// TestZonesExist: what is suggested works.
func TestZonesExist(t *testing.T) {
	zones := strings.Fields(zoneNames)
	if len(zones) < 400 {
		t.Fatalf("only %d zones", len(zones))
	}
	for _, z := range zones {
		if _, err := location(z); err != nil {
			t.Error(err)
		}
	}
	if l, err := location("Local"); err == nil {
		t.Errorf("the zone of the machine is %v", l)
	}
	if l, err := location("Europe/Berlin"); err != nil || l == time.UTC {
		t.Error(err)
	}
}
