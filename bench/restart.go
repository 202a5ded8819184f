package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
)

// restartRounds is how often the kill and the start are measured.
const restartRounds = 3

// restart fills the state of a job with keys, kills it, and measures how long a
// new process needs to its first commit of new input.
func (b *bench) restart(ctx context.Context, br *broker.Broker) error {
	cl, err := producer(br)
	if err != nil {
		return err
	}
	defer cl.Close()
	name := br.Name + "-restart"
	if err := createTopic(ctx, cl, name, name+"-out"); err != nil {
		return err
	}
	value := func(i int) []byte { return fmt.Appendf(nil, `{"k":%d,"n":%d}`, i%b.keys, i) }
	if err := fill(ctx, cl, name, b.keys, value); err != nil {
		return err
	}
	file, err := b.writePipeline(name, keysYAML, "IN", name, "OUT", name+"-out")
	if err != nil {
		return err
	}
	j := &job{bin: b.bin("kstream"), file: file, name: name, topic: name, addrs: br.Addrs, adm: kadm.NewClient(cl), log: filepath.Join(b.dir, name+".log")}
	if err := j.start(); err != nil {
		return err
	}
	if err := j.reach(ctx, int64(b.keys)); err != nil {
		return err
	}
	var times []time.Duration
	for round := range restartRounds {
		took, err := j.killed(ctx, cl, int64(b.keys+round), value)
		if err != nil {
			return err
		}
		times = append(times, took)
	}
	slices.Sort(times)
	fmt.Printf("\n%s %s: kill -9 with %d keys, process start to first new commit: %v\n", br.Name, br.Version, b.keys, times)
	return j.kill()
}

// job is a kstream that is killed and started.
type job struct {
	bin, file, name, topic, log string
	addrs                       []string
	adm                         *kadm.Client
	cmd                         *exec.Cmd
	ended                       chan error // the result of Wait, once
}

func (j *job) start(flags ...string) error {
	out, err := os.OpenFile(j.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	j.cmd = exec.Command(j.bin, append([]string{"run", j.file, "--brokers", strings.Join(j.addrs, ",")}, flags...)...)
	j.cmd.Stdout, j.cmd.Stderr = out, out
	if err := j.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := j.cmd, make(chan error, 1)
	j.ended = ended
	go func() { ended <- cmd.Wait() }()
	return nil
}

func (j *job) kill() error {
	if err := j.cmd.Process.Kill(); err != nil {
		return err
	}
	<-j.ended // it reports the kill
	return nil
}

// alive is an error once the process has ended.
func (j *job) alive() error {
	select {
	case err := <-j.ended:
		j.ended <- err
		return fmt.Errorf("kstream ended: %v\n%s", err, tail(j.log))
	default:
		return nil
	}
}

// killed kills the process, adds one record, and times a new process until that
// record is committed.
func (j *job) killed(ctx context.Context, cl *kgo.Client, n int64, value func(int) []byte) (time.Duration, error) {
	if err := j.kill(); err != nil {
		return 0, err
	}
	if err := fill(ctx, cl, j.topic, 1, func(int) []byte { return value(int(n)) }); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := j.start(); err != nil {
		return 0, err
	}
	err := j.reach(ctx, n+1)
	return time.Since(began).Round(time.Millisecond), err
}

// reach waits until the group has committed n records of the topic.
func (j *job) reach(ctx context.Context, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return broker.Poll(ctx, 5*time.Millisecond, func(ctx context.Context) error {
		if err := j.alive(); err != nil {
			cancel()
			return err
		}
		offsets, err := j.adm.FetchOffsets(ctx, "kstream-"+j.name)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, tail(j.log))
		}
		sum := int64(0)
		for _, o := range offsets.Sorted() {
			sum += max(o.At, 0)
		}
		if sum < n {
			return fmt.Errorf("%s of %d records are committed\n%s", strconv.FormatInt(sum, 10), n, tail(j.log))
		}
		return nil
	})
}

// tail is the end of a log file.
func tail(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-2000):])
}
