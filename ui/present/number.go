package present

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"concordat.dev/protocol/answer"
)

// Value prints a value with its interval: "3,452 ± 66" where it stands in the middle, else "57 [0, 123]".
func Value(v any, in *answer.Interval) string {
	number, ok := v.(json.Number)
	if !ok || in == nil {
		return plain(v)
	}
	x, err := number.Float64()
	if err != nil {
		return plain(v)
	}
	low, high := in[0], in[1]
	digits := decimals((high - low) / 2)
	if isInteger(number) && low == math.Trunc(low) && high == math.Trunc(high) {
		digits = 0
	}
	if math.Abs((high-x)-(x-low)) <= 1e-9*math.Max(1, math.Abs(high-low)) {
		return fixed(x, digits) + " ± " + fixed((high-low)/2, digits)
	}
	return fmt.Sprintf("%s [%s, %s]", fixed(x, digits), fixed(low, digits), fixed(high, digits))
}

// around prints an interval that is expected around the true value.
func around(in answer.Interval) string {
	digits := decimals((in[1] - in[0]) / 2)
	if in[0] == -in[1] {
		return "± " + fixed(in[1], digits)
	}
	return fmt.Sprintf("[%s, %s]", fixed(in[0], digits), fixed(in[1], digits))
}

// decimals shows two significant digits of the half width of an interval, and never more than six decimals.
func decimals(half float64) int {
	if half <= 0 || math.IsInf(half, 0) || math.IsNaN(half) {
		return 2
	}
	return min(6, max(0, 1-int(math.Floor(math.Log10(half)))))
}

// plain prints a released value that has no interval.
func plain(v any) string {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return Integer(n)
		}
		if x, err := v.Float64(); err == nil {
			return Short(x)
		}
		return v.String()
	default:
		return text(v)
	}
}

// text prints a value as it is: keys must not gain separators.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return Clean(v)
	default:
		return fmt.Sprint(v)
	}
}

// Integer prints n with separators: 3,452.
func Integer(n int64) string { return group(strconv.FormatInt(n, 10)) }

// Short prints x with at most four significant decimals and no trailing zeros.
func Short(x float64) string {
	switch {
	case x == 0:
		return "0"
	case math.Abs(x) < 1e-4 || math.Abs(x) >= 1e15:
		return strconv.FormatFloat(x, 'g', 4, 64)
	}
	digits := max(0, 3-int(math.Floor(math.Log10(math.Abs(x)))))
	s := fixed(x, min(digits, 8))
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

func fixed(x float64, digits int) string {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', digits, 64)
	if strings.Trim(s, "-0.") == "" {
		s = strings.TrimPrefix(s, "-")
	}
	return group(s)
}

// group puts a comma between thousands of the integer part.
func group(s string) string {
	sign, rest := "", s
	if strings.HasPrefix(s, "-") {
		sign, rest = "-", s[1:]
	}
	whole, fraction, _ := strings.Cut(rest, ".")
	var b strings.Builder
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if fraction != "" {
		b.WriteString("." + fraction)
	}
	return sign + b.String()
}

func isInteger(n json.Number) bool {
	_, err := n.Int64()
	return err == nil
}

// numeric says whether values of a SQL type are numbers.
func numeric(sqlType string) bool {
	switch base, _, _ := strings.Cut(sqlType, "("); base {
	case "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "float", "double", "decimal":
		return true
	}
	return false
}
