package topology

// pipelineFields is the top of a pipeline file.
var pipelineFields = &object{
	name: "pipeline",
	doc: "One pipeline per file. The short form has `source`, `steps` and `sink`; the long form has `sources`, `streams` and `sinks`. " +
		"The short form means exactly `sources.source`, `streams.main` and `sinks.sink`.",
	fields: []field{
		{name: "version", shape: scalarOf(kindVersion), required: true, doc: "Language version.", example: "version: 1"},
		{name: "name", shape: scalarOf(kindJobName), required: true, doc: "Identity of the job: consumer group, transactional id, internal topics, state directory, metrics label.", example: "name: page-views"},
		{name: "description", shape: scalarOf(kindText), doc: "What the pipeline is for."},
		reserved("requires"), reserved("include"), reserved("params"),
		{name: "kafka", shape: objectOf(kafkaFields), def: "{}", doc: "The cluster of the job."},
		reserved("connections"), reserved("schema_registry"),
		{name: "schemas", shape: formOf(formSchemas), doc: "Named schemas.", example: "schemas: {Reading: {sensor: string!, celsius: float}}"},
		reserved("functions"), reserved("fragments"), reserved("lookups"),
		{name: "time", shape: oneOf("event", "ingestion", "processing"), def: "event", doc: "What time means: that of the event, of its arrival, or the clock."},
		{name: "parallelism", shape: &shape{scalar: kindInt, words: words("auto"), min: 1, max: 1024}, def: "auto", doc: "Subtasks of a keyed step; auto is the number of CPUs, at most max_parallelism."},
		{name: "max_parallelism", shape: number(kindInt, 1, 1024), def: "32", doc: "Number of key groups, which is the number of partitions of the changelog topic."},
		reserved("exchange"),
		{name: "defaults", shape: objectOf(defaultsFields), doc: "Settings for all nodes that do not say otherwise."},
		{name: "dead_letter", shape: objectOf(deadLetterFields), doc: "Where records go that fail at a node with `on_error: dead_letter`.", example: "dead_letter: {topic: orders-dlq}"},
		{name: "source", shape: objectOf(sourceFields), doc: "Short form: the source.", example: "source: {topic: orders}"},
		{name: "steps", shape: formOf(formSteps), doc: "Short form: the steps."},
		{name: "sink", shape: objectOf(sinkFields), doc: "Short form: the sink.", example: "sink: {topic: out}"},
		{name: "sources", shape: mapOf(objectOf(sourceFields)), doc: "Sources by name."},
		reserved("tables"),
		{name: "streams", shape: mapOf(objectOf(streamFields)), doc: "Streams by name."},
		{name: "sinks", shape: mapOf(objectOf(sinkFields)), doc: "Sinks by name."},
		{name: "checkpoint", shape: objectOf(checkpointFields), def: "{}", doc: "When and how an epoch is committed."},
		{name: "buffer_timeout", shape: number(kindDuration, 0, 60e9), def: "5ms", doc: "A batch on an exchange inside the process leaves when it is full or this old; 0 sends every record at once."},
		{name: "producer", shape: objectOf(producerFields), def: "{}", doc: "The one producer of an instance; holds for all topics it writes."},
		{name: "savepoints", shape: scalarOf(kindText), def: "./savepoints", doc: "Directory for savepoints, below it `<name>/<time>-<checkpoint>/`."},
		{name: "restart", shape: &shape{words: words("none"), object: restartFields}, def: "{exponential: {}}", doc: "What happens after a failure. A failure that repeats at the same record is not restarted."},
		{name: "state", shape: objectOf(stateFields), def: "{}", doc: "Where working state lives."},
		{name: "internal_topics", shape: objectOf(internalTopicsFields), def: "{}", doc: "How the job's own topics are named and made."},
		{name: "moved", shape: formOf(formTexts), doc: "State ids that were renamed, old to new; remove an entry after the next savepoint.", example: "moved: {per_day/aggregate: revenue/total}"},
		{name: "metrics", shape: objectOf(metricsFields), def: "{}", doc: "The Prometheus endpoint."},
		{name: "api", shape: objectOf(apiFields), def: "{}", doc: "The control API, which `ps`, `status`, `stop` and the like speak to."},
		{name: "log", shape: objectOf(logFields), def: "{}", doc: "The log on standard error."},
		reserved("tests"),
		{name: "udfs", status: later}, {name: "catalog", status: later},
	},
}

