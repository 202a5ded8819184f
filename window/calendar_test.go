package window

import (
	"math/rand/v2"
	"testing"
	"time"

	"kstream/record"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func at(t testing.TB, text string) ts {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return ts(v.UnixMilli())
}

// bounds is the window of a tumbling size that holds a time.
func bounds(c *Calendar, size int64, t ts) string {
	start := New(size, size, 0, 0).Pane(c.Local(t))
	text := func(l ts) string { return time.UnixMilli(int64(c.Instant(l))).UTC().Format("2006-01-02T15:04") }
	return text(start) + " " + text(start+ts(size))
}

func TestWindowsFollowTheLocalClock(t *testing.T) {
	const h = 3_600_000
	for _, c := range []struct {
		zone string
		size int64
		at   string
		want string
	}{
		{"Europe/Berlin", 24 * h, "2026-01-15T12:00:00Z", "2026-01-14T23:00 2026-01-15T23:00"},
		{"Europe/Berlin", 24 * h, "2026-03-29T12:00:00Z", "2026-03-28T23:00 2026-03-29T22:00"}, // 23 hours
		{"Europe/Berlin", 24 * h, "2026-10-25T12:00:00Z", "2026-10-24T22:00 2026-10-25T23:00"}, // 25 hours
		{"Europe/Berlin", 6 * h, "2026-03-29T00:30:00Z", "2026-03-28T23:00 2026-03-29T04:00"},
		{"Europe/Berlin", 6 * h, "2026-10-25T03:30:00Z", "2026-10-24T22:00 2026-10-25T05:00"},
		{"Europe/Berlin", h, "2026-03-29T00:59:59Z", "2026-03-29T00:00 2026-03-29T01:00"},
		{"Europe/Berlin", h, "2026-03-29T01:00:00Z", "2026-03-29T01:00 2026-03-29T02:00"},
		{"Europe/Berlin", h, "2026-10-25T00:30:00Z", "2026-10-25T00:00 2026-10-25T01:00"}, // 02:30 for the first time
		{"Europe/Berlin", h, "2026-10-25T01:30:00Z", "2026-10-25T01:00 2026-10-25T02:00"}, // and for the second
		{"Asia/Kolkata", h, "2026-01-15T12:10:00Z", "2026-01-15T11:30 2026-01-15T12:30"},
		{"Asia/Kolkata", 24 * h, "2026-01-15T18:30:00Z", "2026-01-15T18:30 2026-01-16T18:30"},
		{"America/New_York", 24 * h, "2026-11-01T12:00:00Z", "2026-11-01T04:00 2026-11-02T05:00"},
		{"Australia/Lord_Howe", 24 * h, "2026-04-05T00:00:00Z", "2026-04-04T13:00 2026-04-05T13:30"},
		{"America/Sao_Paulo", 24 * h, "2018-11-04T12:00:00Z", "2018-11-04T03:00 2018-11-05T02:00"}, // midnight is jumped over
		{"UTC", 24 * h, "2026-03-29T12:00:00Z", "2026-03-29T00:00 2026-03-30T00:00"},
	} {
		if got := bounds(NewCalendar(zone(t, c.zone), c.size), c.size, at(t, c.at)); got != c.want {
			t.Errorf("%s in %s of %d h: %s, want %s", c.at, c.zone, c.size/h, got, c.want)
		}
	}
}

// TestInstantIsTheFirstOfItsLocalTime tries every minute around the changes of
// the clock, and random times.
func TestInstantIsTheFirstOfItsLocalTime(t *testing.T) {
	const minute = 60_000
	for _, name := range []string{"Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata", "Africa/Casablanca"} {
		for _, size := range []int64{3_600_000, 86_400_000} {
			r := rand.New(rand.NewPCG(1, uint64(size)))
			c := NewCalendar(zone(t, name), size)
			walk := func(from, to, step ts) {
				before := c.Local(from - step)
				for x := from; x < to; x += step {
					l := c.Local(x)
					if l < before {
						t.Fatalf("%s: the local time falls at %d", name, x)
					}
					before = l
					if i := c.Instant(l); i > x || c.Local(i) < l || c.Local(i-1) >= l {
						t.Fatalf("%s: Instant(%d) = %d, asked for at %d: local %d, and %d before", name, l, i, x, c.Local(i), c.Local(i-1))
					}
				}
			}
			for year := 2005; year < 2028; year++ {
				for x := at(t, time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339)); ; {
					to := c.eraOf(x).to
					if to == record.MaxTimestamp || time.UnixMilli(int64(to)).Year() > year {
						break
					}
					walk(to-3*60*minute, to+3*60*minute, minute)
					x = to
				}
			}
			for range 2_000 {
				walk(ts(r.Int64N(1<<42)), 0, minute)
				x := ts(r.Int64N(1<<43) - 1<<42)
				walk(x, x+3, 1)
			}
		}
	}
}

func TestCalendarOfExtremeTimes(t *testing.T) {
	c := NewCalendar(zone(t, "Europe/Berlin"), 86_400_000)
	before := record.MinTimestamp
	for _, x := range []ts{record.MinTimestamp, -1 << 60, -1 << 48, -1 << 47, 0, 1 << 47, 1 << 48, 1 << 60, record.MaxTimestamp} {
		l := c.Local(x)
		if l < before {
			t.Errorf("local time of %d falls", x)
		}
		before = l
		if i := c.Instant(l); i > within(x) || i < within(x)-ts(200_000_000) {
			t.Errorf("Instant(Local(%d)) = %d", x, i)
		}
	}
}

func TestLocalDoesNotAllocate(t *testing.T) {
	c := NewCalendar(zone(t, "Europe/Berlin"), 86_400_000)
	x := at(t, "2026-01-01T00:00:00Z")
	if n := testing.AllocsPerRun(1_000, func() { x += 86_400_000 / 4; c.Local(x) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLocal(b *testing.B) {
	c := NewCalendar(zone(b, "Europe/Berlin"), 86_400_000)
	x := at(b, "2026-01-01T00:00:00Z")
	var sum ts
	for range b.N {
		x += 37
		sum += c.Local(x)
	}
	if sum == 1 {
		b.Log(sum)
	}
}
