package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"

	"kstream/record"
)

// SessionConfig is the transactional producer of one incarnation. Zero values
// of Compression, BatchSize, MaxBufferedRecords and RetryTimeout are the
// defaults: snappy, 1 MiB, 16,000, 1 min.
type SessionConfig struct {
	TransactionalID    string
	TransactionTimeout time.Duration
	// RetryTimeout bounds the retries of the requests of a commit. It is
	// checkpoint.timeout: when it is over, so is the epoch.
	RetryTimeout       time.Duration
	Compression        string // none, gzip, snappy, lz4, zstd
	Linger             time.Duration
	BatchSize          int64
	MaxBufferedRecords int
	// TV2 is Broker.TransactionV2 as read at start-up.
	TV2 bool
	// EndWritten is called each time EndTxn was put on the wire; nil is allowed.
	EndWritten func()
}

const (
	batchSizeDefault   = 1 << 20
	bufferedDefault    = 16_000
	bufferedBytesLeast = 64 << 20
	retryDefault       = time.Minute
	otherRetryTimeout  = 30 * time.Second

	// A fence that takes longer than fenceLogAfter is reported every
	// fenceLogEvery; after fenceTimeout it is given up (7.3).
	fenceTimeout  = 10 * time.Minute
	fenceLogAfter = time.Minute
	fenceLogEvery = 30 * time.Second
)

// Session is the one producer of an incarnation. Its life is
//
//	Fence  ( Begin  Produce*  Flush  CommitOffsets*  Produce  Flush  End )*  Close
//
// One goroutine owns that order (G24). Produce alone may be called by several
// goroutines, between Begin and the last Flush of an epoch. After any error the
// session is of no more use: Close it and start over (7.5). It never aborts a
// transaction (G5, G8); the fence of the next session does.
type Session struct {
	cfg     SessionConfig
	cluster *Cluster
	log     *slog.Logger
	client  *kgo.Client
	admin   *kadm.Client
	slabs   *slabPool
	promise func(*kgo.Record, error) // one for all records

	endWrites atomic.Int32 // EndTxn requests put on the wire

	// Of the epoch.
	bytes   atomic.Int64 // handed to Produce
	acked   atomic.Int64 // records acknowledged
	first   atomic.Pointer[record.KafkaError]
	failed  context.Context // ends with the first error
	fail    context.CancelFunc
	last    *ackedEnd // of the promise goroutine
	cellsMu sync.Mutex
	cells   map[record.TopicPartition]*ackedEnd

	topicIDs map[string]record.TopicID // of CommitOffsets
}

// ackedEnd is the offset behind the last acknowledged record of a partition, 0
// if there is none in this epoch.
type ackedEnd struct {
	topic     string
	partition int32
	end       atomic.Int64
	known     bool // the client has published the partition, see waitKnown
}

// NewSession makes the client. It sends nothing; Fence does.
func NewSession(cluster *Cluster, cfg SessionConfig) (*Session, error) {
	s := &Session{
		cfg: cfg, cluster: cluster, log: cluster.log, slabs: newSlabPool(),
		cells: map[record.TopicPartition]*ackedEnd{}, topicIDs: map[string]record.TopicID{},
	}
	s.promise = s.onPromise
	s.failed, s.fail = context.WithCancel(context.Background())
	opts, err := cluster.cfg.options()
	if err != nil {
		return nil, refuseConnect(cluster.cfg.Brokers, err)
	}
	own, err := s.options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, own...)...)
	if err != nil {
		return nil, asError(Classify(OpInit, cfg.TransactionalID, err))
	}
	s.client, s.admin = client, kadm.NewClient(client)
	return s, nil
}

