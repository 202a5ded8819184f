package runtime

import "time"

// rateLimit is how many records a source task may take in per second. What was
// not used is lost but for a tenth of a second, so that the rate holds over any
// second. A nil one limits nothing.
type rateLimit struct {
	perSecond float64
	allowed   float64
	at        time.Time
}

// rateSpan is what may be saved up.
const rateSpan = 100 * time.Millisecond

func newRateLimit(perSecond float64, now time.Time) *rateLimit {
	if perSecond <= 0 {
		return nil
	}
	return &rateLimit{perSecond: perSecond, at: now}
}

// hold is how long to wait for the next record, 0 if one may be taken.
func (r *rateLimit) hold(now time.Time) time.Duration {
	if r == nil {
		return 0
	}
	if passed := now.Sub(r.at); passed > 0 {
		r.allowed = min(r.allowed+passed.Seconds()*r.perSecond, max(1, rateSpan.Seconds()*r.perSecond))
		r.at = now
	}
	if r.allowed >= 1 {
		return 0
	}
	return max(time.Millisecond, time.Duration((1-r.allowed)/r.perSecond*float64(time.Second)))
}

// most cuts a number of records down to what may be taken.
func (r *rateLimit) most(n int) int {
	if r == nil {
		return n
	}
	return min(n, max(1, int(r.allowed)))
}

func (r *rateLimit) take(n int) {
	if r != nil {
		r.allowed -= float64(n)
	}
}

// keepActive says of partitions that may have records that wait for the rate
// limit that they are not idle: the watermark must not go past them.
func (t *sourceTask) keepActive() {
	if t.limit == nil || !t.work.left {
		return
	}
	now := t.life.job.now()
	for i, p := range t.parts {
		if p.lag.Load() > 0 || p.fetchedAt.Load() == 0 || t.work.input == i {
			t.marks.Active(i, now)
		}
	}
}
