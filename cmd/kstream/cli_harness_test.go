package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"kstream/internal/kafka"
)

// The tests of the command line run the program as its users do: a process, a
// directory with a pipeline file, a cluster at an address. The cluster is a fake
// one in the test process, read and written with a plain client.

const (
	// waitLimit is how long anything may take; what takes longer is broken,
	// however slow the machine.
	waitLimit = 60 * time.Second
	pollEvery = 20 * time.Millisecond
)

// program is the binary under test. It is built with the failpoints of the
// harness, once, when the first test asks for it.
type program struct {
	dir   string
	build func() (string, error)
}

// kstreamProgram is set by TestMain before any test runs.
var kstreamProgram program

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait most of the time; a user with a slow machine may say else.
	if flag.Lookup("test.parallel").Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	os.Exit(withProgram(m))
}

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kstream-cli-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	kstreamProgram.dir = dir
	kstreamProgram.build = sync.OnceValues(func() (string, error) {
		bin := filepath.Join(dir, "kstream")
		out, err := exec.Command("go", "build", "-tags", "harness", "-o", bin, ".").CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("build kstream: %w\n%s", err, out)
		}
		return bin, nil
	})
	return m.Run()
}

// user is one who has a directory and perhaps a cluster.
type user struct {
	t       *testing.T
	dir     string
	env     []string
	cluster *cluster
}

// newUser begins in an empty directory, without a cluster.
func newUser(t *testing.T) *user {
	t.Helper()
	t.Parallel()
	return &user{t: t, dir: t.TempDir(), env: []string{"XDG_RUNTIME_DIR=" + t.TempDir(), "KSTREAM_API=http://127.0.0.1:1"}}
}

// newKafkaUser has a cluster of their own, and its address in KSTREAM_BROKERS.
func newKafkaUser(t *testing.T) *user {
	t.Helper()
	u := newUser(t)
	u.cluster = newCluster(t)
	u.env = append(u.env, "KSTREAM_BROKERS="+u.cluster.addr)
	return u
}

// file writes a file of the user; lines of old, new pairs are replaced in it.
func (u *user) file(name, text string, replace ...string) string {
	u.t.Helper()
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(text, replace[i]) {
			u.t.Fatalf("%s has no %q to replace", name, replace[i])
		}
	}
	text = strings.NewReplacer(replace...).Replace(text)
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
	return name
}

func (u *user) path(name string) string { return filepath.Join(u.dir, name) }

// output gathers what a process writes to one stream.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// command is one run of the program.
type command struct {
	u              *user
	args           []string
	cmd            *exec.Cmd
	stdout, stderr output
	done           chan struct{}
}

// start begins a command; stdin may be nil.
func (u *user) start(stdin io.Reader, args ...string) *command {
	u.t.Helper()
	return u.begin(stdin, nil, args...)
}

// startOn begins a command whose stderr is a terminal.
func (u *user) startOn(terminal *os.File, args ...string) *command {
	u.t.Helper()
	return u.begin(nil, terminal, args...)
}

func (u *user) begin(stdin io.Reader, terminal *os.File, args ...string) *command {
	u.t.Helper()
	bin, err := kstreamProgram.build()
	if err != nil {
		u.t.Fatal(err)
	}
	c := &command{u: u, args: args, done: make(chan struct{})}
	c.cmd = exec.Command(bin, args...)
	c.cmd.Dir = u.dir
	c.cmd.Env = append(append(os.Environ(), "KSTREAM_INVARIANTS=1"), u.env...)
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = stdin, &c.stdout, &c.stderr
	if terminal != nil {
		c.cmd.Stderr = terminal
	}
	if err := c.cmd.Start(); err != nil {
		u.t.Fatalf("start kstream: %v", err)
	}
	go func() { _ = c.cmd.Wait(); close(c.done) }() // the state tells how it ended
	u.t.Cleanup(func() {
		if !c.ended() {
			_ = c.cmd.Process.Kill() // it may just have ended
			<-c.done
		}
		if u.t.Failed() {
			u.t.Logf("kstream %s (%v)\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), c.cmd.ProcessState,
				clip(c.stdout.String()), clip(c.stderr.String()))
		}
	})
	return c
}

