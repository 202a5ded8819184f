package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kstream/checkpoint"
	"kstream/control"
	"kstream/record"
	"kstream/runtime"
	"kstream/savepoint"
)

func savepointCommand() *cobra.Command {
	create := savepointCreateCommand()
	cmd := &cobra.Command{
		Use:   "savepoint NAME|FILE",
		Short: "Save the state of a job as a directory; list, show, verify and remove savepoints",
		Long: `A savepoint is a directory with everything a job knows at one checkpoint: its
state, the positions of its sources, its pipeline file. It needs neither the
cluster nor the local store, and can be restored under another name, on another
cluster and with another parallelism.

"kstream savepoint NAME" is short for "kstream savepoint create NAME".`,
		Example: "  kstream savepoint pipeline.yaml\n  kstream savepoint ls savepoints\n  kstream savepoint verify savepoints/orders/2026-11-02T101640Z-000438",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: create.RunE,
	}
	cmd.Flags().AddFlagSet(create.Flags())
	cmd.AddCommand(create, savepointListCommand(), savepointShowCommand(), savepointVerifyCommand(), savepointRemoveCommand())
	return cmd
}

func savepointCreateCommand() *cobra.Command {
	var env envFlags
	var to, brokers string
	cmd := &cobra.Command{
		Use:     "create NAME|FILE",
		Short:   "Take a savepoint of a job",
		Long:    "Asks the running job for a checkpoint and has it written as a directory while the\njob goes on. When no instance answers, the newest checkpoint is read from the\ncluster: this needs FILE, which says how to connect. Nothing is written to the\ncluster then, the right to read is enough.",
		Example: "  kstream savepoint create orders\n  kstream savepoint create pipeline.yaml\n  kstream savepoint create pipeline.yaml --to /backup/orders -o name",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json", "name")
			if err != nil {
				return err
			}
			if brokers != "" {
				env.set = append(env.set, "kafka.brokers="+brokers)
			}
			a, err := newAsker(cmd)
			if err != nil {
				return err
			}
			quiet, _ := cmd.Flags().GetBool("quiet")
			return createSavepoint(a, args[0], &env, to, format, quiet)
		},
	}
	env.register(cmd)
	cmd.Flags().StringVar(&to, "to", "", "the directory to make; default: savepoints/NAME/TIME-CHECKPOINT beside the working directory")
	cmd.Flags().StringVar(&brokers, "brokers", "", "Kafka addresses, wins over kafka.brokers: host:9092,host:9092")
	return cmd
}

// savepointsDir is where savepoints are looked for, the default of the language.
const savepointsDir = "savepoints"

// createSavepoint asks the running job, if there is one, and reads the cluster
// otherwise, which needs the file: it says how to connect.
func createSavepoint(a *asker, job string, env *envFlags, to, format string, quiet bool) error {
	name := job
	if isFile(job) {
		plan, err := loadPlan(job, env)
		if err != nil {
			return err
		}
		name = plan.Name
	}
	ctx, stop := a.context()
	defer stop()
	c, _, err := a.find(ctx, name)
	var exit *exitError
	switch {
	case errors.As(err, &exit) && exit.code == exitMissing && isFile(job):
		return createOffline(job, env, to, format, quiet)
	case err != nil:
		return err
	}
	if to, err = absolutePath(to); err != nil {
		return &exitError{code: exitUsage, text: err.Error()}
	}
	s, err := c.Savepoint(ctx, control.SavepointRequest{Path: to})
	if err != nil {
		return askError(err)
	}
	return printSavepoint(os.Stdout, format, s.Path, s.Manifest, time.Duration(s.TookMS)*time.Millisecond)
}

// createOffline takes a savepoint from the broker alone.
func createOffline(path string, env *envFlags, to, format string, quiet bool) error {
	plan, err := loadPlan(path, env)
	if err != nil {
		return err
	}
	began := time.Now()
	var m *savepoint.Manifest
	err = offline(plan, "kstream-savepoint-", func(ctx context.Context, o *runtime.Offline) (err error) {
		o.Make = func(n checkpoint.Epoch) (savepoint.Directory, error) {
			if to == "" {
				to = filepath.Join(plan.Spec.Savepoints, plan.Name, runtime.SavepointName(time.Now(), n))
			}
			return runtime.NewDirectory(to)
		}
		o.Progress = progressLine(quiet || format == "json", "reading the changelog")
		m, err = runtime.TakeOffline(ctx, o)
		return err
	})
	if err != nil {
		return err
	}
	return printSavepoint(os.Stdout, format, to, m, time.Since(began))
}

