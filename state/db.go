package state

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"kstream/record"
)

// FlushBytes is how much applied state may be in memory tables only before a
// flush starts: it bounds what a restart after a kill replays.
const FlushBytes = 64 << 20

// maxValue is the longest value; maxBatch keeps a batch below Pebble's limit of
// 4 GiB, where it panics.
const (
	maxValue = 1 << 30
	maxBatch = 3 << 30
)

// Backends.
const (
	BackendDisk   = "disk"
	BackendMemory = "memory"
)

// Options say where and how a store lives.
type Options struct {
	// FS is the file system; nil is that of the machine.
	FS FS
	// Dir is the state directory, which the caller has locked (LockDir). The
	// store is in a directory below it.
	Dir string
	// Memory is the memory for all state of the instance; a quarter of it is
	// the store's cache and a quarter its write buffers. Tables have theirs by
	// TableOptions.
	Memory int64
	// Backend is "disk", also when empty, or "memory": nothing on disk.
	Backend string
	// Ballast is the size of a file that is given up when the disk is full, so
	// that the last flush and the logs still fit. 0 is none.
	Ballast int64
	// Logger takes what the store has to say; nil drops it.
	Logger func(msg string, args ...any)
	// OnFailure is called once, on any goroutine, when the store cannot go on:
	// a background write failed, or damage was found. Every later call fails
	// with the same error. nil is allowed.
	OnFailure func(err error)
}

// DB is the store of one instance. Apply, Replay, Ingest, Wipe, Flush, FlushIfOlder and
// Close are called by one goroutine; Table, Iterate, Meta and UnflushedBytes by any.
type DB struct {
	opts Options
	fs   FS
	p    *pebble.DB
	// tableOptions are those of a table written outside of Pebble.
	tableOptions sstable.WriterOptions

	failed chan struct{} // closed when cause is set
	opened atomic.Bool   // Pebble is open, what it does it does in the background
	broken chan struct{} // closed when a goroutine of Pebble has stopped in the middle of its work

	mu     sync.Mutex // guards what follows
	cause  error
	closed bool
	meta   Meta
	has    bool
	flush  flushState
	tables map[*Table]struct{}
}

// flushState counts the bytes applied that may not be on disk.
type flushState struct {
	waiting int64            // applied since the last flush began
	oldest  record.Timestamp // when the first of them were applied
	running int64            // being flushed
	done    <-chan struct{}  // closed when that flush ended
}

// Entry is one entry of a replay: the whole key, and the value as stored, nil
// for a deletion.
type Entry struct {
	Key, Value []byte
}

// Open opens the store in a state directory, and makes it if there is none.
// Errors wrap ErrLocked, ErrCorrupt (move it aside and open again),
// ErrNewerFormat or ErrNoSpace.
func Open(o Options) (*DB, error) {
	db := &DB{
		opts: o, fs: o.FS, failed: make(chan struct{}), broken: make(chan struct{}),
		tables: map[*Table]struct{}{},
	}
	switch {
	case o.Backend == BackendMemory:
		db.fs, db.opts.Dir = NewMemFS(), "state"
	case db.fs == nil:
		db.fs = DiskFS()
	}
	dir := db.opts.Dir
	if err := makeDir(db.fs, db.fs.PathJoin(dir, storeDir)); err != nil {
		return nil, err
	}
	for _, left := range []string{wipedDir, ingestFile} {
		if err := db.fs.RemoveAll(db.fs.PathJoin(dir, left)); err != nil {
			return nil, fmt.Errorf("remove what was left in %s: %w", dir, err)
		}
	}
	if err := db.open(); err != nil {
		return nil, fmt.Errorf("open local store in %s: %w", dir, err)
	}
	return db, nil
}

