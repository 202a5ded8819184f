package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Verdict is the result of a whole verification. Problems empty is a pass.
type Verdict struct {
	Compared Compared
	Epoch    int64 // of the group's offsets
	Problems []string
}

// stableWithin is how soon after the end nothing may be open any more.
const stableWithin = 5 * time.Second

// Run verifies a run that has come to its end: the records, then what the
// cluster keeps about it.
func Run(ctx context.Context, j Job) (Verdict, error) {
	var d Verdict
	adm, err := admin(j.Addrs)
	if err != nil {
		return d, err
	}
	defer adm.Close()
	open, err := notOpen(ctx, adm, j)
	if err != nil {
		return d, err
	}
	h, err := Read(ctx, j)
	if err != nil {
		return d, err
	}
	d.Compared, d.Problems = Check(h)
	d.Problems = append(d.Problems, open...)
	var problems []string
	if d.Epoch, problems, err = positions(ctx, adm, j, h.In); err != nil {
		return d, err
	}
	d.Problems = append(d.Problems, problems...)
	d.Compared.Aborted, err = aborted(ctx, adm, j, h)
	if d.Compared.Aborted < 0 {
		d.Problems = append(d.Problems, fmt.Sprintf("an uncommitted reader sees %d records less than a committed one: the log loses its beginning", -d.Compared.Aborted))
	}
	return d, err
}

// positions compares the group's offsets with the input: everything that was
// read is behind us, nothing beyond the end is claimed, and all partitions carry
// the mark of one epoch.
func positions(ctx context.Context, adm *kadm.Client, j Job, in Log) (int64, []string, error) {
	group := "kstream-" + j.Name
	offsets, err := adm.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // which is: no offsets
		return 0, nil, fmt.Errorf("fetch the offsets of group %s: %w", group, err)
	}
	ends, err := adm.ListEndOffsets(ctx, j.In)
	if err != nil {
		return 0, nil, fmt.Errorf("list the end offsets of %s: %w", j.In, err)
	}
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	epoch := int64(-1)
	for p, recs := range in {
		o, ok := offsets.Lookup(j.In, int32(p))
		if !ok || o.Err != nil {
			bad("positions: group %s has no offset for %s/%d (%v)", group, j.In, p, o.Err)
			continue
		}
		end, _ := ends.Lookup(j.In, int32(p))
		least := int64(0)
		if len(recs) > 0 {
			least = recs[len(recs)-1].Offset + 1
		}
		if o.At < least || o.At > end.Offset {
			bad("positions: group %s is at %d in %s/%d, want %d to %d", group, o.At, j.In, p, least, end.Offset)
		}
		e, err := EpochOf(o.Metadata)
		if err != nil {
			bad("positions: %s/%d: %v", j.In, p, err)
		} else if epoch >= 0 && e != epoch {
			bad("positions: %s/%d is marked epoch %d, another partition epoch %d", j.In, p, e, epoch)
		}
		epoch = e
	}
	return epoch, problems, nil
}

// EpochOf reads the mark kstream leaves in the metadata of an offset.
func EpochOf(metadata string) (int64, error) {
	rest, ok := strings.CutPrefix(metadata, "kstream/1 epoch=")
	if !ok {
		return 0, fmt.Errorf("metadata %q has no mark of ours", metadata)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("metadata %q has no epoch", metadata)
	}
	return n, nil
}

// notOpen waits until the last stable offset is the high watermark on every
// output and internal partition and no transaction of the pipeline is undecided.
func notOpen(ctx context.Context, adm *kadm.Client, j Job) ([]string, error) {
	topics, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	names := j.outputs()
	internal := 0
	for _, t := range topics.Names() {
		if strings.HasPrefix(t, "kstream."+j.Name+".") {
			names = append(names, t)
			internal++
		}
	}
	if internal < 2 {
		return []string{fmt.Sprintf("nothing open: %d internal topics of %s, want the checkpoints and a changelog", internal, j.Name)}, nil
	}
	limit := time.NewTimer(stableWithin)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		open, err := openNow(ctx, adm, j, names)
		if err != nil || len(open) == 0 {
			return nil, err
		}
		select {
		case <-limit.C:
			return open, nil
		case <-tick.C:
		case <-ctx.Done():
			return open, ctx.Err()
		}
	}
}

// openNow lists what is open at this moment.
func openNow(ctx context.Context, adm *kadm.Client, j Job, topics []string) ([]string, error) {
	var open []string
	stable, err := adm.ListCommittedOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the stable offsets: %w", err)
	}
	ends, err := adm.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, fmt.Errorf("list the end offsets: %w", err)
	}
	ends.Each(func(end kadm.ListedOffset) {
		if s, ok := stable.Lookup(end.Topic, end.Partition); !ok || s.Offset != end.Offset {
			open = append(open, fmt.Sprintf("nothing open: %s/%d is stable to %d, its end is %d", end.Topic, end.Partition, s.Offset, end.Offset))
		}
	})
	txns, err := adm.ListTransactions(ctx, nil, nil)
	if err != nil {
		return nil, fmt.Errorf("list transactions: %w", err)
	}
	undecided := []string{"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"}
	for _, t := range txns.Sorted() {
		if strings.HasPrefix(t.TxnID, "kstream-"+j.Name+"-") && slices.Contains(undecided, t.State) {
			open = append(open, fmt.Sprintf("nothing open: transaction %s is %s", t.TxnID, t.State))
		}
	}
	slices.Sort(open)
	return open, nil
}

// aborted counts the output records only uncommitted readers see: the proof that
// the run made attempts which had to be taken back.
func aborted(ctx context.Context, adm *kadm.Client, j Job, h History) (int, error) {
	n := -h.Copy.Len() - h.Counts.Len() - h.Windows.Len() - h.Sessions.Len() - h.Table.Len() - h.Dead.Len()
	for _, t := range j.outputs() {
		log, err := readTopic(ctx, adm, j.Addrs, t, kgo.ReadUncommitted())
		if err != nil {
			return 0, fmt.Errorf("read topic %s uncommitted: %w", t, err)
		}
		n += log.Len()
	}
	return n, nil
}
