//go:build harness

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/checkpoint"
)

// The oracle reads the topics as any read_committed reader does and computes the
// results anew with plain loops.

// row is a record of any topic: input, copy and late have {id, k, n, ts}, counts
// and united {k, n, total}, windows {k, start, n, total}, totals {start, n, total}.
type row struct {
	partition int
	offset    int64
	key       string
	ID        string    `json:"id"`
	K         string    `json:"k"`
	N         int64     `json:"n"`
	TS        simMillis `json:"ts"`
	Total     int64     `json:"total"`
	Start     simMillis `json:"start"`
}

// simMillis is a time that JSON holds as epoch milliseconds or as RFC 3339 text.
type simMillis int64

func (m *simMillis) UnmarshalJSON(b []byte) error {
	var n int64
	if json.Unmarshal(b, &n) == nil {
		*m = simMillis(n)
		return nil
	}
	var t time.Time
	err := json.Unmarshal(b, &t)
	*m = simMillis(t.UnixMilli())
	return err
}

func (r *row) same(o *row) bool {
	return r.key == o.key && r.ID == o.ID && r.K == o.K && r.N == o.N && r.TS == o.TS
}

// verdict collects what is wrong, and counts what was compared.
type verdict struct {
	bad                            []string
	records, keys, windows, epochs int
	late                           int
}

func (v *verdict) badf(format string, args ...any) {
	if len(v.bad) < 20 {
		v.bad = append(v.bad, fmt.Sprintf(format, args...))
	}
}

// readTopic reads a topic to its last stable offset, partition by partition.
func (s *simulation) readTopic(ctx context.Context, topic string, each func(*kgo.Record) error) error {
	left := map[int32]int64{}
	at := map[int32]kgo.Offset{}
	for _, p := range s.fake.PartitionInfos(topic) {
		if p.LastStableOffset != p.HighWatermark {
			return fmt.Errorf("%s/%d: a transaction is open: stable offset %d, end %d", topic, p.Partition, p.LastStableOffset, p.HighWatermark)
		}
		if p.HighWatermark > p.LogStartOffset {
			left[p.Partition] = p.HighWatermark
			at[p.Partition] = kgo.NewOffset().At(p.LogStartOffset)
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.fake.ListenAddrs()...), kgo.Dialer(s.network.DialContext),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: at}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", topic, e.Partition, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset >= left[r.Partition]-1 {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if err := each(r); err != nil {
				return fmt.Errorf("%s/%d offset %d: %w", topic, r.Partition, r.Offset, err)
			}
		}
	}
	return nil
}

// readRows reads a topic of rows; the partitions follow one another.
func (s *simulation) readRows(ctx context.Context, v *verdict, topic string) []row {
	var rows []row
	err := s.readTopic(ctx, topic, func(r *kgo.Record) error {
		x := row{partition: int(r.Partition), offset: r.Offset, key: string(r.Key)}
		if err := json.Unmarshal(r.Value, &x); err != nil {
			return err
		}
		rows = append(rows, x)
		return nil
	})
	if err != nil {
		v.badf("%v", err)
	}
	slices.SortFunc(rows, func(a, b row) int {
		if a.partition != b.partition {
			return a.partition - b.partition
		}
		return int(a.offset - b.offset)
	})
	v.records += len(rows)
	return rows
}

// judge compares everything.
func (s *simulation) judge(ctx context.Context) *verdict {
	v := &verdict{}
	in := s.readRows(ctx, v, inputTopic)
	v.copied(in, s.readRows(ctx, v, "sim-copy"))
	v.counted("counts", in, s.readRows(ctx, v, "sim-counts"), func(r *row) int { return r.partition })
	// Even and odd values come through two streams: order holds within each.
	v.counted("united", in, s.readRows(ctx, v, "sim-united"), func(r *row) int { return 2*r.partition + int(r.N&1) })
	windows := s.readRows(ctx, v, "sim-windows")
	late := s.readRows(ctx, v, "sim-late")
	v.windowed(in, windows, late)
	v.totalled(windows, s.readRows(ctx, v, "sim-totals"))
	v.failed("dead letters", in, s.readRows(ctx, v, "sim-dead"), func(r *row) bool { return r.N%7 == 0 })
	v.failed("side output", in, s.readRows(ctx, v, "sim-bad"), func(r *row) bool { return r.N%7 != 0 && r.N%5 == 0 })
	s.settled(ctx, v)
	if len(in) == 0 || v.records <= len(in) || v.keys == 0 || v.windows == 0 || v.epochs == 0 {
		v.badf("the oracle compared nothing of something: %+v", v)
	}
	return v
}

