package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	goruntime "runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kstream/checkpoint"
	"kstream/internal/kafka"
	"kstream/record"
	"kstream/runtime"
	"kstream/state"
	"kstream/topology"
)

// runFlags are the flags of run.
type runFlags struct {
	env         envFlags
	brokers     string
	embedded    bool
	embeddedDir string
	parallelism int
	until       time.Duration
	drain       bool
	maxRecords  int64
	stdout      bool
	from        string
	offsets     string
	yes         bool
	reset       []string
	accept      []string
	quiet       bool
	verbose     int
	asJSON      bool
}

func runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE",
		Short: "Run a pipeline",
		Long: `Runs a pipeline in the foreground; logs and the status line go to stderr.

The first SIGINT or SIGTERM finishes what is in flight, commits a last checkpoint
and exits with 0; a second one ends the process at once.

With -o json stderr has JSON Lines: those of the log (time, level, msg), and
objects with kind and version 1 beside them. JobEvent (event, text, took_ms):
restored, running, checkpoint, stalled, continued, restart, stopping, progress.
JobStatus once a minute (state, records, lag, watermark, checkpoint …). JobResult
is the last line (exit, text, hint, records, checkpoint).`,
		Example: "  kstream run pipeline.yaml\n  kstream run pipeline.yaml --brokers localhost:9092 --until 5m\n" +
			"  kstream run pipeline.yaml --embedded           # a broker inside the process, for development\n" +
			"  kstream run pipeline.yaml --stdout             # real input, results only on the terminal",
		Args: cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.start(cmd, args[0])
		},
	}
	f.register(cmd)
	return cmd
}

// start runs the file with the flags of the command line.
func (f *runFlags) start(cmd *cobra.Command, path string) (err error) {
	if f.asJSON, err = jsonOutput(cmd); err != nil {
		return err
	}
	f.quiet, _ = cmd.Flags().GetBool("quiet")
	f.verbose, _ = cmd.Flags().GetCount("verbose")
	err = runPipeline(path, f)
	var exit *exitError
	if f.asJSON && errors.As(err, &exit) && exit.text != "" { // it ended before there was a job to tell
		json.NewEncoder(os.Stderr).Encode(map[string]any{"kind": "JobResult", "version": 1, "exit": exit.code, "text": exit.text, "hint": exit.hint})
		return &exitError{code: exit.code}
	}
	return err
}

func (f *runFlags) register(cmd *cobra.Command) {
	f.env.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.brokers, "brokers", "", "Kafka addresses, wins over kafka.brokers: host:9092,host:9092")
	fl.BoolVar(&f.embedded, "embedded", false, "start a broker inside the process, for development only")
	fl.StringVar(&f.embeddedDir, "embedded-dir", "", "with --embedded: keep its data here across clean ends")
	fl.IntVar(&f.parallelism, "parallelism", 0, "tasks per chain, wins over parallelism")
	fl.DurationVar(&f.until, "until", 0, "stop after this time, as the first SIGTERM does")
	fl.BoolVar(&f.drain, "drain", false, "with --until, --max-records and signals: all windows fire before the end")
	fl.Int64Var(&f.maxRecords, "max-records", 0, "stop after so many input records")
	fl.BoolVar(&f.stdout, "stdout", false, "dry run: real sources, all sinks to stdout, nothing is committed on the cluster")
	fl.StringVar(&f.from, "from", "", "none: begin anew, with empty state; latest: the job's own newest checkpoint (the default); else the path of a savepoint")
	fl.StringVar(&f.offsets, "offsets", "", "what a savepoint's offsets mean on another cluster: same (copies with equal offsets) or timestamp")
	fl.BoolVarP(&f.yes, "yes", "y", false, "with --from PATH: replace the history the job has")
	fl.StringArrayVar(&f.reset, "reset", nil, "uid of a source that starts anew, or of a step that starts empty")
	fl.StringSliceVar(&f.accept, "accept", nil, "what may be lost or change: "+strings.Join(accepted[:], ", "))
}

// check refuses what the flags cannot mean.
func (f *runFlags) check() error {
	bad := func(format string, args ...any) error {
		return &exitError{code: exitUsage, text: fmt.Sprintf(format, args...)}
	}
	if err := f.checkFrom(); err != nil {
		return err
	}
	switch {
	case f.until < 0, f.maxRecords < 0, f.parallelism < 0:
		return bad("--until, --max-records and --parallelism cannot be negative")
	case f.embeddedDir != "" && !f.embedded:
		return bad("--embedded-dir needs --embedded")
	case f.embedded && f.brokers != "":
		return bad("--embedded and --brokers exclude each other")
	case f.embedded && f.stdout:
		return bad("--embedded and --stdout exclude each other: there is no real input")
	}
	if f.brokers != "" {
		f.env.set = append(f.env.set, "kafka.brokers="+f.brokers)
	}
	if f.parallelism > 0 {
		f.env.set = append(f.env.set, fmt.Sprintf("parallelism=%d", f.parallelism))
	}
	return nil
}

