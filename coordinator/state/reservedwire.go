package state

import (
	"concordat.dev/policies/mechanism"
	"concordat.dev/protocol/canon"
)

func (r Reserved) record() []byte {
	out := make(record, 0, 1280)
	out.item(1, r.Query.record())
	if r.Answer != nil {
		out.item(2, r.Answer.record())
	}
	if s := r.Short; s != nil {
		var part record
		part.text(1, s.Owner)
		part.text(2, s.Person)
		part.number(3, int64(s.Price.Rho))
		part.number(4, s.Price.Queries)
		part.number(5, int64(s.Left.Rho))
		part.number(6, s.Left.Queries)
		part.text(7, s.Message)
		out.item(3, part)
	}
	for _, owner := range r.Review {
		out.item(4, []byte(owner))
	}
	return out
}

func (r *Reserved) read(b []byte, known names) (err error) {
	var inner error
	err = fields(b, func(f field) bool {
		switch f.num {
		case 1:
			inner = r.Query.read(f.bytes, known)
		case 2:
			r.Answer = &Query{}
			inner = r.Answer.read(f.bytes, known)
		case 3:
			r.Short = &Shortage{}
			inner = r.Short.read(f.bytes)
		case 4:
			r.Review = append(r.Review, f.text())
		default:
			return false
		}
		return inner == nil
	})
	return err
}

func (s *Shortage) read(b []byte) error {
	return fields(b, func(f field) bool {
		switch f.num {
		case 1:
			s.Owner = f.text()
		case 2:
			s.Person = f.text()
		case 3:
			s.Price.Rho = mechanism.Rho(f.number())
		case 4:
			s.Price.Queries = f.number()
		case 5:
			s.Left.Rho = mechanism.Rho(f.number())
		case 6:
			s.Left.Queries = f.number()
		case 7:
			s.Message = f.text()
		default:
			return false
		}
		return true
	})
}

func (r Record) record() []byte {
	out := make(record, 0, 512+len(r.Body))
	out.text(1, r.Query)
	out.raw(2, r.Body)
	out.text(3, r.Object)
	out.text(4, string(r.Digest))
	out.text(5, r.Lost)
	out.text(6, r.Held)
	return out
}

func (r *Record) read(b []byte, _ names) error {
	return fields(b, func(f field) bool {
		switch f.num {
		case 1:
			r.Query = f.text()
		case 2:
			r.Body = f.raw()
		case 3:
			r.Object = f.text()
		case 4:
			r.Digest = canon.Digest(f.bytes)
		case 5:
			r.Lost = f.text()
		case 6:
			r.Held = f.text()
		default:
			return false
		}
		return true
	})
}
