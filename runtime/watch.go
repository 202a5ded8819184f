package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kstream/record"
)

// stallAfter is how long a step of start-up or of a commit may take before it is worth a line,
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
	cluster := &clusterWatch{job: j, inputsAt: time.Now(), featuresAt: time.Now()}
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		cluster.look(time.Now())
		w := j.waiting.Load()
		if stalled != nil && w != stalled {
			text := fmt.Sprintf("%s went on after %s", stalled.what, time.Since(stalled.since).Round(time.Second))
			j.log.Info(text)
			j.tell("continued", text, time.Since(stalled.since))
			stalled = nil
		}
		if w == nil || time.Since(w.since) < stallAfter || stalled == w && time.Since(told) < stallEvery {
			continue
		}
		stalled, told = w, time.Now()
		text := fmt.Sprintf("stalled: %s waits for Kafka (%s) since %s; it goes on when Kafka answers",
			w.what, w.step, time.Since(w.since).Round(time.Second))
		j.log.Warn(text)
		j.tell("stalled", text, time.Since(w.since))
	}
}

// inputsEvery and featuresEvery are how often the cluster is looked at beside
// what reading and writing tell of it.
const (
	pingEvery     = 5 * time.Second
	inputsEvery   = time.Minute
	featuresEvery = time.Hour
	lookTimeout   = 5 * time.Second
)

// clusterWatch looks for what stops a job without an error: a cluster that is
// away while nothing waits for a commit, an open transaction of somebody else on
// an input, and a change of the broker's transaction protocol, which the client
// does not notice (G22).
type clusterWatch struct {
	job                  *Job
	pingAt, away, told   time.Time // of the last ping; since when it fails; last line
	inputsAt, featuresAt time.Time
	stable               map[string]record.Offset // of the last look, where it is behind the end
}

func (c *clusterWatch) look(now time.Time) {
	l := c.running()
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(l.ctx, lookTimeout)
	defer cancel()
	if now.Sub(c.pingAt) >= pingEvery {
		c.pingAt = now
		c.ping(ctx, l, now)
	}
	if !c.away.IsZero() {
		return
	}
	if now.Sub(c.inputsAt) >= inputsEvery {
		c.inputsAt = now
		c.inputs(ctx, l)
	}
	if now.Sub(c.featuresAt) >= featuresEvery {
		c.featuresAt = now
		if b, err := l.client.Topics.Inspect(ctx); err == nil && b.TransactionV2 != l.broker.TransactionV2 {
			l.failed(errors.New("the broker's transaction.version has changed"))
		}
	}
}

// ping tells when the cluster stops answering and when it answers again. A job
// with nothing to commit would not notice.
func (c *clusterWatch) ping(ctx context.Context, l *life, now time.Time) {
	_, err := l.client.Log.Bounds(ctx, c.job.checkpointTopic())
	switch {
	case l.ctx.Err() != nil: // the life ended meanwhile
	case err == nil && !c.away.IsZero():
		text := "Kafka answers again after " + now.Sub(c.away).Round(time.Second).String()
		c.job.log.Info(text)
		c.job.tell("continued", text, now.Sub(c.away))
		c.away = time.Time{}
	case err != nil:
		if c.away.IsZero() {
			c.away = now
		}
		if now.Sub(c.told) < stallEvery {
			return
		}
		c.told = now
		text := fmt.Sprintf("stalled: Kafka does not answer (%v)", err)
		c.job.log.Warn(text)
		c.job.tell("stalled", text, now.Sub(c.away))
	}
}

// running is the life under way, nil while there is none with tasks.
func (c *clusterWatch) running() *life {
	c.job.lifeMu.Lock()
	defer c.job.lifeMu.Unlock()
	if l := c.job.life; l != nil && l.ready {
		return l
	}
	return nil
}

// inputs warns of partitions whose last stable offset has stood still behind
// the end for a whole look: nothing behind it can be read.
func (c *clusterWatch) inputs(ctx context.Context, l *life) {
	now := map[string]record.Offset{}
	for _, s := range c.job.plan.Sources {
		for _, topic := range s.Spec.Topics {
			bounds, err := l.client.Log.Bounds(ctx, topic)
			if err != nil {
				continue // reading tells of it
			}
			for p, b := range bounds {
				id := record.TopicPartition{Topic: topic, Partition: int32(p)}.String()
				if b.Stable >= b.End {
					continue
				}
				now[id] = b.Stable
				if before, ok := c.stable[id]; ok && before == b.Stable {
					_, err := l.client.Log.WaitStable(ctx, topic, time.Second)
					c.job.log.Warn("an open transaction of another producer holds an input back; kafka-transactions.sh can end it",
						"partition", id, "stable", b.Stable, "end", b.End, "found", err)
				}
			}
		}
	}
	c.stable = now
}
