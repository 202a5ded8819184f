package topology

// stepFields is a step: one operator and what may stand beside it.
var stepFields = &object{
	name: "step", oneOf: choiceOne,
	doc: "A step is a map with exactly one operator; the other keys stand beside it.",
	fields: []field{
		{name: "filter", shape: formOf(formExpr), variant: true, doc: "Keeps a record if the condition is true; null counts as false.", example: "- filter: amount > 100"},
		{name: "map", shape: formOf(formBody), variant: true, doc: "A new value made of exactly these fields, or of one expression.", example: "- map: {id: id, total: price * qty}"},
		{name: "set", shape: formOf(formFields), variant: true, doc: "Adds or overwrites fields; all expressions see the old value.", example: "- set: {total: price * qty}"},
		{name: "project", shape: listOf(scalarOf(kindField)), variant: true, doc: "Keeps only these fields, in this order.", example: "- project: [id, total]"},
		{name: "drop", shape: listOf(scalarOf(kindField)), variant: true, doc: "Removes fields.", example: "- drop: [note]"},
		{name: "rename", shape: formOf(formRenames), variant: true, doc: "Old name to new name.", example: "- rename: {ts: at}"},
		{name: "flat_map", shape: &shape{form: formExpr, object: flatMapFields}, variant: true, doc: "One record per element of a list.", example: `- flat_map: split(line, " ")`},
		{name: "check", shape: &shape{dict: formOf(formExpr)}, variant: true, doc: "All must be true, else the record fails with `check-failed` and the name of the first that is not; null is not true.", example: "- check: {positive: amount > 0}"},
		{name: "key_by", shape: formOf(formKeys), variant: true, doc: "Sets $key and partitions by it.", example: "- key_by: [region, product]"},
		{name: "partition", shape: &shape{words: words("forward", "shuffle", "rebalance", "rescale", "broadcast"), object: partitionFields}, variant: true, doc: "How records travel to the next step, without a key.", example: "- partition: rebalance"},
		{name: "timestamps", shape: objectOf(timestampsFields), variant: true, doc: "Assigns event time again, for what stands behind.", example: "- timestamps: {event_time: ts, watermark: 1m}"},
		{name: "split", shape: objectOf(splitFields), variant: true, doc: "The last step of a stream: each record goes to the output `<stream>.<route>` of its route.", example: "- split: {routes: {eu: region == \"EU\"}, else: rest}"},
		{name: "log", shape: &shape{scalar: kindTemplate, object: logStepFields}, variant: true, doc: "Writes a line to the log, at a limited rate.", example: "- log: 'big order {id}'"},
		{name: "window", shape: objectOf(windowFields), variant: true, doc: "Windows for the aggregate or reduce that follows.", example: "- window: {tumbling: 1m, allowed_lateness: 30s}"},
		{name: "aggregate", shape: formOf(formTerms), variant: true, doc: "One row per key (and window), made of aggregate functions.", example: "- aggregate: {page: $key, views: count()}"},
		{name: "reduce", shape: formOf(formBody), variant: true, doc: "Combines two values of one type: `acc` is what came out so far, bare names are the new record. Fields that are not listed take the new value; the first record is the initial value.", example: "- reduce: {total: acc.total + total}"},
		reservedVariant("fold"),
		{name: "dedup", shape: objectOf(dedupFields), variant: true, doc: "One record per key: the first, or always the last. It partitions by `by` itself; `$key` stays.", example: "- dedup: {by: event_id, within: 10m}"},
		{name: "top_n", shape: objectOf(topFields), variant: true, doc: "The first n records in an order, per `by` and per stream or window. It partitions by `by` itself; `$key` stays.", example: "- top_n: {n: 3, by: category, order_by: sold desc, rank_as: rank}"},
		reservedVariant("join"),
		reservedVariant("co_group"), reservedVariant("lookup"), reservedVariant("broadcast_state"), reservedVariant("process"), reservedVariant("use"),
		{name: "sql", status: later, variant: true}, {name: "pattern", status: later, variant: true}, {name: "iterate", status: later, variant: true},
		{name: "name", shape: scalarOf(kindName), defDoc: "the operator's word", doc: "Part of the uid, metrics and graph; unique in the stream if written."},
		{name: "uid", shape: scalarOf(kindUID), only: []string{"aggregate", "reduce", "dedup", "top_n"}, defDoc: "`<stream>/<name>`", doc: "Identity of the state."},
		{name: "when", shape: formOf(formExpr), only: []string{"set", "drop", "rename", "check", "log"}, doc: "The step applies only if this is true; else the record passes unchanged."},
		{name: "on_error", shape: onErrorShape, defDoc: "of the stream", doc: "What happens to records that fail here."},
		{name: "parallelism", shape: number(kindInt, 1, 1024), defDoc: "of the stream", doc: "Subtasks; behind a key_by or partition."},
		{name: "emit", shape: oneOf("append", "update", "-complete"), only: []string{"aggregate", "reduce", "top_n"}, defDoc: "`append` with a window, else `update`", doc: "`append`: one final result per key and window, when it closes. `update`: results that a newer one may correct."},
		{name: "emit_every", shape: number(kindMillis, 0, 0), only: []string{"aggregate", "reduce", "dedup"}, defDoc: "`0`, at once", doc: "Changes of a row become one, passed on at the first checkpoint behind an interval of processing time; for update streams. What is held back is state: before taking the field away let the job run with `0`.", example: "emit_every: 10s"},
		{name: "state_ttl", shape: stateTTLShape, only: []string{"aggregate", "reduce"}, defDoc: "`defaults.state_ttl`, else none", doc: "How long state without a window is kept that is not used; of a key whose state has expired the next record is the first.", example: "state_ttl: 7d"},
		reserved("args"),
		{name: "description", shape: scalarOf(kindText), doc: "What the step is for."},
	},
}