var kafkaFields = &object{
	name: "kafka",
	fields: []field{
		{name: "brokers", shape: &shape{scalar: kindBrokers, list: scalarOf(kindAddress)}, def: "${KSTREAM_BROKERS:-localhost:9092}", doc: "Addresses to begin with.", example: "brokers: host1:9092,host2:9092"},
		{name: "client_id", shape: scalarOf(kindText), defDoc: "`kstream-<name>`", doc: "Client id in the broker's log and quotas."},
		{name: "tls", shape: &shape{scalar: kindBool, object: tlsFields}, defDoc: "off", doc: "Transport security; on when any field of it is given."},
		{name: "sasl", shape: objectOf(saslFields), doc: "Authentication."},
		{name: "rack", shape: scalarOf(kindText), doc: "Rack of this instance, for fetching from the nearest replica."},
		{name: "dial_timeout", shape: number(kindDuration, 1e6, 0), def: "10s", doc: "Longest wait for a connection."},
		{name: "request_timeout", shape: number(kindDuration, 1e6, 0), def: "30s", doc: "Longest wait for an answer."},
		{name: "metadata_max_age", shape: number(kindDuration, 1e6, 0), def: "5m", doc: "How old the known layout of the cluster may become."},
	},
}

var tlsFields = &object{
	name: "kafka.tls",
	fields: []field{
		{name: "enabled", shape: scalarOf(kindBool), def: "true", doc: "Whether TLS is used."},
		{name: "ca_file", shape: scalarOf(kindFile), doc: "Certificates to trust besides those of the system."},
		{name: "cert_file", shape: scalarOf(kindFile), doc: "Client certificate; needs key_file."},
		{name: "key_file", shape: scalarOf(kindFile), doc: "Key of the client certificate."},
		{name: "server_name", shape: scalarOf(kindText), doc: "Name to verify instead of the address."},
		{name: "insecure_skip_verify", shape: scalarOf(kindBool), def: "false", doc: "Trust any certificate; warns at every start."},
	},
}

var saslFields = &object{
	name: "kafka.sasl",
	fields: []field{
		{name: "mechanism", shape: oneOf("plain", "scram_sha_256", "scram_sha_512", "-oauthbearer", "-aws_msk_iam"), required: true, doc: "How to authenticate."},
		{name: "username", shape: scalarOf(kindText), required: true, doc: "User name."},
		{name: "password", shape: scalarOf(kindText), secret: true, doc: "Password; better ${VAR} or password_file."},
		{name: "password_file", shape: scalarOf(kindFile), doc: "File that holds the password."},
		reserved("token_url"), reserved("client_id"), reserved("client_secret"), reserved("client_secret_file"), reserved("scopes"),
	},
}

var defaultsFields = &object{
	name: "defaults",
	fields: []field{
		{name: "format", shape: formatShape, doc: "Format of sources and sinks."},
		{name: "key_format", shape: keyFormatShape, doc: "Key format of sources and sinks."},
		{name: "watermark", shape: watermarkShape, doc: "Watermark of sources."},
		{name: "on_error", shape: onErrorShape, doc: "What happens to records that fail."},
		{name: "start", shape: startShape, doc: "Where sources start without a checkpoint."},
		{name: "state_ttl", shape: stateTTLShape, defDoc: "none", doc: "How long stateful steps without a window keep state that is not used."},
	},
}

var topicSources = []string{"topic", "topics"}
var readingSources = []string{"topic", "topics", "file", "stdin"}

