// Package source turns what was read into rows: bytes into slots, the event
// time, the watermark of each partition, generated records, lines of text. It
// reads nothing itself and knows no clock: records and wall times come in as
// arguments, so that a replay of the same records gives the same rows.
//
//	for each record of a batch of one partition:
//	    arena.Reset()
//	    ok, err := decoder.Decode(&message, row)      // ok false: skipped and counted
//	    watermarks.Observe(partition, row.Time)
//	    chain.Process(row)
//	after a batch, and now and then:
//	    w, idle := watermarks.Current(now)
package source
