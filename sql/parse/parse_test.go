package parse_test

import (
	"context"
	"testing"

	"concordat.dev/sql/parse"
)

func TestSmoke(t *testing.T) {
	p, err := parse.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"SELECT a, count(*) FILTER (WHERE x > 1) FROM t JOIN u USING (id) WHERE x BETWEEN 1 AND 2 GROUP BY 1", "select a from t tablesample 10%", "select 1;select 2", "explain select 1", "select quantile_cont(a,0.5), median(a), row_number() over (partition by a order by b), lag(x,1) over(partition by a), interval 7 day from t", "select (select 1), x from y where y in (1,2,3) and z is not null"} {
		tree, r, err := p.Parse(context.Background(), q)
		t.Logf("%s\n%T %v", q, tree, err)
		for _, x := range r.All() {
			t.Logf("  %s %q %s", x.Code, q[x.Span.Start:x.Span.End], x.Message)
		}
	}
}
