package eval

import (
	"time"

	"concordat.dev/sql/plan"
)

func temporal(e *plan.Call, args []any) any {
	unit, _ := args[0].(string)
	at, ok := args[1].(time.Time)
	if !ok {
		return nil
	}
	switch e.Op {
	case "date_trunc":
		return Trunc(unit, at)
	case "date_part":
		return datePart(unit, at)
	}
	to, ok := args[2].(time.Time)
	if !ok {
		return nil
	}
	if unit == "week" { // DuckDB counts seven days a week, whichever day it begins on
		return (boundary("day", to) - boundary("day", at)) / 7
	}
	return boundary(unit, to) - boundary(unit, at)
}

// Trunc is the start of the unit that holds a time; weeks begin on Monday (ISO 8601).
func Trunc(unit string, t time.Time) time.Time {
	y, m, d := t.Date()
	switch unit {
	case "year":
		return date(y, 1, 1)
	case "quarter":
		return date(y, (m-1)/3*3+1, 1)
	case "month":
		return date(y, m, 1)
	case "week":
		return date(y, m, d-(int(t.Weekday())+6)%7)
	case "day":
		return date(y, m, d)
	case "hour":
		return t.Truncate(time.Hour)
	case "minute":
		return t.Truncate(time.Minute)
	}
	return t.Truncate(time.Second)
}

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func datePart(unit string, t time.Time) any {
	switch unit {
	case "year":
		return int64(t.Year())
	case "quarter":
		return int64(t.Month()-1)/3 + 1
	case "month":
		return int64(t.Month())
	case "week":
		_, w := t.ISOWeek()
		return int64(w)
	case "day":
		return int64(t.Day())
	case "dow":
		return int64(t.Weekday())
	case "isodow":
		return int64(t.Weekday()+6)%7 + 1
	case "hour":
		return int64(t.Hour())
	case "minute":
		return int64(t.Minute())
	case "second":
		return int64(t.Second())
	}
	return nil
}

// boundary numbers the units of time, so that date_diff is the difference of two numbers: it counts the boundaries crossed.
func boundary(unit string, t time.Time) int64 {
	days := floorDiv(t.Unix(), 86400)
	switch unit {
	case "year":
		return int64(t.Year())
	case "quarter":
		return int64(t.Year())*4 + int64(t.Month()-1)/3
	case "month":
		return int64(t.Year())*12 + int64(t.Month()-1)
	case "day":
		return days
	case "hour":
		return floorDiv(t.Unix(), 3600)
	case "minute":
		return floorDiv(t.Unix(), 60)
	}
	return t.Unix()
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// addStep adds an interval; months keep the day where the month has it, else its last day.
func addStep(v any, s *plan.Step) any {
	t, ok := v.(time.Time)
	if !ok {
		return nil
	}
	var out time.Time
	switch s.Unit {
	case "year":
		out = addMonths(t, 12*s.Count)
	case "quarter":
		out = addMonths(t, 3*s.Count)
	case "month":
		out = addMonths(t, s.Count)
	case "week":
		out = t.AddDate(0, 0, int(7*s.Count))
	case "day":
		out = t.AddDate(0, 0, int(s.Count))
	case "hour":
		out = t.Add(time.Duration(s.Count) * time.Hour)
	case "minute":
		out = t.Add(time.Duration(s.Count) * time.Minute)
	default:
		out = t.Add(time.Duration(s.Count) * time.Second)
	}
	if out.Year() < 1 || out.Year() > 9999 {
		return nil
	}
	return out
}

func addMonths(t time.Time, months int64) time.Time {
	y, m, d := t.Date()
	first := time.Date(y, m+time.Month(months), 1, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	last := first.AddDate(0, 1, -1).Day()
	return first.AddDate(0, 0, min(d, last)-1)
}