// progressLine tells how far a long work is, on a terminal.
func progressLine(quiet bool, what string) func(read, left int64) {
	if quiet || !isTerminal(os.Stderr) {
		return nil
	}
	return func(read, left int64) {
		fmt.Fprintf(os.Stderr, "\r%s: %d of %d records\x1b[K", what, read, read+left)
		if left == 0 {
			fmt.Fprint(os.Stderr, "\r\x1b[K")
		}
	}
}

// savepointJSON is a savepoint as -o json shows it.
type savepointJSON struct {
	Kind           string    `json:"kind"`
	Version        int       `json:"version"`
	Path           string    `json:"path"`
	Pipeline       string    `json:"pipeline"`
	Checkpoint     uint64    `json:"checkpoint"`
	Created        time.Time `json:"created"`
	Kstream        string    `json:"kstream"`
	MaxParallelism int       `json:"max_parallelism"`
	Entries        int64     `json:"entries"`
	Bytes          int64     `json:"bytes"`
	TookMS         int64     `json:"took_ms,omitempty"`
	Detail         any       `json:"detail,omitempty"`
}

func savepointOf(path string, m *savepoint.Manifest) savepointJSON {
	return savepointJSON{Kind: "Savepoint", Version: 1, Path: path, Pipeline: m.Pipeline, Checkpoint: m.Checkpoint, Created: m.Created,
		Kstream: m.Kstream, MaxParallelism: m.MaxParallelism, Entries: m.Entries, Bytes: m.Bytes}
}

func printSavepoint(w io.Writer, format, path string, m *savepoint.Manifest, took time.Duration) error {
	switch format {
	case "name":
		fmt.Fprintln(w, path)
	case "json":
		s := savepointOf(path, m)
		s.TookMS = took.Milliseconds()
		return writeJSON(w, s)
	default:
		fmt.Fprintf(w, "savepoint  %s   checkpoint %d, %d entries, %s, %s\n", path, m.Checkpoint, m.Entries, sizeText(m.Bytes), took.Round(10*time.Millisecond))
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = w.Write(append(b, '\n'))
	}
	return err
}

// sizeText is a size for people.
func sizeText(n int64) string {
	const units = "KMGT"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, u := float64(n)/1024, 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", f, units[u])
}

// openSavepoint verifies a savepoint. The file system it gives stays open for as
// long as close is not called; it does not lead out of the directory.
func openSavepoint(ctx context.Context, path string, whole bool) (s *savepoint.Savepoint, close func(), err error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, &exitError{code: exitMissing, text: "there is no savepoint at " + path}
		}
		return nil, nil, &exitError{code: exitEnvironment, text: "open the savepoint: " + err.Error()}
	}
	if whole {
		s, err = savepoint.Open(ctx, root.FS())
	} else {
		s, err = savepoint.Describe(root.FS())
	}
	if err == nil {
		return s, func() { root.Close() }, nil
	}
	root.Close()
	var damage *savepoint.DamagedError
	if _, missing := os.Stat(filepath.Join(path, savepoint.ManifestName)); errors.Is(missing, fs.ErrNotExist) {
		return nil, nil, &exitError{code: exitMissing, text: fmt.Sprintf("there is no savepoint at %s: the directory has no %s", path, savepoint.ManifestName),
			hint: "kstream savepoint ls DIR shows those below a directory"}
	}
	if errors.As(err, &damage) {
		hint := "take another savepoint; nothing of this one was used"
		if errors.Is(err, savepoint.ErrNewerFormat) {
			hint = "upgrade kstream"
		}
		return nil, nil, &exitError{code: exitState, text: fmt.Sprintf("[state-incompatible] %s: %s", path, err), hint: hint}
	}
	return nil, nil, commandError(err)
}

// findSavepoints are the directories below dir that hold a manifest.
func findSavepoints(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		switch {
		case d.IsDir() && strings.HasPrefix(name, ".") && path != dir, d.IsDir() && name == "state":
			return filepath.SkipDir
		case !d.IsDir() && name == savepoint.ManifestName:
			found = append(found, filepath.Dir(path))
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	slices.Sort(found)
	return found, err
}

func savepointListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "ls [DIR]", Short: "List the savepoints below a directory",
		Example: "  kstream savepoint ls\n  kstream savepoint ls /backup -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json", "name")
			if err != nil {
				return err
			}
			dir := savepointsDir
			if len(args) > 0 {
				dir = args[0]
				if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
					return &exitError{code: exitMissing, text: "there is no directory " + dir}
				}
			}
			paths, err := findSavepoints(dir)
			if err != nil {
				return &exitError{code: exitEnvironment, text: err.Error()}
			}
			return listSavepoints(cmd.Context(), format, paths)
		},
	}
}