// open opens Pebble and reads the meta record.
func (db *DB) open() error {
	dir := db.fs.PathJoin(db.opts.Dir, storeDir)
	opts := db.pebbleOptions()
	defer opts.Cache.Unref()
	p, err := pebble.Open(dir, opts)
	if errors.Is(err, pebble.ErrDBNotPristine) {
		// A crash while the store was made: nothing was ever written to it.
		if err := removeStore(db.fs, db.opts.Dir); err != nil {
			return err
		}
		p, err = pebble.Open(dir, opts)
	}
	if err != nil {
		if isLocked(err) {
			return &LockedError{Dir: db.opts.Dir}
		}
		return classifyOpen(err)
	}
	db.p = p
	opts.EnsureDefaults()
	db.tableOptions = opts.MakeWriterOptions(ingestLevel, p.TableFormat())
	db.opened.Store(true)
	if err := db.readMeta(); err != nil {
		return errors.Join(err, p.Close())
	}
	return nil
}

func isLocked(err error) bool {
	var path *fs.PathError
	if errors.As(err, &path) {
		return false
	}
	return isLockErrno(err)
}

// readMeta reads the meta record into db.
func (db *DB) readMeta() error {
	var m Meta
	b, closer, err := db.p.Get(metaKey())
	has := err == nil
	if has {
		m, err = parseMeta(b)
		err = errors.Join(err, closer.Close())
	} else if errors.Is(err, pebble.ErrNotFound) {
		err = nil
	}
	if errors.Is(err, errMeta) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return classify(err)
	}
	db.mu.Lock()
	db.meta, db.has = m, has
	db.mu.Unlock()
	return nil
}

// Meta is the meta record as of the last Apply or Replay; ok is false for a
// store that holds nothing.
func (db *DB) Meta() (m Meta, ok bool) {
	db.mu.Lock()
	defer db.mu.Unlock()
	m = db.meta
	m.Positions = slices.Clone(m.Positions)
	return m, db.has
}

// Apply writes the deltas of all tasks for one committed epoch, or for several
// consecutive ones, together with the meta record: one batch, because half an
// epoch on disk would be a state that never was. It returns before the bytes
// are durable; the changelog has them.
func (db *DB) Apply(m Meta, deltas []*Delta) error {
	if err := db.usable(); err != nil {
		return err
	}
	if have, ok := db.Meta(); ok && m.Epoch <= have.Epoch {
		return fmt.Errorf("apply epoch %d: the local store already has epoch %d", m.Epoch, have.Epoch)
	}
	var size int64
	for _, d := range deltas {
		size += d.Bytes()
	}
	if size > maxBatch {
		return fmt.Errorf("apply epoch %d: %d bytes of changes are more than a batch holds", m.Epoch, size)
	}
	b := db.p.NewBatchWithSize(int(size) + 1024)
	for _, d := range deltas {
		err := d.Each(func(_ record.KeyGroup, key, value []byte) error {
			return put(b, key, value)
		})
		if err != nil {
			return fmt.Errorf("apply epoch %d: %w", m.Epoch, err)
		}
		if mutant("B12") {
			if b = db.splitBatch(b); b == nil {
				return errors.New("mutant B12: write failed")
			}
		}
	}
	if err := db.commit(b, m); err != nil {
		return fmt.Errorf("apply epoch %d: %w", m.Epoch, err)
	}
	return nil
}

// splitBatch is the fault B12: an epoch in more than one batch, with a flush
// between them as a full memory table would bring it.
func (db *DB) splitBatch(b *pebble.Batch) *pebble.Batch {
	if err := errors.Join(b.Commit(pebble.NoSync), db.p.Flush()); err != nil {
		return nil
	}
	return db.p.NewBatch()
}

