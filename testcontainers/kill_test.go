package testcontainers

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kstream/testcontainers/broker"
)

// epochPoints are the steps of an epoch as failpoints; startPoints those of a
// start.
func epochPoints() []string {
	return []string{"open", "first-write", "mid", "barrier", "aligned", "frozen", "prepared", "changelog", "collected",
		"flushed", "offsets", "record", "end-sent", "end-answered", "opened-next", "applied", "handles", "shown"}
}

func startPoints() []string {
	return []string{"locked", "inspected", "fenced", "claimed", "record-read", "bounded", "store-checked", "restored",
		"recovered", "seeked", "running"}
}

// TestKill kills the process before and after every step once; the next life
// must bring the outputs to exactly what the input demands.
func TestKill(t *testing.T) {
	for _, side := range []string{"before", "after"} {
		for _, point := range slices.Concat(epochPoints(), startPoints()) {
			t.Run(side+"="+point, func(t *testing.T) {
				t.Parallel()
				each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
					killAt(t, b, side+"="+point, slices.Contains(startPoints(), point))
				})
			})
		}
	}
}

// killAt plays one kill. A step of an epoch is met in a first life that has
// committed before; a step of a start in a second life, which has something to
// recover.
func killAt(t *testing.T, b *broker.Broker, point string, atStart bool) {
	j := newJob(t, b)
	j.in.feed(t)
	passage := ":3"
	if atStart {
		first := j.start()
		j.advance(first, 2)
		first.kill()
		passage = ":1"
	}
	j.start(failpoint + point + passage).died()
	last := j.start()
	j.advance(last, 2)
	j.finish(last)
}

// killsDefault is the number of random kills where KSTREAM_CHAOS_KILLS says none.
const killsDefault = 8

// TestChaosKill kills at random moments while input arrives.
func TestChaosKill(t *testing.T) {
	kills := killsDefault
	if text := os.Getenv("KSTREAM_CHAOS_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("KSTREAM_CHAOS_KILLS=%q is not a number of kills", text)
		}
		kills = n
	}
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		t.Logf("repeat with -seed %d", s)
		chaos(t, b, rand.New(rand.NewPCG(s, 1)), kills)
	})
}

// chaos lets three of four lives commit before they die, at a random moment of
// a later epoch; the fourth may die in its start.
func chaos(t *testing.T, b *broker.Broker, random *rand.Rand, kills int) {
	j := newJob(t, b)
	j.in.feed(t)
	for i := range kills {
		if i%4 == 0 {
			if err := j.in.write(t.Context(), backlog); err != nil {
				t.Fatal(err)
			}
		}
		p := j.start()
		limit := 1500 * time.Millisecond
		if random.IntN(4) > 0 {
			j.advance(p, 1)
			limit = 300 * time.Millisecond
		}
		hold := time.NewTimer(time.Duration(random.Int64N(int64(limit))))
		select {
		case <-hold.C:
		case <-p.done:
			t.Fatalf("kstream ended with %v before it was killed", p.cmd.ProcessState)
		}
		p.kill()
	}
	last := j.start()
	j.advance(last, 2)
	d := j.finish(last)
	if d.Compared.Aborted == 0 {
		t.Errorf("%d kills, and no attempt was ever taken back: they did not land in the work", kills)
	}
	t.Logf("%d kills: 0 lost, 0 duplicated, 0 reordered; %d records of attempts taken back", kills, d.Compared.Aborted)
}

// savepointPoints are the steps of writing a savepoint.
func savepointPoints() []string {
	return []string{"savepoint-file", "savepoint-manifest", "savepoint-named"}
}

// TestKillDuringSavepoint kills a job before and after each step of a savepoint
// that it is asked for. Under its name there is nothing or a whole savepoint, and
// the job goes on exactly.
func TestKillDuringSavepoint(t *testing.T) {
	for _, side := range []string{"before", "after"} {
		for _, point := range savepointPoints() {
			t.Run(side+"="+point, func(t *testing.T) {
				t.Parallel()
				each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
					j := newJob(t, b)
					j.in.feed(t)
					first := j.start(failpoint + side + "=" + point + ":1")
					j.advance(first, 2)
					above := filepath.Join(j.dir, "savepoints")
					path := filepath.Join(above, "s")
					if out, err := exec.Command(brokers.kstream, "savepoint", j.spec.Name, "--to", path).CombinedOutput(); err == nil {
						t.Fatalf("the savepoint was written before the job died:\n%s", out)
					}
					first.died()
					j.leftOf(above, path, side+point == "aftersavepoint-named")
					last := j.start()
					j.advance(last, 2)
					j.finish(last)
				})
			})
		}
	}
}

