package testcontainers

import (
	"context"
	"strings"
	"testing"
	"time"

	"kstream/testcontainers/broker"
	"kstream/testcontainers/verify"
)

// mutants are bugs the harness build can switch on and this level must catch.
func mutants() []string { return []string{"B1", "B6", "B7"} }

// caughtWithin is how long the outputs of a broken build get to become right.
const caughtWithin = 15 * time.Second

// mutantKills is how often a broken build is killed before it is judged.
const mutantKills = 3

// mutantBacklog is several fetches per partition, so that barriers fall between
// records that were read and records that were processed.
const mutantBacklog = 50_000

// TestChaosMutant runs builds with a known bug through the kills: the verdict
// must be bad. A bug that survives shows a hole in the suite.
func TestChaosMutant(t *testing.T) {
	for _, mutant := range mutants() {
		t.Run(mutant, func(t *testing.T) {
			each(t, []string{broker.Kfaked}, broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
				j := newJob(t, b)
				j.in.feed(t)
				for range mutantKills {
					if err := j.in.write(t.Context(), mutantBacklog); err != nil {
						t.Fatal(err)
					}
					if !j.liveAndDie("KSTREAM_MUTANT=" + mutant) {
						return // it noticed by itself
					}
				}
				last := j.start("KSTREAM_MUTANT=" + mutant)
				if text := j.wrong(last); text == "" {
					t.Errorf("mutant %s survived %d kills", mutant, mutantKills)
				} else {
					t.Logf("caught: %s", text)
				}
			})
		})
	}
}

// liveAndDie starts a process and kills it right after its first commit; it
// returns false if the process ended before.
func (j *job) liveAndDie(env string) bool {
	j.t.Helper()
	p := j.startOn(j.state, []string{env}, "--set", "checkpoint.interval=10ms") // barriers in the middle of batches
	ctx, cancel := context.WithTimeout(j.t.Context(), commitWithin)
	defer cancel()
	from, err := j.groupEpoch(ctx)
	if err != nil {
		j.t.Fatal(err)
	}
	for !p.ended() {
		e, err := j.groupEpoch(ctx)
		if err != nil {
			j.t.Fatal(err)
		}
		if e > from {
			p.kill()
			return true
		}
	}
	j.t.Logf("caught: kstream ended with %v\n%s", p.cmd.ProcessState, p.output())
	return false
}

// wrong ends the input and returns what stays wrong with the outputs.
func (j *job) wrong(p *process) string {
	j.t.Helper()
	j.in.pause()
	if err := j.in.close(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(j.t.Context(), caughtWithin)
	defer cancel()
	text := "the verifier never came to an end"
	_ = broker.Poll(ctx, 10*pollEvery, func(ctx context.Context) error { // text says more
		d, err := verify.Run(ctx, j.spec)
		if err != nil || len(d.Problems) == 0 && d.Compared.Records > 0 {
			text = ""
			return err
		}
		text = strings.Join(d.Problems, "\n")
		if p.ended() {
			cancel()
		}
		return context.DeadlineExceeded // until it becomes right or the time is over
	})
	return text
}
