package sink

import (
	"fmt"

	"kstream/codec"
	"kstream/record"
)

// stickyRun is how many records without a key go to one partition before the
// next one has its turn: enough to fill batches, too few to fill a partition.
const stickyRun = 512

// chooser is the state of the choice of partitions that no key decides.
type chooser struct {
	turn   int32 // of round_robin
	sticky int32 // where records without a key go
	run    int   // how many went there
	buf    []byte
}

// keyless is the partition of a record without a key.
func (c *chooser) keyless(n int32) int32 {
	if c.run == stickyRun {
		c.run, c.sticky = 0, (c.sticky+1)&0x7fffffff
	}
	c.run++
	return c.sticky % n
}

// Partition chooses the partition of the record that Encode made last, among n.
// It is the same for the same key, but for round_robin; records without a key
// stay with one partition for a while.
func (e *Encoder) Partition(row *record.Row, n int32) error {
	p, err := e.partition(row, n)
	if err != nil {
		return err
	}
	e.msg.Partition = p
	return nil
}

func (e *Encoder) partition(row *record.Row, n int32) (int32, error) {
	switch e.spec.Partition.Kind {
	case "round_robin":
		e.chooser.turn = (e.chooser.turn + 1) % n
		return e.chooser.turn, nil
	case "source_partition":
		if row.Origin == nil {
			return 0, failed("partition", fmt.Errorf("it is not known where the record was read"))
		}
		if row.Origin.Partition >= n {
			return 0, failed("partition", fmt.Errorf("it was read from partition %d and the topic has %d", row.Origin.Partition, n))
		}
		return row.Origin.Partition, nil
	case "by":
		return e.partitionBy(n)
	}
	if e.msg.Key == nil {
		return e.chooser.keyless(n), nil
	}
	return record.PartitionOf(e.msg.Key, n), nil
}

// partitionBy hashes a value as the key of the record would be; null is like no
// key.
func (e *Encoder) partitionBy(n int32) (int32, error) {
	v := e.enc.By.Eval(e.env)
	if err := e.env.Err(); err != nil {
		return 0, failed("partition", err)
	}
	b, null, err := codec.AppendRecordKey(e.chooser.buf[:0], v, "auto")
	if err != nil {
		return 0, failed("partition", err)
	}
	if e.chooser.buf = b; null {
		return e.chooser.keyless(n), nil
	}
	return record.PartitionOf(b, n), nil
}
