package changelog

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"kstream/record"
	"kstream/state"
)

const (
	hour = 60 * 60 * 1000
	noon = 1_700_000_000_000
)

var topicID = record.TopicID{1, 2, 3}

// healthy is a store two epochs behind a checkpoint, an hour old.
func healthy() Findings {
	return Findings{
		Name: "kstream.orders.changelog", Record: true, Epoch: 812, Now: noon,
		Lineage:   func(owner string, epoch uint64) bool { return owner == "7-aa" && epoch >= 700 },
		Changelog: Expected{Generation: 1, TopicID: topicID, Ends: []record.Offset{100, 50}},
		Log: Log{
			Exists: true, TopicID: topicID, Partitions: 2,
			Config: map[string]string{"cleanup.policy": "compact", "retention.ms": "-1", "retention.bytes": "-1", "delete.retention.ms": "86400000"},
			Bounds: []record.Bounds{{Stable: 104, End: 104}, {Stable: 51, End: 51}},
		},
		Store: &state.Meta{
			Epoch: 810, Owner: "7-aa", Generation: 1, TopicID: topicID,
			Positions: []record.Offset{90, 50}, Wall: noon - hour,
		},
	}
}

// TestLocalStore has one case for each row of table 11.3 of the protocol.
func TestLocalStore(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(in *Findings)
		// tail, full or a part of the refusal
		want string
	}{
		{"no store", func(in *Findings) { in.Store = nil }, "full none"},
		{"behind", func(*Findings) {}, "tail"},
		{"at the end", func(in *Findings) { in.Store.Epoch, in.Store.Positions = 812, []record.Offset{104, 51} }, "tail"},
		{"just younger than half of the retention", func(in *Findings) { in.Store.Wall = noon - 12*hour + 1 }, "tail"},
		{"half of the retention old", func(in *Findings) { in.Store.Wall = noon - 12*hour }, "full age"},
		{"clock set back", func(in *Findings) { in.Store.Wall = noon + 1 }, "full age"},
		{"retention unlimited", func(in *Findings) { in.Log.Config["delete.retention.ms"], in.Store.Wall = "-1", 0 }, "tail"},
		{"retention unset", func(in *Findings) { delete(in.Log.Config, "delete.retention.ms"); in.Store.Wall = 0 }, "tail"},
		{"retention 0", func(in *Findings) { in.Log.Config["delete.retention.ms"] = "0" }, "full age"},
		{"settings not readable, young", func(in *Findings) { in.Log.Config = nil }, "tail"},
		{"settings not readable, old", func(in *Findings) { in.Log.Config, in.Store.Wall = nil, noon-12*hour }, "full age"},
		{"interrupted restore", func(in *Findings) { in.Store.Restoring, in.Store.Epoch = true, 812 }, "tail"},
		{"interrupted restore, old", func(in *Findings) { in.Store.Restoring, in.Store.Wall = true, noon-13*hour }, "full age"},
		{"owner not in the lineage", func(in *Findings) { in.Store.Owner = "6-bb" }, "full lineage"},
		{"epoch not in the lineage", func(in *Findings) { in.Store.Epoch = 699 }, "full lineage"},
		{"store before any epoch", func(in *Findings) { in.Store.Epoch, in.Store.Owner = 0, "" }, "tail"},
		{"another generation", func(in *Findings) { in.Store.Generation = 2 }, "full generation"},
		{"another topic", func(in *Findings) { in.Store.TopicID[0]++ }, "full generation"},
		{"another topic, ahead", func(in *Findings) { in.Store.TopicID[0]++; in.Store.Epoch = 900 }, "full generation"},
		{"another number of key groups", func(in *Findings) { in.Store.Positions = in.Store.Positions[:1] }, "full partitions"},
		{"epoch ahead", func(in *Findings) { in.Store.Epoch = 813 }, "local epoch 813, checkpoint topic has 812"},
		{"epoch ahead, accepted", func(in *Findings) { in.Store.Epoch, in.AcceptKafkaLoss = 813, true }, "full kafka-loss"},
		{"position ahead", func(in *Findings) { in.Store.Positions[1] = 52 }, "partition 1"},
		{"position ahead, accepted", func(in *Findings) { in.Store.Positions[1], in.AcceptKafkaLoss = 52, true }, "full kafka-loss"},
		{"log starts behind the position", func(in *Findings) { in.Log.Bounds[0].Start = 91 }, "cannot be restored"},
		{"log starts at the position", func(in *Findings) { in.Log.Bounds[0].Start = 90 }, "tail"},
		{"log does not start at 0 and no store", func(in *Findings) { in.Log.Bounds[0].Start, in.Store = 1, nil }, "cannot be restored"},
		{"log does not start at 0 and an old store", func(in *Findings) { in.Log.Bounds[0].Start, in.Store.Wall = 1, 0 }, "cannot be restored"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := healthy()
			c.change(&in)
			d, err := Decide(in)
			if got := describe(d, err); got != c.want && (err == nil || !strings.Contains(got, c.want)) {
				t.Fatalf("decided %q, want %q", got, c.want)
			}
			if err == nil {
				checkDecision(t, in, d)
			}
		})
	}
}

