package topology

import (
	"strings"

	"kstream/expr"
	"kstream/record"
)

// registers hands out the slots of a chain's register file while its expressions
// are compiled.
type registers struct {
	chain *Chain
}

func (f *registers) alloc() int {
	f.chain.Slots++
	return f.chain.Slots - 1
}

// binding is a value in a slot: a column, or a path into one. used says how
// many elements of the path behind the column's name the slot covers.
//
// A value that is one whole may have no slot yet: open gives the slot of the
// value (an empty path) or of a part of it, which is then read alone.
type binding struct {
	slot int
	typ  record.Type
	used int
	open func(at *layout, path []string) binding
}

// column is one named field of the rows at a place. Its slot is taken when it
// is first read, so what nobody reads is neither scanned nor carried. Deep says
// that bind gives the parts of declared objects slots of their own.
type column struct {
	name string
	typ  record.Type
	deep bool
	bind func(at *layout, rest []string) binding
}

// base is what names beyond the columns mean: the members of the record as it
// was read. A row without a base has no other fields.
type base struct {
	field func(at *layout, name string) int // slot of one member, null where it is absent
	all   func(at *layout) int              // slot of the whole record
}

// keyState is what $key is at a place.
type keyState struct {
	typ    record.Type
	keyed  bool                   // behind a key_by
	fields map[string]record.Type // parts that may be named without $key
	single string                 // the field that is the key as a whole
	read   func()                 // called when $key is read
	raw    bool                   // the record key of the source, unchanged
	moved  bool                   // keyed, but rows are partitioned by something else
}

// layout is the shape of the rows at one place of a stream: what names mean
// there. Operators that only rearrange fields change the layout and leave
// nothing to run.
type layout struct {
	frame    *registers
	columns  []column
	base     *base
	hidden   map[string]bool // names of the base that were dropped or renamed
	whole    *binding        // the value is this one value; columns and base are empty
	key      keyState
	origin   bool // $topic, $partition, $offset, $record_ts
	headers  bool
	window   bool
	lateness int64 // how long behind their end windows may come, in milliseconds
	op       bool
	n        bool // the place is inside generate
	raw      bool // the value is still the source's, byte for byte

	changes *changes // nil is an append stream
	// unsettled: $key was set and the rows have not been brought to its owners
	// yet; parallelism is what was asked for there.
	unsettled   bool
	parallelism int
	// original: rows with an origin are records that were read, whose bytes are
	// known or can be carried.
	original bool
	// errors is the slot of $error.code (0) and $error.message (1); nil where no
	// error is known.
	errors func(at *layout, i int) int

	// insert puts a computed column in front of the node that is compiled.
	insert func(Assign)
}

func (l *layout) clone() *layout {
	c := *l
	c.columns = append([]column(nil), l.columns...)
	c.hidden = make(map[string]bool, len(l.hidden))
	for k := range l.hidden {
		c.hidden[k] = true
	}
	return &c
}

func (l *layout) column(name string) (column, bool) {
	for _, c := range l.columns {
		if c.name == name {
			return c, true
		}
	}
	return column{}, false
}

// put adds a column or replaces the one with its name.
func (l *layout) put(c column) {
	for i := range l.columns {
		if l.columns[i].name == c.name {
			l.columns[i] = c
			return
		}
	}
	l.columns = append(l.columns, c)
}

// remove takes a field away, also one of the base.
func (l *layout) remove(name string) {
	for i := range l.columns {
		if l.columns[i].name == name {
			l.columns = append(l.columns[:i], l.columns[i+1:]...)
			break
		}
	}
	if l.base != nil {
		l.hidden[name] = true
	}
}

// slotColumn is a column that stands in a slot.
func slotColumn(name string, slot int, typ record.Type) column {
	return column{name: name, typ: typ, bind: func(*layout, []string) binding {
		return binding{slot: slot, typ: typ}
	}}
}

// field resolves a bare name with the path behind it.
func (l *layout) field(path []string) (binding, bool) {
	if c, ok := l.column(path[0]); ok {
		b := c.bind(l, path[1:])
		b.used++
		return b, true
	}
	if l.base != nil && !l.hidden[path[0]] {
		return binding{slot: l.base.field(l, path[0]), typ: record.Any, used: 1}, true
	}
	if l.whole != nil && hasFields(l.whole.typ, path[0]) {
		if l.whole.open != nil {
			return l.whole.open(l, path), true
		}
		return binding{slot: l.whole.slot, typ: l.whole.typ, used: 0}, true
	}
	return binding{}, false
}

