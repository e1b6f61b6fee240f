package event

import (
	"concordat.dev/protocol/canon"
)

// AppendCanonical implements canon.Appender: reservations are by far the most frequent leaves.
func (r Reservation) AppendCanonical(to []byte) ([]byte, bool) {
	out := append(to, `{"datasets":[`...)
	ok := r.Datasets != nil && r.Price != nil // nil would be null
	number := func(n int64) {
		var fits bool
		out, fits = canon.AppendInt(out, n)
		ok = ok && fits
	}
	text := func(key, s string) { out = canon.AppendString(append(out, key...), s) }
	for i, d := range r.Datasets {
		text(list(i, `{"id":`), d.ID)
		text(`,"sealed":`, string(d.Sealed))
		out = append(out, `,"version":`...)
		number(int64(d.Version))
		out = append(out, '}')
	}
	text(`],"manifest":`, string(r.Manifest))
	text(`,"plan":`, string(r.Plan))
	out = append(out, `,"price":[`...)
	for i, p := range r.Price {
		text(list(i, `{"namespace":`), p.Namespace)
		text(`,"owner":`, p.Owner)
		if p.Queries != 0 {
			out = append(out, `,"queries":`...)
			number(p.Queries)
		}
		out = append(out, `,"rho":`...)
		number(p.Rho)
		out = append(out, `,"spent_before":`...)
		number(p.SpentBefore)
		out = append(out, '}')
	}
	text(`],"query":`, r.Query)
	text(`,"question":`, string(r.Question))
	out = append(out, `,"version":`...)
	number(int64(r.Version))
	if !ok {
		return to, false
	}
	return append(out, '}'), true
}

// list opens the next object of a list.
func list(i int, object string) string {
	if i > 0 {
		return "," + object
	}
	return object
}
