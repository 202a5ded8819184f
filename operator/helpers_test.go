package operator

import (
	"fmt"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

const groups = 8

// slot is a program that reads a slot.
func slot(i int, k record.TypeKind) *expr.Program {
	return &expr.Program{
		Type: record.TypeOf(k),
		Eval: func(e *expr.Env) record.Value { return e.Row.Slots[i] },
		Cond: func(e *expr.Env) bool { return e.Row.Slots[i].True() },
		Ref:  &expr.Ref{Kind: expr.RefSlot, Slot: i},
	}
}

func compute(k record.TypeKind, eval func(*expr.Env) record.Value) *expr.Program {
	return &expr.Program{Type: record.TypeOf(k), Eval: eval, Cond: func(e *expr.Env) bool { return eval(e).True() }}
}

// failing is a program that fails for every row, with an error of the language.
func failing(t *testing.T) *expr.Program {
	t.Helper()
	return program(t, "1 / 0")
}

// constScope knows no names.
type constScope struct{}

func (constScope) Field([]string) expr.Binding { return expr.Binding{} }
func (constScope) Meta(string) expr.Binding    { return expr.Binding{} }
func (constScope) Fields() []string            { return nil }

func program(t *testing.T, text string) *expr.Program {
	t.Helper()
	tree, problems := expr.Parse(text)
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", text, problems)
	}
	p, problems := expr.Compile(tree, constScope{}, expr.Want{})
	if len(problems) > 0 {
		t.Fatalf("%s: %+v", text, problems)
	}
	return p
}

// rig runs chains outside of a runtime and writes down what leaves them.
type rig struct {
	t       testing.TB
	db      *state.DB
	env     expr.Env
	arena   record.Arena
	columns []int // slots shown in out
	out     []string
	skipped map[string]int
	late    int
	logged  []string
	onRow   func(*record.Row) error
	memory  int64           // of each table
	first   record.KeyGroup // of the tables opened next
	last    record.KeyGroup
	tables  []*state.Table
}

func newRig(t testing.TB) *rig {
	t.Helper()
	db, err := state.Open(state.Options{Backend: state.BackendMemory, Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	r := &rig{t: t, db: db, skipped: map[string]int{}, last: groups - 1, memory: 1 << 20}
	r.env.Arena = &r.arena
	return r
}

func (r *rig) buildEnv() Env {
	return Env{
		Expr:           &r.env,
		MaxParallelism: groups,
		Table: func(uid string) (*state.Table, error) {
			store := state.StoreID(1)
			if uid == "s/outer" {
				store = 2
			}
			t, err := r.db.Table(state.TableOptions{Store: store, First: r.first, Last: r.last, Memory: r.memory})
			r.tables = append(r.tables, t)
			return t, err
		},
		Exchange: func(end *topology.ExchangeEnd) (func(*record.Row) error, error) { return r.show, nil },
		Sink:     func(*topology.Node) (func(*record.Row) error, error) { return r.show, nil },
		Log:      func(level, uid, text string) { r.logged = append(r.logged, level+" "+uid+" "+text) },
		Count: Counters{
			Skipped:     func(uid, code string) { r.skipped[uid+" "+code]++ },
			LateDropped: func(string) { r.late++ },
		},
	}
}

func (r *rig) build(slots int, roots ...*topology.Node) *Chain {
	r.t.Helper()
	c, err := Build(&topology.Chain{Name: "test", Slots: slots, Roots: roots}, r.buildEnv())
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// show writes a row down: op, key, time, window, the chosen columns.
func (r *rig) show(row *record.Row) error {
	if r.onRow != nil {
		return r.onRow(row)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s @%d", row.Op, text(row.Key), row.Time)
	if row.Window != (record.Window{}) {
		fmt.Fprintf(&b, " [%d,%d)", row.Window.Start, row.Window.End)
	}
	for _, c := range r.columns {
		fmt.Fprintf(&b, " %s", text(row.Slots[c]))
	}
	r.out = append(r.out, b.String())
	return nil
}

func text(v record.Value) string {
	if v.IsNull() {
		return "null"
	}
	return string(record.AppendText(nil, v))
}

// taken is what was written down since the last call.
func (r *rig) taken() []string {
	out := r.out
	r.out = nil
	return out
}

// run processes one row with the key and time, and values from slot 0 on.
func (r *rig) run(c *Chain, key record.Value, at record.Timestamp, values ...record.Value) error {
	r.arena.Reset()
	copy(c.Slots, values)
	row := record.Row{
		Slots: c.Slots, Key: key, Time: at,
		Origin: &record.Origin{Topic: "in", Partition: 3, Offset: 42},
	}
	var err error
	if row.KeyBytes, err = codec.AppendKey(nil, key); err != nil {
		r.t.Fatal(err)
	}
	row.Group = record.KeyGroupOf(row.KeyBytes, groups)
	r.env.Begin(&row)
	return c.Process(&row)
}

func (r *rig) mustRun(c *Chain, key record.Value, at record.Timestamp, values ...record.Value) {
	r.t.Helper()
	if err := r.run(c, key, at, values...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) wants(want ...string) {
	r.t.Helper()
	got := r.taken()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		r.t.Fatalf("rows:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func sinkNode() *topology.Node {
	return &topology.Node{UID: "sink:out", Kind: topology.NodeSink, Sink: &topology.Sink{}}
}

func then(n *topology.Node, next ...*topology.Node) *topology.Node {
	n.Next = next
	return n
}

func checkNode(cond *expr.Program) *topology.Node {
	return &topology.Node{UID: "s/check", Kind: topology.NodeCheck, Check: []topology.Check{{Name: "first", Cond: cond}}}
}

// aggregateNode makes an aggregate or, with a window, a windowed one. Output i
// is call i, in slot at+i.
func aggregateNode(at int, emit string, w *topology.Window, calls ...expr.AggregateCall) *topology.Node {
	n := &topology.Node{UID: "s/aggregate", Kind: topology.NodeAggregate, Window: w}
	if w != nil {
		n.Kind = topology.NodeWindow
	}
	n.Aggregate = &topology.Aggregate{Emit: emit}
	for i := range calls {
		calls[i].Acc = i
		n.Aggregate.Outputs = append(n.Aggregate.Outputs, topology.Assign{
			Slot:    at + i,
			Program: &expr.Program{Eval: func(e *expr.Env) record.Value { return e.Acc[i] }},
		})
	}
	n.Aggregate.Calls = calls
	return n
}

func aggCall(name string, args ...*expr.Program) expr.AggregateCall {
	return expr.AggregateCall{Func: name, Args: args}
}

func str(s string) record.Value { return record.String(s) }
func num(i int64) record.Value  { return record.Int(i) }
