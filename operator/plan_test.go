package operator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// planJob runs the plan of a pipeline file in one thread: every chain once, an
// exchange is a call. What its sinks get is written down.
type planJob struct {
	t      testing.TB
	plan   *topology.Plan
	db     *state.DB
	tasks  map[*topology.Chain]*planTask
	tables []*state.Table
	epoch  uint64
	mark   record.Timestamp
	clock  record.Timestamp
	out    map[string][]string // by sink
	errs   map[string]int      // by node and code, with on_error: skip
	sent   int64
}

type planTask struct {
	op    *Chain
	env   expr.Env
	arena record.Arena
}

func newPlanJob(t testing.TB, yaml string) *planJob {
	t.Helper()
	_, plan, found := topology.Validate("test.yaml", []byte(yaml), topology.Options{})
	for _, d := range found {
		if d.Severity == topology.SeverityError {
			t.Errorf("%d:%d: %s", d.Line, d.Col, d.Message)
		}
	}
	if plan == nil {
		t.Fatal("no plan")
	}
	db, err := state.Open(state.Options{Backend: state.BackendMemory, Memory: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	j := &planJob{t: t, plan: plan, db: db, mark: record.MinTimestamp, out: map[string][]string{}, errs: map[string]int{}}
	j.start()
	return j
}

func (j *planJob) start() {
	j.t.Helper()
	j.tasks = map[*topology.Chain]*planTask{}
	for _, c := range j.plan.Chains {
		j.tasks[c] = &planTask{}
	}
	for _, c := range j.plan.Chains {
		task := j.tasks[c]
		task.env.Arena, task.env.Rand = &task.arena, rand.New(rand.NewPCG(1, 2))
		op, err := Build(c, j.env(task))
		if err != nil {
			j.t.Fatal(err)
		}
		task.op = op
		op.RestoreWatermark(j.mark)
	}
}

func (j *planJob) env(task *planTask) Env {
	return Env{
		Expr:           &task.env,
		MaxParallelism: j.plan.MaxParallelism,
		Table: func(uid string) (*state.Table, error) {
			for i, n := range j.plan.Stateful {
				if n.UID == uid {
					t, err := j.db.Table(state.TableOptions{Store: state.StoreID(i + 1), Last: record.KeyGroup(j.plan.MaxParallelism - 1), Memory: 1 << 18})
					j.tables = append(j.tables, t)
					return t, err
				}
			}
			return nil, fmt.Errorf("no state of %s", uid)
		},
		Exchange: func(end *topology.ExchangeEnd) (func(*record.Row) error, error) {
			return func(row *record.Row) error { return j.exchange(end, row) }, nil
		},
		Sink: func(n *topology.Node) (func(*record.Row) error, error) {
			return func(row *record.Row) error { return j.sink(n, row, &task.env) }, nil
		},
		Count: Counters{Skipped: func(uid, code string) { j.errs[uid+" "+code]++ }, LateDropped: func(uid string) { j.errs[uid+" late"]++ }},
	}
}

// exchange copies the columns of a row to the receiver, as a sender does.
func (j *planJob) exchange(end *topology.ExchangeEnd, row *record.Row) error {
	to := j.tasks[end.Exchange.To]
	to.arena.Reset()
	r, err := to.copied(end, row, to.op.Slots, j.plan.MaxParallelism)
	if err != nil {
		return err
	}
	if row.Before != nil {
		if r.Before, err = to.copied(end, row.Before, to.op.Before, j.plan.MaxParallelism); err != nil {
			return err
		}
	}
	to.env.Now = int64(j.clock) * 1e6
	to.env.Begin(r)
	return to.op.Process(r)
}

func (to *planTask) copied(end *topology.ExchangeEnd, row *record.Row, slots []record.Value, groups int) (*record.Row, error) {
	for i, slot := range end.Columns {
		slots[end.Exchange.Slots[i]] = row.Slots[slot].Clone(&to.arena)
	}
	r := &record.Row{Slots: slots, Time: row.Time, Op: row.Op, Bare: row.Bare, Window: row.Window, Group: row.Group, Origin: row.Origin}
	bytes := row.KeyBytes
	if bytes == nil && end.Exchange.To.NeedsKey { // nothing has encoded it to route by it
		var err error
		if bytes, err = codec.AppendKey(nil, row.Key); err != nil {
			return nil, err
		}
		r.Group = record.KeyGroupOf(bytes, groups)
	}
	if bytes != nil {
		r.KeyBytes = to.arena.Copy(bytes)
		if end.Exchange.To.NeedsKey {
			key, _, err := codec.DecodeKey(r.KeyBytes)
			if err != nil {
				return nil, err
			}
			r.Key = key
		}
	}
	return r, nil
}

func (j *planJob) sink(n *topology.Node, row *record.Row, env *expr.Env) error {
	var b strings.Builder
	key := sinkKey(n.Encode, row, env)
	name := n.Sink.Spec.Name
	if row.Before != nil && n.Encode.Moves {
		env.Begin(row.Before)
		old := sinkKey(n.Encode, row.Before, env)
		env.Begin(row)
		if old != key {
			j.out[name] = append(j.out[name], "delete"+old+" moved")
		}
	}
	fmt.Fprintf(&b, "%s%s @%d", row.Op, key, row.Time)
	v := n.Encode.Value
	if v.Whole >= 0 {
		fmt.Fprintf(&b, " %s", text(row.Slots[v.Whole]))
	}
	for _, f := range v.Fields {
		fmt.Fprintf(&b, " %s=%s", f.Name, text(row.Slots[f.Slot]))
	}
	j.out[name] = append(j.out[name], b.String())
	return nil
}

func sinkKey(e *topology.Encode, row *record.Row, env *expr.Env) string {
	switch {
	case e.Key == nil:
		return " " + text(row.Key)
	case e.Key.Program != nil:
		return " " + text(e.Key.Program.Eval(env))
	}
	out := ""
	for _, p := range e.Key.Parts {
		out += " " + text(p.Eval(env))
	}
	return out
}

// send puts a record into the first source; values are by field.
func (j *planJob) send(key string, at record.Timestamp, values map[string]record.Value) {
	j.t.Helper()
	src := j.plan.Sources[0]
	task := j.tasks[src.Chain]
	task.arena.Reset()
	for _, w := range src.Wants {
		if len(w.Path) != 1 {
			j.t.Fatalf("the test does not know the path %v", w.Path)
		}
		task.op.Slots[w.Slot] = values[w.Path[0]]
	}
	row := record.Row{Slots: task.op.Slots, Time: at, Key: str(key), Origin: &record.Origin{Topic: "in", Offset: record.Offset(j.sent)}}
	j.sent++
	task.env.Now = int64(j.clock) * 1e6
	task.env.Begin(&row)
	if err := task.op.Process(&row); err != nil {
		j.t.Fatal(err)
	}
}

func (j *planJob) advance(w record.Timestamp) {
	j.t.Helper()
	if w <= j.mark {
		return
	}
	j.mark = w
	for _, c := range j.plan.Chains {
		if err := j.tasks[c].op.Watermark(w); err != nil {
			j.t.Fatal(err)
		}
	}
}

// commit ends an epoch; restart also begins a new life behind it.
func (j *planJob) commit() {
	j.t.Helper()
	j.epoch++
	for _, c := range j.plan.Chains {
		task := j.tasks[c]
		task.env.Now = int64(j.clock) * 1e6
		if err := task.op.Release(); err != nil {
			j.t.Fatal(err)
		}
	}
	var deltas []*state.Delta
	for _, c := range j.plan.Chains {
		deltas = append(deltas, j.tasks[c].op.Freeze(j.epoch)...)
	}
	meta := state.Meta{Epoch: j.epoch, Owner: "1-a", Positions: make([]record.Offset, j.plan.MaxParallelism)}
	if err := j.db.Apply(meta, deltas); err != nil {
		j.t.Fatal(err)
	}
	for _, c := range j.plan.Chains {
		j.tasks[c].op.Applied(j.epoch)
	}
}

func (j *planJob) restart() {
	j.t.Helper()
	j.commit()
	for _, t := range j.tables {
		if err := t.Close(); err != nil {
			j.t.Fatal(err)
		}
	}
	j.tables = nil
	j.start()
}

func (j *planJob) taken(sink string) []string {
	out := j.out[sink]
	delete(j.out, sink)
	return out
}

// entries is how many state entries a committed job holds.
func (j *planJob) entries() (n int) {
	j.t.Helper()
	j.commit()
	err := j.db.Iterate(nil, func(key, _ []byte) error {
		if a, err := state.ParseKey(key); err == nil && a.Store != 0 {
			n++
		}
		return nil
	})
	if err != nil {
		j.t.Fatal(err)
	}
	return n
}
