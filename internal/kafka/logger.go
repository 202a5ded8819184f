package kafka

import (
	"context"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"
)

// slogAdapter gives the client's log to ours, two levels lower: the client says
// "warn" for every connection that it will try again a moment later, and what
// lasts is told by who waits for it.
type slogAdapter struct {
	log *slog.Logger
}

// Level asks for everything that our logger would print.
func (a slogAdapter) Level() kgo.LogLevel {
	ctx := context.Background()
	switch {
	case a.log.Enabled(ctx, slog.LevelDebug-4):
		return kgo.LogLevelInfo
	case a.log.Enabled(ctx, slog.LevelDebug):
		return kgo.LogLevelWarn
	case a.log.Enabled(ctx, slog.LevelInfo):
		return kgo.LogLevelError
	}
	return kgo.LogLevelNone
}

// Log writes one line.
func (a slogAdapter) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	to := slog.LevelDebug - 4
	switch level {
	case kgo.LogLevelError:
		to = slog.LevelInfo
	case kgo.LogLevelWarn:
		to = slog.LevelDebug
	}
	a.log.Log(context.Background(), to, "kafka client: "+msg, keyvals...)
}
