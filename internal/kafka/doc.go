// Package kafka is the only place that talks to Kafka. It hides the client
// library, its traps and the broker's error codes: nothing above sees any of
// them.
//
//	Cluster   asks and makes topics      Inspect, Topics, Bounds, WaitStable, ReadAll …
//	Session   the transactional producer Fence, Begin, Produce, Flush, CommitOffsets, End
//	Consumer  reads from positions       Poll, Pause, Resume, AddPartitions
//	Embedded  a broker in the process    StartEmbedded, for development and tests
//
// The main loop of an epoch, as its users write it:
//
//	session.Begin()                         // E0
//	session.Produce(m) …                    // E1, any number of goroutines
//	session.Flush(ctx)                      // E8: all acknowledged, or the first error
//	session.EndOffset(topic, partition) …   // goes into the checkpoint record
//	session.CommitOffsets(ctx, group, …)    // E9
//	session.Produce(checkpointRecord)       // E10
//	session.Flush(ctx)
//	writes, err := session.End(ctx)         // E11, E12: nil is the only success
//
// After any error the session is closed and a new one fences. There is no
// other way to go on: the client cannot tell what became of a transaction, and
// what it offers for that purpose says "nil" for outcomes that were commits.
//
// Every error is a *record.KafkaError, made by Classify. The comments name the
// rules of the protocol (I5), its steps (E8) and the traps of the client (G14)
// by the numbers of docs/exactly-once.md.
package kafka
