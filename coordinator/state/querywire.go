package state

import (
	"slices"

	"concordat.dev/policies/budget"
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
)

// record writes a query. A field of Query that is not here is lost: a test fills all of them.
func (q *Query) record() []byte {
	r := make(record, 0, 1024)
	r.text(1, q.ID)
	r.text(2, q.Collaboration)
	r.text(3, q.Person)
	r.text(4, q.Participant)
	r.time(5, q.At)
	r.text(6, q.Key)
	r.text(7, string(q.Request))
	r.raw(8, q.SQL)
	r.float(9, q.Rho)
	r.text(10, q.Question)
	r.text(11, q.Plan)
	r.number(12, int64(q.Version))
	r.text(13, string(q.Manifest))
	for _, d := range q.Datasets {
		var part record
		part.text(1, d.Dataset)
		part.number(2, int64(d.Version))
		part.text(3, d.Digest)
		r.item(14, part)
	}
	for _, o := range q.Owners {
		r.item(15, []byte(o))
	}
	for _, p := range q.Price {
		var part record
		part.text(1, p.Owner)
		part.text(2, p.Namespace)
		part.number(3, int64(p.Amount.Rho))
		part.number(4, p.Amount.Queries)
		part.number(5, int64(p.Before))
		r.item(16, part)
	}
	r.text(17, q.PaidBy)
	r.number(18, int64(q.Index)) //nolint:gosec // index counts from one
	r.number(19, q.Leaf)
	r.text(20, string(q.Status))
	r.text(21, q.Object)
	r.text(22, string(q.Digest))
	r.number(23, q.Receipt)
	r.text(24, q.Incident)
	r.text(25, q.pays)
	return r
}

func (q *Query) read(b []byte, known names) error {
	var inner error
	err := fields(b, func(f field) bool {
		switch f.num {
		case 1:
			q.ID = f.text()
		case 2:
			q.Collaboration = known.of(f.bytes)
		case 3:
			q.Person = known.of(f.bytes)
		case 4:
			q.Participant = known.of(f.bytes)
		case 5:
			q.At = f.time()
		case 6:
			q.Key = f.text()
		case 7:
			q.Request = canon.Digest(f.bytes)
		case 8:
			q.SQL = f.raw()
		case 9:
			q.Rho = f.float()
		case 10:
			q.Question = f.text()
		case 11:
			q.Plan = f.text()
		case 12:
			q.Version = int(f.number())
		case 13:
			q.Manifest = canon.Digest(known.of(f.bytes))
		case 14:
			q.Datasets = append(q.Datasets, DatasetRef{})
			inner = q.Datasets[len(q.Datasets)-1].read(f.bytes, known)
		case 15:
			q.Owners = append(q.Owners, known.of(f.bytes))
		case 16:
			q.Price = append(q.Price, Price{})
			inner = q.Price[len(q.Price)-1].read(f.bytes, known)
		default:
			return q.readOutcome(f)
		}
		return inner == nil
	})
	return err
}

// readOutcome reads the fields that an accepted query has.
func (q *Query) readOutcome(f field) bool {
	switch f.num {
	case 17:
		if q.PaidBy = q.ID; q.ID != string(f.bytes) {
			q.PaidBy = f.text()
		}
	case 18:
		q.Index = f.index()
	case 19:
		q.Leaf = f.number()
	case 20:
		q.Status = statusOf(f.bytes)
	case 21:
		q.Object = f.text()
	case 22:
		q.Digest = canon.Digest(f.bytes)
	case 23:
		q.Receipt = f.number()
	case 24:
		q.Incident = f.text()
	case 25:
		q.pays = f.text()
	default:
		return false
	}
	return true
}

func statusOf(b []byte) QueryStatus {
	for _, s := range []QueryStatus{QueryReserved, QueryReleased, QueryFailed} {
		if string(b) == string(s) {
			return s
		}
	}
	return QueryStatus(b)
}

func (d *DatasetRef) read(b []byte, known names) error {
	return fields(b, func(f field) bool {
		switch f.num {
		case 1:
			d.Dataset = known.of(f.bytes)
		case 2:
			d.Version = f.number32()
		case 3:
			d.Digest = known.of(f.bytes)
		default:
			return false
		}
		return true
	})
}

func (p *Price) read(b []byte, known names) error {
	return fields(b, func(f field) bool {
		switch f.num {
		case 1:
			p.Owner = known.of(f.bytes)
		case 2:
			p.Namespace = known.of(f.bytes)
		case 3:
			p.Amount.Rho = mechanism.Rho(f.number())
		case 4:
			p.Amount.Queries = f.number()
		case 5:
			p.Before = mechanism.Rho(f.number())
		default:
			return false
		}
		return true
	})
}

func (e *Entry) record() []byte {
	r := make(record, 0, 256+len(e.Body))
	r.number(1, e.Index)
	r.text(2, e.Kind)
	r.text(3, e.Collaboration)
	r.time(4, e.At)
	r.raw(5, e.Leaf)
	r.raw(6, e.Salt)
	r.raw(7, e.Body)
	r.text(8, e.Object)
	return r
}

// read keeps parts of b.
func (e *Entry) read(b []byte, known names) error {
	return fields(b, func(f field) bool {
		switch f.num {
		case 1:
			e.Index = f.number()
		case 2:
			e.Kind = known.of(f.bytes)
		case 3:
			e.Collaboration = known.of(f.bytes)
		case 4:
			e.At = f.time()
		case 5:
			e.Leaf = slices.Clip(f.bytes)
		case 6:
			e.Salt = slices.Clip(f.bytes)
		case 7:
			e.Body = slices.Clip(f.bytes)
		case 8:
			e.Object = f.text()
		default:
			return false
		}
		return true
	})
}

// recordOf writes the reservation of a query in the budgets.
func recordOf(v *budget.Reservation) []byte {
	r := make(record, 0, 256)
	for _, c := range v.Charges {
		var part record
		part.text(1, c.Owner)
		part.text(2, c.Person)
		part.text(3, c.Key)
		part.number(4, int64(c.Amount.Rho))
		part.number(5, c.Amount.Queries)
		r.item(1, part)
	}
	r.text(2, string(v.Status))
	r.time(3, v.At)
	return r
}

func readReservation(b []byte, known names) (*budget.Reservation, error) {
	v := &budget.Reservation{}
	var inner error
	err := fields(b, func(f field) bool {
		switch f.num {
		case 1:
			var c budget.Charge
			inner = readCharge(&c, f.bytes, known)
			v.Charges = append(v.Charges, c)
		case 2:
			v.Status = budget.Status(known.of(f.bytes))
		case 3:
			v.At = f.time()
		default:
			return false
		}
		return inner == nil
	})
	return v, err
}

func readCharge(c *budget.Charge, b []byte, known names) error {
	return fields(b, func(f field) bool {
		switch f.num {
		case 1:
			c.Owner = known.of(f.bytes)
		case 2:
			c.Person = known.of(f.bytes)
		case 3:
			c.Key = known.of(f.bytes)
		case 4:
			c.Amount.Rho = mechanism.Rho(f.number())
		case 5:
			c.Amount.Queries = f.number()
		default:
			return false
		}
		return true
	})
}
