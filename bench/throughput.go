package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// workload is a topic and the engines that read it.
type workload struct {
	topic   string
	fill    func(ctx context.Context, cl *kgo.Client, topic string, n int) error
	engines []engine
}

// engine is one system under measurement.
type engine struct {
	name string
	yaml string   // empty is the bare copy
	args []string // of the bare copy
	runs []usage  // one for each round, without the start
	// start is the CPU time of a run over startRecords.
	start time.Duration
}

// startRecords is the input of the runs that say what starting and ending cost:
// figures per record are without it, as those of a job that runs for days.
const startRecords = 1_000

// usage is what one run took.
type usage struct {
	cpu, wall time.Duration
	peak      int64 // bytes
}

func workloads() []workload {
	copies := []engine{{name: "bare copy"}, {name: "bare copy, pools", args: []string{"-pools"}}}
	return []workload{
		{topic: "bids", fill: fillBids, engines: append(slices.Clone(copies),
			engine{name: "map", yaml: mapYAML}, engine{name: "windowed count", yaml: countYAML})},
		{topic: "nexmark", fill: fillNexmark, engines: append(slices.Clone(copies),
			engine{name: "q0", yaml: nexmarkYAML(q0Steps)}, engine{name: "q1", yaml: nexmarkYAML(q1Steps)},
			engine{name: "q2", yaml: nexmarkYAML(q2Steps)}, engine{name: "count per auction", yaml: nexmarkYAML(perAuctionSteps)})},
	}
}

// throughput lets each engine read the same topic from its beginning to its end,
// with each interval between commits. The order turns with every round; what is
// printed is the median of the rounds, and the median of the ratios within them.
func (b *bench) throughput(ctx context.Context, br *broker.Broker) error {
	cl, err := producer(br)
	if err != nil {
		return err
	}
	defer cl.Close()
	for _, w := range workloads() {
		if b.topic != "" && b.topic != w.topic {
			continue
		}
		if err := createTopic(ctx, cl, w.topic, w.topic+"-start"); err != nil {
			return err
		}
		if err := w.fill(ctx, cl, w.topic, b.records); err != nil {
			return err
		}
		if err := w.fill(ctx, cl, w.topic+"-start", startRecords); err != nil {
			return err
		}
		for _, interval := range []time.Duration{time.Second, 100 * time.Millisecond} {
			if err := b.compare(ctx, br, cl, &w, interval); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare runs all engines of a workload and prints their table.
func (b *bench) compare(ctx context.Context, br *broker.Broker, cl *kgo.Client, w *workload, interval time.Duration) error {
	engines := slices.Clone(w.engines)
	for round := range b.rounds {
		for i := range engines {
			e := &engines[(i+round)%len(engines)]
			s, err := b.measure(ctx, br, cl, w.topic+"-start", e, interval, round)
			if err != nil {
				return fmt.Errorf("start of %s: %w", e.name, err)
			}
			if e.start == 0 || s.cpu < e.start {
				e.start = s.cpu
			}
			u, err := b.measure(ctx, br, cl, w.topic, e, interval, round)
			if err != nil {
				return fmt.Errorf("%s: %w", e.name, err)
			}
			e.runs = append(e.runs, u)
		}
	}
	fmt.Printf("\n%s %s, %d records of %s, a commit each %v, median of %d\n", br.Name, br.Version, b.records, w.topic, interval, b.rounds)
	fmt.Printf("%-18s %12s %12s %12s %9s %12s %9s %10s\n", "engine", "CPU ns/rec", "rec/CPU-s", "rec/s", "of copy", "of pools", "peak MiB", "start ms")
	records := float64(b.records - startRecords)
	for i := range engines {
		for k := range engines[i].runs {
			engines[i].runs[k].cpu -= engines[i].start
		}
	}
	for i := range engines {
		e := &engines[i]
		cpu := median(e.runs, func(u usage) float64 { return u.cpu.Seconds() })
		wall := median(e.runs, func(u usage) float64 { return u.wall.Seconds() })
		peak := median(e.runs, func(u usage) float64 { return float64(u.peak) })
		fmt.Printf("%-18s %12.0f %12.0f %12.0f %8.0f%% %11.0f%% %9.0f %10d\n", e.name, 1e9*cpu/records, records/cpu, records/wall,
			100*ratio(engines[0].runs, e.runs), 100*ratio(engines[1].runs, e.runs), peak/(1<<20), e.start.Milliseconds())
	}
	return nil
}

// median of a figure of some runs.
func median(runs []usage, of func(usage) float64) float64 {
	var all []float64
	for _, u := range runs {
		all = append(all, of(u))
	}
	slices.Sort(all)
	return (all[(len(all)-1)/2] + all[len(all)/2]) / 2
}

// ratio is the median of the rounds' ratios of CPU time: records per CPU-second
// of runs as a share of those of base.
func ratio(base, runs []usage) float64 {
	pairs := make([]usage, len(runs))
	for i := range runs {
		pairs[i].cpu = time.Duration(float64(base[i].cpu) / float64(runs[i].cpu) * float64(time.Second))
	}
	return median(pairs, func(u usage) float64 { return u.cpu.Seconds() })
}

// measure runs an engine once as a child process.
func (b *bench) measure(ctx context.Context, br *broker.Broker, cl *kgo.Client, topic string, e *engine, interval time.Duration, round int) (usage, error) {
	name := fmt.Sprintf("%s-%s-%d-%d", topic, strings.NewReplacer(" ", "-", ",", "").Replace(e.name), interval.Milliseconds(), round)
	if err := createTopic(ctx, cl, "out-"+name); err != nil {
		return usage{}, err
	}
	addrs := strings.Join(br.Addrs, ",")
	cmd := exec.CommandContext(ctx, b.bin("barecopy"), append(e.args, "-brokers", addrs, "-from", topic, "-to", "out-"+name, "-every", interval.String())...)
	if e.yaml != "" {
		file, err := b.writePipeline(br.Name+"-"+name, e.yaml, "INTERVAL", interval.String(), "IN", topic, "OUT", "out-"+name)
		if err != nil {
			return usage{}, err
		}
		cmd = exec.CommandContext(ctx, b.bin("kstream"), "run", file, "--brokers", addrs)
	}
	if b.profiles != "" {
		cmd.Env = append(os.Environ(), "KSTREAM_CPUPROFILE="+filepath.Join(b.profiles, br.Name+"-"+name+".pprof"))
	}
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return usage{}, fmt.Errorf("%w\n%s", err, out)
	}
	return usage{
		wall: time.Since(began),
		cpu:  cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(),
		peak: maxRSS(cmd.ProcessState.SysUsage()),
	}, nil
}
