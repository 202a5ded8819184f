package testcontainers

import "strings"

// The chaos pipeline: everything an epoch can hold in one file. A plain copy
// shows loss, doubling and order per partition; the running counts show state
// that is one record off; the windows show event time across restarts; the dead
// letters, of every seventh record and written behind an exchange, show that
// errors are results like any other; the sessions are state that merges; the
// table is a topic of rows that come, change and go.
const chaosYAML = `version: 1
name: NAME
parallelism: 2
max_parallelism: 8
checkpoint:
  interval: 100ms
  transaction_timeout: 11s
dead_letter: {topic: NAME-dead}
sources:
  in:
    topic: NAME-in
    schema: {id: string!, k: string!, n: int!, ts: timestamp!}
    event_time: ts
    watermark: {ascending: true, idle: none, every: 50ms}
    partition_discovery: 200ms
streams:
  counts:
    from: in
    steps:
      - key_by: k
      - aggregate:
          k: $key
          n: count()
          total: sum(n)
  windows:
    from: in
    steps:
      - key_by: k
      - window: {tumbling: 1s}
      - aggregate:
          k: $key
          start: $window.start
          n: count()
          total: sum(n)
  sessions:
    from: in
    steps:
      - key_by: k
      - window: {session: {gap: 200ms}}
      - aggregate:
          k: $key
          start: $window.start
          end: $window.end
          n: count()
          total: sum(n)
  table:
    from: in
    steps:
      - key_by: k
      - aggregate:
          k: $key
          n: count()
          total: sum(n)
      - filter: n % 4 != 0
  checked:
    from: in
    steps:
      - key_by: k
      - filter: 100 / (n % 7) > 0
        on_error: dead_letter
sinks:
  checked:
    from: checked
    blackhole: {}
  copy:
    from: in
    topic: NAME-copy
    partition: source_partition
  counts:
    from: counts
    topic: NAME-counts
  windows:
    from: windows
    topic: NAME-windows
  sessions:
    from: sessions
    topic: NAME-sessions
  table:
    from: table
    topic: NAME-table
    key: k
    mode: upsert
  files:
    from: in
    file: {path: FILES/copy.jsonl.gz, compression: gzip}
state:
  dir: STATE
`

func chaosPipeline(name, stateDir, filesDir string) string {
	return strings.NewReplacer("NAME", name, "STATE", stateDir, "FILES", filesDir).Replace(chaosYAML)
}
