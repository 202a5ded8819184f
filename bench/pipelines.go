package main

import (
	"os"
	"path/filepath"
	"strings"
)

// bidSource reads the bids up to the end the topic has at the start.
const bidSource = `version: 1
name: NAME
checkpoint: {interval: INTERVAL}
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

// eventSource reads the wrapped Nexmark stream; the last line of the file begins
// the list of steps behind the change to bids.
const eventSource = `version: 1
name: NAME
checkpoint: {interval: INTERVAL}
sources:
  events:
    topic: IN
    stop: latest
    schema:
      event_type: int!
      person: {id: int!, name: string, emailAddress: string, creditCard: string, city: string, state: string, dateTime: string!, extra: string}
      auction: {id: int!, itemName: string, description: string, initialBid: int, reserve: int, dateTime: string!, expires: string!, seller: int, category: int, extra: string}
      bid: {auction: int!, bidder: int!, price: int!, channel: string, url: string, dateTime: string!, extra: string}
    event_time: timestamp(bid?.dateTime ?? auction?.dateTime ?? person?.dateTime, "2006-01-02 15:04:05.999")
    watermark: 4s
sinks:
  out: {from: main, topic: OUTPARTITION}
state: {dir: STATE}
streams:
  bids: {from: events, steps: [{filter: event_type == 2}, {map: bid}]}
  main:
    from: bids
    steps:
`

// The queries of Nexmark that need no state, and the count per auction.
const (
	q0Steps = `      - project: [auction, bidder, price, dateTime, extra]
`
	q1Steps = `      - map:
          auction: auction
          bidder: bidder
          price: decimal(price) * 0.908
          dateTime: dateTime
          extra: extra
`
	q2Steps = `      - filter: auction % 123 == 0
      - project: [auction, price]
`
	perAuctionSteps = `      - key_by: auction
      - window: {tumbling: 10s}
      - aggregate:
          auction: $key
          start: $window.start
          bids: count()
`
)

// nexmarkYAML is a query over the wrapped stream. Rows without a key go where
// their event came from.
func nexmarkYAML(steps string) string {
	partition := ", partition: source_partition"
	if steps == perAuctionSteps {
		partition = ""
	}
	return strings.Replace(eventSource, "PARTITION", partition, 1) + steps
}

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
