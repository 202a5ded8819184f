//go:build harness

package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"kstream/checkpoint"
	"kstream/internal/kafka"
	"kstream/runtime"
	"kstream/state"
	"kstream/topology"
)

// point is a moment in the life of an incarnation: the n-th passage of a step.
type point struct {
	step   string // "before=record", "after=end-sent"
	n      int
	freeze bool // the process is frozen there, and wakes when another has its place
}

func (p point) String() string {
	what := "kill"
	if p.freeze {
		what = "freeze"
	}
	return what + " " + p.step + ":" + strconv.Itoa(p.n)
}

// instance is one process: a job on a file system and a network of its own.
type instance struct {
	sim     *simulation
	number  int
	fs      state.FS
	link    *link
	job     *runtime.Job
	cancel  context.CancelFunc
	end     point
	stopped bool // of the simulation's goroutine
	keep    int  // percent of the unsynced data that a kill leaves

	mu       sync.Mutex
	rng      *rand.Rand
	passed   map[string]int
	image    state.FS // what the kill left
	runs     bool
	commits  int
	frozenAt chan struct{}
	ended    chan struct{}
	result   runtime.Result
}

// simulated is what a process runs.
type simulated struct {
	name, text string
	set        []string
	adjust     func(*runtime.Options) // nil changes nothing
}

// start starts the next process.
func (s *simulation) start(fs state.FS, end point) (*instance, error) {
	return s.launch(fs, end, &simulated{name: "sim", text: simulationYAML, set: s.settings})
}

// launch starts the next process of a program.
func (s *simulation) launch(fs state.FS, end point, p *simulated) (*instance, error) {
	s.instances++
	rng := rand.New(rand.NewPCG(uint64(s.seed), uint64(s.instances)))
	in := &instance{sim: s, number: s.instances, fs: fs, end: end, keep: rng.IntN(5) * 25, rng: rng,
		passed: map[string]int{}, frozenAt: make(chan struct{}), ended: make(chan struct{})}
	in.link = newLink(s.network.DialContext, rand.New(rand.NewPCG(uint64(s.seed), uint64(1000+s.instances))), s.lost)
	spec, plan, found := topology.Validate(p.name+".yaml", []byte(p.text), topology.Options{Set: p.set})
	if topology.HasErrors(found) {
		return nil, fmt.Errorf("the pipeline is wrong: %s", topology.RenderText(found, spec.Lines))
	}
	log := slog.New(s.log.handler(in.number))
	config := kafka.Config{Brokers: s.fake.ListenAddrs(), ClientID: "sim-" + strconv.Itoa(in.number), Dial: in.link.Dial,
		Logger: log, RequestTimeout: 5 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	in.cancel = cancel
	options := runtime.Options{
		Plan: plan, Connect: connector(config), FS: fs, StateDir: "/state/" + p.name + "/0", Log: log,
		Host: "host", PID: in.number, Version: "sim", Random: in.random, Jitter: in.jitter,
		Parallelism: plan.Spec.Parallelism, Events: in.event, Failpoint: in.at,
	}
	if p.adjust != nil {
		p.adjust(&options)
	}
	in.job = runtime.New(options)
	go func() {
		defer close(in.ended)
		in.result = in.job.Run(ctx)
	}()
	return in, nil
}

func (in *instance) random() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.rng.Uint64()
}

func (in *instance) jitter() float64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.rng.Float64()
}

func (in *instance) event(e runtime.Event) {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch e.Kind {
	case "running":
		in.runs = true
	case "checkpoint":
		in.commits++
	}
}

// running says whether the process is or has been through its start. One that is
// stopped before leaves what a dead one left open.
func (in *instance) running() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.runs
}

func (in *instance) committed() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.commits
}

// at is called at every step. Steps take a while, and tasks not the same one, so
// that barriers meet at different times.
func (in *instance) at(step string) {
	in.mu.Lock()
	in.passed[step]++
	hit := in.end.step == step && in.end.n == in.passed[step] && in.image == nil
	pause := time.Duration(0)
	often := 4
	if passages(step) > 20 {
		often = 4 * int(in.sim.stall/time.Millisecond) // once per record or batch
	}
	if in.rng.IntN(often) == 0 {
		pause = time.Duration(in.rng.Int64N(int64(in.sim.stall)))
	}
	if hit {
		in.strike()
	}
	in.mu.Unlock()
	time.Sleep(pause)
}

// strike kills or freezes the process. in.mu is held.
func (in *instance) strike() {
	in.sim.cover(in.end)
	if in.end.freeze {
		in.link.hold()
		close(in.frozenAt)
		in.end.step = ""
		return
	}
	in.link.kill()
	in.image = state.CrashClone(in.fs, in.keep, in.rng)
	in.cancel()
}

// left is the file system that a kill left, nil if there was none.
func (in *instance) left() state.FS {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.image
}

// uncommitted says that a fault met the last checkpoint of a process: it has to
// be started again.
func (in *instance) uncommitted() bool {
	return in.result.Exit == 1 && strings.HasPrefix(in.result.Text, "the last checkpoint could not be committed")
}

func (in *instance) stop() {
	in.stopped = true
	in.job.Stop(checkpoint.StopFinish)
}

// noticed says whether an overtaken process ended as one. A process that was
// asked to stop and has nothing more to write ends as any other.
func (in *instance) noticed() bool {
	return in.result.Exit == 6 || in.stopped && (in.result.Exit == 0 || in.uncommitted())
}

// logBuffer keeps the log of all processes of a seed.
type logBuffer struct {
	mu    sync.Mutex
	lines []byte
	began time.Time
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = fmt.Appendf(b.lines, "%9.4f ", time.Since(b.began).Seconds())
	b.lines = append(b.lines, p...)
	return len(p), nil
}

func (b *logBuffer) handler(number int) slog.Handler {
	o := &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
	return slog.NewTextHandler(b, o).WithAttrs([]slog.Attr{slog.Int("process", number)})
}

func (b *logBuffer) has(text string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Contains(b.lines, []byte(text))
}

// tail is the end of the log.
func (b *logBuffer) tail(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.lines[max(0, len(b.lines)-n):])
}
