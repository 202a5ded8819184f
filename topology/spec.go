package topology

import (
	"time"

	"kstream/expr"
	"kstream/record"
)

// Pos is a place in a pipeline file: line and column from 1, columns in
// characters.
type Pos struct {
	Line, Col int
}

// Span is a run of characters on one line. End is the column after the last
// character; End == 0 means the place has no column (YAML syntax errors).
// Source is 0 for the file and n for the n-th --set flag.
type Span struct {
	Pos
	End    int
	Source int
}

// Expr is an expression as written: its tree, its text and where each of its
// characters stands in the file.
type Expr struct {
	Tree *expr.Tree
	Text string
	At   func(start, end int) Span // rune offsets into Text
	// Quoted and Const say how the scalar was written: "…" or '…', {const: …}.
	Quoted bool
	Const  *record.Value
	// Object and List hold a nested map or list of expressions in a value
	// position; Tree is nil then.
	Object []NamedExpr
	List   []*Expr

	spec *Spec // whose text At refers to
	path string
}

// NamedExpr is one entry of a map of expressions, in the order of the file.
// Name may have dots, which nest.
type NamedExpr struct {
	Name string
	At   Span // of the name
	Expr *Expr
}

// Body is a value under construction: fields, or one expression.
type Body struct {
	Fields []NamedExpr
	Whole  *Expr // exactly one of the two is set
}

// Keys is what key_by, by and key take: one expression, a list of fields, or a
// map of named parts.
type Keys struct {
	Whole *Expr
	Parts []NamedExpr
}

// Ref names a source, a stream or a side output: "name" or "name.output".
type Ref struct {
	Name, Output string
	At           Span
}

// Spec is a pipeline file after syntax, fields and values were checked and
// defaults filled in; the short form is rewritten to the long one (source
// "source", stream "main", sink "sink").
type Spec struct {
	File        string
	Lines       []string // the text, for diagnostics
	Short       bool
	Name        string
	NameAt      Span
	Description string

	Time           string // event | ingestion | processing
	Parallelism    int    // 0 is auto
	MaxParallelism int

	DeadLetter *DeadLetterSpec // nil: no node may say on_error: dead_letter

	Sources []*SourceSpec
	Streams []*StreamSpec
	Sinks   []*SinkSpec

	Kafka          KafkaSpec
	Checkpoint     CheckpointSpec
	BufferTimeout  time.Duration
	Producer       ProducerSpec
	Restart        RestartSpec
	State          StateSpec
	InternalTopics InternalTopicsSpec
	Metrics        MetricsSpec
	API            APISpec
	Savepoints     string            // directory
	Moved          map[string]string // old uid -> new uid
	Log            LogSpec

	sets []string // the --set flags
	root *value   // the checked tree, for ConfigText
}

// KafkaSpec is the cluster of the job.
type KafkaSpec struct {
	Brokers                                     []string
	ClientID                                    string
	Rack                                        string
	DialTimeout, RequestTimeout, MetadataMaxAge time.Duration
	TLS                                         *TLSSpec
	SASL                                        *SASLSpec
}

// TLSSpec is transport security; nil is plain text.
type TLSSpec struct {
	CAFile, CertFile, KeyFile, ServerName string
	InsecureSkipVerify                    bool
}

// SASLSpec is authentication. Mechanism: plain, scram_sha_256, scram_sha_512.
type SASLSpec struct {
	Mechanism, Username, Password, PasswordFile string
}

// CheckpointSpec is when and how an epoch is committed.
type CheckpointSpec struct {
	Interval, Timeout, MinPause, TransactionTimeout time.Duration
	MaxUncommitted                                  int64
}

// ProducerSpec holds the settings of the instance's one producer.
type ProducerSpec struct {
	Compression string
	Linger      time.Duration
	BatchSize   int64
}

// RestartSpec is a restart strategy. Kind: none, exponential, fixed_delay,
// failure_rate; Attempts and MaxFailures < 0 mean unlimited.
type RestartSpec struct {
	Kind                     string
	Initial, Max, ResetAfter time.Duration
	Multiplier, Jitter       float64
	Attempts                 int
	Delay                    time.Duration
	MaxFailures              int
	Per                      time.Duration
}

// StateSpec is where working state lives. Backend: disk, memory.
type StateSpec struct {
	Backend, Dir string
	Memory       int64
}

