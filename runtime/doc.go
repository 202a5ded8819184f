// Package runtime runs a plan: tasks, the exchanges between them, the commit of
// an epoch, start-up and recovery. It is the shell around the pure packages:
// clocks, goroutines and the interfaces it needs of Kafka are here.
//
//	Job.Run
//	  coordinator   one goroutine: checkpoint.Machine says what, commit.go and startup.go do it
//	  fetcher       one goroutine per consumer: polls, hands runs of records to source tasks
//	  source task   one goroutine per subtask of a source chain: decode, chain, watermarks
//	  task          one goroutine per subtask of every other chain: inbox, chain, alignment
//
// A task's main loop: take the next message of an input that is not blocked by
// a barrier; rows go through the chain, into batches for other tasks and into
// the open transaction; a barrier that has come from every input freezes the
// state, goes to every output and is acknowledged. While the transaction of the
// epoch before is being committed, sinks hold what they would have produced.
package runtime
