package operator

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/state"
	"kstream/topology"
)

// StateRow is what an operator remembers of one key, or of one key in one window,
// in the words of the pipeline. It is valid during the call it is given to.
type StateRow struct {
	Group    record.KeyGroup
	KeyBytes []byte
	Key      record.Value
	// Window is the window of the row if Windowed is set. For a window that is not
	// over it is the window as far as it is known: a session, or the span of the
	// times of the records of a count window.
	Window   record.Window
	Windowed bool
	// Records is how many records a count window has so far; 0 for others.
	Records int64
	Value   record.Value
	// Ends is when state_ttl ends the row, in processing time; 0 is never.
	Ends record.Timestamp
	// Failed is why there is no value: an output cannot be computed.
	Failed string
}

// InspectOptions say as of when state is looked at. Watermark is that of the
// operator's chain, MinTimestamp if it is not known; windows that are closed are
// not shown. Now is processing time; what has expired then is not shown.
type InspectOptions struct {
	Watermark record.Timestamp
	Now       record.Timestamp
}

// Inspector reads the stored state of one stateful node. It is used by one
// goroutine. It takes nothing for granted: damaged entries are errors.
type Inspector struct {
	KeyType   record.Type
	ValueType record.Type
	Windowed  bool

	node    *topology.Node
	opts    InspectOptions
	env     expr.Env
	arena   record.Arena
	scratch *state.Table
	loaded  []state.Address // what is in scratch
	row     StateRow
	own     record.Row

	// The operator of the node, which computes results from what is in scratch.
	acc   *accumulators
	win   *windowed
	sess  *sessions
	count *counted
	top   *topN
	ups   *upsert
	held  *coalesce
}

// ErrStateDamaged says that entries are not those of the operator.
var ErrStateDamaged = errors.New("the state of a key is damaged")

// NewInspector makes one for the node with a uid.
func NewInspector(plan *topology.Plan, uid string, o InspectOptions) (x *Inspector, err error) {
	node, chain := findStateful(plan, uid)
	if node == nil {
		return nil, fmt.Errorf("%s has no state", uid)
	}
	x = &Inspector{node: node, opts: o, KeyType: node.State.KeyType, scratch: state.NewScratch()}
	x.env = expr.Env{Arena: &x.arena, Now: int64(o.Now) * 1e6, Rand: rand.New(rand.NewPCG(0, 0)), Pipeline: plan.Name}
	c := &Chain{Slots: make([]record.Value, chain.Slots), Before: make([]record.Value, chain.Slots), watermark: record.MinTimestamp}
	x.own = record.Row{Slots: c.Slots}
	env := &Env{Expr: &x.env, MaxParallelism: plan.MaxParallelism, Table: func(string) (*state.Table, error) { return x.scratch, nil }}
	b := &base{env: env, expr: env.Expr, node: node}
	s, err := c.operator(node, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", uid, err)
	}
	switch s := s.(type) {
	case *aggregate:
		x.acc = s.accumulators
	case *windowed:
		x.acc, x.win = s.accumulators, s
		x.inWindows()
	case *sessions:
		x.acc, x.sess = s.accumulators, s
	case *counted:
		x.acc, x.count = s.accumulators, s
	case *topN:
		x.top = s
	case *upsert:
		x.ups = s
	case *coalesce:
		x.held = s
	case *dedup:
	default:
		return nil, fmt.Errorf("bug: %s has state that nobody can show", uid)
	}
	x.Windowed = node.Window != nil || node.TopN != nil && node.TopN.Window || node.Coalesce != nil && node.Coalesce.Window
	x.ValueType = x.valueType()
	return x, nil
}

// inWindows brings the operator of windows to the time of the look.
func (x *Inspector) inWindows() {
	w := x.opts.Watermark
	if x.win.byClock != nil {
		w = x.opts.Now - 1
	}
	x.win.reach(w)
}

// findStateful finds a node with state and its chain.
func findStateful(plan *topology.Plan, uid string) (*topology.Node, *topology.Chain) {
	for _, c := range plan.Chains {
		if n := findIn(c.Roots, uid); n != nil {
			return n, c
		}
		if c.Bad != nil {
			if n := findIn(c.Bad.Next, uid); n != nil {
				return n, c
			}
		}
	}
	return nil, nil
}

func findIn(nodes []*topology.Node, uid string) *topology.Node {
	for _, n := range nodes {
		if n.UID == uid && n.State != nil {
			return n
		}
		for _, below := range n.Below() {
			if found := findIn(below, uid); found != nil {
				return found
			}
		}
	}
	return nil
}

// ChainOf is the name of the chain of a stateful node, which its watermark has in
// a checkpoint; "" if there is no such node.
func ChainOf(plan *topology.Plan, uid string) string {
	if _, c := findStateful(plan, uid); c != nil {
		return c.Name
	}
	return ""
}

