package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"kstream/record"
)

// Config is how to reach a cluster. Zero durations mean the defaults of the
// language: 10 s, 30 s, 5 min.
type Config struct {
	Brokers  []string
	ClientID string
	// Rack makes consumers read from followers nearby. Restoring never uses it.
	Rack string

	DialTimeout    time.Duration
	RequestTimeout time.Duration
	MetadataMaxAge time.Duration
	// ConnectTimeout bounds Connect; zero is 30 s.
	ConnectTimeout time.Duration

	TLS  *tls.Config // nil is plain text
	SASL SASL

	// Dial replaces the network. MaxVersions ("3.8") makes the client speak as
	// one of that time did. Both are for tests.
	Dial        func(ctx context.Context, network, addr string) (net.Conn, error)
	MaxVersions string

	Logger *slog.Logger // nil discards
}

// SASL is how the client authenticates. Mechanism is plain, scram_sha_256,
// scram_sha_512, or empty for none.
type SASL struct {
	Mechanism, Username, Password string
}

const (
	dialTimeoutDefault    = 10 * time.Second
	requestTimeoutDefault = 30 * time.Second
	metadataAgeDefault    = 5 * time.Minute
	connectTimeoutDefault = 30 * time.Second

	// metadataAgeMin is how soon metadata may be asked for again after an
	// error: the pause of a partition whose leader moved.
	metadataAgeMin = 250 * time.Millisecond

	// keyTxnOffsetCommit and keyEndTxn are request keys of the protocol.
	keyTxnOffsetCommit = 28
	keyEndTxn          = 26

	// txnOffsetCommitTV1 is the newest TxnOffsetCommit that does not expect
	// transactions of version 2 (G11).
	txnOffsetCommitTV1 = 4
)

func orDefault(d, def time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return def
}

// options are what all clients of a cluster have in common. Each role adds its
// own; none shares a client with another.
func (c *Config) options() ([]kgo.Opt, error) {
	age := orDefault(c.MetadataMaxAge, metadataAgeDefault)
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.DialTimeout(orDefault(c.DialTimeout, dialTimeoutDefault)),
		kgo.RequestTimeoutOverhead(orDefault(c.RequestTimeout, requestTimeoutDefault)),
		kgo.MetadataMaxAge(age),
		kgo.MetadataMinAge(min(metadataAgeMin, age)),
		kgo.DisableClientMetrics(),
		kgo.WithLogger(slogAdapter{c.logger()}),
	}
	if c.ClientID != "" {
		opts = append(opts, kgo.ClientID(c.ClientID))
	}
	switch {
	case c.Dial != nil && c.TLS != nil:
		opts = append(opts, kgo.Dialer(dialTLS(c.Dial, c.TLS)))
	case c.Dial != nil:
		opts = append(opts, kgo.Dialer(c.Dial))
	case c.TLS != nil:
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	mechanism, err := c.SASL.option()
	if err != nil {
		return nil, err
	}
	if mechanism != nil {
		opts = append(opts, mechanism)
	}
	versions, err := c.versions()
	if err != nil {
		return nil, err
	}
	if versions != nil {
		opts = append(opts, kgo.MaxVersions(versions))
	}
	return opts, nil
}

func (c *Config) versions() (*kversion.Versions, error) {
	if c.MaxVersions == "" {
		return nil, nil
	}
	v := kversion.FromString(c.MaxVersions)
	if v == nil {
		return nil, fmt.Errorf("kafka version %q is not known", c.MaxVersions)
	}
	return v, nil
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}

func (s SASL) option() (kgo.Opt, error) {
	switch s.Mechanism {
	case "":
		return nil, nil
	case "plain":
		return kgo.SASL(plain.Auth{User: s.Username, Pass: s.Password}.AsMechanism()), nil
	case "scram_sha_256":
		return kgo.SASL(scram.Auth{User: s.Username, Pass: s.Password}.AsSha256Mechanism()), nil
	case "scram_sha_512":
		return kgo.SASL(scram.Auth{User: s.Username, Pass: s.Password}.AsSha512Mechanism()), nil
	}
	return nil, fmt.Errorf("sasl mechanism %q is not known", s.Mechanism)
}

// dialTLS puts TLS on top of a replaced network, with the server name of the
// address where the configuration has none.
func dialTLS(dial func(ctx context.Context, network, addr string) (net.Conn, error), cfg *tls.Config) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := cfg.Clone()
		if c.ServerName == "" {
			c.ServerName, _, _ = net.SplitHostPort(addr)
		}
		client := tls.Client(conn, c)
		if err := client.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return client, nil
	}
}

// TLSFiles is transport security as the pipeline file writes it.
type TLSFiles struct {
	CAFile, CertFile, KeyFile, ServerName string
	InsecureSkipVerify                    bool
}

// BuildTLS reads the files: TLS 1.2 or newer, the roots of the system plus
// those of CAFile.
func BuildTLS(f TLSFiles) (*tls.Config, error) {
	cfg := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         f.ServerName,
		InsecureSkipVerify: f.InsecureSkipVerify,
	}
	if f.CAFile != "" {
		pem, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, refuseTLS("read ca_file", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, refuseTLS("read ca_file", fmt.Errorf("%s holds no certificate", f.CAFile))
		}
		cfg.RootCAs = roots
	}
	if f.CertFile != "" || f.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(f.CertFile, f.KeyFile)
		if err != nil {
			return nil, refuseTLS("read cert_file and key_file", err)
		}
		cfg.Certificates = []tls.Certificate{cert}
	}
	return cfg, nil
}

func refuseTLS(doing string, err error) error {
	return &record.KafkaError{
		Class: record.ClassRefuse, Exit: exitRefuse, Code: CodeTLS, Op: OpConnect,
		Partition: -1, Offset: -1, Detail: doing + ": " + err.Error(), Cause: err,
	}
}
