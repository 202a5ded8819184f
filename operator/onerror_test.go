package operator

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// failingNode is a node whose expression fails for every row, with an on_error.
func failingNode(t *testing.T, e topology.OnErrorSpec) *topology.Node {
	return &topology.Node{UID: "s/set", Kind: topology.NodeAssign, OnError: e,
		Assign: []topology.Assign{{Slot: 1, Program: failing(t)}}}
}

// TestOnError: what each policy does with a record that fails, and that the next
// record does not see the error of the last one.
func TestOnError(t *testing.T) {
	for _, c := range []struct {
		on   topology.OnErrorSpec
		want []string
	}{
		{topology.OnErrorSpec{Kind: "fail"}, []string{"error s/set: eval-failed: division by zero (in/3 offset 42)"}},
		{topology.OnErrorSpec{Kind: "skip"}, []string{"skipped"}},
		{topology.OnErrorSpec{Kind: "dead_letter"}, []string{"dead s/set eval-failed in 3 42 division by zero"}},
		{topology.OnErrorSpec{Kind: "output", Output: "bad", Ref: "s.bad"}, []string{"diverted", `insert k @5 7 eval-failed division by zero`}},
	} {
		t.Run(c.on.Kind, func(t *testing.T) {
			r := newRig(t)
			r.columns = []int{0, 2, 3}
			n := failingNode(t, c.on)
			if c.on.Kind == "output" {
				n.Bad = &topology.ErrorOutput{Code: 2, Message: 3, Value: -1, Next: []*topology.Node{sinkNode()}}
			}
			env := r.buildEnv()
			env.Count.Diverted = func(uid, code string) { r.out = append(r.out, "diverted") }
			env.Count.Skipped = func(uid, code string) { r.out = append(r.out, "skipped") }
			env.DeadLetter = func(n *topology.Node, row *record.Row, e *RecordError) error {
				r.out = append(r.out, fmt.Sprintf("dead %s %s %s %d %d %s", n.UID, e.Code, e.Topic, e.Partition, e.Offset, e.Message))
				return nil
			}
			chain, err := Build(&topology.Chain{Name: "test", Slots: 4, Roots: []*topology.Node{then(n, sinkNode())}}, env)
			if err != nil {
				t.Fatal(err)
			}
			err = r.run(chain, str("k"), 5, num(7))
			var bad *RecordError
			if errors.As(err, &bad) {
				r.out = append(r.out, "error "+bad.Error())
			}
			r.wants(c.want...)
			if c.on.Kind != "fail" && r.env.Err() != nil {
				t.Error("the error is left to the next node")
			}
		})
	}
}

// TestDeadLetterFails: a dead letter that cannot be written ends the task.
func TestDeadLetterFails(t *testing.T) {
	r := newRig(t)
	env := r.buildEnv()
	gone := errors.New("gone")
	env.DeadLetter = func(*topology.Node, *record.Row, *RecordError) error { return gone }
	chain, err := Build(&topology.Chain{Name: "test", Slots: 4, Roots: []*topology.Node{failingNode(t, topology.OnErrorSpec{Kind: "dead_letter"})}}, env)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.run(chain, str("k"), 5, num(7)); !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

// TestUnreadableRecords: the output of a source has the bytes that were read.
func TestUnreadableRecords(t *testing.T) {
	r := newRig(t)
	r.columns = []int{0, 1, 2}
	bad := &topology.ErrorOutput{Code: 0, Message: 1, Value: 2, Next: []*topology.Node{sinkNode()}}
	c, err := Build(&topology.Chain{Name: "test", Slots: 3, Bad: bad}, r.buildEnv())
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range [][]byte{[]byte("{x"), {}, nil} {
		row := record.Row{Slots: c.Slots, Time: 9, Origin: &record.Origin{Topic: "in", Value: value}}
		r.env.Begin(&row)
		if err := c.Divert(bad, &row, &RecordError{Code: "decode-failed", Message: "no"}); err != nil {
			t.Fatal(err)
		}
	}
	r.wants("insert null @9 decode-failed no {x", "insert null @9 decode-failed no ", "insert null @9 decode-failed no null")
}

// TestFailedResults: a result that fails because of a row fails that row, which
// has an origin; one that time made has its key only.
func TestFailedResults(t *testing.T) {
	for _, w := range []*topology.Window{nil, {Size: 10, Slide: 10}} {
		r := newRig(t)
		n := aggregateNode(2, "update", w, aggCall("sum", slot(0, record.TypeInt)))
		n.OnError = topology.OnErrorSpec{Kind: "dead_letter"}
		n.Aggregate.Outputs[0].Program = failing(t)
		env := r.buildEnv()
		var got []string
		env.DeadLetter = func(n *topology.Node, row *record.Row, e *RecordError) error {
			got = append(got, fmt.Sprintf("%s %q %v %s", text(row.Key), e.Topic, row.Origin != nil, text(row.Slots[0])))
			return nil
		}
		c, err := Build(&topology.Chain{Name: "test", Slots: 4, Roots: []*topology.Node{then(n, sinkNode())}}, env)
		if err != nil {
			t.Fatal(err)
		}
		r.mustRun(c, str("k"), 5, num(7))
		if err := c.Watermark(100); err != nil {
			t.Fatal(err)
		}
		want := []string{`k "in" true 7`}
		if w != nil {
			want = []string{`k "" false null`}
		}
		if !slices.Equal(got, want) {
			t.Errorf("window %v: got %q, want %q", w, got, want)
		}
		r.wants()
	}
}

// TestOutputsGetWatermarks: a window on a side output fires.
func TestOutputsGetWatermarks(t *testing.T) {
	r := newRig(t)
	r.columns = []int{2}
	w := aggregateNode(2, "append", &topology.Window{Size: 10, Slide: 10}, expr.AggregateCall{Func: "count"})
	n := failingNode(t, topology.OnErrorSpec{Kind: "output"})
	n.Bad = &topology.ErrorOutput{Code: 3, Message: 4, Value: -1, Next: []*topology.Node{then(w, sinkNode())}}
	c := r.build(5, n)
	r.mustRun(c, str("k"), 5, num(7))
	if err := c.Watermark(100); err != nil {
		t.Fatal(err)
	}
	r.wants("insert k @9 [0,10) 1")
}
