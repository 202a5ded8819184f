package topology

import (
	_ "embed"
	"fmt"
	"strings"
	"time"

	"kstream/expr"
)

// zoneNames are the time zones that are suggested for a misspelt one.
//
//go:embed zones.txt
var zoneNames string

func decodeWindow(v *value) *WindowSpec {
	k := v.variant()
	w := &WindowSpec{Kind: k.name, AllowedLateness: v.dur("allowed_lateness"), Time: v.str("time")}
	switch {
	case k.name == "count":
		w.Records = CountSpec{k.number, k.number}
		if k.isMap {
			w.Records = CountSpec{k.num("size"), k.num("slide")}
		}
	case k.name == "session":
		w.Gap = time.Duration(k.number)
		if k.isMap {
			w.Gap, w.GapBy, w.Max = k.dur("gap"), k.exprOf("gap_by"), k.dur("max")
		}
	case k.isMap:
		w.Size, w.Slide, w.Offset = k.dur("size"), k.dur("slide"), k.dur("offset")
	default:
		w.Size = time.Duration(k.number)
	}
	if late := v.get("late"); late != nil {
		w.Late, w.LateAt = late.text, late.at
	}
	if zone := v.get("timezone"); zone != nil {
		w.Timezone, w.TimezoneAt = zone.text, zone.at
	}
	return w
}

// windowValues checks what the fields of a window say together.
func (g *graph) windowValues(st *StepSpec) {
	w, path := st.Window, "/"+st.Path+"/window"
	g.windowTime(st, path)
	if w.Timezone != "" {
		g.timezone(w, path)
	}
	if w.Kind == "session" && w.Max > 0 && w.Max < w.Gap {
		g.l.fail(st.At, "bad-value", path, fmt.Sprintf("max %s is less than the gap %s", formatDuration(w.Max), formatDuration(w.Gap)),
			"a session is at least as long as its gap")
	}
	if w.Kind != "tumbling" && w.Kind != "sliding" {
		return
	}
	every, name := w.Size, "size"
	if w.Kind == "sliding" {
		every, name = w.Slide, "slide"
	}
	if w.Offset >= every {
		g.l.fail(st.At, "bad-value", path,
			fmt.Sprintf("offset %s is not less than the %s %s", formatDuration(w.Offset), name, formatDuration(every)), "")
	}
}

func (g *graph) windowTime(st *StepSpec, path string) {
	w := st.Window
	if w.Time == "event" && g.spec.Time == "processing" {
		g.l.fail(st.At, "conflicting-fields", path, "with time: processing of the pipeline records have no event time",
			"remove time from the window, or let the pipeline have time: event")
		return
	}
	if (w.Time == "processing" || g.spec.Time == "processing") && (w.AllowedLateness > 0 || w.Late != "") {
		at := w.LateAt
		if w.Late == "" {
			at = st.At
		}
		g.l.fail(at, "conflicting-fields", path, "a window over processing time has no late records",
			"remove allowed_lateness and late, or use time: event")
	}
}

func (g *graph) timezone(w *WindowSpec, path string) {
	if _, err := location(w.Timezone); err != nil {
		g.l.fail(w.TimezoneAt, "bad-value", path+"/timezone", quote(w.Timezone)+" is not the name of a time zone", suggestZone(w.Timezone))
		return
	}
	if w.Size < time.Hour {
		g.l.fail(w.TimezoneAt, "bad-value", path+"/timezone",
			"windows of "+formatDuration(w.Size)+" are the same in every time zone", "remove it; it is for windows of 1h and longer")
	}
}

// location finds a time zone; the local one of the machine is none.
func location(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, fmt.Errorf("unknown time zone %s", name)
	}
	return time.LoadLocation(name)
}

