package nexmark

import (
	"time"

	"kstream/record"
)

// clock writes times as SQL does. Events come mostly in order, so the date and
// the minute are those of the event before.
type clock struct {
	minute int64 // since 1970, that text says
	text   [17]byte
}

const (
	minuteMillis = 60_000
	minuteLayout = "2006-01-02 15:04:"
)

func (c *clock) append(dst []byte, at record.Timestamp) []byte {
	ms := int64(at)
	minute := ms / minuteMillis
	rest := ms % minuteMillis
	if rest < 0 {
		minute, rest = minute-1, rest+minuteMillis
	}
	if minute != c.minute {
		c.minute = minute
		time.Unix(minute*60, 0).UTC().AppendFormat(c.text[:0], minuteLayout)
	}
	s, f := rest/1000, rest%1000
	dst = append(dst, c.text[:]...)
	return append(dst, byte('0'+s/10), byte('0'+s%10), '.',
		byte('0'+f/100), byte('0'+f/10%10), byte('0'+f%10))
}
