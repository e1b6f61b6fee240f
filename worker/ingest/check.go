package ingest

import (
	"fmt"
	"math"

	"concordat.dev/protocol/document"
)

// check is what a policy declares of one column's values. A value outside the domain becomes NULL; a measure outside its
// bounds stays, since the scan of each query clamps it. Both are counted for the owner.
type check struct {
	domain   bool
	texts    map[string]struct{}
	wholes   map[int64]struct{} // integers, days, microseconds
	reals    map[float64]struct{}
	truths   [2]bool
	from, to int64
	low      float64
	high     float64
}

func newCheck(c document.Column) (*check, error) {
	k := &check{low: math.Inf(-1), high: math.Inf(1), from: 1, to: 0}
	if c.Bounds != nil {
		k.low, k.high = c.Bounds[0], c.Bounds[1]
	}
	if c.Domain == nil {
		return k, nil
	}
	k.domain = true
	k.texts, k.wholes, k.reals = map[string]struct{}{}, map[int64]struct{}{}, map[float64]struct{}{}
	if c.Domain.From != nil && c.Domain.To != nil {
		k.from, k.to = *c.Domain.From, *c.Domain.To
	}
	for _, v := range c.Domain.Values {
		if v == nil {
			continue // NULL is a key of its own; the file's missing values are it
		}
		if err := k.allow(c.Type, fmt.Sprint(v)); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// allow reads a value of the domain as the column's own values are read.
func (k *check) allow(typ, text string) error {
	b := []byte(text)
	ok := true
	switch typ {
	case "boolean":
		var v bool
		if v, ok = boolean(b); ok {
			k.truths[index(v)] = true
		}
	case "integer", "bigint":
		var v int64
		v, ok = integer(b)
		k.wholes[v] = struct{}{}
	case "double", "decimal":
		var v float64
		v, ok = double(b)
		k.reals[v] = struct{}{}
	case "date":
		var v int32
		v, ok = date(b)
		k.wholes[int64(v)] = struct{}{}
	case "timestamp":
		var v int64
		v, ok = timestamp(b)
		k.wholes[v] = struct{}{}
	case "uuid":
		b, ok = uuid(nil, b)
		k.texts[string(b)] = struct{}{}
	default:
		k.texts[text] = struct{}{}
	}
	if !ok {
		return fmt.Errorf("the domain's value %q isn't of type %s", text, typ)
	}
	return nil
}

func index(v bool) int {
	if v {
		return 1
	}
	return 0
}

func (k *check) whole(v int64) outcome {
	if !k.domain || k.from <= v && v <= k.to {
		return fine
	}
	return k.moment(v)
}

func (k *check) moment(v int64) outcome {
	if !k.domain {
		return fine
	}
	_, ok := k.wholes[v]
	return inside(ok)
}

func (k *check) real(v float64) outcome {
	if !k.domain || float64(k.from) <= v && v <= float64(k.to) {
		return fine
	}
	_, ok := k.reals[v]
	return inside(ok)
}

func (k *check) truth(v bool) outcome { return inside(!k.domain || k.truths[index(v)]) }

func (k *check) text(v []byte) outcome {
	if !k.domain {
		return fine
	}
	_, ok := k.texts[string(v)]
	return inside(ok)
}

func (k *check) outside(measure float64) bool { return measure < k.low || measure > k.high }

// bounded says whether any measure is outside.
func (k *check) bounded() bool { return !math.IsInf(k.low, -1) || !math.IsInf(k.high, 1) }

func inside(ok bool) outcome {
	if ok {
		return fine
	}
	return outOfDomain
}
