package harness

import (
	"fmt"
	"path/filepath"

	"concordat.dev/protocol/document"
	"concordat.dev/ui/client"
	"concordat.dev/ui/demo"
)

// StudyRoom is the folder of the demo's manifest.
func StudyRoom() string { return filepath.Join(Repository(), "ui", "demo", "room") }

// Generous gives every owner a budget that no test exhausts, and lets releases leave at once.
func Generous(b *document.Bundle) {
	b.Manifest.Release.TimeGrid = "0s"
	for _, p := range b.Policies {
		p.Budget.Rho, p.Budget.LifetimeRho = 1e6, 1e6
	}
}

// UploadStudy uploads the tables of some organisations of the demo.
func (r *Room) UploadStudy(datasets ...string) {
	r.tb.Helper()
	files, err := demo.WriteData(r.tb.TempDir())
	if err != nil {
		r.tb.Fatal(err)
	}
	for _, d := range datasets {
		r.Upload(d, files[d])
	}
}

// Question is one of a series over clinic.patients and registry.events of which no two are the same question, so that each has its own
// noise and price.
func Question(i int) client.Question {
	const ages, years = 16, 19
	join, where := "", ""
	if i%2 == 1 {
		join, where = " JOIN registry.events e ON e.id = c.id", " AND e.event = 'nafld'"
	}
	return client.Question{
		SQL: fmt.Sprintf("SELECT c.male, count(DISTINCT c.id) AS patients FROM clinic.patients c%s WHERE c.age < %d AND c.futime >= %d%s GROUP BY c.male",
			join, 20+5*(i%ages), 365*(i/ages%years), where),
		Rho: 0.004 - 1e-7*float64(i/(ages*years)),
	}
}
