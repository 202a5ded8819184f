package testcontainers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/testcontainers/broker"
	"kstream/testcontainers/verify"
)

// The limits of waiting. What takes longer is broken, however slow the machine.
const (
	deathWithin  = 30 * time.Second // a process with a failpoint reaches it
	commitWithin = 60 * time.Second // a new epoch is committed
	finishWithin = 90 * time.Second // all input is in the outputs
	stopWithin   = 30 * time.Second // SIGTERM ends the process
	pollEvery    = 50 * time.Millisecond

	transientWithin = 20 * time.Second // topics are known, coordinators found

	exitRefused = 6 // state refused, or another owner
	failpoint   = "KSTREAM_FAILPOINT="
)

// job is one run of the chaos pipeline on one broker: its own topics, its own
// pipeline name, any number of processes after and beside each other.
type job struct {
	t     *testing.T
	b     *broker.Broker
	adm   *kadm.Client
	in    *input
	watch *verify.Watcher
	spec  verify.Job
	dir   string
	state string // state directory of the first host

	processes int
	epoch     int64 // newest seen in the group's offsets: it never goes back
}

// newJob makes a run that starts processes.
func newJob(t *testing.T, b *broker.Broker) *job {
	t.Helper()
	if brokers.buildErr != nil {
		t.Fatal(brokers.buildErr)
	}
	j := newTopics(t, b)
	j.spec.Files = filepath.Join(j.dir, "files")
	var err error
	if j.watch, err = verify.Watch(j.spec); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.watch.Close)
	return j
}

// newTopics makes the topics of a run, and the driver of its input.
func newTopics(t *testing.T, b *broker.Broker) *job {
	t.Helper()
	name := "chaos-" + strings.ToLower(rand.Text()[:8])
	adm, err := kadm.NewOptClient(kgo.SeedBrokers(b.Addrs...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(adm.Close)
	j := &job{t: t, b: b, adm: adm, dir: t.TempDir(), spec: verify.Job{
		Addrs: b.Addrs, Name: name, WindowSize: windowSize, Gap: sessionGap, Sessions: name + "-sessions", Table: name + "-table",
		In: name + "-in", Copy: name + "-copy", Counts: name + "-counts", Windows: name + "-windows", Dead: name + "-dead", DeadNode: "checked/filter",
	}}
	j.state = filepath.Join(j.dir, "state")
	// The records carry the event time of a year long past: a broker that applies
	// retention would delete them while the test runs.
	keep := "-1"
	configs := map[string]*string{"retention.ms": &keep}
	for topic, partitions := range map[string]int32{j.spec.In: inPartitions, j.spec.Copy: inPartitions, j.spec.Counts: 3, j.spec.Windows: 2,
		j.spec.Sessions: 2, j.spec.Table: 3, j.spec.Dead: 2} {
		if _, err := adm.CreateTopic(t.Context(), partitions, 1, configs, topic); err != nil {
			t.Fatalf("create topic %s: %v", topic, err)
		}
	}
	j.known(j.spec.In, j.spec.Copy, j.spec.Counts, j.spec.Windows, j.spec.Sessions, j.spec.Table, j.spec.Dead)
	j.in = newInput(t, b.Addrs, j.spec.In)
	return j
}

// known waits until the broker shows the topics with all their leaders: a real
// one answers the creation before.
func (j *job) known(topics ...string) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), transientWithin)
	defer cancel()
	err := broker.Poll(ctx, pollEvery, func(ctx context.Context) error {
		ends, err := j.adm.ListEndOffsets(ctx, topics...)
		return errors.Join(err, ends.Error())
	})
	if err != nil {
		j.t.Fatalf("wait for the topics: %v", err)
	}
}

// process is one kstream.
type process struct {
	j    *job
	cmd  *exec.Cmd
	log  string // file with its output
	done chan struct{}
	err  error // of Wait, after done
}

// start runs kstream on the job's own state directory; env is added to its
// environment.
func (j *job) start(env ...string) *process { return j.startOn(j.state, env) }

