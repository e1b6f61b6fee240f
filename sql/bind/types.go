package bind

import (
	"time"

	"concordat.dev/sql/plan"
	"concordat.dev/sql/refusal"
)

// common is the type that values of two types take when they meet.
func common(a, b plan.Type) (plan.Type, bool) {
	switch {
	case a == b || b == plan.Null:
		return a, true
	case a == plan.Null:
		return b, true
	case a.Numeric() && b.Numeric():
		if a == plan.Double || b == plan.Double {
			return plan.Double, true
		}
		return plan.Bigint, true
	case a.Temporal() && b.Temporal():
		return plan.Timestamp, true
	}
	return plan.Null, false
}

// unify gives expressions one type: constants are read as what they meet, the rest is cast.
func (b *binder) unify(span refusal.Span, list ...plan.Expr) ([]plan.Expr, plan.Type, bool) {
	t := plan.Null
	for _, e := range list {
		if _, bad := e.(*plan.Bad); bad {
			return list, plan.Null, true
		}
		if literal(e) {
			continue
		}
		u, ok := common(t, e.Type())
		if !ok {
			b.refuse(refusal.UnsupportedSyntax, span, "CAST one of them.", "A %s meets a %s.", t, e.Type())
			return list, plan.Null, false
		}
		t = u
	}
	out := make([]plan.Expr, len(list))
	for i, e := range list {
		if !literal(e) {
			out[i] = convert(e, t)
			continue
		}
		c := e.(*plan.Const)
		if t == plan.Null {
			t = c.T
		}
		read, wider, ok := readAs(c, t)
		if !ok {
			b.refuse(refusal.UnsupportedSyntax, c.Span, "Write the constant as "+article(t)+".", "This constant is not %s.", article(t))
			return list, plan.Null, false
		}
		out[i], t = read, wider
	}
	for i, e := range out {
		out[i] = convert(e, t)
	}
	return out, t, true
}

// article is a type with its article.
func article(t plan.Type) string {
	if t == plan.Integer {
		return "an integer"
	}
	return "a " + string(t)
}

func literal(e plan.Expr) bool {
	_, is := e.(*plan.Const)
	return is
}

func convert(e plan.Expr, t plan.Type) plan.Expr {
	if e.Type() == t || e.Type() == plan.Null || t == plan.Null || e.Type().Whole() && t.Whole() {
		return e
	}
	if c, ok := e.(*plan.Const); ok {
		if r, _, ok := readAs(c, t); ok {
			return r
		}
	}
	return &plan.Cast{Span: e.Place(), Arg: e, T: t}
}

// readAs reads a constant as a type. A number with a fraction widens integers to doubles.
func readAs(c *plan.Const, t plan.Type) (*plan.Const, plan.Type, bool) {
	if c.Value == nil {
		return &plan.Const{Span: c.Span, T: t}, t, true
	}
	out := &plan.Const{Span: c.Span, Value: c.Value, T: t}
	switch v := c.Value.(type) {
	case bool:
		return out, t, t == plan.Boolean
	case int64:
		if t == plan.Double {
			out.Value = float64(v)
		}
		return out, t, t.Numeric()
	case float64:
		if t.Whole() && v == float64(int64(v)) {
			out.Value = int64(v)
			return out, t, true
		}
		out.T = plan.Double
		return out, plan.Double, t.Numeric()
	case string:
		switch t {
		case plan.Varchar:
			return out, t, true
		case plan.Date, plan.Timestamp:
			at, whole, ok := ParseTime(v)
			if !ok {
				return nil, t, false
			}
			if t == plan.Date && !whole {
				t = plan.Timestamp
			}
			out.Value, out.T = at, t
			return out, t, true
		}
		return nil, t, false
	case time.Time:
		if t == plan.Date && c.T == plan.Timestamp && !v.Equal(v.Truncate(24*time.Hour)) {
			out.T = plan.Timestamp
			return out, plan.Timestamp, true
		}
		return out, t, t.Temporal()
	}
	return nil, t, false
}

// ParseTime reads a date or a timestamp in ISO form, UTC unless it names a zone; whole says that it is a date without a time.
func ParseTime(s string) (at time.Time, whole, ok bool) {
	for _, layout := range []string{"2006-01-02", "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999", "2006-01-02 15:04",
		"2006-01-02T15:04", "2006-01-02 15:04:05.999999Z07:00", "2006-01-02T15:04:05.999999Z07:00", "2006-01-02 15:04:05.999999Z07"} {
		if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
			return t.UTC(), layout == "2006-01-02", true
		}
	}
	return time.Time{}, false, false
}
