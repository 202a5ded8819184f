package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kstream/checkpoint"
	"kstream/runtime"
	"kstream/topology"
)

func planCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use: "plan FILE", Short: "Show what a changed pipeline means for the state there is",
		Long: `Compares a pipeline file with the newest checkpoint of the job, or with a savepoint,
and says what becomes of every source, sink and step with state. Nothing is
changed. "kstream run" refuses what is refused here.

Exit codes: 0 accepted as it is · 6 refused, or needs --accept · 9 with
--exit-code, where it would be 0 and anything differs`,
		Example: "  kstream plan pipeline.yaml\n  kstream plan pipeline.yaml --from savepoints/orders/2026-11-02T101640Z-000438\n  kstream plan pipeline.yaml --accept new-state --exit-code",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json")
			if err != nil {
				return err
			}
			return f.show(args[0], format)
		},
	}
	f.env.register(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.brokers, "brokers", "", "Kafka addresses, wins over kafka.brokers: host:9092,host:9092")
	fl.StringVar(&f.from, "from", "latest", "latest: the newest checkpoint of the job; else the path of a savepoint")
	fl.StringSliceVar(&f.accept, "accept", nil, "what may be lost: new-state, dropped-state, rekeyed, renamed-job")
	fl.StringArrayVar(&f.reset, "reset", nil, "uid of a source that starts anew, or of a step that starts empty")
	fl.BoolVar(&f.exitCode, "exit-code", false, "exit with 9 if anything differs")
	return cmd
}

type planFlags struct {
	env      envFlags
	brokers  string
	from     string
	accept   []string
	reset    []string
	exitCode bool
}

// restored is what a plan would go on from.
type restored struct {
	record *checkpoint.Record
	from   string // for people
	sizes  map[string]int64
	saved  bool
}

func (f *planFlags) show(path, format string) error {
	if f.brokers != "" {
		f.env.set = append(f.env.set, "kafka.brokers="+f.brokers)
	}
	plan, err := loadPlan(path, &f.env)
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	old, err := f.old(ctx, plan)
	if err != nil {
		return err
	}
	in := checkpoint.Intent{Reset: map[string]bool{}, Moved: plan.Spec.Moved, Accept: f.accept, Restored: old.saved}
	for _, uid := range f.reset {
		in.Reset[uid] = true
	}
	changes := checkpoint.Compare(old.record.Plan, runtime.Fingerprint(plan), in)
	if old.saved && old.record.Pipeline != plan.Name {
		renamed := checkpoint.Change{Mark: checkpoint.MarkChanged, UID: "name", Text: old.record.Pipeline + " -> " + plan.Name,
			Verdict: checkpoint.Asked, Needs: checkpoint.AcceptRenamedJob}
		for _, a := range f.accept {
			if a == renamed.Needs {
				renamed.Verdict = checkpoint.Accepted
			}
		}
		changes = append([]checkpoint.Change{renamed}, changes...)
	}
	if format == "json" {
		err = writeJSON(os.Stdout, planJSON(plan, old, changes))
	} else {
		err = printPlan(os.Stdout, plan, path, old, changes)
	}
	if err != nil {
		return err
	}
	return f.exit(changes)
}

// exit is the exit code of what was shown.
func (f *planFlags) exit(changes []checkpoint.Change) error {
	if ok, _, _ := checkpoint.Decide(changes); !ok {
		return &exitError{code: exitState}
	}
	if !f.exitCode {
		return nil
	}
	for _, c := range changes {
		if c.Mark != checkpoint.MarkSame {
			return &exitError{code: exitDiffers}
		}
	}
	return nil
}

