// Package sink turns rows into the records of a sink: key, value, headers,
// timestamp and partition, or a line of text. It writes nothing itself.
//
//	msg, err := encoder.Encode(row)
//	err = encoder.Partition(row, partitions)      // of the same record
//
// A *record.Error says that the row cannot be written; the on_error of the sink
// decides what becomes of it.
package sink