// copied demands the same records in the same partitions in the same order.
func (v *verdict) copied(in, out []row) {
	for i := range max(len(in), len(out)) {
		switch {
		case i >= len(out):
			v.badf("copy: %d records of %d, after %v", len(out), len(in), in[i].ID)
		case i >= len(in):
			v.badf("copy: %d records too many, from %+v", len(out)-len(in), out[i])
		case out[i].partition != in[i].partition || !out[i].same(&in[i]):
			v.badf("copy: record %d is %+v, want %+v", i, out[i], in[i])
		default:
			continue
		}
		return
	}
}

// counted follows the running count and sum of each key. Values are unique, so
// each step of the sum names the input record that made it: each must be named
// once, and those of one strand of the input in their order.
func (v *verdict) counted(what string, in, out []row, strand func(*row) int) {
	index := map[int64]int{}
	left := map[string]int{}
	for i := range in {
		index[in[i].N] = i
		left[in[i].K]++
	}
	type state struct {
		n, total  int64
		partition int
		newest    map[int]int
	}
	keys := map[string]*state{}
	for i := range out {
		r := &out[i]
		k := keys[r.K]
		if k == nil {
			k = &state{partition: r.partition, newest: map[int]int{}}
			keys[r.K] = k
		}
		at, ok := index[r.Total-k.total]
		switch {
		case r.partition != k.partition, r.key != r.K:
			v.badf("%s: key %s stands in the partitions %d and %d, with record key %q", what, r.K, k.partition, r.partition, r.key)
		case r.N != k.n+1:
			v.badf("%s: key %s has count %d at offset %d, want %d", what, r.K, r.N, r.offset, k.n+1)
		case !ok || in[at].K != r.K:
			v.badf("%s: key %s grows by %d at offset %d, which no input record of it has", what, r.K, r.Total-k.total, r.offset)
		case at < k.newest[strand(&in[at])]:
			v.badf("%s: key %s takes %s again or too late, at offset %d", what, r.K, in[at].ID, r.offset)
		default:
			k.newest[strand(&in[at])] = at + 1
			k.n, k.total = r.N, r.Total
			left[r.K]--
			continue
		}
		return
	}
	v.keys += len(keys)
	for k, n := range left {
		if n != 0 {
			v.badf("%s: key %s lacks %d results", what, k, n)
		}
	}
}

type pane struct {
	k     string
	start simMillis
}

func paneOf(r *row) pane { return pane{r.K, r.TS / 1000 * 1000} }

// windowed demands every window the input has closed once, with the count and
// sum of its records without those that came out as late; and each late record
// once.
func (v *verdict) windowed(in, out, late []row) {
	v.late = len(late)
	want := map[pane]row{}
	reached := map[int]simMillis{}
	ids := map[string]*row{}
	for i := range in {
		p := paneOf(&in[i])
		w := want[p]
		w.N++
		w.Total += in[i].N
		want[p] = w
		reached[in[i].partition] = max(reached[in[i].partition], in[i].TS)
		ids[in[i].ID] = &in[i]
	}
	for i := range late {
		r := &late[i]
		origin := ids[r.ID]
		if origin == nil || origin.N != r.N || origin.K != r.K {
			v.badf("late: %+v has no input, or is there twice", *r)
			continue
		}
		delete(ids, r.ID)
		w := want[paneOf(r)]
		w.N--
		w.Total -= r.N
		want[paneOf(r)] = w
	}
	watermark := simMillis(1 << 62)
	for _, t := range reached {
		watermark = min(watermark, t)
	}
	for i := range out {
		r := &out[i]
		p := pane{r.K, r.Start}
		w, ok := want[p]
		if !ok || w.N != r.N || w.Total != r.Total || p.start+1000 > watermark {
			v.badf("windows: %s [%d has count %d sum %d at offset %d; want %d and %d (none: not closed, or seen before)", p.k, p.start, r.N, r.Total, r.offset, w.N, w.Total)
			continue
		}
		delete(want, p)
		v.windows++
	}
	for p, w := range want {
		if w.N > 0 && p.start+1000 <= watermark {
			v.badf("windows: %s [%d with count %d is missing", p.k, p.start, w.N)
		}
	}
}

