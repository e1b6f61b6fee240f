package upload_test

import (
	"errors"
	"testing"

	"concordat.dev/protocol/upload"
)

func TestFormats(t *testing.T) {
	part := statement().Parts[0]
	for name, x := range map[string]struct {
		change func(*upload.Statement)
		good   bool
	}{
		"parquet": {func(s *upload.Statement) { s.Format = upload.Parquet }, true},
		"dialect": {func(s *upload.Statement) {
			s.Dialect = &upload.Dialect{Delimiter: ";", Decimal: ",", Date: "DD.MM.YYYY"}
		}, true},
		"unknown date":     {func(s *upload.Statement) { s.Dialect = &upload.Dialect{Date: "YY-M-D"} }, false},
		"two delimiters":   {func(s *upload.Statement) { s.Dialect = &upload.Dialect{Delimiter: ";;"} }, false},
		"parquet, dialect": {func(s *upload.Statement) { s.Format, s.Dialect = upload.Parquet, &upload.Dialect{Date: upload.ISODate} }, false},
		"json, date":       {func(s *upload.Statement) { s.Format, s.Dialect = upload.JSONLines, &upload.Dialect{Date: "DD.MM.YYYY"} }, true},
		"json, delimiter":  {func(s *upload.Statement) { s.Format, s.Dialect = upload.JSONLines, &upload.Dialect{Delimiter: ";"} }, false},
		"files":            {func(s *upload.Statement) { s.Parts, s.Files = []upload.Part{part, part}, []int{1, 1} }, true},
		"files too few":    {func(s *upload.Statement) { s.Parts, s.Files = []upload.Part{part, part}, []int{1} }, false},
		"empty file":       {func(s *upload.Statement) { s.Files = []int{1, 0} }, false},
		"negative plain":   {func(s *upload.Statement) { s.Parts[0].Plain = -1 }, false},
	} {
		s := statement()
		s.Type = "concordat.dev/upload/v1"
		x.change(&s)
		if err := s.Validate(); (err == nil) != x.good || err != nil && !errors.Is(err, upload.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