// old is the state that the pipeline would go on from.
func (f *planFlags) old(ctx context.Context, plan *topology.Plan) (*restored, error) {
	if f.from != "latest" {
		sp, done, err := openSavepoint(ctx, f.from, false)
		if err != nil {
			return nil, err
		}
		defer done()
		r := &restored{record: sp.Checkpoint.Record(), saved: true, sizes: map[string]int64{}}
		for _, s := range sp.Checkpoint.Stores {
			r.sizes[s.UID] = s.Bytes
		}
		r.from = fmt.Sprintf("restoring the savepoint of checkpoint %d (%s, %s)", r.record.Epoch, sp.Checkpoint.Committed.Format("2006-01-02 15:04:05Z"), sizeText(sp.Manifest.Bytes))
		return r, nil
	}
	config, err := kafkaConfig(plan.Spec.Kafka, quietLog())
	if err != nil {
		return nil, err
	}
	client, err := connector(config)(ctx)
	if err != nil {
		return nil, environmentError(err)
	}
	defer client.Close()
	record, err := runtime.Newest(ctx, plan, client)
	if err != nil {
		return nil, commandError(err)
	}
	return &restored{record: record, from: fmt.Sprintf("restoring checkpoint %d (%s)", record.Epoch,
		time.UnixMilli(int64(record.Wall)).UTC().Format("2006-01-02 15:04:05Z"))}, nil
}

func printPlan(w io.Writer, plan *topology.Plan, path string, old *restored, changes []checkpoint.Change) error {
	fmt.Fprintf(w, "%s: %s into %s\n\n", plan.Name, old.from, path)
	width := 0
	for _, c := range changes {
		width = max(width, len(c.UID))
	}
	same, asked, refused := 0, 0, 0
	for _, c := range changes {
		text := c.Text
		if size, ok := old.sizes[c.UID]; ok && c.Mark == checkpoint.MarkGone {
			text = sizeText(size) + " of state"
		}
		line := fmt.Sprintf("  %c %-*s  %s", c.Mark, width, c.UID, text)
		switch c.Verdict {
		case checkpoint.Asked:
			asked++
			line = fmt.Sprintf("%-70s  needs --accept %s", line, c.Needs)
		case checkpoint.Refused:
			refused++
			line = fmt.Sprintf("%-70s  refused: incompatible", line)
		default:
			same++
		}
		fmt.Fprintln(w, line)
		if c.Hint != "" {
			fmt.Fprintln(w, "      "+c.Hint)
		}
	}
	var sum []string
	if refused > 0 {
		sum = append(sum, fmt.Sprintf("%d refused", refused))
	}
	if asked > 0 {
		sum = append(sum, fmt.Sprintf("%d need your word", asked))
	}
	sum = append(sum, fmt.Sprintf("%d unchanged or accepted", same))
	_, err := fmt.Fprintf(w, "\n%s. Nothing was changed.\n", strings.Join(sum, ", "))
	return err
}

// changeJSON is one change as -o json shows it.
type changeJSON struct {
	UID     string `json:"uid"`
	Mark    string `json:"mark"` // = ~ + - !
	Text    string `json:"text"`
	Verdict string `json:"verdict"` // accepted, asked, refused
	Needs   string `json:"needs,omitempty"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
}

func planJSON(plan *topology.Plan, old *restored, changes []checkpoint.Change) any {
	out := struct {
		Kind       string       `json:"kind"`
		Version    int          `json:"version"`
		Name       string       `json:"name"`
		Checkpoint uint64       `json:"checkpoint"`
		Accepted   bool         `json:"accepted"`
		Changes    []changeJSON `json:"changes"`
	}{Kind: "Plan", Version: 1, Name: plan.Name, Checkpoint: uint64(old.record.Epoch), Changes: []changeJSON{}}
	out.Accepted, _, _ = checkpoint.Decide(changes)
	for _, c := range changes {
		out.Changes = append(out.Changes, changeJSON{UID: c.UID, Mark: string(c.Mark), Text: c.Text, Needs: c.Needs, Hint: c.Hint, Warning: c.Warning,
			Verdict: [...]string{"accepted", "asked", "refused"}[c.Verdict], Bytes: old.sizes[c.UID]})
	}
	return out
}
