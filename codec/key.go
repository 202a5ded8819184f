package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"strings"

	"kstream/record"
)

// The order-preserving encoding of keys. One byte tells the kind, and for an
// int its length too:
//
//	01           null
//	02, 03       false, true
//	10…17        a negative int of 8…1 bytes: big endian, the number as it is
//	18           -1, without more bytes
//	20…28        an int from 0 on of 0…8 bytes: big endian, no leading zero byte
//	30           a negative decimal, the bytes of its amount inverted
//	31           the decimal 0
//	32           a positive decimal: exponent+256 in 2 bytes, then the digits as
//	             a number of 18 digits in 8 bytes; the value is 0.digits·10^exponent
//	40, 41       text, bytes: 00 written as 00 ff, ended by 00 01
//	50 51 52 53  timestamp, date, time, duration: 8 bytes, sign bit flipped
//	60           list: the elements, ended by 00
//	61           object: for each member 01, its name as text without the kind,
//	             its value; ended by 00
//
// Keys of one kind sort by their bytes as the values sort; no key is the
// beginning of another one; equal values have equal bytes, so decimals lose the
// zeros at their end (1.50 is read back as 1.5). The names of an object are
// part of the key: it is read back without a plan, and the key of a row does not
// change its meaning if the parts of a pipeline's key are put in another order.
// The members of an object built by a pipeline are in its order, those of one
// read as JSON text in the order of their names: two texts with the same
// content are the same key.
//
// The layout is version 1 of the store keys; it changes only with their format
// byte.
const (
	keyEnd       = 0x00
	keyMember    = 0x01
	keyNull      = 0x01
	keyFalse     = 0x02
	keyTrue      = 0x03
	keyMinusOne  = 0x18
	keyZero      = 0x20
	keyNegative  = 0x30
	keyDecimal0  = 0x31
	keyPositive  = 0x32
	keyText      = 0x40
	keyBytes     = 0x41
	keyTimestamp = 0x50
	keyDate      = 0x51
	keyTime      = 0x52
	keyDuration  = 0x53
	keyList      = 0x60
	keyObject    = 0x61
)

// nestedMax is how deep the lists and objects of keys and state values may be.
// JSON allows depthMax; expressions can put a few levels around it.
const nestedMax = 2 * depthMax

var (
	errFloatKey   = &EncodeError{"a float cannot be a key: it has no exact value to compare"}
	errDigits     = &EncodeError{"a decimal of more than 18 digits"}
	errDeep       = &EncodeError{"lists and objects are nested too deeply"}
	errKeyCorrupt = errors.New("the bytes are not an encoded key")
)

// AppendKey writes the order-preserving encoding of a key. A float is an error,
// also inside a list or an object.
func AppendKey(dst []byte, v record.Value) ([]byte, error) { return appendKey(dst, v, 0) }

func appendKey(dst []byte, v record.Value, depth int) ([]byte, error) {
	switch v.Kind() {
	case record.KindNull:
		return append(dst, keyNull), nil
	case record.KindBool:
		return append(dst, keyFalse+byte(v.Int())), nil
	case record.KindInt:
		return appendKeyInt(dst, v.Int()), nil
	case record.KindDecimal:
		return appendKeyDecimal(dst, v.Int(), v.Scale())
	case record.KindString:
		return appendKeyText(append(dst, keyText), v.Raw()), nil
	case record.KindBytes:
		return appendKeyText(append(dst, keyBytes), v.Raw()), nil
	case record.KindTimestamp:
		return appendKeyFixed(dst, keyTimestamp, v), nil
	case record.KindDate:
		return appendKeyFixed(dst, keyDate, v), nil
	case record.KindTime:
		return appendKeyFixed(dst, keyTime, v), nil
	case record.KindDuration:
		return appendKeyFixed(dst, keyDuration, v), nil
	case record.KindList, record.KindObject, record.KindJSON:
		return appendKeyNested(dst, v, depth+1)
	}
	return dst, errFloatKey
}

func appendKeyInt(dst []byte, n int64) []byte {
	tag, size := byte(keyZero), 0
	if n >= 0 {
		size = (bits.Len64(uint64(n)) + 7) / 8
		tag += byte(size)
	} else {
		size = (bits.Len64(uint64(^n)) + 7) / 8
		tag = keyMinusOne - byte(size)
	}
	var room [9]byte
	room[0] = tag
	binary.BigEndian.PutUint64(room[1:], uint64(n)<<(64-8*size))
	return append(dst, room[:1+size]...)
}

