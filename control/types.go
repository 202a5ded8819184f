package control

import (
	"time"

	"kstream/savepoint"
)

// Head begins every object.
type Head struct {
	Kind    string `json:"kind"`
	Version int    `json:"version"`
}

// head is that of this version of the API.
func head(kind string) Head { return Head{Kind: kind, Version: 1} }

// JobStatus is what a job is doing.
type JobStatus struct {
	Head
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	File        string         `json:"file"`
	State       string         `json:"state"` // starting running stopping restarting stopped failed
	PID         int            `json:"pid"`
	UptimeS     int64          `json:"uptime_s"`
	Restarts    int64          `json:"restarts"`
	Records     int64          `json:"records"`
	RecordsPerS int64          `json:"records_per_s"`
	Lag         Lag            `json:"lag"`
	Watermark   *string        `json:"watermark"` // RFC 3339; "end" at the end of the input; null before the first
	Parallelism int            `json:"parallelism"`
	Checkpoint  LastCheckpoint `json:"checkpoint"`
	Operators   []Operator     `json:"operators"`
}

// Lag is how far a job is behind its inputs.
type Lag struct {
	Records int64 `json:"records"`
}

// LastCheckpoint is the newest committed one, null if there is none yet.
type LastCheckpoint struct {
	Last     *Checkpoint `json:"last"`
	Failed1h int         `json:"failed_1h"`
}

// Operator is one node; counts are since the last start.
type Operator struct {
	UID        string `json:"uid"`
	Operator   string `json:"operator"`
	Tasks      int    `json:"parallelism"`
	In         uint64 `json:"in"`
	Out        uint64 `json:"out"`
	InPerS     int64  `json:"in_per_s"`
	OutPerS    int64  `json:"out_per_s"`
	StateBytes int64  `json:"state_bytes"` // in memory
	Watermark  string `json:"watermark,omitempty"`
}

// Checkpoint is one committed checkpoint.
type Checkpoint struct {
	ID          uint64    `json:"id"`
	CommittedAt time.Time `json:"committed_at,omitzero"` // not known of one of an earlier process
	DurationMS  int64     `json:"duration_ms"`
	Bytes       int64     `json:"bytes"` // of state and output in its transaction
}

// Failure is a checkpoint or a start that did not come to its end.
type Failure struct {
	At   time.Time `json:"at"`
	Step string    `json:"step"`
	Text string    `json:"text"`
}

// CheckpointList is the history, oldest first.
type CheckpointList struct {
	Head
	Items    []Checkpoint `json:"items"`
	Failures []Failure    `json:"failures"`
}

// CheckpointTaken answers a request for a checkpoint.
type CheckpointTaken struct {
	Head
	Checkpoint
}

// SavepointRequest asks for a savepoint. Path is absolute and on the machine of
// the job; "" is the place the job would choose.
type SavepointRequest struct {
	Path string `json:"path,omitempty"`
}

// Savepoint is one that was written.
type Savepoint struct {
	Head
	Path     string              `json:"path"`
	TookMS   int64               `json:"took_ms"`
	Manifest *savepoint.Manifest `json:"manifest"`
}

// StopRequest ends a job. Mode is finish, drain or now.
type StopRequest struct {
	Mode          string `json:"mode"`
	Savepoint     bool   `json:"savepoint,omitempty"`
	SavepointPath string `json:"savepoint_path,omitempty"`
}

// Stopped says that a stop is under way; with a savepoint, that it is written.
type Stopped struct {
	Head
	Savepoint *Savepoint `json:"savepoint,omitempty"`
}

// RescaleRequest restarts a job with other parallelism.
type RescaleRequest struct {
	Parallelism int `json:"parallelism"`
}

// Done says that a request was carried out.
type Done struct {
	Head
}

// Error is why it was not. Exit is the exit code of a command that meets it.
type Error struct {
	Head
	Exit int    `json:"exit"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// Error is the sentence.
func (e *Error) Error() string { return e.Text }

// NewError makes one.
func NewError(exit int, text, hint string) *Error {
	return &Error{Head: head("Error"), Exit: exit, Text: text, Hint: hint}
}

// NewJobStatus makes one without figures.
func NewJobStatus() *JobStatus { return &JobStatus{Head: head("JobStatus"), Operators: []Operator{}} }

// NewCheckpointList makes one that is empty.
func NewCheckpointList() *CheckpointList {
	return &CheckpointList{Head: head("CheckpointList"), Items: []Checkpoint{}, Failures: []Failure{}}
}

// NewSavepoint makes the answer of one that was written.
func NewSavepoint(path string, took time.Duration, m *savepoint.Manifest) *Savepoint {
	return &Savepoint{Head: head("Savepoint"), Path: path, TookMS: took.Milliseconds(), Manifest: m}
}

// NewDone makes one.
func NewDone() *Done { return &Done{head("Done")} }
