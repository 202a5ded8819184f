package savepoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"kstream/checkpoint"
	"kstream/codec"
	"kstream/record"
	"kstream/state"
)

// memory is a Directory in memory.
type memory struct {
	files     fstest.MapFS
	committed bool
	failOn    string
}

type memFile struct {
	bytes.Buffer
	dir  *memory
	name string
}

func (m *memory) Create(name string) (io.WriteCloser, error) {
	if name == m.failOn {
		return nil, errors.New("no space")
	}
	return &memFile{dir: m, name: name}, nil
}

func (f *memFile) Close() error {
	f.dir.files[f.name] = &fstest.MapFile{Data: f.Bytes(), Mode: 0o600}
	return nil
}

func (m *memory) Commit() error  { m.committed = true; return nil }
func (m *memory) Abandon() error { m.files = fstest.MapFS{}; return nil }

// entry is one entry of a test state.
type entry struct{ key, value []byte }

// entries are sorted by their keys within every range of key groups.
type entries []entry

func (e entries) Range(first, last record.KeyGroup, fn func(key, value []byte) error) error {
	for _, x := range e {
		a, err := state.ParseKey(x.key)
		if err != nil {
			return err
		}
		if a.Group >= first && a.Group <= last {
			if err := fn(x.key, x.value); err != nil {
				return err
			}
		}
	}
	return nil
}

const groups = 40

// sampleState has n entries of two stores in order of their keys.
func sampleState(t *testing.T, n int, seed uint64) entries {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	var all entries
	for i := range n {
		key, err := codec.AppendKey(nil, record.String(fmt.Sprintf("user-%06d", i)))
		if err != nil {
			t.Fatal(err)
		}
		g := record.KeyGroupOf(key, groups)
		value := make([]byte, 1+r.IntN(40))
		for k := range value {
			value[k] = byte(r.Uint32())
		}
		if i%7 == 0 {
			value = bytes.Repeat([]byte{1}, 3000) // compresses further than a reader accepts
		}
		all = append(all, entry{state.AppendKey(nil, state.StoreID(1+i%2), g, int64(i%3), key), value})
	}
	sortEntries(all)
	return all
}

func sortEntries(all entries) {
	for i := 1; i < len(all); i++ {
		for k := i; k > 0 && bytes.Compare(all[k-1].key, all[k].key) > 0; k-- {
			all[k-1], all[k] = all[k], all[k-1]
		}
	}
}

func sampleContent(t *testing.T) *Content {
	t.Helper()
	c, err := FromRecord(&checkpoint.Record{
		Pipeline: "orders", Epoch: 438, Wall: 1_800_000_000_123,
		Plan: checkpoint.Fingerprint{MaxParallelism: groups, Nodes: []checkpoint.NodePrint{
			{UID: "a/aggregate", Operator: "aggregate", Layout: 1, KeyType: "string", Text: "count()"},
			{UID: "b/aggregate", Operator: "aggregate", Layout: 1, KeyType: "string", Text: "sum(x)"},
		}},
		Sources: []checkpoint.SourcePosition{{UID: "source:orders", Topic: "orders", TopicID: record.TopicID{1, 2}, Partition: 3,
			Offset: 99, LeaderEpoch: 4, Watermark: record.MinTimestamp, Idle: true, Stop: -1, Ended: true, LastTime: 17}},
		Stores: []checkpoint.StoreEntry{{UID: "a/aggregate", ID: 1}, {UID: "b/aggregate", ID: 2}, {UID: "old", ID: 3, Retired: true}},
		Chains: []checkpoint.ChainWatermark{{Chain: "a", Watermark: record.MaxTimestamp}},
		Origin: "savepoints/x",
	}, "cluster-1")
	if err != nil {
		t.Fatal(err)
	}
	return &Content{Pipeline: "orders", Version: "0.1.0", Created: time.UnixMilli(1_800_000_001_000), MaxParallelism: groups,
		Checkpoint: c, PipelineYAML: []byte("name: orders\n"), ResolvedYAML: []byte("name: orders\n")}
}

func written(t *testing.T, e entries) fstest.MapFS {
	t.Helper()
	dir := &memory{files: fstest.MapFS{}}
	if _, err := Write(dir, sampleContent(t), e); err != nil {
		t.Fatal(err)
	}
	if !dir.committed {
		t.Fatal("the directory was not committed")
	}
	return dir.files
}