var stateTTLShape = &shape{scalar: kindMillis, min: 1e6, words: words("none"), object: stateTTLFields}

var stateTTLFields = &object{
	name: "state_ttl",
	doc:  "Processing time; a duration alone is `ttl`. Nothing is emitted when state expires.",
	fields: []field{
		{name: "ttl", shape: number(kindMillis, 1e6, 0), required: true, doc: "How long.", example: "ttl: 7d"},
		{name: "refresh", shape: oneOf("on_write", "on_read_write"), def: "on_write", doc: "What renews it."},
	},
}

var flatMapFields = &object{
	name: "step.flat_map",
	fields: []field{
		{name: "each", shape: formOf(formExpr), required: true, doc: "The list."},
		{name: "as", shape: scalarOf(kindName), doc: "Name of the element in `select`."},
		{name: "index_as", shape: scalarOf(kindName), doc: "Name of the element's place in `select`."},
		{name: "select", shape: formOf(formBody), defDoc: "the element", doc: "The new value; it may use all fields of the record."},
		{name: "keep_empty", shape: scalarOf(kindBool), def: "false", doc: "Whether a record with an empty list, or none, gives one record with a null element."},
	},
}

var partitionFields = &object{
	name: "step.partition",
	fields: []field{
		{name: "by", shape: formOf(formExpr), required: true, doc: "Records with equal values travel to the same subtask."},
	},
}

var logStepFields = &object{
	name: "step.log",
	fields: []field{
		{name: "message", shape: scalarOf(kindTemplate), required: true, doc: "The line; {expr} is a hole."},
		{name: "level", shape: oneOf("debug", "info", "warn"), def: "info", doc: "Level of the line."},
		{name: "every", shape: number(kindDuration, 0, 0), def: "1s", doc: "At most one line in so long."},
	},
}

