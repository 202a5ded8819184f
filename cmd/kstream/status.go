package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kstream/control"
)

// watchEvery is how often -w looks again.
const watchEvery = 2 * time.Second

func statusCommand() *cobra.Command {
	cmd := asking("status NAME", "Show what a running job is doing",
		"Shows state, lag, watermark and checkpoints of a running job. Figures of operators\nare those of its last checkpoint. With -w it is shown again every two seconds, as\nJSON Lines with -o json.",
		"  kstream status page-views\n  kstream status page-views --operators -w",
		func(ctx context.Context, c *control.Client, s *control.JobStatus, cmd *cobra.Command, _ []string) error {
			format, err := outputFormat(cmd, "text", "json")
			if err != nil {
				return err
			}
			operators, _ := cmd.Flags().GetBool("operators")
			watch, _ := cmd.Flags().GetBool("watch")
			for {
				if err := printStatus(os.Stdout, s, format, operators, watch); err != nil || !watch {
					return err
				}
				select {
				case <-time.After(watchEvery):
				case <-ctx.Done():
					return nil
				}
				if s, err = c.Status(ctx); err != nil {
					return err
				}
			}
		})
	cmd.Flags().Bool("operators", false, "a line for every operator")
	cmd.Flags().BoolP("watch", "w", false, "show it again every two seconds")
	return cmd
}

func printStatus(out io.Writer, s *control.JobStatus, format string, operators, watch bool) error {
	if format == "json" {
		if watch {
			return json.NewEncoder(out).Encode(s)
		}
		return writeJSON(out, s)
	}
	watermark := "-"
	if s.Watermark != nil {
		watermark = *s.Watermark
	}
	fmt.Fprintf(out, "%s   %s %s   restarts %d   lag %d records   watermark %s   parallelism %d\n",
		s.Name, strings.ToUpper(s.State), durationText(time.Duration(s.UptimeS)*time.Second), s.Restarts, s.Lag.Records, watermark, s.Parallelism)
	if last := s.Checkpoint.Last; last != nil {
		age := "before this start"
		if !last.CommittedAt.IsZero() {
			age = durationText(time.Since(last.CommittedAt)) + " ago, " + (time.Duration(last.DurationMS) * time.Millisecond).String() + ", " + sizeText(last.Bytes)
		}
		fmt.Fprintf(out, "checkpoint   %d committed %s   failed in last hour: %d\n", last.ID, age, s.Checkpoint.Failed1h)
	} else {
		fmt.Fprintln(out, "checkpoint   none yet")
	}
	if !operators {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "OPERATOR\tKIND\tPAR\tIN/s\tOUT/s\tIN\tOUT\tSTATE\tWATERMARK")
	for _, o := range s.Operators {
		size, mark := "-", "-"
		if o.StateBytes > 0 {
			size = sizeText(o.StateBytes)
		}
		if o.Watermark != "" {
			mark = o.Watermark
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", o.UID, o.Operator, o.Tasks, o.InPerS, o.OutPerS, o.In, o.Out, size, mark)
	}
	return w.Flush()
}

// durationText is a duration in its two largest units.
func durationText(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return strings.TrimSuffix(d.Round(time.Second).String(), "0s")
	}
	return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
}

// jobLine is one line of ps.
type jobLine struct {
	Name        string `json:"name"`
	State       string `json:"state"`
	UptimeS     int64  `json:"uptime_s"`
	Parallelism int    `json:"parallelism"`
	Checkpoint  uint64 `json:"checkpoint"`
	Lag         int64  `json:"lag"`
	Restarts    int64  `json:"restarts"`
	PID         int    `json:"pid"`
	API         string `json:"api"`
	File        string `json:"file"`
}

func psCommand() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "ps", Aliases: []string{"list"}, Short: "List the jobs that run on this machine",
		Long:    "Lists the jobs of this user that run on this machine and have their control API on.",
		Example: "  kstream ps\n  kstream ps -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format, err := outputFormat(cmd, "text", "json", "name")
			if err != nil {
				return err
			}
			a, err := newAsker(cmd)
			if err != nil {
				return err
			}
			for {
				if err := a.list(format); err != nil || !watch {
					return err
				}
				time.Sleep(watchEvery)
			}
		},
	}
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "list them again every two seconds")
	return cmd
}

// list prints one line for every job that answers; one that does not is said so.
func (a *asker) list(format string) error {
	files, err := announced()
	if err != nil {
		return err
	}
	ctx, stop := a.context()
	defer stop()
	lines := []jobLine{}
	for _, f := range files {
		line := jobLine{Name: f.Name, State: "no answer", PID: f.PID, API: f.URL, File: f.File}
		if s, err := control.NewClient(f.URL, a.token).Status(ctx); err == nil {
			line.State, line.UptimeS, line.Parallelism = s.State, s.UptimeS, s.Parallelism
			line.Lag, line.Restarts = s.Lag.Records, s.Restarts
			if last := s.Checkpoint.Last; last != nil {
				line.Checkpoint = last.ID
			}
		}
		lines = append(lines, line)
	}
	switch format {
	case "json":
		return writeJSON(os.Stdout, struct {
			Kind    string    `json:"kind"`
			Version int       `json:"version"`
			Items   []jobLine `json:"items"`
		}{"JobList", 1, lines})
	case "name":
		for _, l := range lines {
			fmt.Println(l.Name)
		}
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tSTATE\tUPTIME\tPARALLELISM\tCHECKPOINT\tLAG\tRESTARTS\tPID\tAPI")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", l.Name, l.State, durationText(time.Duration(l.UptimeS)*time.Second), l.Parallelism,
			l.Checkpoint, l.Lag, l.Restarts, l.PID, l.API)
	}
	return w.Flush()
}
