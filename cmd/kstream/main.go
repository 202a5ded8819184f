// Command kstream runs stream pipelines written in YAML over Kafka, exactly once.
package main

import (
	"errors"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // time zones work in containers that have none

	"github.com/spf13/cobra"
)

// The exit codes, the same for all commands (docs/exactly-once.md).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitInvalid     = 3
	exitEnvironment = 5
	exitState       = 6
	exitMissing     = 7
	exitTimeout     = 8
	exitDiffers     = 9
	exitInterrupted = 130
	exitTerminated  = 143
)

// exitError ends the process with a code; an empty text was told already.
type exitError struct {
	code       int
	text, hint string
}

func (e *exitError) Error() string { return e.text }

func main() {
	os.Exit(run(os.Args[1:]))
}

// run executes one command line and says how it ended.
func run(args []string) int {
	defer startProfile()()
	root := rootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	var exit *exitError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &exit):
		if exit.text != "" {
			fmt.Fprintln(os.Stderr, "kstream: "+exit.text)
		}
		if exit.hint != "" {
			fmt.Fprintln(os.Stderr, "  "+exit.hint)
		}
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "kstream: "+err.Error())
	fmt.Fprintln(os.Stderr, "  "+usageHint(cmd))
	return exitUsage
}

// usageHint is how the command wants to be called.
func usageHint(cmd *cobra.Command) string {
	if !cmd.HasParent() {
		return "kstream help shows the commands"
	}
	return fmt.Sprintf("usage: %s; %s -h says more", cmd.UseLine(), cmd.CommandPath())
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "kstream",
		Short: "Exactly-once stream processing over Kafka, from a YAML file",
		Long: `kstream runs a pipeline that is written in YAML: it reads Kafka topics, keeps
keyed state, and writes results in the Kafka transaction of each checkpoint.

Exit codes: 0 done · 1 the job failed for good · 2 wrong usage · 3 the pipeline
is invalid · 5 environment (broker, disk, rights) · 6 state refused, or another
process runs the job · 7 no such job, savepoint or key · 8 timed out
· 9 differences found · 130, 143 killed by a second signal`,
		Example:       "  kstream run pipelines/page-views/pipeline.yaml --embedded --until 10s\n  kstream validate pipeline.yaml",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.PersistentFlags().StringP("output", "o", "text", "output format: text or json")
	root.PersistentFlags().BoolP("quiet", "q", false, "print less")
	root.PersistentFlags().CountP("verbose", "v", "log more; repeat for more")
	root.PersistentFlags().String("api", "", "control API of a job: http://HOST:PORT or unix:PATH; default: found by the job's name")
	root.PersistentFlags().String("token-file", "", "file that holds the token of the control API")
	root.PersistentFlags().Duration("timeout", 30*time.Second, "longest wait for an answer of a job; 0 is no limit")
	root.PersistentFlags().Bool("no-color", false, "plain text, also on a terminal")
	root.AddCommand(runCommand(), validateCommand(), graphCommand(), schemaCommand(), configCommand(), versionCommand(),
		savepointCommand(), restoreCommand(), planCommand(), psCommand(), statusCommand(), stopCommand(), checkpointCommand(), restartCommand(), rescaleCommand(), stateCommand())
	root.SetHelpCommand(helpCommand())
	root.AddCommand(nexmarkCommand())
	root.AddCommand(explainCommand(), exprCommand())
	documentExits(root)
	return root
}

// helpCommand is cobra's, but a word that is no command is wrong usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [COMMAND]", Short: "Help about any command",
		Example: "  kstream help run\n  kstream help checkpoint ls",
		RunE: func(c *cobra.Command, args []string) error {
			about, _, err := c.Root().Find(args)
			if err != nil {
				return &exitError{code: exitUsage, text: fmt.Sprintf("there is no command %q", args[0]), hint: "kstream help shows the commands"}
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

func jsonOutput(cmd *cobra.Command) (bool, error) {
	o, _ := cmd.Flags().GetString("output")
	switch o {
	case "json":
		return true, nil
	case "text":
		return false, nil
	}
	return false, &exitError{code: exitUsage, text: fmt.Sprintf("--output %s is not one of text, json", o)}
}
