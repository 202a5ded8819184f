package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kstream/internal/kafka"
	"kstream/record"
	"kstream/runtime"
	"kstream/source/nexmark"
	"kstream/topology"
)

func nexmarkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "nexmark", Short: "The event stream of the Nexmark benchmark",
		Example: "  kstream nexmark generate --count 10",
		Args:    cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(nexmarkGenerateCommand())
	return cmd
}

// nexmarkFlags are the fields of the nexmark source as flags; their values are
// read and checked as in a pipeline file.
var nexmarkFlags = []struct{ name, usage string }{
	{"count", "number of events; endless without it"},
	{"rate", "events per second of event time, 100000/s without it"},
	{"seed", "the same seed gives the same events"},
	{"base-time", "event time of the first event"},
	{"out-of-order", "size of the groups within which events are mixed"},
	{"escapes", "texts with backslashes"},
	{"pace", "max, or event_time: as fast as event time passes"},
	{"person-proportion", "persons among the events"},
	{"auction-proportion", "auctions among the events"},
	{"bid-proportion", "bids among the events"},
}

type nexmarkTarget struct {
	topic, brokers string
	partitions     int32
	set            []string
}

func nexmarkGenerateCommand() *cobra.Command {
	var to nexmarkTarget
	var from int64
	cmd := &cobra.Command{
		Use: "generate", Short: "Write Nexmark events as JSON Lines, or into a topic",
		Long: `Writes the events of the nexmark source, one JSON object per line: the same
bytes for the same flags, on every machine. With --topic they go to Kafka, without
a key, with the event time as timestamp; position p goes to partition
p / 100 mod partitions.`,
		Example: "  kstream nexmark generate --count 10\n  kstream nexmark generate --seed 42 --rate 1000/s --count 100000 --topic nexmark --partitions 4",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to.topic == "" && (to.partitions != 0 || to.brokers != "") || from < 0 || to.partitions < 0 {
				return &exitError{code: exitUsage, text: "--brokers and --partitions go with --topic; no number may be negative"}
			}
			spec, err := nexmarkSpec(cmd.Flags(), &to)
			if err != nil {
				return err
			}
			// The first signal ends the stream behind a whole event.
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			if to.topic != "" {
				return nexmarkToTopic(ctx, spec, from, &to)
			}
			return nexmarkToStdout(ctx, spec.Sources[0].Nexmark, from)
		},
	}
	fl := cmd.Flags()
	for _, f := range nexmarkFlags {
		fl.String(f.name, "", f.usage)
	}
	fl.Lookup("escapes").NoOptDefVal = "true"
	fl.Int64Var(&from, "from", 0, "position of the first event; --count counts from 0 all the same")
	fl.StringVar(&to.topic, "topic", "", "write to this topic instead of standard output")
	fl.StringVar(&to.brokers, "brokers", "", "Kafka addresses: host:9092,host:9092")
	fl.Int32Var(&to.partitions, "partitions", 0, "create the topic with so many partitions if it is missing")
	fl.StringArrayVar(&to.set, "set", nil, "a setting of the connection by its path: --set kafka.tls=true")
	return cmd
}

// nexmarkPipeline is what the flags are filled into, so that they mean what they
// mean in a pipeline file.
const nexmarkPipeline = "version: 1\nname: nexmark\nsource: {nexmark: {}}\nsink: {blackhole: {}}\n"

func nexmarkSpec(fl *pflag.FlagSet, to *nexmarkTarget) (*topology.Spec, error) {
	var set []string
	flagOf := map[string]string{}
	for _, f := range nexmarkFlags {
		if fl.Changed(f.name) {
			path := "source.nexmark." + strings.ReplaceAll(f.name, "-", "_")
			flagOf["/"+strings.ReplaceAll(path, ".", "/")] = "--" + f.name
			set = append(set, path+"="+fl.Lookup(f.name).Value.String())
		}
	}
	if to.brokers != "" {
		flagOf["/kafka/brokers"] = "--brokers"
		set = append(set, "kafka.brokers="+to.brokers)
	}
	spec, found := topology.Load("nexmark", []byte(nexmarkPipeline), topology.Options{
		Env: os.LookupEnv, ReadFile: os.ReadFile, Set: append(set, to.set...)})
	if len(found) == 0 {
		return spec, nil
	}
	var text, hint []string
	for _, d := range found {
		where := flagOf[d.Path]
		if where == "" {
			where = d.Path
		}
		text = append(text, where+": "+d.Message)
		if d.Hint != "" {
			hint = append(hint, where+": "+d.Hint)
		}
	}
	return nil, &exitError{code: exitUsage, text: strings.Join(text, "; "), hint: strings.Join(hint, "; ")}
}

// pacer holds events back until their time has passed since the start.
type pacer struct {
	perSecond float64 // 0: never
	began     time.Time
	made      int64
}