// clip keeps the end of a long text.
func clip(s string) string {
	const most = 6 << 10
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// do runs a command to its end and demands an exit code.
func (u *user) do(code int, args ...string) *command {
	u.t.Helper()
	c := u.start(nil, args...)
	c.exits(code)
	return c
}

func (c *command) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// exits waits for the end and demands an exit code.
func (c *command) exits(code int) {
	c.u.t.Helper()
	select {
	case <-c.done:
	case <-time.After(waitLimit):
		c.u.t.Fatalf("kstream %s does not end", strings.Join(c.args, " "))
	}
	if got := c.cmd.ProcessState.ExitCode(); got != code {
		c.u.t.Fatalf("kstream %s ended with %v, want exit code %d", strings.Join(c.args, " "), c.cmd.ProcessState, code)
	}
}

func (c *command) signal(s syscall.Signal) {
	c.u.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.u.t.Fatalf("send %v: %v", s, err)
	}
}

// stop is the first SIGTERM; the job ends in order.
func (c *command) stop() {
	c.u.t.Helper()
	c.signal(syscall.SIGTERM)
	c.exits(0)
}

// kill is SIGKILL.
func (c *command) kill() {
	c.u.t.Helper()
	c.signal(syscall.SIGKILL)
	<-c.done
}

// says demands words on stderr, in any order.
func (c *command) says(words ...string) {
	c.u.t.Helper()
	for _, w := range words {
		if !strings.Contains(c.stderr.String(), w) {
			c.u.t.Errorf("kstream %s does not say %q on stderr", strings.Join(c.args, " "), w)
		}
	}
}

// prints demands words on stdout, in any order.
func (c *command) prints(words ...string) *command {
	c.u.t.Helper()
	for _, w := range words {
		if !strings.Contains(c.stdout.String(), w) {
			c.u.t.Errorf("kstream %s does not print %q on stdout", strings.Join(c.args, " "), w)
		}
	}
	return c
}

// await waits for words on stderr of a process that lives.
func (c *command) await(words string) {
	c.u.t.Helper()
	c.u.until("kstream says "+words, func() error {
		if strings.Contains(c.stderr.String(), words) {
			return nil
		}
		if c.ended() {
			c.u.t.Fatalf("kstream %s ended with %v before it said %q", strings.Join(c.args, " "), c.cmd.ProcessState, words)
		}
		return errors.New("not yet")
	})
}

// until polls until cond gives nil.
func (u *user) until(what string, cond func() error) {
	u.t.Helper()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	limit := time.After(waitLimit)
	for {
		err := cond()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			u.t.Fatalf("%s: %v", what, err)
		}
	}
}

// objects reads JSON Lines.
func objects(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(text) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("not a line of JSON: %v: %s", err, line)
		}
		all = append(all, o)
	}
	return all
}

// cluster is a fake one with a plain client beside it.
type cluster struct {
	t    *testing.T
	fake *kfake.Cluster
	addr string
	adm  *kadm.Client
	cl   *kgo.Client
}

func newCluster(t *testing.T, opts ...kfake.Opt) *cluster {
	t.Helper()
	fake, err := kafka.StartFake(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return openCluster(t, fake, fake.ListenAddrs()[0])
}

// openCluster makes the clients of a cluster.
func openCluster(t *testing.T, fake *kfake.Cluster, addr string) *cluster {
	t.Helper()
	c := &cluster{t: t, fake: fake, addr: addr}
	var err error
	c.cl, err = kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.cl.Close)
	c.adm = kadm.NewClient(c.cl)
	return c
}

func (c *cluster) topic(name string, partitions int32) {
	c.t.Helper()
	if _, err := c.adm.CreateTopic(c.t.Context(), partitions, 1, nil, name); err != nil {
		c.t.Fatalf("create topic %s: %v", name, err)
	}
}

