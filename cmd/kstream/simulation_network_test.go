//go:build harness

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The keys of requests that faults are for.
const (
	keyProduce         = 0
	keyInitProducerID  = 22
	keyEndTxn          = 26
	keyTxnOffsetCommit = 28
)

var errCut = errors.New("the process is dead: its network is cut")

// loss says what the network does to the next requests of a key.
type loss struct {
	key    int16
	answer bool // the request arrives, its answer does not
	left   int
	until  time.Time
}

func (x loss) String() string {
	what := "request"
	if x.answer {
		what = "answer"
	}
	return "lost " + what + " of " + kmsg.NameForKey(x.key)
}

// link is the network of one process. It can be slow, lose requests and
// answers, hold everything back as if the process were frozen, and be cut for
// ever, which is what other processes notice of a kill.
type link struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)
	lost func(loss) // is told of each
	cut  chan struct{}

	mu     sync.Mutex
	rng    *rand.Rand
	delay  time.Duration // of the slowest write
	held   chan struct{} // closed when nothing is held back
	conns  map[*conn]struct{}
	losses []loss
}

func newLink(dial func(context.Context, string, string) (net.Conn, error), rng *rand.Rand, lost func(loss)) *link {
	l := &link{dial: dial, lost: lost, cut: make(chan struct{}), rng: rng, delay: latency,
		held: make(chan struct{}), conns: map[*conn]struct{}{}}
	close(l.held)
	return l
}

// latency is how long a request is on its way at most.
const latency = 2 * time.Millisecond

// conn is one connection of a process.
type conn struct {
	net.Conn
	link   *link
	closed chan struct{}
	once   sync.Once
	mute   atomic.Bool // the answer under way is lost
}

func (l *link) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if err := l.pass(ctx.Done()); err != nil {
		return nil, err
	}
	inner, err := l.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, link: l, closed: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.cut:
		inner.Close()
		return nil, errCut
	default:
	}
	l.conns[c] = struct{}{}
	return c, nil
}

// pass waits while the link is held.
func (l *link) pass(closed <-chan struct{}) error {
	l.mu.Lock()
	held := l.held
	l.mu.Unlock()
	select {
	case <-held:
	case <-l.cut:
	case <-closed:
	}
	select {
	case <-l.cut:
		return errCut
	case <-closed:
		return net.ErrClosed
	default:
		return nil
	}
}

func (l *link) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = make(chan struct{})
}

func (l *link) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held)
}

// kill cuts the link for ever. What has reached the broker is there.
func (l *link) kill() {
	l.mu.Lock()
	close(l.cut)
	var conns []*conn
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

func (l *link) slow(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *link) lose(x loss) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.losses = append(l.losses, x)
}

// weather is what happens to one write: how long it takes, and whether the
// request or its answer is lost.
func (l *link) weather(b []byte) (delay time.Duration, request, answer bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delay = time.Duration(l.rng.Int64N(int64(l.delay)))
	if len(b) < 6 {
		return delay, false, false
	}
	key := int16(binary.BigEndian.Uint16(b[4:]))
	for i := range l.losses {
		x := &l.losses[i]
		if x.key == key && x.left > 0 && time.Now().Before(x.until) {
			x.left--
			l.lost(*x)
			return delay, !x.answer, x.answer
		}
	}
	return delay, false, false
}

// Write sends one request: the client writes each with one call.
func (c *conn) Write(b []byte) (int, error) {
	delay, request, answer := c.link.weather(b)
	time.Sleep(delay)
	if err := c.link.pass(c.closed); err != nil {
		return 0, err
	}
	if request {
		c.Close()
		return 0, &net.OpError{Op: "write", Net: "virtual", Err: syscall.ECONNRESET}
	}
	if answer {
		c.mute.Store(true)
	}
	return c.Conn.Write(b)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err != nil {
		return n, err
	}
	if err := c.link.pass(c.closed); err != nil {
		return 0, err
	}
	if c.mute.Load() {
		c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.link.mu.Lock()
		delete(c.link.conns, c)
		c.link.mu.Unlock()
	})
	return c.Conn.Close()
}
