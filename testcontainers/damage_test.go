package testcontainers

import (
	"os"
	"testing"
	"time"

	"kstream/testcontainers/broker"
)

// refusedWithin is how soon a start that finds damage ends.
const refusedWithin = 30 * time.Second

// TestStateDirectoryDeleted deletes the local state after an orderly stop and
// after a kill: the results are the same, only the start takes longer.
func TestStateDirectoryDeleted(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		for _, end := range []func(*process){(*process).stop, (*process).kill} {
			p := j.start()
			j.advance(p, 3)
			end(p)
			if _, err := os.Stat(j.state); err != nil {
				t.Fatalf("there is no state directory to delete: %v", err)
			}
			if err := os.RemoveAll(j.state); err != nil {
				t.Fatal(err)
			}
		}
		last := j.start()
		j.advance(last, 2)
		j.finish(last)
	})
}

// TestInternalTopicDeleted deletes what the job keeps in Kafka: a start refuses
// and names it, instead of beginning anew in silence.
func TestInternalTopicDeleted(t *testing.T) {
	for _, topic := range []string{"changelog", "checkpoints"} {
		t.Run(topic, func(t *testing.T) {
			each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
				j := newJob(t, b)
				j.in.feed(t)
				p := j.start()
				j.advance(p, 3)
				p.stop()
				name := "kstream." + j.spec.Name + "." + topic
				if _, err := j.adm.DeleteTopic(t.Context(), name); err != nil {
					t.Fatalf("delete topic %s: %v", name, err)
				}
				epoch := j.look(t.Context())
				again := j.start()
				again.exits(exitRefused, refusedWithin)
				again.says("[state-missing]", name)
				if e := j.look(t.Context()); e != epoch {
					t.Errorf("the refused start committed epoch %d after %d", e, epoch)
				}
				topics, err := j.adm.ListTopics(t.Context(), name)
				if err != nil {
					t.Fatal(err)
				}
				if topics.Has(name) {
					t.Errorf("the refused start created %s again", name)
				}
			})
		})
	}
}
