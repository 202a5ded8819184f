package runtime

import (
	"context"
	"fmt"
	"sync"
	"time"

	"kstream/record"
	"kstream/topology"
)

// createTopic makes an output topic as the file says, and looks at it.
func (l *life) createTopic(ctx context.Context, name string, c *topology.CreateSpec) (record.TopicInfo, error) {
	l.job.log.Info("creating topic", "topic", name, "partitions", c.Partitions)
	err := l.client.Topics.CreateTopic(ctx, record.NewTopic{Name: name, Partitions: int32(c.Partitions),
		Replication: c.Replication, Config: c.Config, Existing: true})
	if err != nil {
		return record.TopicInfo{}, err
	}
	made, err := l.client.Topics.Topics(ctx, []string{name})
	return made[name], err
}

// namedTopics are the topics that records have named, for all tasks of a life.
// One that is missing is asked for again after a while.
type namedTopics struct {
	mu      sync.Mutex
	known   map[string]int32
	missing map[string]time.Time
}

// missingFor is how long a topic that did not exist is taken not to.
const missingFor = 5 * time.Second

// partitionsOf is how many partitions a topic has that a record names; it is
// made if the sink says so. A topic that does not exist is the record's mistake.
// Named is what the task knows already.
func (l *life) partitionsOf(s *topology.SinkSpec, named map[string]int32, topic string) (int32, error) {
	if n, ok := named[topic]; ok {
		return n, nil
	}
	n, err := l.lookTopic(s, topic)
	if err != nil {
		return 0, err
	}
	if n == 0 {
		return 0, &record.Error{Code: "encode-failed", Message: fmt.Sprintf("topic: %s does not exist; create it, or let the job do it with create", topic)}
	}
	if len(named) < namedMax {
		named[topic] = n
	}
	return n, nil
}

// namedMax bounds what is remembered of topics that data names.
const namedMax = 10_000

// lookTopic asks the cluster, one task at a time; 0 partitions is no topic.
func (l *life) lookTopic(s *topology.SinkSpec, topic string) (int32, error) {
	t := &l.named
	t.mu.Lock()
	defer t.mu.Unlock()
	if n, ok := t.known[topic]; ok {
		return n, nil
	}
	if at, ok := t.missing[topic]; ok && s.Create == nil && l.job.clock().Sub(at) < missingFor {
		return 0, nil
	}
	found, err := l.client.Topics.Topics(l.ctx, []string{topic})
	if err != nil {
		return 0, err
	}
	info, ok := found[topic]
	if !ok && s.Create != nil {
		if info, err = l.createTopic(l.ctx, topic, s.Create); err != nil {
			return 0, err
		}
	}
	if t.known == nil || len(t.known)+len(t.missing) > namedMax {
		t.known, t.missing = map[string]int32{}, map[string]time.Time{}
	}
	if info.Partitions == 0 {
		t.missing[topic] = l.job.clock()
		return 0, nil
	}
	t.known[topic] = info.Partitions
	return info.Partitions, nil
}

// grown looks whether an output has more partitions than it had, for a record
// that was read from a partition that was added to the input.
func (l *life) grown(topic string, known int32) (int32, error) {
	t := &l.named
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.known[topic]; n > known {
		return n, nil // another task has looked
	}
	if at, ok := t.missing[topic]; ok && l.job.clock().Sub(at) < missingFor {
		return known, nil
	}
	found, err := l.client.Topics.Topics(l.ctx, []string{topic})
	if err != nil {
		return known, err
	}
	if t.known == nil {
		t.known, t.missing = map[string]int32{}, map[string]time.Time{}
	}
	n := found[topic].Partitions
	if n <= known {
		t.missing[topic] = l.job.clock()
		return known, nil
	}
	t.known[topic] = n
	return n, nil
}
