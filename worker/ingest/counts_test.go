package ingest_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

// TestCountedByTheSinkOrByTable compares the reports of a sink that counts the rows of units, since it sorts them, with those of one that doesn't: also of files that
// are rejected, whose last rows no sink gets.
func TestCountedByTheSinkOrByTable(t *testing.T) {
	for _, c := range []struct {
		name      string
		maxRows   int64
		tolerance int64
		share     float64
		bad       string
		want      error
		units     int64
	}{
		{name: "few rows", units: 701},
		{name: "excess", maxRows: 50, units: 701},
		{name: "tolerated", tolerance: 1, bad: "5,x\n", units: 701},
		{name: "rejected", bad: "5,x\n", want: ingest.ErrRejected, units: 711},
		{name: "rejected above the cap", maxRows: 50, bad: "5,x\n", want: ingest.ErrRejected, units: 711},
		{name: "rejected by share", share: 1e-6, bad: "5,x\n", want: ingest.ErrRejected, units: 711},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			b.WriteString("id,n\n")
			for i := range 120_000 {
				fmt.Fprintf(&b, "%d,%d\n", i%2*(1+i%1400), i)
			}
			b.WriteString(c.bad)
			if c.want != nil { // so many rows that they make another block
				for i := range 120_000 {
					fmt.Fprintf(&b, "b%d,%d\n", i%10, i)
				}
			}
			d := newDesk(t, b.String(), 1<<20)
			d.options = options(t, policy(false, map[string]document.Column{"n": {Type: "integer", Role: "measure"}}))
			d.options.Policy.MaxRows, d.options.Tolerance, d.options.ToleratedShare = c.maxRows, c.tolerance, c.share
			if c.maxRows == 0 {
				d.options.Policy.MaxRows = 1_000_000
			}
			_, sealed, err := d.seal(t)
			_, collected, byTable := ingest.All(t.Context(), d.options, text(b.String()))
			if !errors.Is(err, c.want) || !errors.Is(byTable, c.want) {
				t.Fatalf("%v and %v, want %v", err, byTable, c.want)
			}
			if !reflect.DeepEqual(sealed, collected) {
				t.Errorf("the sink counts\n%+v %+v, a table\n%+v %+v", sealed, sealed.RowsPerUnit, collected, collected.RowsPerUnit)
			}
			if sealed.Units != c.units {
				t.Errorf("%d units, want %d", sealed.Units, c.units)
			}
		})
	}
}
