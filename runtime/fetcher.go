package runtime

import (
	"context"
	"sync"

	"kstream/record"
)

// route says which task reads a partition, on which of its channels.
type route struct {
	task  *sourceTask
	input int
	part  *partition
}

// fetcher polls the consumer of one source and hands what it gets to the source
// tasks. It waits for a task whose channel is full, and then fetches nothing:
// that is the back-pressure. Pausing partitions instead would throw away what
// the client has buffered of them, to be fetched and decompressed again.
type fetcher struct {
	life     *life
	consumer Consumer

	mu     sync.Mutex // partitions are added while it runs
	routes map[record.TopicPartition]route
}

func (f *fetcher) route(tp record.TopicPartition) (route, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.routes[tp]
	return r, ok
}

func (f *fetcher) addRoute(tp record.TopicPartition, r route) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes[tp] = r
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
			r, ok := f.route(p.TopicPartition)
			if !ok {
				p.Records.Release()
				continue
			}
			f.life.fail.before("fetched")
			r.part.polled.Store(int64(p.Next.Offset))
			if _, err := r.task.inbox.put(f.life.ctx, r.input, message{kind: messageFetched, fetched: p}); err != nil {
				return err
			}
		}
	}
}