// Replay writes entries read from the changelog during a restore. The meta
// record of every batch has the positions reached and Restoring, until the last
// one, which closes the restore.
func (db *DB) Replay(m Meta, entries []Entry) error {
	if err := db.usable(); err != nil {
		return err
	}
	b := db.p.NewBatch()
	for _, e := range entries {
		if _, err := ParseKey(e.Key); err != nil {
			return fmt.Errorf("replay changelog: %w", err)
		}
		if err := put(b, e.Key, e.Value); err != nil {
			return fmt.Errorf("replay changelog: %w", err)
		}
	}
	if err := db.commit(b, m); err != nil {
		return fmt.Errorf("replay changelog: %w", err)
	}
	return nil
}

func put(b *pebble.Batch, key, value []byte) error {
	if value == nil {
		return b.Delete(key, nil)
	}
	return b.Set(key, value, nil)
}

// commit adds the meta record to the batch and commits it.
func (db *DB) commit(b *pebble.Batch, m Meta) error {
	if err := b.Set(metaKey(), appendMeta(nil, &m), nil); err != nil {
		return classify(err)
	}
	size := int64(b.Len())
	err := db.unlessBroken(func() error { return errors.Join(b.Commit(pebble.NoSync), b.Close()) })
	if err != nil {
		return db.fail(classify(err))
	}
	// Pebble reports a failed commit to its logger only.
	if err := db.usable(); err != nil {
		return err
	}
	db.mu.Lock()
	db.meta, db.has = m, true
	db.meta.Positions = slices.Clone(m.Positions)
	f := &db.flush
	if f.waiting == 0 {
		f.oldest = m.Wall
	}
	f.waiting += size
	start := f.waiting >= FlushBytes
	db.mu.Unlock()
	if start {
		return db.startFlush()
	}
	return nil
}

// UnflushedBytes is how much of what was applied may not be on disk.
func (db *DB) UnflushedBytes() int64 {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.flush.poll()
	return db.flush.waiting + db.flush.running
}

// poll notices the end of a flush.
func (f *flushState) poll() {
	if f.done == nil {
		return
	}
	select {
	case <-f.done:
		f.done, f.running = nil, 0
	default:
	}
}

// FlushIfOlder starts a flush in the background if something applied before
// cutoff (by Meta.Wall) is not on disk. The caller has the clock.
func (db *DB) FlushIfOlder(cutoff record.Timestamp) error {
	db.mu.Lock()
	old := db.flush.waiting > 0 && db.flush.oldest < cutoff
	db.mu.Unlock()
	if !old {
		return nil
	}
	return db.startFlush()
}

// startFlush rotates the memory table and lets it be written behind our back,
// unless a flush is still running.
func (db *DB) startFlush() error {
	if err := db.usable(); err != nil {
		return err
	}
	db.mu.Lock()
	db.flush.poll()
	busy := db.flush.done != nil
	db.mu.Unlock()
	if busy {
		return nil
	}
	done, err := db.rotate()
	if err != nil {
		return db.fail(classify(err))
	}
	db.mu.Lock()
	f := &db.flush
	f.done, f.running, f.waiting = done, f.waiting, 0
	db.mu.Unlock()
	return nil
}

