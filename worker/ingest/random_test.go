package ingest

import (
	"testing"

	"concordat.dev/protocol/upload"
)

// TestPartsKept: what is read at once stays in memory, small parts or large ones, and never more than the bound.
func TestPartsKept(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		plain []int64
		bytes int64
		want  int
	}{
		{[]int64{64 * mib, 64 * mib, 5}, 30 * mib, besides},
		{[]int64{64 * mib, 64 * mib, 5}, 130 * mib, besides + 2},
		{[]int64{64 * mib, 64 * mib}, 1 << 60, keptPlain / upload.MaxPart},
		{[]int64{4 * mib, 4 * mib}, 30 * mib, besides + 7},
		{[]int64{5, 64 * mib}, 1 << 60, keptPlain / upload.MaxPart}, // the largest part counts, whichever it is
		{[]int64{64 * mib}, -1, besides},
	} {
		var parts Parts
		for _, n := range c.plain {
			parts.Statement.Parts = append(parts.Statement.Parts, upload.Part{Plain: n})
		}
		r := newRandomParts(t.Context(), parts, 0, len(c.plain))
		r.Together(c.bytes)
		if r.most != c.want {
			t.Errorf("parts of %v, %d at once: %d kept, want %d", c.plain, c.bytes, r.most, c.want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}