// valueType is the type of StateRow.Value.
func (x *Inspector) valueType() record.Type {
	object := record.TypeOf(record.TypeObject)
	add := func(name string, t record.Type) {
		object.Fields = append(object.Fields, record.Field{Name: name, Type: t})
	}
	switch n := x.node; {
	case n.Aggregate != nil && n.Aggregate.Reduce != nil:
		for _, f := range n.Aggregate.Reduce.Fields {
			if f.Name == "" {
				return f.Type
			}
			add(f.Name, f.Type)
		}
	case n.Aggregate != nil:
		for i, name := range n.Aggregate.Names {
			add(name, n.Aggregate.Outputs[i].Program.Type)
		}
	case n.Dedup != nil:
		add("time", record.TypeOf(record.TypeTimestamp))
	case n.TopN != nil:
		row := record.TypeOf(record.TypeObject)
		for _, c := range n.TopN.Columns {
			row.Fields = append(row.Fields, record.Field{Name: columnName(c.Name), Type: c.Type})
		}
		add("rows", record.ListOf(row))
	case n.Coalesce != nil:
		row := record.TypeOf(record.TypeObject)
		for _, c := range n.Coalesce.Columns {
			row.Fields = append(row.Fields, record.Field{Name: columnName(c.Name), Type: record.Any})
		}
		add("op", record.TypeOf(record.TypeString))
		add("row", row)
	case n.Input != nil:
		for _, name := range n.Input.Names {
			add(columnName(name), record.Any)
		}
	}
	return object
}

// columnName is the name of a column in the pipeline: of that the planner gave it.
// The whole value has none of its own.
func columnName(name string) string {
	for _, place := range []string{"col/", "base/", "$value/"} {
		if rest, ok := strings.CutPrefix(name, place); ok {
			return strings.ReplaceAll(rest, "/", ".")
		}
	}
	if name == "" || name == "base" {
		return "$value"
	}
	return name
}

// holds reports whether rows stand in a namespace.
func (x *Inspector) holds(ns int64) bool {
	switch {
	case x.win != nil:
		return ns != clockNamespace
	case x.sess != nil:
		return ns == sessionIndex
	case x.count != nil, x.acc != nil, x.ups != nil, x.held != nil:
		return ns == 0
	}
	return true
}

// Main reports whether an entry stands for a key, or for a key in a window or a
// part of one; the others belong to such an entry.
func (x *Inspector) Main(ns int64, key []byte) bool {
	if !x.holds(ns) {
		return false
	}
	_, rest, err := codec.DecodeKey(key)
	return err == nil && len(rest) == x.behind()
}

// behind is how many bytes stand behind the encoded key of a main entry.
func (x *Inspector) behind() int {
	switch {
	case x.top != nil && x.Windowed:
		return 8 // start of the window, the end is the namespace
	case x.held != nil && x.Windowed:
		return 16
	}
	return 0
}

// Rows calls fn with the rows of a key group whose encoded key begins with prefix,
// in the order of windows and encoded keys; of whole keys none begins with
// another. With only, rows of windows that it refuses are not computed.
func (x *Inspector) Rows(r *state.Reader, g record.KeyGroup, prefix []byte, only func(record.Window) bool, fn func(*StateRow) error) (err error) {
	if only == nil {
		only = func(record.Window) bool { return true }
	}
	// The operators trust what they have written. What is read here may be of a
	// savepoint that somebody made by hand, or of a plan that it does not fit.
	inside := false
	defer func() {
		if p := recover(); p != nil {
			if inside {
				panic(p)
			}
			err = fmt.Errorf("%s: %w: %v", x.node.UID, ErrStateDamaged, p)
		}
	}()
	give := func(row *StateRow) error {
		inside = true
		err := fn(row)
		inside = false
		return err
	}
	if x.win != nil && !x.win.assign.Tumbling() {
		err = x.sliding(r, g, prefix, only, give)
	} else {
		err = x.plain(r, g, prefix, only, give)
	}
	if err == nil {
		err = r.Err()
	}
	return err
}

// namespaces calls fn with those of a key group that hold rows, in order.
func (x *Inspector) namespaces(r *state.Reader, g record.KeyGroup, fn func(ns int64) error) error {
	for ok := r.Seek(g, math.MinInt64, nil); ok; {
		ns := r.Address().Namespace
		if x.holds(ns) {
			if err := fn(ns); err != nil {
				return err
			}
		}
		if ns == math.MaxInt64 {
			break
		}
		ok = r.Seek(g, ns+1, nil)
	}
	return r.Err()
}

// mains calls fn with the main entries of a namespace.
func (x *Inspector) mains(r *state.Reader, g record.KeyGroup, ns int64, prefix []byte, fn func(key []byte) error) error {
	var key []byte
	for ok := r.Seek(g, ns, prefix); ok; ok = r.Next() {
		a := r.Address()
		if a.Namespace != ns || !bytes.HasPrefix(a.Key, prefix) {
			break
		}
		if !x.Main(ns, a.Key) {
			continue
		}
		key = append(key[:0], a.Key...)
		if err := fn(key); err != nil {
			return err
		}
	}
	return r.Err()
}

