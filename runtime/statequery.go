package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"kstream/codec"
	"kstream/expr"
	"kstream/operator"
	"kstream/record"
	"kstream/state"
)

// StateQuery says which rows of a step are wanted. What is empty does not limit.
type StateQuery struct {
	UID    string
	Key    *string // as text or JSON
	Window string  // start of the window, RFC 3339
	Prefix string  // of keys that are text
	Where  string  // an expression over key, window, value, ttl and the fields of the value
	Limit  int     // 0 is all
}

// StateLine is one row of state: its JSON, and the parts of it.
type StateLine struct {
	JSON               []byte
	Key, Window, Value string // JSON
	TTL                string // RFC 3339, "" is none
}

// errLimit ends a query that has what it wants.
var errLimit = errors.New("limit")

// Rows calls fn with the rows that a query wants, in order of key groups, windows
// and keys. more says that the limit left some out.
func (v *StateView) Rows(q StateQuery, fn func(*StateLine) error) (more bool, err error) {
	s, err := v.newSelection(q)
	if err != nil {
		return false, err
	}
	r, err := v.snapshot.Reader(s.store)
	if err != nil {
		return false, err
	}
	defer r.Close()
	n := 0
	take := func(row *operator.StateRow) error {
		if n++; n&0xff == 0 && v.ctx.Err() != nil {
			return context.Cause(v.ctx)
		}
		ok, err := s.wants(row)
		if err != nil || !ok {
			return err
		}
		if q.Limit > 0 && s.taken == q.Limit {
			more = true
			return errLimit
		}
		s.taken++
		return fn(v.line(row))
	}
	for _, p := range s.parts {
		err := s.inspector.Rows(r, p.group, p.prefix, s.window, take)
		if errors.Is(err, errLimit) {
			return more, nil
		}
		if err != nil {
			return false, readable(err)
		}
	}
	return more, nil
}

// group gives the rows of a step in one key group, all of them.
func (v *StateView) group(x *operator.Inspector, uid string, g record.KeyGroup, fn func(*StateLine) error) error {
	id, err := v.store(uid)
	if err != nil {
		return err
	}
	r, err := v.snapshot.Reader(id)
	if err != nil {
		return err
	}
	defer r.Close()
	return readable(x.Rows(r, g, nil, nil, func(row *operator.StateRow) error { return fn(v.line(row)) }))
}

// line writes a row as it is shown everywhere.
func (v *StateView) line(row *operator.StateRow) *StateLine {
	l := &StateLine{Key: string(record.AppendJSON(nil, row.Key)), Window: "null", Value: string(record.AppendJSON(nil, row.Value))}
	if row.Windowed {
		l.Window = fmt.Sprintf(`{"start":%s,"end":%s}`, timeJSON(row.Window.Start), timeJSON(row.Window.End))
	}
	b := fmt.Appendf(nil, `{"key":%s,"window":%s`, l.Key, l.Window)
	if row.Records > 0 {
		b = fmt.Appendf(b, `,"records":%d`, row.Records)
	}
	b = fmt.Appendf(b, `,"value":%s`, l.Value)
	if row.Failed != "" {
		b = record.AppendJSONString(append(b, `,"error":`...), row.Failed)
	}
	ttl := "null"
	if row.Ends != 0 {
		ttl = timeJSON(row.Ends)
		l.TTL = strings.Trim(ttl, `"`)
	}
	l.JSON = fmt.Appendf(b, `,"ttl":%s,"epoch":%d}`, ttl, v.Epoch)
	return l
}

// timeJSON writes a time; one that no calendar has, as a number of milliseconds.
func timeJSON(t record.Timestamp) string {
	if !hasDate(t) {
		return fmt.Sprint(int64(t))
	}
	return string(record.AppendJSON(nil, record.TimestampNanos(int64(t)*1e6)))
}

// hasDate reports whether a time is one that nanoseconds can hold.
func hasDate(t record.Timestamp) bool {
	const most = 1<<63/1_000_000 - 1
	return t > -most && t < most
}

// selection is a query that was checked.
type selection struct {
	query     StateQuery
	store     state.StoreID
	inspector *operator.Inspector
	parts     []selectedPart
	start     record.Timestamp // of the window, if the query names one
	where     *expr.Program
	env       expr.Env
	row       record.Row
	arena     record.Arena
	names     []string // of the value's fields
	taken     int
}

// selectedPart is where rows can be: a key group, and what keys begin with.
type selectedPart struct {
	group  record.KeyGroup
	prefix []byte
}

