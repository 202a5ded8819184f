package kafka

import (
	"context"

	"kstream/record"
)

// ReadAll reads parts of logs under read_committed and calls fn for every
// record in them, in the order of each partition. It returns when every
// position has reached its end: markers and aborted records count, so that the
// end may be a high watermark (G29). The message is valid during the call.
//
// progress, if not nil, is called now and then with the number of records read
// so far and of offsets still to go.
//
// It never reads from followers, whose high watermark lags (G31), and never
// skips: a position that does not exist any more is an error.
func (c *Cluster) ReadAll(ctx context.Context, ranges []record.ReadRange, fn func(record.Message) error, progress func(read, left int64)) error {
	ends := map[record.TopicPartition]record.Offset{}
	left := int64(0)
	var from []record.Position
	for _, r := range ranges {
		if r.Offset >= r.To {
			continue
		}
		from = append(from, r.Position)
		ends[r.TopicPartition] = r.To
		left += int64(r.To - r.Offset)
	}
	if len(from) == 0 {
		return nil
	}
	consumer, err := newConsumer(c, ConsumerConfig{Positions: from}, "")
	if err != nil {
		return err
	}
	defer consumer.Close()
	reader := rangeReader{consumer: consumer, ends: ends, fn: fn, at: map[record.TopicPartition]record.Offset{}, left: left}
	for _, p := range from {
		reader.at[p.TopicPartition] = p.Offset
	}
	for len(reader.ends) > 0 {
		if err := reader.poll(ctx); err != nil {
			return err
		}
		if progress != nil {
			progress(reader.read, reader.left)
		}
	}
	return nil
}

// rangeReader is the state of one ReadAll.
type rangeReader struct {
	consumer *Consumer
	ends     map[record.TopicPartition]record.Offset // of partitions not finished
	at       map[record.TopicPartition]record.Offset
	fn       func(record.Message) error
	read     int64
	left     int64
}

func (r *rangeReader) poll(ctx context.Context) error {
	fetch, err := r.consumer.Poll(ctx)
	if err != nil {
		return err
	}
	var done []record.TopicPartition
	for i := range fetch.Partitions {
		p := &fetch.Partitions[i]
		end, open := r.ends[p.TopicPartition]
		if !open {
			p.Records.Release()
			continue
		}
		err := r.records(p, end)
		p.Records.Release()
		if err != nil {
			return err
		}
		to := min(p.Next.Offset, end)
		r.left -= int64(to - r.at[p.TopicPartition])
		r.at[p.TopicPartition] = to
		if p.Next.Offset >= end {
			delete(r.ends, p.TopicPartition)
			done = append(done, p.TopicPartition)
		}
	}
	if len(done) > 0 {
		r.consumer.Pause(done)
	}
	return nil
}

func (r *rangeReader) records(p *record.FetchedPartition, end record.Offset) error {
	var m record.Message
	for i := range p.Records.Len() {
		p.Records.At(i, &m)
		if m.Offset >= end {
			return nil
		}
		r.read++
		if err := r.fn(m); err != nil {
			return err
		}
	}
	return nil
}