var sourceFields = &object{
	name: "source", oneOf: choiceOne,
	doc: "A source has exactly one of `topic`, `topics`, `file`, `generate`, `nexmark` and `stdin`.",
	fields: []field{
		{name: "topic", shape: scalarOf(kindTopic), variant: true, doc: "One Kafka topic.", example: "topic: orders"},
		{name: "topics", shape: listOf(scalarOf(kindTopic)), variant: true, doc: "Several Kafka topics.", example: "topics: [orders-eu, orders-us]"},
		reservedVariant("topic_pattern"),
		{name: "file", shape: objectOf(fileSourceFields), variant: true, doc: "Lines of files.", example: "file: {path: data/*.jsonl}"},
		{name: "stdin", shape: objectOf(&object{name: "source.stdin"}), variant: true, doc: "One record per line. Lines taken in but not committed are lost in a crash.", example: "stdin: {}"},
		{name: "generate", shape: objectOf(generateFields), variant: true, doc: "Makes records, the same ones in every run.", example: "generate: {rate: 100/s, record: {id: $n}}"},
		{name: "nexmark", shape: objectOf(nexmarkFields), variant: true, doc: "Makes the events of the Nexmark benchmark.", example: "nexmark: {count: 1000000, seed: 1}"},
		reserved("connection"),
		{name: "group", shape: scalarOf(kindText), only: topicSources, defDoc: "`kstream-<name>`", doc: "Consumer group in which offsets are committed, to show the lag to other tools."},
		{name: "start", shape: startShape, only: topicSources, def: "earliest", doc: "Where to begin without a checkpoint. `group`: committed offsets, then earliest.", example: "start: {timestamp: 2026-01-01T00:00:00Z}"},
		{name: "stop", shape: stopShape, only: topicSources, def: "never", doc: "Makes the source bounded."},
		{name: "isolation", shape: oneOf("read_committed", "read_uncommitted"), only: topicSources, def: "read_committed", doc: "Whether records of open and aborted transactions are read."},
		{name: "format", shape: formatShape, only: readingSources, def: "json", doc: "Format of the value."},
		{name: "key_format", shape: keyFormatShape, only: topicSources, def: "auto", doc: "Format of the key; it is decoded only if $key is used."},
		{name: "schema", shape: formOf(formSchema), only: readingSources, defDoc: "none: the value has type any", doc: "Schema of the value.", example: "schema: {id: string!, amount: decimal(2), at: timestamp}"},
		{name: "key_schema", shape: formOf(formSchema), only: topicSources, doc: "Schema of the key."},
		{name: "event_time", shape: formOf(formExpr), defDoc: "`$record_ts`", doc: "Expression of type timestamp."},
		{name: "watermark", shape: watermarkShape, def: "5s", doc: "How far event time may be out of order.", example: "watermark: {bounded: 5s, idle: 30s}"},
		{name: "mode", shape: oneOf("append", "upsert"), only: topicSources, def: "append", doc: "`upsert`: the record key identifies a row, a newer record replaces it, one without a value deletes it."},
		{name: "on_error", shape: onErrorShape, def: "fail", doc: "What happens to records that cannot be decoded."},
		{name: "parallelism", shape: number(kindInt, 1, 1024), defDoc: "of the pipeline", doc: "Number of readers."},
		{name: "partition_discovery", shape: &shape{scalar: kindDuration, words: words("none"), min: 100e6}, only: topicSources, def: "1m", doc: "How often new partitions are looked for; they are read from their beginning. Not with `stop`."},
		{name: "rate_limit", shape: scalarOf(kindRate), only: topicSources, defDoc: "none", doc: "Records per second, minute or hour of all readers together, for backfills.", example: "rate_limit: 5000/s"},
		{name: "uid", shape: scalarOf(kindUID), defDoc: "`source:<name>`", doc: "Identity of the positions."},
		{name: "description", shape: scalarOf(kindText), doc: "What the source is."},
	},
}

