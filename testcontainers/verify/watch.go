package verify

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Watcher is a committed reader of the outputs beside the run. What it sees
// while processes die must be what the end shows: a reader is never shown a
// record of an attempt that is taken back later, nor led past one that counts.
type Watcher struct {
	cl   *kgo.Client
	stop context.CancelFunc
	wait sync.WaitGroup

	mu       sync.Mutex
	seen     map[string]map[int32][]Rec // topic, partition: in the order read
	problems []string
}

// Watch starts reading the outputs of a job from their beginning.
func Watch(j Job) (*Watcher, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(j.Addrs...), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeTopics(j.outputs()...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMaxAge(time.Second), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return nil, fmt.Errorf("watch the outputs of %s: %w", j.Name, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	w := &Watcher{cl: cl, stop: stop, seen: map[string]map[int32][]Rec{}}
	w.wait.Go(func() { w.read(ctx) })
	return w, nil
}

func (w *Watcher) read(ctx context.Context) {
	for ctx.Err() == nil {
		w.cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.note(r)
		})
	}
}

func (w *Watcher) note(r *kgo.Record) {
	rec, err := recOf(r)
	if err != nil {
		w.problems = append(w.problems, fmt.Sprintf("watch: %s/%d offset %d: %v", r.Topic, r.Partition, r.Offset, err))
	}
	if w.seen[r.Topic] == nil {
		w.seen[r.Topic] = map[int32][]Rec{}
	}
	w.seen[r.Topic][r.Partition] = append(w.seen[r.Topic][r.Partition], rec)
}

// Close ends the reader without a verdict.
func (w *Watcher) Close() {
	w.stop()
	w.wait.Wait()
	w.cl.Close()
}

// Compare waits until the reader has come to the end of what there is, within the
// context, ends it, and compares what it saw with a reading after the end. It
// returns the number of records compared.
func (w *Watcher) Compare(ctx context.Context, j Job) (int, []string, error) {
	adm, err := admin(j.Addrs)
	if err != nil {
		return 0, nil, err
	}
	defer adm.Close()
	end := map[string]Log{}
	total := 0
	for _, topic := range j.outputs() {
		log, err := readTopic(ctx, adm, j.Addrs, topic, kgo.ReadCommitted())
		if err != nil {
			return 0, nil, fmt.Errorf("read topic %s again: %w", topic, err)
		}
		end[topic] = log
		total += log.Len()
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for w.count() < total && ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	w.Close()
	problems := w.problems
	for topic, log := range end {
		for p, recs := range log {
			problems = append(problems, compareSeen(fmt.Sprintf("%s/%d", topic, p), w.seen[topic][int32(p)], recs)...)
		}
	}
	if n := w.count(); n == 0 || n != total {
		problems = append(problems, fmt.Sprintf("watch: the reader saw %d of %d records", n, total))
	}
	return w.count(), problems, nil
}

// count is the number of records seen.
func (w *Watcher) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, partitions := range w.seen {
		for _, recs := range partitions {
			n += len(recs)
		}
	}
	return n
}

// compareSeen demands that what was seen is a beginning of what there is: the
// same records at the same offsets, none besides, none left out before the last
// one seen. A reader that went back shows as a record out of place.
func compareSeen(at string, got, want []Rec) []string {
	for i, r := range got {
		if i >= len(want) || r != want[i] {
			return []string{fmt.Sprintf("watch: %s record %d was seen as %+v, the end shows another", at, i, r)}
		}
	}
	return nil
}
