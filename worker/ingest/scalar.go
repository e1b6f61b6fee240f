package ingest

import (
	"math"
	"strconv"
	"unsafe"
)

// The texts that scalars are read from. White space around anything but varchar is allowed.

func strip(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func digit(c byte) bool { return c-'0' <= 9 }

// integer reads [+-]digits, also with a fraction of zeros ("60.0"), which tools write for columns with missing values.
func integer(b []byte) (v int64, ok bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, i = b[0] == '-', 1
	}
	start, u := i, uint64(0)
	for ; i < len(b) && digit(b[i]); i++ {
		if u > (math.MaxUint64-9)/10 {
			return 0, false
		}
		u = u*10 + uint64(b[i]-'0')
	}
	if i == start {
		return 0, false
	}
	if i < len(b) && b[i] == '.' {
		for i++; i < len(b) && b[i] == '0'; i++ {
		}
	}
	if i != len(b) {
		return 0, false
	}
	if negative {
		if u > 1<<63 {
			return 0, false
		}
		return -int64(u), true
	}
	return int64(u), u <= math.MaxInt64
}

var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// double reads a decimal number with point and exponent. NaN and infinities are numbers, not finite. Up to 15 digits and a power of ten
// below 23 are exact in one operation (Clinger 1990); all else goes to strconv.
func double(b []byte) (v float64, ok bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, i = b[0] == '-', 1
	}
	var m uint64
	digits, scale, point := 0, 0, false
	for ; i < len(b); i++ {
		c := b[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if !digit(c) {
			break
		}
		m = m*10 + uint64(c-'0')
		digits++
		if point {
			scale++
		}
		if digits > 15 {
			return slow(b)
		}
	}
	if i != len(b) || digits == 0 {
		return slow(b)
	}
	v = float64(m) / powers[scale]
	if negative {
		v = -v
	}
	return v, true
}

func slow(b []byte) (float64, bool) {
	for _, c := range b { // strconv also knows hexadecimal and underscores
		if c == 'x' || c == 'X' || c == '_' || c == 'p' || c == 'P' {
			return 0, false
		}
	}
	v, err := strconv.ParseFloat(unsafe.String(unsafe.SliceData(b), len(b)), 64) //nolint:gosec // the string doesn't outlive the call
	return v, err == nil
}

func boolean(b []byte) (v, ok bool) {
	if len(b) > 5 {
		return false, false
	}
	var low [5]byte
	for i, c := range b {
		low[i] = lowerASCII(c)
	}
	switch string(low[:len(b)]) {
	case "true", "t", "1", "yes", "y":
		return true, true
	case "false", "f", "0", "no", "n":
		return false, true
	}
	return false, false
}

func number(b []byte) (v int, ok bool) {
	for _, c := range b {
		if !digit(c) {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

var monthDays = [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}

// date reads YYYY-MM-DD as days since 1970-01-01 in the proleptic Gregorian calendar.
func date(b []byte) (days int32, ok bool) {
	if len(b) != 10 || b[4] != '-' || b[7] != '-' {
		return 0, false
	}
	return day(b[:4], b[5:7], b[8:])
}

// day gives days since 1970-01-01 of a year, month and day in digits.
func day(year, month, dayOfMonth []byte) (days int32, ok bool) {
	y, ok1 := number(year)
	m, ok2 := number(month)
	d, ok3 := number(dayOfMonth)
	if !ok1 || !ok2 || !ok3 || y < 1 || m < 1 || m > 12 || d < 1 {
		return 0, false
	}
	most := monthDays[m-1]
	if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		most = 29
	}
	if d > most {
		return 0, false
	}
	// Hinnant, days_from_civil: years begin in March.
	if m <= 2 {
		y--
	}
	era, yearOfEra := y/400, y%400
	dayOfYear := (153*((m+9)%12)+2)/5 + d - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return int32(era*146097 + dayOfEra - 719468), true
}

// timestamp reads YYYY-MM-DD[ T]HH:MM[:SS[.fraction]][Z|±hh:mm] as microseconds since 1970 in UTC; without a zone it is UTC.
// Digits of the fraction beyond the sixth are cut.
func timestamp(b []byte) (micros int64, ok bool) {
	if len(b) < 16 {
		return 0, false
	}
	days, ok := date(b[:10])
	if !ok {
		return 0, false
	}
	return clock(days, b[10:])
}

// clock reads what follows the day of a timestamp.
func clock(days int32, b []byte) (micros int64, ok bool) {
	if len(b) < 6 || (b[0] != ' ' && b[0] != 'T') || b[3] != ':' {
		return 0, false
	}
	h, ok1 := number(b[1:3])
	m, ok2 := number(b[4:6])
	s, ok3, rest := 0, true, b[6:]
	seconds := len(rest) > 0 && rest[0] == ':'
	if seconds {
		if len(rest) < 3 {
			return 0, false
		}
		s, ok3 = number(rest[1:3])
		rest = rest[3:]
	}
	if !ok1 || !ok2 || !ok3 || h > 23 || m > 59 || s > 59 {
		return 0, false
	}
	fraction := 0
	if seconds && len(rest) > 0 && rest[0] == '.' {
		n := 1
		for ; n < len(rest) && digit(rest[n]); n++ {
			if n <= 6 {
				fraction = fraction*10 + int(rest[n]-'0')
			}
		}
		if n == 1 || n > 10 {
			return 0, false
		}
		for k := n; k < 7; k++ {
			fraction *= 10
		}
		rest = rest[n:]
	}
	offset, ok := zone(rest)
	if !ok {
		return 0, false
	}
	moment := int64(days)*86400 + int64(h*3600+m*60+s) - int64(offset)
	return moment*1e6 + int64(fraction), true
}

// zone gives the seconds east of UTC.
func zone(b []byte) (seconds int, ok bool) {
	if len(b) == 0 || len(b) == 1 && (b[0] == 'Z' || b[0] == 'z') {
		return 0, true
	}
	if len(b) != 6 || b[3] != ':' || (b[0] != '+' && b[0] != '-') {
		return 0, false
	}
	h, ok1 := number(b[1:3])
	m, ok2 := number(b[4:])
	if !ok1 || !ok2 || h > 18 || m > 59 {
		return 0, false
	}
	seconds = h*3600 + m*60
	if b[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

// uuid checks 8-4-4-4-12 hex digits and appends them in lower case.
func uuid(dst, b []byte) ([]byte, bool) {
	if len(b) != 36 {
		return dst, false
	}
	for i, c := range b {
		c = lowerASCII(c)
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (c == '-') || !dash && !digit(c) && (c < 'a' || c > 'f') {
			return dst, false
		}
		dst = append(dst, c)
	}
	return dst, true
}
