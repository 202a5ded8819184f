// Package record holds the nouns of the dataflow: values, types, rows,
// timestamps and the names of places in Kafka. It has no behaviour but access,
// comparison and text form, imports nothing of this module, and every other
// package may use it.
//
// A Row is what one operator hands to the next. Its Slots are the register
// file of a fused chain: the planner gives every column of the chain one slot,
// each slot is written once per record, and projecting, renaming or dropping a
// field costs nothing at run time because only the plan knows names.
//
//	source bytes -> codec fills slots -> filter reads, set writes new slots -> sink encodes slots
//
// A Value may point into the bytes it was decoded from. It is valid until the
// record's chain call returns; who keeps it longer copies it (Value.Clone) or
// encodes it.
package record
