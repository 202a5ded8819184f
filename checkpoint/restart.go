package checkpoint

import "time"

// RestartStrategy holds the settings of a restart strategy. Kind: none,
// exponential, fixed_delay, failure_rate; a negative Attempts or MaxFailures is
// unlimited. Its fields are those of topology.RestartSpec, which converts to it.
type RestartStrategy struct {
	Kind                     string
	Initial, Max, ResetAfter time.Duration
	Multiplier, Jitter       float64
	Attempts                 int
	Delay                    time.Duration
	MaxFailures              int
	Per                      time.Duration
}

// Restarts is the RestartPolicy of a job: it decides whether and when a failed
// instance starts again. It has no clock: the caller passes the time of a
// monotonic one, from any origin. It is owned by one goroutine.
//
//	none          never
//	exponential   Initial, then Multiplier times the delay before, at most Max,
//	              each spread by ±Jitter; begins anew once epochs were committed
//	              over a span of ResetAfter without a failure in between
//	fixed_delay   Delay, Attempts times in the life of the process
//	failure_rate  Delay, unless more than MaxFailures failures lie within Per
type Restarts struct {
	strategy RestartStrategy
	random   func() float64 // uniform in [0, 1)

	failures  int           // since the beginning or the last reset
	delay     time.Duration // the next one of exponential, before the jitter
	recent    []time.Duration
	committed bool          // an epoch was committed since the last failure …
	since     time.Duration // … first at this time
}

// NewRestarts begins with no failure seen. random gives the jitter.
func NewRestarts(strategy RestartStrategy, random func() float64) *Restarts {
	return &Restarts{strategy: strategy, random: random, delay: strategy.Initial}
}

// Failed takes note of a failure at now. If again is true the instance starts
// once more after delay; otherwise the process ends.
func (r *Restarts) Failed(now time.Duration) (delay time.Duration, again bool) {
	r.failures++
	r.committed = false
	switch r.strategy.Kind {
	case "exponential":
		return r.exponential()
	case "fixed_delay":
		return r.strategy.Delay, r.allows(r.strategy.Attempts)
	case "failure_rate":
		return r.strategy.Delay, r.rateHolds(now)
	}
	return 0, false
}

// Committed takes note of an epoch committed at now. A failure after a quiet
// time is the first of its kind, not the last of a series.
func (r *Restarts) Committed(now time.Duration) {
	if !r.committed {
		r.committed, r.since = true, now
	}
	if r.strategy.Kind == "exponential" && now-r.since >= r.strategy.ResetAfter {
		r.failures, r.delay = 0, r.strategy.Initial
	}
}

// Failures is how many failures count towards the limit of attempts.
func (r *Restarts) Failures() int { return r.failures }

func (r *Restarts) allows(attempts int) bool { return attempts < 0 || r.failures <= attempts }

func (r *Restarts) exponential() (time.Duration, bool) {
	base := min(r.delay, r.strategy.Max)
	r.delay = r.strategy.Max
	// The comparison is made in floating point: a product that does not fit
	// into a Duration must not come out negative.
	if next := float64(base) * r.strategy.Multiplier; next < float64(r.strategy.Max) {
		r.delay = time.Duration(next)
	}
	spread := float64(base) * r.strategy.Jitter * (2*r.random() - 1)
	delay := min(max(base+time.Duration(spread), 0), r.strategy.Max)
	return delay, r.allows(r.strategy.Attempts)
}

// rateHolds keeps the failures of the last Per, of which it needs no more than
// one above the limit.
func (r *Restarts) rateHolds(now time.Duration) bool {
	if r.strategy.MaxFailures < 0 {
		return true
	}
	keep := 0
	for keep < len(r.recent) && now-r.recent[keep] >= r.strategy.Per {
		keep++
	}
	r.recent = append(r.recent[keep:], now)
	return len(r.recent) <= r.strategy.MaxFailures
}
