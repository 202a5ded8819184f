package sink

import (
	"errors"
	"fmt"

	"kstream/codec"
	"kstream/expr"
	"kstream/record"
	"kstream/topology"
)

// The codes of rows that cannot be written.
const (
	codeEncode   = "encode-failed"
	codeTooLarge = "too-large"
)

// Encoder makes the records of one sink out of the rows of one chain. It belongs
// to one task.
type Encoder struct {
	env    *expr.Env
	enc    *topology.Encode
	spec   *topology.SinkSpec
	upsert bool
	limit  int64

	format   string
	json     *codec.JSONEncoder // an object of fields, nil for one whole value
	options  codec.JSONWriteOptions
	keyKind  string
	keyParts record.Object // the parts of a composite key

	buf     []byte // key, value and headers of the record
	msg     record.Message
	headers []record.Header
	chooser chooser

	name   []byte            // of the topic
	topics map[string]string // names made before, so that none is made twice

	replaced replaced
}

// NewEncoder makes the encoder of a sink node; env is that of its chain.
func NewEncoder(node *topology.Node, env *expr.Env) (*Encoder, error) {
	spec, enc := node.Sink.Spec, node.Encode
	e := &Encoder{
		env:     env,
		enc:     enc,
		spec:    spec,
		upsert:  spec.Mode == "upsert" || enc.Upsert,
		limit:   spec.MaxRecordSize,
		format:  enc.Value.Format.Kind,
		options: codec.JSONWriteOptions{Timestamp: enc.Value.Format.Timestamp},
		keyKind: spec.KeyFormat.Kind,
	}
	if enc.Key != nil && enc.Key.Program == nil {
		e.keyParts = record.Object{Names: enc.Key.Names, Values: make([]record.Value, len(enc.Key.Parts))}
	}
	if enc.Value.Whole < 0 && !enc.Value.Raw {
		if e.format != "json" {
			return nil, fmt.Errorf("sink %s: format %s needs one value, not fields", spec.Name, e.format)
		}
		e.json = codec.NewJSONEncoder(enc.Value.Fields, enc.Value.Rest, e.options)
		if enc.Value.Refs != nil {
			e.json.CopyText(enc.Value.Refs, enc.Value.Same)
		}
	}
	e.headers = make([]record.Header, 0, len(enc.Headers))
	return e, nil
}

// Encode makes the record of a row, without its partition. The message and all
// it points to is valid until the next call.
func (e *Encoder) Encode(row *record.Row) (*record.Message, error) {
	e.buf = e.buf[:0]
	e.msg = record.Message{Topic: e.enc.Topic, Epoch: -1, Time: row.Time}
	keyEnd, nullKey, err := e.appendKey(row)
	if err != nil {
		return nil, failed("key", err)
	}
	tombstone := row.Op == record.OpDelete
	if nullKey && e.spec.Stdout == nil && (e.upsert || tombstone) {
		return nil, failed("key", errors.New("rows that replace each other need a key, it is null"))
	}
	valueEnd := keyEnd
	if !tombstone {
		nullValue := false
		if nullValue, err = e.appendValue(row); err != nil {
			return nil, failed("value", err)
		}
		tombstone, valueEnd = nullValue, len(e.buf)
	}
	e.headers = e.headers[:0]
	if !row.Bare {
		if err := e.appendHeaders(); err != nil {
			return nil, err
		}
		if err := e.timestamp(); err != nil {
			return nil, err
		}
	}
	if e.enc.Holes != nil {
		if err := e.chooseTopic(); err != nil {
			return nil, err
		}
	}
	// The buffer has its final place only now.
	if !nullKey {
		e.msg.Key = e.buf[:keyEnd:keyEnd]
	}
	if !tombstone {
		e.msg.Value = e.buf[keyEnd:valueEnd:valueEnd]
	}
	e.cutHeaders(valueEnd)
	if e.limit > 0 && int64(len(e.buf)) > e.limit {
		return nil, &record.Error{
			Code:    codeTooLarge,
			Message: fmt.Sprintf("the record has %d bytes, max_record_size is %d", len(e.buf), e.limit),
		}
	}
	return &e.msg, nil
}

