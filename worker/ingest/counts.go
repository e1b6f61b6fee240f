package ingest

import (
	"cmp"
	"iter"
	"slices"

	"concordat.dev/worker/storage"
	"concordat.dev/worker/token"
)

// unitCounter is a sink that puts rows in the order of units, and so can tell at the end how many each has, for less than a table of units costs.
type unitCounter interface {
	CountUnits() bool
	Units() ([][]storage.Unit, error)
}

// counts are the units, each with its number of rows.
type counts iter.Seq2[token.Token, uint32]

// delegate has the sink count, where it can. Duplicates of a unique unit have to be known row by row, and units that two identifiers make are known
// only after the first pass.
func (p *pass) delegate() {
	c, can := p.sink.(unitCounter)
	if can && p.shape.unit >= 0 && p.links == nil && !p.options.Policy.Unit.Unique && c.CountUnits() {
		p.counter = c
	}
}

// counted is how many rows the units have that were read in this pass.
func (p *pass) counted() (counts, error) {
	if p.counter == nil {
		return p.units.all, nil
	}
	lists, err := p.counter.Units()
	if err != nil {
		return nil, err
	}
	all := counts(func(yield func(token.Token, uint32) bool) {
		for _, list := range lists {
			for i := range list {
				if !yield(list[i].Token, list[i].Rows) {
					return
				}
			}
		}
	})
	if p.units.n > 0 { // of the rows that came after the file was rejected
		for unit, rows := range all {
			*p.units.at(unit) += rows
		}
		all = p.units.all
	}
	for _, rows := range all {
		p.overflow = p.overflow || int64(rows) > p.limit
	}
	return all, nil
}

// refused counts the rows of a block that the sink doesn't get any more, since the file is rejected.
func (p *pass) refused(b *block) {
	if p.counter == nil {
		return
	}
	for i := range b.tokens {
		*p.units.at(b.tokens[i])++
	}
}

// histogram counts units by their rows, at most limit.
func (c counts) histogram(limit int64) map[int64]int64 {
	var few [64]int64 // most units have few rows
	h := map[int64]int64{}
	for _, rows := range c {
		if v := min(int64(rows), limit); v < int64(len(few)) {
			few[v]++
		} else {
			h[v]++
		}
	}
	for v, n := range few {
		if n > 0 {
			h[int64(v)] = n
		}
	}
	return h
}

// chosen holds which rows of a unit above the cap stay: their ordinals, ascending.
type chosen struct {
	keep []uint32
	seen uint32
}

// next says whether the unit's next row stays.
func (c *chosen) next() bool {
	ordinal := c.seen
	c.seen++
	if len(c.keep) == 0 || c.keep[0] != ordinal {
		return false
	}
	c.keep = c.keep[1:]
	return true
}

// excess chooses for each unit above the cap the rows of lowest rank.
func (c counts) excess(limit int64, tokenizer *token.Tokenizer) map[token.Token]*chosen {
	type ranked struct {
		rank    uint64
		ordinal uint32
	}
	order := func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.ordinal, b.ordinal))
	}
	out := map[token.Token]*chosen{}
	for unit, rows := range c {
		if int64(rows) <= limit {
			continue
		}
		best := make([]ranked, 0, min(2*limit, int64(rows))) // cut back to the cap whenever full, so that memory doesn't grow with the unit
		for ordinal := range rows {
			if int64(len(best)) == 2*limit {
				slices.SortFunc(best, order)
				best = best[:limit]
			}
			best = append(best, ranked{tokenizer.Rank(unit, ordinal), ordinal})
		}
		slices.SortFunc(best, order)
		chosen := &chosen{}
		for _, r := range best[:min(limit, int64(len(best)))] {
			chosen.keep = append(chosen.keep, r.ordinal)
		}
		slices.Sort(chosen.keep)
		out[unit] = chosen
	}
	return out
}