var generateFields = &object{
	name: "source.generate",
	fields: []field{
		{name: "rate", shape: scalarOf(kindRate), defDoc: "as fast as possible", doc: "Records per second, minute or hour.", example: "rate: 100/s"},
		{name: "count", shape: number(kindInt, 0, 0), defDoc: "endless", doc: "Number of records."},
		{name: "seed", shape: number(kindInt, -1<<53, 0), def: "1", doc: "Seed of random()."},
		{name: "key", shape: formOf(formExpr), doc: "Record key."},
		{name: "record", shape: formOf(formBody), required: true, doc: "The value. $n counts from 0.", example: "record: {id: $n, at: now()}"},
	},
}

var startShape = &shape{words: words("earliest", "latest", "group"), object: positionFields}
var stopShape = &shape{words: words("never", "latest"), object: positionFields}

var positionFields = &object{
	name: "position", oneOf: choiceOne,
	doc: "`start` and `stop` of a source, other than their words.",
	fields: []field{
		{name: "timestamp", shape: scalarOf(kindTimestamp), variant: true, doc: "The first record not older than this.", example: "{timestamp: 2026-01-01T00:00:00Z}"},
		{name: "offsets", shape: formOf(formOffsets), variant: true, doc: "Partition to offset; only with `topic`.", example: "{offsets: {0: 42}}"},
	},
}

var formatWords = []string{"json", "string", "bytes", "-avro", "-protobuf", "-csv", "-debezium_json", "-debezium_avro"}

var formatShape = &shape{words: words(formatWords...), object: formatFields}
var keyFormatShape = &shape{words: words(append([]string{"auto"}, formatWords...)...), object: formatFields}

var formatFields = &object{
	name: "format", oneOf: choiceOne,
	doc: "A format with options; without options its word is enough.",
	fields: []field{
		{name: "json", shape: objectOf(jsonFields), variant: true, doc: "UTF-8 JSON.", example: "format: {json: {timestamp: millis}}"},
		{name: "string", shape: objectOf(&object{name: "format.string"}), variant: true, doc: "The value is text."},
		{name: "bytes", shape: objectOf(&object{name: "format.bytes"}), variant: true, doc: "The value is bytes."},
		reservedVariant("avro"), reservedVariant("protobuf"), reservedVariant("csv"), reservedVariant("debezium_json"), reservedVariant("debezium_avro"),
	},
}

var jsonFields = &object{
	name: "format.json",
	fields: []field{
		{name: "timestamp", shape: oneOf("millis", "seconds", "rfc3339"), def: "rfc3339", doc: "How timestamps are written."},
		{name: "extra_fields", shape: oneOf("ignore", "keep", "fail"), defDoc: "`ignore` with a schema, `keep` without", doc: "What happens to fields that the schema does not have."},
		{name: "numbers", shape: oneOf("auto", "decimal"), def: "auto", doc: "How numbers with a fraction are read where no schema says it."},
	},
}

var watermarkShape = &shape{scalar: kindMillis, words: words("ascending", "none"), object: watermarkFields, min: 0}

var watermarkFields = &object{
	name: "watermark", oneOf: choiceOne,
	doc: "A duration alone means `bounded`.",
	fields: []field{
		{name: "bounded", shape: number(kindMillis, 0, 0), variant: true, doc: "How far a record may be behind the newest one of its partition.", example: "watermark: {bounded: 5s}"},
		{name: "ascending", shape: oneOf("true"), variant: true, doc: "Bounded by 0."},
		{name: "none", shape: oneOf("true"), variant: true, doc: "This input never holds back the others."},
		reservedVariant("punctuated"),
		{name: "idle", shape: &shape{scalar: kindMillis, words: words("none"), min: 1e6}, def: "1m", doc: "A partition without records for so long stops holding the watermark back."},
		{name: "every", shape: number(kindMillis, 1e6, 0), def: "200ms", doc: "How often watermarks are sent."},
		reserved("align"),
	},
}

var onErrorShape = &shape{words: words("fail", "skip", "dead_letter"), object: onErrorFields}

