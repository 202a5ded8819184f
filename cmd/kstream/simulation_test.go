//go:build harness

package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"kstream/internal/kafka"
	"kstream/state"
)

// The simulation runs the whole instance, with the real Kafka client and the real
// store, in virtual time against a fake broker, and kills it at the steps of the
// protocol. A seed fixes the input, the settings, the faults and what the kills
// leave of the disk; which goroutine runs first it does not fix.
//
//	go test -tags harness ./cmd/kstream -run TestSimulation -seed 4711 -count 20

var oneSeed = flag.Int64("seed", 0, "run only this seed of the simulation")

const simulationYAML = `version: 1
name: sim
max_parallelism: 8
checkpoint:
  interval: 100ms
  timeout: 3s
  transaction_timeout: 20s
restart: {exponential: {initial: 10ms, max: 1s}}
dead_letter: {topic: sim-dead}
sources:
  in:
    topic: sim-in
    schema: {id: string!, k: string!, n: int!, ts: timestamp!}
    event_time: ts
    watermark: {ascending: true, idle: none, every: 10ms}
streams:
  counts:
    from: in
    steps:
      - key_by: k
      - aggregate: {k: $key, n: count(), total: sum(n)}
  windows:
    from: in
    steps:
      - key_by: k
      - window: {tumbling: 1s, late: late}
      - aggregate: {k: $key, start: $window.start, n: count(), total: sum(n)}
  totals:
    from: windows
    steps:
      - key_by: start
      - aggregate: {start: $key, n: count(), total: sum(total)}
  even:
    from: in
    steps:
      - filter: n % 2 == 0
  odd:
    from: in
    steps:
      - filter: n % 2 != 0
  united:
    from: [even, odd]
    steps:
      - key_by: k
      - aggregate: {k: $key, n: count(), total: sum(n)}
  checked:
    from: in
    steps:
      - key_by: k
      - filter: 100 / (n % 7) > 0
        on_error: dead_letter
      - filter: 100 / (n % 5) > 0
        on_error: {output: bad}
sinks:
  bad: {from: checked.bad, topic: sim-bad, headers: {code: $error.code}}
  checked: {from: checked, blackhole: {}}
  copy: {from: in, topic: sim-copy, partition: source_partition}
  counts: {from: counts, topic: sim-counts}
  windows: {from: windows, topic: sim-windows}
  late: {from: windows.late, topic: sim-late}
  totals: {from: totals, topic: sim-totals}
  united: {from: united, topic: sim-united}
`

// transactionTimeout is that of the file, and time for the broker to notice.
const transactionTimeout = 25 * time.Second

// simulation is one seed.
type simulation struct {
	seed     int64
	coverage *coverage

	// of the seed
	rng      *rand.Rand
	settings []string
	input    input
	ends     []point // of the processes, in order; the last one has none
	faults   []fault
	stall    time.Duration // how long a step takes at most
	tv1      int           // 0: version 2; 1: the feature is lower; 2: an old broker

	network   kfake.VirtualNetwork
	fake      *kfake.Cluster
	log       logBuffer
	instances int

	mu      sync.Mutex
	current *instance
}

// cover counts that an end of a process came.
func (s *simulation) cover(p point) {
	if s.coverage != nil {
		s.coverage.add(p)
	}
}

// lost counts what the network has lost.
func (s *simulation) lost(x loss) {
	if s.coverage != nil {
		s.coverage.count(x.String())
	}
}

