package operator

import (
	"errors"

	"kstream/record"
)

// sink hands rows to a sink's encoder.
type sink struct {
	*base
	write func(*record.Row) error
}

func newSink(b *base) (*sink, error) {
	write, err := b.env.Sink(b.node)
	if err != nil {
		return nil, err
	}
	return &sink{base: b, write: write}, nil
}

func (s *sink) process(row *record.Row) error {
	s.stats.In++
	err := s.write(row)
	if err == nil {
		s.stats.Out++
		return nil
	}
	var bad *RecordError
	if errors.As(err, &bad) {
		return s.failed(row, bad)
	}
	return s.wrap("sink", err)
}
