// Package eval interprets plans, slowly and obviously, without SQL: for what is computed on released rows, for the values of
// declared keys, and as the reference against which the engine is tested.
//
// Invariant: no input makes it panic or fail; where SQL would fail, the value is NULL, as under TRY.
//
// Sees: plaintext rows (in tests), released rows
package eval

import (
	"math"
	"strings"
	"time"

	"concordat.dev/sql/plan"
)

// Value computes an expression over one row. Values are nil (NULL), bool, int64, float64, string and time.Time (UTC).
func Value(e plan.Expr, row []any) any {
	switch e := e.(type) {
	case *plan.Col:
		return seen(row[e.Index])
	case *plan.Const:
		return e.Value
	case *plan.Cast:
		return cast(Value(e.Arg, row), e.T)
	case *plan.Case:
		for _, w := range e.Whens {
			if Value(w.Cond, row) == true {
				return cast(Value(w.Then, row), e.T)
			}
		}
		return cast(Value(e.Else, row), e.T)
	case *plan.Call:
		return call(e, row)
	}
	return nil
}

// True says that a condition holds: not false, and not NULL.
func True(conds []plan.Expr, row []any) bool {
	for _, c := range conds {
		if Value(c, row) != true {
			return false
		}
	}
	return true
}

func call(e *plan.Call, row []any) any {
	switch e.Op {
	case "and", "or":
		return junction(e, row)
	case "in":
		return in(e, row)
	case "is_null":
		return Value(e.Args[0], row) == nil
	case "coalesce":
		for _, a := range e.Args {
			if v := Value(a, row); v != nil {
				return v
			}
		}
		return nil
	case "least", "greatest":
		return extreme(e, row)
	case "clamp":
		return clamp(e, row)
	}
	args := make([]any, len(e.Args))
	for i, a := range e.Args {
		if _, step := a.(*plan.Step); step {
			continue
		}
		if args[i] = Value(a, row); args[i] == nil {
			return nil
		}
	}
	switch e.Op {
	case "not":
		b, ok := args[0].(bool)
		if !ok {
			return nil
		}
		return !b
	case "=", "<>", "<", "<=", ">", ">=":
		return Compare(e.Op, args[0], args[1])
	case "like", "left", "lower", "upper", "trim":
		return text(e.Op, args)
	case "date_trunc", "date_diff", "date_part":
		return temporal(e, args)
	}
	if step, ok := lastStep(e); ok {
		return addStep(args[0], step)
	}
	return arithmetic(e, args)
}

func lastStep(e *plan.Call) (*plan.Step, bool) {
	if len(e.Args) != 2 {
		return nil, false
	}
	s, ok := e.Args[1].(*plan.Step)
	return s, ok
}

// junction is AND or OR in three values: NULL unless one side decides.
func junction(e *plan.Call, row []any) any {
	decides := e.Op == "or"
	unknown := false
	for _, a := range e.Args {
		switch v := Value(a, row).(type) {
		case bool:
			if v == decides {
				return decides
			}
		default:
			unknown = true
		}
	}
	if unknown {
		return nil
	}
	return !decides
}

func in(e *plan.Call, row []any) any {
	x := Value(e.Args[0], row)
	if x == nil {
		return nil
	}
	unknown := false
	for _, a := range e.Args[1:] {
		v := Value(a, row)
		if v == nil {
			unknown = true
		} else if Compare("=", x, v) == true {
			return true
		}
	}
	if unknown {
		return nil
	}
	return false
}

// extreme is least or greatest, which leave NULLs out.
func extreme(e *plan.Call, row []any) any {
	var best any
	for _, a := range e.Args {
		v := Value(a, row)
		if v == nil {
			continue
		}
		c := Order(v, best)
		if best == nil || e.Op == "least" && c < 0 || e.Op == "greatest" && c > 0 {
			best = v
		}
	}
	return cast(best, e.T)
}

