package storage

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// sampleRows is how many rows of a file tell whether a text column gets a dictionary.
const sampleRows = 4096

// repeats says whether a text column has so few different values that a dictionary pays: building one costs more than
// writing, encrypting and hashing the text, unless the file is mostly repetition.
func repeats(column arrow.Array) bool {
	texts, ok := column.(*array.String)
	if !ok || texts.Len() == 0 {
		return ok
	}
	n := min(texts.Len(), sampleRows)
	seen := make(map[string]struct{}, n/8+1)
	for i := range n {
		seen[texts.Value(i)] = struct{}{}
		if len(seen) > n/8+1 {
			return false
		}
	}
	return true
}