var onErrorFields = &object{
	name: "on_error", oneOf: choiceOne,
	doc: "`fail`: the job fails. `skip`: the record is left out and counted. `dead_letter`: it goes to the topic of `dead_letter`, in the transaction of the results. `{output: …}`: it goes to a side output.",
	fields: []field{
		{name: "output", shape: scalarOf(kindName), variant: true, doc: "Side output `<node>.<output>` of the source, stream or sink, with the record as it came; `$error.code` and `$error.message` say what was wrong.", example: "on_error: {output: bad}"},
		reservedVariant("retry"), reserved("then"),
	},
}

var deadLetterFields = &object{
	name: "dead_letter",
	fields: []field{
		{name: "topic", shape: scalarOf(kindTopic), required: true, doc: "The topic; its records have the key, value, time and headers that were read, and headers `kstream.error.…`."},
		reserved("connection"),
		{name: "create", shape: &shape{words: words("false"), object: createFields}, def: "false", doc: "Create the topic if it is missing."},
		{name: "include_value", shape: scalarOf(kindBool), def: "true", doc: "Whether the value is written; without it a dead letter says where the record was read."},
	},
}

var streamFields = &object{
	name: "stream",
	fields: []field{
		{name: "from", shape: &shape{scalar: kindRef, list: scalarOf(kindRef)}, required: true, doc: "A source, a stream or a side output `stream.output`; a list is their union.", example: "from: [orders_eu, orders_us]"},
		{name: "steps", shape: formOf(formSteps), doc: "The steps, in order."},
		{name: "description", shape: scalarOf(kindText), doc: "What the stream is."},
		{name: "parallelism", shape: number(kindInt, 1, 1024), defDoc: "of the pipeline", doc: "Subtasks of the keyed steps of the stream."},
		{name: "on_error", shape: onErrorShape, defDoc: "`defaults.on_error`", doc: "What happens to records that fail in a step."},
	},
}

var checkpointFields = &object{
	name: "checkpoint",
	fields: []field{
		{name: "interval", shape: number(kindDuration, 10e6, 0), def: "1s", doc: "Time between commits, which is the latency of read_committed consumers."},
		{name: "timeout", shape: number(kindDuration, 1e6, 0), def: "1m", doc: "A checkpoint that is not committed by then fails."},
		{name: "min_pause", shape: number(kindDuration, 0, 0), def: "0", doc: "At least so long between the end of one and the start of the next."},
		{name: "guarantee", shape: oneOf("exactly_once", "-at_least_once"), def: "exactly_once", doc: "What a failure may do to results."},
		{name: "max_uncommitted", shape: number(kindSize, 1, 0), def: "256MiB", doc: "Changed state and produced bytes since the last commit; more starts a checkpoint early. Never more than a quarter of state.memory."},
		{name: "transaction_timeout", shape: number(kindDuration, 1e6, 0), def: "1m", doc: "The broker aborts the transaction after this. At least 3 × interval + 10s."},
	},
}

var producerFields = &object{
	name: "producer",
	fields: []field{
		{name: "compression", shape: oneOf("none", "gzip", "snappy", "lz4", "zstd"), def: "snappy", doc: "Compression of batches."},
		{name: "linger", shape: number(kindDuration, 0, 60e9), def: "5ms", doc: "A batch waits at most so long for more records."},
		{name: "batch_size", shape: number(kindSize, 1, 1<<30), def: "1MiB", doc: "Largest batch; at least the largest max_record_size of the sinks."},
	},
}

