package cli

import (
	"strings"

	"concordat.dev/protocol/upload"
	"concordat.dev/ui/client"
	"github.com/spf13/cobra"
)

// readingFlags adds the flags that say how a file is written; the function gives what was said as an upload without files.
func readingFlags(c *cobra.Command) func() (client.Upload, error) {
	var u client.Upload
	var tab string
	f := c.Flags()
	f.StringVar(&u.Format, "file-format", "", "csv, jsonl, parquet or arrow (else the file's beginning tells)")
	f.StringVar(&tab, "delimiter", "", "of fields: one of , ; | tab (else found)")
	f.StringVar(&u.Dialect.Quote, "quote", "", "of fields: \" or ' or none (\")")
	f.StringVar(&u.Dialect.Encoding, "encoding", "", "utf-8, utf-16 or windows-1252 (utf-8, or what the byte order mark says)")
	f.StringVar(&u.Dialect.Date, "date", "", "how dates are written: "+strings.Join(upload.Dates(), ", ")+" (else found)")
	f.StringVar(&u.Dialect.Decimal, "decimal", "", "the decimal point: . or , (else found)")
	f.StringSliceVar(&u.Columns, "columns", nil, "names of the fields, for a file without a header line")
	return func() (client.Upload, error) {
		u.Dialect.Delimiter = tab
		if tab == "tab" || tab == `\t` {
			u.Dialect.Delimiter = "\t"
		}
		u.Dialect.NoHeader = len(u.Columns) > 0
		if err := u.Dialect.Validate(); err != nil {
			return u, usagef("%v", err)
		}
		switch u.Format {
		case "", upload.CSV, upload.JSONLines, upload.Parquet, upload.Arrow:
			return u, nil
		}
		return u, usagef("--file-format %q: it is csv, jsonl, parquet or arrow", u.Format)
	}
}
