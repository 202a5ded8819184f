package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// growYAML counts per window; its watermark waits for every partition.
const growYAML = `version: 1
name: grow
kafka: {brokers: "${KSTREAM_BROKERS}"}
checkpoint: {interval: 100ms}
source:
  topic: in
  schema: {k: string, t: int}
  event_time: from_seconds(t)
  watermark: {bounded: 0s, idle: none}
  partition_discovery: 100ms
  start: latest
steps:
  - key_by: k
  - window: {tumbling: 10s}
  - aggregate: {k: $key, at: 'seconds($window.start)', n: count()}
sink: {topic: out}
`

// put appends records {k: "a", t: …} to a partition.
func (c *cluster) put(topic string, partition int32, times ...int) {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.RecordPartitioner(kgo.ManualPartitioner())) // which knows all partitions
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	for _, at := range times {
		r := &kgo.Record{Topic: topic, Partition: partition, Value: fmt.Appendf(nil, `{"k":"a","t":%d}`, at)}
		if err := cl.ProduceSync(c.t.Context(), r).FirstErr(); err != nil {
			c.t.Fatalf("write to %s/%d: %v", topic, partition, err)
		}
	}
}

func (c *cluster) partitions(topic string, n int) {
	c.t.Helper()
	if res, err := c.adm.UpdatePartitions(c.t.Context(), n, topic); err != nil || res.Error() != nil {
		c.t.Fatalf("add partitions to %s: %v %v", topic, err, res.Error())
	}
}

// committed waits until the group has this position of a partition.
func (u *user) committed(group, topic string, partition int32, offset int64) {
	u.t.Helper()
	u.until("a position is committed", func() error {
		if at, _ := u.cluster.group(group, topic, partition); at != offset {
			return fmt.Errorf("%s/%d is at %d, want %d", topic, partition, at, offset)
		}
		return nil
	})
}

// TestPartitionsAreFound: partitions that are added while the job runs are read
// from their beginning, whatever start says, and the watermark does not go past
// their records; their positions survive a kill.
func TestPartitionsAreFound(t *testing.T) {
	u := newKafkaUser(t)
	u.file("grow.yaml", growYAML)
	u.cluster.topic("in", 1)
	u.cluster.topic("out", 1)
	u.cluster.put("in", 0, 1)
	job := u.start(nil, "run", "grow.yaml")
	job.await("▶ running")
	u.cluster.put("in", 0, 1, 5)
	u.committed("kstream-grow", "in", 0, 3)

	u.cluster.partitions("in", 3)
	u.cluster.put("in", 1, 7) // before it is noticed, or not: it is read
	job.await("in/1")
	job.await("in/2")
	u.cluster.put("in", 0, 100)
	u.committed("kstream-grow", "in", 0, 4)
	u.committed("kstream-grow", "in", 1, 1)
	u.committed("kstream-grow", "in", 2, 0) // its position is kept although it is empty
	job.kill()

	job = u.start(nil, "run", "grow.yaml")
	job.await("▶ running")
	if strings.Contains(job.stderr.String(), "a partition was added") {
		t.Error("what the checkpoint knows is said to be new")
	}
	u.cluster.put("in", 2, 8, 100)
	u.cluster.put("in", 1, 9, 100)
	u.awaits("out", `{"k":"a","at":0,"n":5}`)
	job.stop()

	u.cluster.partitions("in", 4)
	u.cluster.put("in", 3, 105, 111)
	job = u.start(nil, "run", "grow.yaml")
	job.await("in/3")
	for p := range int32(3) {
		u.cluster.put("in", p, 111)
	}
	u.awaits("out", `{"k":"a","at":0,"n":5}`, `{"k":"a","at":100,"n":4}`)
	job.stop()
}

// TestStartAndStop: every way to say where a source begins and ends.
func TestStartAndStop(t *testing.T) {
	u := newKafkaUser(t)
	u.cluster.topic("in", 2)
	base := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 10 {
		r := &kgo.Record{Topic: "in", Value: fmt.Appendf(nil, "%d", i), Timestamp: base.Add(time.Duration(i) * time.Second)}
		if err := u.cluster.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	group := kadm.Offsets{}
	group.AddOffset("in", 0, 2, -1)
	if err := u.cluster.adm.CommitAllOffsets(t.Context(), "mine", group); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct{ start, stop, want string }{
		{"earliest", "latest", "0123456789"},
		{"latest", "latest", ""},
		{"group", "latest", "0123456789"},
		{"group, group: mine", "{offsets: {0: 5}}", "234"},
		{"{offsets: {0: 4}}", "latest", "456789"},
		{"{offsets: {0: 10, 1: 0}}", "latest", ""},
		{"{timestamp: 2026-01-01T00:00:03Z}", "{timestamp: 2026-01-01T00:00:06.5Z}", "3456"},
		{"{timestamp: 2026-01-01T00:00:02.5Z}", "{timestamp: 2026-01-01T00:00:06Z}", "345"},
		{"{timestamp: 2026-01-02T00:00:00Z}", "latest", ""},
		{"{timestamp: 2025-01-01T00:00:00Z}", "{timestamp: 2027-01-01T00:00:00Z}", "0123456789"},
		{"earliest", "{offsets: {0: 3, 1: 0}}", "012"},
		{"earliest, rate_limit: 600/m", "{offsets: {0: 3}}", "012"},
	} {
		out := fmt.Sprintf("out%d", i)
		u.file("p.yaml", fmt.Sprintf("version: 1\nname: job-%d\ncheckpoint: {interval: 50ms}\nsource: {topic: in, format: string, start: %s, stop: %s}\nsink: {topic: %s, format: string, create: {partitions: 1}}\n", i, c.start, c.stop, out))
		job := u.do(0, "run", "p.yaml")
		job.says("finished")
		got := ""
		for _, r := range u.cluster.read(out) {
			got += string(r.Value)
		}
		if got != c.want {
			t.Errorf("start: %s, stop: %s: got %q, want %q", c.start, c.stop, got, c.want)
		}
	}
	u.file("p.yaml", "version: 1\nname: wrong\nsource: {topic: in, start: {offsets: {0: 11}}}\nsink: {topic: in}\n")
	u.do(exitEnvironment, "run", "p.yaml").says("start of source:source: in/0 has no offset 11", "from 0 to 10")
	u.file("p.yaml", "version: 1\nname: wrong\nsource: {topic: in, start: {offsets: {7: 1}}}\nsink: {topic: in}\n")
	u.do(exitEnvironment, "run", "p.yaml").says("in has no partition 7", "its partitions are 0 to 1")
}
