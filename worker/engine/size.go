package engine

import (
	"github.com/apache/arrow-go/v18/arrow"

	"concordat.dev/protocol/document"
	"concordat.dev/sql/plan"
	"concordat.dev/sql/render"
)

// Size is what a dataset takes in memory. Before it is loaded that is an estimate.
type Size struct {
	Rows, Bytes int64
}

const (
	tableBytes = 1 << 20 // of any table, however small
	textBytes  = 16      // of a text's place, its bytes apart
	heavyBytes = 16      // of a unit with more than one row
)

// Size tells what a loaded dataset takes.
func (e *Engine) Size(name string) (Size, bool) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	t, ok := e.tables[name]
	return t.size, ok
}

// size is that of a table that was read: its columns lie side by side, uncompressed.
func (l loading) size(table render.Table, rows *watched) Size {
	_, loaded := widths(l.policy, rows.Schema(), table)
	return Size{Rows: rows.rows, Bytes: tableBytes + rows.rows*loaded + rows.texts + int64(len(rows.units))*heavyBytes}
}

// Expect estimates from the bytes of its sealed files what a dataset will take. It errs to the large side, unless most values are NULL:
// texts are taken to repeat, so that many rows fit into a file.
func Expect(policy *document.Policy, schema *arrow.Schema, bytes int64) Size {
	sealed, loaded := widths(policy, schema, loading{policy: policy}.table())
	rows := bytes / max(1, sealed)
	if !policy.Unit.None && !policy.Unit.Unique {
		loaded += heavyBytes / 2
	}
	return Size{Rows: rows, Bytes: tableBytes + rows*loaded}
}

// widths are the bytes of a row in a sealed file, at least, and in a table.
func widths(policy *document.Policy, schema *arrow.Schema, table render.Table) (sealed, loaded int64) {
	for _, f := range schema.Fields() {
		switch t := f.Type.(type) {
		case *arrow.StringType:
			sealed++
			loaded += text(policy, table, f.Name)
		case *arrow.FixedSizeBinaryType: // a token, which becomes a number
			sealed += int64(t.ByteWidth)
			loaded += int64(arrow.Int64SizeBytes)
		case arrow.FixedWidthDataType:
			sealed += int64(t.BitWidth() / 8)
			loaded += max(1, int64(t.BitWidth()/8))
		}
	}
	return sealed, loaded
}

func text(policy *document.Policy, table render.Table, column string) int64 {
	if _, coded := table.Codes[column]; !coded {
		return textBytes
	}
	if len(values(policy.Columns[column])) < 1<<8 {
		return 1
	}
	return 2
}

// What a query takes beyond the tables that it reads, measured by integration/bench/query: at most 60 bytes a row.
const (
	queryBytes     = 32 << 20 // of any query
	rowBytes       = 80       // of a row in hash tables
	windowBytes    = 32       // of a row that is sorted
	thresholdBytes = 32       // of a row, for the units of each group that are held beside
)

// Needs estimates what a plan takes while it runs. Rows tells how many a dataset has.
func Needs(b *plan.Bounded, rows func(dataset string) int64) int64 {
	each := int64(rowBytes)
	if b.Threshold {
		each += thresholdBytes
	}
	scanned := int64(0)
	var walk func(plan.Relation)
	walk = func(r plan.Relation) {
		switch r := r.(type) {
		case *plan.Scan:
			scanned += rows(r.Dataset)
		case *plan.Window:
			each += windowBytes
		}
		for _, in := range r.Inputs() {
			walk(in)
		}
	}
	walk(b.Input)
	return queryBytes + scanned*each
}
