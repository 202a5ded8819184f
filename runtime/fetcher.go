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
// tasks. It waits for a task whose channel is full, and then fetches nothing:
// that is the back-pressure. Pausing partitions instead would throw away what
// the client has buffered of them, to be fetched and decompressed again.
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
			r, ok := f.routes[p.TopicPartition]
			if !ok {
				p.Records.Release()
				continue
			}
			f.life.fail.before("fetched")
			r.task.parts[r.input].polled.Store(int64(p.Next.Offset))
			if _, err := r.task.inbox.put(f.life.ctx, r.input, message{kind: messageFetched, fetched: p}); err != nil {
				return err
			}
		}
	}
}
