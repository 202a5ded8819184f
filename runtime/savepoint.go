package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kstream/changelog"
	"kstream/checkpoint"
	"kstream/record"
	"kstream/savepoint"
	"kstream/state"
	"kstream/topology"
)

// storeEntries are the entries of the stores that a checkpoint names, in a
// snapshot.
type storeEntries struct {
	snapshot *state.Snapshot
	ids      []state.StoreID
	ctx      context.Context
}

// Range implements savepoint.Entries.
func (e *storeEntries) Range(first, last record.KeyGroup, fn func(key, value []byte) error) error {
	n := 0
	return e.snapshot.Range(e.ids, first, last, func(key, value []byte) error {
		if n++; n&0x3ff == 0 && e.ctx.Err() != nil {
			return context.Cause(e.ctx)
		}
		return fn(key, value)
	})
}

func entriesOf(ctx context.Context, s *state.Snapshot, r *checkpoint.Record) *storeEntries {
	e := &storeEntries{snapshot: s, ctx: ctx}
	for _, st := range r.Stores {
		if !st.Retired {
			e.ids = append(e.ids, state.StoreID(st.ID))
		}
	}
	return e
}

// savepointContent is what a savepoint holds beside the state.
func savepointContent(spec *topology.Spec, r *checkpoint.Record, cluster, version string) (*savepoint.Content, error) {
	c, err := savepoint.FromRecord(r, cluster)
	if err != nil {
		return nil, err
	}
	return &savepoint.Content{
		Pipeline: r.Pipeline, Version: version, Created: time.Now(), MaxParallelism: r.Plan.MaxParallelism, Checkpoint: c,
		PipelineYAML: []byte(strings.Join(spec.Lines, "\n") + "\n"), ResolvedYAML: topology.ConfigText(spec, topology.WithDefaults),
	}, nil
}

// SavepointName is the directory a savepoint gets below that of its pipeline.
func SavepointName(at time.Time, n checkpoint.Epoch) string {
	return fmt.Sprintf("%s-%06d", at.UTC().Format("2006-01-02T150405Z"), n)
}

// Offline are the needs of a savepoint that is taken from the broker alone.
type Offline struct {
	Plan    *topology.Plan
	Client  *Client
	FS      state.FS
	Dir     string // of a store that sorts the entries; it is removed by the caller
	Version string
	Make    func(checkpoint.Epoch) (savepoint.Directory, error)
	// Progress is told how far the changelog was read.
	Progress func(read, left int64)
}

// offlineTries is how often a checkpoint may be committed while the changelog is
// being read.
const offlineTries = 10

// TakeOffline writes a savepoint of the newest checkpoint: 16.2. It only reads.
// Compaction may remove an entry below the end offsets of checkpoint c because a
// later one replaced it; as long as the newest record is still that of c, no
// later one exists.
func TakeOffline(ctx context.Context, o *Offline) (*savepoint.Manifest, error) {
	broker, err := o.Client.Topics.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	settled := func(r *checkpoint.Record) error {
		if len(r.Handles) > 0 {
			return refuse(6, "start the pipeline once, and stop it with --savepoint",
				"checkpoint %d has %d prepared pieces of sinks that may not be committed yet", r.Epoch, len(r.Handles))
		}
		return nil
	}
	var m *savepoint.Manifest
	err = o.replay(ctx, settled, func(db *state.DB, r *checkpoint.Record) error {
		m, err = o.write(ctx, db, r, broker.ClusterID)
		return err
	})
	return m, err
}

// replay reads the state of the newest checkpoint that check accepts into the
// store, and calls fn with it.
func (o *Offline) replay(ctx context.Context, check func(*checkpoint.Record) error, fn func(*state.DB, *checkpoint.Record) error) error {
	r, err := o.newest(ctx)
	if err == nil {
		err = check(r)
	}
	if err != nil {
		return err
	}
	db, err := state.Open(state.Options{FS: o.FS, Dir: o.Dir, Memory: 256 << 20})
	if err != nil {
		return storeFailure(err)
	}
	defer db.Close()
	from := make([]record.Offset, len(r.Changelog.Ends))
	for range offlineTries {
		if err := o.read(ctx, db, r, from); err != nil {
			return err
		}
		again, err := o.newest(ctx)
		if err != nil {
			return err
		}
		if again.Epoch == r.Epoch && again.Owner == r.Owner {
			return fn(db, r)
		}
		if again.Changelog.TopicID != r.Changelog.TopicID {
			return refuse(6, "try again", "the pipeline was restored from a savepoint meanwhile")
		}
		from, r = r.Changelog.Ends, again
	}
	return refuse(8, "stop the pipeline first, or ask it",
		"the pipeline commits checkpoints faster than its changelog can be read")
}

// Newest is the newest checkpoint record of a pipeline, which is only read.
func Newest(ctx context.Context, plan *topology.Plan, client *Client) (*checkpoint.Record, error) {
	return (&Offline{Plan: plan, Client: client}).newest(ctx)
}

