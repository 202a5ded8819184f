package kafka

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"kstream/record"
)

func TestWriterWritesEveryRecordOnce(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	w, err := NewWriter(f.Cluster)
	must(t, err)
	defer w.Close()
	m := message("out", 0, "k", "")
	var want []string
	for i := range 5000 {
		m.Value = append(m.Value[:0], fmt.Sprint(i)...) // reused, as the contract allows
		must(t, w.Write(m))
		want = append(want, fmt.Sprint(i))
	}
	must(t, w.Flush(t.Context()))
	if got := f.read(t, "out"); !slices.Equal(got, want) {
		t.Errorf("%d records of %d, or in another order", len(got), len(want))
	}
}

func TestWriterTellsTheFirstError(t *testing.T) {
	f := newFixture(t, kfake.SeedTopics(1, "out"))
	w, err := NewWriter(f.Cluster)
	must(t, err)
	defer w.Close()
	big := message("out", 0, "k", "")
	big.Value = make([]byte, 2*batchSizeDefault)
	must(t, w.Write(big))
	err = w.Flush(t.Context())
	if e, ok := err.(*record.KafkaError); !ok || e.Topic != "out" {
		t.Fatalf("a record beyond the limit gives %v", err)
	}
	if again := w.Write(message("out", 0, "k", "v")); again == nil {
		t.Error("the next record is taken as if nothing had happened")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w.Flush(ctx) == nil {
		t.Error("the error is forgotten")
	}
}
