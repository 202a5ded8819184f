package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// deadYAML fails in every kind of node: at the source, in a step before and
// behind an exchange, in an aggregate, behind one, and at a sink.
const deadYAML = `version: 1
name: dead
kafka: {brokers: "${KSTREAM_BROKERS}"}
checkpoint: {interval: 100ms}
dead_letter: {topic: dlq, create: {partitions: 2}}
defaults: {on_error: dead_letter}
sources:
  orders: {topic: orders, schema: {k: string!, n: int!, note: string, by: timestamp}, event_time: 'by ?? $record_ts'}
streams:
  checked:
    from: orders
    steps:
      - filter: 10 / n != 99
      - key_by: k
      - set: {m: 10 / (n - 2)}
        name: behind
      - partition: rebalance
      - set: {m: 10 / (n - 7)}
        name: second
  sums:
    from: orders
    steps:
      - filter: n > 3
      - key_by: k
      - aggregate: {k: $key, total: sum(9223372036854775800 + n)}
      - filter: 10 / (total - 9223372036854775807) != 99
        name: result
sinks:
  out: {from: checked, topic: out, value: {k: k, n: n}, max_record_size: 60B}
  sums: {from: sums, topic: sums}
`

// letter is a dead letter as a test compares it.
func letter(r *kgo.Record) string {
	var h []string
	for _, header := range r.Headers {
		if name, ours := strings.CutPrefix(header.Key, "kstream.error."); !ours {
			h = append(h, header.Key+"="+string(header.Value))
		} else if name != "time" {
			h = append(h, name+"="+string(header.Value))
		}
	}
	value := "null"
	if r.Value != nil {
		value = string(r.Value)
	}
	return fmt.Sprintf("%s %s @%d %s", r.Key, value, r.Timestamp.UnixMilli(), strings.Join(h, " "))
}

func TestDeadLetters(t *testing.T) {
	u := newKafkaUser(t)
	u.file("dead.yaml", deadYAML)
	for _, topic := range []string{"orders", "out", "sums"} {
		u.cluster.topic(topic, 2)
	}
	at := time.UnixMilli(1_700_000_000_000)
	long := strings.Repeat("x", 50)
	values := []string{
		`{"k":"a","n":1}`, `{"k":"a"}`, `{"k":"a","n":0}`, `{"k":"a","n":2}`, `{"k":"a","n":7}`,
		`{"k":"a","n":4}`, `{"k":"` + long + `","n":3}`, `nothing`,
	}
	for i, v := range values {
		r := &kgo.Record{Topic: "orders", Partition: 1, Key: fmt.Appendf(nil, "key%d", i), Value: []byte(v), Timestamp: at.Add(time.Duration(i)),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte{'t', byte('0' + i)}}, {Key: "none"}}}
		if err := u.cluster.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	job := u.start(nil, "run", "dead.yaml")
	u.awaits("out", `{"k":"a","n":1}`, `{"k":"a","n":4}`)
	original := func(i int, node, code, message string) string {
		return fmt.Sprintf("key%d %s @%d trace=t%d none= pipeline=dead node=%s code=%s message=%s topic=orders partition=1 offset=%d version=1",
			i, values[i], at.UnixMilli(), i, node, code, message, i)
	}
	want := []string{
		original(1, "source:orders", "decode-failed", "field n is missing (at byte 8)"),
		original(2, "checked/filter", "eval-failed", "division by zero"),
		original(3, "checked/behind", "eval-failed", "division by zero"),
		original(4, "checked/second", "eval-failed", "division by zero"),
		original(5, "sums/aggregate", "eval-failed", "the sum is too large"),
		original(6, "sink:out", "too-large", "the record has 114 bytes, max_record_size is 60"),
		original(7, "source:orders", "decode-failed", "invalid JSON: unexpected character (at byte 0)"),
		`a {"k":"a","total":9223372036854775807} @1700000000000 pipeline=dead node=sums/result code=eval-failed message=division by zero version=1`,
	}
	slices.Sort(want)
	u.until("dead letters", func() error {
		var got []string
		for _, r := range u.cluster.read("dlq") {
			got = append(got, letter(r))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		return nil
	})
	job.stop()
}

// outputsYAML hands what fails to side outputs: of a source, of two nodes of a
// stream that share one, and of a sink.
const outputsYAML = `version: 1
name: outputs
kafka: {brokers: "${KSTREAM_BROKERS}"}
checkpoint: {interval: 100ms}
sources:
  orders: {topic: orders, schema: {k: string!, n: int!}, on_error: {output: bad}}
streams:
  checked:
    from: orders
    on_error: {output: bad}
    steps:
      - filter: 10 / n != 99
      - set: {m: 10 / (n - 2)}
      - key_by: k
      - map: {k: k, m: m, inv: 10 / (n - 7)}
sinks:
  out: {from: checked, topic: out, value: {k: k}, max_record_size: 60B, on_error: {output: large}}
  unread: {from: orders.bad, topic: unread, format: bytes, headers: {code: $error.code, why: $error.message}}
  text: {from: orders.bad, topic: text, value: {code: $error.code, at: $offset}}
  bad: {from: checked.bad, topic: bad, value: {k: k, n: n, why: $error.message}}
  large: {from: out.large, topic: large, value: {m: m, code: $error.code}}
`

