// Package control is the control API of a running job: versioned JSON over HTTP,
// by default on loopback; its client; and the run files by which the commands
// find the jobs of a machine.
//
//	GET  /v1/job            JobStatus
//	GET  /v1/checkpoints    CheckpointList
//	POST /v1/checkpoints    takes one now: Checkpoint
//	POST /v1/savepoints     SavepointRequest: Savepoint
//	POST /v1/stop           StopRequest: Stopped
//	POST /v1/restart        Done
//	POST /v1/rescale        RescaleRequest: Done
//
// An error is the object Error with the exit code a command ends with.
//
// A request must name the listener in its Host header, and one that changes
// something must be application/json: a web page that a person looks at on the
// same machine can send neither. A listener that is not on loopback demands a
// token.
package control