// newSimulation draws everything that the seed fixes.
func newSimulation(seed int64) *simulation {
	rng := rand.New(rand.NewPCG(uint64(seed), 0))
	s := &simulation{seed: seed, rng: rng}
	s.settings = []string{
		fmt.Sprintf("parallelism=%d", 1+rng.IntN(4)),
		fmt.Sprintf("checkpoint.interval=%dms", 10+rng.IntN(100)),
	}
	s.input = input{partitions: 1 + rng.IntN(4), keys: 3 + rng.IntN(8), batches: 30 + rng.IntN(50), size: 1 + rng.IntN(10),
		gap: time.Duration(1+rng.IntN(100)) * time.Millisecond, pauseAt: -1, rng: rand.New(rand.NewPCG(uint64(seed), 1))}
	s.stall = 4 * time.Millisecond
	switch rng.IntN(8) {
	case 0, 1: // long enough that the store is flushed, and then a commit that fails
		s.input.pauseAt, s.input.pause = s.input.batches/2, 70*time.Second
		s.input.paused = s.loseEnds
	case 2, 3: // records come all the time, and tasks get barriers far apart
		s.input.batches, s.input.size, s.input.gap = 200, 1+rng.IntN(2), time.Duration(1+rng.IntN(4))*time.Millisecond
		s.settings[1] = fmt.Sprintf("checkpoint.interval=%dms", 10+rng.IntN(20))
		s.stall = 40 * time.Millisecond
	}
	if seed%2 != 0 {
		s.tv1 = 1 + int(seed/2%2)
	}
	all := points()
	// One end by turns, so that all are met in a run; the others by chance.
	s.ends = append(s.ends, all[int(seed)%len(all)])
	for range rng.IntN(4) {
		s.ends = append(s.ends, all[rng.IntN(len(all))])
	}
	for i := range s.ends {
		n := passages(s.ends[i].step)
		if i == 0 {
			n = min(n, 3)
		}
		s.ends[i].n = 1 + rng.IntN(n)
	}
	rng.Shuffle(len(s.ends), func(i, j int) { s.ends[i], s.ends[j] = s.ends[j], s.ends[i] })
	for i := range s.ends {
		if i == len(s.ends)-1 && rng.IntN(4) == 0 && canFreeze(s.ends[i].step) {
			s.ends[i].freeze = true
		}
	}
	s.faults = drawFaults(rng)
	return s
}

func (s *simulation) String() string {
	return fmt.Sprintf("seed %d: %s, %d partitions × %d records, transactions %d, ends %v, faults %v", s.seed, strings.Join(s.settings, " "),
		s.input.partitions, s.input.batches*s.input.size, s.tv1, s.ends, s.faults)
}

// run runs it all inside a bubble and returns what is wrong.
func (s *simulation) run() (*verdict, error) {
	s.log.began = time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	opts := []kfake.Opt{kfake.ListenFn(s.network.Listen), kfake.Ports(9092),
		kfake.SeedTopics(int32(s.input.partitions), inputTopic, "sim-copy"),
		kfake.SeedTopics(2, "sim-counts", "sim-windows", "sim-late", "sim-totals", "sim-united", "sim-dead", "sim-bad")}
	if s.tv1 == 2 {
		opts = append(opts, kfake.MaxVersions(kversion.V3_8_0()))
	}
	var err error
	if s.fake, err = kafka.StartFake(opts...); err != nil {
		return nil, err
	}
	defer s.fake.Close()
	if s.tv1 == 1 {
		if err := s.lowerFeature(ctx); err != nil {
			return nil, err
		}
	}
	var beside sync.WaitGroup
	defer beside.Wait()
	var written error
	done := make(chan struct{})
	beside.Go(func() {
		defer close(done)
		written = s.input.write(ctx, kgo.Dialer(s.network.DialContext), s.fake.ListenAddrs())
	})
	beside.Go(func() { s.disturb(ctx) })
	err = s.processes(done)
	cancel()
	if err != nil {
		return nil, err
	}
	if written != nil {
		return nil, written
	}
	if s.log.has("the claim could not be released") {
		// What a stop leaves open then, the broker ends after the timeout.
		time.Sleep(transactionTimeout)
	}
	return s.judge(context.Background()), nil
}

// processes runs one process after the other until all ends have come and the
// input is through.
func (s *simulation) processes(written <-chan struct{}) error {
	fs := state.NewCrashFS()
	for i := 0; ; i++ {
		end := point{}
		if i < len(s.ends) {
			end = s.ends[i]
		}
		in, err := s.start(fs, end)
		if err != nil {
			return err
		}
		s.setCurrent(in)
		zombie, err := s.follow(in, written)
		if zombie {
			return s.overtake(in, written)
		}
		in.cancel()
		<-in.ended
		if err != nil {
			return err
		}
		left := in.left()
		switch {
		case left == nil && in.result.Exit == 0:
			return nil // it ended in good order
		case left != nil:
			fs = left
		}
		if s.rng.IntN(8) == 0 {
			fs = state.NewCrashFS() // the disk is lost
		}
	}
}

// limit is how long a seed may take in virtual time.
const limit = 5 * time.Minute

