package checkpoint

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestRestarts runs stories of failures and commits. A line of the input is
// "<time> fail" or "<time> commit"; a failure prints the delay or "end".
func TestRestarts(t *testing.T) {
	datadriven.RunTest(t, "testdata/restarts", func(t *testing.T, d *datadriven.TestData) string {
		s := RestartStrategy{Kind: d.Cmd, Attempts: -1, MaxFailures: -1, Multiplier: 2}
		random := 0.5
		for _, a := range d.CmdArgs {
			v := a.Vals[0]
			switch a.Key {
			case "initial":
				s.Initial = duration(t, v)
			case "max":
				s.Max = duration(t, v)
			case "reset_after":
				s.ResetAfter = duration(t, v)
			case "delay":
				s.Delay = duration(t, v)
			case "per":
				s.Per = duration(t, v)
			case "multiplier":
				scan(t, v, &s.Multiplier)
			case "jitter":
				scan(t, v, &s.Jitter)
			case "random":
				scan(t, v, &random)
			case "attempts":
				scan(t, v, &s.Attempts)
			case "max_failures":
				scan(t, v, &s.MaxFailures)
			default:
				d.Fatalf(t, "unknown setting %s", a.Key)
			}
		}
		return story(t, NewRestarts(s, func() float64 { return random }), d.Input)
	})
}

func story(t *testing.T, r *Restarts, input string) string {
	t.Helper()
	var out strings.Builder
	for _, line := range strings.Split(input, "\n") {
		at, what, _ := strings.Cut(line, " ")
		now := duration(t, at)
		switch what {
		case "commit":
			r.Committed(now)
		case "fail":
			delay, again := r.Failed(now)
			if again {
				fmt.Fprintf(&out, "%s again after %s\n", at, delay)
			} else {
				fmt.Fprintf(&out, "%s end\n", at)
			}
		default:
			t.Fatalf("unknown event %q", line)
		}
	}
	return out.String()
}

func duration(t *testing.T, text string) time.Duration {
	t.Helper()
	v, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func scan(t *testing.T, text string, to any) {
	t.Helper()
	if _, err := fmt.Sscan(text, to); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
}

// TestExponentialBounds: whatever the settings, a delay lies between 0 and max,
// and without jitter none is shorter than the one before.
func TestExponentialBounds(t *testing.T) {
	for _, limit := range []time.Duration{0, 1, time.Second, math.MaxInt64} {
		for _, initial := range []time.Duration{0, 1, time.Second, math.MaxInt64} {
			for _, multiplier := range []float64{1, 1.5, 1e300} {
				for _, jitter := range []float64{0, 0.1, 1} {
					for _, random := range []float64{0, 0.999999} {
						r := NewRestarts(RestartStrategy{Kind: "exponential", Initial: initial, Max: limit, Multiplier: multiplier,
							Jitter: jitter, Attempts: -1}, func() float64 { return random })
						before := time.Duration(0)
						for range 100 {
							delay, again := r.Failed(0)
							if !again || delay < 0 || delay > limit || (jitter == 0 && delay < before) {
								t.Fatalf("initial %v max %v ×%v ±%v: %v after %v", initial, limit, multiplier, jitter, delay, before)
							}
							before = delay
						}
					}
				}
			}
		}
	}
}

// TestRateMemory: a job that fails for ever keeps no more failures than it
// counts.
func TestRateMemory(t *testing.T) {
	r := NewRestarts(RestartStrategy{Kind: "failure_rate", MaxFailures: 3, Per: time.Minute}, nil)
	for i := range 10_000 {
		if _, again := r.Failed(time.Duration(i) * 30 * time.Second); !again {
			t.Fatalf("failure %d ends", i)
		}
	}
	if cap(r.recent) > 64 {
		t.Errorf("%d failures are kept", cap(r.recent))
	}
}
