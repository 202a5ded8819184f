package runtime

import (
	"slices"
	"strings"

	"kstream/expr"
	"kstream/operator"
	"kstream/record"
)

// The slots of a row of state that an expression reads; behind them stand the
// fields of the value.
const (
	slotKey = iota
	slotWindow
	slotValue
	slotTTL
	slotFields
)

// stateScope says what names mean in --where.
type stateScope struct {
	names []string
	types []record.Type
}

func newStateScope(x *operator.Inspector) *stateScope {
	stamp := record.TypeOf(record.TypeTimestamp)
	window := record.TypeOf(record.TypeObject)
	window.Fields = []record.Field{{Name: "start", Type: stamp}, {Name: "end", Type: stamp}}
	s := &stateScope{names: []string{"key", "window", "value", "ttl"}, types: []record.Type{x.KeyType, window, x.ValueType, stamp}}
	for _, f := range x.ValueType.Fields {
		s.names, s.types = append(s.names, f.Name), append(s.types, f.Type)
	}
	return s
}

// Field implements expr.Scope.
func (s *stateScope) Field(path []string) expr.Binding {
	if i := slices.Index(s.names, path[0]); i >= 0 {
		t := s.types[i]
		t.Required = false
		return expr.Binding{Ref: expr.Ref{Kind: expr.RefSlot, Slot: i}, Type: t, Used: 1, Known: true}
	}
	return expr.Binding{}
}

// Meta implements expr.Scope.
func (s *stateScope) Meta(name string) expr.Binding {
	switch name {
	case "$key":
		return s.Field([]string{"key"})
	case "$value":
		return s.Field([]string{"value"})
	}
	return expr.Binding{Message: "there is no " + name + " in state", Hint: "key, window.start, window.end, value, ttl and the fields of the value"}
}

// Fields implements expr.Scope.
func (s *stateScope) Fields() []string { return s.names }

// compile compiles --where.
func (s *selection) compile() error {
	tree, problems := expr.Parse(s.query.Where)
	if len(problems) == 0 {
		s.where, problems = expr.Compile(tree, newStateScope(s.inspector), expr.Want{Type: expr.WantBool, Place: "--where"})
	}
	if len(problems) > 0 {
		p := problems[0]
		return refuse(2, p.Hint, "--where: %s", strings.TrimPrefix(p.Message, "--where "))
	}
	for _, f := range s.inspector.ValueType.Fields {
		s.names = append(s.names, f.Name)
	}
	s.env.Arena = &s.arena
	s.row.Slots = make([]record.Value, slotFields+len(s.names))
	return nil
}

// fill makes the row that the expression reads.
func (s *selection) fill(row *operator.StateRow) {
	slots := s.row.Slots
	slots[slotKey], slots[slotWindow], slots[slotValue], slots[slotTTL] = row.Key, record.Null, row.Value, record.Null
	if row.Windowed && hasDate(row.Window.Start) && hasDate(row.Window.End) {
		slots[slotWindow] = record.ObjectOf(&record.Object{Names: []string{"start", "end"}, Values: []record.Value{
			record.TimestampNanos(int64(row.Window.Start) * 1e6), record.TimestampNanos(int64(row.Window.End) * 1e6)}})
	}
	if row.Ends != 0 && hasDate(row.Ends) {
		slots[slotTTL] = record.TimestampNanos(int64(row.Ends) * 1e6)
	}
	for i, name := range s.names {
		slots[slotFields+i] = record.Null
		if row.Value.Kind() == record.KindObject {
			slots[slotFields+i], _ = row.Value.Object().Get(name)
		}
	}
}
