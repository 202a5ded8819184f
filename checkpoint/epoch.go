// Package checkpoint is the exactly-once protocol without its I/O: the state
// machine that decides what happens next (start-up U0-U10, epoch E0-E15, the
// one failure path), and the bytes of what it stores in the checkpoint topic.
//
// The machine takes events and returns effects. The shell in package runtime
// performs the effects with a Kafka client, the local store and the tasks, and
// turns results into events. Tests drive the same machine with a script.
package checkpoint

// Epoch numbers what happens between two barriers, from 1. A committed number
// is never used again.
type Epoch uint64
