package kafka

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"

	"kstream/record"
)

const (
	slabRecords = 512
	slabBytes   = 256 << 10
	slabHeaders = 512
	// slabsFree is how many empty slabs wait for use: more than the client
	// buffers records for.
	slabsFree = 64
)

// slab is memory for 512 records on their way to the broker: the client's
// records, their headers and one buffer for keys and values. It goes back to
// the pool when the last promise of its records ran, so that producing
// allocates nothing once the pool is warm.
//
// The slab is the Context of its records, which is how the one promise function
// of a session finds it without a closure per record. As a context it never
// ends (G27).
type slab struct {
	context.Context
	// pending counts the records without a promise, plus one while the slab is
	// being filled.
	pending atomic.Int32
	n       int
	records [slabRecords]kgo.Record
	buf     []byte
	headers []kgo.RecordHeader
}

// slabPool gives out records. Its mutex is never held while the client is
// called and no promise takes it (G25).
type slabPool struct {
	free chan *slab

	mu  sync.Mutex
	cur *slab
}

func newSlabPool() *slabPool { return &slabPool{free: make(chan *slab, slabsFree)} }

// take copies m into a record of the current slab.
func (p *slabPool) take(m *record.Message) *kgo.Record {
	size := len(m.Key) + len(m.Value)
	for i := range m.Headers {
		size += len(m.Headers[i].Key) + len(m.Headers[i].Value)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.cur
	if s == nil || s.n == slabRecords || cap(s.buf)-len(s.buf) < size || cap(s.headers)-len(s.headers) < len(m.Headers) {
		p.retire()
		s = p.next(size, len(m.Headers))
		p.cur = s
	}
	r := &s.records[s.n]
	s.n++
	s.pending.Add(1)
	r.Topic, r.Partition = m.Topic, m.Partition
	r.Timestamp = time.UnixMilli(int64(m.Time))
	r.Key, r.Value = s.copy(m.Key), s.copy(m.Value)
	r.Headers = s.copyHeaders(m.Headers)
	r.Context = s
	return r
}

// retire gives up the slab being filled; its last promise will put it back.
func (p *slabPool) retire() {
	if p.cur != nil {
		p.done(p.cur)
		p.cur = nil
	}
}

// done counts one of pending down.
func (p *slabPool) done(s *slab) {
	if s.pending.Add(-1) > 0 {
		return
	}
	if cap(s.buf) > slabBytes || cap(s.headers) > slabHeaders {
		return
	}
	select {
	case p.free <- s:
	default:
	}
}

// next is an empty slab with room for size bytes.
func (p *slabPool) next(size, headers int) *slab {
	var s *slab
	if size <= slabBytes && headers <= slabHeaders {
		select {
		case s = <-p.free:
		default:
		}
	}
	if s == nil {
		s = &slab{
			Context: context.Background(),
			buf:     make([]byte, 0, max(size, slabBytes)),
			headers: make([]kgo.RecordHeader, 0, max(headers, slabHeaders)),
		}
	}
	s.n, s.buf, s.headers = 0, s.buf[:0], s.headers[:0]
	s.pending.Store(1)
	return s
}

// copy keeps nil: a nil value is a tombstone, an empty one is not.
func (s *slab) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	from := len(s.buf)
	s.buf = append(s.buf, b...)
	return s.buf[from:len(s.buf):len(s.buf)]
}

func (s *slab) copyHeaders(in []record.Header) []kgo.RecordHeader {
	if len(in) == 0 {
		return nil
	}
	from := len(s.headers)
	for i := range in {
		from := len(s.buf)
		s.buf = append(s.buf, in[i].Key...)
		key := unsafe.String(unsafe.SliceData(s.buf[from:]), len(in[i].Key))
		s.headers = append(s.headers, kgo.RecordHeader{Key: key, Value: s.copy(in[i].Value)})
	}
	return s.headers[from:len(s.headers):len(s.headers)]
}
