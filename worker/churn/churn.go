// Package churn counts the units of a dataset that differ between two versions: those that came or went, and those any of whose rows is
// another one. Under the threshold mechanism a new version changes none of them or at least min_units (PRIVACY.md R10), since two
// versions tell what lies between them.
//
// Invariant: the order of rows does not matter, nor how they lie in batches. Sums of rows are keyed anew for each comparison, so that nobody
// can write rows whose sums agree.
//
// Sees: plaintext rows
package churn

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// ErrFew says that a version changes some units, but fewer than min_units.
var ErrFew = errors.New("the new version changes too few units")

// ErrColumns says that rows have no column of units.
var ErrColumns = errors.New("no column of units")

// token is a unit, as it is sealed.
type token [16]byte

// sum adds up the rows of a unit, by two keys.
type sum [2]uint64

// Comparison takes the rows of the version before and of the new one. It is an ingest.Sink for the latter.
type Comparison struct {
	unit          string
	least         int
	seeds         [2]maphash.Seed
	before, after map[token]sum
}

// New compares two versions whose column of units has this name; a change of 1 to least-1 units is too few.
func New(unit string, least int) *Comparison {
	return &Comparison{
		unit: unit, least: least, seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, before: map[token]sum{}, after: map[token]sum{},
	}
}

// Before takes rows of the version before.
func (c *Comparison) Before(batch arrow.RecordBatch) error { return c.add(c.before, batch) }

// Write takes rows of the new version.
func (c *Comparison) Write(batch arrow.RecordBatch) error { return c.add(c.after, batch) }

// Reset forgets the rows of the new version: they come again.
func (c *Comparison) Reset() error {
	clear(c.after)
	return nil
}

// Judge says whether the new version may follow.
func (c *Comparison) Judge() error {
	if n := c.Changed(); n > 0 && n < c.least {
		return fmt.Errorf("%w: %d, and the threshold mechanism takes a version that changes none or at least %d of them; wait until more have changed", ErrFew, n, c.least)
	}
	return nil
}

// Changed is how many units differ.
func (c *Comparison) Changed() int {
	n := 0
	for unit, rows := range c.before {
		if now, there := c.after[unit]; !there || now != rows {
			n++
		}
	}
	for unit := range c.after {
		if _, there := c.before[unit]; !there {
			n++
		}
	}
	return n
}

func (c *Comparison) add(to map[token]sum, batch arrow.RecordBatch) error {
	at := batch.Schema().FieldIndices(c.unit)
	if len(at) != 1 {
		return fmt.Errorf("churn: %w: %q", ErrColumns, c.unit)
	}
	units, ok := batch.Column(at[0]).(*array.FixedSizeBinary)
	if !ok || units.DataType().(*arrow.FixedSizeBinaryType).ByteWidth != len(token{}) { //nolint:forcetypeassert // the type of such an array
		return fmt.Errorf("churn: %w: %q is %s", ErrColumns, c.unit, batch.Column(at[0]).DataType())
	}
	columns := make([]int, 0, batch.NumCols())
	for i := range int(batch.NumCols()) {
		if i != at[0] {
			columns = append(columns, i)
		}
	}
	slices.SortFunc(columns, func(a, b int) int {
		if batch.ColumnName(a) < batch.ColumnName(b) {
			return -1
		}
		return 1
	})
	var row []byte
	for i := range int(batch.NumRows()) {
		row = appendRow(row[:0], batch, columns, i)
		var unit token
		copy(unit[:], units.Value(i))
		s := to[unit]
		for k, seed := range c.seeds {
			s[k] += maphash.Bytes(seed, row)
		}
		to[unit] = s
	}
	return nil
}

// appendRow writes a row's cells by name. A cell without a value is left out, so that a new column which holds nothing changes nothing.
func appendRow(row []byte, batch arrow.RecordBatch, columns []int, i int) []byte {
	row = append(row, '.') // a row without other cells counts, too
	for _, k := range columns {
		if column := batch.Column(k); column.IsValid(i) {
			name, value := batch.ColumnName(k), column.ValueStr(i)
			row = fmt.Appendf(row, "%d:%s%d:", len(name), name, len(value))
			row = append(row, value...)
		}
	}
	return row
}