func appendKeyFixed(dst []byte, tag byte, v record.Value) []byte {
	var room [9]byte
	room[0] = tag
	binary.BigEndian.PutUint64(room[1:], uint64(v.Int())^1<<63)
	return append(dst, room[:]...)
}

func appendKeyDecimal(dst []byte, unscaled int64, scale uint8) ([]byte, error) {
	if unscaled == 0 {
		return append(dst, keyDecimal0), nil
	}
	if !fewDigits(unscaled) {
		return dst, errDigits
	}
	tag, flip, n := byte(keyPositive), uint64(0), unscaled
	if n < 0 {
		tag, flip, n = keyNegative, math.MaxUint64, -n
	}
	exponent := record.MaxDecimalDigits - int(scale)
	for n < record.Pow10(record.MaxDecimalDigits-1) {
		n *= 10
		exponent--
	}
	dst = append(dst, tag)
	dst = binary.BigEndian.AppendUint16(dst, uint16(exponent+256)^uint16(flip))
	return binary.BigEndian.AppendUint64(dst, uint64(n)^flip), nil
}

func appendKeyText(dst, text []byte) []byte {
	for {
		i := bytes.IndexByte(text, 0)
		if i < 0 {
			return append(append(dst, text...), 0, 1)
		}
		dst = append(append(dst, text[:i]...), 0, 0xff)
		text = text[i+1:]
	}
}

func appendKeyNested(dst []byte, v record.Value, depth int) ([]byte, error) {
	var err error
	if depth > nestedMax {
		return dst, errDeep
	}
	if v.IsList() {
		dst = append(dst, keyList)
		for _, e := range record.JSONElems(v, nil) {
			if dst, err = appendKey(dst, e, depth); err != nil {
				return dst, err
			}
		}
		return append(dst, keyEnd), nil
	}
	o := record.JSONFields(v, nil)
	if v.Kind() == record.KindJSON {
		sortMembers(o)
	}
	dst = append(dst, keyObject)
	for i, name := range o.Names {
		dst = appendKeyName(append(dst, keyMember), name)
		if dst, err = appendKey(dst, o.Values[i], depth); err != nil {
			return dst, err
		}
	}
	return append(dst, keyEnd), nil
}

func appendKeyName(dst []byte, name string) []byte {
	for i := 0; i < len(name); i++ {
		if dst = append(dst, name[i]); name[i] == 0 {
			dst = append(dst, 0xff)
		}
	}
	return append(dst, 0, 1)
}

// sortMembers puts the members of an object that was just made in the order of
// their names.
func sortMembers(o *record.Object) {
	order := make([]int, len(o.Names))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(o.Names[a], o.Names[b]) })
	names, values := o.Names, o.Values
	o.Names, o.Values = make([]string, len(order)), make([]record.Value, len(order))
	for to, from := range order {
		o.Names[to], o.Values[to] = names[from], values[from]
	}
}

// DecodeKey reads one key at the start of b and gives what follows it. Texts and
// bytes share b unless they hold a zero byte; lists and objects are made.
func DecodeKey(b []byte) (v record.Value, rest []byte, err error) { return decodeKey(b, 0) }

func decodeKey(b []byte, depth int) (record.Value, []byte, error) {
	if len(b) == 0 {
		return record.Null, nil, errKeyCorrupt
	}
	tag, rest := b[0], b[1:]
	switch {
	case tag == keyNull:
		return record.Null, rest, nil
	case tag == keyFalse || tag == keyTrue:
		return record.Bool(tag == keyTrue), rest, nil
	case tag >= keyMinusOne-8 && tag <= keyMinusOne || tag >= keyZero && tag <= keyZero+8:
		return decodeKeyInt(tag, rest)
	case tag == keyDecimal0:
		return record.Decimal(0, 0), rest, nil
	case tag == keyNegative || tag == keyPositive:
		return decodeKeyDecimal(tag, rest)
	case tag == keyText || tag == keyBytes:
		text, rest, err := decodeKeyText(rest)
		if tag == keyBytes {
			return record.Bytes(text), rest, err
		}
		return record.StringBytes(text), rest, err
	case tag >= keyTimestamp && tag <= keyDuration:
		return decodeKeyFixed(tag, rest)
	case tag == keyList || tag == keyObject:
		return decodeKeyNested(tag, rest, depth+1)
	}
	return record.Null, nil, errKeyCorrupt
}

