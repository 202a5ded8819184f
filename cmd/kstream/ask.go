package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"kstream/checkpoint"
	"kstream/record"
)

// outputFormat is the -o of a command, one of those it offers.
func outputFormat(cmd *cobra.Command, offered ...string) (string, error) {
	o, _ := cmd.Flags().GetString("output")
	if slices.Contains(offered, o) {
		return o, nil
	}
	return "", &exitError{code: exitUsage, text: fmt.Sprintf("--output %s is not one of %s", o, strings.Join(offered, ", "))}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// confirm asks before something is lost. Without a terminal there is nobody to
// ask, so that -y is needed.
func confirm(question string, yes bool) error {
	if yes {
		return nil
	}
	if !isTerminal(os.Stdin) {
		return &exitError{code: exitUsage, text: question + " nobody can answer here", hint: "say -y"}
	}
	fmt.Fprintf(os.Stderr, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return &exitError{code: exitUsage, text: "nothing was done"}
	}
	return nil
}

// untilSignal ends with the first SIGINT or SIGTERM.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
}

// commandError gives the error of a command that is no job its exit code.
func commandError(err error) error {
	var exit *exitError
	var refused *checkpoint.Failure
	var k *record.KafkaError
	switch {
	case errors.As(err, &exit):
		return exit
	case errors.As(err, &refused):
		return &exitError{code: max(refused.Exit, exitFailed), text: refused.Text, hint: refused.Hint}
	case errors.As(err, &k):
		return environmentError(err)
	case errors.Is(err, context.Canceled):
		return &exitError{code: exitInterrupted, text: "interrupted; nothing was left behind"}
	}
	return &exitError{code: exitFailed, text: err.Error()}
}
