package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// The load under which latency is measured.
const (
	latencyFor  = 20 * time.Second
	latencySkip = 5 * time.Second // from the first record on: start and first commits
	latencyWait = 30 * time.Second
)

// latencyYAML writes each record with the time at which its input was produced.
const latencyYAML = `version: 1
name: NAME
checkpoint: {interval: 100ms}
sources:
  in:
    topic: IN
    schema: {auction: int!, bidder: int!, price: int!, channel: string, url: string, dateTime: timestamp!, extra: string}
streams:
  main:
    from: in
    steps:
      - set: {price: price * 2}
sinks:
  out: {from: main, topic: OUT}
state: {dir: STATE}
`

// latency runs a stateless job at steady rates with ten commits a second: the
// time from the producer's clock until a reader of committed records has the
// output, and the CPU time of the job for each record at that part of its load.
func (b *bench) latency(ctx context.Context, br *broker.Broker) error {
	cl, err := producer(br)
	if err != nil {
		return err
	}
	defer cl.Close()
	fmt.Printf("\n%s %s: latency with a commit each 100ms, %v\n", br.Name, br.Version, latencyFor)
	fmt.Printf("%10s %8s %8s %12s\n", "records/s", "p50 ms", "p99 ms", "CPU us/rec")
	for _, rate := range []int{20_000, 50_000} {
		if err := b.latencyAt(ctx, br, cl, rate); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) latencyAt(ctx context.Context, br *broker.Broker, cl *kgo.Client, rate int) error {
	name := fmt.Sprintf("%s-latency-%d", br.Name, rate)
	if err := createTopic(ctx, cl, name, name+"-out"); err != nil {
		return err
	}
	file, err := b.writePipeline(name, latencyYAML, "IN", name, "OUT", name+"-out")
	if err != nil {
		return err
	}
	j := &job{bin: b.bin("kstream"), file: file, name: name, topic: name, addrs: br.Addrs, adm: kadm.NewClient(cl), log: filepath.Join(b.dir, name+".log")}
	if err := j.start(); err != nil {
		return err
	}
	total := rate * int(latencyFor/time.Second)
	seen := make(chan []float64, 1)
	reading, stop := context.WithCancel(ctx)
	defer stop()
	reader, err := kgo.NewClient(kgo.SeedBrokers(br.Addrs...), kgo.ConsumeTopics(name+"-out"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return err
	}
	defer reader.Close()
	go func() { seen <- readLatencies(reading, reader, total) }()
	if err := feed(ctx, cl, name, rate, latencyFor); err != nil {
		return err
	}
	var millis []float64
	select {
	case millis = <-seen:
	case <-time.After(latencyWait):
		return fmt.Errorf("the output of %d records is not complete\n%s", total, tail(j.log))
	}
	if err := j.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if err := <-j.ended; err != nil {
		return fmt.Errorf("stop: %w\n%s", err, tail(j.log))
	}
	cpu := j.cmd.ProcessState.UserTime() + j.cmd.ProcessState.SystemTime()
	slices.Sort(millis)
	fmt.Printf("%10d %8.0f %8.0f %12.2f\n", rate, millis[len(millis)/2], millis[len(millis)*99/100], 1e6*cpu.Seconds()/float64(total))
	return nil
}

// readLatencies reads total records and gives how late each was that was
// produced after the first seconds.
func readLatencies(ctx context.Context, reader *kgo.Client, total int) []float64 {
	var millis []float64
	var from time.Time
	for n := 0; n < total; {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil
		}
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			if n++; from.IsZero() {
				from = r.Timestamp.Add(latencySkip)
			}
			if r.Timestamp.After(from) {
				millis = append(millis, float64(now.Sub(r.Timestamp).Microseconds())/1000)
			}
		})
	}
	return millis
}
