package study_test

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"concordat.dev/integration/study"
	"concordat.dev/protocol/answer"
	"concordat.dev/protocol/document"
	"concordat.dev/ui/demo"
	"concordat.dev/worker/engine"
	"concordat.dev/worker/sandbox"
)

var (
	runs   = flag.Int("runs", 100, "how often each question is asked, with fresh keys")
	update = flag.Bool("update", false, "write docs/STUDY.md")
)

const (
	room = "../../ui/demo/room"
	page = "../../docs/STUDY.md"
)

// column is one aggregate of one question over all its groups and runs.
type column struct {
	question, name string
	groups         map[string]bool
	halves         []float64 // of the intervals
	cells, inside  int       // inside: the bounded truth lies in the interval
	rawInside      int
	low, high      float64 // bias of the bounding over the groups, relative to the raw truth
	rawLow         float64 // smallest and largest raw truth
	rawHigh        float64
}

// TestStudy asks the questions of the demo again and again with fresh keys, and compares every interval with what plain SQL gives.
func TestStudy(t *testing.T) {
	files, err := demo.WriteData(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := study.Open(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	box := open(t, files)
	questions, err := demo.Study()
	if err != nil {
		t.Fatal(err)
	}
	var columns []*column
	byName := map[string]*column{}
	bounded, raw := map[string]study.Cells{}, map[string]study.Cells{}
	for run := range *runs {
		box.Renew()
		for _, q := range questions {
			a := box.Query(t.Context(), q.SQL, 0, false)
			if a.Verdict != answer.Released || len(a.Rows) == 0 {
				t.Fatalf("%s: %s %+v", q.Name, a.Verdict, a.Refusals)
			}
			if run == 0 {
				bounded[q.Name], raw[q.Name] = truth(t, plain, q.Name, study.Bounded, a), truth(t, plain, q.Name, study.Raw, a)
				for _, c := range a.Columns {
					if c.Kind != answer.Key {
						byName[q.Name+" "+c.Name] = &column{question: q.Name, name: c.Name, groups: map[string]bool{}, low: math.Inf(1), high: math.Inf(-1), rawLow: math.Inf(1), rawHigh: math.Inf(-1)}
						columns = append(columns, byName[q.Name+" "+c.Name])
					}
				}
			}
			compare(t, q.Name, a, bounded[q.Name], raw[q.Name], byName)
		}
	}
	judge(t, columns)
	report(t, columns)
}

func open(t *testing.T, files map[string]string) *sandbox.Sandbox {
	t.Helper()
	bundle, err := document.LoadDir(room)
	if err != nil {
		t.Fatal(err)
	}
	box, err := sandbox.Open(bundle, engine.Config{}, zerolog.Nop(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = box.Close() })
	for dataset, file := range files {
		if err := box.Load(t.Context(), dataset, file); err != nil {
			t.Fatal(err)
		}
	}
	return box
}

func truth(t *testing.T, plain *study.Engine, question, kind string, a answer.Answer) study.Cells {
	t.Helper()
	keys := slices.IndexFunc(a.Columns, func(c answer.Column) bool { return c.Kind != answer.Key })
	cells, err := plain.Truth(t.Context(), question, kind, keys)
	if err != nil {
		t.Fatal(err)
	}
	return cells
}

// compare holds every interval of an answer against the truth.
func compare(t *testing.T, question string, a answer.Answer, bounded, raw study.Cells, columns map[string]*column) {
	t.Helper()
	for i, row := range a.Rows {
		keys := row[:slices.IndexFunc(a.Columns, func(c answer.Column) bool { return c.Kind != answer.Key })]
		for j := len(keys); j < len(row); j++ {
			c := columns[question+" "+a.Columns[j].Name]
			cell := study.Cell(keys, c.name)
			want, ok := bounded[cell]
			exact, rawOK := raw[cell]
			interval := a.Intervals[i][j]
			if !ok || !rawOK || interval == nil {
				t.Fatalf("%s: %s: truth %v %v, interval %v", question, cell, ok, rawOK, interval)
			}
			c.groups[cell] = true
			c.cells++
			if interval[0] <= want && want <= interval[1] {
				c.inside++
			}
			if interval[0] <= exact && exact <= interval[1] {
				c.rawInside++
			}
			c.halves = append(c.halves, (interval[1]-interval[0])/2)
			bias := want/exact - 1
			c.low, c.high = math.Min(c.low, bias), math.Max(c.high, bias)
			c.rawLow, c.rawHigh = math.Min(c.rawLow, exact), math.Max(c.rawHigh, exact)
		}
	}
}

// judge wants the bounded truth inside 90 to 99 % of all intervals, and no column far from that.
func judge(t *testing.T, columns []*column) {
	t.Helper()
	cells, inside := 0, 0
	for _, c := range columns {
		cells, inside = cells+c.cells, inside+c.inside
		if share := float64(c.inside) / float64(c.cells); share < 0.85 && c.cells >= 100 {
			t.Errorf("%s, %s: the bounded truth lies inside %.1f %% of %d intervals only", c.question, c.name, 100*share, c.cells)
		}
	}
	share := float64(inside) / float64(cells)
	t.Logf("the bounded truth lies inside %.2f %% of %d intervals", 100*share, cells)
	if share < 0.90 || share > 0.99 {
		t.Errorf("the bounded truth lies inside %.2f %% of %d intervals, want 90 to 99", 100*share, cells)
	}
}

// report prints the table, and writes the page where that is asked for.
func report(t *testing.T, columns []*column) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, `# The study, with and without noise

Every question of the demo, asked %d times in the sandbox with fresh keys, beside what plain DuckDB gives over the same tables.

- *Bounded truth*: the aggregates with clamping and bounding (PRIVACY.md section 5) but without noise, by SQL that was written by hand for
  each question (integration/study/truth). Where a patient has more groups than count, each of m counts with 6/m, the mean over keys.
- *Inside*: how many of the printed 95 %% intervals hold the bounded truth. The interval is of the noise, so this is what it promises.
- *Bias*: how far the bounding moves the truth, over the groups shown: smallest to largest. It does not average out, and the interval
  does not cover it; each answer names the bounds that can bite.
- *Raw inside*: how many intervals hold the truth of plain SQL, bounding and all.

Written by `+"`go test -tags duckdb_arrow ./study -update`"+` in integration.

| question | column | groups | raw truth | ± median | inside | bias of the bounding | raw inside |
|---|---|---:|---:|---:|---:|---:|---:|
`, *runs)
	for _, c := range columns {
		slices.Sort(c.halves)
		fmt.Fprintf(&b, "| %s | %s | %d | %s to %s | %s | %.1f %% | %s | %.1f %% |\n", c.question, c.name, len(c.groups), short(c.rawLow), short(c.rawHigh),
			short(c.halves[len(c.halves)/2]), percent(c.inside, c.cells), spread(c.low, c.high), percent(c.rawInside, c.cells))
	}
	t.Log("\n" + b.String())
	if !*update {
		return
	}
	if err := os.WriteFile(filepath.FromSlash(page), []byte(b.String()), 0o644); err != nil { //nolint:gosec // G306: a page to read
		t.Fatal(err)
	}
}

func percent(n, of int) float64 { return 100 * float64(n) / float64(of) }

func short(x float64) string {
	if math.Abs(x) >= 1000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}

func spread(low, high float64) string {
	if math.Abs(low) < 5e-6 && math.Abs(high) < 5e-6 {
		return "none"
	}
	return fmt.Sprintf("%+.2f to %+.2f %%", 100*low, 100*high)
}
