package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"kstream/record"
	"kstream/runtime"
	"kstream/topology"
)

// screen is what a person sees of a running job: on a terminal one live line
// below the log, elsewhere a line a minute and one at every event worth knowing.
type screen struct {
	plan    *topology.Plan
	path    string
	out     io.Writer
	live    bool
	quiet   bool
	asJSON  bool
	metrics string
	api     string

	mu      sync.Mutex
	shown   bool // the live line is on the screen
	stop    chan struct{}
	stopped sync.WaitGroup
	last    runtime.Status
	lastAt  time.Time
}

const (
	liveEvery = 500 * time.Millisecond
	lineEvery = time.Minute
)

func newScreen(plan *topology.Plan, path string, f *runFlags) *screen {
	s := &screen{plan: plan, path: path, out: os.Stderr, quiet: f.quiet, asJSON: f.asJSON, stop: make(chan struct{})}
	s.live = !f.quiet && !f.asJSON && term.IsTerminal(int(os.Stderr.Fd()))
	s.line("%s  %s  (exactly once, checkpoint every %s)", plan.Name, path, plan.Spec.Checkpoint.Interval)
	return s
}

// line prints a line above the live one.
func (s *screen) line(format string, args ...any) {
	if s.quiet || s.asJSON {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// clear takes the live line away; mu is held.
func (s *screen) clear() {
	if s.shown {
		fmt.Fprint(s.out, "\r\x1b[K")
		s.shown = false
	}
}

// Write lets the log share the screen.
func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	return s.out.Write(b)
}

// event takes what the job tells.
func (s *screen) event(e runtime.Event) {
	if s.asJSON {
		s.json(map[string]any{"kind": "JobEvent", "version": 1, "name": s.plan.Name, "event": e.Kind, "text": e.Text, "took_ms": e.Took.Milliseconds()})
		return
	}
	switch e.Kind {
	case "restored":
		s.line("  ✓ restored %s", e.Text)
	case "running":
		text := "  ▶ running, " + e.Text
		if s.api != "" {
			text += "   api " + s.api
		}
		if s.metrics != "" {
			text += "   metrics " + s.metrics
		}
		s.line("%s", text)
	case "stopping":
		s.line("  ■ stopping: %s", e.Text)
	case "restart":
		s.line("  ! %s; starting again in %s", e.Text, e.Took.Round(time.Millisecond))
	}
}

func (s *screen) json(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	json.NewEncoder(s.out).Encode(v)
}

// follow shows the job until end.
func (s *screen) follow(job *runtime.Job) {
	every := lineEvery
	if s.live {
		every = liveEvery
	}
	s.stopped.Add(1)
	go func() {
		defer s.stopped.Done()
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				s.show(job.Status())
			case <-s.stop:
				return
			}
		}
	}()
}

func (s *screen) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.stopped.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
}

func (s *screen) show(now runtime.Status) {
	rate := 0.0
	if !s.lastAt.IsZero() {
		rate = float64(now.Records-s.last.Records) / time.Since(s.lastAt).Seconds()
	}
	s.last, s.lastAt = now, time.Now()
	if s.asJSON {
		s.json(statusJSON(now, rate))
		return
	}
	if s.quiet {
		return
	}
	text := statusText(now, rate)
	if !s.live {
		s.line("%s %s", time.Now().UTC().Format("15:04:05"), text)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clear()
	if width, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && width > 0 && len([]rune(text)) >= width {
		text = string([]rune(text)[:max(0, width-1)])
	}
	fmt.Fprint(s.out, text)
	s.shown = true
}

func statusText(st runtime.Status, rate float64) string {
	parts := []string{
		st.State, fmt.Sprintf("%.0f records/s", rate), fmt.Sprintf("lag %d", st.Lag), "watermark " + watermarkText(st.Watermark),
	}
	if st.CommittedAt > 0 {
		age := time.Since(time.UnixMilli(int64(st.CommittedAt)))
		parts = append(parts, fmt.Sprintf("checkpoint %d %s ago in %s", st.Epoch, age.Round(100*time.Millisecond), st.CommitTook.Round(time.Millisecond)))
	}
	if st.Restarts > 0 {
		parts = append(parts, fmt.Sprintf("restarts %d", st.Restarts))
	}
	return strings.Join(parts, "  ")
}

func watermarkText(w record.Timestamp) string {
	switch w {
	case record.MinTimestamp:
		return "-"
	case record.MaxTimestamp:
		return "end"
	}
	return time.UnixMilli(int64(w)).UTC().Format("2006-01-02T15:04:05.000Z")
}

func statusJSON(st runtime.Status, rate float64) map[string]any {
	return map[string]any{
		"kind": "JobStatus", "version": 1, "name": st.Name, "state": st.State, "uptime_s": int64(st.Uptime.Seconds()),
		"restarts": st.Restarts, "records": st.Records, "records_per_s": int64(rate), "lag": map[string]any{"records": st.Lag},
		"watermark": watermarkText(st.Watermark), "parallelism": st.Parallelism,
		"checkpoint": map[string]any{"id": st.Epoch, "duration_ms": st.CommitTook.Milliseconds()},
	}
}

// finished tells how the job ended.
func (s *screen) finished(job *runtime.Job, r runtime.Result) {
	s.end()
	st := job.Status()
	if s.asJSON {
		s.json(map[string]any{"kind": "JobResult", "version": 1, "name": st.Name, "exit": r.Exit, "text": r.Text, "hint": r.Hint,
			"records": st.Records, "checkpoint": st.Epoch})
		return
	}
	if r.Exit == 0 {
		s.line("  ✓ finished: %d records in, checkpoint %d committed", st.Records, st.Epoch)
	}
}

// newLog makes the log as the pipeline says: text on a terminal, else JSON.
func newLog(spec topology.LogSpec, verbose int, out io.Writer) *slog.Logger {
	levels := map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
	level := levels[spec.Level]
	if verbose > 0 {
		level = slog.LevelDebug
	}
	o := &slog.HandlerOptions{Level: level}
	format := spec.Format
	if format == "" && !term.IsTerminal(int(os.Stderr.Fd())) {
		format = "json"
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, o))
	}
	return slog.New(slog.NewTextHandler(out, o))
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
