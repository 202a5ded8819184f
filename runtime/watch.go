package runtime

import (
	"fmt"
	"time"
)

// stallAfter is how long a step of a commit may take before it is worth a line,
// and stallEvery how often it is told again.
const (
	stallAfter = 5 * time.Second
	stallEvery = 10 * time.Second
)

// watch tells of commits that wait for Kafka, and that they go on. The
// coordinator cannot: it is what waits.
func (j *Job) watch(stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	var stalled *waitingFor
	var told time.Time
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		w := j.waiting.Load()
		if stalled != nil && w != stalled {
			text := fmt.Sprintf("checkpoint %d went on after %s", stalled.epoch, time.Since(stalled.since).Round(time.Second))
			j.log.Info(text)
			j.tell("continued", text, time.Since(stalled.since))
			stalled = nil
		}
		if w == nil || time.Since(w.since) < stallAfter || stalled == w && time.Since(told) < stallEvery {
			continue
		}
		stalled, told = w, time.Now()
		text := fmt.Sprintf("stalled: checkpoint %d waits for Kafka (%s) since %s; processing goes on when it answers",
			w.epoch, w.step, time.Since(w.since).Round(time.Second))
		j.log.Warn(text)
		j.tell("stalled", text, time.Since(w.since))
	}
}
