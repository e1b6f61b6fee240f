package cli

import (
	"strconv"
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

// parseTolerance reads how many bad rows may be left out: "20" or "0.1%".
func parseTolerance(text string) (t upload.Tolerance, err error) {
	if text == "" {
		return t, nil
	}
	if share, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(share, 64)
		if err != nil || !(percent >= 0 && percent <= 100) {
			return t, usagef("--tolerate %q: a share is from 0%% to 100%%", text)
		}
		return upload.Tolerance{Share: percent / 100}, nil
	}
	if t.Rows, err = strconv.ParseInt(text, 10, 64); err != nil || t.Rows < 0 {
		return t, usagef("--tolerate %q: say how many rows, or a share such as 0.1%%", text)
	}
	return t, nil
}
