package runtime

import (
	"context"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/topology"
)

// discovery looks for partitions that were added to the topics of a source, and
// has them read from their beginning. Which task reads them does not matter:
// the next start deals all partitions out anew.
type discovery struct {
	life    *life
	source  *topology.Source
	fetcher *fetcher
	tasks   []*sourceTask
	readers []int            // partitions of each task
	known   map[string]int32 // partitions of each topic
}

func newDiscovery(l *life, s *topology.Source, f *fetcher) *discovery {
	d := &discovery{life: l, source: s, fetcher: f, known: map[string]int32{}}
	for _, t := range l.sources {
		if t.source == s {
			d.tasks = append(d.tasks, t)
			d.readers = append(d.readers, len(t.parts))
		}
	}
	for _, topic := range s.Spec.Topics {
		d.known[topic] = l.topics[topic].Partitions
	}
	return d
}

func (d *discovery) run() error {
	ctx := d.life.ctx
	ticker := time.NewTicker(d.source.Spec.PartitionDiscovery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := d.look(ctx); err != nil && ctx.Err() == nil {
			// The cluster may be away for a while: that is for the reader to judge.
			d.life.job.log.Debug("look for new partitions", "source", d.source.Spec.UID, "error", err)
		}
	}
}

// look compares what the cluster has with what is read.
func (d *discovery) look(ctx context.Context) error {
	found, err := d.life.client.Topics.Topics(ctx, d.source.Spec.Topics)
	if err != nil {
		return err
	}
	for _, topic := range d.source.Spec.Topics {
		info, known := found[topic], d.known[topic]
		if info.Partitions <= known || info.ID != d.life.topics[topic].ID {
			continue // a topic that was made anew is refused by who reads it
		}
		bounds, err := d.life.client.Log.Bounds(ctx, topic)
		if err != nil {
			return err
		}
		for p := known; p < info.Partitions && int(p) < len(bounds); p++ {
			if err := d.add(ctx, info, p, bounds[p].Start); err != nil {
				return err
			}
			d.known[topic] = p + 1
		}
	}
	return nil
}

// add has a partition read. The task hears of it before its first records come,
// and its position is in the next checkpoint, whether there are any or not.
func (d *discovery) add(ctx context.Context, info record.TopicInfo, number int32, start record.Offset) error {
	tp := record.TopicPartition{Topic: info.Name, Partition: number}
	least := 0
	for i, n := range d.readers {
		if n < d.readers[least] {
			least = i
		}
	}
	d.readers[least]++
	t := d.tasks[least]
	part := &partition{SourcePosition: checkpoint.SourcePosition{UID: d.source.Spec.UID, Topic: info.Name, TopicID: info.ID,
		Partition: number, Offset: start, LeaderEpoch: -1, Watermark: record.MinTimestamp, Stop: -1}}
	input := t.inbox.grow()
	if _, err := t.inbox.put(ctx, t.control, message{kind: messagePartition, partition: part}); err != nil {
		return err
	}
	d.fetcher.addRoute(tp, route{task: t, input: input, part: part})
	d.fetcher.consumer.Add([]record.Position{{TopicPartition: tp, TopicID: info.ID, Offset: start, LeaderEpoch: -1}})
	d.life.job.warnPartition(tp, start)
	return nil
}

// warnPartition tells of a partition that was added to a topic.
func (j *Job) warnPartition(tp record.TopicPartition, start record.Offset) {
	j.log.Warn("a partition was added: records of a key may come from two partitions around it, order per key is not given across the change",
		"partition", tp.String(), "from", start)
}

// add takes in a partition that was added to a topic. It holds the watermark
// back until its first records come, or until it is idle.
func (t *sourceTask) add(p *partition) {
	job := t.life.job
	job.lifeMu.Lock() // who reads the figures
	t.parts = append(t.parts, p)
	job.lifeMu.Unlock()
	t.marks.Add(job.now(), p.Watermark, p.Idle)
	t.moved = true // the position is worth a checkpoint
	t.life.moved.Add(1)
}

// partOf is the number of the partition that comes on a channel. The channel of
// control messages lies between the first partitions and those added later.
func (t *sourceTask) partOf(channel int) int {
	if channel > t.control {
		return channel - 1
	}
	return channel
}
