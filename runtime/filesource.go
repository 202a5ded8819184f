package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"
	"time"

	"kstream/checkpoint"
	"kstream/record"
	"kstream/source"
	"kstream/topology"
)

const (
	followEvery = 200 * time.Millisecond // how often a file that is followed is looked at
	filesEvery  = time.Second            // how often new files are looked for
	// fileQuiet is how long nothing must come in a file that was rotated before its
	// successor is read: who writes it may not have noticed yet.
	fileQuiet = time.Second
)

// fileSource says whether a uid is that of a source of files.
func (j *Job) fileSource(uid string) bool {
	return slices.ContainsFunc(j.plan.Sources, func(s *topology.Source) bool { return s.Spec.UID == uid && s.Spec.File != nil })
}

// locateFiles is U9 for a source of files: each file is a partition. The set of
// files is that of the first start; only a source that follows takes in new ones.
func (l *life) locateFiles(s *topology.Source) error {
	spec := s.Spec
	paths, err := l.matchFiles(spec)
	if err != nil {
		return fmt.Errorf("source %s: look for %s: %w", spec.Name, spec.File.Path, err)
	}
	known, next := map[string]bool{}, int32(0)
	if !l.job.isReset(spec.UID) {
		for _, pos := range l.positions {
			if pos.UID == spec.UID {
				l.starts = append(l.starts, sourceStart{source: s, pos: pos})
				known[pos.Topic], next = true, max(next, pos.Partition+1)
			}
		}
	}
	first := len(known) == 0
	if first && len(paths) == 0 {
		return refuse(5, "mend the path, or put a file there first", "no file matches %s of source %s", spec.File.Path, spec.Name)
	}
	for _, p := range paths {
		switch {
		case known[p]:
		case first || spec.File.Follow:
			l.starts = append(l.starts, sourceStart{source: s, pos: newFile(spec, p, next)})
			next++
		default:
			l.job.log.Warn("a file that came after the first start is not read; follow: true takes in new ones", "source", spec.UID, "file", p)
		}
	}
	return nil
}

func newFile(spec *topology.SourceSpec, p string, number int32) checkpoint.SourcePosition {
	return checkpoint.SourcePosition{UID: spec.UID, Topic: p, Partition: number, LeaderEpoch: -1,
		Watermark: record.MinTimestamp, Stop: -1}
}

// matchFiles are the files of a source: what the pattern matches and is a file,
// and is not an earlier part of another that is followed.
func (l *life) matchFiles(spec *topology.SourceSpec) (files []string, err error) {
	paths, err := l.job.opts.Files.Glob(spec.File.Path)
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		info, err := l.job.opts.Files.Stat(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Regular {
			continue
		}
		if err != nil {
			return nil, err
		}
		if spec.File.Follow && slices.ContainsFunc(paths, func(o string) bool {
			return path.Dir(o) == path.Dir(p) && source.RotatedName(path.Base(o), path.Base(p))
		}) {
			continue
		}
		files = append(files, p)
	}
	return files, nil
}

// fileSet is what the tasks of one source share: which files somebody reads.
type fileSet struct {
	mu    sync.Mutex
	known map[string]bool
	next  int32
}

// claim takes the files that nobody reads yet.
func (s *fileSet) claim(spec *topology.SourceSpec, paths []string) (mine []checkpoint.SourcePosition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range paths {
		if s.known[p] || s.rotated(p) {
			continue
		}
		s.known[p] = true
		mine = append(mine, newFile(spec, p, s.next))
		s.next++
	}
	return mine
}

// rotated says that a path is the later name of a file that is known.
func (s *fileSet) rotated(p string) bool {
	for k := range s.known {
		if source.RotatedName(k, p) {
			return true
		}
	}
	return false
}

func (b *build) fileSet(s *topology.Source) *fileSet {
	if set := b.fileSets[s]; set != nil {
		return set
	}
	set := &fileSet{known: map[string]bool{}}
	for _, start := range b.life.starts {
		if start.source == s {
			set.known[start.pos.Topic] = true
			set.next = max(set.next, start.pos.Partition+1)
		}
	}
	b.fileSets[s] = set
	return set
}

// fileFeed reads the files of one task.
type fileFeed struct {
	t     *sourceTask
	spec  *topology.SourceSpec
	set   *fileSet
	tails []*source.Tail // by number of the partition in the task, nil when ended
	quiet []time.Time    // since when a file that was rotated has nothing more
	from  int            // the partition to begin with
	look  time.Time      // when new files are looked for
}

