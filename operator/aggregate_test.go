package operator

import (
	"errors"
	"math"
	"strings"
	"testing"

	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// running is a chain of one aggregate without a window, results from slot 2 on.
func running(r *rig, onError string, calls ...expr.AggregateCall) *Chain {
	n := aggregateNode(2, "update", nil, calls...)
	n.OnError.Kind = onError
	for i := range calls {
		r.columns = append(r.columns, 2+i)
	}
	return r.build(2+len(calls), then(n, sinkNode()))
}

func TestASkippedRowChangesNothing(t *testing.T) {
	r := newRig(t)
	n := slot(0, record.TypeInt)
	c := running(r, "skip",
		aggCall("count"), aggCall("collect", n), aggCall("count_distinct", n), aggCall("max", slot(1, record.TypeString)), aggCall("sum", n))
	r.mustRun(c, str("k"), 1, num(math.MaxInt64), str("a"))
	r.wants("insert k @1 1 [9223372036854775807] 1 a 9223372036854775807")
	r.mustRun(c, str("k"), 2, num(1), str("b"))
	r.wants()
	r.mustRun(c, str("k"), 3, num(-1), str("aa"))
	r.wants("update k @3 2 [9223372036854775807,-1] 2 aa 9223372036854775806")
	if r.skipped["s/aggregate eval-failed"] != 1 {
		t.Errorf("skipped %v", r.skipped)
	}
}

func TestASkippedFirstRowLeavesNoKey(t *testing.T) {
	r := newRig(t)
	c := running(r, "skip", aggCall("count"), aggCall("sum", slot(0, record.TypeAny)))
	r.mustRun(c, str("k"), 1, str("text"))
	r.wants()
	r.mustRun(c, str("k"), 2, num(3))
	r.wants("insert k @2 1 3")
}

func TestValuesThatCannotBeCombined(t *testing.T) {
	for _, c := range []struct {
		call expr.AggregateCall
		rows []record.Value
		text string
	}{
		{aggCall("sum", slot(0, record.TypeAny)), []record.Value{str("x")}, "cannot add up string"},
		{aggCall("sum", slot(0, record.TypeAny)), []record.Value{record.Decimal(1, 1), record.Float(1.5)}, "cannot add decimal and float"},
		{aggCall("sum", slot(0, record.TypeDecimal)), []record.Value{record.Decimal(999_999_999_999_999_999, 2), record.Decimal(1, 2)}, "more than 18 digits"},
		{aggCall("sum", slot(0, record.TypeDecimal)), []record.Value{record.Decimal(999_999_999_999_999_999, 0), record.Decimal(1, 2)}, "more than 18 digits"},
		{aggCall("max", slot(0, record.TypeAny)), []record.Value{num(1), str("x")}, "max cannot compare int and string"},
		{aggCall("count_if", slot(0, record.TypeAny)), []record.Value{num(1)}, "count_if needs true or false, found int"},
		{aggCall("sum_if", num2(), slot(0, record.TypeAny)), []record.Value{num(1)}, "sum_if needs true or false, found int"},
	} {
		r := newRig(t)
		chain := running(r, "fail", c.call)
		var err error
		for _, v := range c.rows {
			if err != nil {
				t.Fatalf("%s: an earlier row fails: %v", c.text, err)
			}
			err = r.run(chain, str("k"), 1, v)
		}
		var bad *RecordError
		if !errors.As(err, &bad) || bad.Code != "eval-failed" || bad.Node != "s/aggregate" || !strings.Contains(bad.Message, c.text) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

func num2() *expr.Program {
	return compute(record.TypeInt, func(*expr.Env) record.Value { return num(2) })
}

func TestNumbersOfSeveralKinds(t *testing.T) {
	r := newRig(t)
	v := slot(0, record.TypeAny)
	c := running(r, "fail", aggCall("sum", v), aggCall("avg", v), aggCall("count_distinct", v))
	r.mustRun(c, str("d"), 1, num(1))
	r.mustRun(c, str("d"), 1, record.Decimal(100, 2))
	r.mustRun(c, str("d"), 1, record.Decimal(5, 1))
	r.wants("insert d @1 1 1 1", "update d @1 2.00 1.000000 1", "update d @1 2.50 0.833333 2")
	r.mustRun(c, str("f"), 1, num(1))
	r.mustRun(c, str("f"), 1, record.Float(1))
	r.mustRun(c, str("f"), 1, record.Float(0.5))
	r.wants("insert f @1 1 1 1", "update f @1 2 1 1", "update f @1 2.5 0.8333333333333334 2")
	r.mustRun(c, str("t"), 1, record.Duration(3e9))
	r.mustRun(c, str("t"), 1, record.Duration(2e9))
	r.wants("insert t @1 3s 3s 1", "update t @1 5s 2s500ms 2")
}

func TestAverageRoundsHalfAwayFromZero(t *testing.T) {
	for _, c := range []struct {
		sum  record.Value
		n    uint64
		want string
	}{
		{record.Decimal(1, 6), 2, "0.000001"},
		{record.Decimal(-1, 6), 2, "-0.000001"},
		{record.Decimal(1, 6), 3, "0.000000"},
		{record.Decimal(2, 0), 3, "0.666667"},
		{record.Decimal(999_999_999_999_999_999, 0), 1_000_000, "999999999999.999999"},
		{record.Decimal(1, 8), 1, "0.00000001"},
	} {
		v, err := average(c.sum, c.n)
		if err != nil || text(v) != c.want {
			t.Errorf("%s / %d: %s, %v, want %s", text(c.sum), c.n, text(v), err, c.want)
		}
	}
	if v, err := average(record.Decimal(999_999_999_999_999_999, 0), 1); err == nil {
		t.Errorf("18 digits before the point: %s", text(v))
	}
}

func TestNothingButNulls(t *testing.T) {
	r := newRig(t)
	v := slot(0, record.TypeInt)
	c := running(r, "fail", aggCall("count", v), aggCall("sum", v), aggCall("avg", v), aggCall("min", v), aggCall("max_by", v, v),
		aggCall("first", v), aggCall("count_distinct", v), aggCall("collect", v))
	r.mustRun(c, record.Null, 1, record.Null)
	r.wants("insert null @1 0 null null null null null 0 []")
}

func TestValueOfTheExtremeMayBeNull(t *testing.T) {
	r := newRig(t)
	c := running(r, "fail", aggCall("max_by", slot(1, record.TypeString), slot(0, record.TypeInt)))
	r.mustRun(c, str("k"), 1, num(1), str("x"))
	r.mustRun(c, str("k"), 1, num(2), record.Null)
	r.mustRun(c, str("k"), 1, num(0), str("y"))
	r.wants("insert k @1 x", "update k @1 null", "update k @1 null")
}

func TestNewestTimeOfAKey(t *testing.T) {
	r := newRig(t)
	c := running(r, "fail", aggCall("count"))
	r.mustRun(c, str("k"), -5)
	r.mustRun(c, str("k"), -7)
	r.mustRun(c, str("k"), 9)
	r.wants("insert k @-5 1", "update k @-5 2", "update k @9 3")
}

func TestASkippedResultLeavesTheRowToTheNextBranch(t *testing.T) {
	r := newRig(t)
	n := aggregateNode(2, "update", nil, aggCall("count"))
	n.OnError.Kind = "skip"
	n.Aggregate.Outputs[0].Program = failing(t)
	read := &topology.Node{UID: "s/filter", Kind: topology.NodeFilter,
		Filter: compute(record.TypeBool, func(e *expr.Env) record.Value { return record.Bool(e.Row.Origin != nil) })}
	c := r.build(3, then(n, sinkNode()), then(read, sinkNode()))
	r.mustRun(c, str("k"), 3)
	r.wants("insert k @3")
}

func TestCompositeKeysComeBackAsObjects(t *testing.T) {
	r := newRig(t)
	n := aggregateNode(2, "append", &topology.Window{Size: 10, Slide: 10}, aggCall("count"), aggCall("max", slot(0, record.TypeString)))
	r.columns = []int{2, 3}
	c := r.build(4, then(n, sinkNode()))
	key := record.ObjectOf(&record.Object{Names: []string{"b", "a"}, Values: []record.Value{str("x"), num(1)}})
	r.mustRun(c, key, 3, str("v"))
	if err := c.Watermark(9); err != nil {
		t.Fatal(err)
	}
	r.wants(`insert {"b":"x","a":1} @9 [0,10) 1 v`)
}

func TestLateRowsGoToTheSideOutput(t *testing.T) {
	r := newRig(t)
	n := aggregateNode(2, "append", &topology.Window{Size: 10, Slide: 10}, aggCall("count"))
	n.Late = []*topology.Node{sinkNode()}
	r.columns = []int{0}
	c := r.build(3, then(n, sinkNode()))
	if err := c.Watermark(9); err != nil {
		t.Fatal(err)
	}
	r.mustRun(c, str("k"), 9, str("late"))
	r.wants("insert k @9 late")
	if r.late != 0 {
		t.Error("a late row with an output is counted as dropped")
	}
	r.mustRun(c, str("k"), 10, str("in time"))
	r.wants()
}

func TestWatermarkReachesTheChildrenBehindTheRowsItCauses(t *testing.T) {
	r := newRig(t)
	outer := aggregateNode(5, "append", &topology.Window{Size: 20, Slide: 20}, aggCall("sum", slot(3, record.TypeInt)))
	outer.UID = "s/outer"
	inner := then(aggregateNode(3, "append", &topology.Window{Size: 10, Slide: 10}, aggCall("count")), then(outer, sinkNode()))
	r.columns = []int{5}
	c := r.build(6, inner)
	r.mustRun(c, str("k"), 3)
	r.mustRun(c, str("k"), 13)
	r.mustRun(c, str("k"), 14)
	if err := c.Watermark(19); err != nil {
		t.Fatal(err)
	}
	r.wants("insert k @19 [0,20) 3")
	if err := c.Watermark(19); err != nil {
		t.Fatal(err)
	}
	r.wants()
}

func TestPanesWhoseSumIsTooLargeDoNotSpoilTheNextKey(t *testing.T) {
	r := newRig(t)
	n := aggregateNode(2, "append", &topology.Window{Size: 20, Slide: 10},
		aggCall("collect", slot(0, record.TypeInt)), aggCall("sum", slot(0, record.TypeInt)))
	n.OnError.Kind = "skip"
	r.columns = []int{2, 3}
	c := r.build(4, then(n, sinkNode()))
	for _, key := range []string{"a", "b", "c", "d"} {
		big := num(1)
		if key < "c" {
			big = num(math.MaxInt64)
		}
		r.mustRun(c, str(key), 5, big)
		r.mustRun(c, str(key), 15, num(2))
	}
	if err := c.Watermark(19); err != nil {
		t.Fatal(err)
	}
	// The windows [-10,10) have one pane each and are fine; of [0,20) two are not.
	got := strings.Join(r.taken(), "\n")
	for _, want := range []string{"[-10,10) [9223372036854775807] 9223372036854775807", "c @19 [0,20) [1,2] 3", "d @19 [0,20) [1,2] 3"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Count(got, "@19") != 2 || r.skipped["s/aggregate eval-failed"] != 2 {
		t.Errorf("skipped %v, rows:\n%s", r.skipped, got)
	}
}
