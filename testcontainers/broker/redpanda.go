package broker

import (
	"context"
	"fmt"
	"time"

	tc "github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/modules/redpanda"
)

// redpandaVersion is the newest release the tests know.
const redpandaVersion = "v25.2.1"

// startRedpanda starts a container, where a Docker engine answers.
func startRedpanda(ctx context.Context) (*Broker, error) {
	if err := pingEngine(ctx); err != nil {
		return nil, fmt.Errorf("docker engine not reachable: %w", err)
	}
	c, err := redpanda.Run(ctx, "redpandadata/redpanda:"+redpandaVersion)
	end := func() error { return tc.TerminateContainer(c) }
	if err != nil {
		return nil, fmt.Errorf("run the container: %w", joinEnd(err, end))
	}
	addr, err := c.KafkaSeedBroker(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask the container for its address: %w", joinEnd(err, end))
	}
	return &Broker{Version: redpandaVersion, Addrs: []string{addr}, life: fixed{end: end}}, nil
}

// pingEngine asks the Docker API for a sign of life. Finding no engine makes
// the library panic on some machines, which is the same answer.
func pingEngine(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	provider, err := tc.NewDockerProvider()
	if err != nil {
		return err
	}
	defer provider.Close()
	return provider.Health(ctx)
}

func joinEnd(err error, end func() error) error {
	if e := end(); e != nil {
		return fmt.Errorf("%w; and its end: %w", err, e)
	}
	return err
}
