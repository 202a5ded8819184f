package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"kstream/testcontainers/broker"
)

// savepoint fills the state of a job with keys and measures a savepoint of the
// running job, what it costs the job, and the restore of it.
func (b *bench) savepoint(ctx context.Context, br *broker.Broker) error {
	cl, err := producer(br)
	if err != nil {
		return err
	}
	defer cl.Close()
	name := br.Name + "-savepoint"
	if err := createTopic(ctx, cl, name, name+"-out"); err != nil {
		return err
	}
	// About 100 bytes of state for each key.
	value := func(i int) []byte {
		return fmt.Appendf(nil, `{"k":"customer-%048x","n":%d}`, uint64(i%b.keys)*0x9e3779b97f4a7c15, i)
	}
	if err := fill(ctx, cl, name, b.keys, value); err != nil {
		return err
	}
	file, err := b.writePipeline(name, strings.Replace(keysYAML, "k: int!", "k: string!", 1), "IN", name, "OUT", name+"-out")
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
	sp := &savepoints{bench: b, job: j, at: int64(b.keys)}
	more := func() error { return fill(ctx, cl, name, b.keys, value) }
	if err := sp.measure(ctx, more); err != nil {
		return err
	}
	fmt.Printf("\n%s %s: savepoint of %d keys (%d entries, %.0f MiB in files) of the running job: %v; throughput meanwhile %.0f %% of that without\n",
		br.Name, br.Version, b.keys, sp.taken.Entries, float64(sp.taken.Bytes)/(1<<20), sp.took, 100*sp.share)
	if err := j.kill(); err != nil {
		return err
	}
	if err := fill(ctx, cl, name, 1, func(int) []byte { return value(0) }); err != nil {
		return err
	}
	began := time.Now()
	if err := j.start("--from", sp.path, "-y"); err != nil {
		return err
	}
	if err := j.reach(ctx, sp.at+1); err != nil {
		return err
	}
	fmt.Printf("%s %s: restore, process start to first new commit: %v\n", br.Name, br.Version, time.Since(began).Round(time.Millisecond))
	return j.kill()
}

// savepoints takes savepoints of a job and notes what they cost it.
type savepoints struct {
	*bench
	job   *job
	at    int64 // records committed
	path  string
	taken struct{ Entries, Bytes int64 }
	took  time.Duration
	share float64 // of the throughput
}

// measure has the job take in the same records twice, the second time with a
// savepoint under way.
func (s *savepoints) measure(ctx context.Context, more func() error) error {
	var spans [2]time.Duration
	for i := range spans {
		ended := make(chan error, 1)
		began := time.Now()
		if i == 1 {
			go func() { ended <- s.take(ctx) }()
		} else {
			ended <- nil
		}
		if err := more(); err != nil {
			return err
		}
		s.at += int64(s.keys)
		if err := s.job.reach(ctx, s.at); err != nil {
			return err
		}
		spans[i] = time.Since(began)
		if err := <-ended; err != nil {
			return err
		}
	}
	s.share = spans[0].Seconds() / spans[1].Seconds()
	return s.last(ctx)
}

// last takes one more, of everything.
func (s *savepoints) last(ctx context.Context) error {
	took := s.took
	err := s.take(ctx)
	s.took = took
	return err
}

func (s *savepoints) take(ctx context.Context) error {
	s.path = filepath.Join(s.dir, fmt.Sprintf("savepoint-%d", time.Now().UnixNano()))
	cmd := exec.CommandContext(ctx, s.job.bin, "savepoint", s.job.name, "--to", s.path, "-o", "json", "--timeout", "5m")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("kstream savepoint: %w", err)
	}
	var answer struct {
		Entries int64 `json:"entries"`
		Bytes   int64 `json:"bytes"`
		TookMS  int64 `json:"took_ms"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return fmt.Errorf("read the answer of kstream savepoint: %w", err)
	}
	s.taken.Entries, s.taken.Bytes, s.took = answer.Entries, answer.Bytes, time.Duration(answer.TookMS)*time.Millisecond
	return nil
}