// runPipeline runs one job to its end.
func runPipeline(path string, f *runFlags) error {
	if err := f.check(); err != nil {
		return err
	}
	plan, err := loadPlan(path, &f.env)
	if err != nil {
		return err
	}
	if err := checkUIDs(plan, f.reset); err != nil {
		return err
	}
	setGC()
	s := newScreen(plan, path, f)
	log := newLog(plan.Spec.Log, f.verbose, s)
	env, err := prepareEnvironment(plan, f, log, s)
	if err != nil {
		return err
	}
	defer env.close()
	from, done, err := f.openFrom(s)
	if err != nil {
		return err
	}
	defer done()
	options := jobOptions(plan, f, env, log, s)
	options.From = from
	job := runtime.New(options)
	stopMetrics, err := serveMetrics(plan.Spec.Metrics, job, s)
	if err != nil {
		return err
	}
	defer stopMetrics()
	stopControl, err := serveControl(plan, path, job, log, s)
	if err != nil {
		return err
	}
	defer stopControl()
	return runJob(job, f, s, env)
}

func checkUIDs(plan *topology.Plan, reset []string) error {
	known := map[string]bool{}
	for _, s := range plan.Sources {
		known[s.Spec.UID] = true
	}
	for _, n := range plan.Stateful {
		known[n.UID] = true
	}
	for _, uid := range reset {
		if !known[uid] {
			return &exitError{code: exitUsage, text: fmt.Sprintf("--reset %s: the pipeline has no source or step with state of that uid", uid)}
		}
	}
	return nil
}

// environment is what the job stands on: a cluster, a state directory.
type environment struct {
	connect  func(context.Context) (*runtime.Client, error)
	stateDir string
	out      *bufio.Writer
	closers  []func() error
}

func (e *environment) close() {
	e.out.Flush()
	for i := len(e.closers) - 1; i >= 0; i-- {
		if err := e.closers[i](); err != nil {
			fmt.Fprintln(os.Stderr, "kstream: "+err.Error())
		}
	}
}

