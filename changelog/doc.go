// Package changelog is the form in which state travels through Kafka, and the
// rules by which a local store may be trusted.
//
// Every changed entry of an epoch is one record of the changelog topic, in the
// partition of its key group, inside the transaction of the epoch:
//
//	key    format byte, then the address as the local store has it:
//	       store id, key group, namespace, key
//	value  format byte, time of expiry (0 is none), the value as stored;
//	       null deletes the entry
//
// Because an epoch is one transaction and one producer writes in the order of
// epochs, the last committed value of a key in the log is its newest, and
// compaction keeps exactly that one.
//
// At start-up Decide compares the local store with what the checkpoint record
// and the brokers say, and a Replayer brings the store to the end of the log.
// Both are pure: reading Kafka is the caller's.
package changelog
