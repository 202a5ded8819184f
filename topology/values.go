package topology

import (
	"math"
	"strconv"
	"strings"
	"time"

	"kstream/record"
)

// parseCount reads a plain integer: no separators, no sign but "-".
func parseCount(s string) (int64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseNumber reads a decimal number without exponent.
func parseNumber(s string) (float64, bool) {
	digits := strings.TrimPrefix(s, "-")
	if digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, false
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, err == nil
}

// parseDuration reads 500ms, 30s, 1h30m, 7d and 0.
func parseDuration(s string) (time.Duration, bool) {
	if s == "0" {
		return 0, true
	}
	var total float64
	var exact int64
	rest := s
	for rest != "" {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		number, after := rest[:n], rest[n:]
		unit, width := durationUnit(after)
		if number == "" || width == 0 {
			return 0, false
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, false
		}
		total += f * float64(unit)
		if total >= math.MaxInt64 {
			return 0, false
		}
		if whole, err := strconv.ParseInt(number, 10, 64); err == nil {
			exact += whole * int64(unit)
		} else {
			exact += int64(math.Round(f * float64(unit)))
		}
		rest = after[width:]
	}
	return time.Duration(exact), s != ""
}

func durationUnit(s string) (unit time.Duration, width int) {
	switch {
	case strings.HasPrefix(s, "ns"):
		return time.Nanosecond, 2
	case strings.HasPrefix(s, "us"):
		return time.Microsecond, 2
	case strings.HasPrefix(s, "ms"):
		return time.Millisecond, 2
	case strings.HasPrefix(s, "s"):
		return time.Second, 1
	case strings.HasPrefix(s, "m"):
		return time.Minute, 1
	case strings.HasPrefix(s, "h"):
		return time.Hour, 1
	case strings.HasPrefix(s, "d"):
		return 24 * time.Hour, 1
	case strings.HasPrefix(s, "w"):
		return 7 * 24 * time.Hour, 1
	}
	return 0, 0
}

// formatDuration writes a duration as people write it: 1m40s, 500ms, 7d.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	if d < 0 {
		return "-" + formatDuration(-d)
	}
	var b strings.Builder
	for _, u := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}, {time.Microsecond, "us"}, {1, "ns"}} {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d -= n * u.size
		}
	}
	return b.String()
}

// parseSize reads 64KiB, 10MB, 2 GiB; MB are millions, MiB are 2^20 bytes.
func parseSize(s string) (int64, bool) {
	n := len(s) - len(strings.TrimLeft(s, "0123456789"))
	count, err := strconv.ParseInt(s[:n], 10, 64)
	if err != nil {
		return 0, false
	}
	unit := int64(0)
	switch strings.TrimPrefix(s[n:], " ") {
	case "B":
		unit = 1
	case "KB":
		unit = 1e3
	case "MB":
		unit = 1e6
	case "GB":
		unit = 1e9
	case "TB":
		unit = 1e12
	case "KiB":
		unit = 1 << 10
	case "MiB":
		unit = 1 << 20
	case "GiB":
		unit = 1 << 30
	case "TiB":
		unit = 1 << 40
	}
	if unit == 0 || count > math.MaxInt64/unit {
		return 0, false
	}
	return count * unit, true
}

// parseRate reads 1000/s, 60/m, 5/h as records per second.
func parseRate(s string) (float64, bool) {
	count, unit, ok := strings.Cut(s, "/")
	n, isCount := parseCount(count)
	if !ok || !isCount || n <= 0 {
		return 0, false
	}
	switch unit {
	case "s":
		return float64(n), true
	case "m":
		return float64(n) / 60, true
	case "h":
		return float64(n) / 3600, true
	}
	return 0, false
}

// parseTimestamp reads RFC 3339 with a zone, as whole milliseconds.
func parseTimestamp(s string) (record.Timestamp, bool) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, false
	}
	return record.Timestamp(t.UnixMilli()), true
}

// isName: small letters, digits and _, beginning with a letter, up to 63.
func isName(s string) bool {
	if s == "" || len(s) > 63 || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return onlyRunes(s, "_", lower|digit)
}

// isJobName: DNS-like, up to 63.
func isJobName(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && onlyRunes(s, "-", lower|digit)
}

// isUID: what a state id may be made of.
func isUID(s string) bool {
	return s != "" && len(s) <= 128 && onlyRunes(s, "_.:/-", lower|upper|digit)
}

// isFieldPath: a field name, or several joined by dots.
func isFieldPath(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || !letterOrUnderscore(part[0]) || !onlyRunes(part, "_-", lower|upper|digit) {
			return false
		}
	}
	return true
}

// isTypeName: the name of a schema.
func isTypeName(s string) bool {
	return s != "" && letterOrUnderscore(s[0]) && onlyRunes(s, "_", lower|upper|digit)
}

// isTopic: Kafka's rule for topic names.
func isTopic(s string) bool {
	return s != "" && len(s) <= 249 && s != "." && s != ".." && onlyRunes(s, "._-", lower|upper|digit)
}

type runeClass uint8

const (
	lower runeClass = 1 << iota
	upper
	digit
)

func letterOrUnderscore(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func onlyRunes(s, extra string, c runeClass) bool {
	for _, r := range s {
		ok := c&lower != 0 && r >= 'a' && r <= 'z' ||
			c&upper != 0 && r >= 'A' && r <= 'Z' ||
			c&digit != 0 && r >= '0' && r <= '9' ||
			strings.ContainsRune(extra, r)
		if !ok {
			return false
		}
	}
	return true
}

// splitAddress takes host:port apart; the host may be empty or in brackets.
func splitAddress(s string) (host string, port int, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 || strings.ContainsAny(s, " \t\r\n/") {
		return s, 0, false
	}
	n, isCount := parseCount(s[i+1:])
	return s[:i], int(min(n, 1<<30)), isCount && n >= 0 && n <= 65535
}