// follow waits until a process has ended; it is stopped when the input is
// through. frozen says that it stands still instead.
func (s *simulation) follow(in *instance, written <-chan struct{}) (frozen bool, err error) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	giveUp := time.Now().Add(limit)
	stopped := false
	for {
		select {
		case <-in.ended:
			if in.left() == nil && in.result.Exit != 0 && !in.uncommitted() {
				return false, fmt.Errorf("process %d ended with exit %d: %s", in.number, in.result.Exit, in.result.Text)
			}
			return false, nil
		case <-in.frozenAt:
			return true, nil
		case <-tick.C:
		}
		if time.Now().After(giveUp) {
			return false, fmt.Errorf("process %d did not catch up within %s", in.number, limit)
		}
		if !stopped && in.running() && s.through(written) {
			stopped = true
			in.stop()
		}
	}
}

// through says whether all of the input is written and committed.
func (s *simulation) through(written <-chan struct{}) bool {
	select {
	case <-written:
	default:
		return false
	}
	group := s.fake.GroupInfo("kstream-sim")
	if group == nil {
		return false
	}
	for _, p := range s.fake.PartitionInfos(inputTopic) {
		if group.Commits[inputTopic][p.Partition].Offset != p.HighWatermark {
			return false
		}
	}
	return true
}

// overtake starts a process on another host while one is frozen, and wakes that
// one when the other has committed: it must find out and end.
func (s *simulation) overtake(frozen *instance, written <-chan struct{}) error {
	next, err := s.start(state.NewCrashFS(), point{})
	if err != nil {
		return err
	}
	s.setCurrent(next)
	for began := time.Now(); next.committed() == 0 && time.Since(began) < 20*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
	frozen.link.release()
	_, err = s.follow(next, written)
	next.cancel()
	<-next.ended
	for range 2 {
		select {
		case <-frozen.ended:
		case <-time.After(time.Minute):
			frozen.stop() // without input it has nothing to write, and does not notice
		}
	}
	frozen.cancel()
	<-frozen.ended
	if err == nil && !(frozen.noticed() && (next.result.Exit == 0 || next.uncommitted())) {
		err = fmt.Errorf("process %d was overtaken and ended with exit %d: %s; the other with %d: %s",
			frozen.number, frozen.result.Exit, frozen.result.Text, next.result.Exit, next.result.Text)
	}
	return err
}

func (s *simulation) setCurrent(in *instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = in
}

// loseEnds loses everything that could end a transaction, longer than an epoch
// may take.
func (s *simulation) loseEnds() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil {
		s.current.link.lose(loss{key: keyEndTxn, left: 1000, until: time.Now().Add(4 * time.Second)})
	}
}

// lowerFeature makes the broker one without transactions of version 2.
func (s *simulation) lowerFeature(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.fake.ListenAddrs()...), kgo.Dialer(s.network.DialContext))
	if err != nil {
		return err
	}
	defer cl.Close()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType, u.AllowDowngrade = "transaction.version", 1, 3, true
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// seeds is which ones run.
func seeds(t *testing.T) (first, count int64) {
	if *oneSeed != 0 {
		return *oneSeed, 1
	}
	count = 50
	if text := os.Getenv("KSTREAM_SEEDS"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			t.Fatalf("KSTREAM_SEEDS=%s is not a number of seeds", text)
		}
		count = n
	}
	return 1, max(1, count/slowness)
}

func TestSimulation(t *testing.T) {
	first, count := seeds(t)
	c := newCoverage()
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed < first+count; seed++ {
			t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
				if os.Getenv(mutantVariable) == "" {
					t.Parallel()
				}
				runSeed(t, seed, c)
			})
		}
	})
	t.Logf("%d seeds; %s", count, c)
	if missing := c.missing(); count >= 300 && len(missing) > 0 {
		t.Errorf("not met: %v", missing)
	}
}

// logTail is how much of its log a failing seed shows.
const logTail = 50_000

func runSeed(t *testing.T, seed int64, c *coverage) {
	s := newSimulation(seed)
	s.coverage = c
	var v *verdict
	var err error
	synctest.Test(t, func(*testing.T) { v, err = s.run() })
	var bad []string
	switch {
	case err != nil:
		bad = []string{err.Error()}
	default:
		bad = v.bad
	}
	if len(bad) == 0 {
		c.done(v, s)
		return
	}
	t.Errorf("%s\n%s\nrerun: go test -tags harness ./cmd/kstream -run 'TestSimulation$' -seed %d", s, strings.Join(bad, "\n"), seed)
	t.Log("the end of the log:\n" + s.log.tail(logTail))
}
