package expr

import (
	"math"
	"strings"
	"time"
	_ "time/tzdata" // what a time zone means must not depend on the machine

	"github.com/expr-lang/expr/ast"

	"kstream/record"
)

func timeFunctions() map[string]*function {
	timestamp := fixed(timestampType)
	return map[string]*function{
		"now": {sig: "now()", result: timestamp, impure: true,
			f0: func(e *Env) record.Value { return record.TimestampNanos(e.Now) }},
		"duration":     {sig: "duration(text)", params: "t", result: fixed(durationType), f1: toDuration, build: buildDuration},
		"timestamp":    {sig: "timestamp(x[, layout[, tz]])", params: "x?tt", result: timestamp, f3: toTimestamp, build: buildTimestamp},
		"from_millis":  {sig: "from_millis(n)", params: "i", result: timestamp, f1: fromMillis},
		"from_seconds": {sig: "from_seconds(n)", params: "n", result: timestamp, f1: fromSeconds},
		"millis":       {sig: "millis(x)", params: "D", result: fixed(intType), f1: millis},
		"seconds":      {sig: "seconds(x)", params: "D", result: fixed(floatType), f1: seconds},
		"date":         {sig: "date(ts[, tz])", params: "T?t", result: fixed(dateType), f2: toDate, build: buildZoned(1, -1, -1)},
		"date_trunc": {sig: "date_trunc(unit, ts[, tz])", params: "tT?t", result: timestamp, f3: dateTrunc,
			build: buildZoned(2, 0, -1)},
		"date_part": {sig: "date_part(unit, ts[, tz])", params: "tT?t", result: fixed(intType), f3: datePart,
			build: buildZoned(2, 0, -1)},
		"format_time": {sig: "format_time(ts, layout[, tz])", params: "Tt?t", result: fixed(textType), f3: formatTime,
			build: buildZoned(2, -1, 1)},
	}
}

const truncUnits = "year quarter month week day hour minute second millisecond"

// buildZoned checks the constant arguments that hold a time zone, a unit and a
// layout; -1 is none.
func buildZoned(zone, unit, layout int) func(*compiler, *function, ast.Node, []*operand) *operand {
	return func(c *compiler, f *function, n ast.Node, args []*operand) *operand {
		units := truncUnits
		if strings.HasPrefix(f.sig, "date_part") {
			units += " weekday yearday"
		}
		ok := true
		for i, a := range args {
			switch i {
			case zone:
				ok = c.checkZone(a) && ok
			case unit:
				ok = c.checkUnit(a, strings.Fields(units)) && ok
			case layout:
				ok = c.checkLayout(a) && ok
			}
		}
		if !ok {
			return c.badOperand(n)
		}
		return c.plainCall(f, n, args)
	}
}

// constantText gives the text of a constant argument.
func constantText(o *operand) (string, bool) {
	if o.konst && o.value.Kind() == record.KindString {
		return o.value.Text(), true
	}
	return "", false
}

func (c *compiler) badValue(o *operand, hint, format string, args ...any) bool {
	start, end := c.tree.span(o.node)
	c.problem("bad-value", start, end, hint, format, args...)
	return false
}

func (c *compiler) checkZone(o *operand) bool {
	name, ok := constantText(o)
	if !ok {
		return true
	}
	if _, err := location(name); err != nil {
		return c.badValue(o, "zones have names such as Europe/Berlin", "there is no time zone %q", name)
	}
	return true
}

func (c *compiler) checkUnit(o *operand, units []string) bool {
	name, ok := constantText(o)
	if !ok || contains(units, name) {
		return true
	}
	return c.badValue(o, didYouMean(closest(name, units)), "%q is not one of %s", name, strings.Join(units, ", "))
}

// checkLayout refuses a layout in which nothing stands for a part of the time,
// such as yyyy-MM-dd.
func (c *compiler) checkLayout(o *operand) bool {
	layout, ok := constantText(o)
	if !ok {
		return true
	}
	probe := time.Date(2017, 11, 23, 18, 37, 42, 987_654_321, time.FixedZone("XYZ", -5*3600))
	if probe.Format(layout) == layout {
		return c.badValue(o, "write the reference time: 2006-01-02 15:04:05", "%q is not a layout", layout)
	}
	return true
}

// location finds a zone; the local one of the machine is none.
func location(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		name = "no zone"
	}
	return time.LoadLocation(name)
}

// zone is the location of an optional argument, UTC without one, nil after an
// error.
func (e *Env) zone(v record.Value) *time.Location {
	if v.IsNull() {
		return time.UTC
	}
	if l, ok := e.zones[v.Text()]; ok {
		return l
	}
	l, err := location(v.Text())
	if err != nil {
		e.fail("there is no time zone %q", clip(v.Text()))
		return nil
	}
	if e.zones == nil {
		e.zones = make(map[string]*time.Location)
	}
	e.zones[strings.Clone(v.Text())] = l
	return l
}

