package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"kstream/topology"
)

// envFlags are how a pipeline file is resolved.
type envFlags struct {
	envFile string
	noEnv   bool
	set     []string
}

func (e *envFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.envFile, "env-file", "", "file of KEY=value lines; the real environment wins")
	cmd.Flags().BoolVar(&e.noEnv, "no-env", false, "do not replace ${VARIABLES}")
	cmd.Flags().StringArrayVar(&e.set, "set", nil, "set a field by its path: --set checkpoint.interval=100ms")
}

// options are what the loader needs of the process.
func (e *envFlags) options() (topology.Options, error) {
	file := map[string]string{}
	if e.envFile != "" {
		data, err := os.ReadFile(e.envFile)
		if err != nil {
			return topology.Options{}, &exitError{code: exitEnvironment, text: "read the environment file: " + err.Error()}
		}
		if file, err = topology.EnvFile(data); err != nil {
			return topology.Options{}, &exitError{code: exitInvalid, text: e.envFile + ": " + err.Error()}
		}
	}
	return topology.Options{
		Env: func(name string) (string, bool) {
			if v, ok := os.LookupEnv(name); ok {
				return v, true
			}
			v, ok := file[name]
			return v, ok
		},
		ReadFile: os.ReadFile, NoEnv: e.noEnv, Set: e.set,
	}, nil
}

// pipelineFiles completes the name of a pipeline file.
func pipelineFiles(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

// readPipeline reads a file, or standard input for "-".
func readPipeline(path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(os.Stdin)
	}
	data, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{code: exitEnvironment, text: err.Error(), hint: "name a pipeline file, or - for standard input"}
	case err != nil:
		return nil, &exitError{code: exitEnvironment, text: err.Error()}
	}
	return data, nil
}

// loadPlan loads and plans a file; what is wrong with it is printed.
func loadPlan(path string, e *envFlags) (*topology.Plan, error) {
	data, err := readPipeline(path)
	if err != nil {
		return nil, err
	}
	o, err := e.options()
	if err != nil {
		return nil, err
	}
	spec, plan, found := topology.Validate(path, data, o)
	if len(found) > 0 {
		fmt.Fprint(os.Stderr, topology.RenderText(found, spec.Lines))
	}
	if topology.HasErrors(found) {
		return nil, &exitError{code: exitInvalid}
	}
	return plan, nil
}
