package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func graphCommand() *cobra.Command {
	var e envFlags
	var physical bool
	cmd := &cobra.Command{
		Use: "graph FILE", Short: "Draw a pipeline",
		Long:    "Draws the streams of a pipeline, or with --physical what runs:\nchains, exchanges, state and internal topics. -o is ascii (default), mermaid or dot.",
		Example: "  kstream graph pipeline.yaml\n  kstream graph pipeline.yaml -o mermaid\n  kstream graph pipeline.yaml --physical",
		Args:    cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			format, _ := cmd.Flags().GetString("output")
			if physical && format != "text" && format != "ascii" {
				return &exitError{code: exitUsage, text: fmt.Sprintf("-o %s is not built for --physical, only text", format)}
			}
			plan, err := loadPlan(args[0], &e)
			if err != nil {
				return err
			}
			if physical {
				fmt.Fprint(os.Stdout, plan.Text())
				return nil
			}
			text, ok := plan.Graph(format)
			if !ok {
				return &exitError{code: exitUsage, text: fmt.Sprintf("-o %s is not one of ascii, mermaid, dot", format)}
			}
			fmt.Fprint(os.Stdout, text)
			return nil
		},
	}
	e.register(cmd)
	cmd.Flags().BoolVar(&physical, "physical", false, "show chains, exchanges, state and parallelism")
	return cmd
}
