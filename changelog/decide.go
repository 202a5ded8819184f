package changelog

import (
	"fmt"
	"strconv"
	"strings"

	"kstream/record"
	"kstream/state"
)

// Log is what the brokers say about the changelog topic.
type Log struct {
	Exists     bool
	TopicID    record.TopicID
	Partitions int
	// Config is the configuration of the topic, nil if it could not be read.
	Config map[string]string
	// Bounds is per partition, taken under the fence; LSO has reached End.
	Bounds []record.Bounds
}

// Expected is what the checkpoint record says about the changelog.
type Expected struct {
	Generation int
	TopicID    record.TopicID
	// Ends is per partition the offset behind the last committed record.
	Ends []record.Offset
}

// Findings is everything the decision rests on.
type Findings struct {
	// Name is the topic, for messages.
	Name string
	// Record is false if the pipeline has no checkpoint; Epoch is c then, 0.
	Record bool
	Epoch  uint64
	// Lineage reports whether the owner committed the epoch, by the lineage in
	// the checkpoint record. nil is allowed without a record.
	Lineage   func(owner string, epoch uint64) bool
	Changelog Expected
	Log       Log
	// Store is the meta record of the local store, nil if there is no store.
	Store *state.Meta
	Now   record.Timestamp
	// AcceptKafkaLoss: a person has said that what Kafka lost is lost.
	AcceptKafkaLoss bool
}

// Decision is how the local store comes to the end of the changelog.
type Decision struct {
	// Wipe: the local store is discarded first. Reason says why, for the log,
	// and Metric in one word, for a label.
	Wipe           bool
	Reason, Metric string
	// From is per partition where the replay begins; nil is the beginning of
	// the log.
	From []record.Offset
	// Wall is what the meta record says while the replay runs: the time of the
	// last whole epoch of a tail, the beginning of a full restore.
	Wall record.Timestamp
	// Deadline is when the replay must have ended, because from then on a
	// tombstone may be missing that it needs; 0 is none.
	Deadline record.Timestamp
	Warnings []string
}

// Full reports whether everything is read.
func (d *Decision) Full() bool { return d.From == nil }

// Refusal is a start that a person has to decide about.
type Refusal struct {
	Exit    int
	Code    string // of the catalogue of diagnostics, "" if it has none
	Message string
	Hint    string
}

func (r *Refusal) Error() string {
	if r.Code == "" {
		return r.Message
	}
	return "[" + r.Code + "] " + r.Message
}

const (
	hintRestore = "run --from SAVEPOINT, or --from none to begin anew"
	hintLoss    = "run --accept kafka-loss goes on with what is left, or run --from SAVEPOINT"
)

func refuse(exit int, code, hint, text string, args ...any) *Refusal {
	return &Refusal{Exit: exit, Code: code, Message: fmt.Sprintf(text, args...), Hint: hint}
}

// Compare checks that Kafka holds the changelog the checkpoint record names. The
// error is a *Refusal.
func Compare(in *Findings) error {
	if r := compare(in); r != nil {
		return r
	}
	return nil
}

func compare(in *Findings) *Refusal {
	log, want := &in.Log, &in.Changelog
	if !log.Exists {
		return refuse(6, "state-missing", hintRestore, "the changelog %s is missing: it was deleted", in.Name)
	}
	if log.TopicID != want.TopicID {
		return refuse(6, "state-missing", hintRestore, "the changelog %s was deleted or recreated (id %x -> %x)",
			in.Name, want.TopicID, log.TopicID)
	}
	if log.Partitions != len(want.Ends) || len(log.Bounds) != log.Partitions {
		return refuse(6, "", hintRestore, "the changelog %s has %d partitions, the checkpoint was made with %d",
			in.Name, log.Partitions, len(want.Ends))
	}
	if r := compareConfig(in.Name, log.Config); r != nil {
		return r
	}
	if lost := in.lost(); lost != "" && !in.AcceptKafkaLoss {
		return refuse(6, "", hintLoss, "Kafka lost committed data of the changelog %s: %s", in.Name, lost)
	}
	return nil
}

// lost lists the partitions that end before what was committed.
func (in *Findings) lost() string {
	var parts []string
	for i, b := range in.Log.Bounds {
		if end := in.Changelog.Ends[i]; b.End < end {
			parts = append(parts, fmt.Sprintf("partition %d ends at %d, %d was committed", i, b.End, end))
		}
	}
	return strings.Join(parts, "; ")
}

// compareConfig refuses settings by which the brokers would remove live state.
func compareConfig(name string, config map[string]string) *Refusal {
	fix := func(set string) string {
		return fmt.Sprintf("kafka-configs.sh --alter --entity-type topics --entity-name %s --add-config %s", name, set)
	}
	if p := config["cleanup.policy"]; strings.Contains(p, "delete") {
		return refuse(5, "", fix("cleanup.policy=compact"), "the changelog %s has cleanup.policy=%s, which removes state", name, p)
	}
	for _, key := range []string{"retention.ms", "retention.bytes"} {
		if v := config[key]; v != "" && v != "-1" {
			return refuse(5, "", fix(key+"=-1"), "the changelog %s has %s=%s, which can remove state", name, key, v)
		}
	}
	return nil
}

