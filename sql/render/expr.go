package render

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"concordat.dev/sql/plan"
)

// sqlTypes are the engine's names of the types.
var sqlTypes = map[plan.Type]string{
	plan.Boolean: "BOOLEAN", plan.Integer: "INTEGER", plan.Bigint: "BIGINT", plan.Double: "DOUBLE", plan.Varchar: "VARCHAR",
	plan.Date: "DATE", plan.Timestamp: "TIMESTAMP", plan.Null: "INTEGER",
}

// column prints the column of an input.
type column func(index int) string

// expr prints a scalar expression. What could fail in the engine is NULL as in sql/eval, and is so by TRY_CAST wherever data or constants can
// make it fail: a failure under TRY takes some ten thousand times as long as a value, and time would tell how many rows failed.
func expr(e plan.Expr, col column) string {
	switch e := e.(type) {
	case *plan.Col:
		return col(e.Index)
	case *plan.Const:
		return literal(e.Value, e.T)
	case *plan.Step:
		return fmt.Sprintf("INTERVAL (%d) %s", e.Count, strings.ToUpper(e.Unit))
	case *plan.Cast:
		return castSQL(e, col)
	case *plan.Case:
		var b strings.Builder
		b.WriteString("CASE")
		for _, w := range e.Whens {
			fmt.Fprintf(&b, " WHEN %s THEN %s", expr(w.Cond, col), typed(w.Then, e.T, col))
		}
		fmt.Fprintf(&b, " ELSE %s END", typed(e.Else, e.T, col))
		return b.String()
	case *plan.Call:
		return call(e, col)
	}
	return "NULL"
}

func typed(e plan.Expr, t plan.Type, col column) string {
	if e.Type() == t || t == plan.Null {
		return expr(e, col)
	}
	return "TRY_CAST(" + expr(e, col) + " AS " + sqlTypes[t] + ")"
}

func castSQL(e *plan.Cast, col column) string {
	arg := expr(e.Arg, col)
	if e.T.Whole() && e.Arg.Type() == plan.Double {
		arg = "round_even(" + arg + ", 0)"
	}
	return "TRY_CAST(" + arg + " AS " + sqlTypes[e.T] + ")"
}

// Quote prints a text literal. A NUL would end the query where the engine reads it, so it is printed by its number.
func Quote(s string) string {
	parts := strings.Split(s, "\x00")
	for i, p := range parts {
		parts[i] = "'" + strings.ReplaceAll(p, "'", "''") + "'"
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return "(" + strings.Join(parts, " || chr(0) || ") + ")"
}

// Identifier prints a quoted name.
func Identifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

func literal(v any, t plan.Type) string {
	switch v := v.(type) {
	case nil:
		return "CAST(NULL AS " + sqlTypes[t] + ")"
	case bool:
		return strings.ToUpper(strconv.FormatBool(v))
	case int64:
		if v < 0 {
			return "(" + strconv.FormatInt(v, 10) + ")"
		}
		return strconv.FormatInt(v, 10)
	case float64:
		return number(v)
	case string:
		return Quote(v)
	case time.Time:
		if t == plan.Date {
			return "DATE '" + v.Format("2006-01-02") + "'"
		}
		return "TIMESTAMP '" + v.Format("2006-01-02 15:04:05.999999") + "'"
	}
	return "NULL"
}

func number(v float64) string {
	return "CAST('" + strconv.FormatFloat(v, 'g', -1, 64) + "' AS DOUBLE)"
}

func list(args []plan.Expr, col column) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = expr(a, col)
	}
	return out
}

func call(e *plan.Call, col column) string {
	args := list(e.Args, col)
	switch e.Op {
	case "and", "or":
		return "(" + strings.Join(args, " "+strings.ToUpper(e.Op)+" ") + ")"
	case "not":
		return "(NOT " + args[0] + ")"
	case "=", "<>", "<", "<=", ">", ">=":
		return "(" + args[0] + " " + e.Op + " " + args[1] + ")"
	case "is_null":
		return "(" + args[0] + " IS NULL)"
	case "in":
		return "(" + args[0] + " IN (" + strings.Join(args[1:], ", ") + "))"
	case "like":
		return "starts_with(" + args[0] + ", " + args[1] + ")"
	case "+", "-", "*", "/":
		return arithmetic(e, args)
	case "neg":
		return whole(e, "(-"+wide(e.Args[0], args[0])+")")
	case "abs":
		return whole(e, "abs("+wide(e.Args[0], args[0])+")")
	case "floor", "ceil", "round", "lower", "upper", "trim", "left":
		return e.Op + "(" + strings.Join(args, ", ") + ")"
	case "coalesce", "least", "greatest":
		for i, a := range e.Args {
			args[i] = typed(a, e.T, col)
		}
		return e.Op + "(" + strings.Join(args, ", ") + ")"
	case "clamp":
		return fmt.Sprintf("CASE WHEN %[1]s IS NOT NULL THEN least(greatest(%[1]s, %[2]s), %[3]s) END", args[0], args[1], args[2])
	case "date_trunc":
		return "TRY(CAST(date_trunc(" + args[0] + ", " + args[1] + ") AS " + sqlTypes[e.T] + "))"
	case "date_diff", "date_part": // they fail at the ends of the calendar, where intervals and casts can lead
		return "TRY(" + e.Op + "(" + strings.Join(args, ", ") + "))"
	}
	return "NULL"
}

// wide makes integers of 128 bits before they are computed with: no sum, difference or product of two integers of 64 bits fails then.
func wide(e plan.Expr, printed string) string {
	if e.Type().Whole() {
		return "CAST(" + printed + " AS HUGEINT)"
	}
	return printed
}

// whole takes what was computed of wide integers back to 64 bits.
func whole(e plan.Expr, printed string) string {
	if e.Type().Whole() {
		return "TRY_CAST(" + printed + " AS BIGINT)"
	}
	return printed
}

func arithmetic(e *plan.Call, args []string) string {
	if _, step := e.Args[1].(*plan.Step); step {
		return "TRY((" + args[0] + " + " + args[1] + "))"
	}
	if e.Op == "/" {
		return "(CAST(" + args[0] + " AS DOUBLE) / CAST(" + args[1] + " AS DOUBLE))"
	}
	if !e.Type().Whole() {
		return "(" + args[0] + " " + e.Op + " " + args[1] + ")"
	}
	return whole(e, "("+wide(e.Args[0], args[0])+" "+e.Op+" "+wide(e.Args[1], args[1])+")")
}