func toDuration(e *Env, s record.Value) record.Value {
	ns, ok := record.ParseDuration(s.Text())
	if !ok {
		return e.fail("%q is not a duration such as 30s or 1h30m", clip(s.Text()))
	}
	return record.Duration(ns)
}

// buildDuration checks constant text before start.
func buildDuration(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	if text, ok := constantText(args[0]); ok {
		if _, ok := record.ParseDuration(text); !ok {
			start, end := c.tree.span(args[0].node)
			c.problem("bad-duration", start, end, durationHint(text),
				"%q is not a duration with a unit, for example 500ms, 30s, 5m, 1h30m, 7d", text)
			return c.badOperand(n)
		}
	}
	return c.plainCall(f, n, args)
}

func durationHint(text string) string {
	if _, ok := record.ParseInt(text); ok {
		return "add a unit: " + text + "s or " + text + "ms"
	}
	if d, ok := asDuration(text); ok {
		return "write " + d
	}
	return "the units are ns, us, ms, s, m, h, d and w"
}

// buildTimestamp checks the arguments, and constant text as a whole.
func buildTimestamp(c *compiler, f *function, n ast.Node, args []*operand) *operand {
	switch cl := args[0].class(); cl {
	case textClass, anyClass, nullClass:
	case intClass, timestampClass, dateClass:
		if len(args) > 1 {
			return c.mismatchSpan(args[0].node, "", "a layout is for text, %s", c.is(args[0]))
		}
	default:
		return c.mismatchSpan(args[0].node, "", "timestamp needs text or milliseconds, %s", c.is(args[0]))
	}
	ok := len(args) < 2 || c.checkLayout(args[1])
	ok = (len(args) < 3 || c.checkZone(args[2])) && ok
	if !ok {
		return c.badOperand(n)
	}
	o := c.plainCall(f, n, args)
	for _, a := range args {
		if !a.konst {
			return sqlTimes(o, args)
		}
	}
	if !o.konst {
		_, err := c.evalNow(o)
		hint := ""
		if len(args) == 1 && args[0].class() == textClass {
			hint = "for example 2026-01-31T10:15:00Z"
		}
		c.badValue(args[0], hint, "%s", err.Message)
		return c.badOperand(n)
	}
	return o
}

func toTimestamp(e *Env, x, layout, zone record.Value) record.Value {
	switch x.Kind() {
	case record.KindTimestamp:
		return x
	case record.KindInt:
		return fromMillis(e, x)
	case record.KindDate:
		return scaledTime(e, x.Int(), 86_400_000_000_000)
	case record.KindString:
		if layout.IsNull() {
			ns, ok := record.ParseTimestampRFC3339(x.Text())
			if !ok {
				return e.fail("%q is not an RFC 3339 timestamp", clip(x.Text()))
			}
			return record.TimestampNanos(ns)
		}
		return parseTime(e, x.Text(), layout.Text(), zone)
	}
	return e.fail("timestamp needs text or milliseconds, found %s", x.TypeName())
}

func parseTime(e *Env, text, layout string, zone record.Value) record.Value {
	l := e.zone(zone)
	if l == nil {
		return record.Null
	}
	t, err := time.ParseInLocation(layout, text, l)
	if err != nil {
		return e.fail("%q does not have the layout %q", clip(text), clip(layout))
	}
	return timestampFrom(e, t)
}

// sqlTimes gives a call whose layout is the SQL form the parser of that form.
// The library takes a few more texts, and says what is wrong with the others.
func sqlTimes(o *operand, args []*operand) *operand {
	if len(args) != 2 || args[0].class() != textClass {
		return o
	}
	if layout, ok := constantText(args[1]); !ok || !sqlLayout(layout) {
		return o
	}
	text, layout := args[0].eval, args[1].value
	o.eval = func(e *Env) record.Value {
		x := text(e)
		if x.Kind() != record.KindString {
			return record.Null
		}
		if ns, ok := record.ParseTimestampSQL(x.Text()); ok {
			return record.TimestampNanos(ns)
		}
		return parseTime(e, x.Text(), layout.Text(), record.Null)
	}
	return o
}

// sqlLayout reports whether a layout is the SQL form of a time with optional
// digits of a fraction, which has a parser of its own.
func sqlLayout(layout string) bool {
	const seconds = "2006-01-02 15:04:05"
	if !strings.HasPrefix(layout, seconds) {
		return false
	}
	fraction := layout[len(seconds):]
	return fraction == "" || len(fraction) <= 10 && fraction[0] == '.' && strings.Trim(fraction[1:], "9") == "" && len(fraction) > 1
}

// timestampFrom refuses years that do not fit into nanoseconds of 64 bits.
func timestampFrom(e *Env, t time.Time) record.Value {
	if y := t.Year(); y < 1678 || y > 2261 {
		return e.fail("overflow: the year %d is not between 1678 and 2261", y)
	}
	return record.TimestampNanos(t.UnixNano())
}

