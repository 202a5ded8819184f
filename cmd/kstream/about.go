package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"kstream/topology"
)

// release is the version this code becomes.
const release = "0.1.0"

func version() string { return release }

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Example: "  kstream version\n  kstream version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := jsonOutput(cmd)
			if err != nil {
				return err
			}
			commit := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, s := range info.Settings {
					if s.Key == "vcs.revision" {
						commit = s.Value
					}
				}
			}
			if asJSON {
				return json.NewEncoder(os.Stdout).Encode(map[string]any{
					"kind": "Version", "version": 1, "release": release, "commit": commit, "language": []int{1}})
			}
			fmt.Printf("kstream %s (%s), language version 1\n", release, commit)
			return nil
		},
	}
}

func schemaCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "schema [pipeline]", Short: "Print the JSON Schema of pipeline files",
		Long:    "Prints the JSON Schema that editors use for completion and hover help,\nmade from the same table as the parser.",
		Example: "  kstream schema --out pipeline.schema.json", Args: cobra.MaximumNArgs(1),
		ValidArgs: []string{"pipeline"},
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := jsonOutput(cmd); err != nil { // it is JSON either way
				return err
			}
			if len(args) == 1 && args[0] != "pipeline" {
				return &exitError{code: exitUsage, text: fmt.Sprintf("there is no schema %q, only pipeline", args[0])}
			}
			if out == "" {
				_, err := os.Stdout.Write(topology.Schema())
				return err
			}
			if err := os.WriteFile(out, topology.Schema(), 0o644); err != nil {
				return &exitError{code: exitEnvironment, text: err.Error()}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "write to this file")
	return cmd
}

func configCommand() *cobra.Command {
	var e envFlags
	var defaults bool
	cmd := &cobra.Command{
		Use: "config FILE", Short: "Print the resolved pipeline file, secrets masked",
		Example: "  kstream config pipeline.yaml --defaults", Args: cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o, _ := cmd.Flags().GetString("output"); o != "text" {
				return &exitError{code: exitUsage, text: fmt.Sprintf("--output %s: config prints only YAML", o)}
			}
			data, err := readPipeline(args[0])
			if err != nil {
				return err
			}
			o, err := e.options()
			if err != nil {
				return err
			}
			spec, found := topology.Load(args[0], data, o)
			fmt.Fprint(os.Stderr, topology.RenderText(found, spec.Lines))
			if topology.HasErrors(found) {
				return &exitError{code: exitInvalid}
			}
			detail := topology.AsWritten
			if defaults {
				detail = topology.WithDefaults
			}
			_, err = os.Stdout.Write(topology.ConfigText(spec, detail))
			return err
		},
	}
	e.register(cmd)
	cmd.Flags().BoolVar(&defaults, "defaults", false, "fill in every default")
	return cmd
}
