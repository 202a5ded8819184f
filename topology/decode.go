package topology

import (
	"slices"
	"strings"
	"time"

	"kstream/record"
)

// Reading a checked tree: a field that has a default is always there, any
// other may be nil and then gives the zero value.

func (v *value) str(name string) string {
	if m := v.get(name); m != nil {
		return m.text
	}
	return ""
}

func (v *value) dur(name string) time.Duration {
	if m := v.get(name); m != nil && !m.isWord {
		return time.Duration(m.number)
	}
	return 0
}

func (v *value) num(name string) int64 {
	if m := v.get(name); m != nil && !m.isWord {
		return m.number
	}
	return 0
}

// limit is a number that "unlimited", or leaving it out, makes -1.
func (v *value) limit(name string) int {
	if m := v.get(name); m != nil && !m.isWord {
		return int(m.number)
	}
	return -1
}

func (v *value) flag(name string) bool {
	m := v.get(name)
	return m != nil && m.truth
}

func (v *value) exprOf(name string) *Expr {
	if m := v.get(name); m != nil {
		return m.expr
	}
	return nil
}

func (v *value) bodyOf(name string) *Body {
	if m := v.get(name); m != nil {
		return m.body
	}
	return nil
}

func (v *value) keysOf(name string) *Keys {
	if m := v.get(name); m != nil {
		return m.keys
	}
	return nil
}

func (v *value) typeOf(name string) *record.Type {
	if m := v.get(name); m != nil {
		return m.typ
	}
	return nil
}

func (v *value) textsOf(name string) map[string]string {
	if m := v.get(name); m != nil {
		return m.texts
	}
	return nil
}

// variant is the one field of a choice that is set.
func (v *value) variant() *value {
	for _, m := range v.members {
		if m.field != nil && m.field.variant {
			return m
		}
	}
	return nil
}

// decode fills the Spec from the checked tree.
func (l *loader) decode(v *value) {
	s := l.spec
	s.Short = v.get("source") != nil
	s.Name, s.NameAt, s.Description = v.str("name"), v.get("name").at, v.str("description")
	s.Time = v.str("time")
	s.Parallelism, s.MaxParallelism = int(v.num("parallelism")), int(v.num("max_parallelism"))
	l.decodeCluster(v.get("kafka"))
	l.decodeRunning(v)
	s.DeadLetter = decodeDeadLetter(v.get("dead_letter"))
	if s.Short {
		l.decodeShort(v)
		return
	}
	for _, m := range v.get("sources").members {
		s.Sources = append(s.Sources, l.decodeSource(m, m.name))
	}
	if streams := v.get("streams"); streams != nil {
		for _, m := range streams.members {
			s.Streams = append(s.Streams, l.decodeStream(m))
		}
	}
	for _, m := range v.get("sinks").members {
		s.Sinks = append(s.Sinks, l.decodeSink(m, m.name))
	}
}

// decodeShort rewrites the short form: source "source", stream "main", sink
// "sink".
func (l *loader) decodeShort(v *value) {
	s := l.spec
	source, sink := v.get("source"), v.get("sink")
	s.Sources = []*SourceSpec{l.decodeSource(source, "source")}
	main := &StreamSpec{Name: "main", At: source.keyAt, From: []Ref{{Name: "source", At: source.keyAt}}}
	if steps := v.get("steps"); steps != nil {
		main.At = steps.keyAt
		main.Steps = l.decodeSteps(steps, main, nil)
	}
	s.Streams = []*StreamSpec{main}
	out := l.decodeSink(sink, "sink")
	out.From = []Ref{{Name: "main", At: sink.keyAt}}
	s.Sinks = []*SinkSpec{out}
}

func (l *loader) decodeCluster(v *value) {
	k := &l.spec.Kafka
	brokers := v.get("brokers")
	if len(brokers.members) > 0 {
		for _, m := range brokers.members {
			k.Brokers = append(k.Brokers, m.text)
		}
	} else {
		for _, a := range strings.Split(brokers.text, ",") {
			k.Brokers = append(k.Brokers, strings.TrimSpace(a))
		}
	}
	k.ClientID = v.str("client_id")
	if k.ClientID == "" {
		k.ClientID = "kstream-" + l.spec.Name
	}
	k.Rack = v.str("rack")
	k.DialTimeout, k.RequestTimeout, k.MetadataMaxAge = v.dur("dial_timeout"), v.dur("request_timeout"), v.dur("metadata_max_age")
	if tls := v.get("tls"); tls != nil && (tls.isMap && tls.flag("enabled") || tls.truth) {
		k.TLS = &TLSSpec{
			CAFile: tls.str("ca_file"), CertFile: tls.str("cert_file"), KeyFile: tls.str("key_file"),
			ServerName: tls.str("server_name"), InsecureSkipVerify: tls.flag("insecure_skip_verify"),
		}
	}
	if sasl := v.get("sasl"); sasl != nil {
		k.SASL = &SASLSpec{
			Mechanism: sasl.str("mechanism"), Username: sasl.str("username"),
			Password: sasl.str("password"), PasswordFile: sasl.str("password_file"),
		}
	}
}

