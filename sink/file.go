package sink

import (
	"bytes"

	"kstream/record"
)

// CheckLine refuses a record that cannot be one line of a file.
func CheckLine(m *record.Message) error {
	switch {
	case m.Value == nil:
		return &record.Error{Code: codeEncode, Message: "the record has no value, and a file has no place for a deletion"}
	case bytes.IndexByte(m.Value, '\n') >= 0:
		return &record.Error{Code: codeEncode, Message: "the value has a line feed, and a file has one record on each line"}
	}
	return nil
}