// startOn runs kstream as another host would, on another state directory.
func (j *job) startOn(state string, env []string, flags ...string) *process {
	j.t.Helper()
	j.processes++
	file := filepath.Join(j.dir, fmt.Sprintf("pipeline-%d.yaml", j.processes))
	if err := os.WriteFile(file, []byte(chaosPipeline(j.spec.Name, state, j.spec.Files)), 0o600); err != nil {
		j.t.Fatal(err)
	}
	p := &process{j: j, log: filepath.Join(j.dir, fmt.Sprintf("kstream-%d.log", j.processes)), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		j.t.Fatal(err)
	}
	defer out.Close()
	args := append([]string{"run", file, "--brokers", strings.Join(j.b.Addrs, ",")}, flags...)
	p.cmd = exec.Command(brokers.kstream, args...)
	p.cmd.Env = append(append(os.Environ(), "KSTREAM_INVARIANTS=1"), env...)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		j.t.Fatalf("start kstream: %v", err)
	}
	go func() { p.err = p.cmd.Wait(); close(p.done) }()
	j.t.Cleanup(p.cleanup)
	return p
}

// cleanup ends a process the test left running, and shows the logs of a test
// that failed.
func (p *process) cleanup() {
	if !p.ended() {
		_ = p.cmd.Process.Kill() // it may just have ended
		<-p.done
	}
	if p.j.t.Failed() {
		p.j.t.Logf("%s (%v):\n%s", filepath.Base(p.log), p.cmd.ProcessState, p.output())
	}
}

// output is what the process wrote, its end if it is long.
func (p *process) output() string {
	const most = 16 << 10
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	if len(b) > most {
		b = b[len(b)-most:]
	}
	return string(b)
}

func (p *process) signal(s syscall.Signal) {
	p.j.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.j.t.Fatalf("send %v: %v", s, err)
	}
}

// wait returns how the process ended, within the limit.
func (p *process) wait(limit time.Duration) *os.ProcessState {
	p.j.t.Helper()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.done:
		if out := p.output(); strings.Contains(out, "\ngoroutine ") || strings.Contains(out, "panic:") {
			p.j.t.Fatalf("kstream panicked")
		}
		return p.cmd.ProcessState
	case <-t.C:
		p.j.t.Fatalf("kstream did not end within %s", limit)
		return nil
	}
}

// kill is SIGKILL.
func (p *process) kill() {
	p.j.t.Helper()
	p.signal(syscall.SIGKILL)
	p.died()
}

// died demands that the process ended by SIGKILL, whoever sent it.
func (p *process) died() {
	p.j.t.Helper()
	state := p.wait(deathWithin)
	if ws := state.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGKILL {
		p.j.t.Fatalf("kstream ended with %v, want SIGKILL", state)
	}
}

// exits demands an exit code.
func (p *process) exits(code int, limit time.Duration) {
	p.j.t.Helper()
	if state := p.wait(limit); state.ExitCode() != code {
		p.j.t.Fatalf("kstream ended with %v, want exit code %d", state, code)
	}
}

// stop is SIGTERM; the process finishes its work, commits and exits 0.
func (p *process) stop() {
	p.j.t.Helper()
	p.signal(syscall.SIGTERM)
	p.exits(0, stopWithin)
}

// groupEpoch reads the newest committed epoch from the mark in the group's
// offsets; 0 is none.
func (j *job) groupEpoch(ctx context.Context) (int64, error) {
	offsets, err := j.adm.FetchOffsets(ctx, "kstream-"+j.spec.Name)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return 0, nil // nothing was committed
	}
	if err != nil {
		return 0, err
	}
	newest := int64(0)
	for _, o := range offsets.Sorted() {
		if o.Err != nil || o.At < 0 {
			continue
		}
		e, err := verify.EpochOf(o.Metadata)
		if err != nil {
			return 0, err
		}
		newest = max(newest, e)
	}
	return newest, nil
}

// advance waits until n more epochs than now are committed by p, which must live.
func (j *job) advance(p *process, n int64) {
	j.t.Helper()
	j.until(commitWithin, "commit an epoch", p, j.look(j.t.Context())+n)
}

// look reads the epoch and holds it against what was seen before: an epoch that
// was committed once is never gone. The coordinator of the group may be away for
// a moment.
func (j *job) look(ctx context.Context) int64 {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, transientWithin)
	defer cancel()
	var e int64
	err := broker.Poll(ctx, pollEvery, func(ctx context.Context) (err error) {
		e, err = j.groupEpoch(ctx)
		return err
	})
	if err != nil {
		j.t.Fatalf("read the group's epoch: %v", err)
	}
	if e < j.epoch {
		j.t.Fatalf("the group is marked epoch %d, it was %d before: a committed epoch is lost", e, j.epoch)
	}
	j.epoch = e
	return e
}