func (l *loader) decodeRunning(v *value) {
	s := l.spec
	c := v.get("checkpoint")
	s.Checkpoint = CheckpointSpec{
		Interval: c.dur("interval"), Timeout: c.dur("timeout"), MinPause: c.dur("min_pause"),
		TransactionTimeout: c.dur("transaction_timeout"), MaxUncommitted: c.num("max_uncommitted"),
	}
	s.BufferTimeout = v.dur("buffer_timeout")
	p := v.get("producer")
	s.Producer = ProducerSpec{Compression: p.str("compression"), Linger: p.dur("linger"), BatchSize: p.num("batch_size")}
	s.Restart = decodeRestart(v.get("restart"))
	st := v.get("state")
	s.State = StateSpec{Backend: st.str("backend"), Dir: st.str("dir"), Memory: st.num("memory")}
	it := v.get("internal_topics")
	s.InternalTopics = InternalTopicsSpec{Prefix: it.str("prefix"), Replication: int(it.num("replication")), Config: it.textsOf("config")}
	m := v.get("metrics")
	s.Metrics = MetricsSpec{Listen: m.str("listen"), Path: m.str("path"), Labels: m.textsOf("labels")}
	api := v.get("api")
	s.API = APISpec{Listen: api.str("listen"), TokenFile: api.str("token_file")}
	s.Savepoints = v.str("savepoints")
	s.Moved = v.textsOf("moved")
	lg := v.get("log")
	s.Log = LogSpec{Level: lg.str("level"), Format: lg.str("format")}
}

func decodeRestart(v *value) RestartSpec {
	if v.isWord {
		return RestartSpec{Kind: "none"}
	}
	k := v.variant()
	return RestartSpec{
		Kind:    k.name,
		Initial: k.dur("initial"), Max: k.dur("max"), ResetAfter: k.dur("reset_after"),
		Multiplier: k.floatOf("multiplier"), Jitter: k.floatOf("jitter"),
		Attempts: k.limit("attempts"), Delay: k.dur("delay"),
		MaxFailures: k.limit("max_failures"), Per: k.dur("per"),
	}
}

func (v *value) floatOf(name string) float64 {
	if m := v.get(name); m != nil {
		return m.float
	}
	return 0
}

func (l *loader) decodeSource(v *value, name string) *SourceSpec {
	s := &SourceSpec{
		Name: name, At: v.keyAt, UID: v.str("uid"),
		Group: v.str("group"), Isolation: v.str("isolation"),
		Start: decodePosition(v.get("start")), Stop: decodePosition(v.get("stop")),
		Format: decodeFormat(v.get("format")), KeyFormat: decodeFormat(v.get("key_format")),
		Schema: v.typeOf("schema"), KeySchema: v.typeOf("key_schema"), Mode: v.str("mode"),
		EventTime: v.exprOf("event_time"), Watermark: decodeWatermark(v.get("watermark")),
		OnError: decodeOnError(v.get("on_error"), name), Parallelism: int(v.num("parallelism")),
	}
	if s.UID == "" {
		s.UID = "source:" + name
	}
	if s.Stop.Kind == "never" { // else what there is to read is fixed
		s.PartitionDiscovery = v.dur("partition_discovery")
	}
	s.RateLimit = v.floatOf("rate_limit")
	if s.Group == "" {
		s.Group = "kstream-" + l.spec.Name
	}
	switch c := v.variant(); c.name {
	case "topic":
		s.Topics = []string{c.text}
	case "topics":
		for _, m := range c.members {
			s.Topics = append(s.Topics, m.text)
		}
	case "file":
		s.File = decodeFileSource(c)
	case "stdin":
		s.Stdin = true
	case "nexmark":
		decodeNexmark(c, s)
	case "generate":
		s.Generate = &GenerateSpec{
			Count: int64(c.limit("count")), Seed: c.num("seed"), Key: c.exprOf("key"), Record: *c.bodyOf("record"),
			Rate: c.floatOf("rate"),
		}
	}
	return s
}

