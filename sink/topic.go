package sink

import (
	"errors"
	"fmt"
	"strings"

	"kstream/record"
)

// topicsMax is how many topic names an encoder remembers.
const topicsMax = 10_000

// chooseTopic fills the holes of the topic.
func (e *Encoder) chooseTopic() error {
	h := e.enc.Holes
	e.name = append(e.name[:0], h.Text[0]...)
	for i, p := range h.Programs {
		v := p.Eval(e.env)
		if err := e.env.Err(); err != nil {
			return failed("topic", err)
		}
		if v.IsNull() {
			return failed("topic", errors.New("a hole is null"))
		}
		e.name = append(record.AppendText(e.name, v), h.Text[i+1]...)
	}
	name, ok := e.topics[string(e.name)]
	if !ok {
		name = string(e.name)
		if err := e.checkTopic(name); err != nil {
			return err
		}
		if e.topics == nil || len(e.topics) >= topicsMax {
			e.topics = map[string]string{}
		}
		e.topics[name] = name
	}
	e.msg.Topic = name
	return nil
}

// checkTopic holds a name made of data against what Kafka takes: a record must
// not write to the job's own topics either.
func (e *Encoder) checkTopic(name string) error {
	valid := name != "." && name != ".." && len(name) <= 249
	for i := 0; i < len(name) && valid; i++ {
		c := name[i]
		valid = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-'
	}
	shown := name
	if len(shown) > 200 {
		shown = shown[:200] + "…"
	}
	switch {
	case name == "" || !valid:
		return failed("topic", fmt.Errorf("%q is not a topic name: letters, digits and . _ -, at most 249", shown))
	case strings.HasPrefix(name, e.enc.Holes.Internal):
		return failed("topic", fmt.Errorf("%q is a topic of the job itself", shown))
	}
	return nil
}