var windowFields = &object{
	name: "step.window", oneOf: choiceOne,
	doc: "Exactly one kind. Without a `key_by` before it the window is over all records, in one subtask.",
	fields: []field{
		{name: "tumbling", shape: &shape{scalar: kindMillis, min: 1e6, object: tumblingFields}, variant: true, doc: "Windows side by side.", example: "tumbling: 1m"},
		{name: "sliding", shape: objectOf(slidingFields), variant: true, doc: "Windows that overlap; the size should be a multiple of the slide.", example: "sliding: {size: 10m, slide: 1m}"},
		{name: "session", shape: &shape{scalar: kindMillis, min: 1e6, object: sessionFields}, variant: true, doc: "Windows of a key that end when nothing came for a while. Two records exactly one gap apart are one session.", example: "session: 30m"},
		{name: "count", shape: &shape{scalar: kindInt, min: 1, max: countMax, object: countFields}, variant: true, doc: "Windows of so many records of a key. `$window` is the span of their times; one that is not full gives nothing.", example: "count: 100"},
		reservedVariant("global"),
		{name: "time", shape: oneOf("event", "processing"), only: timedWindows, defDoc: "of the pipeline", doc: "What the window is over: the time of the records, or the clock when they arrive."},
		{name: "timezone", shape: scalarOf(kindText), only: []string{"tumbling", "sliding"}, defDoc: "UTC", doc: "Time zone whose clock the windows follow, also when it is changed; for windows of 1h and longer.", example: "timezone: Europe/Berlin"},
		{name: "allowed_lateness", shape: number(kindMillis, 0, 0), only: timedWindows, def: "0", doc: "How long a window is kept after its end; event time only."},
		{name: "late", shape: scalarOf(kindName), only: timedWindows, defDoc: "late records are dropped and counted", doc: "Side output `<stream>.<late>` with the late records, unchanged."},
		reserved("trigger"), reserved("evict"),
	},
}

var tumblingFields = &object{
	name: "step.window.tumbling",
	fields: []field{
		{name: "size", shape: number(kindMillis, 1e6, 0), required: true, doc: "Length of a window."},
		{name: "offset", shape: number(kindMillis, 0, 0), def: "0", doc: "Moves the beginnings; less than the size."},
	},
}

var slidingFields = &object{
	name: "step.window.sliding",
	fields: []field{
		{name: "size", shape: number(kindMillis, 1e6, 0), required: true, doc: "Length of a window."},
		{name: "slide", shape: number(kindMillis, 1e6, 0), required: true, doc: "Distance of the beginnings."},
		{name: "offset", shape: number(kindMillis, 0, 0), def: "0", doc: "Moves the beginnings; less than the slide."},
	},
}

var writingSinks = []string{"topic", "file", "stdout"}

// timedWindows are the windows that have to do with time.
var timedWindows = []string{"tumbling", "sliding", "session"}

// countMax bounds the records of a count window.
const countMax = 1 << 31

var sessionFields = &object{
	name: "step.window.session", oneOf: choiceOne,
	doc: "Exactly one of `gap` and `gap_by`.",
	fields: []field{
		{name: "gap", shape: number(kindMillis, 1e6, 0), variant: true, doc: "A session ends when no record came for longer than this.", example: "session: {gap: 30m}"},
		{name: "gap_by", shape: formOf(formExpr), variant: true, doc: "The gap behind each record, a duration of at least 1ms.", example: `session: {gap_by: 'duration("30m")'}`},
		{name: "max", shape: number(kindMillis, 1e6, 0), defDoc: "none", doc: "Longest session; what comes later begins the next one."},
	},
}

var countFields = &object{
	name: "step.window.count",
	fields: []field{
		{name: "size", shape: number(kindInt, 1, countMax), required: true, doc: "Records of a window."},
		{name: "slide", shape: number(kindInt, 1, countMax), required: true, doc: "A window begins every so many records."},
	},
}

