package testcontainers

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kstream/testcontainers/broker"
)

// ownerWithin is how soon a second process finds out that it has no business
// here: it watches for the owner's next commits before it refuses.
const ownerWithin = 20 * time.Second

// says demands words in the output of a process.
func (p *process) says(words ...string) {
	p.j.t.Helper()
	out := p.output()
	for _, w := range words {
		if !strings.Contains(out, w) {
			p.j.t.Errorf("kstream does not say %q:\n%s", w, out)
		}
	}
}

func (p *process) pid() string { return "pid " + strconv.Itoa(p.cmd.Process.Pid) }

// TestSecondProcessNamesTheOwner starts a second process with the same pipeline
// name on another host: it refuses, says who runs it, and disturbs nothing.
func TestSecondProcessNamesTheOwner(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		host, err := os.Hostname()
		if err != nil {
			t.Fatal(err)
		}
		j := newJob(t, b)
		j.in.feed(t)
		first := j.start()
		j.advance(first, 2)
		second := j.startOn(filepath.Join(j.dir, "other"), nil)
		second.exits(exitRefused, ownerWithin)
		second.says(host, first.pid(), j.spec.Name)
		j.advance(first, 3)
		j.finish(first)
		if n := strings.Count(first.output(), "fence"); n > 1 {
			t.Logf("the owner's log speaks of fencing %d times", n)
		}
	})
}

// TestSecondProcessOnOneStateDirectory is the same on one host.
func TestSecondProcessOnOneStateDirectory(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		first := j.start()
		j.advance(first, 2)
		second := j.start()
		second.exits(exitRefused, ownerWithin)
		second.says("in use", first.pid())
		j.advance(first, 3)
		j.finish(first)
	})
}

// TestFrozenProcessThatWakesUp freezes the owner, lets another process take over,
// and wakes it: it has changed nothing and ends as refused.
func TestFrozenProcessThatWakesUp(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		frozen := j.start()
		j.advance(frozen, 3)
		frozen.signal(syscall.SIGSTOP)
		second := j.startOn(filepath.Join(j.dir, "other"), nil)
		j.advance(second, 3)
		frozen.signal(syscall.SIGCONT)
		frozen.exits(exitRefused, ownerWithin)
		frozen.says("fenced", second.pid())
		j.advance(second, 3)
		j.finish(second)
	})
}

// TestFrozenLongerThanTheTransactionTimeout freezes the only process until the
// broker has taken its transaction back: it falls back and goes on by itself.
func TestFrozenLongerThanTheTransactionTimeout(t *testing.T) {
	const transactionTimeout = 11 * time.Second // of the pipeline
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		p := j.start()
		j.advance(p, 3)
		p.signal(syscall.SIGSTOP)
		<-time.NewTimer(transactionTimeout * 3 / 2).C
		p.signal(syscall.SIGCONT)
		j.advance(p, 3)
		j.finish(p)
	})
}

// TestStateDirectoryOfTheDead starts on another host after a kill: the state
// comes from the changelog alone.
func TestStateDirectoryOfTheDead(t *testing.T) {
	each(t, outside(), broker.Capabilities{}, func(t *testing.T, b *broker.Broker) {
		j := newJob(t, b)
		j.in.feed(t)
		for i := range 3 {
			p := j.startOn(filepath.Join(j.dir, fmt.Sprint("host-", i)), nil)
			j.advance(p, 3)
			p.kill()
		}
		last := j.startOn(filepath.Join(j.dir, "last"), nil)
		j.advance(last, 2)
		j.finish(last)
	})
}