// suggestZone finds the zone that was meant, also by its city alone.
func suggestZone(name string) string {
	zones := strings.Fields(zoneNames)
	if meant := suggest(name, zones); meant != "" {
		return "did you mean " + quote(meant) + "?"
	}
	for _, z := range zones {
		if city := z[strings.LastIndexByte(z, '/')+1:]; squash(city) == squash(strings.ReplaceAll(name, " ", "_")) {
			return "did you mean " + quote(z) + "?"
		}
	}
	return "for example Europe/Berlin, America/New_York or UTC"
}

// window makes the plan of a window over rows with a layout.
func (c *compiler) window(st *StepSpec, in *layout) *Window {
	w := st.Window
	out := &Window{
		Size: w.Size.Milliseconds(), Slide: w.Slide.Milliseconds(), Offset: w.Offset.Milliseconds(),
		AllowedLateness: w.AllowedLateness.Milliseconds(),
		Clock:           w.Time == "processing" && c.spec.Time != "processing",
	}
	switch w.Kind {
	case "tumbling":
		out.Slide = out.Size
	case "count":
		out.Count, out.Size, out.Slide = true, w.Records.Size, w.Records.Slide
	case "session":
		out.Session = &Session{Gap: w.Gap.Milliseconds(), Max: w.Max.Milliseconds()}
		if w.GapBy != nil {
			out.Session.GapText = w.GapBy.Text
			out.Session.GapBy = c.compile(w.GapBy, st.Path+"/window/session/gap_by", in, expr.Want{Type: expr.WantDuration, Place: "gap_by"})
		}
	}
	if w.Timezone != "" {
		out.Zone, _ = location(w.Timezone) // it was found before
	}
	return out
}

// finger is what of a window must not change while its state is kept.
func (w *Window) finger() string {
	var text string
	switch s := w.Session; {
	case w.Count:
		text = fmt.Sprintf("count:%d/%d", w.Size, w.Slide)
	case s != nil && s.GapText != "":
		text = fmt.Sprintf("session:(%s)<%d", s.GapText, s.Max)
	case s != nil:
		text = fmt.Sprintf("session:%d<%d", s.Gap, s.Max)
	default:
		text = fmt.Sprintf("%d/%d+%d", w.Size, w.Slide, w.Offset)
	}
	if w.Zone != nil {
		text += " zone=" + w.Zone.String()
	}
	if w.Clock {
		text += " time=processing"
	}
	return text
}

// text is a window in the plan.
func (w *Window) text() string {
	var text string
	switch s := w.Session; {
	case w.Count:
		return fmt.Sprintf("count %d/%d", w.Size, w.Slide)
	case s != nil && s.GapText != "":
		text = "session gap_by " + s.GapText
	case s != nil:
		text = "session gap " + msText(s.Gap)
	default:
		text = fmt.Sprintf("%s/%s +%s", msText(w.Size), msText(w.Slide), msText(w.Offset))
	}
	if w.Session != nil && w.Session.Max > 0 {
		text += " max " + msText(w.Session.Max)
	}
	if w.Zone != nil {
		text += " " + w.Zone.String()
	}
	if w.Clock {
		return text + ", by the clock"
	}
	return text + ", lateness " + msText(w.AllowedLateness)
}

// summary is a window in the logical graph.
func (w *WindowSpec) summary() string {
	text := w.Kind + " "
	switch {
	case w.Kind == "count" && w.Records.Size == w.Records.Slide:
		return fmt.Sprintf("count %d", w.Records.Size)
	case w.Kind == "count":
		return fmt.Sprintf("count %d/%d", w.Records.Size, w.Records.Slide)
	case w.GapBy != nil:
		text += w.GapBy.Text
	case w.Kind == "session":
		text += durationText(w.Gap)
	case w.Kind == "sliding":
		text += durationText(w.Size) + "/" + durationText(w.Slide)
	default:
		text += durationText(w.Size)
	}
	if w.Timezone != "" {
		text += " " + w.Timezone
	}
	if w.Time == "processing" {
		text += " processing"
	}
	return text
}
