package query_test

import (
	"testing"

	"concordat.dev/protocol/document"
	"concordat.dev/worker/query"
)

// TestOneReleaseBelowAllOrders: what stands above the release changes no noise, so that asking again in another order tells nothing new.
func TestOneReleaseBelowAllOrders(t *testing.T) {
	analyser, err := query.NewAnalyser()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = analyser.Close() }()
	cells := func(text string) string {
		t.Helper()
		a, err := analyser.Analyse(t.Context(), room(t), text, 0)
		if err != nil || a.Refused() {
			t.Fatalf("%s: %v, %v", text, err, a.Decision.Refusals)
		}
		return a.Decision.Release.Cells + " " + a.Parameters().String()
	}
	const base = "SELECT diagnosis, count(*) AS n FROM hospital.patients GROUP BY diagnosis"
	want := cells(base)
	for _, text := range []string{
		base + " ORDER BY n DESC LIMIT 3",
		base + " HAVING count(*) > 100",
		"SELECT count(*) AS c, diagnosis AS d FROM hospital.patients GROUP BY 2",
		"SELECT diagnosis, n, rank() OVER (ORDER BY n) AS r FROM (" + base + ")",
	} {
		if got := cells(text); got != want {
			t.Errorf("%s: other cells than %s", text, base)
		}
	}
	if cells("SELECT diagnosis, count(*) AS n FROM hospital.patients WHERE age >= 40 GROUP BY diagnosis") == want {
		t.Error("another question has the same cells")
	}
}

func room(t *testing.T) *document.Bundle {
	t.Helper()
	b, err := document.LoadDir("../../integration/testdata/room/dp")
	if err != nil {
		t.Fatal(err)
	}
	return b
}
