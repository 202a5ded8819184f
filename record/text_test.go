package record

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func TestTimestampText(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		ns := rnd.Int64()
		if rnd.IntN(2) == 0 {
			ns = -ns
		}
		switch rnd.IntN(3) {
		case 0:
			ns -= ns % 1e9
		case 1:
			ns -= ns % 1e6
		}
		want := time.Unix(0, ns).UTC().Format(time.RFC3339Nano)
		got := string(AppendTimestamp(nil, ns))
		if got != want {
			t.Fatalf("AppendTimestamp(%d) = %s, want %s", ns, got, want)
		}
		if year := time.Unix(0, ns).UTC().Year(); year < 1679 || year > 2260 {
			continue
		}
		if back, ok := ParseTimestampRFC3339(got); !ok || back != ns {
			t.Fatalf("ParseTimestampRFC3339(%s) = %d, %v, want %d", got, back, ok, ns)
		}
		sql := string(AppendTimestampSQL(nil, ns))
		if back, ok := ParseTimestampSQL([]byte(sql)); !ok || back != ns {
			t.Fatalf("ParseTimestampSQL(%s) = %d, %v, want %d", sql, back, ok, ns)
		}
	}
}

func TestParseTimestamp(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-31T10:15:00Z":            "2026-01-31T10:15:00Z",
		"2026-01-31T10:15:00.5Z":          "2026-01-31T10:15:00.5Z",
		"2026-01-31T10:15:00+02:30":       "2026-01-31T07:45:00Z",
		"2024-02-29T23:59:59.999999999Z":  "2024-02-29T23:59:59.999999999Z",
		"2026-02-29T00:00:00Z":            "",
		"2026-01-31 10:15:00Z":            "",
		"2026-01-31T24:00:00Z":            "",
		"2026-01-31T10:15:60Z":            "",
		"2026-01-31T10:15:00":             "",
		"2026-01-31T10:15:00.Z":           "",
		"2026-01-31T10:15:00.1234567890Z": "",
		"2026-01-31T10:15:00+0230":        "",
		"2026-13-31T10:15:00Z":            "",
		"2026-1-31T10:15:00Z":             "",
		"1500-01-31T10:15:00Z":            "",
		"2026-01-31T10:15:00Zx":           "",
	} {
		ns, ok := ParseTimestampRFC3339(text)
		got := ""
		if ok {
			got = string(AppendTimestamp(nil, ns))
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

func TestDateAndTimeText(t *testing.T) {
	for days := int64(-800_000); days < 800_000; days += 37 {
		want := time.Unix(days*86_400, 0).UTC()
		if want.Year() < 0 || want.Year() > 9999 {
			continue
		}
		text := string(AppendDate(nil, days))
		if text != want.Format("2006-01-02") {
			t.Fatalf("AppendDate(%d) = %s", days, text)
		}
		if back, ok := ParseDate(text); !ok || back != days {
			t.Fatalf("ParseDate(%s) = %d, %v", text, back, ok)
		}
	}
	for text, ns := range map[string]int64{"10:15:00": 36_900e9, "00:00:00.001": 1e6, "23:59:59.5": 86_399_500_000_000} {
		if got, ok := ParseTimeOfDay(text); !ok || got != ns || string(AppendTimeOfDay(nil, ns)) != text {
			t.Errorf("%s: %d %v %s", text, got, ok, AppendTimeOfDay(nil, ns))
		}
	}
	for _, bad := range []string{"", "24:00:00", "1:00:00", "10:15", "10:15:00Z", "10:15:00.", "10:60:00"} {
		if _, ok := ParseTimeOfDay(bad); ok {
			t.Errorf("ParseTimeOfDay(%q) is accepted", bad)
		}
	}
}

func TestDurationText(t *testing.T) {
	for _, c := range []struct {
		text, again string
		ns          int64
	}{
		{"0", "0s", 0}, {"0s", "0s", 0}, {"500ms", "500ms", 5e8}, {"30s", "30s", 30e9}, {"1h30m", "1h30m", 5400e9},
		{"7d", "168h", 7 * 86_400e9}, {"2w", "336h", 14 * 86_400e9}, {"1d2h3m4s5ms6us7ns", "26h3m4s5ms6us7ns", 93_784_005_006_007},
		{"-5m", "-5m", -300e9}, {"90s", "1m30s", 90e9},
	} {
		got, ok := ParseDuration(c.text)
		if !ok || got != c.ns {
			t.Errorf("ParseDuration(%s) = %d, %v, want %d", c.text, got, ok, c.ns)
		}
		if again := string(AppendDuration(nil, c.ns)); again != c.again {
			t.Errorf("AppendDuration(%d) = %s, want %s", c.ns, again, c.again)
		}
	}
	for _, bad := range []string{"", "-", "5", "s", "5x", "1.5h", "1m1h", "1s1s", "300000w", "106751d25h", "5 s", "99999999999999999999s", "+1s"} {
		if ns, ok := ParseDuration(bad); ok {
			t.Errorf("ParseDuration(%q) = %d is accepted", bad, ns)
		}
	}
	if got := string(AppendDuration(nil, math.MinInt64)); got != "-2562047h47m16s854ms775us808ns" {
		t.Errorf("AppendDuration(MinInt64) = %s", got)
	}
}

func TestDecimalText(t *testing.T) {
	for _, c := range []struct {
		text, again string
		n           int64
		scale       uint8
		ok          bool
	}{
		{"0", "0", 0, 0, true}, {"1.50", "1.50", 150, 2, true}, {"-0.05", "-0.05", -5, 2, true}, {"007", "7", 7, 0, true},
		{"1e3", "1000", 1000, 0, true}, {"1.25e1", "12.5", 125, 1, true}, {"5e-3", "0.005", 5, 3, true},
		{"999999999999999999", "999999999999999999", 999_999_999_999_999_999, 0, true},
		{"-0.999999999999999999", "-0.999999999999999999", -999_999_999_999_999_999, 18, true},
		{"1000000000000000000", "", 0, 0, false}, {"0.0000000000000000001", "", 0, 0, false}, {"1e18", "", 0, 0, false},
		{"", "", 0, 0, false}, {"-", "", 0, 0, false}, {".5", "", 0, 0, false}, {"5.", "", 0, 0, false}, {"1e", "", 0, 0, false},
		{"1.2.3", "", 0, 0, false}, {" 1", "", 0, 0, false}, {"1e9999", "", 0, 0, false}, {"+1", "", 0, 0, false},
	} {
		n, scale, ok := ParseDecimal(c.text)
		if ok != c.ok || ok && (n != c.n || scale != c.scale) {
			t.Errorf("ParseDecimal(%s) = %d, %d, %v", c.text, n, scale, ok)
		}
		if ok {
			if again := string(AppendDecimal([]byte("x"), n, scale)); again != "x"+c.again {
				t.Errorf("AppendDecimal(%d, %d) = %s, want %s", n, scale, again, c.again)
			}
		}
	}
}

func TestFloatText(t *testing.T) {
	for want, f := range map[string]float64{
		"3": 3, "0.1": 0.1, "-2.5": -2.5, "1e+21": 1e21, "1e-7": 1e-7, "123456789012345680000": 123456789012345678901,
		"NaN": math.NaN(), "+Inf": math.Inf(1), "-0": math.Copysign(0, -1), "1.5e-10": 1.5e-10,
	} {
		if got := string(AppendFloat(nil, f)); got != want {
			t.Errorf("AppendFloat(%v) = %s, want %s", f, got, want)
		}
	}
	if got := string(AppendFloat32(nil, 0.1)); got != "0.1" {
		t.Errorf("AppendFloat32(0.1) = %s", got)
	}
}

func TestIntText(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "-1": -1, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64} {
		if got, ok := ParseInt(text); !ok || got != want {
			t.Errorf("ParseInt(%s) = %d, %v", text, got, ok)
		}
	}
	for _, bad := range []string{"", "-", "9223372036854775808", "-9223372036854775809", "1.0", "1 ", "0x1"} {
		if _, ok := ParseInt(bad); ok {
			t.Errorf("ParseInt(%q) is accepted", bad)
		}
	}
}

func TestTextAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 128)
	text := []byte("2026-01-31T10:15:00.123Z")
	for name, f := range map[string]func(){
		"timestamp": func() { dst = AppendTimestamp(dst[:0], 1_769_854_500_123_000_000) },
		"parse":     func() { ParseTimestampRFC3339(text) },
		"duration":  func() { dst = AppendDuration(dst[:0], 93_784_005_006_007) },
		"read":      func() { ParseDuration("1h30m") },
		"decimal":   func() { dst = AppendDecimal(dst[:0], -12345, 3) },
		"float":     func() { dst = AppendFloat(dst[:0], 0.1) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkParseTimestamp(b *testing.B) {
	text := []byte("2026-01-31T10:15:00.123Z")
	for b.Loop() {
		ParseTimestampRFC3339(text)
	}
}

// FuzzTimestamp holds that what is read is what the standard library reads, and
// that writing it and reading it again gives the same.
func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{"2026-01-31T10:15:00Z", "2024-02-29T00:00:00.5+02:00", "1999-12-31T23:59:59.999999999-11:30", "2026-02-30T00:00:00Z", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ns, ok := ParseTimestampRFC3339(s)
		if !ok {
			return
		}
		want, err := time.Parse(time.RFC3339Nano, s)
		if err != nil || want.UnixNano() != ns {
			t.Fatalf("%q is read as %d; the standard library gives %v, %v", s, ns, want, err)
		}
		if back, ok := ParseTimestampRFC3339(AppendTimestamp(nil, ns)); !ok || back != ns {
			t.Fatalf("%q does not come back", s)
		}
	})
}
