package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Words is an expression as an analyst would write it, with the names that the text used. It is for people: never run it.
func Words(e Expr) string {
	switch e := e.(type) {
	case *Col:
		return e.Name
	case *Const:
		return constWords(e)
	case *Step:
		return fmt.Sprintf("INTERVAL %d %s", e.Count, strings.ToUpper(e.Unit))
	case *Cast:
		return "CAST(" + Words(e.Arg) + " AS " + string(e.T) + ")"
	case *Case:
		var b strings.Builder
		b.WriteString("CASE")
		for _, w := range e.Whens {
			b.WriteString(" WHEN " + Words(w.Cond) + " THEN " + Words(w.Then))
		}
		return b.String() + " ELSE " + Words(e.Else) + " END"
	case *Call:
		return callWords(e)
	}
	return "…"
}

func constWords(c *Const) string {
	switch v := c.Value.(type) {
	case nil:
		return "NULL"
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case time.Time:
		if v.Equal(v.Truncate(24 * time.Hour)) {
			return "'" + v.Format("2006-01-02") + "'"
		}
		return "'" + v.Format("2006-01-02 15:04:05") + "'"
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprint(c.Value)
}

func callWords(e *Call) string {
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = Words(a)
	}
	switch e.Op {
	case "=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/":
		return args[0] + " " + e.Op + " " + args[1]
	case "and", "or":
		return "(" + strings.Join(args, " "+strings.ToUpper(e.Op)+" ") + ")"
	case "not":
		if inner, ok := e.Args[0].(*Call); ok && inner.Op == "is_null" {
			return Words(inner.Args[0]) + " IS NOT NULL"
		}
		return "NOT " + args[0]
	case "neg":
		return "-" + args[0]
	case "is_null":
		return args[0] + " IS NULL"
	case "in":
		return args[0] + " IN (" + strings.Join(args[1:], ", ") + ")"
	case "like":
		prefix, _ := e.Args[1].(*Const).Value.(string)
		return args[0] + " LIKE '" + strings.ReplaceAll(prefix, "'", "''") + "%'"
	case "clamp":
		return args[0]
	}
	return e.Op + "(" + strings.Join(args, ", ") + ")"
}
