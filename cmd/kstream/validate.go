package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kstream/internal/kafka"
	"kstream/topology"
)

func validateCommand() *cobra.Command {
	var e envFlags
	var connect bool
	cmd := &cobra.Command{
		Use:     "validate FILE…",
		Short:   "Check pipeline files; all errors are reported",
		Long:    "Checks YAML, fields, references, types, expressions and state ids without a\ncluster. With --connect the cluster is asked too: topics, partitions and limits.\n- reads standard input.",
		Example: "  kstream validate pipeline.yaml\n  kstream validate *.yaml -o json\n  kstream validate pipeline.yaml --connect",
		Args:    cobra.MinimumNArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			asJSON, err := jsonOutput(cmd)
			if err != nil {
				return err
			}
			return validate(cmd.Context(), args, &e, connect, asJSON)
		},
	}
	e.register(cmd)
	cmd.Flags().BoolVar(&connect, "connect", false, "also ask the cluster")
	return cmd
}

func validate(ctx context.Context, files []string, e *envFlags, connect, asJSON bool) error {
	o, err := e.options()
	if err != nil {
		return err
	}
	var reports []topology.FileReport
	errors, warnings := 0, 0
	for _, path := range files {
		data, err := readPipeline(path)
		if err != nil {
			return err
		}
		spec, plan, found := topology.Validate(path, data, o)
		if plan != nil && connect {
			more, err := askCluster(ctx, plan)
			if err != nil {
				return err
			}
			found = append(found, more...)
		}
		reports = append(reports, topology.FileReport{Path: path, Diagnostics: found})
		for _, d := range found {
			if d.Severity == topology.SeverityWarning {
				warnings++
			} else {
				errors++
			}
		}
		if !asJSON {
			fmt.Print(topology.RenderText(found, spec.Lines))
		}
	}
	if asJSON {
		os.Stdout.Write(topology.ReportJSON(reports))
	}
	summary(len(files), errors, warnings)
	if errors > 0 {
		return &exitError{code: exitInvalid}
	}
	return nil
}

func summary(files, errors, warnings int) {
	mark := "✓"
	if errors > 0 {
		mark = "✗"
	}
	text := fmt.Sprintf("%s %s, %s", mark, count(files, "file"), count(errors, "error"))
	if warnings > 0 {
		text += ", " + count(warnings, "warning")
	}
	fmt.Fprintln(os.Stderr, text)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// askCluster is --connect: what only the cluster knows.
func askCluster(ctx context.Context, plan *topology.Plan) ([]topology.Diagnostic, error) {
	config, err := kafkaConfig(plan.Spec.Kafka, quietLog())
	if err != nil {
		return nil, err
	}
	cluster, err := kafka.Connect(ctx, config) // which has a limit of its own, and says what stood in the way
	if err != nil {
		return nil, &exitError{code: exitEnvironment, text: err.Error()}
	}
	defer cluster.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	broker, err := cluster.Inspect(ctx)
	if err != nil {
		return nil, &exitError{code: exitEnvironment, text: err.Error()}
	}
	c := &clusterCheck{plan: plan}
	if limit, txn := broker.MaxTransactionTimeout, plan.Spec.Checkpoint.TransactionTimeout; limit > 0 && txn > limit {
		c.add(plan.Spec.NameAt, "transaction-timeout", fmt.Sprintf("checkpoint.transaction_timeout is %s, the broker allows %s", txn, limit),
			"lower it, or raise transaction.max.timeout.ms of the broker")
	}
	known, err := cluster.Topics(ctx, c.topics())
	if err != nil {
		return nil, &exitError{code: exitEnvironment, text: err.Error()}
	}
	for _, s := range plan.Sources {
		for _, t := range s.Spec.Topics {
			if _, ok := known[t]; !ok {
				c.add(s.Spec.At, "unknown-topic", fmt.Sprintf("the cluster has no topic %q", t), "create it, or mend the name")
			}
		}
	}
	for _, o := range plan.Outputs() {
		if _, ok := known[o.Topic]; !ok && o.Create == nil {
			c.add(o.At, "unknown-topic", fmt.Sprintf("the cluster has no topic %q", o.Topic),
				"create it, or let the job do it with create: {partitions: 4}")
		}
	}
	return c.found, nil
}

// clusterCheck gathers what the cluster has against a plan.
type clusterCheck struct {
	plan  *topology.Plan
	found []topology.Diagnostic
}

func (c *clusterCheck) topics() []string {
	var names []string
	for _, s := range c.plan.Sources {
		names = append(names, s.Spec.Topics...)
	}
	for _, o := range c.plan.Outputs() {
		names = append(names, o.Topic)
	}
	return names
}

func (c *clusterCheck) add(at topology.Span, code, message, hint string) {
	c.found = append(c.found, topology.Diagnostic{Severity: topology.SeverityError, Code: code,
		File: c.plan.Spec.File, Line: at.Line, Col: at.Col, EndCol: at.End, Message: message, Hint: hint})
}
