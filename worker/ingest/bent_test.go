package ingest_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"concordat.dev/worker/ingest"
)

// TestBentFiles changes bytes of good files at random, which is how sizes come to lie: whatever comes of it, it is an error or rows, in bounded memory.
func TestBentFiles(t *testing.T) {
	batch := visitsBatch(t)
	defer batch.Release()
	for name, good := range map[string][]byte{"parquet": parquetFile(t, batch, 2), "stream": arrowStream(t, batch), "file": arrowFile(t, batch)} {
		random := rand.New(rand.NewPCG(1, 1))
		refused := 0
		for range 500 {
			bent := bytes.Clone(good)
			for range 1 + random.IntN(3) {
				bent[random.IntN(len(bent))] = byte(random.IntN(256))
			}
			o := options(t, visits())
			o.Tolerance = 1 << 20
			if _, _, err := ingest.All(t.Context(), o, anywhere(bent)); err != nil {
				refused++
			}
		}
		if refused == 0 {
			t.Errorf("%s: nothing was ever refused", name)
		}
	}
}