func readAll(t *testing.T, s *Savepoint) entries {
	t.Helper()
	var all entries
	err := s.Entries(context.Background(), func(_ record.KeyGroup, key, value []byte) error {
		all = append(all, entry{bytes.Clone(key), bytes.Clone(value)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 3000} {
		e := sampleState(t, n, uint64(n))
		s, err := Open(context.Background(), written(t, e))
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s)
		sortEntries(got)
		if len(got) != n || s.Manifest.Entries != int64(n) {
			t.Fatalf("%d entries and %d in the manifest, want %d", len(got), s.Manifest.Entries, n)
		}
		for i := range got {
			if !bytes.Equal(got[i].key, e[i].key) || !bytes.Equal(got[i].value, e[i].value) {
				t.Fatalf("entry %d differs", i)
			}
		}
		c := sampleContent(t)
		var inStores int64
		for i := range s.Checkpoint.Stores {
			st := &s.Checkpoint.Stores[i]
			inStores += st.Entries
			if (st.Entries == 0) != (st.Bytes == 0) {
				t.Errorf("store %+v", st)
			}
			st.Entries, st.Bytes = 0, 0
		}
		if inStores != int64(n) {
			t.Errorf("the stores have %d entries of %d", inStores, n)
		}
		have, _ := json.Marshal(s.Checkpoint)
		want, _ := json.Marshal(c.Checkpoint)
		if !bytes.Equal(have, want) || string(s.Pipeline) != "name: orders\n" {
			t.Errorf("checkpoint %s\nwant %s", have, want)
		}
		r := s.Checkpoint.Record()
		if r.Epoch != 438 || len(r.Sources) != 1 || r.Sources[0].TopicID != (record.TopicID{1, 2}) || r.Sources[0].LastTime != 17 ||
			len(r.Stores) != 2 || r.Plan.Nodes[1].Text != "sum(x)" || r.Chains[0].Watermark != record.MaxTimestamp {
			t.Errorf("record %+v", r)
		}
	}
}

// TestDamageIsRefused cuts and flips at random: either the savepoint is refused
// by the name of a file, or nothing of what it says has changed.
func TestDamageIsRefused(t *testing.T) {
	e := sampleState(t, 400, 3)
	clean := written(t, e)
	var names []string
	for name := range clean {
		names = append(names, name)
	}
	r := rand.New(rand.NewPCG(11, 12))
	for i := range 1000 {
		files := fstest.MapFS{}
		for name, f := range clean {
			files[name] = &fstest.MapFile{Data: bytes.Clone(f.Data), Mode: f.Mode}
		}
		name := names[r.IntN(len(names))]
		f := files[name]
		if len(f.Data) == 0 {
			continue
		}
		at := r.IntN(len(f.Data))
		if i%2 == 0 {
			f.Data = f.Data[:at]
		} else {
			f.Data[at] ^= 1 << r.IntN(8)
		}
		s, err := Open(context.Background(), files)
		var damage *DamagedError
		if err != nil {
			if !errors.As(err, &damage) || damage.File == "" {
				t.Fatalf("%s at %d: the error names no file: %v", name, at, err)
			}
			continue
		}
		// What is left is a change of the manifest that nothing depends on.
		if name != ManifestName || len(readAll(t, s)) != len(e) || s.Manifest.Checkpoint != 438 {
			t.Fatalf("%s damaged at %d was accepted", name, at)
		}
	}
}

func TestHostileManifestsAreRefused(t *testing.T) {
	clean := written(t, sampleState(t, 50, 1))
	for name, c := range map[string]struct {
		edit func(m *Manifest, files fstest.MapFS)
		want string
	}{
		"other kind":       {func(m *Manifest, _ fstest.MapFS) { m.Kind = "Backup" }, "is of kind"},
		"newer format":     {func(m *Manifest, _ fstest.MapFS) { m.Format = 2 }, "newer kstream"},
		"no format":        {func(m *Manifest, _ fstest.MapFS) { m.Format = 0 }, "format 0"},
		"path outside":     {func(m *Manifest, _ fstest.MapFS) { m.Files[len(m.Files)-1].Name = "../kg-0032-0039.part" }, "is no file of a savepoint"},
		"path of the root": {func(m *Manifest, _ fstest.MapFS) { m.Files[len(m.Files)-1].Name = "state/../../etc/passwd" }, "is no file of a savepoint"},
		"absolute path":    {func(m *Manifest, _ fstest.MapFS) { m.Files[0].Name = "/etc/passwd" }, "is no file of a savepoint"},
		"negative size":    {func(m *Manifest, _ fstest.MapFS) { m.Files[len(m.Files)-1].Bytes = -1 }, "impossible size"},
		"huge size":        {func(m *Manifest, _ fstest.MapFS) { m.Files[len(m.Files)-1].Bytes = 1 << 41 }, "impossible size"},
		"groups missing":   {func(m *Manifest, f fstest.MapFS) { drop(m, f, "state/kg-0016-0031.part") }, "do not cover key group 16"},
		"text missing":     {func(m *Manifest, f fstest.MapFS) { drop(m, f, ResolvedName) }, "resolved.yaml is missing"},
		"part missing":     {func(_ *Manifest, f fstest.MapFS) { delete(f, "state/kg-0000-0015.part") }, "state/kg-0000-0015.part"},
		"extra part":       {func(_ *Manifest, f fstest.MapFS) { f["state/kg-0040-0055.part"] = &fstest.MapFile{Mode: 0o600} }, "does not name"},
		"extra directory":  {func(_ *Manifest, f fstest.MapFS) { f["more/x"] = &fstest.MapFile{Mode: 0o600} }, "does not belong"},
		"symbolic link": {func(_ *Manifest, f fstest.MapFS) {
			f["state/kg-0000-0015.part"] = &fstest.MapFile{Data: []byte("/etc/passwd"), Mode: fs.ModeSymlink | 0o777}
		}, "not a plain file"},
		"device": {func(_ *Manifest, f fstest.MapFS) {
			f["state/kg-0000-0015.part"] = &fstest.MapFile{Mode: fs.ModeDevice | 0o600}
		}, "not a plain file"},
		"entries invented": {func(m *Manifest, _ fstest.MapFS) { m.Files[len(m.Files)-1].Entries++; m.Entries++ }, "entries, the manifest says"},
		"many groups":      {func(m *Manifest, _ fstest.MapFS) { m.MaxParallelism = 1 << 30 }, "outside of 1 to 1024"},
		"other checkpoint": {func(m *Manifest, _ fstest.MapFS) { m.Checkpoint = 7 }, "it is of checkpoint 438"},
		"other pipeline":   {func(m *Manifest, _ fstest.MapFS) { m.Pipeline = "payments" }, "it is of checkpoint 438"},
	} {
		t.Run(name, func(t *testing.T) {
			files := fstest.MapFS{}
			for name, f := range clean {
				files[name] = &fstest.MapFile{Data: bytes.Clone(f.Data), Mode: f.Mode}
			}
			m, err := decodeManifest(files[ManifestName].Data)
			if err != nil {
				t.Fatal(err)
			}
			c.edit(m, files)
			m.Bytes = 0
			for _, f := range m.Files {
				m.Bytes += f.Bytes
			}
			files[ManifestName].Data, err = m.encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Open(context.Background(), files); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func drop(m *Manifest, files fstest.MapFS, name string) {
	for i, f := range m.Files {
		if f.Name == name {
			m.Files = append(m.Files[:i], m.Files[i+1:]...)
			m.Entries -= f.Entries
			break
		}
	}
	delete(files, name)
}

func TestNothingIsLeftOfAFailedWrite(t *testing.T) {
	for _, at := range []string{CheckpointName, "state/kg-0016-0031.part", ManifestName} {
		dir := &memory{files: fstest.MapFS{}, failOn: at}
		if _, err := Write(dir, sampleContent(t), sampleState(t, 10, 1)); err == nil || !strings.Contains(err.Error(), at) {
			t.Errorf("%s: error %v", at, err)
		}
		if dir.committed || len(dir.files) > 0 {
			t.Errorf("%s: %d files are left", at, len(dir.files))
		}
	}
}

func TestUnconfirmedHandlesAreNotCarried(t *testing.T) {
	_, err := FromRecord(&checkpoint.Record{Epoch: 4, Handles: []checkpoint.Handle{{Sink: "sink:files", Epoch: 4}}}, "c")
	if err == nil || !strings.Contains(err.Error(), "not committed yet") {
		t.Errorf("error %v", err)
	}
}

func TestGroupFollowsTheEncodedKey(t *testing.T) {
	key, err := codec.AppendKey(nil, record.String("a"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := Group(append(bytes.Clone(key), 3, 0, 'x'), 48)
	if err != nil || g != record.KeyGroupOf(key, 48) {
		t.Errorf("group %d, %v; want %d", g, err, record.KeyGroupOf(key, 48))
	}
	if _, err := Group([]byte{0xff, 1}, 48); err == nil {
		t.Error("a key that is none has a group")
	}
}

// FuzzPart reads any bytes as a part: it ends with an error or with entries, and
// never needs more memory than the bytes warrant.
func FuzzPart(f *testing.F) {
	z, err := codec.NewZstd(maxFrame)
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	p, err := newPartWriter(&b, z)
	if err == nil {
		err = p.add([]byte("key"), []byte("value"))
	}
	if err == nil {
		err = p.flush()
	}
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Add([]byte("kstp\x01"))
	f.Add([]byte("kstp\x01\x01\xff\xff\xff\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readPart(bytes.NewReader(b), z, func(key, value []byte) error { return nil })
	})
}

func BenchmarkWrite(b *testing.B) {
	t := &testing.T{}
	e := sampleState(t, 2000, 5)
	c := sampleContent(t)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Write(&memory{files: fstest.MapFS{}}, c, e); err != nil {
			b.Fatal(err)
		}
	}
}