func TestErrorOutputs(t *testing.T) {
	u := newKafkaUser(t)
	u.file("outputs.yaml", outputsYAML)
	for _, topic := range []string{"orders", "out", "unread", "text", "bad", "large"} {
		u.cluster.topic(topic, 1)
	}
	u.cluster.write("orders", `{"k":"a","n":1}`, `{"k":"a"}`, `{"k":"a","n":0}`, `{"k":"a","n":2}`, `{"k":"a","n":7}`,
		`{"k":"`+strings.Repeat("x", 60)+`","n":3}`, `nothing`)
	job := u.start(nil, "run", "outputs.yaml")
	u.awaits("out", `{"k":"a"}`)
	u.awaits("unread", `{"k":"a"}`, "nothing")
	u.awaits("text", `{"code":"decode-failed","at":1}`, `{"code":"decode-failed","at":6}`)
	u.awaits("bad", `{"k":"a","n":0,"why":"division by zero"}`, `{"k":"a","n":2,"why":"division by zero"}`, `{"k":"a","n":7,"why":"division by zero"}`)
	u.awaits("large", `{"m":10,"code":"too-large"}`)
	for _, r := range u.cluster.read("unread") {
		if len(r.Headers) != 2 || string(r.Headers[0].Value) != "decode-failed" || r.Key != nil {
			t.Errorf("%s: headers %v, key %q", r.Value, r.Headers, r.Key)
		}
	}
	job.stop()
}

// TestBadRecords is the example of the ways out: no reading is lost between them.
func TestBadRecords(t *testing.T) {
	u := newKafkaUser(t)
	for _, name := range []string{"feed.yaml", "pipeline.yaml"} {
		text, err := os.ReadFile("../../pipelines/bad-records/" + name)
		if err != nil {
			t.Fatal(err)
		}
		u.file(name, string(text))
	}
	u.do(0, "run", "feed.yaml", "--max-records", "1000")
	u.do(0, "run", "pipeline.yaml", "--max-records", "1000")
	codes := map[string]int{}
	for _, r := range u.cluster.read("readings-dead") {
		for _, h := range r.Headers {
			if h.Key == "kstream.error.node" {
				codes[string(h.Value)]++
			}
		}
	}
	good, nowhere := len(u.cluster.read("readings-places")), len(u.cluster.read("readings-nowhere"))
	unread, divided := codes["source:readings"], codes["placed/set"]
	if unread != 50 || divided == 0 || nowhere == 0 || good == 0 || good+nowhere+unread+divided != 1000 {
		t.Errorf("good %d, nowhere %d, unread %d, divided by zero %d", good, nowhere, unread, divided)
	}
}

// TestTopicsByRecord: records choose their topics; what is missing is made if
// the sink says so, else it is the record's error.
func TestTopicsByRecord(t *testing.T) {
	u := newKafkaUser(t)
	u.file("route.yaml", `version: 1
name: route
checkpoint: {interval: 100ms}
dead_letter: {topic: dlq, create: {partitions: 1}}
source: {topic: in, schema: {region: string, n: int}}
sink: {topic: "out-{lower(region)}", create: {partitions: 2}, on_error: dead_letter}
`)
	u.cluster.topic("in", 1)
	u.cluster.topic("out-eu", 1)
	u.cluster.write("in", `{"region":"EU","n":1}`, `{"region":"US","n":2}`, `{"n":3}`, `{"region":"a/b","n":4}`, `{"region":"US","n":5}`)
	u.do(0, "validate", "route.yaml", "--connect")
	job := u.start(nil, "run", "route.yaml")
	job.await(`"creating topic","topic":"out-us"`)
	u.awaits("dlq", `{"n":3}`, `{"region":"a/b","n":4}`)
	u.awaits("out-eu", `{"region":"EU","n":1}`)
	u.awaits("out-us", `{"region":"US","n":2}`, `{"region":"US","n":5}`)
	job.kill()
	u.cluster.write("in", `{"region":"US","n":6}`)
	u.file("route.yaml", string(u.bytes("route.yaml")), "topic: \"out-{lower(region)}\", create: {partitions: 2}", "topic: \"out-{lower(region)}\"")
	u.cluster.write("in", `{"region":"new","n":7}`)
	job = u.start(nil, "run", "route.yaml")
	u.awaits("out-us", `{"region":"US","n":2}`, `{"region":"US","n":5}`, `{"region":"US","n":6}`)
	u.awaits("dlq", `{"n":3}`, `{"region":"a/b","n":4}`, `{"region":"new","n":7}`)
	job.stop()
	u.file("route.yaml", string(u.bytes("route.yaml")), ", on_error: dead_letter", "", "name: route", "name: fails\nrestart: {fixed_delay: {attempts: 9, delay: 0s}}")
	u.do(exitFailed, "run", "route.yaml").says("sink:sink: encode-failed: topic: a hole is null (in/0 offset 2)", "set on_error at sink:sink")
}

func (u *user) bytes(name string) []byte {
	u.t.Helper()
	text, err := os.ReadFile(u.path(name))
	if err != nil {
		u.t.Fatal(err)
	}
	return text
}