func describe(d Decision, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case d.Full():
		return "full " + d.Metric
	}
	return "tail"
}

// checkDecision holds what every decision must keep.
func checkDecision(t *testing.T, in Findings, d Decision) {
	t.Helper()
	if d.Full() {
		if d.Wall != in.Now || d.Reason == "" || d.Wipe != (in.Store != nil) {
			t.Errorf("full restore: %+v", d)
		}
	} else if d.Wipe || d.Wall != in.Store.Wall || !slices.Equal(d.From, in.Store.Positions) {
		t.Errorf("tail: %+v", d)
	}
	if unlimited := in.Log.retention() == 0; unlimited != (d.Deadline == 0) || !unlimited && d.Deadline > in.Now+in.Log.retention()/2 {
		t.Errorf("deadline %d", d.Deadline)
	}
}

func TestReplacedEpochsAreWarnedAbout(t *testing.T) {
	in := healthy()
	in.Store.Owner = "6-bb"
	d, err := Decide(in)
	if err != nil || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "Kafka lost epochs up to 810 and has replaced them") {
		t.Errorf("warnings %q, %v", d.Warnings, err)
	}
}

func TestDeletedRecordsAreWarnedAbout(t *testing.T) {
	in := healthy()
	in.Log.Bounds[1].Start = 7
	d, err := Decide(in)
	if err != nil || len(d.Warnings) != 1 || !strings.Contains(d.Warnings[0], "take a savepoint") {
		t.Errorf("warnings %q, %v", d.Warnings, err)
	}
}

// TestChangelogAgainstRecord has one case for each row of table 11.4 that does
// not need the records themselves.
func TestChangelogAgainstRecord(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(in *Findings)
		exit   int
		code   string
		want   string
	}{
		{"as recorded", func(*Findings) {}, 0, "", ""},
		{"missing", func(in *Findings) { in.Log = Log{} }, 6, "state-missing", "is missing"},
		{"recreated", func(in *Findings) { in.Log.TopicID = record.TopicID{9} }, 6, "state-missing", "0102030000"},
		{"recreated, kafka-loss accepted", func(in *Findings) { in.Log.TopicID, in.AcceptKafkaLoss = record.TopicID{9}, true }, 6, "state-missing", "recreated"},
		{"ends early", func(in *Findings) { in.Log.Bounds[1].End = 49; in.Store.Positions[1] = 40 }, 6, "", "partition 1 ends at 49, 50 was committed"},
		{"ends early, accepted", func(in *Findings) {
			in.Log.Bounds[1].End, in.Store.Positions[1], in.AcceptKafkaLoss = 49, 40, true
		}, 0, "", ""},
		{"more partitions", func(in *Findings) { in.Log.Partitions, in.Log.Bounds = 3, make([]record.Bounds, 3) }, 6, "", "has 3 partitions"},
		{"policy delete", func(in *Findings) { in.Log.Config["cleanup.policy"] = "compact,delete" }, 5, "", "compact,delete"},
		{"retention by time", func(in *Findings) { in.Log.Config["retention.ms"] = "604800000" }, 5, "", "retention.ms=604800000"},
		{"retention by size", func(in *Findings) { in.Log.Config["retention.bytes"] = "1" }, 5, "", "retention.bytes=1"},
		{"settings not readable", func(in *Findings) { in.Log.Config = nil }, 0, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := healthy()
			c.change(&in)
			err := Compare(&in)
			if c.exit == 0 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var r *Refusal
			if !errors.As(err, &r) || r.Exit != c.exit || r.Code != c.code || !strings.Contains(r.Message, c.want) || r.Hint == "" {
				t.Fatalf("%#v", err)
			}
			if c.code != "" && !strings.HasPrefix(r.Error(), "["+c.code+"] ") {
				t.Errorf("text %q", r.Error())
			}
			if _, again := Decide(in); again == nil || again.Error() != err.Error() {
				t.Errorf("decide gives %v", again)
			}
		})
	}
}

func TestLostRecordsAreNoReasonToWaitWithoutStore(t *testing.T) {
	in := healthy()
	in.Store = nil
	in.Log.Bounds[0].End, in.AcceptKafkaLoss = 10, true
	d, err := Decide(in)
	if err != nil || !d.Full() || d.Wipe {
		t.Errorf("%+v, %v", d, err)
	}
}
