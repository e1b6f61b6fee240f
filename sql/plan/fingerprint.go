package plan

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Fingerprint is an expression as one line of text in which names and places do not occur: equal texts, equal expressions.
func Fingerprint(e Expr) string {
	var b strings.Builder
	writeExpr(&b, e)
	return b.String()
}

func writeExpr(b *strings.Builder, e Expr) {
	switch e := e.(type) {
	case nil:
		b.WriteString("_")
	case *Col:
		fmt.Fprintf(b, "#%d", e.Index)
	case *Const:
		b.WriteString(constant(e))
	case *Step:
		fmt.Fprintf(b, "interval(%d,%s)", e.Count, e.Unit)
	case *Call:
		writeList(b, e.Op, e.Args)
	case *Cast:
		writeList(b, "cast:"+string(e.T), []Expr{e.Arg})
	case *Case:
		b.WriteString("case(")
		for _, w := range e.Whens {
			writeExpr(b, w.Cond)
			b.WriteByte(':')
			writeExpr(b, w.Then)
			b.WriteByte(',')
		}
		writeExpr(b, e.Else)
		b.WriteByte(')')
	default:
		b.WriteString("bad")
	}
}

func constant(c *Const) string {
	switch v := c.Value.(type) {
	case nil:
		return "null:" + string(c.T)
	case string:
		return strconv.Quote(v)
	case time.Time:
		return string(c.T) + ":" + v.Format("2006-01-02T15:04:05.999999")
	case float64:
		return "d:" + strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return fmt.Sprintf("%v", v)
	}
}

func writeList(b *strings.Builder, name string, list []Expr) {
	b.WriteString(name)
	b.WriteByte('(')
	for i, e := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		writeExpr(b, e)
	}
	b.WriteByte(')')
}

// Text is a relation as indented lines without names and places: what the digest of a plan is taken of, and what tests read.
func Text(r Relation) string {
	var b strings.Builder
	writeRelation(&b, r, 0)
	return b.String()
}

func writeRelation(b *strings.Builder, r Relation, depth int) {
	if p, ok := r.(*Project); ok && identity(p.Exprs, len(p.Input.Schema())) {
		writeRelation(b, p.Input, depth) // it only gives other names
		return
	}
	indent := strings.Repeat("  ", depth)
	b.WriteString(indent)
	switch r := r.(type) {
	case *Scan:
		b.WriteString("scan " + r.Dataset + columnList(r.Columns))
	case *Filter:
		writeList(b, "filter", r.Conds)
	case *Project:
		writeList(b, "project", r.Exprs)
	case *Join:
		writeList(b, string(r.Kind)+" join", r.On)
	case *Union:
		b.WriteString("union")
	case *Aggregate:
		writeList(b, "aggregate", r.Keys)
		for _, a := range r.Aggs {
			b.WriteByte(' ')
			b.WriteString(aggText(a))
		}
	case *Window:
		b.WriteString("window")
		for _, f := range r.Funcs {
			b.WriteByte(' ')
			b.WriteString(windowText(f))
		}
	case *Sort:
		b.WriteString("sort " + orderText(r.Keys))
	case *Limit:
		fmt.Fprintf(b, "limit %d offset %d", r.Count, r.Offset)
	case *Released:
		b.WriteString("released")
	default:
		b.WriteString("opaque")
	}
	b.WriteByte('\n')
	for _, in := range r.Inputs() {
		writeRelation(b, in, depth+1)
	}
}

// columnList names the columns of a scan, since positions alone would not survive another schema.
func columnList(columns []Column) string {
	var names []string
	for _, c := range columns {
		names = append(names, strconv.Quote(c.Name)+" "+string(c.Type))
	}
	return "[" + strings.Join(names, ",") + "]"
}

func aggText(a Agg) string {
	var b strings.Builder
	writeList(&b, a.Func, []Expr{a.Arg})
	if a.Func == "quantile" {
		b.WriteString("@" + strconv.FormatFloat(a.Quantile, 'g', -1, 64))
	}
	if a.Filter != nil {
		b.WriteString("?")
		writeExpr(&b, a.Filter)
	}
	return b.String()
}

// AggFingerprint is an aggregate as one line; equal aggregates are one.
func AggFingerprint(a Agg) string { return aggText(a) }

func windowText(f WindowFunc) string {
	var b strings.Builder
	writeList(&b, f.Func, f.Args)
	writeList(&b, " over", f.Partition)
	b.WriteString(" " + orderText(f.Order) + " " + f.Frame)
	if f.Filter != nil {
		b.WriteString("?")
		writeExpr(&b, f.Filter)
	}
	return b.String()
}

func orderText(keys []OrderKey) string {
	var parts []string
	for _, k := range keys {
		s := Fingerprint(k.Expr)
		if k.Descending {
			s += " desc"
		}
		if k.NullsFirst {
			s += " nulls first"
		}
		parts = append(parts, s)
	}
	return "[" + strings.Join(parts, ",") + "]"
}