// InternalTopicsSpec is how the job's own topics are named and made.
// Replication 0 is the broker's default.
type InternalTopicsSpec struct {
	Prefix      string
	Replication int
	Config      map[string]string
}

// MetricsSpec is the Prometheus endpoint; Listen "" is off.
type MetricsSpec struct {
	Listen, Path string
	Labels       map[string]string
}

// APISpec is the control API; Listen "none" is off.
type APISpec struct {
	Listen, TokenFile string
}

// LogSpec is the log's level and format ("" decides by terminal).
type LogSpec struct {
	Level, Format string
}

// SourceSpec is one source. Exactly one of Topics, File, Generate, Nexmark, Stdin
// is set.
type SourceSpec struct {
	Name string
	At   Span
	UID  string

	Topics   []string
	File     *FileSourceSpec
	Generate *GenerateSpec
	Nexmark  *NexmarkSpec
	Stdin    bool

	Group       string
	Start       Position
	Stop        Position
	Isolation   string // read_committed | read_uncommitted
	Format      FormatSpec
	KeyFormat   FormatSpec
	Schema      *record.Type // nil is dynamic
	KeySchema   *record.Type
	Mode        string // append | upsert
	EventTime   *Expr
	Watermark   WatermarkSpec
	OnError     OnErrorSpec
	Parallelism int

	PartitionDiscovery time.Duration // 0: new partitions are found at start only
	RateLimit          float64       // records per second, 0 is none
}

// Position is a start or a stop. Kind: earliest, latest, never, group,
// timestamp, offsets.
type Position struct {
	Kind    string
	Time    record.Timestamp
	Offsets map[int32]record.Offset
}

// GenerateSpec is a source that makes its records. Rate is records per second,
// 0 is as fast as possible; Count < 0 is endless.
type GenerateSpec struct {
	Rate   float64
	Count  int64
	Seed   int64
	Key    *Expr
	Record Body
}

// FormatSpec is bytes <-> rows. Kind: json, string, bytes, auto.
type FormatSpec struct {
	Kind        string
	Timestamp   string // json: millis | seconds | rfc3339
	ExtraFields string // json: ignore | keep | fail; "" by schema
	Numbers     string // json: auto | decimal
}

// WatermarkSpec is the watermark strategy. Kind: bounded (Bound 0 is
// ascending), none. Idle 0 is never idle.
type WatermarkSpec struct {
	Kind               string
	Bound, Idle, Every time.Duration
}

// OnErrorSpec is where records go that fail. Kind: fail, skip, dead_letter,
// output.
type OnErrorSpec struct {
	Kind   string
	Output string // output: the name
	Ref    string // output: "node.output", how it is read
	At     Span
}

// DeadLetterSpec is the topic of records that fail.
type DeadLetterSpec struct {
	Topic        string
	At           Span
	Create       *CreateSpec // nil: it must be there
	IncludeValue bool
}

// StreamSpec is from + steps.
type StreamSpec struct {
	Name        string
	At          Span
	From        []Ref
	Steps       []*StepSpec
	Parallelism int
}

// StepSpec is one step: exactly one operator field is set.
type StepSpec struct {
	Op          string // the operator word
	At          Span   // of the operator word
	Path        string // "streams/per_minute/steps/1" or "steps/1"
	Name        string // the operator word if not written
	UID         string // "<stream>/<name>" if not written
	Named       bool
	When        *Expr
	OnError     OnErrorSpec
	Parallelism int
	Emit        string // "" is the default of the step; append | update
	EmitAt      Span
	EmitEvery   int64 // milliseconds, < 0 if it is not written
	EveryAt     Span
	TTL         TTL  // of stateful steps without a window
	TTLAt       Span // the zero Span if it is not written at the step

	Filter    *Expr
	Map       *Body
	Set       []NamedExpr
	Project   []NamedName
	Drop      []NamedName
	Rename    []RenameName
	FlatMap   *FlatMapSpec
	KeyBy     *Keys
	Partition *PartitionSpec
	Log       *LogStepSpec
	Check     []NamedExpr
	Split     *SplitSpec
	Window    *WindowSpec
	Aggregate []NamedExpr
	Reduce    *Body
	Times     *TimestampsSpec
	Dedup     *DedupSpec
	TopN      *TopNSpec
}

// NamedName is a field name as an item of project or drop.
type NamedName struct {
	Name string
	At   Span
}

// RenameName is one entry of rename.
type RenameName struct {
	Old, New     string
	OldAt, NewAt Span
}