func hasFields(t record.Type, name string) bool {
	switch t.Kind {
	case record.TypeAny, record.TypeMap:
		return true
	case record.TypeObject:
		_, ok := t.Field(name)
		return ok
	}
	return false
}

// Field is expr.Scope: bare names are fields of the value.
func (l *layout) Field(path []string) expr.Binding {
	b, ok := l.field(path)
	if !ok {
		return expr.Binding{}
	}
	return expr.Binding{Ref: expr.Ref{Kind: expr.RefSlot, Slot: b.slot}, Type: b.typ, Used: b.used, Known: true}
}

// Fields is expr.Scope: the names for did-you-mean.
func (l *layout) Fields() []string {
	var names []string
	for _, c := range l.columns {
		names = append(names, c.name)
	}
	if l.whole != nil {
		for _, f := range l.whole.typ.Fields {
			names = append(names, f.Name)
		}
	}
	return names
}

// valueType is the type of $value.
func (l *layout) valueType() record.Type {
	if l.whole != nil {
		return l.whole.typ
	}
	if l.base != nil {
		return record.Any
	}
	t := record.Type{Kind: record.TypeObject, Required: true}
	for _, c := range l.columns {
		t.Fields = append(t.Fields, record.Field{Name: c.name, Type: c.typ})
	}
	return t
}

// value is $value as a reference.
func (l *layout) value() expr.Ref {
	if l.whole != nil {
		return expr.Ref{Kind: expr.RefSlot, Slot: l.wholeSlot()}
	}
	if l.base != nil {
		return expr.Ref{Kind: expr.RefSlot, Slot: l.valueSlot()}
	}
	return expr.Ref{Kind: expr.RefObject, Fields: l.namedRefs()}
}

func (l *layout) namedRefs() []expr.NamedRef {
	var refs []expr.NamedRef
	for _, c := range l.columns {
		refs = append(refs, expr.NamedRef{Name: c.name,
			Ref: expr.Ref{Kind: expr.RefSlot, Slot: c.bind(l, nil).slot}})
	}
	return refs
}

// wholeSlot is the slot of a value that is one whole.
func (l *layout) wholeSlot() int {
	if l.whole.open != nil {
		return l.whole.open(l, nil).slot
	}
	return l.whole.slot
}

// part is the value at a path of the columns as a whole value of its own, if it
// is a declared object: nothing is copied, what is read of it is read from where
// it stands.
func (l *layout) part(path []string) (*binding, bool) {
	above := path[1:]
	c, ok := l.column(path[0])
	t, open := c.typ, c.bind
	switch {
	case ok && c.deep:
	case !ok && l.base == nil && l.whole != nil && l.whole.open != nil:
		above, t, open = path, l.whole.typ, l.whole.open
	default:
		return nil, false
	}
	if t, ok = typeAt(t, above); !ok || t.Kind != record.TypeObject {
		return nil, false
	}
	return &binding{typ: t, open: func(at *layout, rest []string) binding {
		b := open(at, append(append([]string(nil), above...), rest...))
		if b.used -= len(above); b.used > 0 {
			b.typ.Required = false // the object may be null
		}
		return b
	}}, true
}

// typeAt is the declared type at a path.
func typeAt(t record.Type, path []string) (record.Type, bool) {
	for _, name := range path {
		if t.Kind != record.TypeObject {
			return t, false
		}
		inner, ok := t.Field(name)
		if !ok {
			return t, false
		}
		t = inner
	}
	return t, true
}

// valueSlot is a slot that holds $value; if the value only exists in parts it
// is put together in front of the node that is being compiled.
func (l *layout) valueSlot() int {
	switch {
	case l.whole != nil:
		return l.wholeSlot()
	case l.base != nil && len(l.hidden) == 0 && len(l.columns) == 0:
		return l.base.all(l)
	}
	fields := l.namedRefs()
	rest := -1
	if l.base != nil {
		rest = l.base.all(l)
	}
	slot := l.frame.alloc()
	hidden := l.hidden
	l.insert(Assign{Slot: slot, Program: &expr.Program{
		Type: l.valueType(), Deterministic: true,
		Eval: func(env *expr.Env) record.Value { return assemble(env, rest, hidden, fields) },
	}})
	return slot
}

