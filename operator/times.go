package operator

import (
	"fmt"

	"kstream/record"
)

// times assigns event time. The exchange behind it follows the times.
type times struct{ *base }

func (t *times) process(row *record.Row) error {
	t.stats.In++
	v := t.node.Times.Eval(t.expr)
	if err := t.expr.Err(); err != nil {
		return t.evalFailed(row, err)
	}
	if v.Kind() != record.KindTimestamp {
		return t.failed(row, &RecordError{Code: codeEval, Message: fmt.Sprintf("event_time is %s", v.TypeName())})
	}
	before := row.Time
	row.Time = v.Millis()
	err := t.emit(row)
	row.Time = before
	return err
}
