// Package verify decides whether a run of the chaos pipeline was exactly once.
// It is written apart from the product and uses none of its code: it reads the
// input and the outputs as any read_committed consumer does, computes what the
// outputs must be with plain loops, and compares record by record.
//
//	Read     topics -> History          (the only part that reads records)
//	Check    History -> problems        pure; tested with wrong histories
//	Run      Read, Check, and the state of the cluster: positions, nothing open
//	Watch    a reader beside the run, whose view must agree with the end's
//
// A verdict that compared nothing is a problem in itself.
package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Job names one run: the pipeline and its topics.
type Job struct {
	Addrs                     []string
	Name                      string // of the pipeline
	In, Copy, Counts, Windows string // topics
	Sessions, Table           string
	Dead, DeadNode            string // of dead letters, and the node that writes them
	WindowSize, Gap           int64  // milliseconds; Gap is that of the sessions
	Files                     string // directory of the file sink, "" if the pipeline has none
}

// outputs are the topics a run writes for its readers.
func (j Job) outputs() []string {
	return []string{j.Copy, j.Counts, j.Windows, j.Sessions, j.Table, j.Dead}
}

// Rec is one record as read. The fields of the value are those of all topics
// together; each topic has some of them.
type Rec struct {
	Offset int64
	Key    string
	Value  Value
	Gone   bool   // there is no value: a delete of a table
	Error  string // of a dead letter: "node code topic/partition/offset"
}

// Value is the JSON of a record: {id, k, n, ts} of input and copy, {k, n, total}
// of the counts and the table, {k, start, n, total} of the windows, and of the sessions
// with their end.
type Value struct {
	ID    string `json:"id"`
	K     string `json:"k"`
	N     int64  `json:"n"`
	TS    Millis `json:"ts"`
	Total int64  `json:"total"`
	Start Millis `json:"start"`
	End   Millis `json:"end"`
}

// Millis is a time that JSON holds as epoch milliseconds or as RFC 3339 text.
type Millis int64

// UnmarshalJSON reads either form.
func (m *Millis) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(b, &n); err == nil {
		*m = Millis(n)
		return nil
	}
	var t time.Time
	if err := json.Unmarshal(b, &t); err != nil {
		return err
	}
	*m = Millis(t.UnixMilli())
	return nil
}

// Log is one topic: a list of records per partition, in the order of the log.
type Log [][]Rec

// Len is the number of records.
func (l Log) Len() int {
	n := 0
	for _, p := range l {
		n += len(p)
	}
	return n
}

// History is everything a committed reader sees of a run.
type History struct {
	In, Copy, Counts, Windows, Dead Log
	Sessions, Table                 Log
	WindowSize, Gap                 int64
	Input, DeadNode                 string // as dead letters name them
	HasFiles                        bool
	Files                           []File
}

// Read reads all topics of the job as committed.
func Read(ctx context.Context, j Job) (History, error) {
	h := History{WindowSize: j.WindowSize, Gap: j.Gap, Input: j.In, DeadNode: j.DeadNode}
	adm, err := admin(j.Addrs)
	if err != nil {
		return h, err
	}
	defer adm.Close()
	for _, t := range []struct {
		topic string
		to    *Log
	}{{j.In, &h.In}, {j.Copy, &h.Copy}, {j.Counts, &h.Counts}, {j.Windows, &h.Windows},
		{j.Sessions, &h.Sessions}, {j.Table, &h.Table}, {j.Dead, &h.Dead}} {
		if *t.to, err = readTopic(ctx, adm, j.Addrs, t.topic, kgo.ReadCommitted()); err != nil {
			return h, fmt.Errorf("read topic %s: %w", t.topic, err)
		}
	}
	if h.HasFiles = j.Files != ""; h.HasFiles {
		if h.Files, err = readFiles(j.Files); err != nil {
			return h, err
		}
	}
	return h, nil
}

// readTopic reads a topic up to its last stable offset. Control records are
// kept while reading, because markers occupy offsets: without them the end would
// never be reached.
func readTopic(ctx context.Context, adm *kadm.Client, addrs []string, topic string, level kgo.IsolationLevel) (Log, error) {
	ends, err := stableEnds(ctx, adm, topic)
	if err != nil {
		return nil, err
	}
	log := make(Log, len(ends))
	from, left := make(map[int32]kgo.Offset), 0
	for p, end := range ends {
		if end > 0 {
			from[int32(p)] = kgo.NewOffset().At(0)
			left++
		}
	}
	if left == 0 {
		return log, nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	done := make([]bool, len(ends))
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			return nil, fmt.Errorf("partition %d: %w", e.Partition, e.Err)
		}
		var bad error
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset >= ends[r.Partition]-1 && !done[r.Partition] {
				done[r.Partition] = true
				left--
			}
			if r.Offset >= ends[r.Partition] || r.Attrs.IsControl() {
				return
			}
			rec, err := recOf(r)
			if err != nil {
				bad = errors.Join(bad, fmt.Errorf("partition %d offset %d: %q: %w", r.Partition, r.Offset, r.Value, err))
			}
			log[r.Partition] = append(log[r.Partition], rec)
		})
		if bad != nil {
			return nil, bad
		}
	}
	return log, nil
}

// recOf reads a record. One without a value is a delete; the checks of the other
// topics miss its value.
func recOf(r *kgo.Record) (Rec, error) {
	rec := Rec{Offset: r.Offset, Key: string(r.Key), Error: errorOf(r), Gone: r.Value == nil}
	if rec.Gone {
		return rec, nil
	}
	return rec, json.Unmarshal(r.Value, &rec.Value)
}

// errorOf is what the headers of a dead letter say.
func errorOf(r *kgo.Record) string {
	said := map[string]string{}
	for _, h := range r.Headers {
		if name, ours := strings.CutPrefix(h.Key, "kstream.error."); ours {
			said[name] = string(h.Value)
		}
	}
	if len(said) == 0 {
		return ""
	}
	return fmt.Sprintf("%s %s %s/%s/%s", said["node"], said["code"], said["topic"], said["partition"], said["offset"])
}

// stableEnds is the last stable offset of every partition.
func stableEnds(ctx context.Context, adm *kadm.Client, topic string) ([]int64, error) {
	listed, err := adm.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	if err := listed.Error(); err != nil {
		return nil, err
	}
	ends := make([]int64, len(listed[topic]))
	for p, l := range listed[topic] {
		ends[p] = l.Offset
	}
	return ends, nil
}

func admin(addrs []string) (*kadm.Client, error) {
	return kadm.NewOptClient(kgo.SeedBrokers(addrs...), kgo.RetryTimeout(10*time.Second))
}
