// Command bench measures kstream end to end, beside a bare copy with the Kafka
// client on the same topic bytes in the same run. It prints figures and judges
// nothing:
//
//	throughput  records per CPU-second of the engine process, of bids and of the
//	            wrapped Nexmark stream, against the bare transactional copy
//	restart     kill -9 with a million keys, until the first new commit
//	savepoint   of a running job with a million keys, its cost, and its restore
//	latency     from the producer to a reader of committed records, and CPU time
//	            for each record, at steady rates
//	commit      duration of a commit and its stall on Apache Kafka
//
// CPU time is that of the child process, from the kernel: it suffers less than
// wall time when something else runs on the machine. No figure of one run may
// stand beside a figure of another.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"kstream/testcontainers/broker"
)

// bench is one run of the program.
type bench struct {
	dir      string
	records  int
	keys     int
	rounds   int
	topic    string // of the throughput runs, empty is all
	profiles string // directory for CPU profiles of the throughput runs
}

func main() {
	b := &bench{}
	on := flag.String("brokers", broker.Kfaked+","+broker.Kafka1, "brokers to measure on, by commas")
	only := flag.String("only", "throughput,restart,savepoint,commit,latency", "what to measure, by commas")
	flag.IntVar(&b.records, "records", 1_000_000, "records in the topic of the throughput runs")
	flag.IntVar(&b.keys, "keys", 1_000_000, "keys of the restart run")
	flag.IntVar(&b.rounds, "rounds", 3, "rounds of the throughput runs")
	flag.StringVar(&b.topic, "topic", "", "only the throughput runs of this topic: bids or nexmark")
	flag.StringVar(&b.profiles, "profiles", "", "write a CPU profile of each throughput run of kstream into this directory")
	flag.Parse()
	if err := b.run(context.Background(), strings.Split(*on, ","), *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, on []string, only string) (err error) {
	if b.dir, err = os.MkdirTemp("", "kstream-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	for name, pkg := range map[string]string{"kfaked": "./testcontainers/kfaked", "kstream": "./cmd/kstream", "barecopy": "./bench/barecopy"} {
		args := []string{"build", "-o", b.bin(name)}
		if b.profiles != "" {
			args = append(args, "-tags", "harness") // which has the switch for profiles
		}
		if out, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	fmt.Printf("%s %s/%s, %d CPUs, %s; bids of %d bytes, snappy, exactly once\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), cpuModel(), bidSize)
	for _, name := range on {
		for _, part := range []struct {
			name string
			run  func(context.Context, *broker.Broker) error
		}{{"throughput", b.throughput}, {"restart", b.restart}, {"savepoint", b.savepoint}, {"commit", b.commit}, {"latency", b.latency}} {
			if !strings.Contains(only, part.name) {
				continue
			}
			if err := b.on(ctx, name, part.run); err != nil {
				return fmt.Errorf("%s on %s: %w", part.name, name, err)
			}
		}
	}
	return nil
}

// on runs one part on a new broker: a broker that has grown is slower.
func (b *bench) on(ctx context.Context, name string, part func(context.Context, *broker.Broker) error) error {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return err
	}
	br, err := broker.Start(ctx, name, broker.Options{Dir: dir, KfakedBin: b.bin("kfaked")})
	if err != nil {
		fmt.Printf("%s: NOT RUN: %v\n", name, err)
		return nil
	}
	err = part(ctx, br)
	if closing := br.Close(); err == nil {
		err = closing
	}
	return err
}

func (b *bench) bin(name string) string { return filepath.Join(b.dir, "bin", name) }

// cpuModel names the processor, where the system says it.
func cpuModel() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "processor unknown"
	}
	for line := range bytes.Lines(text) {
		if name, ok := strings.CutPrefix(string(line), "model name"); ok {
			return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(name), ":"))
		}
	}
	return "processor unknown"
}
