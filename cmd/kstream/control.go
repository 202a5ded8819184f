package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kstream/control"
)

func stopCommand() *cobra.Command {
	var savepoint string
	var drain, now, wait, yes bool
	cmd := asking("stop NAME", "Stop a running job",
		`Finishes what is in flight, commits a last checkpoint and ends the job.

--savepoint writes the state of that checkpoint as a directory first; the job lets
go only when it is written. --drain sends the final watermark before it, so that
all windows fire: the results of open windows will be final, and the job should
not be resumed. --now takes no checkpoint.`,
		"  kstream stop page-views\n  kstream stop page-views --savepoint --wait\n  kstream stop page-views --savepoint=/backup/page-views",
		func(ctx context.Context, c *control.Client, s *control.JobStatus, cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json", "name")
			if err != nil {
				return err
			}
			r := control.StopRequest{Mode: "finish", Savepoint: cmd.Flags().Changed("savepoint")}
			if r.SavepointPath, err = absolutePath(savepoint); err != nil {
				return err
			}
			switch {
			case drain && now:
				return &exitError{code: exitUsage, text: "--drain and --now exclude each other"}
			case drain:
				r.Mode = "drain"
				if err := confirm("results of open windows will be final; the job should not be resumed. Stop it?", yes); err != nil {
					return err
				}
			case now:
				r.Mode = "now"
			}
			stopped, err := c.Stop(ctx, r)
			if err != nil {
				return err
			}
			if wait {
				if err := awaitEnd(ctx, s.PID, c); err != nil {
					return err
				}
			}
			return printStopped(args[0], format, wait, stopped)
		})
	cmd.Flags().StringVar(&savepoint, "savepoint", "", "write a savepoint: at the job's place, or with --savepoint=`PATH` there")
	cmd.Flags().Lookup("savepoint").NoOptDefVal = defaultPlace
	cmd.Flags().BoolVar(&drain, "drain", false, "all windows fire before the end")
	cmd.Flags().BoolVar(&now, "now", false, "at once, without a checkpoint")
	cmd.Flags().BoolVar(&wait, "wait", false, "return when the process has ended")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// defaultPlace is --savepoint without a path; no path is written like this, and
// the help shows it.
const defaultPlace = "savepoints/..."

func absolutePath(path string) (string, error) {
	if path == "" || path == defaultPlace {
		return "", nil
	}
	return filepath.Abs(path)
}

// awaitEnd waits until the process of a job has ended, or, where it is not one of
// this machine, does not answer any more.
func awaitEnd(ctx context.Context, pid int, c *control.Client) error {
	for {
		if _, err := c.Status(ctx); err != nil && !control.Alive(pid) {
			return context.Cause(ctx)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func printStopped(name, format string, ended bool, s *control.Stopped) error {
	switch format {
	case "json":
		return writeJSON(os.Stdout, s)
	case "name":
		if s.Savepoint != nil {
			fmt.Println(s.Savepoint.Path)
		}
		return nil
	}
	if sp := s.Savepoint; sp != nil {
		if err := printSavepoint(os.Stdout, "text", sp.Path, sp.Manifest, time.Duration(sp.TookMS)*time.Millisecond); err != nil {
			return err
		}
	}
	word := "stopping"
	if ended {
		word = "stopped"
	}
	fmt.Printf("%-9s  %s\n", word, name)
	return nil
}

func restartCommand() *cobra.Command {
	return asking("restart NAME", "Restart a running job from its last checkpoint",
		"Drops what the job has taken in since its last checkpoint and goes on from there,\nin the same process. Nothing is lost: it is read again.",
		"  kstream restart page-views",
		func(ctx context.Context, c *control.Client, _ *control.JobStatus, cmd *cobra.Command, args []string) error {
			if err := c.Restart(ctx); err != nil {
				return err
			}
			return printDone(cmd, "restarting "+args[0])
		})
}

func rescaleCommand() *cobra.Command {
	var wait bool
	cmd := asking("rescale NAME N", "Restart a running job with another parallelism",
		"Restarts the job from its last checkpoint with N subtasks for every step that has\nno parallelism of its own. The next start of the process goes by the file again.",
		"  kstream rescale page-views 4\n  kstream rescale page-views 4 --wait",
		func(ctx context.Context, c *control.Client, _ *control.JobStatus, cmd *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return &exitError{code: exitUsage, text: args[1] + " is not a number of subtasks"}
			}
			if err := c.Rescale(ctx, n); err != nil {
				return err
			}
			for wait {
				s, err := c.Status(ctx)
				if err != nil {
					return err
				}
				if s.State == "running" && s.Parallelism == n {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			return printDone(cmd, fmt.Sprintf("%s runs with parallelism %d", args[0], n))
		})
	cmd.Flags().BoolVar(&wait, "wait", false, "return when it runs again")
	return cmd
}

func printDone(cmd *cobra.Command, text string) error {
	format, err := outputFormat(cmd, "text", "json")
	if err != nil {
		return err
	}
	if format == "json" {
		return writeJSON(os.Stdout, control.NewDone())
	}
	fmt.Println(text)
	return nil
}

func checkpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "checkpoint", Short: "List the checkpoints of a running job, or take one now",
		Example: "  kstream checkpoint ls page-views\n  kstream checkpoint now page-views",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		asking("ls NAME", "List the newest checkpoints and failures", "", "  kstream checkpoint ls page-views -o json",
			func(ctx context.Context, c *control.Client, _ *control.JobStatus, cmd *cobra.Command, _ []string) error {
				format, err := outputFormat(cmd, "text", "json")
				if err != nil {
					return err
				}
				l, err := c.Checkpoints(ctx)
				if err != nil {
					return err
				}
				if format == "json" {
					return writeJSON(os.Stdout, l)
				}
				return printCheckpoints(l)
			}),
		asking("now NAME", "Take a checkpoint now", "Returns when everything taken in before is committed.", "  kstream checkpoint now page-views",
			func(ctx context.Context, c *control.Client, _ *control.JobStatus, cmd *cobra.Command, _ []string) error {
				format, err := outputFormat(cmd, "text", "json", "name")
				if err != nil {
					return err
				}
				t, err := c.Checkpoint(ctx)
				switch {
				case err != nil:
					return err
				case format == "json":
					return writeJSON(os.Stdout, t)
				case format == "name":
					fmt.Println(t.ID)
				default:
					fmt.Printf("checkpoint %d committed in %s\n", t.ID, time.Duration(t.DurationMS)*time.Millisecond)
				}
				return nil
			}))
	return cmd
}

func printCheckpoints(l *control.CheckpointList) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "CHECKPOINT\tCOMMITTED\tDURATION\tSIZE")
	for _, c := range l.Items {
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", c.ID, c.CommittedAt.Format(time.RFC3339), time.Duration(c.DurationMS)*time.Millisecond, sizeText(c.Bytes))
	}
	for _, f := range l.Failures {
		fmt.Fprintf(w, "failed\t%s\t%s\t%s\n", f.At.Format(time.RFC3339), f.Step, f.Text)
	}
	return w.Flush()
}