func decodePosition(v *value) Position {
	switch {
	case v == nil:
		return Position{}
	case v.isWord:
		return Position{Kind: v.text}
	}
	c := v.variant()
	return Position{Kind: c.name, Time: record.Timestamp(c.number), Offsets: c.offsets}
}

func decodeFormat(v *value) FormatSpec {
	switch {
	case v == nil:
		return FormatSpec{}
	case v.isWord:
		f := FormatSpec{Kind: v.text}
		if f.Kind == "json" {
			f.Timestamp, f.Numbers = "rfc3339", "auto"
		}
		return f
	}
	c := v.variant()
	return FormatSpec{Kind: c.name, Timestamp: c.str("timestamp"), ExtraFields: c.str("extra_fields"), Numbers: c.str("numbers")}
}

// decodeWatermark: a duration alone is bounded, ascending is bounded by 0.
func decodeWatermark(v *value) WatermarkSpec {
	w := WatermarkSpec{Kind: "bounded", Idle: time.Minute, Every: 200 * time.Millisecond}
	kind := v.text
	if v.isMap {
		kind = v.variant().name
		w.Bound, w.Idle, w.Every = v.dur("bounded"), v.dur("idle"), v.dur("every")
	} else if !v.isWord {
		w.Bound = time.Duration(v.number)
	}
	if kind == "none" {
		w.Kind, w.Bound = "none", 0
	}
	return w
}

func decodeRefs(v *value) []Ref {
	if v == nil {
		return nil
	}
	items := v.members
	if len(items) == 0 {
		items = []*value{v}
	}
	var refs []Ref
	for _, m := range items {
		name, output, _ := strings.Cut(m.text, ".")
		refs = append(refs, Ref{Name: name, Output: output, At: m.at})
	}
	return refs
}

func (l *loader) decodeStream(v *value) *StreamSpec {
	s := &StreamSpec{Name: v.name, At: v.keyAt, From: decodeRefs(v.get("from")), Parallelism: int(v.num("parallelism"))}
	if steps := v.get("steps"); steps != nil {
		s.Steps = l.decodeSteps(steps, s, v.get("on_error"))
	}
	return s
}

func (l *loader) decodeSteps(v *value, s *StreamSpec, onError *value) []*StepSpec {
	if onError == nil {
		onError = l.defaults.get("on_error")
	}
	var out []*StepSpec
	for _, m := range v.members {
		st := decodeStep(m, s, onError)
		st.TTL, st.TTLAt = decodeTTL(m.get("state_ttl"), l.defaults.get("state_ttl"))
		out = append(out, st)
	}
	return out
}

func decodeStep(v *value, s *StreamSpec, onError *value) *StepSpec {
	op := v.variant()
	st := &StepSpec{
		Op: op.name, At: op.keyAt, Path: v.path[1:], Name: v.str("name"), UID: v.str("uid"),
		When: v.exprOf("when"), Parallelism: int(v.num("parallelism")),
	}
	st.Named = st.Name != ""
	if !st.Named {
		st.Name = st.Op
	}
	if st.UID == "" {
		st.UID = s.Name + "/" + st.Name
	}
	if own := v.get("on_error"); own != nil {
		onError = own
	}
	st.OnError = decodeOnError(onError, s.Name)
	if emit := v.get("emit"); emit != nil {
		st.Emit, st.EmitAt = emit.text, emit.at
	}
	st.EmitEvery = -1
	if every := v.get("emit_every"); every != nil {
		st.EmitEvery, st.EveryAt = time.Duration(v.num("emit_every")).Milliseconds(), every.at
	}
	decodeOperator(st, op)
	return st
}

// decodeTTL: what the step says, else what holds for all of them.
func decodeTTL(own, def *value) (ttl TTL, at Span) {
	v := def
	if own != nil {
		v, at = own, own.keyAt
	}
	switch {
	case v == nil || v.isWord:
		return TTL{}, at
	case v.isMap:
		return TTL{Length: v.dur("ttl").Milliseconds(), OnRead: v.str("refresh") == "on_read_write"}, at
	}
	return TTL{Length: time.Duration(v.number).Milliseconds()}, at
}

