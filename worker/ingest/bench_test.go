package ingest_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/ingest"
)

type discard struct{}

func (discard) Write(b arrow.RecordBatch) error { b.Release(); return nil }
func (discard) Reset() error                    { return nil }

// BenchmarkFile reads impressions: a number that is left out, a hex identifier, two texts, a number, a timestamp.
func BenchmarkFile(b *testing.B) {
	const n = 500_000
	var file bytes.Buffer
	file.WriteString("row,id,campaign,device,amount,shown_at\n")
	for i := range n {
		h := sha256.Sum256(fmt.Append(nil, i*7919%(n/2)))
		fmt.Fprintf(&file, "%d,%x,c%d,%s,%d.%02d,2026-%02d-%02d %02d:%02d:%02d\n", i, h, i%5, []string{"ios", "android", "web"}[i%3], i%500, i%100, i%6+1, i%28+1, i%24, i%60, i%59)
	}
	p := policy(false, map[string]document.Column{
		"campaign": {Type: "varchar", Role: "dimension", Domain: &document.Domain{Values: []any{"c0", "c1", "c2", "c3", "c4"}}},
		"device":   {Type: "varchar", Role: "dimension"},
		"amount":   {Type: "double", Role: "measure", Bounds: &[2]float64{0, 500}},
		"shown_at": {Type: "timestamp", Role: "time"},
	})
	for _, parallel := range []int{1, 2} {
		b.Run(fmt.Sprint("parsers=", parallel), func(b *testing.B) {
			o := options(b, p)
			o.Parallel = parallel
			b.SetBytes(int64(file.Len()))
			for b.Loop() {
				if _, err := ingest.File(b.Context(), o, raw(file.Bytes()), discard{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
