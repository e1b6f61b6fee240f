package decide_test

import (
	"sort"
	"testing"
	"time"
)

// BenchmarkJudge takes the case corpus and the scripts from text to decision, one after the other, and reports the 99th percentile of one:
// `go test -tags duckdb_arrow -run - -bench Judge -benchtime 10000x ./decide`.
func BenchmarkJudge(b *testing.B) {
	j := newJudge(b, room(b, "dp"))
	var texts []string
	for _, c := range load[everyday](b, "everyday.yaml") {
		texts = append(texts, c.SQL)
	}
	for _, c := range load[attack](b, "attacks.yaml") {
		texts = append(texts, c.SQL...)
	}
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		j.decide(b, texts[i%len(texts)], 0)
		took = append(took, time.Since(start))
	}
	sort.Slice(took, func(i, k int) bool { return took[i] < took[k] })
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
}
