package state_test

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/datadriven"

	"concordat.dev/coordinator/state"
)

// openUploads opens n uploads of a dataset, from the version that is given on, and tells which of them are open in the end.
func (s *script) openUploads(d *datadriven.TestData) string {
	var open []string
	first, n := number(d, "dataset-version", 1), number(d, "n", 1)
	for i := range n {
		u := s.upload(d)
		u.ID, u.Version = fmt.Sprintf("%s%03d", text(d, "id"), i), uint32(first+i)
		if out := s.apply("open_upload", state.OpenUpload{Upload: u}); !strings.Contains(out, " open ") {
			return out
		}
	}
	for i := range n {
		if u, ok := s.m.Upload(fmt.Sprintf("%s%03d", text(d, "id"), i)); ok && u.State == state.UploadOpen {
			open = append(open, u.ID)
		}
	}
	return fmt.Sprintf("%d open, %s to %s", len(open), open[0], open[len(open)-1])
}
