// Command kfaked is the fake broker as a process of its own, for tests that
// kill kstream: the broker must live on. With -dir it keeps its data across
// clean ends, which is how "the broker was restarted" is played.
//
// It prints "ready ADDRESS" on stdout once it listens, and ends on SIGTERM or
// SIGINT. After a SIGKILL its data directory must not be used again.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"

	"kstream/testcontainers/fake"
)

func main() {
	port := flag.Int("port", 0, "port to listen on; 0 takes a free one")
	dir := flag.String("dir", "", "data directory; empty keeps everything in memory")
	flag.Parse()
	if err := run(*port, *dir); err != nil {
		fmt.Fprintln(os.Stderr, "kfaked:", err)
		os.Exit(1)
	}
}

func run(port int, dir string) error {
	opts := []kfake.Opt{kfake.Ports(port), kfake.NumBrokers(1), kfake.BrokerConfigs(fake.Configs())}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the data directory: %w", err)
		}
		opts = append(opts, kfake.DataDir(dir))
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	fmt.Println("ready", strings.Join(c.ListenAddrs(), ","))
	<-ended
	c.Close()
	return nil
}
