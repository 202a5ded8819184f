package testcontainers

import (
	"testing"
	"time"

	"kstream/testcontainers/broker"
)

// all are the brokers of the tests that kill nothing.
func all() []string {
	return []string{broker.Kfake, broker.Kfaked, broker.Kafka1, broker.Redpanda}
}

// TestRunAndStop is the run without a fault: what every other test adds faults to.
func TestRunAndStop(t *testing.T) {
	each(t, all(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		if err := j.in.write(t.Context(), 200); err != nil {
			t.Fatal(err)
		}
		p := j.start()
		j.in.feed(t)
		j.advance(p, 5)
		j.finish(p)
	})
}

// TestStopAndGoOn stops in an orderly way and starts again, three times.
func TestStopAndGoOn(t *testing.T) {
	each(t, all(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		for range 3 {
			p := j.start()
			j.advance(p, 3)
			p.stop()
		}
		last := j.start()
		j.advance(last, 2)
		j.finish(last)
	})
}

// own starts a broker for one test, which may do to it what it likes.
func own(t *testing.T, like *broker.Broker) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), like.Name, brokers.options(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// TestBrokerRestarted restarts the broker under a running job: it stalls and
// goes on, in the same process.
func TestBrokerRestarted(t *testing.T) {
	each(t, outside(), broker.Capabilities{Restart: true}, func(t *testing.T, shared *broker.Broker) {
		b := own(t, shared)
		j := newJob(t, b)
		j.in.feed(t)
		p := j.start()
		for range 2 {
			j.advance(p, 3)
			if err := b.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		j.advance(p, 3)
		j.finish(p)
	})
}

// brokerGone is longer than a few requests and shorter than every time-out that
// ends a job.
const brokerGone = 20 * time.Second

// TestBrokerGone takes the broker away for a while: the job says so and goes on
// when it is back.
func TestBrokerGone(t *testing.T) {
	each(t, outside(), broker.Capabilities{Restart: true}, func(t *testing.T, shared *broker.Broker) {
		b := own(t, shared)
		j := newJob(t, b)
		j.in.feed(t)
		p := j.start()
		j.advance(p, 3)
		before := len(p.output())
		if err := b.Stop(); err != nil {
			t.Fatal(err)
		}
		<-time.NewTimer(brokerGone).C
		if p.ended() {
			t.Fatalf("kstream ended with %v while the broker was gone", p.cmd.ProcessState)
		}
		if len(p.output()) == before {
			t.Error("the broker was gone and kstream said nothing")
		}
		if err := b.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		j.advance(p, 3)
		j.finish(p)
	})
}

// TestBrokerFrozen freezes the broker for a few seconds: connections stay open
// and nothing is answered.
func TestBrokerFrozen(t *testing.T) {
	each(t, outside(), broker.Capabilities{Pause: true}, func(t *testing.T, shared *broker.Broker) {
		b := own(t, shared)
		j := newJob(t, b)
		j.in.feed(t)
		p := j.start()
		j.advance(p, 3)
		if err := b.Pause(); err != nil {
			t.Fatal(err)
		}
		<-time.NewTimer(5 * time.Second).C
		if err := b.Resume(); err != nil {
			t.Fatal(err)
		}
		j.advance(p, 3)
		j.finish(p)
	})
}
