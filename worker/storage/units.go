package storage

import (
	"bytes"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
)

// Unit is one unit of a dataset, and how many rows it has.
type Unit struct {
	Token [tokenBytes]byte
	Rows  uint32
}

// CountUnits has the rows of each unit counted from now on: rows are put in the order of units anyhow, and those of one unit then lie side by side. It says
// whether that will be done: only before the first row, and where there are units. Reset ends it.
func (w *Writer) CountUnits() bool {
	w.count = w.unit >= 0 && w.total == 0
	return w.count
}

// Units gives the units of all rows so far, each once, in the order of their tokens, as lists that follow one another. Rows that came are written first; none
// may come after.
func (w *Writer) Units() ([][]Unit, error) {
	if len(w.pending) > 0 {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	w.work.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	var chains [][][]Unit // of files that follow one another in the order of units: each run makes one
	var end [tokenBytes]byte
	for i := range w.files {
		units := w.files[i].units
		w.files[i].units = nil
		if len(units) == 0 {
			continue
		}
		if n := len(chains); n > 0 && bytes.Compare(end[:], units[0].Token[:]) <= 0 {
			chains[n-1] = append(chains[n-1], units)
		} else {
			chains = append(chains, [][]Unit{units})
		}
		end = units[len(units)-1].Token
	}
	return merged(chains), nil
}

// unitsOf counts the rows of units in a column of tokens, which is in the order of their first 64 bits.
func unitsOf(column arrow.Array) []Unit {
	tokens := values(column, tokenBytes)
	changes := 0
	for at := tokenBytes; at < len(tokens); at += tokenBytes {
		if [tokenBytes]byte(tokens[at:]) != [tokenBytes]byte(tokens[at-tokenBytes:]) {
			changes++
		}
	}
	out := make([]Unit, 0, changes+1)
	for ; len(tokens) > 0; tokens = tokens[tokenBytes:] {
		token := [tokenBytes]byte(tokens)
		at := len(out)
		for at > 0 && bytes.Compare(out[at-1].Token[:], token[:]) > 0 { // units with the same first bits: there are hardly ever two
			at--
		}
		switch {
		case at > 0 && out[at-1].Token == token:
			out[at-1].Rows++
		case at == len(out):
			out = append(out, Unit{token, 1})
		default:
			out = slices.Insert(out, at, Unit{token, 1})
		}
	}
	return out
}

// merged makes one chain of all.
func merged(chains [][][]Unit) [][]Unit {
	for _, chain := range chains {
		joined(chain)
	}
	if len(chains) <= 1 {
		return slices.Concat(chains...)
	}
	lists := make([][]Unit, len(chains))
	for i, chain := range chains {
		lists[i] = slices.Concat(chain...)
		clear(chain)
	}
	for len(lists) > 1 { // neighbours, so that no row is looked at more often than the logarithm of their number
		var next [][]Unit
		for i := 0; i < len(lists); i += 2 {
			if i+1 < len(lists) {
				lists[i] = merge(lists[i], lists[i+1])
			}
			next = append(next, lists[i])
		}
		lists = next
	}
	return lists
}

// joined puts a unit that ends a list and begins the next one into the later one.
func joined(chain [][]Unit) {
	for i, list := range chain[:max(len(chain)-1, 0)] {
		last, next := len(list)-1, chain[i+1]
		if list[last].Token == next[0].Token {
			next[0].Rows += list[last].Rows
			chain[i] = list[:last]
		}
	}
}

func merge(a, b []Unit) []Unit {
	out := make([]Unit, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch order := bytes.Compare(a[0].Token[:], b[0].Token[:]); {
		case order < 0:
			out, a = append(out, a[0]), a[1:]
		case order > 0:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, Unit{a[0].Token, a[0].Rows + b[0].Rows}), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}
