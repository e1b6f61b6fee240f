package present

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"

	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/table"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

func writeCSV(w io.Writer, a answer.Answer) error {
	header, low := table.Names(a.Columns, true)
	c := csv.NewWriter(w)
	if err := c.Write(header); err != nil {
		return err
	}
	for r, row := range a.Rows {
		record := make([]string, 0, len(header))
		for i, v := range row {
			field := ""
			if v != nil {
				field = fmt.Sprint(v)
			}
			record = append(record, field)
			if low[i] < 0 {
				continue
			}
			ends := []string{"", ""}
			if in := table.Interval(a, r, i); in != nil {
				for e, x := range in {
					b, err := json.Marshal(x)
					if err != nil {
						return fmt.Errorf("interval of %s: %w", a.Columns[i].Name, err)
					}
					ends[e] = string(b)
				}
			}
			record = append(record, ends...)
		}
		if err := c.Write(record); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func writeArrow(w io.Writer, a answer.Answer) (err error) {
	rows, err := table.Batch(a, true, table.Metadata(a))
	if err != nil {
		return err
	}
	defer rows.Release()
	stream := ipc.NewWriter(w, ipc.WithSchema(rows.Schema()))
	if err := stream.Write(rows); err != nil {
		return err
	}
	return stream.Close()
}

func writeParquet(w io.Writer, a answer.Answer) error {
	rows, err := table.Batch(a, true, table.Metadata(a))
	if err != nil {
		return err
	}
	defer rows.Release()
	file, err := pqarrow.NewFileWriter(rows.Schema(), open{w},
		parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)), pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return err
	}
	if err := file.Write(rows); err != nil {
		return err
	}
	return file.Close()
}

// open keeps the Parquet writer from closing standard output.
type open struct{ io.Writer }
