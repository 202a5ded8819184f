//go:build harness

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/checkpoint"
	"kstream/internal/kafka"
	"kstream/runtime"
	"kstream/savepoint"
	"kstream/state"
)

// A savepoint taken at any moment and restored with other parallelism and other
// key groups must lead to what the uninterrupted job leads to. Each seed is a
// pipeline of testdata/savepoints on an input of its own, once without anything,
// and once in one of two ways:
//
//	live   the job goes on; each savepoint is continued by a fork under another name
//	stop   the job is stopped with a savepoint and goes on from that, twice
//
// In the end the state itself is restored and saved again, and compared.

// restorable is a seed.
type restorable struct {
	*simulation
	kind      string // name of the pipeline's file
	text      string
	topics    []string // outputs, without the name of the job in front
	saves     []*savedState
	mu        sync.Mutex
	committed map[string]map[string]int64 // mark of an epoch -> partition -> end of its output
	tally     *savepointTally
}

// savedState is a savepoint and what its job had written until then.
type savedState struct {
	savepoint *savepoint.Savepoint
	ends      map[string]int64
}

// savepointTally counts over all seeds.
type savepointTally struct {
	mu                      sync.Mutex
	cases, middle, killed   int
	entries, values, rounds int64
	kinds, outputs          map[string]int
}

func (c *savepointTally) add(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

func newRestorable(seed int64, c *savepointTally) (*restorable, error) {
	files, err := filepath.Glob("testdata/savepoints/*.yaml")
	if err != nil {
		return nil, err
	}
	path := files[int(seed)%len(files)]
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(uint64(seed), 3))
	r := &restorable{
		simulation: &simulation{seed: seed, rng: rng, stall: 4 * time.Millisecond, tv1: rng.IntN(3)},
		kind:       filepath.Base(path), text: string(text), committed: map[string]map[string]int64{}, tally: c,
	}
	r.input.partitions = 1 + rng.IntN(4)
	for _, part := range strings.Split(r.text, "topic: OUT-")[1:] {
		r.topics = append(r.topics, part[:strings.IndexAny(part, ",} \n")])
	}
	return r, nil
}

// forked says that the job goes on, and its savepoints are continued by others.
func (r *restorable) forked() bool { return r.seed/5%2 == 0 }

// drawSettings are settings of one process.
func (r *restorable) drawSettings() []string {
	groups := []int{1, 2, 3, 5, 8, 11, 16}[r.rng.IntN(7)]
	return []string{fmt.Sprintf("max_parallelism=%d", groups), fmt.Sprintf("parallelism=%d", 1+r.rng.IntN(min(groups, 4))),
		fmt.Sprintf("checkpoint.interval=%dms", 20+r.rng.IntN(60))}
}

// begin starts a process of a job.
func (r *restorable) begin(name string, fs state.FS, end point, from *runtime.From, set []string) (*instance, error) {
	text := strings.NewReplacer("NAME", name, "OUT", name).Replace(r.text)
	return r.launch(fs, end, &simulated{name: name, text: text, set: set, adjust: func(o *runtime.Options) {
		o.From, o.Accept = from, []string{checkpoint.AcceptRenamedJob}
		at := o.Failpoint
		o.Failpoint = func(step string) {
			if name == "live" && (step == "after=end-answered" || step == "after=restore-switched") {
				r.note()
			}
			at(step)
		}
	}})
}

