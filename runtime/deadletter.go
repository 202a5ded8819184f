package runtime

import (
	"kstream/operator"
	"kstream/record"
	"kstream/sink"
	"kstream/topology"
)

// deadLetters is how a task writes dead letters: through its output, like the
// records of a sink, so that they are in the transaction of the results (I1) and
// wait while it commits (I5). Nil if the pipeline has no topic for them.
func (b *build) deadLetters(t *taskCore) func(*topology.Node, *record.Row, *operator.RecordError) error {
	spec := b.life.job.plan.Spec
	if spec.DeadLetter == nil {
		return nil
	}
	partitions := b.life.topics[spec.DeadLetter.Topic].Partitions
	count := b.life.job.metrics.deadLetters
	enc := sink.NewDeadLetters(spec, &t.env)
	return func(n *topology.Node, row *record.Row, e *operator.RecordError) error {
		count.WithLabelValues(e.Node, e.Code).Inc()
		return t.out.write(enc.Encode(n, row, e, partitions))
	}
}

// unreadable takes the records that the source cannot read, as its on_error says.
func (t *sourceTask) unreadable(dead func(*topology.Node, *record.Row, *operator.RecordError) error) func(*record.Row, *record.Error) error {
	out := t.chain.Bad
	if out == nil {
		return func(row *record.Row, e *record.Error) error { return dead(nil, row, e) }
	}
	count := t.life.job.metrics.diverted
	return func(row *record.Row, e *record.Error) error {
		count.WithLabelValues(e.Node, e.Code).Inc()
		return t.op.Divert(out, row, e)
	}
}
