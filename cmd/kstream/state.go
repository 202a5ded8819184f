package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kstream/control"
	"kstream/runtime"
)

func stateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Look at what the steps of a job remember",
		Long: `Shows the state of a running job as of its last committed checkpoint, without
stopping it; of a savepoint (--savepoint); or, when no instance answers and a FILE
is given, of the newest checkpoint on the cluster, which is only read.

Rows are JSON: {"key", "window", "value", "ttl", "epoch"}. The value has the
names and the results of the step; ttl is when state_ttl ends the row.`,
		Example: "  kstream state ls page-views\n  kstream state get page-views per_minute/aggregate /a\n  kstream state scan pipeline.yaml per_minute/aggregate --where 'views > 100'",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(stateListCommand(), stateGetCommand(), stateScanCommand(), stateExportCommand(), stateDiffCommand())
	return cmd
}

func stateListCommand() *cobra.Command {
	var f stateFlags
	cmd := &cobra.Command{
		Use: "ls NAME|FILE", Short: "List the steps with state, their keys and sizes",
		Long:    "Keys of windows are counted in each window, or in each part of one where windows\noverlap. Of more than a million entries the number is an estimate, marked with ~.",
		Example: "  kstream state ls page-views\n  kstream state ls pipeline.yaml -o json\n  kstream state ls --savepoint savepoints/orders/2026-11-02T101640Z-000438",
		Args:    f.args(1), ValidArgsFunction: jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json", "name")
			if err != nil {
				return err
			}
			var l *control.StateList
			err = f.look(cmd, args, nil, stateLook{
				live: func(ctx context.Context, c *control.Client) (err error) { l, err = c.State(ctx); return err },
				view: func(v *runtime.StateView) (err error) { l, err = stateList(v); return err },
			})
			if err != nil {
				return err
			}
			return printStateList(format, l)
		},
	}
	f.register(cmd)
	return cmd
}

func stateGetCommand() *cobra.Command {
	var f stateFlags
	var q control.StateQuery
	cmd := &cobra.Command{
		Use: "get NAME|FILE UID KEY", Short: "Show what a step remembers of a key",
		Long:    "KEY is text or JSON: /a, 42, '{\"region\":\"eu\",\"id\":7}'. Of a step with windows every\nwindow of the key is shown, or that with the start --window. Exit code 7 if there\nis nothing.",
		Example: "  kstream state get page-views per_minute/aggregate /a --window 2026-11-02T10:16:00Z -o json\n  kstream state get --savepoint PATH totals/aggregate 42",
		Args:    f.args(3), ValidArgsFunction: jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json")
			if err != nil {
				return err
			}
			q.UID, q.Key = args[len(args)-2], &args[len(args)-1]
			rows, err := f.rows(cmd, args, q)
			if err != nil {
				return err
			}
			if len(rows.Rows) == 0 {
				text := fmt.Sprintf("%s remembers nothing of the key %s", q.UID, *q.Key)
				if q.Window != "" {
					text += " in the window that begins at " + q.Window
				}
				return &exitError{code: exitMissing, text: text + fmt.Sprintf(", as of checkpoint %d", rows.Epoch)}
			}
			return printStateRows(format, rows)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&q.Window, "window", "", "the window that begins at this time, RFC 3339")
	return cmd
}

func stateScanCommand() *cobra.Command {
	var f stateFlags
	var q control.StateQuery
	cmd := &cobra.Command{
		Use: "scan NAME|FILE UID", Short: "Show what a step remembers, as JSON Lines",
		Long: `Rows come in order of key groups, windows and keys.

--where is an expression over key, window.start, window.end, value, ttl and the
fields of the value, which also have their own names: 'views > 100',
'key startsWith "/a" and value.users > 3'.`,
		Example: "  kstream state scan page-views per_minute/aggregate --prefix /shop/ --limit 20\n  kstream state scan pipeline.yaml totals/aggregate --where 'total > 1000 and key != \"test\"'",
		Args:    f.args(2), ValidArgsFunction: jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := outputFormat(cmd, "text", "json"); err != nil {
				return err
			}
			if q.Limit < 1 {
				return &exitError{code: exitUsage, text: fmt.Sprintf("--limit %d is less than 1", q.Limit)}
			}
			q.UID = args[len(args)-1]
			rows, err := f.rows(cmd, args, q)
			if err != nil {
				return err
			}
			if rows.More {
				fmt.Fprintf(os.Stderr, "kstream: there are more than %d rows; --limit shows more, `kstream state export` all of a savepoint\n", len(rows.Rows))
			}
			return printStateRows("json", rows)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&q.Prefix, "prefix", "", "only keys that begin with this text")
	cmd.Flags().StringVar(&q.Window, "window", "", "only the windows that begin at this time, RFC 3339")
	cmd.Flags().StringVar(&q.Where, "where", "", "only rows for which this expression is true")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "most rows; at most 10000 of a running job")
	return cmd
}