func decodeKeyInt(tag byte, b []byte) (record.Value, []byte, error) {
	size, fill := int(tag)-keyZero, uint64(0)
	if tag <= keyMinusOne {
		size, fill = keyMinusOne-int(tag), math.MaxUint64
	}
	if len(b) < size {
		return record.Null, nil, errKeyCorrupt
	}
	u := fill
	for _, c := range b[:size] {
		u = u<<8 | uint64(c)
	}
	// A sign that does not match is a number out of range, a shorter form an
	// encoding that AppendKey does not write.
	if n := int64(u); (n < 0) != (fill != 0) || (bits.Len64(u^fill)+7)/8 != size {
		return record.Null, nil, errKeyCorrupt
	}
	return record.Int(int64(u)), b[size:], nil
}

func decodeKeyDecimal(tag byte, b []byte) (record.Value, []byte, error) {
	if len(b) < 10 {
		return record.Null, nil, errKeyCorrupt
	}
	exponent, n := binary.BigEndian.Uint16(b), binary.BigEndian.Uint64(b[2:])
	if tag == keyNegative {
		exponent, n = ^exponent, ^n
	}
	low := uint64(record.Pow10(record.MaxDecimalDigits - 1))
	if n < low || n/10 >= low {
		return record.Null, nil, errKeyCorrupt
	}
	scale := record.MaxDecimalDigits - (int(exponent) - 256)
	for ; n%10 == 0 && scale > 0; scale-- {
		n /= 10
	}
	if scale < 0 || scale > math.MaxUint8 {
		return record.Null, nil, errKeyCorrupt
	}
	unscaled := int64(n)
	if tag == keyNegative {
		unscaled = -unscaled
	}
	return record.Decimal(unscaled, uint8(scale)), b[10:], nil
}

func decodeKeyText(b []byte) (text, rest []byte, err error) {
	from := 0 // of what is not in text yet
	for i := 0; ; {
		k := bytes.IndexByte(b[i:], 0)
		if k < 0 || i+k+1 >= len(b) {
			return nil, nil, errKeyCorrupt
		}
		i += k
		switch {
		case b[i+1] == 1 && from == 0:
			return b[:i:i], b[i+2:], nil
		case b[i+1] == 1:
			return append(text, b[from:i]...), b[i+2:], nil
		case b[i+1] != 0xff:
			return nil, nil, errKeyCorrupt
		}
		text = append(text, b[from:i+1]...)
		i += 2
		from = i
	}
}

func decodeKeyFixed(tag byte, b []byte) (record.Value, []byte, error) {
	if len(b) < 8 {
		return record.Null, nil, errKeyCorrupt
	}
	n := int64(binary.BigEndian.Uint64(b) ^ 1<<63)
	switch tag {
	case keyTimestamp:
		return record.TimestampNanos(n), b[8:], nil
	case keyDate:
		return record.Date(n), b[8:], nil
	case keyTime:
		return record.TimeOfDay(n), b[8:], nil
	}
	return record.Duration(n), b[8:], nil
}

func decodeKeyNested(tag byte, b []byte, depth int) (record.Value, []byte, error) {
	if depth > nestedMax {
		return record.Null, nil, errKeyCorrupt
	}
	o := &record.Object{}
	for {
		if len(b) == 0 {
			return record.Null, nil, errKeyCorrupt
		}
		if b[0] == keyEnd {
			break
		}
		if tag == keyObject {
			name, rest, err := decodeKeyText(b[1:])
			if err != nil || b[0] != keyMember {
				return record.Null, nil, errKeyCorrupt
			}
			o.Names, b = append(o.Names, string(name)), rest
		}
		e, rest, err := decodeKey(b, depth)
		if err != nil {
			return record.Null, nil, err
		}
		o.Values, b = append(o.Values, e), rest
	}
	if tag == keyList {
		return record.List(o.Values), b[1:], nil
	}
	return record.ObjectOf(o), b[1:], nil
}
