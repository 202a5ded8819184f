package record

import "fmt"

// Error is what is wrong with one record at one node. Whether it ends the job
// or the record is dropped and counted is the node's on_error; the same record
// fails the same way every time, so trying again does not help.
type Error struct {
	Code    string // decode-failed, eval-failed, encode-failed, too-large
	Node    string // uid
	Message string
	// Where the record was read; Topic is empty if it has no origin any more.
	Topic     string
	Partition int32
	Offset    Offset
}

func (e *Error) Error() string {
	if e.Topic == "" {
		return fmt.Sprintf("%s: %s: %s", e.Node, e.Code, e.Message)
	}
	return fmt.Sprintf("%s: %s: %s (%s/%d offset %d)", e.Node, e.Code, e.Message, e.Topic, e.Partition, e.Offset)
}

// At fills in where the record was read, if it is known and not filled in yet.
func (e *Error) At(o *Origin) *Error {
	if e.Topic == "" && o != nil {
		e.Topic, e.Partition, e.Offset = o.Topic, o.Partition, o.Offset
	}
	return e
}
