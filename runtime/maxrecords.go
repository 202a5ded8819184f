package runtime

import (
	"sync/atomic"

	"kstream/checkpoint"
)

// limited counts what --max-records counts: each record once, however often a
// restart has it read again. It is the coordinator's but for taken.
type limited struct {
	taken     atomic.Int64 // committed, and what this life has taken in since
	committed int64
	// of the last record written, whose outcome may be unknown
	epoch checkpoint.Epoch
	total int64
}

// countEpoch notes how many records are taken in once the epoch is committed.
func (l *life) countEpoch(n checkpoint.Epoch) {
	c := &l.job.limited
	c.epoch, c.total = n, l.taken0
	for t, f := range l.collected {
		if t != nil && t.chain.Source != nil {
			c.total += f.taken
		}
	}
}

// countCommitted notes that the epoch whose record was written last is committed.
func (j *Job) countCommitted(n checkpoint.Epoch) {
	if c := &j.limited; n > 0 && n == c.epoch {
		c.committed = c.total
	}
}

// resumeCount begins to count where the restored epoch ended.
func (l *life) resumeCount() {
	n := checkpoint.Epoch(0)
	if l.restored != nil {
		n = l.restored.Epoch
	}
	l.job.countCommitted(n)
	l.taken0 = l.job.limited.committed
	l.job.limited.taken.Store(l.taken0)
	l.job.admitted.Store(l.taken0)
}
