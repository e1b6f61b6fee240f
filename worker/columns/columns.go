// Package columns reads the rows of a Parquet row group as Arrow batches: texts and values of fixed width by readers of its own, all other columns by
// arrow-go's, which appends the values of these to builders one by one, and so takes twice as long as decoding them does.
//
// Invariant: a batch holds as many values of each column as the row group says that it has rows, or there is an error.
//
// Sees: plaintext rows
package columns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// ErrLength says that the columns of a row group are not of its length.
var ErrLength = errors.New("a column does not hold as many values as its row group has rows")

// Rows are the rows of one row group, or of some columns of it.
type Rows struct {
	schema *arrow.Schema
	left   int64
	batch  int64
	own    map[int]own          // by place in the schema
	others pqarrow.RecordReader // of all other columns, in their order; nil without any
}

// own is a column that is read here.
type own interface {
	read(rows int) (arrow.Array, error)
	more() bool
	close()
}

// Open begins to read a row group, which is given by its number. Leaves are the flat columns that are read, in the order of the file; nil for all. A batch has at
// most so many rows; its memory comes from the allocator. Bent files may make it panic, as arrow-go does. Release the rows, if there is no error.
func Open(ctx context.Context, f *file.Reader, group int, leaves []int, batch int64, from memory.Allocator) (*Rows, error) {
	a, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: batch}, from)
	if err != nil {
		return nil, err
	}
	all, err := a.Schema()
	if err != nil {
		return nil, err
	}
	r := &Rows{left: f.MetaData().RowGroup(group).NumRows(), batch: batch, own: map[int]own{}}
	var fields []arrow.Field
	var others []int
	for i, field := range a.Manifest.Fields {
		if leaves != nil && !slices.Contains(leaves, field.ColIndex) {
			continue
		}
		if len(field.Children) > 0 {
			r.Release()
			return nil, fmt.Errorf("column %q is nested", field.Field.Name)
		}
		column, err := open(f.RowGroup(group), field, from)
		switch {
		case err != nil:
			r.Release()
			return nil, err
		case column != nil:
			r.own[len(fields)] = column
		default:
			others = append(others, field.ColIndex)
		}
		fields = append(fields, all.Field(i))
	}
	r.schema = arrow.NewSchema(fields, nil)
	if len(others) > 0 {
		r.others, err = a.GetRecordReader(ctx, others, []int{group})
	}
	if err != nil {
		r.Release()
		return nil, err
	}
	return r, nil
}

// Schema has the columns that are read.
func (r *Rows) Schema() *arrow.Schema { return r.schema }

// Release lets go of the row group.
func (r *Rows) Release() {
	for _, c := range r.own {
		c.close()
	}
	if r.others != nil {
		r.others.Release()
	}
}

// Next gives the next rows, and nil behind the last ones. The caller releases them.
func (r *Rows) Next() (arrow.RecordBatch, error) {
	if r.left == 0 {
		return nil, r.ended()
	}
	rows := min(r.left, r.batch)
	var others []arrow.Array
	if r.others != nil {
		if !r.others.Next() {
			if err := r.failed(); err != nil {
				return nil, err
			}
			return nil, ErrLength
		}
		batch := r.others.RecordBatch()
		rows, others = batch.NumRows(), batch.Columns()
	}
	if r.left -= rows; r.left < 0 {
		return nil, ErrLength
	}
	columns := make([]arrow.Array, r.schema.NumFields())
	for i := range columns {
		c, ours := r.own[i]
		if !ours {
			if columns[i], others = others[0], others[1:]; int64(columns[i].Len()) != rows { // a record may have longer ones
				return nil, ErrLength
			}
			continue
		}
		var err error
		if columns[i], err = c.read(int(rows)); err != nil {
			return nil, err
		}
		defer columns[i].Release()
	}
	return array.NewRecordBatch(r.schema, columns, rows), nil
}

// failed is what went wrong with the columns that arrow-go reads.
func (r *Rows) failed() error {
	if err := r.others.Err(); !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// ended says what is wrong with the columns' ends, behind as many rows as the row group has.
func (r *Rows) ended() error {
	more := false
	for _, c := range r.own {
		more = c.more() || more
	}
	if r.others != nil {
		more = r.others.Next() || more
		if err := r.failed(); err != nil {
			return err
		}
	}
	if more {
		return ErrLength
	}
	return nil
}