// plain gives the rows of operators whose main entries have one row each, or are
// the index of the rows of a key.
func (x *Inspector) plain(r *state.Reader, g record.KeyGroup, prefix []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	return x.namespaces(r, g, func(ns int64) error {
		if w := x.win; w != nil {
			if w.assign.Closed(record.Timestamp(ns), w.closed) || !only(w.windowAt(record.Timestamp(ns))) {
				return nil
			}
		}
		return x.mains(r, g, ns, prefix, func(key []byte) error { return x.entry(r, g, ns, key, only, fn) })
	})
}

// entry gives the rows of one main entry.
func (x *Inspector) entry(r *state.Reader, g record.KeyGroup, ns int64, key []byte, only func(record.Window) bool, fn func(*StateRow) error) error {
	defer x.unload()
	if err := x.begin(g, key); err != nil {
		return err
	}
	value, ok, err := r.Get(g, ns, key)
	if err != nil {
		return err
	}
	if !ok {
		return x.damaged("an entry is gone")
	}
	value = x.arena.Copy(value)
	switch {
	case x.win != nil:
		return x.window(r, record.Timestamp(ns), []record.Timestamp{record.Timestamp(ns)}, fn)
	case x.sess != nil:
		return x.sessions(r, value, only, fn)
	case x.count != nil:
		return x.counted(r, value, only, fn)
	case x.acc != nil:
		return x.aggregate(r, value, fn)
	case x.top != nil:
		return x.list(ns, key, value, only, fn)
	case x.ups != nil:
		return x.upserted(value, fn)
	case x.held != nil:
		return x.change(key, value, only, fn)
	}
	return x.remembered(value, fn)
}

// begin starts the rows of a key.
func (x *Inspector) begin(g record.KeyGroup, key []byte) error {
	x.arena.Reset()
	key = x.arena.Copy(key)
	v, rest, err := codec.DecodeKey(key)
	if err != nil {
		return x.damaged("%v", err)
	}
	key = key[:len(key)-len(rest)]
	x.row = StateRow{Group: g, Key: v, KeyBytes: key}
	x.own.Key, x.own.KeyBytes, x.own.Group, x.own.Window = v, key, g, record.Window{}
	return nil
}

func (x *Inspector) damaged(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", x.node.UID, ErrStateDamaged, fmt.Sprintf(format, args...))
}

// load brings what is known of the key in a namespace into scratch: the main
// entry, which must have the size of one, and those beside it.
func (x *Inspector) load(r *state.Reader, ns int64) (known bool, err error) {
	g, main := x.row.Group, x.row.KeyBytes
	err = r.Each(g, ns, main, func(key, value []byte) error {
		if len(key) == len(main) {
			known = true
			if len(value) != x.acc.size {
				return x.damaged("a main entry has %d bytes, the step keeps %d", len(value), x.acc.size)
			}
		}
		x.loaded = append(x.loaded, state.Address{Group: g, Namespace: ns, Key: x.arena.Copy(key)})
		return x.scratch.Put(g, ns, key, value)
	})
	return known, err
}

// unload empties scratch.
func (x *Inspector) unload() {
	for _, a := range x.loaded {
		_ = x.scratch.Delete(a.Group, a.Namespace, a.Key) // in memory, it cannot fail
	}
	x.loaded = x.loaded[:0]
}

// merge takes the panes of a key that are in scratch into the results.
func (x *Inspector) merge(namespaces []int64) error {
	a, g, key := x.acc, x.row.Group, x.row.KeyBytes
	for _, ns := range namespaces {
		main, ok, err := x.scratch.Get(g, ns, key)
		if err == nil && !ok {
			err = errMissing
		}
		if err == nil {
			err = a.merge(main, g, ns, key)
		}
		if err != nil {
			a.forget()
			if text, bad := err.(valueError); bad {
				x.row.Failed = string(text)
				return nil
			}
			return x.damaged("%v", err)
		}
		a.at.earlier = append(a.at.earlier, ns)
	}
	return nil
}

// give computes the value of what was merged and hands the row on.
func (x *Inspector) give(fn func(*StateRow) error) error {
	x.row.Value = record.Null
	if x.row.Failed == "" {
		x.own.Window = x.row.Window
		bad, err := x.acc.finish(&x.own)
		switch {
		case err != nil:
			return x.damaged("%v", err)
		case bad != nil:
			x.row.Failed = bad.Message
		default:
			x.row.Value = x.value()
		}
	}
	err := fn(&x.row)
	x.row.Failed = ""
	return err
}

// value makes an object of the outputs.
func (x *Inspector) value() record.Value {
	a := x.node.Aggregate
	o := &record.Object{}
	if a.Reduce != nil {
		for _, f := range a.Reduce.Fields {
			if f.Name == "" {
				return x.own.Slots[f.Slot]
			}
			o.Names, o.Values = append(o.Names, f.Name), append(o.Values, x.own.Slots[f.Slot])
		}
		return record.ObjectOf(o)
	}
	for i, name := range a.Names {
		o.Names, o.Values = append(o.Names, name), append(o.Values, x.own.Slots[a.Outputs[i].Slot])
	}
	return record.ObjectOf(o)
}

func timeAt(b []byte) record.Timestamp { return record.Timestamp(binary.LittleEndian.Uint64(b)) }