var restartFields = &object{
	name: "restart", oneOf: choiceOne,
	doc: "Exactly one strategy, or the word `none`.",
	fields: []field{
		{name: "exponential", shape: objectOf(&object{name: "restart.exponential", fields: []field{
			{name: "initial", shape: number(kindDuration, 1e6, 0), def: "1s", doc: "First pause."},
			{name: "max", shape: number(kindDuration, 1e6, 0), def: "1m", doc: "Longest pause."},
			{name: "multiplier", shape: number(kindFloat, 1, 100), def: "2", doc: "Growth of the pause."},
			{name: "jitter", shape: number(kindFloat, 0, 1), def: "0.1", doc: "Random part of the pause."},
			{name: "reset_after", shape: number(kindDuration, 0, 0), def: "10m", doc: "So long without a failure begins anew."},
			{name: "attempts", shape: attemptsShape, def: "unlimited", doc: "Restarts before the job fails."},
		}}), variant: true, doc: "Pauses grow.", example: "restart: {exponential: {max: 2m}}"},
		{name: "fixed_delay", shape: objectOf(&object{name: "restart.fixed_delay", fields: []field{
			{name: "attempts", shape: attemptsShape, required: true, doc: "Restarts before the job fails."},
			{name: "delay", shape: number(kindDuration, 0, 0), def: "10s", doc: "The pause."},
		}}), variant: true, doc: "Pauses are equal.", example: "restart: {fixed_delay: {attempts: 3}}"},
		{name: "failure_rate", shape: objectOf(&object{name: "restart.failure_rate", fields: []field{
			{name: "max_failures", shape: number(kindInt, 1, 0), required: true, doc: "More failures than this within the span end the job."},
			{name: "per", shape: number(kindDuration, 1e6, 0), required: true, doc: "The span."},
			{name: "delay", shape: number(kindDuration, 0, 0), def: "10s", doc: "The pause."},
		}}), variant: true, doc: "The job fails when failures come too fast.", example: "restart: {failure_rate: {max_failures: 5, per: 10m}}"},
	},
}

var attemptsShape = &shape{scalar: kindInt, words: words("unlimited"), min: 1}

var stateFields = &object{
	name: "state",
	fields: []field{
		{name: "backend", shape: oneOf("disk", "memory"), def: "disk", doc: "`memory` writes nothing to `dir`; every start restores from the changelog."},
		{name: "dir", shape: scalarOf(kindText), def: "./kstream-state", doc: "Directory; the state lies in `<name>/` below it and can be rebuilt from the changelog."},
		{name: "memory", shape: number(kindSize, 16<<20, 0), def: "512MiB", doc: "One number for all state: half hot tables, a quarter cache, a quarter write buffers."},
	},
}

var internalTopicsFields = &object{
	name: "internal_topics",
	fields: []field{
		{name: "prefix", shape: scalarOf(kindTopic), def: "kstream.", doc: "The topics are `<prefix><name>.changelog` and `<prefix><name>.checkpoints`."},
		{name: "replication", shape: number(kindInt, 1, 0), defDoc: "the broker's", doc: "Replication factor."},
		{name: "config", shape: formOf(formTexts), doc: "Further topic settings, as they are."},
	},
}

var metricsFields = &object{
	name: "metrics",
	fields: []field{
		{name: "listen", shape: scalarOf(kindAddress), defDoc: "off", doc: "Address to serve metrics at.", example: `listen: ":9464"`},
		{name: "path", shape: scalarOf(kindText), def: "/metrics", doc: "Path of the endpoint."},
		{name: "labels", shape: formOf(formTexts), doc: "Labels added to every metric."},
	},
}

var apiFields = &object{
	name: "api",
	fields: []field{
		{name: "listen", shape: &shape{scalar: kindAddress, words: words("none")}, def: "127.0.0.1:7670", doc: "Address; `none` turns it off. When the default is taken the next free port is used and announced.", example: "listen: 127.0.0.1:7670"},
		{name: "token_file", shape: scalarOf(kindFile), doc: "File that holds the token a request must have; needed for an address that is not loopback."},
	},
}

var logFields = &object{
	name: "log",
	fields: []field{
		{name: "level", shape: oneOf("debug", "info", "warn", "error"), def: "info", doc: "Least level that is written."},
		{name: "format", shape: oneOf("text", "json"), defDoc: "text on a terminal, else json", doc: "Form of the lines."},
	},
}