func (v *StateView) newSelection(q StateQuery) (*selection, error) {
	s := &selection{query: q}
	var err error
	if s.store, err = v.store(q.UID); err != nil {
		return nil, err
	}
	if s.inspector, err = v.inspector(q.UID); err != nil {
		return nil, err
	}
	if q.Window != "" {
		if !s.inspector.Windowed {
			return nil, refuse(2, "", "%s has no windows", q.UID)
		}
		t, err := time.Parse(time.RFC3339, q.Window)
		if err != nil {
			return nil, refuse(2, "the start of the window, like 2026-11-02T10:16:00Z", "--window %.60q is no time", q.Window)
		}
		s.start = record.Timestamp(t.UnixMilli())
	}
	if q.Where != "" {
		if err := s.compile(); err != nil {
			return nil, err
		}
	}
	return s, v.locate(s)
}

// locate finds the key groups and what keys begin with.
func (v *StateView) locate(s *selection) error {
	switch {
	case s.query.Key != nil:
		keys, err := stateKeys(*s.query.Key, s.inspector.KeyType)
		if err != nil {
			return err
		}
		for _, key := range keys {
			s.parts = append(s.parts, selectedPart{record.KeyGroupOf(key, v.groups), key})
		}
		return nil
	case s.query.Prefix != "":
		if k := s.inspector.KeyType.Kind; k != record.TypeString && k != record.TypeAny && k != record.TypeUUID {
			return refuse(2, "--where can compare other keys: --where 'key > 7'", "--prefix is for keys that are text, those of %s are %s", s.query.UID, s.inspector.KeyType)
		}
	}
	var prefix []byte
	if s.query.Prefix != "" {
		key, err := codec.AppendKey(nil, record.String(s.query.Prefix))
		if err != nil {
			return refuse(2, "", "--prefix: %v", err)
		}
		prefix = key[:len(key)-2] // without the end of the text
	}
	for g := range v.groups {
		s.parts = append(s.parts, selectedPart{record.KeyGroup(g), prefix})
	}
	return nil
}

// window is the windows that are wanted.
func (s *selection) window(w record.Window) bool { return s.query.Window == "" || w.Start == s.start }

// wants reports whether a row is wanted.
func (s *selection) wants(row *operator.StateRow) (bool, error) {
	if s.query.Window != "" && (!row.Windowed || row.Window.Start != s.start) {
		return false, nil
	}
	if s.where == nil {
		return true, nil
	}
	s.arena.Reset()
	s.fill(row)
	s.env.Begin(&s.row)
	ok := s.where.Cond(&s.env)
	if err := s.env.Err(); err != nil {
		return false, refuse(2, "", "--where failed for the key %s: %s", record.AppendJSON(nil, row.Key), err.Message)
	}
	return ok, nil
}

// stateKeys are the encoded keys a text can mean: as the text of a value of the
// key's type, and as JSON.
func stateKeys(text string, t record.Type) ([][]byte, error) {
	var found [][]byte
	var why string
	add := func(v record.Value) {
		b, err := codec.AppendKey(nil, v)
		if err != nil {
			why = err.Error()
			return
		}
		for _, have := range found {
			if string(have) == string(b) {
				return
			}
		}
		found = append(found, b)
	}
	if text == "null" && !t.Required {
		add(record.Null)
	}
	for _, format := range []string{"auto", "json"} {
		if v, err := readKey(text, format, t); err != nil {
			why = err.Error()
		} else {
			add(v)
		}
	}
	if len(found) == 0 {
		return nil, refuse(2, "a key is written as text or JSON", "the key %.100q is no %s: %s", text, t, why)
	}
	return found, nil
}

// readKey reads a key of a type. The members of an object stand in the order of
// the type, which its encoding depends on.
func readKey(text, format string, t record.Type) (record.Value, error) {
	var arena record.Arena
	if t.Kind != record.TypeObject || len(t.Fields) == 0 {
		v, err := codec.DecodeRecordKey([]byte(text), format, &t, &arena)
		if err != nil {
			return record.Null, err
		}
		return v, nil
	}
	whole, bad := codec.DecodeRecordKey([]byte(text), "json", nil, &arena)
	if bad != nil {
		return record.Null, bad
	}
	o := &record.Object{}
	for _, f := range t.Fields {
		v, ok := record.JSONField(whole, f.Name, &arena)
		if !ok {
			return record.Null, fmt.Errorf("%s is missing", f.Name)
		}
		member, bad := record.Null, error(nil)
		if !v.IsNull() {
			member, bad = readKey(string(record.AppendJSON(nil, v)), "json", f.Type)
		}
		if bad != nil {
			return record.Null, fmt.Errorf("%s: %w", f.Name, bad)
		}
		o.Names, o.Values = append(o.Names, f.Name), append(o.Values, member)
	}
	return record.ObjectOf(o), nil
}
