package query_test

import (
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/query"
)

// What tools send for the columns of a query is known to have no rows, and nothing else is.
func TestRowless(t *testing.T) {
	bundle, err := document.LoadDir("../../ui/demo/room")
	if err != nil {
		t.Fatal(err)
	}
	a, err := query.NewAnalyser()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	const inner = "SELECT male, count(DISTINCT id) AS n FROM clinic.patients GROUP BY male"
	for text, want := range map[string]bool{
		inner:                                                                false,
		inner + " LIMIT 0":                                                   true,
		inner + " LIMIT 1":                                                   false,
		inner + " LIMIT 0 OFFSET 1":                                          true,
		inner + " HAVING 1 = 0":                                              true,
		inner + " HAVING count(DISTINCT id) < 0":                             false,
		"SELECT * FROM (" + inner + ") t LIMIT 0":                            true,
		"SELECT * FROM (" + inner + ") t LIMIT 1000":                         false,
		"SELECT * FROM (" + inner + ") t WHERE 1=0":                          true,
		"SELECT * FROM (" + inner + ") t WHERE 0 = 1 ORDER BY n":             true,
		"SELECT * FROM (" + inner + ") t WHERE false":                        true,
		"SELECT * FROM (" + inner + ") t WHERE NULL":                         true,
		"SELECT * FROM (" + inner + ") t WHERE 1 = 1":                        false,
		"SELECT * FROM (" + inner + ") t WHERE 1 = 0 OR n > 0":               false,
		"SELECT n FROM (SELECT * FROM (" + inner + ") t LIMIT 0) u":          true,
		"SELECT rank() OVER (ORDER BY n) FROM (" + inner + ") t WHERE 2 < 1": true,
		"SELECT count(DISTINCT id) AS n FROM clinic.patients WHERE 1 = 0":    false, // below the release: one row with noise
		"SELECT * FROM clinic.patients LIMIT 0":                              false, // refused
	} {
		got, err := a.Analyse(t.Context(), bundle, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got.Rowless() != want {
			t.Errorf("%s: rowless %v, refused %v", text, got.Rowless(), got.Decision.Refusals)
		}
	}
}
