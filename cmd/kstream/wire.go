package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"time"

	"kstream/internal/kafka"
	"kstream/record"
	"kstream/runtime"
	"kstream/topology"
)

// kafkaConfig turns the settings of a pipeline into those of the client.
func kafkaConfig(spec topology.KafkaSpec, log *slog.Logger) (kafka.Config, error) {
	c := kafka.Config{
		Brokers: spec.Brokers, ClientID: spec.ClientID, Rack: spec.Rack, DialTimeout: spec.DialTimeout,
		RequestTimeout: spec.RequestTimeout, MetadataMaxAge: spec.MetadataMaxAge, Logger: log,
	}
	var err error
	if spec.TLS != nil {
		if c.TLS, err = buildTLS(spec.TLS); err != nil {
			return c, &exitError{code: exitEnvironment, text: err.Error()}
		}
		if spec.TLS.InsecureSkipVerify {
			log.Warn("tls.insecure_skip_verify: certificates are not checked, anybody can read and change what is sent")
		}
	}
	if spec.SASL != nil {
		c.SASL = kafka.SASL{Mechanism: spec.SASL.Mechanism, Username: spec.SASL.Username, Password: spec.SASL.Password}
		if spec.SASL.PasswordFile != "" {
			secret, err := os.ReadFile(spec.SASL.PasswordFile)
			if err != nil {
				return c, &exitError{code: exitEnvironment, text: "read sasl.password_file: " + err.Error()}
			}
			c.SASL.Password = strings.TrimSuffix(string(secret), "\n")
		}
		if spec.SASL.Mechanism == "plain" && spec.TLS == nil {
			log.Warn("sasl.mechanism plain without tls: the password is sent as it is")
		}
	}
	return c, nil
}

func buildTLS(t *topology.TLSSpec) (*tls.Config, error) {
	return kafka.BuildTLS(kafka.TLSFiles{CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify})
}

// connector makes the clients of one life of a job.
func connector(config kafka.Config) func(context.Context) (*runtime.Client, error) {
	return func(ctx context.Context) (*runtime.Client, error) {
		cluster, err := kafka.Connect(ctx, config)
		if err != nil {
			return nil, err
		}
		return clientOf(cluster), nil
	}
}

func clientOf(cluster *kafka.Cluster) *runtime.Client {
	return &runtime.Client{
		Topics: cluster, Log: cluster, Close: cluster.Close,
		Producer: func(o runtime.ProducerOptions) (runtime.Producer, error) {
			return kafka.NewSession(cluster, kafka.SessionConfig{
				TransactionalID: o.TransactionalID, TransactionTimeout: o.TransactionTimeout, RetryTimeout: o.RetryTimeout,
				Compression: o.Compression, Linger: o.Linger, BatchSize: o.BatchSize, TV2: o.TV2, EndWritten: o.EndWritten,
			})
		},
		Consumer: func(o runtime.ConsumerOptions) (runtime.Consumer, error) {
			return kafka.NewConsumer(cluster, kafka.ConsumerConfig{Positions: o.Positions, Isolation: o.Isolation})
		},
	}
}

// dryRun is the client of `run --stdout`: the topics of the sources are on the
// real cluster, everything that is written goes to a broker in this process,
// and no offset is committed anywhere.
func dryRun(real, internal func(context.Context) (*runtime.Client, error), prefix string) func(context.Context) (*runtime.Client, error) {
	return func(ctx context.Context) (*runtime.Client, error) {
		outside, err := real(ctx)
		if err != nil {
			return nil, err
		}
		inside, err := internal(ctx)
		if err != nil {
			outside.Close()
			return nil, err
		}
		s := &split{outside: outside, inside: inside, prefix: prefix}
		return &runtime.Client{
			Topics: splitTopics{s}, Log: splitLog{s}, Consumer: outside.Consumer,
			Producer: func(o runtime.ProducerOptions) (runtime.Producer, error) {
				p, err := inside.Producer(o)
				return dryProducer{p}, err
			},
			Close: func() { outside.Close(); inside.Close() },
		}, nil
	}
}

type split struct {
	outside, inside *runtime.Client
	prefix          string
}

func (s *split) of(topic string) *runtime.Client {
	if strings.HasPrefix(topic, s.prefix) {
		return s.inside
	}
	return s.outside
}

type splitTopics struct{ *split }

func (s splitTopics) Inspect(ctx context.Context) (record.Broker, error) {
	return s.inside.Topics.Inspect(ctx)
}

func (s splitTopics) Topics(ctx context.Context, names []string) (map[string]record.TopicInfo, error) {
	out := map[string]record.TopicInfo{}
	for _, name := range names {
		found, err := s.of(name).Topics.Topics(ctx, []string{name})
		if err != nil {
			return nil, err
		}
		for k, v := range found {
			out[k] = v
		}
	}
	return out, nil
}

func (s splitTopics) CreateTopic(ctx context.Context, t record.NewTopic) error {
	return s.inside.Topics.CreateTopic(ctx, t)
}

func (s splitTopics) GroupOffsets(ctx context.Context, group string) (map[record.TopicPartition]record.GroupOffset, error) {
	return s.inside.Topics.GroupOffsets(ctx, group)
}

type splitLog struct{ *split }

func (s splitLog) Bounds(ctx context.Context, topic string) ([]record.Bounds, error) {
	return s.of(topic).Log.Bounds(ctx, topic)
}

func (s splitLog) WaitStable(ctx context.Context, topic string, timeout time.Duration) ([]record.Offset, error) {
	return s.of(topic).Log.WaitStable(ctx, topic, timeout)
}

func (s splitLog) OffsetsAt(ctx context.Context, topic string, at record.Timestamp) ([]record.Offset, error) {
	return s.of(topic).Log.OffsetsAt(ctx, topic, at)
}

func (s splitLog) ReadAll(ctx context.Context, ranges []record.ReadRange, fn func(record.Message) error, progress func(read, left int64)) error {
	if len(ranges) == 0 {
		return nil
	}
	return s.of(ranges[0].Topic).Log.ReadAll(ctx, ranges, fn, progress)
}

// dryProducer commits no offsets: the input topics are not on its broker.
type dryProducer struct{ runtime.Producer }

func (dryProducer) CommitOffsets(context.Context, string, []record.Position, string) error {
	return nil
}