// retention is how long the brokers keep a tombstone, 0 for ever. A setting that
// could not be read is taken for Kafka's default.
func (l *Log) retention() record.Timestamp {
	const day = 24 * 60 * 60 * 1000
	if l.Config == nil {
		return day
	}
	ms, err := strconv.ParseInt(l.Config["delete.retention.ms"], 10, 64)
	if err != nil || ms < 0 {
		return 0
	}
	return max(record.Timestamp(ms), 1)
}

// Decide says whether the local store is continued or filled anew. The error is
// a *Refusal.
func Decide(in Findings) (Decision, error) {
	if r := compare(&in); r != nil {
		return Decision{}, r
	}
	if in.Store == nil {
		return in.full(Decision{Reason: "there is no local store", Metric: "none"})
	}
	m := in.Store
	d := Decision{Wipe: true}
	switch {
	case m.Generation != in.Changelog.Generation || m.TopicID != in.Changelog.TopicID:
		d.Reason, d.Metric = "the local store belongs to another generation of the changelog", "generation"
	case len(m.Positions) != len(in.Log.Bounds):
		d.Reason, d.Metric = "the local store was made for another number of key groups", "partitions"
	case in.ahead() != "":
		if !in.AcceptKafkaLoss {
			return Decision{}, refuse(6, "", hintLoss, "Kafka lost committed data: %s", in.ahead())
		}
		d.Reason, d.Metric = "Kafka lost committed data, which was accepted: "+in.ahead(), "kafka-loss"
	case m.Epoch > 0 && (in.Lineage == nil || !in.Lineage(m.Owner, m.Epoch)):
		d.Reason, d.Metric = fmt.Sprintf("Kafka lost epochs up to %d and has replaced them", m.Epoch), "lineage"
		d.Warnings = append(d.Warnings, d.Reason+"; the local store is discarded")
	case in.tooOld():
		d.Reason, d.Metric = "the local store is older than half of delete.retention.ms", "age"
	case in.behind() >= 0:
		d.Reason, d.Metric = fmt.Sprintf("records of the changelog were deleted that the local store needs (partition %d)", in.behind()), "log-start"
	default:
		return in.tail()
	}
	return in.full(d)
}

// ahead says in what the local store is ahead of Kafka, "" if in nothing.
func (in *Findings) ahead() string {
	if in.Store.Epoch > in.Epoch {
		return fmt.Sprintf("local epoch %d, checkpoint topic has %d", in.Store.Epoch, in.Epoch)
	}
	for i, p := range in.Store.Positions {
		if end := in.Log.Bounds[i].End; p > end {
			return fmt.Sprintf("the local store has read partition %d of %s to offset %d, it ends at %d", i, in.Name, p, end)
		}
	}
	return ""
}

// tooOld reports whether a tombstone written after the store's last epoch may be
// gone. A negative age is a clock that was set back, which makes any store look
// fresh.
func (in *Findings) tooOld() bool {
	keep := in.Log.retention()
	if keep == 0 {
		return false
	}
	age := in.Now - in.Store.Wall
	return age < 0 || age >= (keep+1)/2
}

// behind is a partition whose log begins after the store's position, or -1.
func (in *Findings) behind() int {
	for i, p := range in.Store.Positions {
		if p < in.Log.Bounds[i].Start {
			return i
		}
	}
	return -1
}

// tail continues from the positions of the local store.
func (in *Findings) tail() (Decision, error) {
	d := Decision{From: in.Store.Positions, Wall: in.Store.Wall, Deadline: in.deadline()}
	if i := in.begun(); i >= 0 {
		d.Warnings = append(d.Warnings, fmt.Sprintf(
			"records of %s were deleted (partition %d begins at %d): a full restore is not possible any more, take a savepoint and restore it",
			in.Name, i, in.Log.Bounds[i].Start))
	}
	return d, nil
}

// full reads the changelog from the beginning, which must be there.
func (in *Findings) full(d Decision) (Decision, error) {
	if i := in.begun(); i >= 0 {
		return Decision{}, refuse(6, "state-missing", hintRestore,
			"%s, and records of the changelog %s were deleted (partition %d begins at %d), so that it cannot be restored",
			d.Reason, in.Name, i, in.Log.Bounds[i].Start)
	}
	d.Wall, d.Deadline = in.Now, in.deadline()
	return d, nil
}

// begun is a partition whose log does not begin at 0, or -1. Compaction leaves
// the log start alone; only deleting records moves it.
func (in *Findings) begun() int {
	for i, b := range in.Log.Bounds {
		if b.Start > 0 {
			return i
		}
	}
	return -1
}

// deadline is when a replay that begins now must have ended. A continued store
// was younger than half of the retention, so even then no tombstone is gone.
func (in *Findings) deadline() record.Timestamp {
	keep := in.Log.retention()
	if keep == 0 {
		return 0
	}
	return in.Now + keep/2
}
