// Package broker starts the Kafka brokers the integration suites run against
// and stops them again. A broker is a value with an address list and a set of
// capabilities, so one suite runs against all of them:
//
//	kfake    the fake broker inside the test process: fast, cannot be restarted
//	kfaked   the fake broker as its own process: outlives a killed kstream
//	kafka1   Apache Kafka, one node in KRaft mode, from Maven's jars
//	redpanda Redpanda in a container, where a Docker engine answers
//
// A broker that cannot be started is an error with its reason, never silence:
// the suite prints it as NOT RUN, and fails where that broker is required.
//
// The fake broker is never killed with SIGKILL: what it keeps on disk holds
// across clean ends only, so a kill would blame its faults on the product.
package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The brokers, by the names of the reports (report.Brokers).
const (
	Kfake    = "kfake"
	Kfaked   = "kfaked"
	Kafka1   = "kafka1"
	Redpanda = "redpanda"
)

// KafkaVersion is the Apache Kafka the jars are resolved for.
const KafkaVersion = "4.3.1"

// The limits of starting and stopping; a broker that needs longer is broken.
const (
	startTimeout = 90 * time.Second
	stopTimeout  = 30 * time.Second
)

// errCannot is the answer of a broker that lacks a capability.
var errCannot = errors.New("the broker cannot do that")

// Capabilities says what a test may do to a broker. A test that needs more than
// a broker has does not apply to it, which differs from NOT RUN.
type Capabilities struct {
	Restart bool // Stop and Start keep the data and the addresses
	Pause   bool // Pause freezes it with all its connections
}

// Covers reports whether c has everything in need.
func (c Capabilities) Covers(need Capabilities) bool {
	return (c.Restart || !need.Restart) && (c.Pause || !need.Pause)
}

// Options says where a broker may work and what it is made of.
type Options struct {
	Dir       string   // the broker's own empty directory: data, configuration, log
	KfakedBin string   // the program of testcontainers/kfaked
	JVM       []string // flags for Java beside the heap
	TV1       bool     // transaction.version 1, the protocol of brokers before 4.0
}

// Broker is a running broker. It is owned by one test process, which calls
// Close; the other methods are not safe for concurrent use.
type Broker struct {
	Name     string
	Version  string
	Protocol string // TV1 or TV2
	Addrs    []string
	Can      Capabilities

	life life
}

// life is how one kind of broker is stopped, started, frozen and ended.
type life interface {
	stop() error
	start() error
	pause() error
	resume() error
	close() error
}

// Start starts the broker called name and returns when it has committed a
// transaction. The error says why it could not be started.
func Start(ctx context.Context, name string, o Options) (*Broker, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var (
		b   *Broker
		err error
	)
	switch name {
	case Kfake:
		b, err = startKfake(o)
	case Kfaked:
		b, err = startKfaked(o)
	case Kafka1:
		b, err = startKafka(ctx, o)
	case Redpanda:
		b, err = startRedpanda(ctx)
	default:
		return nil, fmt.Errorf("start broker %q: there is no such broker", name)
	}
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	b.Name = name
	b.Protocol = "TV2"
	if o.TV1 || name == Redpanda {
		b.Protocol = "TV1"
	}
	if o.TV1 && name != Kafka1 { // which is formatted with it
		err = useTV1(ctx, b.Addrs)
	}
	if err == nil {
		err = ready(ctx, b.Addrs)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: wait until it commits a transaction: %w", name, err), b.Close())
	}
	return b, nil
}

// Stop ends the broker in an orderly way; its clients lose their connections.
func (b *Broker) Stop() error { return b.wrap("stop", b.Can.Restart, b.life.stop) }

// Start starts a stopped broker with its data, on its addresses, and waits
// until it commits a transaction.
func (b *Broker) Start(ctx context.Context) error {
	if err := b.wrap("start", b.Can.Restart, b.life.start); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return b.wrap("wait for", true, func() error { return ready(ctx, b.Addrs) })
}

// Restart is Stop and Start.
func (b *Broker) Restart(ctx context.Context) error {
	if err := b.Stop(); err != nil {
		return err
	}
	return b.Start(ctx)
}

// Pause freezes the broker: connections stay open and nothing is answered.
func (b *Broker) Pause() error { return b.wrap("pause", b.Can.Pause, b.life.pause) }

// Resume ends Pause.
func (b *Broker) Resume() error { return b.wrap("resume", b.Can.Pause, b.life.resume) }

// Close ends the broker for good.
func (b *Broker) Close() error { return b.wrap("close", true, b.life.close) }

func (b *Broker) wrap(what string, can bool, do func() error) error {
	err := errCannot
	if can {
		err = do()
	}
	if err != nil {
		return fmt.Errorf("%s broker %s: %w", what, b.Name, err)
	}
	return nil
}

// fixed is the life of a broker without capabilities.
type fixed struct{ end func() error }

func (fixed) stop() error    { return errCannot }
func (fixed) start() error   { return errCannot }
func (fixed) pause() error   { return errCannot }
func (fixed) resume() error  { return errCannot }
func (f fixed) close() error { return f.end() }