// assemble makes one object of the record as it was read, without what is
// hidden, and the columns on top of it.
func assemble(env *expr.Env, rest int, hidden map[string]bool, fields []expr.NamedRef) record.Value {
	out := &record.Object{}
	slots := env.Row.Slots
	if rest >= 0 {
		if o := record.JSONFields(slots[rest], env.Arena); o != nil {
			for i, name := range o.Names {
				if !hidden[name] {
					out.Names = append(out.Names, name)
					out.Values = append(out.Values, o.Values[i])
				}
			}
		}
	}
	for _, f := range fields {
		out.Set(f.Name, slots[f.Ref.Slot])
	}
	return record.ObjectOf(out)
}

var originRefs = map[string]struct {
	kind expr.RefKind
	typ  record.TypeKind
}{
	"$record_ts": {expr.RefRecordTime, record.TypeTimestamp},
	"$topic":     {expr.RefTopic, record.TypeString},
	"$partition": {expr.RefPartition, record.TypeInt},
	"$offset":    {expr.RefOffset, record.TypeInt},
}

// Meta is expr.Scope: names with a sigil are everything that is not data.
func (l *layout) Meta(name string) expr.Binding {
	known := func(kind expr.RefKind, t record.Type) expr.Binding {
		return expr.Binding{Ref: expr.Ref{Kind: kind}, Type: t, Used: 1, Known: true}
	}
	switch name {
	case "$value":
		return expr.Binding{Ref: l.value(), Type: l.valueType(), Used: 1, Known: true}
	case "$key":
		if l.key.read != nil {
			l.key.read()
		}
		return known(expr.RefKey, l.key.typ)
	case "$ts":
		return known(expr.RefTime, record.TypeOf(record.TypeTimestamp))
	case "$n":
		if l.n {
			return known(expr.RefN, required(record.TypeInt))
		}
		return unknownMeta(name, "$n is the counter of a generate source", "")
	case "$op":
		if l.op {
			return known(expr.RefOp, required(record.TypeString))
		}
		return unknownMeta(name, "$op is known only in a changelog", "")
	case "$window.start", "$window.end", "$window":
		return l.windowMeta(name, known)
	case "$headers":
		if l.headers {
			return known(expr.RefHeaders, record.Type{Kind: record.TypeMap, Elem: &record.Type{Kind: record.TypeBytes}})
		}
		return unknownMeta(name, "$headers is not known behind a key_by or partition", "set it into a field first")
	}
	if b, ok := l.errorMeta(name); ok {
		return b
	}
	if r, ok := originRefs[name]; ok {
		if l.origin {
			return known(r.kind, required(r.typ))
		}
		return unknownMeta(name, name+" is not known behind a stateful step", "set it into a field first")
	}
	return expr.Binding{}
}

func (l *layout) windowMeta(name string, known func(expr.RefKind, record.Type) expr.Binding) expr.Binding {
	if !l.window || name == "$window" {
		return unknownMeta(name, name+" is known only in a windowed step and behind it",
			"write $window.start or $window.end behind a window")
	}
	if name == "$window.start" {
		return known(expr.RefWindowStart, required(record.TypeTimestamp))
	}
	return known(expr.RefWindowEnd, required(record.TypeTimestamp))
}

func unknownMeta(name, message, hint string) expr.Binding {
	return expr.Binding{Message: message, Hint: hint}
}

func required(k record.TypeKind) record.Type {
	t := record.TypeOf(k)
	t.Required = true
	return t
}

// keyScope is what may stand outside the aggregate functions of a step: the
// key, its fields, and the window.
type keyScope struct {
	l *layout
}

// Field is expr.Scope.
func (k keyScope) Field(path []string) expr.Binding {
	key := k.l.key
	if key.single != "" && path[0] == key.single {
		return expr.Binding{Ref: expr.Ref{Kind: expr.RefKey}, Type: key.typ, Used: 1, Known: true}
	}
	if _, ok := key.fields[path[0]]; ok {
		return expr.Binding{Ref: expr.Ref{Kind: expr.RefKey}, Type: key.typ, Used: 0, Known: true}
	}
	return expr.Binding{}
}

// Meta is expr.Scope. The key is decoded when a result is made, so reading it
// here does not count as a use of the rows' key.
func (k keyScope) Meta(name string) expr.Binding {
	switch {
	case name == "$key":
		return expr.Binding{Ref: expr.Ref{Kind: expr.RefKey}, Type: k.l.key.typ, Used: 1, Known: true}
	case strings.HasPrefix(name, "$window"):
		return k.l.Meta(name)
	}
	return expr.Binding{}
}

// Fields is expr.Scope.
func (k keyScope) Fields() []string {
	var names []string
	for n := range k.l.key.fields {
		names = append(names, n)
	}
	if k.l.key.single != "" {
		names = append(names, k.l.key.single)
	}
	return names
}
