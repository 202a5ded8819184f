package main

import (
	"os"
	"path/filepath"
	"strings"
)

// bidSource reads the bids up to the end the topic has at the start.
const bidSource = `version: 1
name: NAME
checkpoint: {interval: 1s}
sources:
  bids:
    topic: IN
    stop: latest
    schema: {auction: int!, bidder: int!, price: int!, channel: string, url: string, dateTime: timestamp!, extra: string}
    event_time: dateTime
    watermark: {bounded: 1s}
`

// mapYAML is the stateless pipeline: every field is read, one is computed.
const mapYAML = bidSource + `streams:
  main:
    from: bids
    steps:
      - map:
          auction: auction
          bidder: bidder
          price: price * 2
          channel: channel
          url: url
          dateTime: dateTime
          extra: extra
sinks:
  out: {from: main, topic: OUT}
state: {dir: STATE}
`

// countYAML is the stateful one: a count and a maximum per auction in windows of
// ten seconds.
const countYAML = bidSource + `streams:
  main:
    from: bids
    steps:
      - key_by: auction
      - window: {tumbling: 10s}
      - aggregate:
          auction: $key
          start: $window.start
          bids: count()
          highest: max(price)
sinks:
  out: {from: main, topic: OUT}
state: {dir: STATE}
`

// keysYAML keeps a row for each key for ever.
const keysYAML = `version: 1
name: NAME
checkpoint: {interval: 1s}
sources:
  in:
    topic: IN
    schema: {k: int!, n: int!}
streams:
  main:
    from: in
    steps:
      - key_by: k
      - aggregate:
          k: $key
          n: count()
          total: sum(n)
sinks:
  out: {from: main, topic: OUT}
state: {dir: STATE}
`

// paceYAML is the pipeline whose commits are timed.
const paceYAML = `version: 1
name: NAME
checkpoint: {interval: INTERVAL}
sources:
  in:
    topic: IN
    start: latest
    schema: {auction: int!, bidder: int!, price: int!, channel: string, url: string, dateTime: timestamp!, extra: string}
    event_time: dateTime
streams:
  counts:
    from: in
    steps:
      - key_by: auction
      - window: {tumbling: 1s}
      - aggregate:
          auction: $key
          bids: count()
sinks:
  copy: {from: in, topic: OUT}
  counts: {from: counts, topic: OUT}
metrics: {listen: "METRICS"}
state: {dir: STATE}
`

// writePipeline writes a pipeline file and returns its path. values are pairs of
// a placeholder and its text; NAME and STATE are given.
func (b *bench) writePipeline(name, yaml string, values ...string) (string, error) {
	path := filepath.Join(b.dir, name+".yaml")
	pairs := append([]string{"NAME", name, "STATE", filepath.Join(b.dir, name+"-state")}, values...)
	return path, os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(yaml)), 0o600)
}