func newPacer(s *topology.NexmarkSpec) *pacer {
	p := &pacer{began: time.Now()}
	if s.EventTimePace {
		p.perSecond = s.Rate
	}
	return p
}

// paceSlice is how far the clock may be ahead before the pacer sleeps: a timer
// for every event would be the limit.
const paceSlice = 10 * time.Millisecond

// wait returns when the next event is due; due tells whether it did wait.
func (p *pacer) wait(ctx context.Context) (waited bool) {
	p.made++
	if p.perSecond == 0 {
		return false
	}
	due := p.began.Add(time.Duration(float64(p.made) / p.perSecond * float64(time.Second)))
	left := time.Until(due)
	if left <= paceSlice {
		return false
	}
	select {
	case <-time.After(left):
	case <-ctx.Done():
	}
	return true
}

func nexmarkToStdout(ctx context.Context, s *topology.NexmarkSpec, from int64) error {
	g, err := runtime.NewNexmark(s)
	if err != nil {
		return &exitError{code: exitUsage, text: err.Error()}
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	pace := newPacer(s)
	var line []byte
	for p := from; (s.Count < 0 || p < s.Count) && ctx.Err() == nil; p++ {
		if pace.wait(ctx) {
			if err := out.Flush(); err != nil {
				return brokenOutput(err)
			}
		}
		line, _ = g.Append(line[:0], p)
		if _, err := out.Write(append(line, '\n')); err != nil {
			return brokenOutput(err)
		}
	}
	return brokenOutput(out.Flush())
}

// brokenOutput is nil for a reader that has seen enough.
func brokenOutput(err error) error {
	if err == nil || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return &exitError{code: exitEnvironment, text: "write standard output: " + err.Error()}
}

func nexmarkToTopic(ctx context.Context, spec *topology.Spec, from int64, to *nexmarkTarget) error {
	s := spec.Sources[0].Nexmark
	g, err := runtime.NewNexmark(s)
	if err != nil {
		return &exitError{code: exitUsage, text: err.Error()}
	}
	config, err := kafkaConfig(spec.Kafka, quietLog())
	if err != nil {
		return err
	}
	cluster, err := kafka.Connect(ctx, config)
	if err != nil {
		return &exitError{code: exitEnvironment, text: err.Error()}
	}
	defer cluster.Close()
	partitions, err := openTopic(ctx, cluster, to)
	if err != nil {
		return err
	}
	w, err := kafka.NewWriter(cluster)
	if err != nil {
		return &exitError{code: exitEnvironment, text: err.Error()}
	}
	defer w.Close()
	began := time.Now()
	written, err := writeEvents(ctx, w, g, s, from, record.Message{Topic: to.topic}, partitions)
	if err == nil {
		err = w.Flush(context.WithoutCancel(ctx))
	}
	if err != nil {
		return &exitError{code: exitEnvironment, text: "write to " + to.topic + ": " + err.Error()}
	}
	fmt.Fprintf(os.Stderr, "%s in %s, topic %s, %s\n", count(int(written), "event"), time.Since(began).Round(time.Millisecond), to.topic, count(int(partitions), "partition"))
	return nil
}

func writeEvents(ctx context.Context, w *kafka.Writer, g *nexmark.Generator, s *topology.NexmarkSpec, from int64, m record.Message, partitions int32) (int64, error) {
	pace := newPacer(s)
	p := from
	for ; (s.Count < 0 || p < s.Count) && ctx.Err() == nil; p++ {
		pace.wait(ctx)
		m.Value, m.Time = g.Append(m.Value[:0], p)
		m.Partition = nexmark.Partition(p, partitions)
		if err := w.Write(&m); err != nil {
			return p - from, err
		}
	}
	return p - from, nil
}

// openTopic finds or makes the topic and gives its number of partitions.
func openTopic(ctx context.Context, cluster *kafka.Cluster, to *nexmarkTarget) (int32, error) {
	ask := func() (int32, error) {
		known, err := cluster.Topics(ctx, []string{to.topic})
		if err != nil {
			return 0, &exitError{code: exitEnvironment, text: err.Error()}
		}
		return int32(known[to.topic].Partitions), nil
	}
	n, err := ask()
	if err != nil || n > 0 {
		return n, err
	}
	if to.partitions == 0 {
		return 0, &exitError{code: exitEnvironment, text: "the cluster has no topic " + strconv.Quote(to.topic), hint: "--partitions 4 makes it"}
	}
	if err := cluster.CreateTopic(ctx, record.NewTopic{Name: to.topic, Partitions: to.partitions, Existing: true}); err != nil {
		return 0, &exitError{code: exitEnvironment, text: "create " + to.topic + ": " + err.Error()}
	}
	return ask()
}
