package record

import (
	"math"
	"strconv"
)

// The text forms of the language's scalars. They are here because the codec
// reads and writes them and the expression language converts from and to them,
// and the two must agree to the last character. No function allocates but to
// grow dst, and none accepts what its Append counterpart could not have written
// in another spelling of the same grammar: reading is strict.

// Text is what the parsing functions read: a string or bytes that are looked at
// without a conversion.
type Text interface{ ~string | ~[]byte }

const (
	nanosPerSecond = 1_000_000_000
	nanosPerDay    = 86_400 * nanosPerSecond
	secondsPerDay  = 86_400
)

// MaxDecimalDigits is how many digits a decimal may have.
const MaxDecimalDigits = 18

// pow10 holds the powers of ten that fit into 64 bits.
var pow10 = [19]int64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
}

// Pow10 is 10^n for n from 0 to 18.
func Pow10(n int) int64 { return pow10[n] }

// floorDiv divides toward minus infinity; the remainder has the sign of d > 0.
func floorDiv(n, d int64) (quo, rem int64) {
	quo, rem = n/d, n%d
	if rem < 0 {
		return quo - 1, rem + d
	}
	return quo, rem
}

// civil splits days since 1970-01-01 into the proleptic Gregorian date, working
// in eras of 400 years that begin on the first of March, so that the leap day
// is the last of its year.
func civil(days int64) (year int64, month, day int) {
	era, doe := floorDiv(days+719_468, 146_097)
	yoe := (doe - doe/1_460 + doe/36_524 - doe/146_096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy-(153*mp+2)/5) + 1
	year = era*400 + yoe
	if mp < 10 {
		return year, int(mp) + 3, day
	}
	return year + 1, int(mp) - 9, day
}

// daysOf is the inverse of civil for a valid date.
func daysOf(year int64, month, day int) int64 {
	mp := int64(month) - 3
	if month <= 2 {
		mp += 12
		year--
	}
	era, yoe := floorDiv(year, 400)
	doy := (153*mp+2)/5 + int64(day) - 1
	return era*146_097 + yoe*365 + yoe/4 - yoe/100 + doy - 719_468
}