func listSavepoints(ctx context.Context, format string, paths []string) error {
	list := struct {
		Kind    string          `json:"kind"`
		Version int             `json:"version"`
		Items   []savepointJSON `json:"items"`
	}{"SavepointList", 1, []savepointJSON{}}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 3, ' ', 0)
	if format == "text" {
		fmt.Fprintln(w, "PATH\tPIPELINE\tCHECKPOINT\tCREATED\tENTRIES\tSIZE")
	}
	for _, path := range paths {
		s, done, err := openSavepoint(ctx, path, false)
		switch {
		case err != nil:
			fmt.Fprintln(os.Stderr, "kstream: "+err.Error())
			continue
		case format == "name":
			fmt.Fprintln(w, path)
		case format == "text":
			m := s.Manifest
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\t%s\n", path, m.Pipeline, m.Checkpoint, m.Created.Format(time.RFC3339), m.Entries, sizeText(m.Bytes))
		default:
			list.Items = append(list.Items, savepointOf(path, s.Manifest))
		}
		done()
	}
	if format == "json" {
		return writeJSON(os.Stdout, list)
	}
	return w.Flush()
}

func savepointShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show PATH", Short: "Show what a savepoint holds",
		Long:    "Shows checkpoint, steps with state, and positions, without reading the state:\n`kstream savepoint verify` does that.",
		Example: "  kstream savepoint show savepoints/orders/2026-11-02T101640Z-000438\n  kstream savepoint show PATH -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json")
			if err != nil {
				return err
			}
			s, done, err := openSavepoint(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			defer done()
			if format == "json" {
				v := savepointOf(args[0], s.Manifest)
				v.Detail = s.Checkpoint
				return writeJSON(os.Stdout, v)
			}
			return showSavepoint(os.Stdout, args[0], s)
		},
	}
}

func showSavepoint(out io.Writer, path string, s *savepoint.Savepoint) error {
	m, c := s.Manifest, s.Checkpoint
	fmt.Fprintf(out, "%s\n%s, checkpoint %d of %s, written %s by kstream %s\n", path, m.Pipeline, m.Checkpoint,
		c.Committed.Format(time.RFC3339), m.Created.Format(time.RFC3339), m.Kstream)
	fmt.Fprintf(out, "cluster %s, max_parallelism %d, %d entries, %s\n\n", c.ClusterID, m.MaxParallelism, m.Entries, sizeText(m.Bytes))
	w := tabwriter.NewWriter(out, 0, 8, 3, ' ', 0)
	fmt.Fprintln(w, "STEP\tOPERATOR\tKEY\tWINDOW\tENTRIES\tSIZE")
	for _, n := range c.Nodes {
		st := c.StoreOf(n.UID)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", n.UID, n.Operator, n.KeyType, orDash(n.Window), st.Entries, sizeText(st.Bytes))
	}
	fmt.Fprintln(w, "\nSOURCE\tPARTITION\tOFFSET\tWATERMARK")
	for _, p := range c.Sources {
		fmt.Fprintf(w, "%s\t%s/%d\t%d\t%s\n", p.UID, p.Topic, p.Partition, p.Offset, watermarkText(record.Timestamp(p.Watermark)))
	}
	return w.Flush()
}

func savepointVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify PATH", Short: "Check every file of a savepoint",
		Long:    "Reads all of a savepoint: names, sizes, checksums, and every entry. Exit code 6\nand the name of the file if something is wrong.",
		Example: "  kstream savepoint verify savepoints/orders/2026-11-02T101640Z-000438",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			format, err := outputFormat(cmd, "text", "json")
			if err != nil {
				return err
			}
			ctx, stop := untilSignal()
			defer stop()
			s, done, err := openSavepoint(ctx, args[0], true)
			if err != nil {
				return err
			}
			defer done()
			if format == "json" {
				return writeJSON(os.Stdout, savepointOf(args[0], s.Manifest))
			}
			fmt.Printf("%s is whole: %d files, %d entries, %s\n", args[0], len(s.Manifest.Files)+1, s.Manifest.Entries, sizeText(s.Manifest.Bytes))
			return nil
		},
	}
}

func savepointRemoveCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use: "rm PATH", Short: "Remove a savepoint",
		Example: "  kstream savepoint rm savepoints/orders/2026-11-02T101640Z-000438 -y",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, done, err := openSavepoint(cmd.Context(), args[0], false)
			if err != nil {
				return err
			}
			done()
			question := fmt.Sprintf("remove the savepoint of checkpoint %d of %s?", s.Manifest.Checkpoint, s.Manifest.Pipeline)
			if err := confirm(question, yes); err != nil {
				return err
			}
			if err := os.RemoveAll(args[0]); err != nil {
				return &exitError{code: exitEnvironment, text: err.Error()}
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
