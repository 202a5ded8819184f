package codec

import (
	"encoding/binary"
	"errors"
	"math"

	"kstream/record"
)

// The encoding of values in state: one byte for the kind, then
//
//	0 null  1 false  2 true      nothing
//	3 int  9 date                zigzag varint
//	4 float                      8 bytes, little endian
//	5 decimal                    scale (1 byte), zigzag varint
//	6 text  7 bytes              length (uvarint), bytes
//	8 timestamp  10 time  11 duration   8 bytes, little endian
//	12 list                      number (uvarint), elements
//	13 object                    number (uvarint), name (length, bytes) and value of each
//	14 JSON text  15 the same with decimals   length (uvarint), bytes
//
// It keeps what the order-preserving encoding cannot: floats, and the decimal
// places of a decimal. The layout is version 1 of the store values; it changes
// only with their format byte.
const (
	valueNull = iota
	valueFalse
	valueTrue
	valueInt
	valueFloat
	valueDecimal
	valueText
	valueBytes
	valueTimestamp
	valueDate
	valueTime
	valueDuration
	valueList
	valueObject
	valueJSON
	valueJSONDecimals
)

var errValueCorrupt = errors.New("the bytes are not an encoded value")

// AppendValue writes the compact encoding of any value. The only error is a
// value of more than 200 levels.
func AppendValue(dst []byte, v record.Value) ([]byte, error) { return appendValue(dst, v, 0) }

func appendValue(dst []byte, v record.Value, depth int) ([]byte, error) {
	switch v.Kind() {
	case record.KindBool:
		return append(dst, valueFalse+byte(v.Int())), nil
	case record.KindInt:
		return binary.AppendVarint(append(dst, valueInt), v.Int()), nil
	case record.KindFloat:
		return appendFixed(dst, valueFloat, v), nil
	case record.KindDecimal:
		return binary.AppendVarint(append(dst, valueDecimal, v.Scale()), v.Int()), nil
	case record.KindString:
		return appendSized(append(dst, valueText), v.Raw()), nil
	case record.KindBytes:
		return appendSized(append(dst, valueBytes), v.Raw()), nil
	case record.KindTimestamp:
		return appendFixed(dst, valueTimestamp, v), nil
	case record.KindDate:
		return binary.AppendVarint(append(dst, valueDate), v.Int()), nil
	case record.KindTime:
		return appendFixed(dst, valueTime, v), nil
	case record.KindDuration:
		return appendFixed(dst, valueDuration, v), nil
	case record.KindJSON:
		if v.HasJSONDecimals() {
			return appendSized(append(dst, valueJSONDecimals), v.Raw()), nil
		}
		return appendSized(append(dst, valueJSON), v.Raw()), nil
	case record.KindList, record.KindObject:
		return appendValues(dst, v, depth+1)
	}
	return append(dst, valueNull), nil
}

// appendFixed writes eight bytes; of a float these are its bits.
func appendFixed(dst []byte, tag byte, v record.Value) []byte {
	return binary.LittleEndian.AppendUint64(append(dst, tag), uint64(v.Int()))
}

func appendSized[T record.Text](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendValues(dst []byte, v record.Value, depth int) ([]byte, error) {
	if depth > nestedMax {
		return dst, errDeep
	}
	var names []string
	var values []record.Value
	if v.Kind() == record.KindList {
		values = v.Elems()
		dst = append(dst, valueList)
	} else {
		names, values = v.Object().Names, v.Object().Values
		dst = append(dst, valueObject)
	}
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	for i, e := range values {
		if names != nil {
			dst = appendSized(dst, names[i])
		}
		var err error
		if dst, err = appendValue(dst, e, depth); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// ReadValue reads one value at the start of b and gives what follows it. Texts
// share b; lists and objects are made. JSON text is not checked again.
func ReadValue(b []byte) (v record.Value, rest []byte, err error) { return readValue(b, 0) }

func readValue(b []byte, depth int) (record.Value, []byte, error) {
	if len(b) == 0 {
		return record.Null, nil, errValueCorrupt
	}
	tag, rest := b[0], b[1:]
	switch tag {
	case valueNull:
		return record.Null, rest, nil
	case valueFalse, valueTrue:
		return record.Bool(tag == valueTrue), rest, nil
	case valueInt, valueDate:
		return readVarint(tag, 0, rest)
	case valueDecimal:
		if len(rest) == 0 {
			return record.Null, nil, errValueCorrupt
		}
		return readVarint(tag, rest[0], rest[1:])
	case valueFloat, valueTimestamp, valueTime, valueDuration:
		return readFixed(tag, rest)
	case valueText, valueBytes, valueJSON, valueJSONDecimals:
		return readSized(tag, rest)
	case valueList, valueObject:
		return readValues(tag, rest, depth+1)
	}
	return record.Null, nil, errValueCorrupt
}

func readVarint(tag, scale byte, b []byte) (record.Value, []byte, error) {
	n, size := binary.Varint(b)
	if size <= 0 {
		return record.Null, nil, errValueCorrupt
	}
	switch tag {
	case valueInt:
		return record.Int(n), b[size:], nil
	case valueDate:
		return record.Date(n), b[size:], nil
	}
	return record.Decimal(n, scale), b[size:], nil
}

func readFixed(tag byte, b []byte) (record.Value, []byte, error) {
	if len(b) < 8 {
		return record.Null, nil, errValueCorrupt
	}
	n := binary.LittleEndian.Uint64(b)
	switch tag {
	case valueFloat:
		return record.Float(math.Float64frombits(n)), b[8:], nil
	case valueTimestamp:
		return record.TimestampNanos(int64(n)), b[8:], nil
	case valueTime:
		return record.TimeOfDay(int64(n)), b[8:], nil
	}
	return record.Duration(int64(n)), b[8:], nil
}

// cutSized takes a length and as many bytes off b.
func cutSized(b []byte) (text, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, errValueCorrupt
	}
	end := size + int(n)
	return b[size:end:end], b[end:], nil
}

func readSized(tag byte, b []byte) (record.Value, []byte, error) {
	text, rest, err := cutSized(b)
	if err != nil {
		return record.Null, nil, err
	}
	switch tag {
	case valueText:
		return record.StringBytes(text), rest, nil
	case valueBytes:
		return record.Bytes(text), rest, nil
	}
	if len(text) < 2 || kindOf(text[0])&(kindList|kindObject) == 0 {
		return record.Null, nil, errValueCorrupt
	}
	if tag == valueJSONDecimals {
		return record.JSONDecimals(text), rest, nil
	}
	return record.JSON(text), rest, nil
}

func readValues(tag byte, b []byte, depth int) (record.Value, []byte, error) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)) || depth > nestedMax {
		return record.Null, nil, errValueCorrupt
	}
	b = b[size:]
	o := &record.Object{}
	for range n {
		if tag == valueObject {
			name, rest, err := cutSized(b)
			if err != nil {
				return record.Null, nil, err
			}
			o.Names, b = append(o.Names, string(name)), rest
		}
		e, rest, err := readValue(b, depth)
		if err != nil {
			return record.Null, nil, err
		}
		o.Values, b = append(o.Values, e), rest
	}
	if tag == valueList {
		return record.List(o.Values), b, nil
	}
	return record.ObjectOf(o), b, nil
}
