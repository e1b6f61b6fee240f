package parse

import (
	"context"
	"encoding/json"
	"fmt"
	"sort"
	"testing"

	"concordat.dev/sql/refusal"
)

// samples hold every node that the decoder reads.
var samples = []string{
	"SELECT a, count(*) FILTER (WHERE x > 1) AS n FROM t JOIN u USING (id) WHERE x BETWEEN 1 AND 2 AND y IN (1, 2) AND z IS NOT NULL GROUP BY 1 HAVING count(*) > 2 ORDER BY n DESC LIMIT 3 OFFSET 1",
	"WITH a AS (SELECT DISTINCT id, CASE WHEN x THEN 1.5 ELSE -2 END AS y FROM s.t v WHERE NOT x OR y LIKE 'a%') SELECT sum(CAST(y AS DOUBLE)) FROM a LEFT JOIN (SELECT * FROM b) c ON a.id = c.id",
	"SELECT row_number() OVER (PARTITION BY a ORDER BY b NULLS FIRST), lag(x, 1, 0) OVER (PARTITION BY a ORDER BY b), sum(x) OVER (PARTITION BY a) FROM t QUALIFY rank() OVER (PARTITION BY a ORDER BY b) = 1",
	"SELECT id FROM t WHERE id IN (SELECT id FROM u) AND EXISTS (SELECT 1 FROM v WHERE v.id = t.id) AND day > DATE '2026-01-01' - INTERVAL 7 DAY AND coalesce(a, 'x') = 'y' UNION ALL SELECT id FROM w ORDER BY 1 LIMIT 2",
}

// TestUnknownFields adds a field that no version of the parser writes to one object of the tree after the other: each time the text must
// be refused, since an unknown field may change what the query means.
func TestUnknownFields(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	injected := 0
	for _, text := range samples {
		tree, err := p.tree(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		if refused := decoded(text, tree.fields); !refused.Empty() {
			t.Fatalf("%s: %v", text, refused.All())
		}
		raw, err := json.Marshal(tree.fields)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; ; i++ {
			var fields map[string]any
			if err := json.Unmarshal(raw, &fields); err != nil {
				t.Fatal(err)
			}
			n := i
			at := inject(fields, &n, "")
			if at == "" {
				break
			}
			injected++
			if decoded(text, numbers(fields).(map[string]any)).Empty() {
				t.Errorf("an unknown field of %s is ignored: %s", at, text)
			}
		}
	}
	if injected < 100 {
		t.Errorf("%d fields injected", injected)
	}
}

func decoded(text string, fields map[string]any) *refusal.List {
	refused := &refusal.List{}
	d := &decoder{src: newSource(text), refused: refused}
	d.statements(newObject(fields))
	return refused
}

// inject adds the field to the object with number n and tells where that is; "" when there are fewer.
func inject(v any, n *int, path string) string {
	switch v := v.(type) {
	case map[string]any:
		if *n == 0 {
			v["unheard_of"] = "yes"
			return path + "."
		}
		*n--
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			if at := inject(v[k], n, path+"."+k); at != "" {
				return at
			}
		}
	case []any:
		for i, e := range v {
			if at := inject(e, n, fmt.Sprintf("%s[%d]", path, i)); at != "" {
				return at
			}
		}
	}
	return ""
}

// numbers gives numbers the form that the decoder reads.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = numbers(v[k])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	case float64:
		return json.Number(fmt.Sprintf("%.0f", v))
	}
	return v
}
