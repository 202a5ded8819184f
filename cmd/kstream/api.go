package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kstream/checkpoint"
	"kstream/control"
	"kstream/record"
	"kstream/runtime"
	"kstream/savepoint"
	"kstream/topology"
)

// serveControl starts the control API of a job and announces it to the commands
// of this machine. Without the announcement the job runs on: --api finds it.
func serveControl(plan *topology.Plan, path string, job *runtime.Job, log *slog.Logger, s *screen) (stop func(), err error) {
	spec := plan.Spec.API
	if spec.Listen == "none" {
		return func() {}, nil
	}
	token := ""
	if spec.TokenFile != "" {
		b, err := os.ReadFile(spec.TokenFile)
		if err != nil {
			return nil, &exitError{code: exitEnvironment, text: "read api.token_file: " + err.Error()}
		}
		if token = strings.TrimSpace(string(b)); token == "" {
			return nil, &exitError{code: exitEnvironment, text: "api.token_file " + spec.TokenFile + " is empty"}
		}
	}
	server, err := control.Serve(spec.Listen, token, controlled(plan, path, job))
	if err != nil {
		return nil, commandError(err)
	}
	s.api = server.URL()
	absolute, err := filepath.Abs(path)
	if err != nil {
		absolute = path
	}
	remove, err := control.WriteRunFile(control.RunDir(), control.RunFile{
		Name: plan.Name, PID: os.Getpid(), URL: server.URL(), File: absolute, Started: time.Now().UTC(),
	})
	if err != nil {
		log.Warn("the commands of this machine will not find the job by its name", "error", err, "api", server.URL())
		remove = func() {}
	}
	return func() { remove(); server.Close() }, nil
}

// controlled is what the control API offers of a job.
func controlled(plan *topology.Plan, path string, job *runtime.Job) control.Job {
	c := control.Job{
		Status:  func() *control.JobStatus { return statusOf(plan, path, job) },
		History: func() *control.CheckpointList { return historyOf(job) },
		Checkpoint: func(ctx context.Context) (*control.Checkpoint, error) {
			c, err := job.CheckpointNow(ctx)
			out := checkpointOf(c)
			return &out, controlError(err)
		},
		Savepoint: func(ctx context.Context, r control.SavepointRequest) (*control.Savepoint, error) {
			to, make, err := savepointPlace(plan, r.Path)
			if err != nil {
				return nil, err
			}
			return savepointAnswer(to, job.Savepoint(ctx, make))
		},
		Stop: func(ctx context.Context, r control.StopRequest) (*control.Savepoint, error) {
			mode := map[string]checkpoint.StopMode{"finish": checkpoint.StopFinish, "drain": checkpoint.StopDrain, "now": checkpoint.StopNow}[r.Mode]
			if !r.Savepoint {
				job.Stop(mode)
				return nil, nil
			}
			if mode == checkpoint.StopNow {
				return nil, control.NewError(exitUsage, "a stop without a checkpoint has no savepoint", "leave --now out")
			}
			to, make, err := savepointPlace(plan, r.SavepointPath)
			if err != nil {
				return nil, err
			}
			return savepointAnswer(to, job.StopWithSavepoint(ctx, mode, make))
		},
		Restart: func(ctx context.Context) error { return controlError(job.Restart(ctx)) },
		Rescale: func(ctx context.Context, n int) error {
			if n < 1 || n > plan.MaxParallelism {
				return control.NewError(exitUsage, fmt.Sprintf("parallelism %d is outside of 1 to %d", n, plan.MaxParallelism), "max_parallelism changes through a savepoint")
			}
			return controlError(job.Rescale(ctx, n))
		},
	}
	controlledState(job, &c)
	return c
}

// savepointPlace is where a savepoint goes; to is set when its checkpoint is known.
func savepointPlace(plan *topology.Plan, path string) (to *string, make func(checkpoint.Epoch) (savepoint.Directory, error), err error) {
	if path != "" && !filepath.IsAbs(path) {
		return nil, nil, control.NewError(exitUsage, "the path of a savepoint must be absolute here: "+path, "")
	}
	to = &path
	return to, func(n checkpoint.Epoch) (savepoint.Directory, error) {
		if *to == "" {
			place, err := filepath.Abs(filepath.Join(plan.Spec.Savepoints, plan.Name, runtime.SavepointName(time.Now(), n)))
			if err != nil {
				return nil, err
			}
			*to = place
		}
		return runtime.NewDirectory(*to)
	}, nil
}

func savepointAnswer(to *string, r runtime.SavepointResult) (*control.Savepoint, error) {
	if r.Err != nil {
		return nil, controlError(r.Err)
	}
	return control.NewSavepoint(*to, r.Took, r.Manifest), nil
}

// controlError gives an error of the job the exit code a command ends with.
func controlError(err error) error {
	if err == nil {
		return nil
	}
	var refused *checkpoint.Failure
	switch {
	case errors.As(err, &refused):
		return control.NewError(max(refused.Exit, exitFailed), refused.Text, refused.Hint)
	case errors.Is(err, runtime.ErrEnded):
		return control.NewError(exitMissing, err.Error(), "")
	}
	return control.NewError(exitFailed, err.Error(), "")
}

// statusOf is what a job is doing.
func statusOf(plan *topology.Plan, path string, job *runtime.Job) *control.JobStatus {
	st := job.Status()
	out := control.NewJobStatus()
	out.Name, out.Description, out.File, out.State, out.PID = st.Name, plan.Spec.Description, path, st.State, os.Getpid()
	out.UptimeS, out.Restarts, out.Records, out.Parallelism = int64(st.Uptime.Seconds()), st.Restarts, st.Records, st.Parallelism
	out.Lag.Records = st.Lag
	if st.Watermark != record.MinTimestamp {
		w := watermarkText(st.Watermark)
		out.Watermark = &w
	}
	committed, failures := job.History()
	if n := len(committed); n > 0 {
		last := checkpointOf(committed[n-1])
		out.Checkpoint.Last = &last
	} else if st.Epoch > 0 {
		out.Checkpoint.Last = &control.Checkpoint{ID: st.Epoch}
	}
	for _, f := range failures {
		if time.Since(time.UnixMilli(int64(f.At))) < time.Hour {
			out.Checkpoint.Failed1h++
		}
	}
	for _, o := range job.Operators() {
		op := control.Operator{UID: o.UID, Operator: o.Kind, Tasks: o.Tasks, In: o.In, Out: o.Out,
			InPerS: int64(o.InPerS), OutPerS: int64(o.OutPerS), StateBytes: o.StateBytes}
		if o.Watermark != record.MinTimestamp {
			op.Watermark = watermarkText(o.Watermark)
		}
		if o.Kind == "source" {
			out.RecordsPerS += int64(o.InPerS)
		}
		out.Operators = append(out.Operators, op)
	}
	return out
}

func checkpointOf(c runtime.Committed) control.Checkpoint {
	return control.Checkpoint{ID: c.ID, CommittedAt: time.UnixMilli(int64(c.At)).UTC(), DurationMS: c.Took.Milliseconds(), Bytes: c.Bytes}
}

func historyOf(job *runtime.Job) *control.CheckpointList {
	committed, failures := job.History()
	l := control.NewCheckpointList()
	for _, c := range committed {
		l.Items = append(l.Items, checkpointOf(c))
	}
	for _, f := range failures {
		l.Failures = append(l.Failures, control.Failure{At: time.UnixMilli(int64(f.At)).UTC(), Step: f.Step, Text: f.Text})
	}
	return l
}