func scaledTime(e *Env, n, unit int64) record.Value {
	ns, ok := mul64(n, unit)
	if !ok {
		return e.fail("overflow: %d is not a time between 1678 and 2261", n)
	}
	return record.TimestampNanos(ns)
}

func fromMillis(e *Env, n record.Value) record.Value { return scaledTime(e, n.Int(), 1_000_000) }

func fromSeconds(e *Env, n record.Value) record.Value {
	if n.Kind() == record.KindInt {
		return scaledTime(e, n.Int(), 1_000_000_000)
	}
	d := scaleDuration(e, '*', record.Duration(1_000_000_000), n)
	return record.TimestampNanos(d.Int())
}

func millis(_ *Env, v record.Value) record.Value {
	if v.Kind() == record.KindTimestamp {
		return record.Int(int64(v.Millis()))
	}
	return record.Int(v.Int() / 1_000_000)
}

func seconds(_ *Env, v record.Value) record.Value { return record.Float(float64(v.Int()) / 1e9) }

// local is the nanoseconds a clock in the zone shows, as if it were in UTC, and
// the offset of the zone.
func local(ns int64, l *time.Location) (shown, offset int64) {
	if l == time.UTC {
		return ns, 0
	}
	_, east := time.Unix(0, ns).In(l).Zone()
	offset = int64(east) * 1_000_000_000
	return ns + offset, offset
}

func floorTo(n, unit int64) int64 {
	rest := n % unit
	if rest < 0 {
		rest += unit
	}
	return n - rest
}

const nanosPerDay = 86_400_000_000_000

func toDate(e *Env, ts, zone record.Value) record.Value {
	l := e.zone(zone)
	if l == nil {
		return record.Null
	}
	shown, _ := local(ts.Int(), l)
	return record.Date(floorTo(shown, nanosPerDay) / nanosPerDay)
}

func dateTrunc(e *Env, unit, ts, zone record.Value) record.Value {
	l := e.zone(zone)
	if l == nil {
		return record.Null
	}
	if length := unitLength(unit.Text()); length > 0 {
		shown, offset := local(ts.Int(), l)
		return truncated(e, ts, floorTo(shown, length)-offset)
	}
	t := time.Unix(0, ts.Int()).In(l)
	year, month, day := t.Date()
	switch unit.Text() {
	case "day":
	case "week":
		day -= (int(t.Weekday()) + 6) % 7
	case "month":
		day = 1
	case "quarter":
		month, day = month-(month-1)%3, 1
	case "year":
		month, day = 1, 1
	default:
		return e.fail("%q is not one of %s", clip(unit.Text()), truncUnits)
	}
	return truncated(e, ts, time.Date(year, month, day, 0, 0, 0, 0, l).UnixNano())
}

// truncated guards against the wrap at the beginning of time.
func truncated(e *Env, ts record.Value, ns int64) record.Value {
	if ns > ts.Int() {
		return e.fail("overflow: the time is before 1678")
	}
	return record.TimestampNanos(ns)
}

func unitLength(unit string) int64 {
	switch unit {
	case "hour":
		return 3_600_000_000_000
	case "minute":
		return 60_000_000_000
	case "second":
		return 1_000_000_000
	case "millisecond":
		return 1_000_000
	}
	return 0
}

func datePart(e *Env, unit, ts, zone record.Value) record.Value {
	l := e.zone(zone)
	if l == nil {
		return record.Null
	}
	n, ok := partOf(time.Unix(0, ts.Int()).In(l), unit.Text())
	if !ok {
		return e.fail("%q is not one of %s weekday yearday", clip(unit.Text()), truncUnits)
	}
	return record.Int(int64(n))
}

func partOf(t time.Time, unit string) (int, bool) {
	switch unit {
	case "year":
		return t.Year(), true
	case "quarter":
		return (int(t.Month())-1)/3 + 1, true
	case "month":
		return int(t.Month()), true
	case "week":
		_, week := t.ISOWeek()
		return week, true
	case "day":
		return t.Day(), true
	case "hour":
		return t.Hour(), true
	case "minute":
		return t.Minute(), true
	case "second":
		return t.Second(), true
	case "millisecond":
		return t.Nanosecond() / 1_000_000, true
	case "weekday":
		return (int(t.Weekday())+6)%7 + 1, true
	case "yearday":
		return t.YearDay(), true
	}
	return 0, false
}

func formatTime(e *Env, ts, layout, zone record.Value) record.Value {
	l := e.zone(zone)
	if l == nil {
		return record.Null
	}
	return e.made(time.Unix(0, ts.Int()).In(l).AppendFormat(e.scratch[:0], layout.Text()))
}

// wholeFloat reports whether a float can be cut to an int.
func wholeFloat(f float64) bool { return f < math.MaxInt64 && f >= math.MinInt64 }