// newest is the newest checkpoint record of the pipeline.
func (o *Offline) newest(ctx context.Context) (*checkpoint.Record, error) {
	prefix, name := o.Plan.Spec.InternalTopics.Prefix, o.Plan.Name
	topic := checkpoint.CheckpointTopic(prefix, name)
	infos, err := o.Client.Topics.Topics(ctx, []string{topic})
	if err != nil {
		return nil, err
	}
	if len(infos) == 0 {
		return nil, refuse(7, "it may have another name or prefix, or never ran on this cluster", "there is no checkpoint of %s: the topic %s does not exist", name, topic)
	}
	bounds, err := o.Client.Log.Bounds(ctx, topic)
	if err != nil {
		return nil, err
	}
	n, err := readCheckpoints(ctx, o.Client.Log, topic, []record.Offset{bounds[0].End}, record.Timestamp(time.Now().UnixMilli()))
	if err != nil {
		return nil, err
	}
	r, err := checkpoint.DecodeRecord(0, n.parts)
	if errors.Is(err, checkpoint.ErrNoRecord) {
		return nil, refuse(7, "", "there is no checkpoint of %s yet", name)
	}
	if err != nil {
		return nil, refuse(6, "", "the checkpoint record cannot be read: %v", err)
	}
	return r, nil
}

// read brings the changelog from some positions to the ends of r into db.
func (o *Offline) read(ctx context.Context, db *state.DB, r *checkpoint.Record, from []record.Offset) error {
	topic := r.Changelog.Topic
	infos, err := o.Client.Topics.Topics(ctx, []string{topic})
	if err != nil {
		return err
	}
	if infos[topic].ID != r.Changelog.TopicID {
		return stateMissing("the changelog %s was deleted or made again", topic)
	}
	bounds, err := o.Client.Log.Bounds(ctx, topic)
	if err != nil {
		return err
	}
	for p, end := range r.Changelog.Ends {
		if p >= len(bounds) || bounds[p].End < end || bounds[p].Start > 0 {
			return refuse(6, "", "%s/%d does not hold what checkpoint %d says: it has %d to %d, the checkpoint ends at %d",
				topic, p, r.Epoch, bounds[p].Start, bounds[p].End, end)
		}
	}
	meta := state.Meta{Epoch: uint64(r.Epoch), Owner: r.Owner.ID(), Generation: r.Changelog.Generation, TopicID: r.Changelog.TopicID, Wall: r.Wall}
	replayer := changelog.NewReplayer(db, meta, from, r.Changelog.Ends)
	if err := o.Client.Log.ReadAll(ctx, rangesOf(topic, from, r.Changelog.Ends), replayer.Add, o.Progress); err != nil {
		return err
	}
	if err := replayer.Finish(r.Wall); err != nil {
		return storeFailure(err)
	}
	return nil
}

func (o *Offline) write(ctx context.Context, db *state.DB, r *checkpoint.Record, cluster string) (*savepoint.Manifest, error) {
	content, err := savepointContent(o.Plan.Spec, r, cluster, o.Version)
	if err != nil {
		return nil, err
	}
	snapshot, err := db.Snapshot()
	if err != nil {
		return nil, storeFailure(err)
	}
	defer snapshot.Close()
	dir, err := o.Make(r.Epoch)
	if err != nil {
		return nil, err
	}
	return savepoint.Write(dir, content, entriesOf(ctx, snapshot, r))
}

// diskDirectory is a directory under a temporary name.
type diskDirectory struct {
	temp, final string
}

// NewDirectory makes the directory of a savepoint, and those above it, which
// becomes path at its Commit. It is an error if there is something already.
func NewDirectory(path string) (savepoint.Directory, error) {
	if _, err := os.Lstat(path); err == nil {
		return nil, refuse(5, "name another place", "%s exists already", path)
	}
	parent := filepath.Dir(path)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return nil, refuse(5, "", "make the directory of the savepoint: %v", err)
	}
	temp, err := os.MkdirTemp(parent, "."+filepath.Base(path)+".tmp-")
	if err != nil {
		return nil, refuse(5, "", "make the directory of the savepoint: %v", err)
	}
	return &diskDirectory{temp: temp, final: path}, nil
}

// Create implements savepoint.Directory.
func (d *diskDirectory) Create(name string) (io.WriteCloser, error) {
	path := filepath.Join(d.temp, filepath.FromSlash(name))
	if strings.Contains(name, "/") {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return syncedFile{f}, nil
}

// syncedFile is on the disk when its Close returns.
type syncedFile struct{ *os.File }

// Close implements io.Closer.
func (f syncedFile) Close() error { return errors.Join(f.Sync(), f.File.Close()) }

// Commit implements savepoint.Directory.
func (d *diskDirectory) Commit() error {
	for _, dir := range []string{filepath.Join(d.temp, "state"), d.temp} {
		if err := syncDirectory(dir); err != nil {
			return err
		}
	}
	if err := os.Rename(d.temp, d.final); err != nil {
		return err
	}
	return syncDirectory(filepath.Dir(d.final))
}

// Abandon implements savepoint.Directory.
func (d *diskDirectory) Abandon() error { return os.RemoveAll(d.temp) }

func syncDirectory(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
