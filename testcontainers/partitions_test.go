package testcontainers

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// TestPartitionsAdded: partitions that are added to the input while the job runs
// are found, read from their beginning and remembered across a kill. Everything
// they hold is in the outputs exactly once; a copy needs an output that has grown
// with the input. The producer may learn of the output's partitions later than
// the job of the input's: then the job starts again, which loses nothing.
func TestPartitionsAdded(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		const more = 6
		j := newJob(t, b)
		j.in.feed(t)
		first := j.start()
		j.advance(first, 2)
		for _, topic := range []string{j.spec.Copy, j.spec.In} {
			if _, err := j.adm.UpdatePartitions(t.Context(), more, topic); err != nil {
				t.Fatal(err)
			}
		}
		j.known(j.spec.Copy, j.spec.In)
		j.added(first, more-1)
		j.in.pause()
		for p := int32(inPartitions); p < more; p++ {
			if err := j.in.added(t.Context(), p, 50); err != nil {
				t.Fatal(err)
			}
		}
		first.kill()
		j.finish(j.start())
	})
}

// added waits until the position of a partition is committed.
func (j *job) added(p *process, partition int32) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), commitWithin)
	defer cancel()
	err := broker.Poll(ctx, pollEvery, func(ctx context.Context) error {
		if p.ended() {
			cancel()
			return fmt.Errorf("kstream ended with %v", p.cmd.ProcessState)
		}
		offsets, err := j.adm.FetchOffsets(ctx, "kstream-"+j.spec.Name)
		if err != nil {
			return err
		}
		if _, ok := offsets.Lookup(j.spec.In, partition); !ok {
			return errors.New("the partition was not found yet")
		}
		return nil
	})
	if err != nil {
		j.t.Fatal(err)
	}
}

// added appends n records to one partition, later than all there were, with
// values of their own.
func (in *input) added(ctx context.Context, p int32, n int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.renew(); err != nil { // a client that knows the partition
		return err
	}
	var records []*kgo.Record
	for i := range n {
		records = append(records, in.record(p, row{
			ID: fmt.Sprintf("added-%d-%d", p, i), K: fmt.Sprintf("k%d", i%inKeys),
			N: 1e9 + int64(p)*1e6 + i, TS: inBase + in.next*inStep + i*inStep,
		}))
	}
	return in.transact(ctx, records, kgo.TryCommit)
}