func (s *Session) options() ([]kgo.Opt, error) {
	c := s.cfg
	codec, err := compression(c.Compression)
	if err != nil {
		return nil, err
	}
	batch := c.BatchSize
	if batch <= 0 {
		batch = batchSizeDefault
	}
	buffered := c.MaxBufferedRecords
	if buffered <= 0 {
		buffered = bufferedDefault
	}
	retry := orDefault(c.RetryTimeout, retryDefault)
	opts := []kgo.Opt{
		kgo.TransactionalID(c.TransactionalID),
		kgo.TransactionTimeout(c.TransactionTimeout),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(c.Linger),
		kgo.ProducerBatchMaxBytes(int32(min(batch, math.MaxInt32))),
		kgo.MaxBufferedRecords(buffered),
		kgo.MaxBufferedBytes(int(max(bufferedBytesLeast, 4*batch))),
		kgo.RequestRetries(math.MaxInt32),
		kgo.RetryTimeoutFn(func(key int16) time.Duration {
			switch key {
			case keyEndTxn, keyTxnOffsetCommit, keyAddOffsetsToTxn, keyAddPartitionsToTxn:
				return retry
			}
			return otherRetryTimeout
		}),
		kgo.AlwaysRetryEOF(),
		kgo.WithHooks(endTxnCounter{&s.endWrites, c.EndWritten}),
	}
	if !c.TV2 {
		versions, err := s.versionsTV1()
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.MaxVersions(versions))
	}
	return opts, nil
}

// versionsTV1 caps TxnOffsetCommit, which otherwise negotiates a version that
// expects transactions of version 2 (G11). With the cap the client also stays
// with TV1 if the cluster is upgraded while it lives, so that one life knows
// one protocol.
func (s *Session) versionsTV1() (*kversion.Versions, error) {
	versions, err := s.cluster.cfg.versions()
	if err != nil {
		return nil, err
	}
	if versions == nil {
		versions = kversion.Stable()
	}
	if have, ok := versions.LookupMaxKeyVersion(keyTxnOffsetCommit); !ok || have > txnOffsetCommitTV1 {
		versions.SetMaxKeyVersion(keyTxnOffsetCommit, txnOffsetCommitTV1)
	}
	return versions, nil
}

func compression(name string) (kgo.CompressionCodec, error) {
	switch name {
	case "none":
		return kgo.NoCompression(), nil
	case "gzip":
		return kgo.GzipCompression(), nil
	case "", "snappy":
		return kgo.SnappyCompression(), nil
	case "lz4":
		return kgo.Lz4Compression(), nil
	case "zstd":
		return kgo.ZstdCompression(), nil
	}
	return kgo.NoCompression(), fmt.Errorf("compression %q is not known", name)
}

// endTxnCounter counts EndTxn requests on the wire: the client repeats them
// without telling (G19), and on TV1 a late copy could commit the transaction
// after the one it was meant for (I15). A failed write counts too, since part
// of it may have left.
type endTxnCounter struct {
	writes *atomic.Int32
	told   func()
}

// OnBrokerWrite is called by the client after each write.
func (c endTxnCounter) OnBrokerWrite(_ kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, _ error) {
	if key != keyEndTxn {
		return
	}
	c.writes.Add(1)
	if c.told != nil {
		c.told()
	}
}

// Fence ends the life of every older producer with our transactional id (U2).
// It answers only after the transaction of that producer is aborted, or its
// commit markers are all written.
func (s *Session) Fence(ctx context.Context) (producerID int64, epoch int16, err error) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, fenceTimeout)
	defer cancel()
	tries, limit := newBackoff(), fenceLogAfter
	for {
		tryCtx, cancelTry := context.WithTimeout(ctx, limit)
		producerID, epoch, err = s.client.ProducerID(tryCtx)
		slow := tryCtx.Err() != nil && ctx.Err() == nil
		cancelTry()
		switch {
		case err == nil && producerID < 0:
			return 0, 0, &record.KafkaError{Class: record.ClassRefuse, Exit: exitRefuse, Code: CodeUnsupported, Op: OpInit,
				Topic: s.cfg.TransactionalID, Partition: -1, Offset: -1, Detail: "the broker has no transactions"}
		case err == nil:
			return producerID, epoch, nil
		case slow:
			s.logFence(ctx, time.Since(began))
			limit = fenceLogEvery
		case !passes(err) || !tries.wait(ctx):
			return 0, 0, s.fenceError(err)
		}
	}
}

