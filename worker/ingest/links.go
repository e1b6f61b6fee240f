package ingest

import (
	"bytes"
	"slices"

	"concordat.dev/worker/token"
)

// identifier says under which of two a row counts.
type identifier uint8

const (
	byFirst identifier = iota
	bySecond
)

// person is whose row it is: the unit, and the second identifier where the row has both.
type person struct {
	unit   token.Token
	second token.Token
	both   bool
	by     identifier
}

// link is a row's word that two identifiers are one person's.
type link struct{ second, first token.Token }

// maxLinks is how many second identifiers a first one may stand beside and still be believed. It bounds how many units the rows of one person can change.
const maxLinks = 4

// links gathers what the rows of a dataset say about whose the second identifiers are. Nothing is merged but rows that have a second identifier only, and
// those into one unit at most: no first identifier ever becomes another, so links never make chains (docs/adr/0023-two-identifiers.md).
type links struct {
	pairs  map[link]struct{}
	beside map[token.Token]struct{} // second identifiers that stand beside a first one
	alone  map[token.Token]struct{} // second identifiers that stand alone
	met    bool                     // some do both, in different rows; then the last two are not kept any more
}

func newLinks() *links {
	return &links{pairs: map[link]struct{}{}, beside: map[token.Token]struct{}{}, alone: map[token.Token]struct{}{}}
}

func (l *links) pair(p link) {
	if _, known := l.pairs[p]; known {
		return
	}
	l.pairs[p] = struct{}{}
	if l.met {
		return
	}
	l.beside[p.second] = struct{}{}
	_, met := l.alone[p.second]
	l.meet(met)
}

func (l *links) single(second token.Token) {
	if l.met {
		return
	}
	l.alone[second] = struct{}{}
	_, met := l.beside[second]
	l.meet(met)
}

// meet lets go of what is only kept to find out whether any identifiers meet.
func (l *links) meet(met bool) {
	if l.met = met; met {
		l.beside, l.alone = nil, nil
	}
}

// resolve gives for each second identifier in a link the first one that it stands beside, or the zero token where there are several. Links of first identifiers
// with more than maxLinks don't count; crowded is how many those are.
func (l *links) resolve() (one map[token.Token]token.Token, crowded int64) {
	all := make([]link, 0, len(l.pairs))
	for p := range l.pairs {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b link) int { return bytes.Compare(a.first[:], b.first[:]) })
	one = map[token.Token]token.Token{}
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && all[to].first == all[from].first {
			to++
		}
		if to-from > maxLinks {
			crowded++
		} else {
			for _, p := range all[from:to] {
				if _, taken := one[p.second]; taken {
					one[p.second] = token.Token{}
				} else {
					one[p.second] = p.first
				}
			}
		}
		from = to
	}
	return one, crowded
}

// identified gathers the links of a block in the first pass, and in later ones puts rows under the unit that its second identifier stands for.
func (p *pass) identified(b *block) {
	if p.report.Identifiers == nil {
		p.report.Identifiers = &Identifiers{}
	}
	r := p.report.Identifiers
	if p.one == nil {
		for _, l := range b.links {
			p.links.pair(l)
		}
	}
	var keep []bool
	for i, by := range b.by {
		if by == byFirst {
			r.First++
			continue
		}
		if p.one == nil {
			p.links.single(b.tokens[i])
			r.Second++
			continue
		}
		first, linked := p.one[b.tokens[i]]
		switch {
		case !linked:
			r.Second++
		case first == token.Token{}:
			if keep == nil {
				keep = slices.Repeat([]bool{true}, len(b.tokens))
			}
			keep[i] = false
			p.report.Dropped.SharedUnit++
		default:
			b.tokens[i] = first
			r.Linked++
		}
	}
	if keep != nil {
		b.keep(keep)
	}
}
