package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kstream/runtime"
)

func restoreCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "restore FILE --from PATH",
		Short: "Start a pipeline with the state of a savepoint",
		Long: `The same as "kstream run FILE --from PATH", and PATH has to be said.

The savepoint is verified as a whole, and compared with the pipeline, before
anything is touched. The switch to its state is one Kafka transaction: whatever
happens before it, the old state is the truth.`,
		Example: "  kstream restore pipeline.yaml --from savepoints/orders/2026-11-02T101640Z-000438\n" +
			"  kstream restore copy.yaml --from savepoints/orders/2026-11-02T101640Z-000438 --accept renamed-job\n" +
			"  kstream restore pipeline.yaml --from PATH --offsets timestamp    # on another cluster",
		Args: cobra.ExactArgs(1), ValidArgsFunction: pipelineFiles,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.from == "" || f.from == "none" || f.from == "latest" {
				return &exitError{code: exitUsage, text: "kstream restore needs --from PATH, the directory of a savepoint",
					hint: "kstream savepoint ls shows them"}
			}
			return f.start(cmd, args[0])
		},
	}
	f.register(cmd)
	cmd.Flags().Lookup("from").Usage = "the directory of a savepoint"
	cmd.Flags().Lookup("yes").Usage = "replace the history the job has"
	return cmd
}

// accepted is what --accept can name.
var accepted = [...]string{"dropped-state", "kafka-loss", "new-state", "rekeyed", "renamed-job"}

// checkFrom refuses what --from, --offsets and --accept cannot mean.
func (f *runFlags) checkFrom() error {
	for _, a := range f.accept {
		if !slices.Contains(accepted[:], a) {
			return &exitError{code: exitUsage, text: fmt.Sprintf("--accept %s is not one of %s", a, strings.Join(accepted[:], ", "))}
		}
	}
	switch {
	case f.offsets != "" && f.offsets != "same" && f.offsets != "timestamp":
		return &exitError{code: exitUsage, text: fmt.Sprintf("--offsets %s is not one of same, timestamp", f.offsets)}
	case f.offsets != "" && !f.restores():
		return &exitError{code: exitUsage, text: "--offsets says what the offsets of a savepoint mean: it needs --from PATH"}
	}
	return nil
}

// restores says that --from names a savepoint.
func (f *runFlags) restores() bool { return f.from != "" && f.from != "none" && f.from != "latest" }

// openFrom verifies the savepoint of --from. It is nil without one.
func (f *runFlags) openFrom(s *screen) (from *runtime.From, done func(), err error) {
	if !f.restores() {
		return nil, func() {}, nil
	}
	ctx, stop := untilSignal()
	defer stop()
	sp, done, err := openSavepoint(ctx, f.from, true)
	if err != nil {
		return nil, nil, err
	}
	s.line("✓ savepoint %s: checkpoint %d of %s, %d entries, %s", f.from, sp.Manifest.Checkpoint, sp.Manifest.Pipeline, sp.Manifest.Entries, sizeText(sp.Manifest.Bytes))
	return &runtime.From{Savepoint: sp, Path: f.from, Offsets: f.offsets, Replace: f.yes}, done, nil
}
