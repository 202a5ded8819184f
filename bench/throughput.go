package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// engine is one system under measurement.
type engine struct {
	name  string
	yaml  string // empty is the bare copy
	cpu   time.Duration
	wall  time.Duration
	peak  int64 // bytes
	round int
}

// throughput lets each engine read the same topic from its beginning to its end.
// The order turns with every round; the least CPU time of the rounds counts,
// because whatever disturbs a run only adds to it.
func (b *bench) throughput(ctx context.Context, br *broker.Broker) error {
	cl, err := producer(br)
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := createTopic(ctx, cl, "bids"); err != nil {
		return err
	}
	random := newRandom()
	if err := fill(ctx, cl, "bids", b.records, func(i int) []byte { return bid(random, i) }); err != nil {
		return err
	}
	engines := []*engine{{name: "bare copy"}, {name: "map", yaml: mapYAML}, {name: "windowed count", yaml: countYAML}}
	for round := range b.rounds {
		for i := range engines {
			e := engines[(i+round)%len(engines)]
			if err := b.measure(ctx, br, cl, e, round); err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
		}
	}
	fmt.Printf("\n%s %s, %d records, best of %d\n", br.Name, br.Version, b.records, b.rounds)
	fmt.Printf("%-16s %14s %14s %10s %10s\n", "engine", "rec/CPU-s", "rec/s", "of copy", "peak MiB")
	for _, e := range engines {
		fmt.Printf("%-16s %14.0f %14.0f %9.0f%% %10d\n", e.name, float64(b.records)/e.cpu.Seconds(),
			float64(b.records)/e.wall.Seconds(), 100*engines[0].cpu.Seconds()/e.cpu.Seconds(), e.peak>>20)
	}
	return nil
}

// measure runs an engine once as a child process.
func (b *bench) measure(ctx context.Context, br *broker.Broker, cl *kgo.Client, e *engine, round int) error {
	name := fmt.Sprintf("%s-%d", strings.ReplaceAll(e.name, " ", "-"), round)
	if err := createTopic(ctx, cl, "out-"+name); err != nil {
		return err
	}
	addrs := strings.Join(br.Addrs, ",")
	cmd := exec.CommandContext(ctx, b.bin("barecopy"), "-brokers", addrs, "-from", "bids", "-to", "out-"+name)
	if e.yaml != "" {
		file, err := b.writePipeline(br.Name+"-"+name, e.yaml, "IN", "bids", "OUT", "out-"+name)
		if err != nil {
			return err
		}
		cmd = exec.CommandContext(ctx, b.bin("kstream"), "run", file, "--brokers", addrs)
	}
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	wall := time.Since(began)
	cpu := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if e.cpu == 0 || cpu < e.cpu {
		e.cpu, e.wall, e.round, e.peak = cpu, wall, round, peakMemory(cmd.ProcessState)
	}
	return nil
}

// peakMemory is the largest resident size the process had.
func peakMemory(p *os.ProcessState) int64 { return maxRSS(p.SysUsage()) }