// rotate makes the memory table one to be flushed; the channel is closed when it
// is on disk.
func (db *DB) rotate() (<-chan struct{}, error) {
	var done <-chan struct{} // of the call, which may outlive this one
	err := db.unlessBroken(func() (err error) {
		done, err = db.p.AsyncFlush()
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// unlessBroken runs a call that may wait for Pebble's background work, and stops
// waiting when that has failed: Pebble tries for ever, or is stuck.
func (db *DB) unlessBroken(call func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- call() }()
	select {
	case err := <-ended:
		return err
	case <-db.failed:
		return db.usable()
	}
}

// Flush returns when everything applied is on disk.
func (db *DB) Flush() error {
	if err := db.usable(); err != nil {
		return err
	}
	done, err := db.rotate()
	if err != nil {
		return db.fail(classify(err))
	}
	select {
	case <-done:
	case <-db.failed: // Pebble tries a failed flush again for ever
		return db.usable()
	}
	db.mu.Lock()
	db.flush = flushState{}
	db.mu.Unlock()
	return nil
}

// Wipe makes the store empty. No table may be open.
func (db *DB) Wipe() error {
	db.mu.Lock()
	n := len(db.tables)
	db.mu.Unlock()
	if n > 0 {
		return fmt.Errorf("wipe local store: %d tables are open", n)
	}
	if err := db.usable(); err != nil {
		return err
	}
	db.opened.Store(false)
	err := db.p.Close()
	if err == nil {
		err = removeStore(db.fs, db.opts.Dir)
	}
	if err == nil {
		db.mu.Lock()
		db.flush = flushState{}
		db.mu.Unlock()
		err = db.open()
	}
	if err != nil {
		return db.fail(fmt.Errorf("wipe local store: %w", classify(err)))
	}
	return nil
}

// Iterate calls fn with the committed entries whose key begins with prefix, in
// order, as of one moment. Key and value are valid during the call; value is as
// stored (see Value). The meta record is not among them.
func (db *DB) Iterate(prefix []byte, fn func(key, value []byte) error) error {
	if err := db.usable(); err != nil {
		return err
	}
	upper := nextPrefix(nil, prefix)
	if upper == nil {
		upper = metaKey()
	}
	it, err := db.p.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: upper})
	if err != nil {
		return classify(err)
	}
	for it.First(); it.Valid(); it.Next() {
		v, err := it.ValueAndErr()
		if err == nil {
			err = fn(it.Key(), v)
		}
		if err != nil {
			return db.damage(errors.Join(err, it.Close()))
		}
	}
	return db.damage(errors.Join(it.Error(), it.Close()))
}

// usable is the reason why the store cannot be used, or nil.
func (db *DB) usable() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.closed {
		return ErrClosed
	}
	return db.cause
}

// fail makes err the reason for which everything after it fails, unless there
// is one already, and returns the reason.
func (db *DB) fail(err error) error {
	db.mu.Lock()
	first := db.cause == nil && !db.closed
	if first {
		db.cause = err
		close(db.failed)
	}
	cause := db.cause
	db.mu.Unlock()
	if first && db.opts.OnFailure != nil {
		db.opts.OnFailure(err)
	}
	if cause == nil {
		return err
	}
	return cause
}

// damage classifies an error of a read; a store that reported corruption does
// not answer another one.
func (db *DB) damage(err error) error {
	err = classify(err)
	if errors.Is(err, ErrCorrupt) {
		return db.fail(err)
	}
	return err
}

// Close closes the store, and the tables with it, as it is: what was not
// flushed is replayed from the changelog. The owners of the tables must have
// stopped. After a failed write the failure is returned at once, and the files may
// stay open and locked until the process ends; after damage that was read they
// are closed, so that the store can be moved aside.
func (db *DB) Close() error {
	db.mu.Lock()
	if db.closed {
		db.mu.Unlock()
		return nil
	}
	db.closed = true
	tables, cause := db.tables, db.cause
	db.tables = nil
	db.mu.Unlock()
	ended := make(chan error, 1)
	go func() {
		var errs []error
		for t := range tables {
			errs = append(errs, t.disk.close())
		}
		ended <- errors.Join(append(errs, db.p.Close())...)
	}()
	if cause != nil && !errors.Is(cause, ErrCorrupt) {
		return cause // Pebble may be waiting for a write that never succeeds
	}
	select {
	case err := <-ended:
		return classify(err)
	case <-db.broken:
		return fmt.Errorf("close local store: %w", errStuck)
	}
}

// stop notes that a goroutine of Pebble stops with its lock held.
func (db *DB) stop() {
	db.mu.Lock()
	defer db.mu.Unlock()
	if !db.stopped() {
		close(db.broken)
	}
}

// stopped reports whether Pebble must not be waited for any more.
func (db *DB) stopped() bool {
	select {
	case <-db.broken:
		return true
	default:
		return false
	}
}
