package release_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"concordat.dev/policies/mechanism"
	"concordat.dev/worker/release"
)

// What was released once is released again by any later version of this code (to 9 digits, since architectures round
// floats differently): else two answers to one question would differ by noise alone.
// A change here needs a new noise.Version.
func TestGoldenReleases(t *testing.T) {
	xs := people(rand.New(rand.NewPCG(3, 3)), 700, 50, 10)
	var groups []release.Group
	for _, key := range []any{nil, "a", "ä"} {
		g, _ := measures(key, xs)
		groups = append(groups, g)
	}
	at, _ := measures(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), xs)
	veiled, _ := gather("a", persons("golden", 80, spread))
	var got strings.Builder
	for _, c := range []struct {
		spec   *mechanism.Spec
		groups []release.Group
	}{{ages(3, 2), groups}, {ages(3, 2), []release.Group{at}}, {trusting(3), []release.Group{veiled}}} {
		for _, row := range run(t, c.spec, c.groups).Rows {
			var cells []string
			for _, cell := range row.Cells {
				cells = append(cells, fmt.Sprintf("%.9g in %.9g to %.9g", number(t, cell.Value), *cell.Low, *cell.High))
			}
			fmt.Fprintf(&got, "%v: %s\n", row.Keys[0], strings.Join(cells, ", "))
		}
	}
	if got.String() != goldenReleases {
		t.Errorf("released:\n%s", got.String())
	}
}

func BenchmarkRelease(b *testing.B) {
	r := rand.New(rand.NewPCG(4, 4))
	var groups []release.Group
	for i := range int64(1000) {
		g, _ := measures(i, people(r, 300, 50, 10))
		groups = append(groups, g)
	}
	s := public(ages(3, 1), 1000)
	for b.Loop() {
		if _, err := release.Release(s, groups, secret, context); err != nil {
			b.Fatal(err)
		}
	}
}

const goldenReleases = `a: 708 in 674 to 742, 659 in 591 to 727, 31384.34 in 24594.83 to 38173.85, 51.4703187 in 47.140865 to 55.6161782, 89.8974063 in 0 to 270.262278, 9.48862627 in 0 to 16.4535817, 41.7403315 in 25 to 58.75, 53.1164021 in 31.5625 to 100
ä: 708 in 674 to 742, 670 in 602 to 738, 41126.33 in 34336.82 to 47915.84, 50.9914925 in 46.7198293 to 55.0756357, 222.087091 in 25.9743016 to 402.886437, 14.9137205 in 5.09995538 to 20.0887231, 54.0497076 in 47.8125 to 59.6875, 100 in 54.375 to 100
<nil>: 650 in 616 to 684, 764 in 696 to 832, 33682.15 in 26892.64 to 40471.66, 50.9588743 in 47.2267736 to 54.5465849, 16.3948322 in 0 to 172.646882, 4.05170576 in 0 to 13.1489655, 52.9261364 in 41.5625 to 60, 60 in 52.1875 to 100
2026-02-01 00:00:00 +0000 UTC: 698 in 664 to 732, 723 in 655 to 791, 31570.02 in 24780.51 to 38359.53, 49.736556 in 45.7482544 to 53.5416587, 191.05675 in 6.08704413 to 361.649952, 13.8318969 in 2.46875459 to 19.0316298, 49.8870056 in 34.0625 to 60, 70.2325581 in 42.5 to 100
a: 80 in 74 to 86, 85 in 73 to 97, 4155 in 3555 to 4755, 48.8823529 in 47.5679012 to 50.0823529, 299.719723 in 262.669465 to 348.940702, 62.5 in 25 to 75
`