// appendKey writes the record key.
func (e *Encoder) appendKey(row *record.Row) (end int, null bool, err error) {
	if e.enc.KeyRaw {
		if row.Origin == nil || row.Origin.Key == nil {
			return 0, true, nil
		}
		e.buf = append(e.buf, row.Origin.Key...)
		return len(e.buf), false, nil
	}
	v, err := e.keyValue(row)
	if err != nil {
		return 0, false, err
	}
	e.buf, null, err = codec.AppendRecordKey(e.buf, v, e.keyKind)
	if err == nil && e.spec.KeySchema != nil && null && e.spec.KeySchema.Required {
		err = errors.New("null where a key is required")
	}
	return len(e.buf), null, err
}

// keyValue is what the record key is made of, fitted to the key schema.
func (e *Encoder) keyValue(row *record.Row) (record.Value, error) {
	v := row.Key
	switch k := e.enc.Key; {
	case k == nil:
	case k.Program != nil:
		v = k.Program.Eval(e.env)
	default:
		for i, p := range k.Parts {
			e.keyParts.Values[i] = p.Eval(e.env)
		}
		v = record.ObjectOf(&e.keyParts)
	}
	if err := e.env.Err(); err != nil {
		return record.Null, err
	}
	if e.spec.KeySchema == nil {
		return v, nil
	}
	return codec.Fit(v, *e.spec.KeySchema)
}

// appendValue writes the record value. In the formats string and bytes a null
// is a record without a value.
func (e *Encoder) appendValue(row *record.Row) (null bool, err error) {
	switch {
	case e.enc.Value.Raw:
		if row.Origin == nil || row.Origin.Value == nil {
			return true, nil
		}
		e.buf = append(e.buf, row.Origin.Value...)
		return false, nil
	case e.json != nil:
		e.buf, err = e.json.Append(e.buf, row.Slots, row.Text)
		return false, err
	}
	v := row.Slots[e.enc.Value.Whole]
	switch e.format {
	case "json":
		e.buf, err = codec.AppendJSON(e.buf, v, e.enc.Value.Type, e.options)
		return false, err
	case "string":
		return e.appendText(v)
	}
	return e.appendBytes(v)
}

func (e *Encoder) appendText(v record.Value) (null bool, err error) {
	switch v.Kind() {
	case record.KindNull:
		return true, nil
	case record.KindList, record.KindObject, record.KindJSON:
		return false, fmt.Errorf("format string needs a text, found %s", v.TypeName())
	}
	e.buf = record.AppendText(e.buf, v)
	return false, nil
}

func (e *Encoder) appendBytes(v record.Value) (null bool, err error) {
	switch v.Kind() {
	case record.KindNull:
		return true, nil
	case record.KindBytes, record.KindString:
		e.buf = append(e.buf, v.Raw()...)
		return false, nil
	}
	return false, fmt.Errorf("format bytes needs bytes, found %s", v.TypeName())
}

// appendHeaders writes the headers that are not null behind the value. Their
// lengths are kept in Value until the buffer has its final place.
func (e *Encoder) appendHeaders() error {
	for i := range e.enc.Headers {
		h := &e.enc.Headers[i]
		v := h.Program.Eval(e.env)
		if err := e.env.Err(); err != nil {
			return failed("header "+h.Name, err)
		}
		switch v.Kind() {
		case record.KindNull:
			continue
		case record.KindBytes, record.KindString:
			e.buf = append(e.buf, v.Raw()...)
			e.headers = append(e.headers, record.Header{Key: h.Name, Value: v.Raw()})
		default:
			return failed("header "+h.Name, fmt.Errorf("text or bytes are needed, found %s", v.TypeName()))
		}
	}
	return nil
}

// cutHeaders points the headers at their bytes in the buffer.
func (e *Encoder) cutHeaders(at int) {
	for i := range e.headers {
		end := at + len(e.headers[i].Value)
		e.headers[i].Value = e.buf[at:end:end]
		at = end
	}
	if len(e.headers) > 0 {
		e.msg.Headers = e.headers
	}
}

func (e *Encoder) timestamp() error {
	if e.enc.Timestamp == nil {
		return nil
	}
	v := e.enc.Timestamp.Eval(e.env)
	if err := e.env.Err(); err != nil {
		return failed("timestamp", err)
	}
	if v.Kind() != record.KindTimestamp {
		return failed("timestamp", fmt.Errorf("a timestamp is needed, found %s", v.TypeName()))
	}
	e.msg.Time = v.Millis()
	return nil
}

func failed(part string, err error) *record.Error {
	return &record.Error{Code: codeEncode, Message: part + ": " + err.Error()}
}