// note keeps where the output of the epoch that was just committed ends. The
// next one cannot be committed meanwhile.
func (r *restorable) note() {
	group := r.fake.GroupInfo(checkpoint.GroupID("live"))
	if group == nil {
		return
	}
	mark := ""
	for _, partitions := range group.Commits {
		for _, c := range partitions {
			mark = c.Metadata
		}
	}
	ends := map[string]int64{}
	for _, topic := range r.topics {
		for _, p := range r.fake.PartitionInfos("live-" + topic) {
			ends[fmt.Sprintf("%s/%d", topic, p.Partition)] = p.LastStableOffset
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.committed[mark] = ends
}

func (r *restorable) keep(m *memoryDirectory, result runtime.SavepointResult) error {
	if result.Err != nil {
		return fmt.Errorf("savepoint: %w", result.Err)
	}
	s, err := savepoint.Open(context.Background(), m.files)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	ends, ok := r.committed[checkpoint.FormatMark(checkpoint.Epoch(s.Manifest.Checkpoint))]
	if !ok {
		return fmt.Errorf("the savepoint is of checkpoint %d, whose end was not seen", s.Manifest.Checkpoint)
	}
	r.saves = append(r.saves, &savedState{s, ends})
	r.tally.add(func() { r.tally.entries += s.Manifest.Entries })
	return nil
}

// run runs it all inside a bubble.
func (r *restorable) run() error {
	r.log.began = time.Now()
	opts := []kfake.Opt{kfake.ListenFn(r.network.Listen), kfake.Ports(9092), kfake.SeedTopics(int32(r.input.partitions), "in", "more", "rows")}
	for _, name := range []string{"ref", "live", "fork-0", "fork-1"} {
		for _, topic := range r.topics {
			opts = append(opts, kfake.SeedTopics(3, name+"-"+topic))
		}
	}
	var err error
	if r.fake, err = kafka.StartFake(opts...); err != nil {
		return err
	}
	defer r.fake.Close()
	var beside sync.WaitGroup
	defer beside.Wait()
	var written error
	done := make(chan struct{})
	ref, err := r.begin("ref", state.NewCrashFS(), point{}, nil, r.drawSettings())
	if err != nil {
		return err
	}
	live, err := r.begin("live", state.NewCrashFS(), point{}, nil, r.drawSettings())
	if err != nil {
		return err
	}
	if err = ready(live); err == nil {
		beside.Go(func() {
			defer close(done)
			written = r.write()
		})
		if r.forked() {
			err = r.live(live, done)
		} else {
			err = r.stops(live, done)
		}
	}
	if err == nil {
		err = r.settle(ref, "ref", done)
	}
	for _, in := range []*instance{ref, live} {
		in.cancel()
		<-in.ended
	}
	if err != nil {
		return err
	}
	return written
}

// live takes two savepoints while the job works, and continues each of them
// under another name.
func (r *restorable) live(in *instance, written <-chan struct{}) error {
	for range 2 {
		if err := r.moment(in); err != nil {
			return err
		}
		m := &memoryDirectory{}
		if err := r.keep(m, in.job.Savepoint(context.Background(), m.make)); err != nil {
			return err
		}
	}
	if err := r.round(in, written); err != nil {
		return err
	}
	for i, s := range slices.Clone(r.saves[:2]) {
		if err := r.fork(fmt.Sprintf("fork-%d", i), s, written); err != nil {
			return fmt.Errorf("fork %d of checkpoint %d: %w", i, s.savepoint.Manifest.Checkpoint, err)
		}
	}
	return r.judge()
}

// fork goes on from a savepoint under another name; it may be killed on the way.
func (r *restorable) fork(name string, s *savedState, written <-chan struct{}) error {
	end := point{}
	if r.rng.IntN(3) == 0 {
		steps := epochSteps()
		end = point{step: "before=" + steps[r.rng.IntN(len(steps))], n: 1 + r.rng.IntN(2)}
	}
	set := r.drawSettings()
	from := &runtime.From{Savepoint: s.savepoint, Path: "memory", Replace: true}
	in, err := r.begin(name, state.NewCrashFS(), end, from, set)
	if err != nil {
		return err
	}
	if err = r.settle(in, name, written); err != nil || in.left() == nil {
		return err
	}
	r.tally.add(func() { r.tally.killed++ })
	if in.running() {
		from = nil
	}
	if in, err = r.begin(name, in.left(), point{}, from, set); err != nil {
		return err
	}
	return r.settle(in, name, written)
}

// stops stops the job with a savepoint and goes on from it, twice.
func (r *restorable) stops(in *instance, written <-chan struct{}) (err error) {
	for range 2 {
		if err = r.moment(in); err != nil {
			return err
		}
		m := &memoryDirectory{}
		if err = r.keep(m, in.job.StopWithSavepoint(context.Background(), checkpoint.StopFinish, m.make)); err != nil {
			return err
		}
		<-in.ended
		if in.result.Exit != 0 {
			return fmt.Errorf("the stop ended with exit %d: %s", in.result.Exit, in.result.Text)
		}
		from := &runtime.From{Savepoint: r.saves[len(r.saves)-1].savepoint, Path: "memory", Replace: true}
		if in, err = r.begin("live", state.NewCrashFS(), point{}, from, r.drawSettings()); err != nil {
			return err
		}
		defer in.cancel()
	}
	if err = r.round(in, written); err != nil {
		return err
	}
	return r.judge()
}

// moment waits until a random one.
func (r *restorable) moment(in *instance) error {
	if err := ready(in); err != nil {
		return err
	}
	time.Sleep(time.Duration(r.rng.IntN(400)) * time.Millisecond)
	return nil
}

// ready waits until a process has started.
func ready(in *instance) error {
	giveUp := time.Now().Add(limit)
	for !in.running() {
		select {
		case <-in.ended:
			return fmt.Errorf("process %d ended in its start with exit %d: %s", in.number, in.result.Exit, in.result.Text)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(giveUp) {
			return fmt.Errorf("process %d does not run", in.number)
		}
	}
	return nil
}

// settle waits until a process has taken all of the input in, and stops it.
func (r *restorable) settle(in *instance, name string, written <-chan struct{}) error {
	defer func() { in.cancel(); <-in.ended }()
	if err := r.through(in, name, written); err != nil || in.left() != nil {
		return err
	}
	in.stop()
	<-in.ended
	if in.left() == nil && in.result.Exit != 0 {
		return fmt.Errorf("%s ended with exit %d: %s", name, in.result.Exit, in.result.Text)
	}
	return nil
}

// through waits until a process has committed the end of the input, or was killed.
func (r *restorable) through(in *instance, name string, written <-chan struct{}) error {
	giveUp := time.Now().Add(limit)
	for time.Now().Before(giveUp) {
		select {
		case <-in.ended:
			if in.left() != nil {
				return nil
			}
			return fmt.Errorf("%s ended with exit %d: %s", name, in.result.Exit, in.result.Text)
		case <-time.After(5 * time.Millisecond):
		}
		select {
		case <-written:
			if in.running() && r.caughtUp(name) {
				return nil
			}
		default:
		}
	}
	return fmt.Errorf("%s did not catch up within %s", name, limit)
}

func (r *restorable) caughtUp(name string) bool {
	group := r.fake.GroupInfo(checkpoint.GroupID(name))
	if group == nil {
		return false
	}
	for _, topic := range r.inputs() {
		for _, p := range r.fake.PartitionInfos(topic) {
			if group.Commits[topic][p.Partition].Offset != p.HighWatermark {
				return false
			}
		}
	}
	return true
}

func (r *restorable) inputs() []string {
	all := []string{"in"}
	for _, topic := range []string{"more", "rows"} {
		if strings.Contains(r.text, "topic: "+topic) {
			all = append(all, topic)
		}
	}
	return all
}

// round restores the state at the end of the input with other key groups, saves
// it again, and compares entry by entry.
func (r *restorable) round(in *instance, written <-chan struct{}) error {
	if err := r.through(in, "live", written); err != nil {
		return err
	}
	var all [2]*savepoint.Savepoint
	for i := range all {
		m := &memoryDirectory{}
		if err := r.keep(m, in.job.StopWithSavepoint(context.Background(), checkpoint.StopFinish, m.make)); err != nil {
			return err
		}
		<-in.ended
		all[i] = r.saves[len(r.saves)-1].savepoint
		if i == 1 {
			break
		}
		var err error
		from := &runtime.From{Savepoint: all[0], Path: "memory", Replace: true}
		if in, err = r.begin("live", state.NewCrashFS(), point{}, from, r.drawSettings()); err != nil {
			return err
		}
		defer in.cancel()
		if err := ready(in); err != nil {
			return err
		}
	}
	return r.equal(all[0], all[1])
}

// write writes the input over a second or so. A key has one partition in every
// topic, so that the records of a key have an order; groups have several. Times
// are out of order, within the bound of the sources; some ids come again.
func (r *restorable) write() error {
	rng := rand.New(rand.NewPCG(uint64(r.seed), 4))
	cl, err := kgo.NewClient(kgo.Dialer(r.network.DialContext), kgo.SeedBrokers(r.fake.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	keys := 3 + rng.IntN(12)
	batches, size := 20+rng.IntN(20), 1+rng.IntN(8)
	partitions := r.input.partitions
	memory := map[string][]string{}
	for n := range batches * size {
		var all []*kgo.Record
		for _, topic := range r.inputs() {
			k := rng.IntN(keys)
			at := int64(inputBase*1000 + n*100 + rng.IntN(1900))
			id := fmt.Sprintf("%s-%d", topic, n)
			value := fmt.Sprintf(`{"id":"%s","k":"k%d","g":"g%d","n":%d,"ts":%d}`, id, k, (k+n%2)%3, n*7%1000, at)
			of := fmt.Sprintf("%s %d", topic, k)
			if old := memory[of]; len(old) > 0 && rng.IntN(5) == 0 {
				// Again, with a new time.
				again := old[rng.IntN(len(old))]
				value = fmt.Sprintf(`%s"ts":%d}`, again[:strings.Index(again, `"ts"`)], at)
			}
			memory[of] = append(memory[of], value)
			rec := &kgo.Record{Topic: topic, Partition: int32(k % partitions), Key: fmt.Appendf(nil, "k%d", k), Value: []byte(value)}
			if topic == "rows" && rng.IntN(4) == 0 {
				rec.Value = nil
			}
			all = append(all, rec)
		}
		if err := cl.ProduceSync(context.Background(), all...).FirstErr(); err != nil {
			return fmt.Errorf("write input: %w", err)
		}
		if n%size == 0 {
			time.Sleep(time.Duration(1+rng.IntN(60)) * time.Millisecond)
		}
	}
	var last []*kgo.Record
	for _, topic := range r.inputs() {
		for p := range partitions {
			value := fmt.Sprintf(`{"id":"last-%d","k":"last-%d","g":"last-%d","n":0,"ts":%d}`, p, p, p, inputBase*1000+inputAhead)
			last = append(last, &kgo.Record{Topic: topic, Partition: int32(p), Key: fmt.Appendf(nil, "last-%d", p), Value: []byte(value)})
		}
	}
	return cl.ProduceSync(context.Background(), last...).FirstErr()
}

// TestSimulatedSavepoints runs two cases per seed, and a third of the seeds of
// the simulation.
func TestSimulatedSavepoints(t *testing.T) {
	first, count := seeds(t)
	if *oneSeed == 0 {
		count = max(10, (count+2)/3)
	}
	c := &savepointTally{kinds: map[string]int{}, outputs: map[string]int{}}
	t.Run("seeds", func(t *testing.T) {
		for seed := first; seed < first+count; seed++ {
			t.Run(strconv.FormatInt(seed, 10), func(t *testing.T) {
				t.Parallel()
				r, err := newRestorable(seed, c)
				if err != nil {
					t.Fatal(err)
				}
				synctest.Test(t, func(*testing.T) { err = r.run() })
				if err != nil {
					t.Errorf("%s, %d partitions: %v\nrerun: go test -tags harness ./cmd/kstream -run 'TestSimulatedSavepoints$' -seed %d",
						r.kind, r.input.partitions, err, seed)
					t.Log("the end of the log:\n" + r.log.tail(logTail))
				}
			})
		}
	})
	t.Logf("%d cases, %d with output before and after, %d forks killed; %d entries restored, %d values compared, %d entries compared one by one; %v",
		c.cases, c.middle, c.killed, c.entries, c.values, c.rounds, c.kinds)
	if *oneSeed == 0 && (c.cases < 2*int(count) || c.middle < c.cases/2 || c.entries == 0 || c.rounds == 0 || len(c.kinds) < 5) {
		t.Error("too little was compared")
	}
	for output, n := range c.outputs {
		if n == 0 && *oneSeed == 0 {
			t.Errorf("%s had no result in any case", output)
		}
	}
}
