package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// exitText says what an exit code means, in the words of every command's help.
func exitText(code int) string {
	switch code {
	case exitDone:
		return "done"
	case exitFailed:
		return "failed"
	case exitUsage:
		return "wrong usage"
	case exitInvalid:
		return "the pipeline is invalid"
	case exitEnvironment:
		return "broker, disk or rights"
	case exitState:
		return "state refused"
	case exitMissing:
		return "no such job or savepoint"
	case exitTimeout:
		return "timed out"
	case exitInterrupted:
		return "killed by a second SIGINT"
	case exitTerminated:
		return "by a second SIGTERM"
	}
	return ""
}

// exitsOf are the codes a command can end with. Commands whose own text says
// what codes mean for them are not among these.
func exitsOf(path string) []int {
	switch path {
	case "run", "restore":
		return []int{exitDone, exitFailed, exitUsage, exitInvalid, exitEnvironment, exitState, exitMissing, exitInterrupted, exitTerminated}
	case "validate", "graph", "config":
		return []int{exitDone, exitUsage, exitInvalid, exitEnvironment}
	case "status", "stop", "restart", "rescale", "checkpoint ls", "checkpoint now":
		return []int{exitDone, exitFailed, exitUsage, exitEnvironment, exitMissing, exitTimeout}
	case "savepoint", "savepoint create":
		return []int{exitDone, exitFailed, exitUsage, exitInvalid, exitEnvironment, exitState, exitMissing, exitTimeout}
	case "state ls", "state get", "state scan":
		return []int{exitDone, exitFailed, exitUsage, exitInvalid, exitEnvironment, exitState, exitMissing, exitTimeout}
	case "state export":
		return []int{exitDone, exitUsage, exitInvalid, exitEnvironment, exitState, exitMissing}
	case "savepoint show", "savepoint verify", "savepoint rm":
		return []int{exitDone, exitUsage, exitEnvironment, exitState, exitMissing}
	case "ps", "schema", "savepoint ls":
		return []int{exitDone, exitUsage, exitEnvironment}
	case "nexmark generate":
		return []int{exitDone, exitFailed, exitUsage, exitEnvironment}
	}
	return []int{exitDone, exitUsage}
}

// documentExits adds the exit codes to the help of every command below root.
func documentExits(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		documentExits(c)
		if !c.Runnable() || strings.Contains(c.Long, "Exit codes:") {
			continue
		}
		if c.Long == "" {
			c.Long = c.Short + "."
		}
		c.Long += "\n\n" + exitLines(exitsOf(strings.TrimPrefix(c.CommandPath(), "kstream ")))
	}
}

// exitLines folds the codes into lines that fit a terminal.
func exitLines(codes []int) string {
	text := "Exit codes:"
	width := len(text)
	for i, code := range codes {
		part := fmt.Sprintf(" %d %s", code, exitText(code))
		if i > 0 {
			part = " ·" + part
		}
		n := len([]rune(part))
		if width+n > 80 {
			text += "\n" + strings.TrimPrefix(part, " ")
			width = n - 1
			continue
		}
		width += n
		text += part
	}
	return text
}
