package operator

import (
	"encoding/binary"
	"errors"

	"kstream/codec"
	"kstream/record"
	"kstream/topology"
)

// images writes and reads rows with the columns that are read behind an operator.
//
// # Bytes
//
// the event time as varint; start and end of the window as varints; for each
// column its name (length as uvarint, text) and its value (codec.AppendValue). A
// column that is read since then is null in older rows, as it was for whoever
// reads it now.
type images struct {
	columns []topology.KeptColumn
	slots   map[string]int
}

var errImage = errors.New("a stored row cannot be read")

func newImages(columns []topology.KeptColumn) images {
	m := images{columns: columns, slots: map[string]int{}}
	for _, c := range columns {
		m.slots[c.Name] = c.Slot
	}
	return m
}

func (m *images) append(b []byte, row *record.Row) ([]byte, error) {
	b = binary.AppendVarint(b, int64(row.Time))
	b = binary.AppendVarint(binary.AppendVarint(b, int64(row.Window.Start)), int64(row.Window.End))
	for _, c := range m.columns {
		b = append(binary.AppendUvarint(b, uint64(len(c.Name))), c.Name...)
		var err error
		if b, err = codec.AppendValue(b, row.Slots[c.Slot]); err != nil {
			return b, err
		}
	}
	return b, nil
}

// read fills a row; its values point into b.
func (m *images) read(row *record.Row, b []byte) error {
	for _, at := range [3]*record.Timestamp{&row.Time, &row.Window.Start, &row.Window.End} {
		v, size := binary.Varint(b)
		if size <= 0 {
			return errImage
		}
		*at, b = record.Timestamp(v), b[size:]
	}
	for _, c := range m.columns {
		row.Slots[c.Slot] = record.Null
	}
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return errImage
		}
		name := b[size : size+int(n)]
		v, rest, err := codec.ReadValue(b[size+int(n):])
		if err != nil {
			return err
		}
		if slot, read := m.slots[string(name)]; read {
			row.Slots[slot] = v
		}
		b = rest
	}
	return nil
}