// write appends values to partition 0 of a topic.
func (c *cluster) write(topic string, values ...string) {
	c.t.Helper()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(v)})
	}
	if err := c.cl.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatalf("write to %s: %v", topic, err)
	}
}

// read returns what a read_committed consumer sees in a topic.
func (c *cluster) read(topic string) []*kgo.Record {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), waitLimit)
	defer cancel()
	ends, err := c.adm.ListCommittedOffsets(ctx, topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		c.t.Fatalf("read %s: %v", topic, err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.ConsumeTopics(topic), kgo.KeepControlRecords(),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			c.t.Fatalf("read %s: %v", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if !r.Attrs.IsControl() {
				all = append(all, r)
			}
		})
	}
	return all
}

// values are those of a topic, sorted.
func (c *cluster) values(topic string) []string {
	c.t.Helper()
	var all []string
	for _, r := range c.read(topic) {
		all = append(all, string(r.Value))
	}
	slices.Sort(all)
	return all
}

// awaits waits until a topic holds exactly these values, in any order.
func (u *user) awaits(topic string, want ...string) {
	u.t.Helper()
	slices.Sort(want)
	u.until("wait for "+topic, func() error {
		if got := u.cluster.values(topic); !slices.Equal(got, want) {
			return fmt.Errorf("there is %q, want %q", got, want)
		}
		return nil
	})
}

// topics are the names of all topics there are.
func (c *cluster) topics() []string {
	c.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr)) // which has not heard of any topic
	if err != nil {
		c.t.Fatal(err)
	}
	defer cl.Close()
	all, err := kadm.NewClient(cl).ListTopics(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return all.Names()
}

// group is the committed offset of a partition and its mark; -1 if there is none.
func (c *cluster) group(name, topic string, p int32) (int64, string) {
	c.t.Helper()
	offsets, err := c.adm.FetchOffsets(c.t.Context(), name)
	if err != nil {
		return -1, ""
	}
	o, ok := offsets.Lookup(topic, p)
	if !ok {
		return -1, ""
	}
	return o.At, o.Metadata
}

// holdTransactions makes the broker leave every request to end a transaction
// without an answer.
func (c *cluster) holdTransactions() {
	c.fake.ControlKey(int16(kmsg.EndTxn), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		return nil, nil, true
	})
}

// produced is the high watermark of a topic.
func (c *cluster) produced(topic string) int64 {
	c.t.Helper()
	ends, err := c.adm.ListEndOffsets(c.t.Context(), topic)
	if err != nil {
		c.t.Fatal(err)
	}
	var n int64
	ends.Each(func(o kadm.ListedOffset) { n += o.Offset })
	return n
}

// failCommits makes the broker fail the end of so many epochs in a row. The end
// of a claim's transaction, one at each start, is left alone.
func (c *cluster) failCommits(times int) {
	claims := true
	c.fake.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		claims = true
		return nil, nil, false
	})
	c.fake.ControlKey(int16(kmsg.EndTxn), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if claims || times == 0 {
			claims = false
			return nil, nil, false
		}
		c.fake.KeepControl()
		times--
		res := req.ResponseKind().(*kmsg.EndTxnResponse)
		res.ErrorCode = kerr.InvalidTxnState.Code
		return res, nil, true
	})
}

// failOffsets makes the broker refuse the offsets of so many epochs in a row.
func (c *cluster) failOffsets(times int) {
	c.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if times == 0 {
			return nil, nil, false
		}
		c.fake.KeepControl()
		times--
		res := req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
		for _, t := range req.(*kmsg.TxnOffsetCommitRequest).Topics {
			topic := kmsg.NewTxnOffsetCommitResponseTopic()
			topic.Topic = t.Topic
			for _, p := range t.Partitions {
				partition := kmsg.NewTxnOffsetCommitResponseTopicPartition()
				partition.Partition, partition.ErrorCode = p.Partition, kerr.UnknownServerError.Code
				topic.Partitions = append(topic.Partitions, partition)
			}
			res.Topics = append(res.Topics, topic)
		}
		return res, nil, true
	})
}