func daysIn(year int64, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

func append2(dst []byte, n int64) []byte {
	return append(dst, byte('0'+n/10%10), byte('0'+n%10))
}

// AppendTimestamp writes nanoseconds since 1970 as RFC 3339 in UTC, with a
// fraction only if it is not zero.
func AppendTimestamp(dst []byte, ns int64) []byte {
	days, rest := floorDiv(ns, nanosPerDay)
	dst = append(AppendDate(dst, days), 'T')
	return append(AppendTimeOfDay(dst, rest), 'Z')
}

// AppendTimestampSQL writes nanoseconds since 1970 as "2006-01-02 15:04:05.999"
// in UTC, without the trailing zeros of the fraction.
func AppendTimestampSQL(dst []byte, ns int64) []byte {
	days, rest := floorDiv(ns, nanosPerDay)
	dst = append(AppendDate(dst, days), ' ')
	return AppendTimeOfDay(dst, rest)
}

// AppendDate writes days since 1970-01-01 as 2006-01-02.
func AppendDate(dst []byte, days int64) []byte {
	year, month, day := civil(days)
	if year < 0 {
		dst, year = append(dst, '-'), -year
	}
	if year > 9999 {
		dst = strconv.AppendInt(dst, year, 10)
	} else {
		dst = append2(append2(dst, year/100), year%100)
	}
	dst = append2(append(dst, '-'), int64(month))
	return append2(append(dst, '-'), int64(day))
}

// AppendTimeOfDay writes nanoseconds since midnight as 15:04:05[.999].
func AppendTimeOfDay(dst []byte, ns int64) []byte {
	sec, frac := ns/nanosPerSecond, ns%nanosPerSecond
	dst = append2(dst, sec/3600)
	dst = append2(append(dst, ':'), sec/60%60)
	dst = append2(append(dst, ':'), sec%60)
	if frac == 0 {
		return dst
	}
	digits := 9
	for frac%10 == 0 {
		frac /= 10
		digits--
	}
	return appendPadded(append(dst, '.'), uint64(frac), digits)
}

// appendPadded writes n with leading zeros to at least width digits.
func appendPadded(dst []byte, n uint64, width int) []byte {
	var tmp [20]byte
	text := strconv.AppendUint(tmp[:0], n, 10)
	for i := len(text); i < width; i++ {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

// durationUnits are the units of a duration from the largest; days and weeks
// are read but not written, because a difference of times is no calendar span.
var durationUnits = [...]struct {
	name string
	ns   int64
}{
	{"w", 7 * nanosPerDay}, {"d", nanosPerDay}, {"h", 3600 * nanosPerSecond}, {"m", 60 * nanosPerSecond},
	{"s", nanosPerSecond}, {"ms", 1_000_000}, {"us", 1_000}, {"ns", 1},
}

// AppendDuration writes a duration as the language does: 1h2m3s, 500ms, -5m, 0s.
func AppendDuration(dst []byte, ns int64) []byte {
	if ns == 0 {
		return append(dst, "0s"...)
	}
	left := uint64(ns)
	if ns < 0 {
		dst, left = append(dst, '-'), -left
	}
	for _, u := range durationUnits[2:] {
		if n := left / uint64(u.ns); n > 0 {
			dst = append(strconv.AppendUint(dst, n, 10), u.name...)
			left %= uint64(u.ns)
		}
	}
	return dst
}

// AppendDecimal writes unscaled·10^-scale with exactly scale decimal places.
func AppendDecimal(dst []byte, unscaled int64, scale uint8) []byte {
	n := uint64(unscaled)
	if unscaled < 0 {
		dst, n = append(dst, '-'), -n
	}
	if scale == 0 {
		return strconv.AppendUint(dst, n, 10)
	}
	var room [20]byte
	digits := strconv.AppendUint(room[:0], n, 10)
	whole := len(digits) - int(scale)
	if whole <= 0 {
		dst = append(dst, '0', '.')
		for ; whole < 0; whole++ {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	}
	dst = append(append(dst, digits[:whole]...), '.')
	return append(dst, digits[whole:]...)
}

// AppendFloat writes the shortest number that reads back the same: plain digits
// where they are short, an exponent (1e+21, 1e-7) for very large and very small
// numbers, as JSON writers do. Not a number and the infinities are NaN, +Inf,
// -Inf, which are not JSON.
func AppendFloat(dst []byte, f float64) []byte {
	return appendFloat(dst, f, 64)
}

// AppendFloat32 is AppendFloat for a number of 32 bits.
func AppendFloat32(dst []byte, f float32) []byte {
	return appendFloat(dst, float64(f), 32)
}

func appendFloat(dst []byte, f float64, bits int) []byte {
	if f == math.Trunc(f) && math.Abs(f) < 1<<53 && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	format, abs := byte('f'), math.Abs(f)
	if abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if n := len(dst); format == 'e' && n >= 4 && dst[n-4] == 'e' && dst[n-3] == '-' && dst[n-2] == '0' {
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}

// ParseTimestampRFC3339 reads a timestamp with zone and up to 9 decimal places,
// as nanoseconds since 1970. Years that do not fit (before 1678, after 2261)
// are refused.
func ParseTimestampRFC3339[T Text](s T) (ns int64, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || s[10] != 'T' {
		return 0, false
	}
	var b [19]byte
	copy(b[:], s)
	ns, ok = parseSeconds(&b)
	n := 19
	if s[n] == '.' {
		var frac int64
		if frac, n = fraction(s, n); n == 0 {
			return 0, false
		}
		ns += frac
	}
	if len(s) == n+1 && s[n] == 'Z' {
		return ns, ok
	}
	east, isZone := zone(s[n:])
	return ns - east, ok && isZone
}

// ParseTimestampSQL reads "2006-01-02 15:04:05[.999]", UTC.
func ParseTimestampSQL[T Text](s T) (ns int64, ok bool) {
	if len(s) < len("2006-01-02 15:04:05") || s[10] != ' ' {
		return 0, false
	}
	var b [19]byte
	copy(b[:], s)
	ns, ok = parseSeconds(&b)
	if len(s) == 19 {
		return ns, ok
	}
	frac, n := fraction(s, 19)
	return ns + frac, ok && n == len(s)
}

// two reads two digits; what is none gives a number that no part of a date
// may have.
func two(b *[19]byte, i int) int64 {
	x, y := b[i]-'0', b[i+1]-'0'
	if x > 9 || y > 9 {
		return 10_000
	}
	return int64(x)*10 + int64(y)
}

// parseSeconds reads the fixed part of a timestamp, with any separator between
// date and time, for the years that fit into nanoseconds of 64 bits.
func parseSeconds(b *[19]byte) (ns int64, ok bool) {
	year, month, day := two(b, 0)*100+two(b, 2), two(b, 5), two(b, 8)
	h, m, sec := two(b, 11), two(b, 14), two(b, 17)
	if b[4] != '-' || b[7] != '-' || b[13] != ':' || b[16] != ':' ||
		year < 1678 || year > 2261 || month < 1 || month > 12 || day < 1 || h > 23 || m > 59 || sec > 59 {
		return 0, false
	}
	if day > 28 && day > int64(daysIn(year, int(month))) {
		return 0, false
	}
	// As daysOf, for years that are not negative.
	mp := month - 3
	if month <= 2 {
		mp += 12
		year--
	}
	days := 365*year + year/4 - year/100 + year/400 + (153*mp+2)/5 + day - 1 - 719_468
	return (days*secondsPerDay + h*3600 + m*60 + sec) * nanosPerSecond, true
}

// fraction reads .999 at i and gives the nanoseconds and the place behind it, 0
// if there is no such thing.
func fraction[T Text](s T, i int) (ns int64, end int) {
	if s[i] != '.' {
		return 0, 0
	}
	unit := int64(nanosPerSecond)
	start := i + 1
	for i = start; i < len(s) && s[i]-'0' <= 9; i++ {
		if unit /= 10; unit == 0 {
			return 0, 0
		}
		ns += int64(s[i]-'0') * unit
	}
	if i == start {
		return 0, 0
	}
	return ns, i
}

// zone reads Z or ±15:04 and gives the nanoseconds to the east of UTC.
func zone[T Text](s T) (east int64, ok bool) {
	if len(s) == 1 && s[0] == 'Z' {
		return 0, true
	}
	if len(s) != 6 || s[3] != ':' || (s[0] != '+' && s[0] != '-') {
		return 0, false
	}
	h, m := digits2(s, 1), digits2(s, 4)
	if h < 0 || h > 23 || m < 0 || m > 59 {
		return 0, false
	}
	east = int64(h*60+m) * 60 * nanosPerSecond
	if s[0] == '-' {
		east = -east
	}
	return east, true
}

// digits2 reads two digits at i, -1 if they are none.
func digits2[T Text](s T, i int) int {
	a, b := s[i]-'0', s[i+1]-'0'
	if a > 9 || b > 9 {
		return -1
	}
	return int(a)*10 + int(b)
}

// ParseDate reads 2006-01-02 as days since 1970-01-01.
func ParseDate[T Text](s T) (days int64, ok bool) {
	if len(s) != 10 || s[4] != '-' || s[7] != '-' {
		return 0, false
	}
	y1, y2, month, day := digits2(s, 0), digits2(s, 2), digits2(s, 5), digits2(s, 8)
	if y1 < 0 || y2 < 0 || month < 1 || month > 12 || day < 1 {
		return 0, false
	}
	year := int64(y1*100 + y2)
	if day > daysIn(year, month) {
		return 0, false
	}
	return daysOf(year, month, day), true
}

// ParseTimeOfDay reads 15:04:05[.999999999] as nanoseconds since midnight.
func ParseTimeOfDay[T Text](s T) (ns int64, ok bool) {
	ns, n, ok := clock(s)
	return ns, ok && n == len(s)
}

// clock reads a time of day at the start of s and gives its length.
func clock[T Text](s T) (ns int64, n int, ok bool) {
	if len(s) < 8 || s[2] != ':' || s[5] != ':' {
		return 0, 0, false
	}
	h, m, sec := digits2(s, 0), digits2(s, 3), digits2(s, 6)
	if h < 0 || h > 23 || m < 0 || m > 59 || sec < 0 || sec > 59 {
		return 0, 0, false
	}
	ns = int64(h*3600+m*60+sec) * nanosPerSecond
	if len(s) == 8 || s[8] != '.' {
		return ns, 8, true
	}
	frac, n := fraction(s, 8)
	return ns + frac, n, n > 0
}

// ParseDuration reads a duration of the language, such as 500ms, 1h30m, 7d or
// the bare 0, as nanoseconds: whole numbers with units from the largest to the
// smallest. A leading minus is accepted, because differences of times are
// written with one; who needs a length checks the sign.
func ParseDuration[T Text](s T) (ns int64, ok bool) {
	i, negative := 0, false
	if len(s) > 0 && s[0] == '-' {
		i, negative = 1, true
	}
	if len(s) == 1 && s[0] == '0' {
		return 0, true
	}
	if i == len(s) {
		return 0, false
	}
	for unit := 0; i < len(s); {
		n, width, ok := ParseUint(s[i:])
		if !ok || width == 0 {
			return 0, false
		}
		i += width
		step, length := int64(0), 0
		step, length, unit = durationUnit(s[i:], unit)
		if length == 0 || n > uint64(math.MaxInt64/step) {
			return 0, false
		}
		i += length
		if ns += int64(n) * step; ns < 0 {
			return 0, false
		}
	}
	if negative {
		ns = -ns
	}
	return ns, true
}

// durationUnit reads a unit that is smaller than those before index from. It
// gives its nanoseconds, its length (0: none) and the index after it.
func durationUnit[T Text](s T, from int) (ns int64, length, next int) {
	n := 0
	for n < len(s) && s[n] >= 'a' && s[n] <= 'z' {
		n++
	}
	for k := from; k < len(durationUnits); k++ {
		if name := durationUnits[k].name; string(s[:n]) == name {
			return durationUnits[k].ns, n, k + 1
		}
	}
	return 0, 0, from
}

// ParseUint reads the digits at the start of s and gives how many they are (0
// if there are none); ok is false if the number does not fit into 64 bits.
func ParseUint[T Text](s T) (n uint64, width int, ok bool) {
	for width < len(s) && s[width]-'0' <= 9 {
		d := uint64(s[width] - '0')
		if n > math.MaxUint64/10 || n*10 > math.MaxUint64-d {
			return 0, 0, false
		}
		n = n*10 + d
		width++
	}
	return n, width, true
}

// ParseInt reads a whole number in decimal digits with an optional minus.
func ParseInt[T Text](s T) (i int64, ok bool) {
	start := 0
	if len(s) > 0 && s[0] == '-' {
		start = 1
	}
	n, width, ok := ParseUint(s[start:])
	if !ok || width == 0 || start+width != len(s) {
		return 0, false
	}
	if start == 1 {
		return -int64(n), n <= 1<<63
	}
	return int64(n), n <= math.MaxInt64
}

// ParseDecimal reads a number with an optional minus, decimal places and
// exponent as unscaled·10^-scale, keeping the decimal places as they are
// written. Numbers of more than 18 digits or decimal places are refused.
func ParseDecimal[T Text](s T) (unscaled int64, scale uint8, ok bool) {
	i, places := 0, 0
	negative := len(s) > 0 && s[0] == '-'
	if negative {
		i = 1
	}
	first := i
	unscaled, i, ok = decimalDigits(s, i, 0)
	if !ok || i == first {
		return 0, 0, false
	}
	if i < len(s) && s[i] == '.' {
		first = i + 1
		unscaled, i, ok = decimalDigits(s, first, unscaled)
		if places = i - first; !ok || places == 0 {
			return 0, 0, false
		}
	}
	if i < len(s) {
		exp, ok := exponent(s[i:])
		if !ok {
			return 0, 0, false
		}
		places -= exp
	}
	for ; places < 0; places++ {
		if unscaled >= pow10[MaxDecimalDigits-1] {
			return 0, 0, false
		}
		unscaled *= 10
	}
	if negative {
		unscaled = -unscaled
	}
	return unscaled, uint8(places), places <= MaxDecimalDigits
}

// decimalDigits goes on reading digits at i into n; ok is false beyond 18.
func decimalDigits[T Text](s T, i int, n int64) (int64, int, bool) {
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		if n >= pow10[MaxDecimalDigits-1] {
			return 0, i, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, i, true
}

// exponent reads e±12 to the end of s. Exponents of more than three digits are
// refused: no decimal of 18 digits needs them but zero.
func exponent[T Text](s T) (exp int, ok bool) {
	if len(s) < 2 || s[0]|0x20 != 'e' {
		return 0, false
	}
	i, negative := 1, s[1] == '-'
	if negative || s[1] == '+' {
		i = 2
	}
	if n := len(s) - i; n < 1 || n > 3 {
		return 0, false
	}
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		exp = exp*10 + int(d)
	}
	if negative {
		exp = -exp
	}
	return exp, true
}