func (b *build) fileFeed(t *sourceTask) (*fileFeed, error) {
	f := &fileFeed{t: t, spec: t.source.Spec, set: b.fileSet(t.source)}
	for _, p := range t.parts {
		if err := f.open(p); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// open begins to read a file where its position says.
func (f *fileFeed) open(p *partition) error {
	f.quiet = append(f.quiet, time.Time{})
	if p.Ended {
		f.tails = append(f.tails, nil)
		return nil
	}
	l := f.t.life
	o := source.TailOptions{Compression: f.spec.File.Compression, Follow: f.spec.File.Follow}
	tail, err := source.OpenTail(l.job.opts.Files, p.Topic, o, p.Offset, source.Identity(p.TopicID))
	if err != nil {
		return f.failure(err)
	}
	l.tailsMu.Lock()
	l.tails = append(l.tails, tail)
	l.tailsMu.Unlock()
	f.tails = append(f.tails, tail)
	f.at(p, tail)
	return nil
}

func (f *fileFeed) at(p *partition, tail *source.Tail) {
	at, identity := tail.Position()
	p.Offset, p.TopicID = at, record.TopicID(identity)
}

func (l *life) closeTails() {
	for _, t := range l.tails {
		t.Close()
	}
}

// failure says what an error of a file means.
func (f *fileFeed) failure(err error) error {
	var changed *source.FileChangedError
	switch {
	case errors.As(err, &changed):
		return refuse(6, "bring the file back; or start the source anew, which reads all its files again: --reset "+f.spec.UID,
			"source %s: %v", f.spec.Name, err)
	case errors.Is(err, source.ErrLineTooLong):
		return refuse(1, fmt.Sprintf("a line has at most %d MiB", source.LineMax>>20), "source %s: %v", f.spec.Name, err)
	case errors.Is(err, fs.ErrPermission):
		return refuse(5, "kstream must be able to read it", "source %s: %v", f.spec.Name, err)
	}
	return fmt.Errorf("source %s: %w", f.spec.Name, err)
}

func (f *fileFeed) ready() <-chan struct{} { return nil }

// next takes in lines of one file; the files come by turns.
func (f *fileFeed) next(context.Context) (time.Duration, bool, error) {
	if f.spec.File.Follow {
		if err := f.newFiles(); err != nil {
			return 0, false, err
		}
	}
	for i := range f.tails {
		n := (f.from + i) % len(f.tails)
		if f.tails[n] == nil {
			continue
		}
		progressed, admitted, err := f.read(n)
		switch {
		case err != nil:
			return 0, false, err
		case !admitted:
			return forever, false, nil // the stop is on its way
		case progressed:
			f.from = n + 1
			return 0, false, nil
		}
	}
	return followEvery, false, nil
}

// newFiles takes in files that came since.
func (f *fileFeed) newFiles() error {
	now := f.t.life.job.clock()
	if now.Before(f.look) {
		return nil
	}
	f.look = now.Add(filesEvery)
	paths, err := f.t.life.matchFiles(f.spec)
	if err != nil {
		return f.failure(err)
	}
	for _, pos := range f.set.claim(f.spec, paths) {
		p := &partition{SourcePosition: pos}
		if err := f.open(p); err != nil {
			return err
		}
		f.t.add(p)
	}
	return nil
}

// fileLines is how many lines of a file are taken in between two looks at the
// control channel.
const fileLines = 512

// read takes in lines of a file, or reads on in it.
func (f *fileFeed) read(n int) (progressed, admitted bool, err error) {
	count, admitted, err := f.lines(n)
	if err != nil || count > 0 || !admitted {
		return count > 0, admitted, err
	}
	tail, p := f.tails[n], f.t.parts[n]
	found, err := tail.Fill()
	switch {
	case err != nil:
		return false, true, f.failure(err)
	case found == source.FillMore:
		if !f.quiet[n].IsZero() {
			f.quiet[n] = f.t.life.job.clock()
		}
		return true, true, nil
	case found == source.FillWait:
		progressed, err = f.rotation(n)
		return progressed, true, err
	}
	if count, admitted, err = f.lines(n); err != nil || count > 0 || !admitted { // one that was not ended
		return count > 0, admitted, err
	}
	if f.spec.File.Follow {
		err = tail.Succeed()
		if errors.Is(err, fs.ErrNotExist) {
			return false, true, nil // it was rotated again just now
		}
		if err != nil {
			return false, true, f.failure(err)
		}
		f.quiet[n] = time.Time{}
		f.at(p, tail)
		return true, true, nil
	}
	f.tails[n] = nil
	return true, true, f.t.end(n)
}

// rotation looks whether a file that has no more is at its end: another has its
// name, and nothing was written to it for a while.
func (f *fileFeed) rotation(n int) (progressed bool, err error) {
	now := f.t.life.job.clock()
	if f.quiet[n].IsZero() {
		rotated, err := f.tails[n].Rotated()
		if err != nil {
			return false, f.failure(err)
		}
		if rotated {
			f.quiet[n] = now
		}
		return false, nil
	}
	if now.Sub(f.quiet[n]) < fileQuiet {
		return false, nil
	}
	f.tails[n].Finish()
	return true, nil
}

// lines runs the lines that are there through the chain.
func (f *fileFeed) lines(n int) (count int, admitted bool, err error) {
	t, tail, p := f.t, f.tails[n], f.t.parts[n]
	job := t.life.job
	admitted = true
	for ; count < fileLines; count++ {
		if admitted = job.admit(1) == 1; !admitted {
			break
		}
		line, at, ok := tail.Next()
		if !ok {
			job.admitted.Add(-1)
			break
		}
		if count == 0 && t.idle { // said before the records are sent
			t.marks.Active(n, job.now())
			if err := t.tick(); err != nil {
				return count, true, err
			}
		}
		m := record.Message{Topic: p.Topic, Partition: p.Partition, Offset: at, Epoch: -1, Time: job.now(), Value: line}
		if err := t.one(n, &m); err != nil {
			return count, true, err
		}
		p.LastTime = m.Time
	}
	if count == 0 {
		return 0, admitted, nil
	}
	f.at(p, tail)
	t.taken(count)
	t.marks.Active(n, job.now())
	if now := job.clock(); now.After(t.wmAt) {
		err = t.tick()
	}
	return count, admitted, err
}