func (s *Session) fenceError(err error) error {
	e := Classify(OpInit, s.cfg.TransactionalID, err)
	if e.Code == "INVALID_TRANSACTION_TIMEOUT" {
		limit := "transaction.max.timeout.ms"
		if broker, err := s.cluster.Inspect(context.Background()); err == nil && broker.MaxTransactionTimeout > 0 {
			limit = fmt.Sprintf("transaction.max.timeout.ms, which is %v", broker.MaxTransactionTimeout)
		}
		e.Detail = fmt.Sprintf("checkpoint.transaction_timeout is %v; the broker allows at most %s: lower the one or raise the other", s.cfg.TransactionTimeout, limit)
	}
	return e
}

// logFence says whom we wait for.
func (s *Session) logFence(ctx context.Context, waited time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	t, err := s.cluster.DescribeTransaction(ctx, s.cfg.TransactionalID)
	if err != nil {
		s.log.WarnContext(ctx, "waiting for the end of an earlier transaction", "transactional_id", s.cfg.TransactionalID, "waited", waited, "error", err)
		return
	}
	s.log.WarnContext(ctx, "waiting for the end of an earlier transaction", "transactional_id", s.cfg.TransactionalID, "waited", waited,
		"producer_id", t.ProducerID, "state", t.State, "age", t.Age, "partitions", len(t.Partitions))
}

// Begin opens the gate for the records of an epoch (E0). It sends nothing; the
// first record does.
func (s *Session) Begin() error {
	if err := s.client.BeginTransaction(); err != nil {
		return asError(Classify(OpBegin, s.cfg.TransactionalID, err))
	}
	s.bytes.Store(0)
	s.acked.Store(0)
	s.cellsMu.Lock()
	defer s.cellsMu.Unlock()
	for _, c := range s.cells {
		c.end.Store(0)
	}
	return nil
}

// Produce hands a record to the client and returns; m and what it points to may
// be reused. It blocks while the client's buffer is full: that is the
// back-pressure (G26). Whether the record was written is known after Flush.
func (s *Session) Produce(m *record.Message) {
	r := s.slabs.take(m)
	size := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		size += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	s.bytes.Add(int64(size))
	s.client.Produce(r.Context, r, s.promise)
}

// onPromise runs for every record, one after the other, on a goroutine of the
// client: it counts, keeps the first error, and takes no lock that a producing
// goroutine could hold (G25).
func (s *Session) onPromise(r *kgo.Record, err error) {
	from := r.Context.(*slab)
	switch {
	case err != nil && mutant("B2"):
		return
	case err != nil:
		s.setFirst(r, err)
		// The client may still hold on to the record of a failed batch, so the
		// slab is left to the garbage collector.
		return
	case r.Offset < 0:
		s.setFirst(r, errUnknownOffset)
	default:
		s.acked.Add(1)
		s.cell(r.Topic, r.Partition).end.Store(r.Offset + 1)
	}
	s.slabs.done(from)
}

// errUnknownOffset is an acknowledgement without an offset: the broker knew the
// batch already and not where it is. Its end offset belongs into the checkpoint
// record, so the epoch cannot go on.
var errUnknownOffset = errors.New("acknowledged without an offset")

func (s *Session) setFirst(r *kgo.Record, err error) {
	if s.first.Load() != nil {
		return
	}
	e := Classify(OpProduce, r.Topic, err)
	e.Partition = r.Partition
	if s.first.CompareAndSwap(nil, e) {
		s.fail()
	}
}

// cell finds the partition's; records of a batch come together, so that the
// map is looked into once per batch.
func (s *Session) cell(topic string, partition int32) *ackedEnd {
	if c := s.last; c != nil && c.partition == partition && c.topic == topic {
		return c
	}
	key := record.TopicPartition{Topic: topic, Partition: partition}
	s.cellsMu.Lock()
	defer s.cellsMu.Unlock()
	c := s.cells[key]
	if c == nil {
		c = &ackedEnd{topic: topic, partition: partition}
		s.cells[key] = c
	}
	s.last = c
	return c
}

