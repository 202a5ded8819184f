package sink

import (
	"fmt"

	"kstream/codec"
	"kstream/record"
)

// chooser is the state of the choice of partitions that no key decides.
type chooser struct {
	turn   int32 // of round_robin
	sticky int32 // where records without a key go for the rest of the batch
	buf    []byte
}

// Partition chooses the partition of the record that Encode made last, among n.
// It is the same for the same record, but for round_robin and for records
// without a key, which stay with one partition until NextBatch.
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
		return e.chooser.sticky % n, nil
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
		return e.chooser.sticky % n, nil
	}
	return record.PartitionOf(b, n), nil
}

// NextBatch moves records without a key on to the next partition.
func (e *Encoder) NextBatch() { e.chooser.sticky = (e.chooser.sticky + 1) & 0x7fffffff }
