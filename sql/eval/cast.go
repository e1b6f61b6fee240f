package eval

import (
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"

	"concordat.dev/sql/plan"
)

func cast(v any, t plan.Type) any {
	switch x := v.(type) {
	case nil:
		return nil
	case bool:
		switch {
		case t.Whole():
			if x {
				return int64(1)
			}
			return int64(0)
		case t == plan.Varchar:
			return strconv.FormatBool(x)
		case t == plan.Double:
			return cast(cast(x, plan.Bigint), t)
		}
	case int64:
		switch t {
		case plan.Double:
			return float64(x)
		case plan.Varchar:
			return strconv.FormatInt(x, 10)
		case plan.Boolean:
			return x != 0
		case plan.Integer:
			if x != int64(int32(x)) {
				return nil
			}
		}
	case float64:
		return castFloat(x, t)
	case string:
		return castText(x, t)
	case time.Time:
		switch t {
		case plan.Date:
			return x.Truncate(24 * time.Hour)
		case plan.Varchar:
			return nil // no plan prints times: they are keys by themselves
		}
	}
	return v
}

func castFloat(x float64, t plan.Type) any {
	switch {
	case t.Whole():
		r := math.RoundToEven(x)
		limit := math.Exp2(63)
		if t == plan.Integer {
			limit = math.Exp2(31)
		}
		if math.IsNaN(r) || r >= limit || r < -limit {
			return nil
		}
		return int64(r)
	case t == plan.Boolean:
		return x != 0
	case t == plan.Varchar:
		return floatText(x)
	}
	return x
}

// floatText writes a double as DuckDB does: the shortest digits that name it, with a point or an exponent.
func floatText(x float64) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	}
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, 64)
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

var (
	decimal = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$`)
	half    = big.NewRat(1, 2)
)

// castText reads a text as DuckDB's TRY_CAST does: numbers may have a point and an exponent, integers are rounded half away from zero.
func castText(x string, t plan.Type) any {
	s := strings.Trim(x, " \t\n\v\f\r")
	switch t {
	case plan.Integer, plan.Bigint:
		return wholeText(s, t)
	case plan.Double:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !decimal.MatchString(s) {
			return nil
		}
		return f
	case plan.Boolean:
		switch strings.ToLower(s) {
		case "true", "t", "1", "yes", "y":
			return true
		case "false", "f", "0", "no", "n":
			return false
		}
		return nil
	case plan.Date, plan.Timestamp:
		for _, layout := range []string{"2006-01-02", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999"} {
			if at, err := time.Parse(layout, s); err == nil {
				return cast(at.UTC(), t)
			}
		}
		return nil
	}
	return x
}

func wholeText(s string, t plan.Type) any {
	if !decimal.MatchString(s) {
		return nil
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil
	}
	negative := r.Sign() < 0
	r.Add(r.Abs(r), half)
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if negative {
		n.Neg(n)
	}
	if !n.IsInt64() || t == plan.Integer && n.Int64() != int64(int32(n.Int64())) {
		return nil
	}
	return n.Int64()
}