// clamp narrows a number to two constants; NULL stays NULL.
func clamp(e *plan.Call, row []any) any {
	x := Value(e.Args[0], row)
	if x == nil {
		return nil
	}
	if low := Value(e.Args[1], row); Order(x, low) < 0 {
		x = low
	}
	if high := Value(e.Args[2], row); Order(x, high) > 0 {
		x = high
	}
	return cast(x, e.T)
}

// Compare applies a comparison to two values that are not NULL; NULL when they can not be compared.
func Compare(op string, a, b any) any {
	c := Order(a, b)
	switch op {
	case "=":
		return c == 0
	case "<>":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return nil
}

// Order is -1, 0 or 1; NULL comes last. Texts go by bytes, false before true.
func Order(a, b any) int {
	if a == nil || b == nil {
		switch {
		case a == nil && b == nil:
			return 0
		case a == nil:
			return 1
		}
		return -1
	}
	switch x := a.(type) {
	case int64:
		if y, ok := b.(int64); ok {
			return sign(x < y, x > y)
		}
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y)
		}
	case bool:
		if y, ok := b.(bool); ok {
			return sign(!x && y, x && !y)
		}
	case time.Time:
		if y, ok := b.(time.Time); ok {
			return sign(x.Before(y), x.After(y))
		}
	}
	x, xok := Float(a)
	y, yok := Float(b)
	if !xok || !yok {
		return 0
	}
	if nx, ny := math.IsNaN(x), math.IsNaN(y); nx || ny { // NaN equals itself and is the largest number
		return sign(!nx, !ny)
	}
	return sign(x < y, x > y)
}

func sign(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// Float reads a number.
func Float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

func text(op string, args []any) any {
	s, ok := args[0].(string)
	if !ok {
		return nil
	}
	switch op {
	case "like":
		prefix, _ := args[1].(string)
		return strings.HasPrefix(s, prefix)
	case "left":
		n, _ := args[1].(int64)
		r := []rune(s)
		if int64(len(r)) > n {
			r = r[:n]
		}
		return string(r)
	case "lower":
		return strings.ToLower(s)
	case "upper":
		return strings.ReplaceAll(strings.ToUpper(s), "ß", "ẞ") // as utf8proc has it
	case "trim":
		return strings.Trim(s, " ")
	}
	return nil
}

func arithmetic(e *plan.Call, args []any) any {
	if len(args) == 2 && e.Op == "round" {
		digits, _ := args[1].(int64)
		x, _ := Float(args[0])
		p := math.Pow(10, float64(digits))
		return math.Round(x*p) / p
	}
	if len(args) == 1 {
		return unary(e.Op, args[0])
	}
	a, aInt := args[0].(int64)
	b, bInt := args[1].(int64)
	if aInt && bInt && e.Op != "/" {
		return whole(e.Op, a, b)
	}
	x, xok := Float(args[0])
	y, yok := Float(args[1])
	if !xok || !yok {
		return nil
	}
	switch e.Op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/":
		if y == 0 {
			return nil
		}
		return x / y
	}
	return nil
}

func unary(op string, v any) any {
	if n, ok := v.(int64); ok {
		switch {
		case n == math.MinInt64:
			return nil
		case op == "neg" || op == "abs" && n < 0:
			return -n
		}
		return n
	}
	x, ok := v.(float64)
	if !ok {
		return nil
	}
	switch op {
	case "neg":
		return -x
	case "abs":
		return math.Abs(x)
	case "floor":
		return math.Floor(x)
	case "ceil":
		return math.Ceil(x)
	case "round":
		return math.Round(x)
	}
	return nil
}

// whole is integer arithmetic; NULL on overflow, as TRY gives.
func whole(op string, a, b int64) any {
	switch op {
	case "+":
		if c := a + b; (c > a) == (b > 0) {
			return c
		}
	case "-":
		if c := a - b; (c < a) == (b > 0) {
			return c
		}
	case "*":
		if a == 0 || b == 0 {
			return int64(0)
		}
		c := a * b
		if c/b == a && (a != -1 || b != math.MinInt64) && (b != -1 || a != math.MinInt64) {
			return c
		}
	}
	return nil
}
