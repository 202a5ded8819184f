package broker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// readyTopic takes the records that prove a broker works.
const readyTopic = "kstream-test-ready"

// pollEvery is how often a condition is looked at again.
const pollEvery = 50 * time.Millisecond

// ready waits until the broker commits a transaction. The first use of a real
// broker creates its transaction log, which takes seconds; a log line or an open
// port would say "ready" long before.
func ready(ctx context.Context, addrs []string) error {
	return Poll(ctx, pollEvery, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
		defer cancel()
		return commitOne(ctx, addrs)
	})
}

// commitOne creates the ready topic if need be and commits one record to it.
func commitOne(ctx context.Context, addrs []string) error {
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(addrs...),
		kgo.TransactionalID("kstream-test-ready-"+rand.Text()),
		kgo.RetryTimeout(10*time.Second),
		kgo.MetadataMinAge(pollEvery),
	)
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).CreateTopic(ctx, 1, 1, nil, readyTopic)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("create topic %s: %w", readyTopic, err)
	}
	if err := cl.BeginTransaction(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: readyTopic, Value: []byte("ready")}).FirstErr(); err != nil {
		return fmt.Errorf("produce: %w", err)
	}
	if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// Poll calls do until it returns nil or the context ends, and then returns do's
// last error beside the context's.
func Poll(ctx context.Context, every time.Duration, do func(context.Context) error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := do(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: last attempt: %w", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// FreePorts takes n different ports that nobody listens on.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("take a free port: %w", err)
		}
		defer l.Close() // after all are taken, so that they differ
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// useTV1 lowers the feature transaction.version to 1, the protocol of brokers
// before 4.0, where a transaction does not have a producer epoch of its own.
func useTV1(ctx context.Context, addrs []string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		return fmt.Errorf("make the client: %w", err)
	}
	defer cl.Close()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	up := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	up.Feature, up.MaxVersionLevel = "transaction.version", 1
	up.AllowDowngrade, up.UpgradeType = true, 2 // 2: a downgrade that loses nothing
	req.FeatureUpdates = append(req.FeatureUpdates, up)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return fmt.Errorf("set transaction.version to 1: %w", err)
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fmt.Errorf("set transaction.version to 1: %w", err)
	}
	return nil
}