// FlatMapSpec is one record per element of a list.
type FlatMapSpec struct {
	Each      *Expr
	As        string
	IndexAs   string
	Select    *Body
	KeepEmpty bool
}

// PartitionSpec is how records travel without a key. Kind: forward, shuffle,
// rebalance, rescale, broadcast, by.
type PartitionSpec struct {
	Kind string
	By   *Expr
}

// LogStepSpec is a rate-limited log line.
type LogStepSpec struct {
	Message Template
	Level   string
	Every   time.Duration
}

// SplitSpec sends records to outputs. Else is the output of what matches no
// route; ElseKind is output, drop or fail.
type SplitSpec struct {
	Routes   []NamedExpr
	Else     string
	ElseKind string
	ElseAt   Span
	All      bool
}

// Outputs are the names of the outputs, in the order of the file.
func (s *SplitSpec) Outputs() []string {
	var names []string
	for _, r := range s.Routes {
		names = append(names, r.Name)
	}
	if s.ElseKind == "output" {
		names = append(names, s.Else)
	}
	return names
}

// split is the split a stream ends in, nil if it does not.
func (s *StreamSpec) split() *SplitSpec {
	if len(s.Steps) == 0 {
		return nil
	}
	return s.Steps[len(s.Steps)-1].Split
}

// TimestampsSpec assigns event time again.
type TimestampsSpec struct {
	EventTime *Expr
	Watermark WatermarkSpec
}

// DedupSpec keeps one record per key. Within < 0 is for ever.
type DedupSpec struct {
	By     *Keys // nil is $key
	Within time.Duration
	Last   bool
	Time   string // event | processing, "" is the pipeline's
}

// TopNSpec is the first N records in an order; the names of Order are asc and
// desc.
type TopNSpec struct {
	N      int
	Order  []NamedExpr
	By     *Keys // nil is one list
	Window bool  // per: window
	PerAt  Span
	Ties   bool // all
	RankAs string
	RankAt Span
}

// aggregates reports whether the step makes one value of several.
func (st *StepSpec) aggregates() bool { return st.Aggregate != nil || st.Reduce != nil }

// stateful reports whether the step keeps state.
func (st *StepSpec) stateful() bool {
	return st.aggregates() || st.Dedup != nil || st.TopN != nil
}

// Template is text with {expr} holes: Text[0] Holes[0] Text[1] … Text[n].
type Template struct {
	Text  []string
	Holes []*Expr
}

// WindowSpec is a window. Kind: tumbling, sliding, session, count. Millisecond
// sizes; those of count windows are in Records.
type WindowSpec struct {
	Kind                string
	Size, Slide, Offset time.Duration
	Gap, Max            time.Duration // session; Max 0 is none
	GapBy               *Expr         // session: instead of Gap
	Records             CountSpec
	Timezone            string // IANA name, "" is UTC
	TimezoneAt          Span
	AllowedLateness     time.Duration
	Late                string // output name, "" drops
	LateAt              Span
	Time                string // event | processing, "" is the pipeline's
}

// CountSpec is the size of count windows, in records.
type CountSpec struct {
	Size, Slide int64
}

// SinkSpec is one sink. Exactly one of Topic, File, Stdout, Blackhole is set.
type SinkSpec struct {
	Name string
	At   Span
	UID  string
	From []Ref

	Topic     string    // without holes
	TopicText string    // as written
	Holes     *Template // a topic that each record chooses; Topic is "" then
	File      *FileSinkSpec
	Stdout    *StdoutSpec
	Blackhole bool

	Key           *Keys // nil is $key
	KeyAt         Span
	Value         *Body // nil is $value
	Headers       []NamedExpr
	Timestamp     *Expr
	Partition     SinkPartition
	Format        FormatSpec
	KeyFormat     FormatSpec
	Schema        *record.Type
	KeySchema     *record.Type
	Mode          string // append | upsert, "" by the stream
	ModeAt        Span
	MaxRecordSize int64
	Create        *CreateSpec
	OnError       OnErrorSpec
	Parallelism   int
}

// StdoutSpec is the development sink.
type StdoutSpec struct {
	Pretty bool
	Prefix string
}

// SinkPartition is how the output partition is chosen. Kind: key_hash,
// round_robin, source_partition, by.
type SinkPartition struct {
	Kind string
	By   *Expr
}

// CreateSpec is how a missing output topic is made; 0 is the broker's default.
type CreateSpec struct {
	Partitions, Replication int
	Config                  map[string]string
}
