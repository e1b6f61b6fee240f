package everyday_test

import (
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// room writes the CSV files of the room of cases, a few thousand rows each, and tells where they are by dataset.
func room(t *testing.T) map[string]string {
	t.Helper()
	g := &generator{Rand: rand.New(rand.NewPCG(5, 81)), t: t, dir: t.TempDir(), files: map[string]string{}}
	const persons, patients = 2000, 3000
	person := func() string { return digest(g.IntN(persons)) }
	g.write("publisher.impressions", []string{"user_id", "email_sha256", "campaign", "device", "shown_at"}, 12000, func(i int) []string {
		id := person()
		if g.IntN(100) == 0 {
			id = ""
		}
		return []string{fmt.Sprint("pu", i), id, fmt.Sprint("c", 1+g.skewed(5)), []string{"ios", "android", "web"}[g.skewed(3)], g.when()}
	})
	g.write("publisher2.impressions", []string{"user_id", "email_sha256", "campaign", "device", "shown_at"}, 6000, func(i int) []string {
		return []string{fmt.Sprint("qu", i), digest(persons/3 + g.IntN(persons*2/3)), fmt.Sprint("c", 1+g.skewed(5)), []string{"ios", "android", "web"}[g.skewed(3)], g.when()}
	})
	g.write("advertiser.conversions", []string{"user_id", "email_sha256", "amount", "product", "converted_at"}, 5000, func(i int) []string {
		amount := math.Min(500, math.Exp(3.5+0.8*g.NormFloat64()))
		return []string{fmt.Sprint("au", i), person(), fmt.Sprintf("%.2f", amount), fmt.Sprint("p", 1+g.skewed(8)), g.when()}
	})
	g.write("publisher.users", []string{"email_sha256", "region", "age_band", "arm"}, persons, func(i int) []string {
		return []string{digest(i), []string{"north", "south", "east", "west"}[g.skewed(4)], []string{"18-24", "25-34", "35-49", "50-64", "65+"}[g.skewed(5)], []string{"A", "B"}[i%2]}
	})
	g.write("advertiser.crm_upload", []string{"email_sha256", "segment"}, 300, func(i int) []string {
		return []string{digest(i * 6), fmt.Sprint("s", 1+i%4)}
	})
	g.write("hospital.patients", []string{"patient_id", "zip", "age", "diagnosis"}, patients, func(i int) []string {
		diagnosis := fmt.Sprint("dx", 1+g.skewed(11))
		if g.IntN(250) == 0 {
			diagnosis = "HIV"
		}
		return []string{fmt.Sprintf("pt%06d", i), fmt.Sprintf("0%d1%02d", g.IntN(4), g.IntN(40)), fmt.Sprint(min(96, max(0, int(52+19*g.NormFloat64())))), diagnosis}
	})
	g.write("hospital.outcomes", []string{"patient_id", "arm", "followup_days", "event"}, patients, func(i int) []string {
		return []string{fmt.Sprintf("pt%06d", i), []string{"A", "B"}[i%2], fmt.Sprint(min(1825, int(500*g.ExpFloat64()))), fmt.Sprint(g.IntN(2))}
	})
	for _, bank := range []string{"bank_a.flags", "bank_b.flags"} {
		g.write(bank, []string{"person_sha256", "typology", "flagged_at"}, 1500, func(int) []string {
			return []string{digest(g.IntN(persons / 2)), []string{"mule", "structuring", "smurfing", "synthetic_id"}[g.skewed(4)], g.when()}
		})
	}
	return g.files
}

type generator struct {
	*rand.Rand
	t     *testing.T
	dir   string
	files map[string]string
}

func digest(person int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "person%07d@mail.example", person))
	return hex.EncodeToString(sum[:])
}

// skewed is a number below k, lower ones more often.
func (g *generator) skewed(k int) int { return min(g.IntN(k), g.IntN(k)) }

func (g *generator) when() string {
	return time.Date(2026, 1, 1, 0, 0, g.IntN(180*86400), 0, time.UTC).Format("2006-01-02 15:04:05")
}

func (g *generator) write(dataset string, header []string, n int, row func(int) []string) {
	g.t.Helper()
	path := filepath.Join(g.dir, dataset+".csv")
	f, err := os.Create(path) //nolint:gosec // a folder of the test's own
	if err != nil {
		g.t.Fatal(err)
	}
	w := csv.NewWriter(f)
	rows := [][]string{header}
	for i := range n {
		rows = append(rows, row(i))
	}
	if err := w.WriteAll(rows); err != nil {
		g.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		g.t.Fatal(err)
	}
	g.files[dataset] = path
}
