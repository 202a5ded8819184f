//go:build harness

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The steps at which a process can end.
func startSteps() []string {
	return []string{"locked", "inspected", "seen", "fenced", "claimed", "record-read", "bounded", "store-checked",
		"restored", "recovered", "seeked", "running"}
}

func epochSteps() []string {
	return []string{"begin", "open", "opened-next", "first-write", "mid", "barrier", "aligned", "frozen", "prepared", "changelog",
		"collected", "flushed", "offsets", "record", "end-sent", "end-answered", "applied", "handles"}
}

func stopSteps() []string { return []string{"stop-fetching", "release-claim", "flush-store"} }

// points are all ends of a process, in a fixed order.
func points() []point {
	var all []point
	for _, step := range slices.Concat(startSteps(), epochSteps(), stopSteps()) {
		all = append(all, point{step: "before=" + step}, point{step: "after=" + step})
	}
	return append(all, point{step: "before=fetched"}, point{step: "before=rows"})
}

func stepOf(at string) string { return at[strings.IndexByte(at, '=')+1:] }

// passages is how often a process may pass a step before it ends there.
func passages(at string) int {
	switch step := stepOf(at); {
	case slices.Contains(startSteps(), step), slices.Contains(stopSteps(), step):
		return 1
	case step == "mid", step == "rows", step == "fetched":
		return 30
	case slices.Contains([]string{"first-write", "aligned", "frozen", "prepared", "changelog"}, step):
		return 20 // several tasks
	}
	return 5
}

// canFreeze says whether a process can be frozen there: it has a claim, and is
// not stopping.
func canFreeze(at string) bool { return slices.Contains(epochSteps(), stepOf(at)) }

// coverage counts what a run has met.
type coverage struct {
	mu                                           sync.Mutex
	ends                                         map[string]int
	happened                                     map[string]int
	frozen                                       int
	records, keys, windows, epochs, late, faults int
}

func newCoverage() *coverage { return &coverage{ends: map[string]int{}, happened: map[string]int{}} }

func (c *coverage) add(p point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[p.step]++
	if p.freeze {
		c.frozen++
	}
}

func (c *coverage) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.happened[what]++
}

func (c *coverage) done(v *verdict, s *simulation) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.records += v.records
	c.keys += v.keys
	c.windows += v.windows
	c.epochs += v.epochs
	c.late += v.late
	c.faults += len(s.faults)
}

func (c *coverage) missing() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var missing []string
	for _, p := range points() {
		if c.ends[p.step] == 0 {
			missing = append(missing, p.step)
		}
	}
	for _, answer := range []bool{false, true} {
		if what := (loss{key: keyEndTxn, answer: answer}).String(); c.happened[what] == 0 {
			missing = append(missing, what)
		}
	}
	if c.frozen == 0 {
		missing = append(missing, "frozen")
	}
	return missing
}

func (c *coverage) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, k := range c.ends {
		n += k
	}
	return fmt.Sprintf("%d ends of processes at %d of %d points (%d frozen), %d faults, %v; compared %d records, %d keys, %d windows, %d late, %d epochs",
		n, len(c.ends), len(points()), c.frozen, c.faults, c.happened, c.records, c.keys, c.windows, c.late, c.epochs)
}

// fault is something that happens at a time.
type fault struct {
	at   time.Duration // after the fault before
	kind string
	key  int16
	n    int
	code *kerr.Error
}

func (f fault) String() string { return fmt.Sprintf("%s:%d×%d+%s", f.kind, f.key, f.n, f.at) }

// drawFaults draws 0 to 5 of them.
func drawFaults(rng *rand.Rand) []fault {
	keys := []int16{keyEndTxn, keyEndTxn, keyEndTxn, keyProduce, keyTxnOffsetCommit, keyInitProducerID}
	codes := []*kerr.Error{kerr.ConcurrentTransactions, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.CoordinatorNotAvailable}
	kinds := []string{"lose-answer", "lose-answer", "lose-request", "slow", "reject", "reject", "refuse-produce", "rehash"}
	var all []fault
	for range rng.IntN(6) {
		f := fault{at: time.Duration(rng.IntN(800)) * time.Millisecond, kind: kinds[rng.IntN(len(kinds))],
			key: keys[rng.IntN(len(keys))], n: 1 + rng.IntN(4), code: codes[rng.IntN(len(codes))]}
		if f.kind == "reject" && f.key == keyProduce {
			f.key = keyEndTxn
		}
		if f.kind == "refuse-produce" && slices.ContainsFunc(all, func(o fault) bool { return o.kind == f.kind }) {
			f.kind = "slow" // more than twice ends the job, rightly
		}
		all = append(all, f)
	}
	return all
}

// disturb lets the faults happen.
func (s *simulation) disturb(ctx context.Context) {
	for _, f := range s.faults {
		select {
		case <-time.After(f.at):
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		in := s.current
		s.mu.Unlock()
		if in == nil {
			continue
		}
		switch f.kind {
		case "lose-answer", "lose-request":
			in.link.lose(loss{key: f.key, answer: f.kind == "lose-answer", left: f.n, until: time.Now().Add(10 * time.Second)})
		case "slow":
			in.link.slow(100 * latency)
			time.AfterFunc(time.Duration(f.n)*100*time.Millisecond, func() { in.link.slow(latency) })
		case "reject":
			s.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Key(f.key)}, TxnID: "kstream-sim-0", Err: f.code, Count: f.n})
		case "refuse-produce":
			s.fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: "sim-counts", Err: kerr.MessageTooLarge, Count: 1})
		case "rehash":
			s.fake.RehashCoordinators()
		}
	}
}
