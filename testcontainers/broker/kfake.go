package broker

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kfake"

	"kstream/testcontainers/fake"
)

func startKfake(o Options) (*Broker, error) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(fake.Configs()))
	if err != nil {
		return nil, err
	}
	return &Broker{
		Version: kfakeVersion(o.KfakedBin),
		Addrs:   c.ListenAddrs(),
		life:    fixed{end: func() error { c.Close(); return nil }},
	}, nil
}

// startKfaked starts the program of testcontainers/kfaked: it prints its
// addresses on one line once it listens.
func startKfaked(o Options) (*Broker, error) {
	if o.KfakedBin == "" {
		return nil, errors.New("the program kfaked was not built")
	}
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	addr := "127.0.0.1:" + strconv.Itoa(ports[0])
	p := &kfaked{process: process{
		argv: []string{o.KfakedBin, "-port", strconv.Itoa(ports[0]), "-dir", filepath.Join(o.Dir, "data")},
		log:  filepath.Join(o.Dir, "kfaked.log"),
	}}
	if err := p.start(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return &Broker{
		Version: kfakeVersion(o.KfakedBin),
		Addrs:   []string{addr},
		Can:     Capabilities{Restart: true, Pause: true},
		life:    p,
	}, nil
}

// kfaked is the process with its ready line.
type kfaked struct{ process }

func (k *kfaked) start() error {
	before, _ := os.ReadFile(k.log)
	if err := k.process.start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return Poll(ctx, pollEvery, func(context.Context) error {
		if err := k.alive(); err != nil {
			cancel()
			return err
		}
		b, err := os.ReadFile(k.log)
		if err != nil {
			return err
		}
		if !strings.Contains(string(b[len(before):]), "ready ") {
			return fmt.Errorf("no ready line: %s", k.tail())
		}
		return nil
	})
}

// kfakeVersion is the day of the fake's module version, read from the program
// that was built with it: a test binary does not know its modules.
func kfakeVersion(bin string) string {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return "unknown"
	}
	for _, d := range info.Deps {
		if d.Path == "github.com/twmb/franz-go/pkg/kfake" {
			if parts := strings.Split(d.Version, "-"); len(parts) == 3 && len(parts[1]) >= 8 {
				return parts[1][:8]
			}
			return d.Version
		}
	}
	return "unknown"
}