var sinkFields = &object{
	name: "sink", oneOf: choiceOne,
	doc: "A sink has exactly one of `topic`, `file`, `stdout` and `blackhole`.",
	fields: []field{
		{name: "from", shape: &shape{scalar: kindRef, list: scalarOf(kindRef)}, required: true, doc: "What is written; not in the short form.", example: "from: per_minute"},
		{name: "topic", shape: scalarOf(kindTopicTemplate), variant: true, doc: "A Kafka topic; exactly once, in the transaction of the checkpoint. {expr} is a hole: each record says which topic it goes to; a null hole fails as `encode-failed`.", example: `topic: orders-{lower(region ?? "none")}`},
		{name: "file", shape: objectOf(fileSinkFields), variant: true, doc: "Lines in files; exactly once, one file for every checkpoint that wrote something.", example: "file: {path: out/hours.jsonl}"},
		{name: "stdout", shape: objectOf(&object{name: "sink.stdout", fields: []field{
			{name: "pretty", shape: scalarOf(kindBool), def: "false", doc: "Indented JSON."},
			{name: "prefix", shape: scalarOf(kindText), doc: "Text before every line."},
		}}), variant: true, doc: "For development, outside the guarantee.", example: "stdout: {}"},
		{name: "blackhole", shape: objectOf(&object{name: "sink.blackhole"}), variant: true, doc: "Counts and drops.", example: "blackhole: {}"},
		reservedVariant("postgres"),
		reserved("connection"),
		{name: "key", shape: formOf(formKeys), only: []string{"topic", "stdout"}, defDoc: "`$key`", doc: "Record key; under `mode: upsert` it must determine the rows.", example: "key: [page, window_start]"},
		{name: "value", shape: formOf(formBody), only: writingSinks, defDoc: "`$value`", doc: "Record value."},
		{name: "headers", shape: formOf(formHeaders), only: []string{"topic"}, defDoc: "none", doc: "Headers, text or bytes; null is no header.", example: "headers: {trace: trace_id}"},
		{name: "timestamp", shape: formOf(formExpr), only: []string{"topic"}, defDoc: "`$ts`", doc: "Record timestamp."},
		{name: "partition", shape: &shape{words: words("key_hash", "round_robin", "source_partition"), object: sinkPartitionFields}, only: []string{"topic"}, def: "key_hash", doc: "Output partition; key_hash is that of the Java client."},
		{name: "format", shape: formatShape, only: writingSinks, def: "json", doc: "Format of the value."},
		{name: "key_format", shape: keyFormatShape, only: []string{"topic"}, def: "auto", doc: "Format of the key."},
		{name: "schema", shape: formOf(formSchema), only: writingSinks, defDoc: "of the stream", doc: "Schema of the value."},
		{name: "key_schema", shape: formOf(formSchema), only: []string{"topic"}, doc: "Schema of the key."},
		{name: "mode", shape: oneOf("append", "upsert"), only: []string{"topic"}, defDoc: "`append`", doc: "`upsert`: the topic is a table, a delete is a tombstone."},
		{name: "guarantee", shape: oneOf("exactly_once", "-at_least_once"), defDoc: "`checkpoint.guarantee`", doc: "What a failure may do to results."},
		{name: "max_record_size", shape: number(kindSize, 1, 1<<30), only: []string{"topic"}, def: "1MiB", doc: "A larger record fails."},
		{name: "create", shape: &shape{words: words("false"), object: createFields}, only: []string{"topic"}, def: "false", doc: "Create the topic if it is missing.", example: "create: {partitions: 12, config: {cleanup.policy: compact}}"},
		{name: "on_error", shape: onErrorShape, def: "fail", doc: "What happens to records that cannot be encoded."},
		{name: "parallelism", shape: number(kindInt, 1, 1024), defDoc: "of what it reads", doc: "Number of writers."},
		{name: "uid", shape: scalarOf(kindUID), defDoc: "`sink:<name>`", doc: "Identity in metrics and errors."},
		{name: "description", shape: scalarOf(kindText), doc: "What the sink is."},
	},
}

var sinkPartitionFields = &object{
	name: "sink.partition",
	fields: []field{
		{name: "by", shape: formOf(formExpr), required: true, doc: "The number of the partition."},
	},
}

var createFields = &object{
	name: "sink.create",
	fields: []field{
		{name: "partitions", shape: number(kindInt, 1, 0), defDoc: "the broker's", doc: "Number of partitions."},
		{name: "replication", shape: number(kindInt, 1, 0), defDoc: "the broker's", doc: "Replication factor."},
		{name: "config", shape: formOf(formTexts), doc: "Topic settings, as they are."},
	},
}
