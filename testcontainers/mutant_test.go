package testcontainers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"kstream/testcontainers/broker"
	"kstream/testcontainers/verify"
)

// outputMax is the largest message the copy's topic takes in TestOutputTooLarge.
const outputMax = 100_000

// TestOutputTooLarge makes the broker refuse one output of an epoch: the epoch
// must not be committed without it, however often the job tries.
func TestOutputTooLarge(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		if text := refusedOutput(t, b); text != "" {
			t.Error(text)
		}
	})
}

// TestMutantIgnoresRefusedOutputs switches on the bug that test is there for. A
// bug that survives shows a hole in the suite.
func TestMutantIgnoresRefusedOutputs(t *testing.T) {
	each(t, []string{broker.Kfaked}, broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		text := refusedOutput(t, b, "KSTREAM_MUTANT=B2")
		if text == "" {
			t.Error("mutant B2 survived: a refused output is ignored and nobody noticed")
		}
		t.Logf("caught: %s", text)
	})
}

// refusedOutput runs a job into an output that is too large and says what is
// wrong with what it committed.
func refusedOutput(t *testing.T, b *broker.Broker, env ...string) string {
	t.Helper()
	j := newJob(t, b)
	limit := fmt.Sprint(outputMax)
	answers, err := j.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, j.spec.Copy)
	if err != nil || answers[0].Err != nil {
		t.Fatalf("set max.message.bytes: %v %v", err, answers)
	}
	p := j.start(env...)
	if err := j.in.write(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
	j.advance(p, 1)
	if err := j.in.large(t.Context(), 2*outputMax); err != nil {
		t.Fatal(err)
	}
	j.in.feed(t) // the client may fail what it holds behind the refused record, so more must come
	return j.notBeyond(p, 50)
}

// notBeyond watches until the process ends or time is over; the copy of partition
// 0 must stay a beginning of the input that does not reach record n.
func (j *job) notBeyond(p *process, n int) string {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), 20*time.Second)
	defer cancel()
	text := ""
	_ = broker.Poll(ctx, 4*pollEvery, func(ctx context.Context) error { // text is the result
		ended := p.ended()
		h, err := verify.Read(ctx, j.spec)
		if err != nil {
			return err
		}
		for i, r := range h.Copy[0] {
			if i >= n || r.Value != h.In[0][i].Value {
				text = fmt.Sprintf("record %d of the copy is %.40q: the one before it was refused and left out", i, r.Value.ID)
				return nil
			}
		}
		if ended {
			return nil
		}
		return context.DeadlineExceeded // not yet
	})
	if text == "" && p.ended() && p.cmd.ProcessState.ExitCode() != 1 {
		return fmt.Sprintf("kstream ended with %v, want exit code 1", p.cmd.ProcessState)
	}
	return text
}
