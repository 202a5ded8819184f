package operator

import (
	"errors"
	"strings"
	"testing"

	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

func TestFilterPassesWhatIsTrue(t *testing.T) {
	r := newRig(t)
	r.columns = []int{0}
	c := r.build(1, then(&topology.Node{UID: "s/filter", Kind: topology.NodeFilter, Filter: slot(0, record.TypeBool)}, sinkNode()))
	for _, v := range []record.Value{record.Bool(true), record.Bool(false), record.Null} {
		r.mustRun(c, num(1), 5, v)
	}
	r.wants("insert 1 @5 true")
	stats := c.Stats(nil)
	if stats[0].In != 3 || stats[0].Out != 1 || stats[1].In != 1 {
		t.Errorf("stats %+v", stats)
	}
}

func TestFilterOnAChangelogTurnsAnUpdateIntoADelete(t *testing.T) {
	r := newRig(t)
	r.columns = []int{0}
	c := r.build(1,
		then(&topology.Node{UID: "s/filter", Kind: topology.NodeFilter, Filter: slot(0, record.TypeBool)}, sinkNode()),
		sinkNode(),
	)
	row := record.Row{Slots: c.Slots, Key: num(1), Time: 5, Op: record.OpUpdate}
	row.Slots[0] = record.Bool(false)
	r.env.Begin(&row)
	if err := c.Process(&row); err != nil {
		t.Fatal(err)
	}
	r.wants("delete 1 @5 false", "update 1 @5 false")
}

func TestAssignComputesColumnsOfTheirOwn(t *testing.T) {
	r := newRig(t)
	r.columns = []int{0, 1, 2}
	double := compute(record.TypeInt, func(e *expr.Env) record.Value { return num(2 * e.Row.Slots[0].Int()) })
	n := &topology.Node{UID: "s/set", Kind: topology.NodeAssign, Assign: []topology.Assign{
		{Slot: 1, Program: double}, {Slot: 2, Program: slot(1, record.TypeInt)},
	}}
	c := r.build(3, then(n, sinkNode()))
	r.mustRun(c, num(1), 0, num(21))
	r.wants("insert 1 @0 21 42 42")
}

func TestAssignWithoutWorkIsLeftOut(t *testing.T) {
	r := newRig(t)
	c := r.build(1, then(&topology.Node{UID: "x", Kind: topology.NodeAssign}, sinkNode(), sinkNode()))
	if got := len(c.Stats(nil)); got != 2 {
		t.Fatalf("%d operators, want the two sinks", got)
	}
	r.mustRun(c, num(1), 0)
	r.wants("insert 1 @0", "insert 1 @0")
}

func TestSkippedRowsAreCountedAndTheNextBranchStillRuns(t *testing.T) {
	r := newRig(t)
	bad := &topology.Node{
		UID: "s/set", Kind: topology.NodeAssign, OnError: topology.OnErrorSpec{Kind: "skip"},
		Assign: []topology.Assign{{Slot: 0, Program: failing(t)}},
	}
	ok := &topology.Node{UID: "s/filter", Kind: topology.NodeFilter, Filter: slot(1, record.TypeBool)}
	c := r.build(2, then(bad, sinkNode()), then(ok, sinkNode()))
	r.mustRun(c, num(1), 0, record.Null, record.Bool(true))
	r.wants("insert 1 @0")
	if r.skipped["s/set eval-failed"] != 1 {
		t.Errorf("skipped %v", r.skipped)
	}
}

func TestAFailedRowNamesNodeCodeAndOrigin(t *testing.T) {
	r := newRig(t)
	bad := &topology.Node{
		UID: "s/set", Kind: topology.NodeAssign, OnError: topology.OnErrorSpec{Kind: "fail"},
		Assign: []topology.Assign{{Slot: 0, Program: failing(t)}},
	}
	c := r.build(1, then(bad, sinkNode()))
	err := r.run(c, num(1), 0)
	var e *RecordError
	if !errors.As(err, &e) {
		t.Fatalf("error %v", err)
	}
	if e.Node != "s/set" || e.Code != "eval-failed" || e.Topic != "in" || e.Partition != 3 || e.Offset != 42 {
		t.Errorf("error %+v", e)
	}
	if !strings.Contains(err.Error(), "s/set: eval-failed: ") || !strings.Contains(err.Error(), "in/3 offset 42") {
		t.Errorf("text %q", err)
	}
}

func TestFlatMapMakesARowPerElement(t *testing.T) {
	for _, c := range []struct {
		name string
		list record.Value
		keep bool
		want []string
	}{
		{"list", record.List([]record.Value{num(7), num(8)}), false, []string{"insert 1 @0 7 0", "insert 1 @0 8 1"}},
		{"json", record.JSON([]byte(`[7,"x"]`)), false, []string{"insert 1 @0 7 0", "insert 1 @0 x 1"}},
		{"null", record.Null, false, nil},
		{"null kept", record.Null, true, []string{"insert 1 @0 null null"}},
		{"empty kept", record.List(nil), true, []string{"insert 1 @0 null null"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t)
			r.columns = []int{1, 2}
			n := &topology.Node{UID: "s/flat_map", Kind: topology.NodeFlatMap, FlatMap: &topology.FlatMap{
				Each: slot(0, record.TypeAny), Element: 1, Index: 2, KeepEmpty: c.keep,
			}}
			r.mustRun(r.build(3, then(n, sinkNode())), num(1), 0, c.list)
			r.wants(c.want...)
		})
	}
}