func decodeOperator(st *StepSpec, op *value) {
	switch op.name {
	case "filter":
		st.Filter = op.expr
	case "map":
		st.Map = op.body
	case "set":
		st.Set = op.named
	case "project":
		st.Project = namedNames(op)
	case "drop":
		st.Drop = namedNames(op)
	case "rename":
		st.Rename = op.renames
	case "flat_map":
		st.FlatMap = &FlatMapSpec{Each: op.expr}
		if op.isMap {
			*st.FlatMap = FlatMapSpec{
				Each: op.exprOf("each"), As: op.str("as"), IndexAs: op.str("index_as"),
				Select: op.bodyOf("select"), KeepEmpty: op.flag("keep_empty"),
			}
		}
	case "key_by":
		st.KeyBy = op.keys
	case "partition":
		st.Partition = &PartitionSpec{Kind: op.text}
		if op.isMap {
			st.Partition = &PartitionSpec{Kind: "by", By: op.exprOf("by")}
		}
	case "log":
		st.Log = &LogStepSpec{Level: "info", Every: time.Second}
		if op.isMap {
			st.Log = &LogStepSpec{Message: *op.get("message").template, Level: op.str("level"), Every: op.dur("every")}
		} else {
			st.Log.Message = *op.template
		}
	case "check":
		st.Check = namedExprs(op)
	case "split":
		st.Split = decodeSplit(op)
	case "window":
		st.Window = decodeWindow(op)
	case "aggregate":
		st.Aggregate = op.named
	case "reduce":
		st.Reduce = op.body
	case "timestamps":
		st.Times = &TimestampsSpec{EventTime: op.exprOf("event_time"), Watermark: decodeWatermark(op.get("watermark"))}
	case "dedup":
		st.Dedup = decodeDedup(op)
	case "top_n":
		st.TopN = decodeTopN(op)
	}
}

func decodeDedup(v *value) *DedupSpec {
	d := &DedupSpec{By: v.keysOf("by"), Within: v.dur("within"), Last: v.str("keep") == "last", Time: v.str("time")}
	if v.get("within").isWord {
		d.Within = -1
	}
	return d
}

func decodeTopN(v *value) *TopNSpec {
	t := &TopNSpec{
		N: int(v.num("n")), Order: v.get("order_by").named, By: v.keysOf("by"),
		Window: v.str("per") == "window", PerAt: v.get("per").at, Ties: v.str("ties") == "all", RankAs: v.str("rank_as"),
	}
	if rank := v.get("rank_as"); rank != nil {
		t.RankAt = rank.at
	}
	return t
}

func namedExprs(v *value) []NamedExpr {
	var out []NamedExpr
	for _, m := range v.members {
		out = append(out, NamedExpr{Name: m.name, At: m.keyAt, Expr: m.expr})
	}
	return out
}

func decodeSplit(v *value) *SplitSpec {
	other := v.get("else")
	s := &SplitSpec{Routes: namedExprs(v.get("routes")), All: v.str("match") == "all", ElseAt: other.at, ElseKind: other.text}
	if !other.isWord {
		s.Else, s.ElseKind = other.text, "output"
	}
	return s
}

func namedNames(v *value) []NamedName {
	var out []NamedName
	for _, m := range v.members {
		out = append(out, NamedName{Name: m.text, At: m.at})
	}
	return out
}

func (l *loader) decodeSink(v *value, name string) *SinkSpec {
	s := &SinkSpec{
		Name: name, At: v.keyAt, UID: v.str("uid"), From: decodeRefs(v.get("from")),
		Key: v.keysOf("key"), Value: v.bodyOf("value"), Timestamp: v.exprOf("timestamp"),
		Format: decodeFormat(v.get("format")), KeyFormat: decodeFormat(v.get("key_format")),
		Schema: v.typeOf("schema"), KeySchema: v.typeOf("key_schema"),
		Mode: v.str("mode"), MaxRecordSize: v.num("max_record_size"),
		OnError: decodeOnError(v.get("on_error"), name), Parallelism: int(v.num("parallelism")),
	}
	if s.UID == "" {
		s.UID = "sink:" + name
	}
	if k := v.get("key"); k != nil {
		s.KeyAt = k.at
	}
	if m := v.get("mode"); m != nil {
		s.ModeAt = m.at
	}
	if h := v.get("headers"); h != nil {
		s.Headers = slices.Clone(h.named)
	}
	if p := v.get("partition"); p != nil {
		s.Partition.Kind = p.text
		if p.isMap {
			s.Partition = SinkPartition{Kind: "by", By: p.exprOf("by")}
		}
	}
	s.Create = decodeCreate(v.get("create"))
	switch c := v.variant(); c.name {
	case "topic":
		s.Topic, s.TopicText = c.template.Text[0], c.text
		if len(c.template.Holes) > 0 {
			s.Topic, s.Holes = "", c.template
		}
	case "file":
		s.File = decodeFileSink(c)
	case "stdout":
		s.Stdout = &StdoutSpec{Pretty: c.flag("pretty"), Prefix: c.str("prefix")}
	case "blackhole":
		s.Blackhole = true
	}
	return s
}
