package source

import (
	"kstream/record"
	"kstream/topology"
	"kstream/window"
)

// Watermarks follows the event time of the partitions of one source that one
// task reads, by the source's strategy. Partitions are numbered as they are
// added.
type Watermarks struct {
	spec    topology.WatermarkSpec
	byClock bool
	bound   int64
	idle    record.Timestamp // milliseconds, 0 is never
	parts   []follower
	all     *window.Partitions
}

type follower struct {
	bounded window.Bounded
	last    record.Timestamp // wall time of the last records
	ended   bool
}

// NewWatermarks makes the watermarks of a source. Time is that of the pipeline:
// with ingestion the times rise by themselves, with processing the clock is the
// watermark.
func NewWatermarks(spec topology.WatermarkSpec, time string) *Watermarks {
	w := &Watermarks{
		spec:    spec,
		byClock: time == "processing",
		bound:   spec.Bound.Milliseconds(),
		idle:    record.Timestamp(spec.Idle.Milliseconds()),
		all:     window.NewPartitions(0),
	}
	if time == "ingestion" {
		w.bound = 0
	}
	return w
}

// Add adds a partition at a wall time. Restored is its watermark in the
// checkpoint, MinTimestamp if there is none; idle is whether it was idle then.
func (w *Watermarks) Add(now, restored record.Timestamp, idle bool) int {
	w.parts = append(w.parts, follower{bounded: window.NewBounded(w.bound), last: now})
	i := w.all.Add()
	w.all.Advance(i, restored)
	w.all.SetIdle(i, idle)
	return i
}

// Restore sets the watermark the source had reported in the checkpoint.
func (w *Watermarks) Restore(watermark record.Timestamp) { w.all.Restore(watermark) }

// Observe takes note of the time of a record of partition i.
func (w *Watermarks) Observe(i int, t record.Timestamp) { w.parts[i].bounded.Observe(t) }

// Active says that partition i had records at a wall time: it is not idle. It is
// called once per batch, after Observe and before Current.
func (w *Watermarks) Active(i int, now record.Timestamp) {
	p := &w.parts[i]
	p.last = now
	w.all.Advance(i, p.bounded.Current())
	w.all.SetIdle(i, false)
}

// End says that partition i has been read to its end.
func (w *Watermarks) End(i int) {
	w.parts[i].ended = true
	w.all.End(i)
}

// Current is the watermark of the source at a wall time, and whether all its
// partitions are idle, so that it holds nobody back. It never goes back. A
// source with the strategy none is idle until it ends.
func (w *Watermarks) Current(now record.Timestamp) (watermark record.Timestamp, idle bool) {
	switch ended := w.ended(); {
	case ended:
		return record.MaxTimestamp, false
	case w.byClock:
		w.all.Restore(now - 1)
		return w.all.Current(), false
	case w.spec.Kind == "none":
		return record.MinTimestamp, true
	}
	if w.idle > 0 {
		for i := range w.parts {
			if p := &w.parts[i]; !p.ended && now-p.last >= w.idle {
				w.all.SetIdle(i, true)
			}
		}
	}
	return w.all.Current(), w.all.AllIdle()
}

func (w *Watermarks) ended() bool {
	for i := range w.parts {
		if !w.parts[i].ended {
			return false
		}
	}
	return len(w.parts) > 0
}

// Partition is what the checkpoint keeps of partition i.
func (w *Watermarks) Partition(i int) (watermark record.Timestamp, idle bool) {
	return w.all.Watermark(i), w.all.Idle(i)
}

// Holder is the partition that holds the watermark back the most, -1 if there is
// none.
func (w *Watermarks) Holder() int { return w.all.Holder() }