// totalled follows the second aggregate: each step of the sum of a window start
// is the sum of one key's window.
func (v *verdict) totalled(windows, out []row) {
	left := map[pane]int{} // sums of windows by start, the sum as key
	name := func(start simMillis, total int64) pane { return pane{fmt.Sprint(total), start} }
	for i := range windows {
		left[name(windows[i].Start, windows[i].Total)]++
	}
	last := map[simMillis]row{}
	for i := range out {
		r := &out[i]
		l := last[r.Start]
		step := name(r.Start, r.Total-l.Total)
		if r.N != l.N+1 || left[step] == 0 {
			v.badf("totals: [%d has count %d sum %d at offset %d after count %d sum %d", r.Start, r.N, r.Total, r.offset, l.N, l.Total)
			return
		}
		left[step]--
		last[r.Start] = *r
	}
	for step, n := range left {
		if n > 0 {
			v.badf("totals: [%d lacks the window with sum %s", step.start, step.k)
		}
	}
}

// settled holds that nothing is left open, that the group says what the newest
// record says, that both are at the end of the input, and that epochs only grow.
func (s *simulation) settled(ctx context.Context, v *verdict) {
	parts := map[string][]byte{}
	var newest *checkpoint.Record
	err := s.readTopic(ctx, "kstream.sim.checkpoints", func(r *kgo.Record) error {
		key := string(r.Key)
		if key == checkpoint.ClaimKey(0) {
			return nil
		}
		parts[key] = r.Value
		if key != checkpoint.RecordKey(0, 0) {
			return nil
		}
		c, err := checkpoint.DecodeRecord(0, parts)
		if err != nil {
			return err
		}
		if newest != nil && c.Epoch <= newest.Epoch {
			v.badf("epoch %d was committed after epoch %d", c.Epoch, newest.Epoch)
		}
		newest = c
		v.epochs++
		return nil
	})
	if err != nil {
		v.badf("checkpoints: %v", err)
	}
	if newest == nil {
		return
	}
	for p := range 8 {
		info := s.fake.PartitionInfo("kstream.sim.changelog", int32(p))
		if info.LastStableOffset != info.HighWatermark {
			v.badf("changelog/%d: a transaction is open", p)
		}
		if int64(newest.Changelog.Ends[p]) > info.HighWatermark {
			v.badf("changelog/%d ends at %d, the record says %d", p, info.HighWatermark, newest.Changelog.Ends[p])
		}
	}
	group := s.fake.GroupInfo(checkpoint.GroupID("sim"))
	if group == nil || len(newest.Sources) != s.input.partitions {
		v.badf("positions: no group, or %d of %d partitions in the record", len(newest.Sources), s.input.partitions)
		return
	}
	for _, p := range newest.Sources {
		c := group.Commits[p.Topic][p.Partition]
		if c.Offset != int64(p.Offset) || c.Metadata != checkpoint.FormatMark(newest.Epoch) {
			v.badf("positions: %s/%d is %d in record %d, %d (%s) in the group", p.Topic, p.Partition, p.Offset, newest.Epoch, c.Offset, c.Metadata)
		}
		if end := s.fake.PartitionInfo(p.Topic, p.Partition).HighWatermark; int64(p.Offset) != end {
			v.badf("positions: %s/%d is %d, the input ends at %d", p.Topic, p.Partition, p.Offset, end)
		}
	}
}