func (j *job) until(limit time.Duration, what string, p *process, epoch int64) {
	j.t.Helper()
	ctx, cancel := context.WithTimeout(j.t.Context(), limit)
	defer cancel()
	err := broker.Poll(ctx, pollEvery, func(ctx context.Context) error {
		if p != nil && p.ended() {
			cancel()
			return fmt.Errorf("kstream ended with %v", p.cmd.ProcessState)
		}
		if e := j.look(ctx); e < epoch {
			return fmt.Errorf("epoch %d is committed, waiting for %d", e, epoch)
		}
		return nil
	})
	if err != nil {
		j.t.Fatalf("%s: %v", what, err)
	}
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// finish ends the input, waits until the running process has brought it all into
// the outputs, stops it, and verifies everything once more.
func (j *job) finish(p *process) verify.Verdict {
	j.t.Helper()
	j.in.pause()
	if err := j.in.close(j.t.Context()); err != nil {
		j.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(j.t.Context(), finishWithin)
	defer cancel()
	last := "the verifier did not run"
	err := broker.Poll(ctx, 4*pollEvery, func(ctx context.Context) error {
		if p.ended() {
			cancel()
			return fmt.Errorf("kstream ended with %v", p.cmd.ProcessState)
		}
		if err := j.behind(ctx); err != nil {
			last = err.Error()
			return err
		}
		d, err := verify.Run(ctx, j.spec)
		if err == nil && len(d.Problems) > 0 {
			last = strings.Join(d.Problems, "\n")
			err = errors.New("there are problems")
		}
		return err
	})
	if err != nil {
		j.t.Fatalf("the outputs do not become what the input demands: %v\n%s", err, last)
	}
	p.stop()
	if left, err := verify.LeftBehind(j.spec.Files); err != nil || len(left) > 0 {
		j.t.Errorf("the file sink left behind: %v %v", left, err)
	}
	return j.verdict()
}

// behind says how far the group's offsets are from the end of the input. It asks
// little, so that a broker is not flooded with whole verifications meanwhile.
func (j *job) behind(ctx context.Context) error {
	ends, err := j.adm.ListEndOffsets(ctx, j.spec.In)
	if err != nil {
		return err
	}
	offsets, err := j.adm.FetchOffsets(ctx, "kstream-"+j.spec.Name)
	if err != nil {
		return err
	}
	ends.Each(func(end kadm.ListedOffset) {
		// The last offset is that of the marker of the driver's last transaction.
		if o, ok := offsets.Lookup(end.Topic, end.Partition); !ok || o.At < end.Offset-1 {
			err = errors.Join(err, fmt.Errorf("the group is at %d in %s/%d, the end is %d", o.At, end.Topic, end.Partition, end.Offset))
		}
	})
	return err
}

// verdict verifies a run whose processes have ended.
func (j *job) verdict() verify.Verdict {
	j.t.Helper()
	d, err := verify.Run(j.t.Context(), j.spec)
	if err != nil {
		j.t.Fatalf("verify: %v", err)
	}
	ctx, cancel := context.WithTimeout(j.t.Context(), finishWithin)
	defer cancel()
	seen, problems, err := j.watch.Compare(ctx, j.spec)
	if err != nil {
		j.t.Fatalf("compare with the reader: %v", err)
	}
	for _, problem := range append(d.Problems, problems...) {
		j.t.Error(problem)
	}
	if d.Epoch < j.epoch {
		j.t.Errorf("the last epoch is %d, epoch %d was committed before", d.Epoch, j.epoch)
	}
	j.t.Logf("epoch %d, %d processes, compared %+v, a reader beside it saw %d", d.Epoch, j.processes, d.Compared, seen)
	return d
}

// stopWithSavepoint stops a process, which writes its last checkpoint as a
// savepoint, and gives its path.
func (j *job) stopWithSavepoint(p *process) string {
	j.t.Helper()
	path := filepath.Join(j.dir, fmt.Sprintf("savepoint-%d", j.processes))
	out, err := exec.Command(brokers.kstream, "stop", j.spec.Name, "--savepoint="+path, "--wait").CombinedOutput()
	if err != nil {
		j.t.Fatalf("kstream stop --savepoint: %v\n%s", err, out)
	}
	p.exits(0, stopWithin)
	return path
}
