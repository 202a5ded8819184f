package runtime

import (
	"context"

	"kstream/record"
)

// route says which task reads a partition, on which of its channels.
type route struct {
	task  *sourceTask
	input int
}

// fetcher polls the consumer of one source and hands what it gets to the source
// tasks. It never waits for a task: a partition whose channel is full is paused
// until the task has made room, so that one slow task does not hold back the
// others.
type fetcher struct {
	life     *life
	consumer Consumer
	routes   map[record.TopicPartition]route
}

func (f *fetcher) run() error {
	for {
		fetch, err := f.consumer.Poll(f.life.ctx)
		if err != nil {
			if f.life.ctx.Err() != nil {
				return context.Cause(f.life.ctx)
			}
			return err
		}
		for _, p := range fetch.Partitions {
			f.deliver(p)
		}
	}
}

func (f *fetcher) deliver(p record.FetchedPartition) {
	r, ok := f.routes[p.TopicPartition]
	if !ok {
		p.Records.Release()
		return
	}
	part := r.task.parts[r.input]
	part.polled.Store(int64(p.Next.Offset))
	if !r.task.inbox.offer(r.input, message{kind: messageFetched, fetched: p}) {
		return
	}
	part.paused.Store(true)
	f.consumer.Pause([]record.TopicPartition{p.TopicPartition})
	if !r.task.inbox.full(r.input) {
		// The task emptied the channel before it could know of the pause.
		r.task.resume(r.input)
	}
}