// rows answers a query from where the state is.
func (f *stateFlags) rows(cmd *cobra.Command, args []string, q control.StateQuery) (*control.StateRows, error) {
	var rows *control.StateRows
	return rows, f.look(cmd, args, []string{q.UID}, stateLook{
		live: func(ctx context.Context, c *control.Client) (err error) {
			if q.Key == nil && q.Limit > control.MaxStateRows {
				return &exitError{code: exitUsage, text: fmt.Sprintf("--limit of a running job is at most %d", control.MaxStateRows),
					hint: "take a savepoint, and `kstream state export` it"}
			}
			rows, err = c.StateRows(ctx, q)
			return err
		},
		view: func(v *runtime.StateView) (err error) {
			rows, err = stateRows(v, q, 0)
			return err
		},
	})
}

// stateList is what a view has stored.
func stateList(v *runtime.StateView) (*control.StateList, error) {
	all, err := v.List()
	if err != nil {
		return nil, err
	}
	l := control.NewStateList(v.Epoch)
	for _, s := range all {
		item := control.StoredState{UID: s.UID, Operator: s.Operator, KeyType: s.KeyType, Window: s.Window,
			Keys: s.Keys, Entries: s.Entries, Bytes: s.Bytes, Estimated: s.Estimated}
		if s.TTL > 0 {
			text := s.TTL.String()
			item.TTL = &text
		}
		l.Items = append(l.Items, item)
	}
	return l, nil
}

// stateRows are the rows of a view that a query wants, about maxBytes of them; 0
// is no limit.
func stateRows(v *runtime.StateView, q control.StateQuery, maxBytes int) (*control.StateRows, error) {
	rows := control.NewStateRows(v.Epoch)
	size := 0
	more, err := v.Rows(runtime.StateQuery(q), func(l *runtime.StateLine) error {
		if size += len(l.JSON); maxBytes > 0 && size > maxBytes && len(rows.Rows) > 0 {
			return errStateSize
		}
		rows.Rows = append(rows.Rows, json.RawMessage(l.JSON))
		return nil
	})
	if errors.Is(err, errStateSize) {
		more, err = true, nil
	}
	rows.More = more
	return rows, err
}

var errStateSize = errors.New("the answer is large enough")

func printStateList(format string, l *control.StateList) error {
	if format == "json" {
		return writeJSON(os.Stdout, l)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
	if format == "text" {
		fmt.Fprintln(w, "STEP\tOPERATOR\tKEY\tWINDOW\tKEYS\tSIZE\tTTL")
	}
	for _, s := range l.Items {
		if format == "name" {
			fmt.Fprintln(w, s.UID)
			continue
		}
		about, ttl := "", "-"
		if s.Estimated {
			about = "~"
		}
		if s.TTL != nil {
			ttl = *s.TTL
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s%d\t%s%s\t%s\n", s.UID, s.Operator, s.KeyType, orDash(s.Window), about, s.Keys, about, sizeText(s.Bytes), ttl)
	}
	if format == "text" {
		fmt.Fprintf(w, "\nas of checkpoint %d\n", l.Epoch)
	}
	return w.Flush()
}

// printStateRows prints JSON Lines, or a table.
func printStateRows(format string, rows *control.StateRows) error {
	if format == "json" {
		for _, r := range rows.Rows {
			if _, err := os.Stdout.Write(append(r, '\n')); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "KEY\tWINDOW\tVALUE\tTTL")
	for _, r := range rows.Rows {
		var row struct {
			Key, Value json.RawMessage
			Window     *struct{ Start, End json.RawMessage }
			TTL        *string
			Error      string
		}
		if err := json.Unmarshal(r, &row); err != nil {
			return &exitError{code: exitEnvironment, text: "the answer cannot be read: " + err.Error()}
		}
		window, ttl := "-", "-"
		if row.Window != nil {
			window = plainJSON(row.Window.Start) + " to " + plainJSON(row.Window.End)
		}
		if row.TTL != nil {
			ttl = *row.TTL
		}
		value := string(row.Value)
		if row.Error != "" {
			value = "no value: " + row.Error
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", plainJSON(row.Key), window, value, ttl)
	}
	fmt.Fprintf(w, "\nas of checkpoint %d\n", rows.Epoch)
	return w.Flush()
}

// plainJSON is JSON without the quotes of a text that can do without them.
func plainJSON(b json.RawMessage) string {
	var text string
	if json.Unmarshal(b, &text) == nil && strconv.Quote(text) == `"`+text+`"` {
		return text
	}
	return string(b)
}

// controlledState is what the control API offers of the state of a job.
func controlledState(job *runtime.Job, c *control.Job) {
	c.State = func(ctx context.Context) (l *control.StateList, err error) {
		err = job.View(ctx, func(v *runtime.StateView) (err error) { l, err = stateList(v); return err })
		return l, controlError(err)
	}
	c.StateRows = func(ctx context.Context, q control.StateQuery) (rows *control.StateRows, err error) {
		ctx, cancel := context.WithTimeout(ctx, stateTimeout)
		defer cancel()
		err = job.View(ctx, func(v *runtime.StateView) (err error) {
			rows, err = stateRows(v, q, control.MaxStateBytes)
			return err
		})
		return rows, controlError(err)
	}
}

// stateTimeout is the longest a request holds a snapshot of the store, which
// keeps what has been replaced since on disk.
const stateTimeout = 10 * time.Minute