func prepareEnvironment(plan *topology.Plan, f *runFlags, log *slog.Logger, s *screen) (*environment, error) {
	e := &environment{out: bufio.NewWriterSize(os.Stdout, 64<<10)}
	e.stateDir = filepath.Join(plan.Spec.State.Dir, plan.Name, "0")
	config, err := kafkaConfig(plan.Spec.Kafka, log)
	if err != nil {
		return nil, err
	}
	switch {
	case f.embedded:
		err = e.embed(plan, f, s)
	case f.stdout:
		err = e.dry(plan, config, log)
	default:
		e.connect = connector(config)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

// embed starts a broker in the process and makes the topics of the pipeline.
func (e *environment) embed(plan *topology.Plan, f *runFlags, s *screen) error {
	dir := f.embeddedDir
	if dir == "" {
		temp, err := os.MkdirTemp("", "kstream-embedded-")
		if err != nil {
			return &exitError{code: exitEnvironment, text: err.Error()}
		}
		e.closers = append(e.closers, func() error { return os.RemoveAll(temp) })
		e.stateDir = filepath.Join(temp, "state")
	} else {
		e.stateDir = filepath.Join(dir, "state", plan.Name, "0")
	}
	broker, err := kafka.StartEmbedded(kafka.EmbeddedConfig{Dir: dir, Topics: pipelineTopics(plan), Logger: quietLog()})
	if err != nil {
		return environmentError(err)
	}
	e.closers = append(e.closers, broker.Close)
	e.connect = connector(kafka.Config{Brokers: []string{broker.Addr()}, ClientID: "kstream-" + plan.Name, Logger: quietLog()})
	s.line("! embedded broker at %s: for development only", broker.Addr())
	return nil
}

// embeddedPartitions is how many partitions a topic gets that does not say.
const embeddedPartitions = 4

func pipelineTopics(plan *topology.Plan) map[string]int32 {
	topics := map[string]int32{}
	for _, s := range plan.Sources {
		for _, t := range s.Spec.Topics {
			topics[t] = embeddedPartitions
		}
	}
	for _, s := range plan.Sinks {
		if s.Spec.Holes != nil && s.Spec.Create == nil {
			s.Spec.Create = &topology.CreateSpec{Partitions: embeddedPartitions}
		}
	}
	for _, o := range plan.Outputs() {
		topics[o.Topic] = embeddedPartitions
		if c := o.Create; c != nil && c.Partitions > 0 {
			topics[o.Topic] = int32(c.Partitions)
		}
	}
	return topics
}

// dry prepares run --stdout: sinks become stdout, the internal topics are on a
// broker in the process, the state is in a temporary directory.
func (e *environment) dry(plan *topology.Plan, config kafka.Config, log *slog.Logger) error {
	for _, s := range plan.Sinks {
		s.Spec.Topic, s.Spec.TopicText, s.Spec.Holes, s.Spec.Create = "", "", nil, nil
		s.Spec.File, s.Spec.Blackhole = nil, false
		if s.Spec.Stdout == nil {
			s.Spec.Stdout = &topology.StdoutSpec{Prefix: s.Spec.Name + ": "}
		}
		s.Spec.Partition.Kind = "key_hash"
	}
	if d := plan.Spec.DeadLetter; d != nil { // on the broker in the process, like the internal topics
		d.Topic, d.Create = plan.Spec.InternalTopics.Prefix+plan.Name+".dead-letters", &topology.CreateSpec{Partitions: 1}
	}
	temp, err := os.MkdirTemp("", "kstream-dry-")
	if err != nil {
		return &exitError{code: exitEnvironment, text: err.Error()}
	}
	e.closers = append(e.closers, func() error { return os.RemoveAll(temp) })
	e.stateDir = filepath.Join(temp, "state")
	broker, err := kafka.StartEmbedded(kafka.EmbeddedConfig{Logger: quietLog()})
	if err != nil {
		return environmentError(err)
	}
	e.closers = append(e.closers, broker.Close)
	inside := connector(kafka.Config{Brokers: []string{broker.Addr()}, ClientID: config.ClientID, Logger: quietLog()})
	e.connect = dryRun(connector(config), inside, plan.Spec.InternalTopics.Prefix+plan.Name+".")
	return nil
}

// unreachableHint is what may be wrong where no broker answers.
const unreachableHint = "is it running? kafka.brokers, KSTREAM_BROKERS or --brokers say where it is; --embedded of kstream run needs none"

func environmentError(err error) error {
	var k *record.KafkaError
	if errors.As(err, &k) && k.Op == "Connect" && k.Code == kafka.CodeUnreachable {
		return &exitError{code: exitEnvironment, text: k.Detail, hint: unreachableHint}
	}
	if errors.As(err, &k) && k.Exit != 0 {
		return &exitError{code: k.Exit, text: k.Error()}
	}
	return &exitError{code: exitEnvironment, text: err.Error()}
}

func jobOptions(plan *topology.Plan, f *runFlags, e *environment, log *slog.Logger, s *screen) runtime.Options {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return runtime.Options{
		Plan: plan, Connect: e.connect, FS: state.DiskFS(), Files: runtime.DiskFiles(), StateDir: e.stateDir, Log: log,
		Stdin: os.Stdin, Stdout: e.out, Host: host, PID: os.Getpid(), Version: version(),
		Random: rand.Uint64, Jitter: rand.Float64, Accept: f.accept, FromNone: f.from == "none",
		Reset: f.reset, Until: f.until, MaxRecords: f.maxRecords, Drain: f.drain,
		Parallelism: parallelismOf(plan), Events: s.event, Development: f.embedded,
	}
}

// parallelismOf is what auto means: one task per CPU, at most one per key group.
func parallelismOf(plan *topology.Plan) int {
	p := plan.Spec.Parallelism
	if p == 0 {
		p = goruntime.GOMAXPROCS(0)
	}
	return min(p, plan.MaxParallelism)
}

// serveMetrics starts the Prometheus endpoint.
func serveMetrics(spec topology.MetricsSpec, job *runtime.Job, s *screen) (stop func(), err error) {
	if spec.Listen == "" {
		return func() {}, nil
	}
	listener, err := net.Listen("tcp", spec.Listen)
	if err != nil {
		return nil, &exitError{code: exitEnvironment, text: "metrics.listen: " + err.Error()}
	}
	mux := http.NewServeMux()
	mux.Handle(spec.Path, job.MetricsHandler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	s.metrics = listener.Addr().String() + spec.Path
	return func() { server.Close(); <-done }, nil
}

// runJob runs the job while signals can stop it, and turns its end into an exit
// code. The second signal ends the process at once, as a kill would.
func runJob(job *runtime.Job, f *runFlags, s *screen, e *environment) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	done := make(chan runtime.Result, 1)
	go func() { done <- job.Run(context.Background()) }()
	s.follow(job)
	stopped := false
	for {
		select {
		case sig := <-signals:
			if stopped {
				s.end()
				e.out.Flush()
				if sig == os.Interrupt {
					os.Exit(exitInterrupted)
				}
				os.Exit(exitTerminated)
			}
			stopped = true
			mode := checkpoint.StopFinish
			if f.drain {
				mode = checkpoint.StopDrain
			}
			job.Stop(mode)
		case r := <-done:
			s.finished(job, r)
			switch {
			case r.Exit != 0 && f.asJSON:
				return &exitError{code: r.Exit} // the JobResult has told why
			case r.Exit != 0:
				return &exitError{code: r.Exit, text: r.Text, hint: r.Hint}
			}
			return nil
		}
	}
}

// gcPercent: the hot path makes little garbage, but every fetched batch is some,
// and memory that is fresh from the system costs more than a collection.
const gcPercent = 200

// setGC leaves a GOGC of the environment alone.
func setGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