func TestFlatMapOfSomethingElseIsAnError(t *testing.T) {
	r := newRig(t)
	n := &topology.Node{UID: "s/flat_map", Kind: topology.NodeFlatMap, FlatMap: &topology.FlatMap{
		Each: slot(0, record.TypeAny), Element: 1, Index: -1,
	}}
	err := r.run(r.build(2, then(n, sinkNode())), num(1), 0, record.JSON([]byte(`{"a":1}`)))
	if err == nil || !strings.Contains(err.Error(), "flat_map needs a list, found object") {
		t.Errorf("error %v", err)
	}
}

func exchangeNode(kind topology.ExchangeKind) *topology.Node {
	return &topology.Node{UID: "s/1", Kind: topology.NodeExchange, Exchange: &topology.ExchangeEnd{
		Exchange: &topology.Exchange{Kind: kind},
	}}
}

func TestKeySetsTheKeyForItsExchangeOnly(t *testing.T) {
	r := newRig(t)
	n := &topology.Node{UID: "s/key_by", Kind: topology.NodeKey, Key: &topology.Key{Program: slot(0, record.TypeString)}}
	c := r.build(1, then(n, exchangeNode(topology.ExchangeHash)), sinkNode())
	r.mustRun(c, num(1), 0, str("k"))
	r.wants("insert k @0", "insert 1 @0")
}

func TestCompositeKeyIsAnObjectOfItsParts(t *testing.T) {
	r := newRig(t)
	n := &topology.Node{UID: "s/key_by", Kind: topology.NodeKey, Key: &topology.Key{
		Names: []string{"a", "b"},
		Parts: []*expr.Program{slot(0, record.TypeString), slot(1, record.TypeInt)},
	}}
	c := r.build(2, then(n, exchangeNode(topology.ExchangeHash)))
	r.mustRun(c, num(1), 0, str("k"), num(5))
	r.wants(`insert {"a":"k","b":5} @0`)
}

func TestAFloatKeyIsARecordError(t *testing.T) {
	r := newRig(t)
	n := &topology.Node{
		UID: "s/key_by", Kind: topology.NodeKey, Key: &topology.Key{Program: slot(0, record.TypeAny)},
		OnError: topology.OnErrorSpec{Kind: "skip"},
	}
	c := r.build(1, then(n, exchangeNode(topology.ExchangeHash)))
	r.mustRun(c, num(1), 0, record.Float(1.5))
	r.wants()
	if r.skipped["s/key_by eval-failed"] != 1 {
		t.Errorf("skipped %v", r.skipped)
	}
}

func TestHashExchangeEncodesTheKeyOfASource(t *testing.T) {
	r := newRig(t)
	var group record.KeyGroup
	var bytes int
	r.onRow = func(row *record.Row) error {
		group, bytes = row.Group, len(row.KeyBytes)
		return nil
	}
	c := r.build(0, exchangeNode(topology.ExchangeHash))
	row := record.Row{Key: str("k")}
	r.env.Begin(&row)
	if err := c.Process(&row); err != nil {
		t.Fatal(err)
	}
	if bytes == 0 || group >= groups || row.KeyBytes != nil {
		t.Errorf("group %d, %d bytes, left behind %q", group, bytes, row.KeyBytes)
	}
}

func TestLogIsLimitedInRate(t *testing.T) {
	r := newRig(t)
	n := &topology.Node{UID: "s/log", Kind: topology.NodeLog, Log: &topology.Log{
		Text: []string{"v=", " n=", ""}, Holes: []*expr.Program{slot(0, record.TypeAny), slot(1, record.TypeAny)},
		Level: "info", Every: 1_000,
	}}
	c := r.build(2, then(n, sinkNode()))
	for _, now := range []int64{5_000, 5_999, 6_000} {
		r.env.Now = now
		r.mustRun(c, num(1), 0, num(now), record.Null)
	}
	want := "info s/log v=5000 n=|info s/log v=6000 n="
	if got := strings.Join(r.logged, "|"); got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
	if len(r.taken()) != 3 {
		t.Error("a log step drops rows")
	}
}

func TestSinkErrorsOfARecordAreSubjectToOnError(t *testing.T) {
	r := newRig(t)
	n := sinkNode()
	n.OnError.Kind = "skip"
	c := r.build(0, n)
	r.onRow = func(*record.Row) error { return &RecordError{Code: "too-large"} }
	r.mustRun(c, num(1), 0)
	if r.skipped["sink:out too-large"] != 1 {
		t.Errorf("skipped %v", r.skipped)
	}
	broken := errors.New("broken")
	r.onRow = func(*record.Row) error { return broken }
	if err := r.run(c, num(1), 0); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}
