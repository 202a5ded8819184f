package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"kstream/runtime"
)

func stateExportCommand() *cobra.Command {
	var f stateFlags
	var format string
	cmd := &cobra.Command{
		Use: "export PATH UID", Short: "Write all that a step remembers in a savepoint",
		Long:    "Writes every row as JSON Lines to standard output, in order of key groups, windows\nand keys. The savepoint is verified first.",
		Example: "  kstream state export savepoints/orders/2026-11-02T101640Z-000438 totals/aggregate > totals.jsonl",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := outputFormat(cmd, "text", "json"); err != nil {
				return err
			}
			if format != "jsonl" {
				return &exitError{code: exitUsage, text: fmt.Sprintf("--format %.40s is not jsonl", format)}
			}
			ctx, stop := untilSignal()
			defer stop()
			w := bufio.NewWriterSize(os.Stdout, 64<<10)
			err := f.viewSavepoint(ctx, args[0], args[1:], func(v *runtime.StateView) error {
				_, err := v.Rows(runtime.StateQuery{UID: args[1]}, func(l *runtime.StateLine) error {
					_, err := w.Write(append(l.JSON, '\n'))
					return err
				})
				return err
			})
			if err != nil {
				return err
			}
			return w.Flush()
		},
	}
	f.env.register(cmd)
	f.registerPipeline(cmd)
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl")
	return cmd
}

func stateDiffCommand() *cobra.Command {
	var f stateFlags
	var uid string
	var exitCode bool
	cmd := &cobra.Command{
		Use: "diff PATH PATH", Short: "Compare the state of two savepoints",
		Long: `Shows the rows that only the second savepoint has (+), that only the first has
(-), and those with another value (~). Values are compared, not the times at which
they expire.

Exit codes: 0 done, also with differences · 2 wrong usage · 3 the pipeline is
invalid · 5 environment · 6 state refused · 7 no such savepoint or step
· 9 with --exit-code, if there are differences`,
		Example: "  kstream state diff savepoints/orders/A savepoints/orders/B\n  kstream state diff A B --uid totals/aggregate --exit-code -o json",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json")
			if err != nil {
				return err
			}
			ctx, stop := untilSignal()
			defer stop()
			w := bufio.NewWriter(os.Stdout)
			d := &stateDiff{format: format, out: w}
			if err := f.diff(ctx, args, uid, d); err != nil {
				return err
			}
			if err := w.Flush(); err != nil {
				return err
			}
			if format == "text" {
				fmt.Fprintf(os.Stderr, "%d added, %d removed, %d changed\n", d.added, d.removed, d.changed)
			}
			if exitCode && d.added+d.removed+d.changed > 0 {
				return &exitError{code: exitDiffers}
			}
			return nil
		},
	}
	f.env.register(cmd)
	cmd.Flags().StringVar(&f.pipeline, "pipeline", "", "pipeline file of both savepoints, instead of those in them")
	cmd.Flags().StringVar(&uid, "uid", "", "compare this step only")
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 9 if there are differences")
	return cmd
}

// diff opens both savepoints and compares them.
func (f *stateFlags) diff(ctx context.Context, paths []string, uid string, d *stateDiff) error {
	var uids []string
	if uid != "" {
		uids = []string{uid}
	}
	return f.viewSavepoint(ctx, paths[0], uids, func(a *runtime.StateView) error {
		return f.viewSavepoint(ctx, paths[1], uids, func(b *runtime.StateView) error {
			return runtime.DiffState(a, b, uid, d.show)
		})
	})
}

// stateDiff prints differences.
type stateDiff struct {
	format                  string
	out                     io.Writer
	added, removed, changed int
}

// stateChange is one difference as -o json shows it.
type stateChange struct {
	Op     string          `json:"op"` // added, removed, changed
	UID    string          `json:"uid"`
	Key    json.RawMessage `json:"key"`
	Window json.RawMessage `json:"window"`
	Old    json.RawMessage `json:"old,omitempty"`
	New    json.RawMessage `json:"new,omitempty"`
}

func (d *stateDiff) show(c *runtime.StateChange) error {
	sign, op := "~", "changed"
	switch {
	case c.Old == "":
		sign, op = "+", "added"
		d.added++
	case c.New == "":
		sign, op = "-", "removed"
		d.removed++
	default:
		d.changed++
	}
	if d.format == "json" {
		b, err := json.Marshal(stateChange{Op: op, UID: c.UID, Key: json.RawMessage(c.Key), Window: json.RawMessage(c.Window),
			Old: rawOrNil(c.Old), New: rawOrNil(c.New)})
		if err == nil {
			_, err = d.out.Write(append(b, '\n'))
		}
		return err
	}
	window := ""
	if c.Window != "null" {
		window = " " + c.Window
	}
	values := slices.DeleteFunc([]string{c.Old, c.New}, func(s string) bool { return s == "" })
	text := values[0]
	if len(values) == 2 {
		text += " -> " + values[1]
	}
	_, err := fmt.Fprintf(d.out, "%s %s %s%s %s\n", sign, c.UID, plainJSON(json.RawMessage(c.Key)), window, text)
	return err
}

func rawOrNil(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}
