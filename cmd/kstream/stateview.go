package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"kstream/control"
	"kstream/runtime"
	"kstream/savepoint"
	"kstream/state"
	"kstream/topology"
)

// stateFlags say where state is looked at.
type stateFlags struct {
	env       envFlags
	brokers   string
	savepoint string
	pipeline  string
}

func (f *stateFlags) register(cmd *cobra.Command) {
	f.env.register(cmd)
	cmd.Flags().StringVar(&f.brokers, "brokers", "", "Kafka addresses, wins over kafka.brokers: host:9092,host:9092")
	cmd.Flags().StringVar(&f.savepoint, "savepoint", "", "look at the savepoint at this path; NAME|FILE is left out")
	f.registerPipeline(cmd)
}

func (f *stateFlags) registerPipeline(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.pipeline, "pipeline", "", "pipeline file of a savepoint, instead of the one in it")
}

// args demands n arguments, of which a savepoint takes the place of the first.
func (f *stateFlags) args(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if f.savepoint == "" {
			return cobra.ExactArgs(n)(cmd, args)
		}
		if len(args) == n { // a name beside a savepoint says nothing new
			return nil
		}
		return cobra.ExactArgs(n-1)(cmd, args)
	}
}

// stateLook is what is done with the state, where a job runs and where none does.
type stateLook struct {
	live func(context.Context, *control.Client) error
	view func(*runtime.StateView) error
}

// look finds the state: a savepoint, else a running job, else, for a file, the
// newest checkpoint on the cluster.
func (f *stateFlags) look(cmd *cobra.Command, args, uids []string, do stateLook) error {
	if f.savepoint != "" {
		ctx, stop := untilSignal()
		defer stop()
		return f.viewSavepoint(ctx, f.savepoint, uids, do.view)
	}
	if f.pipeline != "" {
		return &exitError{code: exitUsage, text: "--pipeline is for --savepoint", hint: "a running job knows its file; else name the file in place of the job"}
	}
	if f.brokers != "" {
		f.env.set = append(f.env.set, "kafka.brokers="+f.brokers)
	}
	a, err := newAsker(cmd)
	if err != nil {
		return err
	}
	name := args[0]
	var plan *topology.Plan
	if isFile(name) {
		if plan, err = loadPlan(name, &f.env); err != nil {
			return err
		}
		name = plan.Name
	}
	err = f.ask(a, name, do)
	var exit *exitError
	switch {
	case !errors.As(err, &exit) || exit.code != exitMissing || exit.hint != noJobHint:
		return err
	case plan == nil:
		exit.hint = "name its pipeline file, and the newest checkpoint on the cluster is read"
		return err
	}
	quiet, _ := cmd.Flags().GetBool("quiet")
	return viewOffline(plan, quiet, do.view)
}

// ask asks the running job.
func (f *stateFlags) ask(a *asker, name string, do stateLook) error {
	ctx, stop := a.context()
	defer stop()
	c, _, err := a.find(ctx, name)
	if err == nil {
		err = do.live(ctx, c)
	}
	if err != nil {
		return askError(err)
	}
	return nil
}

// viewOffline reads the changelog of a job that does not run.
func viewOffline(plan *topology.Plan, quiet bool, fn func(*runtime.StateView) error) error {
	return offline(plan, "kstream-state-", func(ctx context.Context, o *runtime.Offline) error {
		o.Progress = progressLine(quiet, "reading the changelog")
		return runtime.ViewOffline(ctx, o, fn)
	})
}

// offline does something with what the cluster has of a job that does not run;
// temp is the name of a directory for it, which is removed.
func offline(plan *topology.Plan, temp string, do func(context.Context, *runtime.Offline) error) error {
	config, err := kafkaConfig(plan.Spec.Kafka, quietLog())
	if err != nil {
		return err
	}
	ctx, stop := untilSignal()
	defer stop()
	client, err := connector(config)(ctx)
	if err != nil {
		return environmentError(err)
	}
	defer client.Close()
	dir, err := os.MkdirTemp("", temp)
	if err != nil {
		return &exitError{code: exitEnvironment, text: err.Error()}
	}
	defer os.RemoveAll(dir)
	if err := do(ctx, &runtime.Offline{Plan: plan, Client: client, FS: state.DiskFS(), Dir: dir, Version: version()}); err != nil {
		return commandError(err)
	}
	return nil
}

// viewSavepoint reads a savepoint, of which every file is verified first.
func (f *stateFlags) viewSavepoint(ctx context.Context, path string, uids []string, fn func(*runtime.StateView) error) error {
	s, done, err := openSavepoint(ctx, path, true)
	if err != nil {
		return err
	}
	defer done()
	plan, err := f.savedPlan(path, s)
	if err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "kstream-state-")
	if err != nil {
		return &exitError{code: exitEnvironment, text: err.Error()}
	}
	defer os.RemoveAll(temp)
	if err := runtime.ViewSavepoint(ctx, s, plan, state.DiskFS(), temp, uids, fn); err != nil {
		return commandError(err)
	}
	return nil
}

// savedPlan is the plan that a savepoint was made with: of --pipeline, else of the
// file in it, in which no secret is left and no variable.
func (f *stateFlags) savedPlan(path string, s *savepoint.Savepoint) (*topology.Plan, error) {
	if f.pipeline != "" {
		return loadPlan(f.pipeline, &f.env)
	}
	name := path + "/" + savepoint.ResolvedName
	spec, plan, found := topology.Validate(name, s.Resolved, topology.Options{NoEnv: true, ReadFile: os.ReadFile})
	if topology.HasErrors(found) {
		fmt.Fprint(os.Stderr, topology.RenderText(found, spec.Lines))
		return nil, &exitError{code: exitInvalid, text: "this version of kstream cannot plan the pipeline of the savepoint", hint: "name the file it was made with: --pipeline FILE"}
	}
	return plan, nil
}