// leftOf demands that a savepoint that was interrupted is whole or not there, and
// that nothing else is left than a directory with a temporary name.
func (j *job) leftOf(above, path string, whole bool) {
	j.t.Helper()
	names, err := os.ReadDir(above)
	if err != nil {
		j.t.Fatal(err)
	}
	for _, name := range names {
		if temp := strings.HasPrefix(name.Name(), ".s.tmp-"); temp == whole || !temp && name.Name() != "s" {
			j.t.Errorf("the savepoint left %s", name.Name())
		}
	}
	out, err := exec.Command(brokers.kstream, "savepoint", "verify", path).CombinedOutput()
	if (err == nil) != whole {
		j.t.Errorf("kstream savepoint verify: %v\n%s", err, out)
	}
}

// restorePoints are the steps of a restore.
func restorePoints() []string {
	return []string{"restore-checked", "restore-generation", "restore-batch", "restore-switched"}
}

// TestKillDuringRestore kills a restore before and after each of its steps. The
// savepoint is that of the newest checkpoint, so that the state is the same
// whether the switch came or not: the next life must go on exactly.
func TestKillDuringRestore(t *testing.T) {
	for _, side := range []string{"before", "after"} {
		for _, point := range restorePoints() {
			t.Run(side+"="+point, func(t *testing.T) {
				t.Parallel()
				each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
					j := newJob(t, b)
					j.in.feed(t)
					first := j.start()
					j.advance(first, 2)
					path := j.stopWithSavepoint(first)
					j.startOn(j.state, []string{failpoint + side + "=" + point + ":1"}, "--from", path, "-y").died()
					last := j.start()
					j.advance(last, 2)
					j.finish(last)
				})
			})
		}
	}
}

// TestRestoreWithOtherKeyGroups goes on from a savepoint under another number of
// key groups and tasks.
func TestRestoreWithOtherKeyGroups(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		first := j.start()
		j.advance(first, 2)
		path := j.stopWithSavepoint(first)
		last := j.startOn(j.state, nil, "--from", path, "-y", "--set", "max_parallelism=11", "--parallelism", "3")
		j.advance(last, 3)
		last.kill()
		again := j.startOn(j.state, nil, "--set", "max_parallelism=11", "--parallelism", "1")
		j.advance(again, 2)
		j.finish(again)
	})
}

// chaosSavepoints is how many savepoints TestChaosSavepoint restores on a broker.
func chaosSavepoints(name string) int {
	if name == broker.Kfaked {
		return 10
	}
	return 3
}

// TestChaosSavepoint stops the job with a savepoint at random moments, and goes
// on from it with other tasks and other key groups; some of the lives are killed
// before they are stopped. The outputs must be those of one uninterrupted run.
func TestChaosSavepoint(t *testing.T) {
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		t.Logf("repeat with -seed %d", s)
		random := rand.New(rand.NewPCG(s, 2))
		j := newJob(t, b)
		j.in.feed(t)
		p := j.start()
		for range chaosSavepoints(b.Name) {
			j.advance(p, 1+random.Int64N(2))
			time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
			path := j.stopWithSavepoint(p)
			groups := 1 + random.IntN(16)
			set := []string{"--set", "max_parallelism=" + strconv.Itoa(groups), "--parallelism", strconv.Itoa(1 + random.IntN(min(groups, 4)))}
			p = j.startOn(j.state, nil, append([]string{"--from", path, "-y"}, set...)...)
			if random.IntN(3) == 0 {
				j.advance(p, 1)
				p.kill()
				p = j.startOn(j.state, nil, set...)
			}
		}
		j.advance(p, 2)
		j.finish(p)
	})
}