// Flush waits until every record is acknowledged or one has failed, whose error
// it returns (E8, I3). It does not wait for linger.
func (s *Session) Flush(ctx context.Context) error {
	flushCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.failed, cancel)()
	err := s.client.Flush(flushCtx)
	if first := s.first.Load(); first != nil {
		return first
	}
	return asError(Classify(OpProduce, "", err))
}

// FirstError is the first error of a record since the session began, or nil.
func (s *Session) FirstError() error { return asError(s.first.Load()) }

// Failed is closed when FirstError is set.
func (s *Session) Failed() <-chan struct{} { return s.failed.Done() }

// Buffered is the number of records that are not acknowledged.
func (s *Session) Buffered() int64 { return s.client.BufferedProduceRecords() }

// BytesProduced is the size of what was handed to Produce in this epoch.
func (s *Session) BytesProduced() int64 { return s.bytes.Load() }

// EndOffset is the offset behind the last record acknowledged in this epoch.
func (s *Session) EndOffset(topic string, partition int32) (record.Offset, bool) {
	s.cellsMu.Lock()
	defer s.cellsMu.Unlock()
	c := s.cells[record.TopicPartition{Topic: topic, Partition: partition}]
	if c == nil || c.end.Load() == 0 {
		return 0, false
	}
	return record.Offset(c.end.Load()), true
}

// End commits the epoch (E11). Nil means committed, and nothing else does
// (7.2, I8). writes is how often EndTxn went out: on TV1 more than once means
// that the session must not be used again, even after success (I15).
func (s *Session) End(ctx context.Context) (writes int, err error) {
	if first := s.FirstError(); first != nil {
		return 0, first
	}
	if n := s.Buffered(); n > 0 && !mutant("B1") {
		return 0, s.bug(CodeBuffered, fmt.Sprintf("%d records are not acknowledged", n))
	}
	if err := s.waitKnown(ctx); err != nil {
		return 0, asError(Classify(OpEnd, s.cfg.TransactionalID, err))
	}
	s.endWrites.Store(0)
	err = s.client.EndTransaction(ctx, kgo.TryCommit)
	writes = int(s.endWrites.Load())
	switch {
	case err != nil:
		return writes, asError(Classify(OpEnd, s.cfg.TransactionalID, err))
	case s.acked.Load() == 0, writes == 0:
		// The client says nil although it sent nothing (G3), or an abort (G4).
		return writes, s.bug(CodeNoTransaction, fmt.Sprintf("%d records acknowledged and EndTxn written %d times, so nothing was committed", s.acked.Load(), writes))
	}
	return writes, nil
}

// waitKnown waits until the client itself knows every partition that was
// written. On the first records of a topic it hands them to the connection
// before it publishes the topic's partitions, and EndTransaction looks for
// partitions to commit among the published ones:
//
//	client    metadata arrives, records are handed on
//	broker    acknowledges them; Flush returns
//	End       the client finds no partition in the transaction: it sends nothing,
//	          or with TV2 an abort, and says nil
//	client    publishes the partitions
//
// The gap is microseconds wide, except on a busy machine, and the claim of a
// session is exactly such a transaction.
func (s *Session) waitKnown(ctx context.Context) error {
	for {
		missing := s.firstUnknown()
		if missing == nil {
			return nil
		}
		if !pause(ctx, time.Millisecond) {
			return fmt.Errorf("the client does not know partition %s/%d: %w", missing.topic, missing.partition, ctx.Err())
		}
	}
}

func (s *Session) firstUnknown() *ackedEnd {
	s.cellsMu.Lock()
	defer s.cellsMu.Unlock()
	for _, c := range s.cells {
		if c.known || c.end.Load() == 0 {
			continue
		}
		if leader, _, _ := s.client.PartitionLeader(c.topic, c.partition); leader < 0 {
			return c
		}
		c.known = true
	}
	return nil
}

func (s *Session) bug(code, detail string) error {
	return &record.KafkaError{
		Class: record.ClassBug, Exit: exitFailed, Code: code, Op: OpEnd,
		Topic: s.cfg.TransactionalID, Partition: -1, Offset: -1, Detail: detail,
	}
}

// Close drops the client. An open transaction stays open at the broker.
func (s *Session) Close() {
	s.client.Close()
	s.fail()
}
