package kafka

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"

	"kstream/record"
)

// EmbeddedConfig is a broker inside of the process, for development.
type EmbeddedConfig struct {
	// Dir keeps the data across clean ends; "" keeps it in memory.
	Dir string
	// Port 0 takes a free one.
	Port int
	// Topics are made if they are missing, with so many partitions.
	Topics map[string]int32
	// Listen replaces the network, for tests.
	Listen func(network, address string) (net.Listener, error)
	Logger *slog.Logger // nil discards
}

// Embedded is a running one.
type Embedded struct {
	cluster *kfake.Cluster
	mark    string // the clean-end mark, "" without a directory
	log     *brokerLog
}

const (
	embeddedData      = "broker"
	embeddedMark      = "broker.clean-end"
	embeddedPartition = 4

	// CodeUncleanEnd is the refusal of a directory that was not closed.
	CodeUncleanEnd = "UNCLEAN_END"
)

// neverCompact turns the log cleaner off. The embedded broker's cleaner counts
// records of open transactions, and it moves the log start, which on a real
// broker means that records were deleted.
var neverCompact = strconv.FormatInt((10 * 365 * 24 * time.Hour).Milliseconds(), 10)

// StartEmbedded starts it. A directory whose last broker did not end cleanly is
// refused: what such an end does to open transactions in it is not what a real
// broker does, so that results could be lost or doubled.
func StartEmbedded(cfg EmbeddedConfig) (*Embedded, error) {
	e := &Embedded{log: &brokerLog{log: cfg.Logger}}
	if e.log.log == nil {
		e.log.log = slog.New(slog.DiscardHandler)
	}
	opts := []kfake.Opt{kfake.Ports(cfg.Port), kfake.WithLogger(e.log)}
	if cfg.Listen != nil {
		opts = append(opts, kfake.ListenFn(cfg.Listen))
	}
	if cfg.Dir != "" {
		if err := e.openDir(cfg.Dir); err != nil {
			return nil, err
		}
		opts = append(opts, kfake.DataDir(filepath.Join(cfg.Dir, embeddedData)))
	}
	cluster, err := StartFake(opts...)
	if err != nil {
		return nil, refuseEmbedded(CodeUnreachable, fmt.Errorf("start the embedded broker: %w", err))
	}
	e.cluster = cluster
	if err := e.EnsureTopics(cfg.Topics); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// StartFake is the broker with the settings all our tests and the embedded mode
// need: one node, no compaction, topics of 4 partitions unless they say. Later
// options win.
func StartFake(opts ...kfake.Opt) (*kfake.Cluster, error) {
	base := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.DefaultNumPartitions(embeddedPartition),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": neverCompact}),
	}
	return kfake.NewCluster(append(base, opts...)...)
}

// openDir takes the clean-end mark away for as long as the broker runs.
func (e *Embedded) openDir(dir string) error {
	e.mark = filepath.Join(dir, embeddedMark)
	_, err := os.Stat(filepath.Join(dir, embeddedData))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return refuseEmbedded(CodeUnreachable, err)
		}
		return nil
	case err != nil:
		return refuseEmbedded(CodeUnreachable, err)
	}
	err = os.Remove(e.mark)
	if errors.Is(err, fs.ErrNotExist) {
		return refuseEmbedded(CodeUncleanEnd, fmt.Errorf("the embedded broker of %s did not end cleanly, or is running: "+
			"its data cannot be trusted to be exactly once. Delete the directory, or choose another", dir))
	}
	if err != nil {
		return refuseEmbedded(CodeUnreachable, err)
	}
	return nil
}

func refuseEmbedded(code string, err error) error {
	return &record.KafkaError{
		Class: record.ClassRefuse, Exit: exitRefuse, Code: code, Op: OpConnect,
		Partition: -1, Offset: -1, Detail: err.Error(), Cause: err,
	}
}

// EnsureTopics makes the topics that are missing.
func (e *Embedded) EnsureTopics(partitions map[string]int32) error {
	for name, n := range partitions {
		if n <= 0 {
			n = embeddedPartition
		}
		if err := e.cluster.CreateTopic(name, n, nil); err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return asError(Classify(OpAdmin, name, err))
		}
	}
	return nil
}

// Addr is where clients connect to.
func (e *Embedded) Addr() string { return e.cluster.ListenAddrs()[0] }

// Close writes the data and the clean-end mark. The clients must be gone
// before, so that no transaction is open.
func (e *Embedded) Close() error {
	e.log.closing.Store(true)
	e.cluster.Close()
	if e.mark == "" {
		return nil
	}
	if reason := e.log.failure.Load(); reason != nil {
		return fmt.Errorf("keep the data of the embedded broker: %s", *reason)
	}
	if err := os.WriteFile(e.mark, []byte("the broker of this directory ended cleanly\n"), 0o600); err != nil {
		return fmt.Errorf("keep the data of the embedded broker: %w", err)
	}
	return nil
}

// brokerLog passes the broker's log on and remembers errors of its end, which
// the broker reports no other way.
type brokerLog struct {
	log     *slog.Logger
	closing atomic.Bool
	failure atomic.Pointer[string]
}

// Logf is called by the broker.
func (b *brokerLog) Logf(level kfake.LogLevel, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if level == kfake.LogLevelError {
		if b.closing.Load() {
			b.failure.CompareAndSwap(nil, &text)
		}
		b.log.Warn("embedded broker: " + text)
		return
	}
	b.log.Debug("embedded broker: " + text)
}
