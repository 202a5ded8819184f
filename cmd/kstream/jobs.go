package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"kstream/control"
)

// asker finds running jobs and asks them.
type asker struct {
	api     string
	token   string
	timeout time.Duration
}

func newAsker(cmd *cobra.Command) (*asker, error) {
	a := &asker{}
	a.api, _ = cmd.Flags().GetString("api")
	a.timeout, _ = cmd.Flags().GetDuration("timeout")
	file, _ := cmd.Flags().GetString("token-file")
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, &exitError{code: exitEnvironment, text: "read --token-file: " + err.Error()}
		}
		a.token = strings.TrimSpace(string(b))
	}
	return a, nil
}

// context ends with a signal and after --timeout; 0 waits for as long as it takes.
func (a *asker) context() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if a.timeout <= 0 {
		return ctx, stop
	}
	ctx, cancel := context.WithTimeoutCause(ctx, a.timeout, errAskTimeout)
	return ctx, func() { cancel(); stop() }
}

var errAskTimeout = errors.New("no answer within --timeout")

// announced are the run files of living processes; those of dead ones are
// removed.
func announced() ([]control.RunFile, error) {
	files, err := control.RunFiles(control.RunDir())
	if err != nil {
		return nil, &exitError{code: exitEnvironment, text: err.Error()}
	}
	var living []control.RunFile
	for _, f := range files {
		if control.Alive(f.PID) {
			living = append(living, f)
		} else {
			f.Forget()
		}
	}
	return living, nil
}

// find gives a client of the job of that name, and its status.
func (a *asker) find(ctx context.Context, name string) (*control.Client, *control.JobStatus, error) {
	urls, err := a.addresses(name)
	if err != nil {
		return nil, nil, err
	}
	for _, url := range urls {
		c := control.NewClient(url, a.token)
		s, err := c.Status(ctx)
		switch {
		case err == nil && s.Name == name:
			return c, s, nil
		case err == nil && a.api != "":
			return nil, nil, &exitError{code: exitMissing, text: fmt.Sprintf("the job at %s is %s, not %s", url, s.Name, name)}
		case err != nil && (a.api != "" || !errors.Is(err, control.ErrUnreachable)):
			return nil, nil, askError(err)
		}
	}
	return nil, nil, &exitError{code: exitMissing, text: "no job named " + name + " runs here", hint: noJobHint}
}

// noJobHint stands behind a name that no running job has.
const noJobHint = "kstream ps lists them; --api names one elsewhere"

// addresses are where a job of that name may answer.
func (a *asker) addresses(name string) ([]string, error) {
	if a.api != "" {
		if !strings.Contains(a.api, "://") && !strings.HasPrefix(a.api, "unix:") {
			return nil, &exitError{code: exitUsage, text: "--api " + a.api + " is no URL", hint: "write http://HOST:PORT or unix:PATH"}
		}
		return []string{a.api}, nil
	}
	files, err := announced()
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, f := range files {
		if f.Name == name {
			urls = append(urls, f.URL)
		}
	}
	if len(urls) > 0 {
		return urls, nil
	}
	if url := os.Getenv("KSTREAM_API"); url != "" {
		return []string{url}, nil
	}
	return []string{"http://" + control.DefaultListen}, nil
}

// askError turns the error of a request into an exit code.
func askError(err error) error {
	var known *control.Error
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return exit
	case errors.As(err, &known):
		return &exitError{code: known.Exit, text: known.Text, hint: known.Hint}
	case errors.Is(err, errAskTimeout), errors.Is(err, context.DeadlineExceeded):
		return &exitError{code: exitTimeout, text: errAskTimeout.Error()}
	case errors.Is(err, control.ErrUnreachable):
		return &exitError{code: exitEnvironment, text: err.Error()}
	case errors.Is(err, context.Canceled):
		return &exitError{code: exitInterrupted, text: "interrupted"}
	}
	return &exitError{code: exitFailed, text: err.Error()}
}

// isFile says that an argument names a pipeline file rather than a job.
func isFile(arg string) bool {
	return strings.ContainsRune(arg, os.PathSeparator) || strings.HasSuffix(arg, ".yaml") || strings.HasSuffix(arg, ".yml")
}

// jobNames completes the names of running jobs.
func jobNames(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	files, err := announced()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// asking makes a command that asks one job by its name.
func asking(use, short, long, example string, do func(ctx context.Context, c *control.Client, s *control.JobStatus, cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Example: example,
		Args: cobra.ExactArgs(strings.Count(use, " ") - strings.Count(use, "[")), ValidArgsFunction: jobNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			a, err := newAsker(cmd)
			if err != nil {
				return err
			}
			ctx, stop := a.context()
			defer stop()
			c, s, err := a.find(ctx, args[0])
			if err == nil {
				err = do(ctx, c, s, cmd, args)
			}
			if err != nil {
				return askError(err)
			}
			return nil
		},
	}
}
