package expr

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"kstream/record"
)

const maxJSONDepth = 100

// fromJSON reads text with the rules of the JSON format: UTF-8, at most 100
// levels, no name twice in an object, whole numbers of at most 64 bits. Lists
// and objects stay text, which is why all of it is checked here.
func fromJSON(e *Env, v record.Value) record.Value {
	raw := bytes.TrimSpace(v.Raw())
	if !e.spend(len(raw) / costPerText) {
		return record.Null
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return e.fail("%q is not JSON", clip(v.Text()))
	}
	if fault := jsonFault(raw, 0); fault != "" {
		return e.fail("%s in JSON %q", fault, clip(v.Text()))
	}
	return record.JSONValue(raw, e.Arena)
}

// jsonFault looks for what the grammar of JSON allows and the format does not.
func jsonFault(raw []byte, depth int) string {
	switch raw[0] {
	case '"':
		return escapeFault(raw)
	case '{', '[':
	case 't', 'f', 'n':
		return ""
	default:
		return numberFault(raw)
	}
	if depth++; depth > maxJSONDepth {
		return "more than 100 levels"
	}
	var seen map[string]bool
	if raw[0] == '{' {
		seen = make(map[string]bool)
	}
	for c := record.NewJSONCursor(record.JSON(raw)); c.Next(); {
		if seen != nil {
			if fault := escapeFault(c.Key); fault != "" {
				return fault
			}
			name := string(record.JSONText(c.Key, nil))
			if seen[name] {
				return "a name written twice"
			}
			seen[name] = true
		}
		if fault := jsonFault(c.Raw, depth); fault != "" {
			return fault
		}
	}
	return ""
}

func numberFault(raw []byte) string {
	if bytes.ContainsAny(raw, ".eE") {
		return ""
	}
	if _, ok := record.ParseInt(raw); !ok {
		return "a whole number of more than 64 bits"
	}
	return ""
}

// escapeFault finds a half of a surrogate pair that stands alone.
func escapeFault(raw []byte) string {
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		if i++; raw[i] != 'u' {
			continue
		}
		switch unit := hexUnit(raw[i+1:]); {
		case unit >= 0xDC00 && unit < 0xE000:
			return "half a surrogate pair"
		case unit >= 0xD800 && unit < 0xDC00:
			low := raw[i+5:]
			if len(low) < 6 || low[0] != '\\' || low[1] != 'u' {
				return "half a surrogate pair"
			}
			if u := hexUnit(low[2:]); u < 0xDC00 || u > 0xDFFF {
				return "half a surrogate pair"
			}
			i += 6
		}
	}
	return ""
}

func hexUnit(b []byte) (n int) {
	for _, c := range b[:4] {
		d := int(c - '0')
		if c > '9' {
			d = int(c&15) + 9
		}
		n = n<<4 | d
	}
	return n
}
